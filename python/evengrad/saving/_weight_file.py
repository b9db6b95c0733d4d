"""What a file of weights holds, whichever program wrote it: arrays by layers, read when needed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np

    from evengrad._common.arrays import Array

# What weights are called in PyTorch's state dicts; those of recurrent layers end in their number.
TORCH_ROLES = {"weight", "running_mean", "running_var", "num_batches_tracked"}
OF_RECURRENT = re.compile(r"((?:weight|bias)_(?:ih|hh))(?:_l(\d+))?")
# What they are called in Keras, and here.
KERAS_ROLES = {"kernel", "recurrent_kernel", "embeddings", "gamma", "beta", "alpha"} | {
    "moving_mean",
    "moving_variance",
    "mean",
    "variance",
}


@dataclass(frozen=True)
class FileArray:
    """One array of a file: what is known of it, and how to get it.

    Attributes
    ----------
    name
        The whole name that it has in the file, for messages, `mapping` and the report.
    shape, dtype
        Of what `read` returns; compared with the model before anything is read.
    read
        Returns the values, little or big endian, in any strides; read-only will do. They may be
        filled in until the file's `confirm` returns. It, or that, raises a FileFormatError where
        the file turns out to be damaged.
    decode
        Makes numbers of `dtype` of what `read` returns, of any part of it; None where they are
        numbers. They are made a piece at a time, after all is read.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]
    decode: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class FileLayer:
    """The arrays of one layer of a file.

    Attributes
    ----------
    name
        Its name or path in the file, parts joined by ``/``; ``""`` for arrays that belong to none.
    arrays
        By their roles, which are the names that the file's layout has for them: ``"kernel"`` in
        Keras', ``"weight"`` in PyTorch's. Where the file only numbers them, in their order, with
        `by_place`.
    by_place
        Whether the keys of `arrays` mean nothing but the order, which is that of the layer's
        variables in Keras.
    """

    name: str
    arrays: Mapping[str, FileArray]
    by_place: bool = False


@dataclass(frozen=True)
class WeightFile:
    """A file of weights, as its reader returns it.

    Attributes
    ----------
    shown
        What messages call the file.
    layers
        In the file's order.
    layout
        ``"keras"``, which is ours too, ``"torch"``, or None where neither names nor format tell.
    ordered
        Whether the order of the layers is that of the net. Files that sort names have none.
    named
        Whether names tell which layer is which; those of ONNX' initialisers do not.
    metadata
        What a safetensors file says of itself.
    confirm
        Called when all that is wanted was read, and before anything is changed: raises a
        FileFormatError where it is damaged. Checksums may be computed meanwhile.
    close
        Called at the end, whatever happened.
    """

    shown: str
    layers: list[FileLayer] = field(default_factory=list)
    layout: str | None = None
    ordered: bool = True
    named: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)
    confirm: Callable[[], None] = lambda: None
    close: Callable[[], None] = lambda: None

    def arrays(self) -> list[FileArray]:
        """Return all arrays in the file's order."""
        return [array for layer in self.layers for array in layer.arrays.values()]


def split(name: str) -> tuple[str, str]:
    """Return the layer and the role that the name of an array consists of.

    Parts are joined by ``/``, or by dots in PyTorch. There the upper ones of several recurrent
    layers in one module have numbers of their own: ``lstm.weight_ih_l1`` is of ``lstm_1``.
    """
    layer, _, role = name.rpartition("/") if "/" in name else name.rpartition(".")
    if "/" not in name:
        layer = layer.replace(".", "/")
    numbered = OF_RECURRENT.fullmatch(role)
    if numbered is None:
        return layer, role
    number = int(numbered[2] or 0)
    return f"{layer}_{number}" if number else layer, numbered[1]


def layout_of(roles: Iterable[str]) -> str | None:
    """Return the layout that names of weights speak of; None where they say nothing, or both."""
    found = set(roles)
    torch = bool(found & TORCH_ROLES) or any(map(OF_RECURRENT.fullmatch, found))
    keras = bool(found & KERAS_ROLES)
    return None if torch is keras else "torch" if torch else "keras"


def grouped(shown: str, arrays: Iterable[FileArray], *, ordered: bool) -> WeightFile:
    """Return a file whose arrays have but names, by the layers that these speak of."""
    layers: dict[str, dict[str, FileArray]] = {}
    for array in arrays:
        layer, role = split(array.name)
        roles = layers.setdefault(layer, {})
        # Names that differ in dots and slashes alone.
        roles[role if role not in roles else array.name] = array
    layout = layout_of(role for roles in layers.values() for role in roles)
    found = [FileLayer(name, roles) for name, roles in layers.items()]
    return WeightFile(shown, found, layout, ordered)
