"""Saving weights: in which format, by the path's suffix, and in whose layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._common.names import choose
from evengrad.layers._module import access_to
from evengrad.models._model_file import weights_of
from evengrad.models._network import check_built
from evengrad.models._weights._torch_state import torch_state
from evengrad.saving import _npz, _safetensors
from evengrad.saving._paths import file_path, path_to_write

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from evengrad._common.arrays import Array
    from evengrad.models._model import Model

LAYOUTS = ("keras", "torch")


def save_weights(model: Model, path: str | os.PathLike[str], layout: str) -> None:
    """Write all variables; see `Model.save_weights`."""
    text = file_path(path)
    choose(layout, LAYOUTS, "layout")
    fitting = [write for suffix, write in WRITERS if text.lower().endswith(suffix)]
    if not fitting:
        text, fitting = path_to_write(text, "model.save_weights"), [_write_safetensors]
    check_built(model, "saving")
    with access_to(model):
        fitting[0](model, text, layout)


def _arrays(model: Model, layout: str) -> dict[str, Array]:
    return torch_state(model) if layout == "torch" else weights_of(model)


def _write_npz(model: Model, path: str, layout: str) -> None:
    _npz.write(path, _arrays(model, layout))


def _write_safetensors(model: Model, path: str, layout: str) -> None:
    _safetensors.write(path, _arrays(model, layout), {})


def _write_keras(model: Model, path: str, layout: str) -> None:
    if layout != "keras":
        raise ValueError(
            f"layout: {path!r} is a file of Keras', whose layout is 'keras', got {layout!r}; "
            "choose a path that ends in .safetensors or .npz"
        )
    # Who writes no files of Keras' needs none of it.
    from evengrad.models._keras._saving import save_keras_weights

    save_keras_weights(model, path)


# By suffixes, the longer ones first. Each gets the model, to which it has access, the path and the
# layout; one whose format has but one layout refuses the others.
WRITERS: tuple[tuple[str, Callable[[Model, str, str], None]], ...] = (
    (".weights.h5", _write_keras),
    (".npz", _write_npz),
)
