"""How recurrent layers are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad._common.config import name_of
from evengrad.models._onnx._drawing import writes
from evengrad.models._onnx._operators import (
    CELLS,
    RECURRENT_FUNCTIONS,
    Cell,
    Row,
    function_name,
)
from evengrad.models._onnx._writer import values_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.layers._recurrent import Recurrent
    from evengrad.models._onnx._writer import Value, Writer

# The most that a start of `Slice` may be: from the end on, however long the axis is.
FAR = 2**31 - 1


@writes(layers.SimpleRNN, layers.GRU, layers.LSTM)
def write_recurrent(writer: Writer, layer: Any, inputs: list[Value]) -> list[str]:
    """Write a recurrent operator, which takes (steps, rows, features) and has its gates' order."""
    if layer.stateful:
        raise ValueError(
            f"{layer.path}: export: a stateful layer has no counterpart in ONNX, whose operators "
            "keep nothing; draw a model with the states as inputs and outputs"
        )
    cell = CELLS[type(layer).__name__]
    x = writer.add("Transpose", inputs[0].name, perm=[1, 0, 2])
    weights = [writer.weight(*one, layer) for one in _weights(layer, cell)]
    ahead = writer.whole([0], "direction_axis")
    first = [writer.add("Unsqueeze", state.name, ahead) for state in inputs[1:]]
    if first:
        # Lengths of sequences stand before first states; a bias stands before both.
        weights += [""] * (4 - len(weights))
    made = writer.operation(
        cell.operator,
        x,
        *weights,
        *first,
        outputs=1 + layer.states,
        hidden_size=layer.units,
        direction="reverse" if layer.go_backwards else "forward",
        **_functions(layer, cell),
        **_variant(layer),
    )
    used = made[1:] if layer.return_state else made[1:2] if not layer.return_sequences else []
    states = [writer.add("Squeeze", state, ahead) for state in used]
    output = _sequence(writer, layer, made[0]) if layer.return_sequences else states[0]
    return [output, *states] if layer.return_state else [output]


def _sequence(writer: Writer, layer: Recurrent, outputs: str) -> str:
    """Write the outputs of all steps, in the order in which the layer takes the steps."""
    steps = writer.add("Squeeze", outputs, writer.whole([1], "direction_axis"))
    if layer.go_backwards:
        ends = [(-1, "start"), (-FAR, "end"), (0, "steps_axis"), (-1, "step")]
        steps = writer.add("Slice", steps, *[writer.whole([n], name) for n, name in ends])
    return writer.add("Transpose", steps, perm=[1, 0, 2])


def _weights(layer: Any, cell: Cell) -> list[tuple[Array, str]]:
    """Return the kernels, (1, gates · units, inputs), and both biases in one, with names."""
    units = layer.units

    def gates_of(array: Array) -> Array:
        blocks = [array[..., gate * units : (gate + 1) * units] for gate in cell.gates]
        return np.concatenate(blocks, axis=-1)

    made = [
        (gates_of(values_of(layer.kernel)).T[None], "kernel"),
        (gates_of(values_of(layer.recurrent_kernel)).T[None], "recurrent_kernel"),
    ]
    if layer.bias is not None:
        bias = gates_of(values_of(layer.bias))
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        made.append((both.reshape(1, -1), "bias"))
    return made


def _variant(layer: Any) -> dict[str, Any]:
    """Return the attribute that says where a GRU's reset gate multiplies."""
    return {"linear_before_reset": int(layer.reset_after)} if isinstance(layer, layers.GRU) else {}


def _functions(layer: Any, cell: Cell) -> dict[str, Any]:
    """Return the operator's functions, with their numbers packed: only who has one takes one."""
    rows = [_row(layer, getattr(layer, attribute)) for attribute in cell.functions]
    named: dict[str, Any] = {"activations": [row.operator for row in rows]}
    for number in ("alpha", "beta"):
        numbers = [row.attributes[number] for row in rows if number in row.attributes]
        if numbers:
            named[f"activation_{number}"] = numbers
    return named


def _row(layer: Any, function: Any) -> Row:
    """Return the operator's name for a function, or raise an error that names the function."""
    if type(function) is layers.LeakyReLU:
        return Row("LeakyRelu", {"alpha": function.negative_slope})
    if type(function) is layers.ELU:
        return Row("Elu", {"alpha": function.alpha})
    name = function_name(function)
    if name in RECURRENT_FUNCTIONS:
        return RECURRENT_FUNCTIONS[name]
    shown = name_of(function) or getattr(function, "__name__", None) or repr(function)
    raise ValueError(
        f"{layer.path}: export: ONNX's recurrent operators have no {shown}; they know "
        f"{', '.join(sorted(RECURRENT_FUNCTIONS))}"
    )
