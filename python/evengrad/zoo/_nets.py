"""Nets out of the zoo, and into it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.config import suggests_keywords
from evengrad._common.names import did_you_mean
from evengrad.layers._module import access_to, state_of
from evengrad.models._loading import model_of
from evengrad.models._model import Model
from evengrad.models._model_file import KEY as DESCRIPTION
from evengrad.models._model_file import contents_of, shuffler_of
from evengrad.models._network import check_built
from evengrad.saving import _safetensors
from evengrad.saving._errors import FileFormatError
from evengrad.zoo._card import KEY, Card, card_in, checksum_of, told_of, written
from evengrad.zoo._folder import check_name, folder, own_path, paths, shipped_path

if TYPE_CHECKING:
    from collections.abc import Mapping


@suggests_keywords
def load(name: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """Return a net of the zoo, as a model of its own that is not compiled.

    One's own nets come before those of the same name that come along. The checksum of the card is
    compared with what the file holds, beside those of the file itself.

    Parameters
    ----------
    name
        One of `zoo.list`.
    custom_objects
        Your own layers and functions by name, as for `evengrad.load_model`.

    Returns
    -------
    Model
        The model as it was saved; files hold names and numbers, never code.

    Raises
    ------
    ValueError
        There is no net of the name; it names a class that neither this package nor
        `custom_objects` has.
    FileFormatError
        The file is damaged, of a newer version, or has no card.
    OSError
        The file cannot be read.

    Examples
    --------
    A classifier of digits, whose lower layers are for other tasks:

    >>> base = eg.zoo.load("digits").drop_top(1)
    >>> base.trainable = False
    >>> model = base.with_head(eg.layers.Dense(2, "softmax"))
    >>> model.predict(np.zeros((3, 64))).shape
    (3, 2)
    """
    check_name(name)
    found = paths()
    if name not in found:
        raise ValueError(f"name: no net {name!r} in the zoo; {did_you_mean(name, found)}")
    path = found[name]
    tensors, metadata = _safetensors.read(path)
    card = card_in(path, metadata)
    text = metadata.get(DESCRIPTION)
    if text is None:
        raise FileFormatError(f"{path}: has a card, but no model")
    checksum = checksum_of(text, tensors)
    if checksum != card.checksum:
        raise FileFormatError(
            f"{path}: damaged, or changed since its card was written: the card says "
            f"{card.checksum}, what the file holds comes to {checksum}; make the net anew"
        )
    return model_of(path, tensors, text, custom_objects or {}, compile=False)


@suggests_keywords
def save(
    model: Model,
    name: str,
    card: Card | Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> Card:
    """Put a model into the folder of one's own nets, with a card.

    The file is one of `Model.save`, with the card in its header, and without what the model was
    compiled with. It is whole or not there, also after a crash.

    Parameters
    ----------
    model
        A built model.
    name
        Lower-case letters, digits, ``-`` and ``_``; none of a net that comes along.
    card
        What there is to tell: a dict of ``"summary"``, ``"data"``, ``"licence"`` and ``"command"``,
        strings, ``"figures"``, a dict of numbers, and ``"seed"``, by default the model's; or the
        card of another net. All else is added.
    overwrite
        Whether a net of the same name may be replaced.

    Returns
    -------
    Card
        As `zoo.list` will have it.

    Raises
    ------
    ValueError
        A name that is none, or that of a net that comes along; something unknown in the card; the
        model is not built, or a part of it cannot be described.
    TypeError
        Something of another kind.
    FileExistsError
        There is such a net already.
    OSError
        The file cannot be written; an older one is untouched.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(2)], seed=3)
    >>> card = eg.zoo.save(model, "small", {"summary": "Two sums", "figures": {"loss": 0.5}})
    >>> card.parameters, card.seed, len(card.checksum)
    (10, 3, 71)
    >>> eg.zoo.load("small").output_shape
    (None, 2)
    """
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a model, got {model!r}")
    check_name(name)
    told = told_of(card)
    check_built(model, "zoo.save")
    if os.path.exists(shipped_path(name)):
        raise ValueError(f"name: {name!r} is that of a net that comes along; choose another one")
    path = own_path(name)
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(
            errno.EEXIST,
            "there is a net of that name; choose another, or pass overwrite=True",
            path,
        )
    os.makedirs(folder(), exist_ok=True)
    return write_net(model, name, path, told)


def write_net(model: Model, name: str, path: str, told: Mapping[str, Any]) -> Card:
    """Write a model with its card to a file."""
    with access_to(model):
        tensors, metadata = contents_of(model, None, shuffler_of(model).draws)
    card = Card(
        **{
            "name": name,
            "seed": model.seed,
            **told,
            "version": _core.__version__,
            "isa": str(_core.build_info()["isa"]),
            "parameters": model.count_params(),
            "input_shape": _row(state_of(model).input_shape),
            "output_shape": _row(model.output_shape),
            "checksum": checksum_of(metadata[DESCRIPTION], tensors),
            "path": path,
        }
    )
    _safetensors.write(path, tensors, {**metadata, KEY: written(card)})
    return card


def _row(shape: Any) -> Any:
    return tuple(map(_row, shape)) if isinstance(shape, list) else tuple(shape[1:])
