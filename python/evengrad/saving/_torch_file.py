"""State dicts of PyTorch, ``.pt``, ``.pth`` and ``.ckpt``: a zip archive of a pickle and storages.

The pickle is read by `DataPickle`, which runs nothing, and may hold tensors, numbers, texts and
containers of these. A tensor is a view, by offset and strides, of a storage, which is a member of
the archive that several may share.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

import numpy as np

from evengrad._common.names import listed
from evengrad.saving import _zip
from evengrad.saving._bfloat16 import widened
from evengrad.saving._data_pickle import (
    DamagedPickleError,
    DataPickle,
    ForeignPickleError,
    Named,
)
from evengrad.saving._errors import FileFormatError
from evengrad.saving._weight_file import FileArray, WeightFile, grouped

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array

SUFFIXES = {".pt", ".pth", ".ckpt"}
PICKLE = "/data.pkl"
# A pickle of the number that releases before 1.6 began with.
LEGACY = b"\x80\x02\x8a\n\x6c\xfc\x9c\x46"
DIMENSION_LIMIT = 64
BFLOAT16 = "bfloat16"
# Names of dtypes, and of the classes of storages.
DTYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    BFLOAT16: "u2",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "?",
}
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
BYTE_ORDERS = {b"little": "<", b"big": ">"}
# Under what checkpoints keep the state of the model, the likelier first.
PLACES = ("state_dict", "model_state_dict", "model")


class Storage(NamedTuple):
    """A storage that the pickle speaks of, and its dtype; None is one of bytes."""

    key: str
    dtype: str | None


class Stored(NamedTuple):
    """A tensor that the pickle speaks of."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_torch(first: bytes, suffix: str, file: BinaryIO) -> bool:
    """Tell whether a file is of PyTorch, or should be."""
    if suffix in SUFFIXES or first.startswith(LEGACY):
        return True
    if not first.startswith(_zip.MAGIC):
        return False
    return any(name.endswith(PICKLE) for name in _zip.names_in(file))


def open_weights(shown: str, file: BinaryIO) -> WeightFile:
    """Return the tensors of a state dict."""
    _check_kind(shown, file.read(len(LEGACY)))
    archive = _Archive(shown, file)
    state = _state_in(shown, archive.load())
    arrays = [archive.array(str(name), tensor) for name, tensor in state.items()]
    return dataclasses.replace(
        grouped(shown, arrays, ordered=True),
        confirm=archive.zip.confirm,
        close=archive.zip.close,
    )


def _check_kind(shown: str, first: bytes) -> None:
    if first.startswith(LEGACY):
        raise FileFormatError(
            f"{shown}: is in the format of PyTorch before 1.6, which is a pickle throughout; load "
            "it there and torch.save(...) it again"
        )
    if first.startswith(b"\x80"):
        raise FileFormatError(
            f"{shown}: is a pickle, no file of torch.save, and may run code; it is not read"
        )


def _state_in(shown: str, content: Any) -> dict[Any, Stored]:
    """Return the tensors by names, wherever a checkpoint keeps them."""
    if not isinstance(content, dict):
        raise FileFormatError(
            f"{shown}: holds no state dict but {type(content).__name__}; "
            "torch.save(model.state_dict(), path)"
        )
    found = _tensors(content)
    if found:
        return found
    inside = {key: _tensors(value) for key, value in content.items() if isinstance(value, dict)}
    states = {key: state for key, state in inside.items() if state}
    for key in PLACES:
        if key in states:
            return states[key]
    if len(states) == 1:
        return states.popitem()[1]
    if states:
        names = listed("dict", [repr(key) for key in states])
        raise FileFormatError(f"{shown}: several hold tensors: {names}; save the state dict alone")
    raise FileFormatError(f"{shown}: holds no tensors")


def _tensors(table: dict[Any, Any]) -> dict[Any, Stored]:
    return {key: value for key, value in table.items() if isinstance(value, Stored)}


class _Archive:
    """The members of one file, and what its pickle says of them."""

    def __init__(self, shown: str, file: BinaryIO) -> None:
        self._shown = shown
        self.zip = _zip.Archive(shown, file)
        self._members = self.zip.members
        names = [name for name in self._members if name.endswith(PICKLE)]
        roots = {name.removesuffix(PICKLE) for name in names}
        if len(roots) != 1:
            raise FileFormatError(f"{shown}: no archive of PyTorch: {len(roots)} pickles in it")
        (self._root,) = roots
        if f"{self._root}/constants.pkl" in self._members:
            raise FileFormatError(
                f"{shown}: is a TorchScript archive, which holds code; save the state dict instead"
            )
        # torch.serialization.set_crc32_options(False) leaves them all zero.
        self._checks = any(member.crc for member in self._members.values())
        self._order = self._byte_order()

    def _byte_order(self) -> str:
        member = self._members.get(f"{self._root}/byteorder")
        if member is None:
            # As in files of releases before 2.1.
            return "<"
        text = self._content(member).tobytes()
        self.zip.confirm()
        if text not in BYTE_ORDERS:
            raise member.damaged("it names no order of bytes")
        return BYTE_ORDERS[text]

    def load(self) -> Any:
        """Return what the pickle holds."""
        member = self._members[f"{self._root}{PICKLE}"]
        data = self._content(member).tobytes()
        self.zip.confirm()
        try:
            return DataPickle(data, _called, _found).load()
        except ForeignPickleError as error:
            raise FileFormatError(
                f"{self._shown}: {member.name!r} holds something else than tensors: {error}; "
                "nothing of it is run: save model.state_dict() alone"
            ) from error
        except (DamagedPickleError, RecursionError) as error:
            raise member.damaged(str(error)) from error

    def _content(self, member: _zip.Member) -> Array:
        if member.deflated:
            raise FileFormatError(
                f"{self._shown}: {member.name!r} is compressed; PyTorch stores its members"
            )
        return self.zip.content(member, checked=self._checks)

    def array(self, name: str, tensor: Stored) -> FileArray:
        """Return a tensor, whose bounds are compared with those of its storage."""
        storage = tensor.storage
        member = self._members.get(f"{self._root}/data/{storage.key}")
        what = f"{self._shown}: tensor {name!r}"
        if member is None:
            raise FileFormatError(f"{what}: there is no storage {storage.key!r}")
        dtype = np.dtype(self._order + DTYPES[tensor.dtype])
        last = tensor.offset + sum(
            (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)
        )
        if math.prod(tensor.shape) and (last + 1) * dtype.itemsize > member.size:
            raise FileFormatError(
                f"{what}: shape {tensor.shape} with strides {tensor.strides} from {tensor.offset} "
                f"leads beyond its storage of {member.size} bytes"
            )
        read = functools.partial(self._read, member, tensor, dtype)
        if tensor.dtype == BFLOAT16:
            return FileArray(name, tensor.shape, np.dtype("f4"), read, widened)
        return FileArray(name, tensor.shape, dtype, read)

    def _read(self, member: _zip.Member, tensor: Stored, dtype: np.dtype[Any]) -> Array:
        if not math.prod(tensor.shape):
            return np.zeros(tensor.shape, dtype)
        content = self._storage(member)
        values = content[: len(content) // dtype.itemsize * dtype.itemsize].view(dtype)
        strides = [stride * dtype.itemsize for stride in tensor.strides]
        return np.lib.stride_tricks.as_strided(
            values[tensor.offset :], tensor.shape, strides, writeable=False
        )

    @functools.cached_property
    def _storages(self) -> dict[str, Array]:
        return {}

    def _storage(self, member: _zip.Member) -> Array:
        # Several tensors may share it, all of them the whole file.
        if member.name not in self._storages:
            self._storages[member.name] = self._content(member)
        return self._storages[member.name]


# ---- what the pickle speaks of


def _called(name: Named, arguments: tuple[Any, ...]) -> Any:
    """Return what a call stands for that writers of state dicts make."""
    calls: dict[str, Callable[..., Any]] = {
        "collections.OrderedDict": _ordered,
        "torch.Size": _size,
        "torch.device": _device,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
    }
    known = calls.get(str(name))
    if known is None:
        raise ForeignPickleError(str(name))
    try:
        return known(*arguments)
    except TypeError as error:
        raise DamagedPickleError(f"{name} of {len(arguments)} arguments") from error


def _found(key: Any) -> Storage:
    """Return the storage that an identification outside of the pickle is of."""
    match key:
        case ("storage", Named() as kind, str() as name, str(), int()):
            pass
        case _:
            raise DamagedPickleError("a storage is identified in another way than PyTorch's")
    if kind.name == "UntypedStorage":
        return Storage(name, None)
    if kind.module not in ("torch", "torch.storage") or kind.name not in STORAGES:
        raise ForeignPickleError(f"a storage of {kind}")
    return Storage(name, STORAGES[kind.name])


def _ordered(items: Any = ()) -> dict[Any, Any]:
    if not isinstance(items, (list, tuple)):
        _refuse("an ordered dict")
    table: dict[Any, Any] = {}
    for item in items:
        if not isinstance(item, (list, tuple)) or len(item) != len(("key", "value")):
            _refuse("an ordered dict")
        if not isinstance(item[0], (str, int)):
            _refuse("an ordered dict")
        table[item[0]] = item[1]
    return table


def _size(sizes: Any) -> Any:
    return sizes


def _device(kind: Any, number: Any = None) -> Any:
    return kind, number


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, extra: Any = None
) -> Stored:
    del grad, hooks, extra
    if not isinstance(storage, Storage) or storage.dtype is None:
        _refuse("a tensor's storage")
    return _view(storage, storage.dtype, offset, shape, strides)


def _tensor_of_dtype(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    grad: Any,
    hooks: Any,
    dtype: Any,
    extra: Any = None,
) -> Stored:
    del grad, hooks, extra
    if not isinstance(storage, Storage) or not isinstance(dtype, Named):
        _refuse("a tensor's storage")
    if dtype.module != "torch" or dtype.name not in DTYPES:
        raise ForeignPickleError(f"a tensor of {dtype}")
    return _view(storage, dtype.name, offset, shape, strides)


def _view(storage: Storage, dtype: str, offset: Any, shape: Any, strides: Any) -> Stored:
    def whole(values: Any) -> bool:
        return isinstance(values, tuple) and all(
            type(value) is int and 0 <= value < 2**63 for value in values
        )

    if not whole((offset,)) or not whole(shape) or not whole(strides):
        _refuse("a tensor's shape")
    if len(shape) != len(strides) or len(shape) > DIMENSION_LIMIT:
        _refuse("a tensor's shape")
    return Stored(storage, dtype, offset, shape, strides)


def _parameter(tensor: Any, grad: Any, hooks: Any, state: Any = None) -> Any:
    del grad, hooks, state
    return tensor


def _refuse(what: str) -> NoReturn:
    raise DamagedPickleError(f"{what} is none")
