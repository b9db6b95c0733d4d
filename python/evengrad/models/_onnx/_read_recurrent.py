"""How recurrent operators are read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.layers._symbolic import Node, Symbolic
from evengrad.models._onnx._folding import slices
from evengrad.models._onnx._operators import CELLS, RECURRENT_FUNCTIONS, Cell
from evengrad.models._onnx._reader import reads
from evengrad.models._onnx._values import Operation, View, scaled

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._reader import Reader

KINDS: dict[str, Any] = {"GRU": layers.GRU, "LSTM": layers.LSTM, "RNN": layers.SimpleRNN}
OF_OPERATOR: dict[str, Cell] = {cell.operator: cell for cell in CELLS.values()}
# What activations that a file lists without numbers take.
DEFAULTS = {"Elu": (1.0, None), "HardSigmoid": (0.2, 0.5), "LeakyRelu": (0.01, None)}
USUAL = {"GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "RNN": ["Tanh"]}
# Operators through which the outputs of all steps reach who uses them.
MOVES = {"Reshape", "Squeeze", "Transpose", "Unsqueeze", "Identity", "Cast", "Dropout"}


@reads("LSTM", "GRU", "RNN")
def read_recurrent(reader: Reader, operation: Operation) -> list[View | None]:
    """Read a recurrent operator; only what is used of its outputs is drawn."""
    check(reader, operation)
    batch_first = bool(reader.attribute(operation, "layout", 0))
    view = reader.view(operation, 0)
    if view.axes != ((0, 1, 2) if batch_first else (1, 0, 2)) or view.flipped - {1}:
        raise reader.refused(operation, "expected steps of rows of features, from rows of steps")
    backwards = reader.attribute(operation, "direction", "forward") == "reverse"
    # Steps that come backwards and are taken backwards are taken forwards.
    taken_backwards = backwards is not bool(view.flipped)
    uses = [bool(reader.uses[name]) if name else False for name in operation.outputs]
    uses += [False] * (3 - len(uses))
    sequences = uses[0] and not all_are_last(reader, operation.outputs[0], backwards=backwards)
    kind = KINDS[operation.operator]
    several = kind.states > 1 and uses[2]
    states = several or (sequences and (uses[1] or uses[0]) and needs_state(reader, operation))
    layer = reader.make(
        operation,
        kind,
        weights_of(reader, operation),
        operation.name,
        return_sequences=sequences,
        return_state=states,
        go_backwards=taken_backwards,
        **settings_of(reader, operation),
    )
    first = first_states(reader, operation, kind, batch_first=batch_first)
    made = reader.draw(operation, layer, view.symbol, *first)
    outputs = made if isinstance(made, list) else [made]
    last = outputs[1] if states else None if sequences else outputs[0]
    steps = outputs[0] if sequences else placeholder(view.symbol, layer.units)
    # Files have the outputs in the order of time as they see it; layers in that of their steps.
    flipped = frozenset({1} if backwards else ())
    axes = (0, 1, None, 2) if batch_first else (1, None, 0, 2)
    of_state = (0, None, 1) if batch_first else (None, 0, 1)
    found: list[View | None] = [View(steps, axes, flipped, None, last)]
    found.append(None if last is None else View(last, of_state))
    found.append(View(outputs[2], of_state) if several else None)
    return found


def check(reader: Reader, operation: Operation) -> None:
    """Raise an error for what the layers here cannot do."""
    direction = reader.attribute(operation, "direction", "forward")
    if direction not in ("forward", "reverse"):
        raise reader.refused(operation, f"attribute direction={direction!r}")
    if reader.attribute(operation, "clip", None) is not None:
        raise reader.refused(operation, "attribute clip")
    if reader.attribute(operation, "input_forget", 0):
        raise reader.refused(operation, "attribute input_forget=1")
    if reader.has(operation, 4):
        lengths = reader.constant(operation, 4)
        layout = bool(reader.attribute(operation, "layout", 0))
        steps = reader.view(operation, 0).shape[1 if layout else 0]
        if steps is None or bool((lengths != steps).any()):
            raise reader.refused(operation, "sequence_lens: sequences of different lengths")
    if reader.has(operation, 7) and bool(reader.constant(operation, 7).any()):
        raise reader.refused(operation, "P: gates that look at the cell")


def weights_of(reader: Reader, operation: Operation) -> list[Array]:
    """Return kernels and bias as the layer has them."""
    cell = OF_OPERATOR[operation.operator]
    kernel, recurrent = reader.constant(operation, 1), reader.constant(operation, 2)
    gates = len(cell.gates)
    units = recurrent.shape[-1]
    features = reader.view(operation, 0).shape[-1]
    wanted = ((1, gates * units, features), (1, gates * units, units))
    if (kernel.shape, recurrent.shape) != wanted:
        raise reader.refused(operation, f"weights of shape {kernel.shape} and {recurrent.shape}")
    if int(reader.attribute(operation, "hidden_size", units)) != units:
        raise reader.refused(operation, "attribute hidden_size, which is not that of the weights")
    places = np.argsort(cell.gates)

    def ours(array: Array) -> Array:
        blocks = np.split(array, gates, axis=-1)
        return np.concatenate([blocks[place] for place in places], axis=-1)

    made = [reader.derived(one, "gates", partial(ours, one[0].T)) for one in (kernel, recurrent)]
    if reader.has(operation, 3):
        bias = reader.constant(operation, 3)
        if bias.shape != (1, 2 * gates * units):
            raise reader.refused(operation, f"a bias of shape {bias.shape}")
        both = reader.derived(bias, "gates", lambda: ours(bias.reshape(2, gates * units)))
        after = operation.operator == "GRU" and reader.attribute(
            operation, "linear_before_reset", 0
        )
        made.append(both if after else reader.derived(bias, "sum", lambda: both.sum(0)))
    return made


def settings_of(reader: Reader, operation: Operation) -> dict[str, Any]:
    """Return the layer's arguments that attributes speak of."""
    cell = OF_OPERATOR[operation.operator]
    settings: dict[str, Any] = {"use_bias": reader.has(operation, 3)}
    settings["units"] = reader.constant(operation, 2).shape[-1]
    for name, function in zip(cell.functions, functions_of(reader, operation), strict=True):
        if name in settings and repr(settings[name]) != repr(function):
            raise reader.refused(operation, "attribute activations: different ones for c and h")
        settings.setdefault(name, function)
    if operation.operator == "GRU":
        settings["reset_after"] = bool(reader.attribute(operation, "linear_before_reset", 0))
    return settings


def functions_of(reader: Reader, operation: Operation) -> list[Any]:
    """Return the functions that a file lists; their numbers stand in lists without fillers."""
    count = len(OF_OPERATOR[operation.operator].functions)
    names = list(reader.attribute(operation, "activations", USUAL[operation.operator]))[:count]
    alphas = list(reader.attribute(operation, "activation_alpha", []))
    betas = list(reader.attribute(operation, "activation_beta", []))
    rows = {row.operator: row for row in RECURRENT_FUNCTIONS.values()}
    found: list[Any] = []
    for given in names:
        name = next((one for one in rows if one.lower() == str(given).lower()), None)
        if name is None:
            raise reader.refused(operation, f"attribute activations={given!r}")
        alpha, beta = DEFAULTS.get(name, (None, None))
        if "alpha" in rows[name].attributes and alphas:
            alpha = alphas.pop(0)
        if "beta" in rows[name].attributes and betas:
            beta = betas.pop(0)
        found.append(_function(reader, operation, name, alpha, beta))
    if len(found) != count:
        raise reader.refused(operation, f"attribute activations: expected {count} of them")
    return found


def _function(reader: Reader, operation: Operation, name: str, alpha: Any, beta: Any) -> Any:
    for own, row in RECURRENT_FUNCTIONS.items():
        numbers = {"alpha": alpha, "beta": beta}
        if row.operator == name and all(
            numbers[key] is not None and np.isclose(numbers[key], value, rtol=1e-6)
            for key, value in row.attributes.items()
        ):
            return own
    if name in ("LeakyRelu", "Elu") and alpha is not None and alpha >= 0.0:
        return layers.LeakyReLU(alpha) if name == "LeakyRelu" else layers.ELU(alpha)
    raise reader.refused(operation, f"attribute activations={name!r} with {alpha} and {beta}")


def first_states(
    reader: Reader, operation: Operation, kind: Any, *, batch_first: bool
) -> list[Symbolic]:
    """Return the first states, where they are not all 0."""
    given: list[View | None] = []
    for place in range(5, 5 + kind.states):
        if not reader.has(operation, place):
            given.append(None)
        elif reader.is_constant(operation, place):
            if bool(reader.raw(operation, place).any()):
                raise reader.refused(operation, "first states that are constants beside 0")
            given.append(None)
        else:
            given.append(reader.view(operation, place))
    found = [view for view in given if view is not None]
    if any(view.axes != ((0, None, 1) if batch_first else (None, 0, 1)) for view in found):
        raise reader.refused(operation, "first states of another shape than (1, rows, units)")
    if not found:
        return []
    # One of two that is left out is 0.
    zeros = reader.drawn(operation, scaled(found[0], None).times(np.float64(0.0)))
    return [(zeros if view is None else view).symbol for view in given]


def placeholder(symbol: Symbolic, units: int) -> Symbolic:
    """Return what stands for the outputs of all steps where the last alone is used."""
    return Symbolic((*symbol.shape[:2], units), symbol.dtype, Node(None, [], several=False))


def all_are_last(reader: Reader, name: str, *, backwards: bool) -> bool:
    """Tell whether all that is used of the outputs of all steps is that of the last one taken."""
    return _ends(reader, name, backwards=backwards) == {True}


def needs_state(reader: Reader, operation: Operation) -> bool:
    """Tell whether the last step is used beside all outputs."""
    backwards = reader.attribute(operation, "direction", "forward") == "reverse"
    state = len(operation.outputs) > 1 and bool(reader.uses[operation.outputs[1]])
    return state or True in _ends(reader, operation.outputs[0], backwards=backwards)


def _ends(reader: Reader, name: str, *, backwards: bool) -> set[bool]:
    """Return, for each use of the outputs of all steps, whether it is of the last step alone."""
    found: set[bool] = set()
    stack, seen = [name], {name}
    while stack:
        moved = stack.pop()
        readers = reader.consumers.get(moved, [])
        if reader.uses[moved] > len(readers) or not readers:
            found.add(False)
        for one in readers:
            if one.operator not in MOVES:
                found.add(_picks_end(reader, one, backwards=backwards))
            elif one.outputs[0] not in seen:
                seen.add(one.outputs[0])
                stack.append(one.outputs[0])
    return found


def _picks_end(reader: Reader, operation: Operation, *, backwards: bool) -> bool:
    """Tell whether an operator picks one place: the last, or the first where time goes back."""
    if operation.operator == "Gather" and len(operation.inputs) == 2:
        index = reader.initial(operation.inputs[1])
        return index is not None and index.size == 1 and (int(index.ravel()[0]) == 0) is backwards
    if operation.operator == "Slice":
        found = [reader.initial(name) for name in operation.inputs[1:]]
        given = [one for one in found if one is not None]
        if len(given) < len(found):
            return False
        starts, ends, _, steps = slices([np.zeros(0), *given], operation.attributes, 3)
        if steps != [1]:
            return False
        return (starts, ends) == ([0], [1]) if backwards else starts == [-1]
    return False
