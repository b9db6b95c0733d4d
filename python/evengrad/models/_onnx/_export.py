"""`Model.export`: a model's inference as a graph of ONNX operators, in one file."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_dtype
from evengrad._common.names import choose, free_name, printable
from evengrad.layers._module import access_to, state_of
from evengrad.layers._symbolic import show_shape
from evengrad.models._fold import fold
from evengrad.models._network import check_built
from evengrad.models._onnx import (  # noqa: F401 - they enter the functions that write layers
    _write_layers,
    _write_recurrent,
    _write_scaling,
)
from evengrad.models._onnx._drawing import write_call
from evengrad.models._onnx._library import IR_VERSION, OPSET, imported_onnx
from evengrad.models._onnx._writer import Value, Writer
from evengrad.saving._atomic import write_atomically
from evengrad.saving._paths import file_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from evengrad.models._model import Model

# What a message of Protocol Buffers holds at most; above it nobody reads the file.
LARGEST = 2**31 - 2**20


def export(
    model: Model,
    names: Sequence[str],
    path: str | os.PathLike[str],
    format: str,
    *,
    fold_batch_norm: bool,
    dtype: Any,
) -> None:
    """Write a model for inference elsewhere; `names` are those of its inputs."""
    choose(format, ("onnx",), "format")
    kind = check_dtype(dtype)
    target = file_path(path)
    if os.path.splitext(target)[1].lower() != ".onnx":
        raise ValueError(f"path: expected a file that ends in .onnx, got {target!r}")
    check_built(model, "export")
    onnx = imported_onnx("model.export")
    outputs = own_names(model.output_names, names)
    source = fold(model) if fold_batch_norm else model
    writer = Writer(kind, [*names, *outputs])
    shape = state_of(model).input_shape
    shapes = shape if isinstance(shape, list) else [shape]
    with access_to(source):
        inputs = [Value(name, one) for name, one in zip(names, shapes, strict=True)]
        made = write_call(writer, source, inputs, isinstance(shape, list), {})
    writer.finish([value.name for value in made], outputs)
    ends = [Value(name, value.shape) for name, value in zip(outputs, made, strict=True)]
    size = sum(array.nbytes for array in writer.constants.values())
    if size > LARGEST:
        raise ValueError(
            f"{model.path}: export: the weights have {size:,} bytes, and ONNX files of one piece "
            'hold 2 GiB; export with dtype="float32", or the model in parts'
        )
    proto = as_proto(onnx, writer, model, inputs, ends)
    onnx.checker.check_model(proto, full_check=True)
    content = proto.SerializeToString(deterministic=True)
    write_atomically(target, partial(_fill, content))


def _fill(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def own_names(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return names of outputs that no input has, and no other output."""
    own: list[str] = []
    for name in names:
        own.append(free_name(name, (*taken, *own)))
    return own


def as_proto(
    onnx: Any, writer: Writer, model: Model, inputs: Sequence[Value], outputs: Sequence[Value]
) -> Any:
    """Return the message that a file holds."""
    helper = onnx.helper
    kind = helper.np_dtype_to_tensor_dtype(writer.dtype)

    def described(value: Value) -> Any:
        return helper.make_tensor_value_info(value.name, kind, sizes_of(value))

    nodes = [
        helper.make_node(
            one.operator,
            one.inputs,
            one.outputs,
            name=one.name,
            doc_string=printable(one.doc) or None,
            **one.attributes,
        )
        for one in writer.operations
    ]
    constants = [onnx.numpy_helper.from_array(x, name) for name, x in writer.constants.items()]
    graph = helper.make_graph(
        nodes,
        printable(model.name),
        [described(value) for value in inputs],
        [described(value) for value in outputs],
        constants,
        doc_string=f"{show_shape([x.shape for x in inputs])} to "
        f"{show_shape([x.shape for x in outputs])}",
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="evengrad",
        producer_version=_core.__version__,
        doc_string=f"The inference of {printable(repr(model))}",
    )


def sizes_of(value: Value) -> list[int | str]:
    """Return a shape with names in the place of sizes that are left open."""
    rest = enumerate(value.shape[1:], start=1)
    return ["batch", *[f"{value.name}_size_{i}" if size is None else size for i, size in rest]]
