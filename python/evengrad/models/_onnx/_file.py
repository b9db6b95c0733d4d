"""The bytes of ONNX files: the message, and arrays whose sizes are compared with what is there."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.names import printable
from evengrad.models._onnx._library import DOMAINS, NEWEST_OPSET, OLDEST_OPSET, imported_onnx
from evengrad.saving._errors import FileFormatError
from evengrad.saving._paths import check_ordinary, errors_name, file_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._common.arrays import Array

# Kinds of elements by their numbers in `TensorProto`, with the field that holds them where there
# are no raw bytes. Others are no weights and no shapes of the networks that are read.
KINDS: dict[int, tuple[Any, str]] = {
    1: (np.dtype("<f4"), "float_data"),
    6: (np.dtype("<i4"), "int32_data"),
    7: (np.dtype("<i8"), "int64_data"),
    9: (np.dtype("?"), "int32_data"),
    11: (np.dtype("<f8"), "double_data"),
}
FLOATS = (1, 11)
WHOLE = (6, 7)
EXTERNAL = 1


class OnnxFile:
    """A file that is read: its message, and what messages call it.

    Attributes
    ----------
    shown
        The path, for messages.
    graph
        The graph in it.
    opset
        The version of the operators.
    size
        The bytes of the file and of those beside it that hold its weights.
    """

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        onnx = imported_onnx(what)
        text = file_path(path)
        self.shown = printable(text)
        self._folder = os.path.dirname(os.path.realpath(text))
        self._names = {number: name for name, number in onnx.TensorProto.DataType.items()}
        with errors_name(text):
            check_ordinary(text)
            with open(text, "rb") as file:
                content = file.read()
        self.size = len(content)
        self._beside: dict[str, int] = {}
        self._taken = 0
        model = onnx.ModelProto()
        try:
            model.ParseFromString(content)
        except Exception as error:
            raise self.error(f"no ONNX file, or a damaged one ({error})") from error
        if not model.HasField("graph") or not model.ir_version:
            raise self.error("no ONNX file: it holds no graph")
        if len(model.functions):
            raise self.error(
                f"it defines operators of its own, as {model.functions[0].name}; write them out "
                "with onnx.inliner.inline_local_functions"
            )
        if len(model.graph.sparse_initializer):
            raise self.error("sparse weights are not read; write them out")
        if any(isinstance(name, bytes) for name in _names_in(model)):
            # What Protocol Buffers makes of text that is none.
            raise self.error("no ONNX file, or a damaged one: names that are no text")
        self.graph = model.graph
        self.producer: str = model.producer_name
        self.opset = self._opset(model)

    def error(self, reason: str) -> FileFormatError:
        """Return an error that names the file."""
        return FileFormatError(f"{self.shown}: {reason}")

    def _opset(self, model: Any) -> int:
        versions = [one.version for one in model.opset_import if one.domain in DOMAINS]
        if not versions or not OLDEST_OPSET <= max(versions) <= NEWEST_OPSET:
            found = max(versions) if versions else "none"
            raise self.error(
                f"expected operators of version {OLDEST_OPSET} to {NEWEST_OPSET}, got {found}"
            )
        return int(max(versions))

    def kind_name(self, number: int) -> str:
        """Return the name of a kind of elements."""
        return str(self._names.get(number, number))

    def array(self, tensor: Any, what: str) -> Array:
        """Return the values of a tensor of the file; `what` is its place, for messages."""
        shape = tuple(tensor.dims)
        if tensor.data_type not in KINDS:
            raise self.error(f"{what}: elements of kind {self.kind_name(tensor.data_type)}")
        dtype, named = KINDS[tensor.data_type]
        if min(shape, default=0) < 0:
            raise self.error(f"{what}: shape {shape}")
        count = math.prod(shape)
        if tensor.data_location == EXTERNAL:
            values = self._external(tensor, what, count * dtype.itemsize, dtype)
        elif tensor.HasField("raw_data"):
            values = self._raw(tensor.raw_data, what, count, dtype)
        else:
            given = getattr(tensor, named)
            if len(given) != count:
                raise self.error(f"{what}: {len(given)} numbers for shape {shape}")
            values = np.asarray(given, dtype)
        return values.reshape(shape)

    def _raw(self, content: bytes, what: str, count: int, dtype: Any) -> Array:
        if len(content) != count * dtype.itemsize:
            raise self.error(
                f"{what}: {len(content)} bytes where the shape asks for {count * dtype.itemsize}"
            )
        return np.frombuffer(content, dtype)

    def _external(self, tensor: Any, what: str, wanted: int, dtype: Any) -> Array:
        """Return values out of a file beside the model's, which may not lead out of its folder."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        path = os.path.realpath(os.path.join(self._folder, location))
        inside = os.path.commonpath([self._folder, path]) == self._folder
        if not location or "\0" in location or os.path.isabs(location) or not inside:
            raise self.error(f"{what}: weights in {location!r}, which is not in the file's folder")
        try:
            offset = int(entries.get("offset", 0))
            length = int(entries.get("length", wanted))
        except ValueError as error:
            raise self.error(f"{what}: offset or length of its weights: {error}") from error
        try:
            check_ordinary(path)
            there = os.path.getsize(path)
        except OSError as error:
            raise self.error(f"{what}: its weights are to be in {location!r}: {error}") from error
        if length != wanted or offset < 0 or offset + length > there:
            raise self.error(
                f"{what}: {length} bytes from {offset} on in {location!r}, which has {there}, "
                f"where the shape asks for {wanted}"
            )
        if path not in self._beside:
            self._beside[path] = there
            self.size += there
        self._taken += length
        if self._taken > sum(self._beside.values()):
            raise self.error(f"{what}: the weights overlap in {location!r}")
        with errors_name(path):
            return np.fromfile(path, dtype, count=wanted // dtype.itemsize, offset=offset)


def _names_in(model: Any) -> Iterator[Any]:
    """Yield all names of a message that are read."""
    graph = model.graph
    yield from (model.producer_name, graph.name)
    yield from (one.domain for one in model.opset_import)
    for kind in (graph.initializer, graph.input, graph.output):
        yield from (one.name for one in kind)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            yield from (entry.key, entry.value)
