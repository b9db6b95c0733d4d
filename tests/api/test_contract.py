"""What breaks the contract of `test_api.py` fails it: culprits, and what it says of each."""

import pickle
import types

import api_arguments as arguments
import api_contract as contract
import api_documentation as documentation
import api_examples as examples
import api_modes as modes
import api_round_trips as round_trips
import numpy as np
import pytest

import evengrad as eg
from evengrad._common.checks import check_float
from evengrad.saving._describe import Decoder

ITEMS = contract.items()


def item_of(thing, family, name="made_up"):
    return contract.Item(name, thing, family)


def test_items_are_found_by_looking():
    names = {item.name for item in ITEMS}
    assert names > {"relu", "functional.linear", "layers.LSTM", "Tensor.exp", "Tensor.T", "Model"}
    assert names > {
        "optimizers.schedules.OneCycle",
        "sklearn.FeatureExtractor",
        "utils.to_categorical",
    }
    families = {item.name: item.family for item in ITEMS}
    assert families["layers.LSTM"] == "layers"
    assert families["layers.Layer"] == families["metrics.MeanMetric"] == "bases"
    assert families["expm1"] == families["activations.get"] == "op"
    assert families["elu"] == families["activations.softmax"] == "activation"

    module = types.ModuleType("evengrad.fresh")
    module.Fresh = type("Fresh", (eg.layers.Layer,), {"__module__": "evengrad.fresh"})
    module._Hidden = type("_Hidden", (), {"__module__": "evengrad.fresh"})
    module.np, module.limit, module.borrowed = np, 3, np.mean
    module.fresh = types.FunctionType((lambda x: x).__code__, {"__name__": "evengrad.fresh"})
    assert list(contract.own_items(module)) == [
        item_of(module.Fresh, "layers", "fresh.Fresh"),
        # A function is an operation, in whatever module it stands.
        item_of(module.fresh, "op", "fresh.fresh"),
    ]
    # What a module declares is public, and nothing else.
    module.__all__ = []
    assert list(contract.own_items(module)) == []


def test_tables_name_what_exists():
    names = {item.name for item in [*ITEMS, *contract.operator_items()]}
    for table in (
        documentation.WITHOUT_EXAMPLE,
        examples.ARGUMENTS,
        examples.CALLS,
        examples.INPUTS,
        examples.NOT_DIFFERENTIABLE,
        examples.OTHER_PREDICTIONS,
        examples.TARGETS,
        modes.DRAWING,
        modes.OF_OTHER_DTYPE,
    ):
        assert set(table) - names == set()
    families = {item.family for item in [*ITEMS, *contract.operator_items()]}
    assert set(examples.WITHOUT_GRADIENT) - families == set()
    assert modes.TAKE_PART.keys() - families == set()
    configured = [item for item in ITEMS if arguments.is_configured(item.thing)]
    pairs = [(item, p.name) for item in configured for p in arguments.parameters_of(item)]
    taken = {name for _, name in pairs} | {f"{item}.{name}" for item, name in pairs}
    assert (arguments.OTHERS.keys() | arguments.TOGETHER.keys()) - taken == set()
    assert set(round_trips.NOT_IN_FILES) - families == set()


def bare(x, slope, shift):
    return x * slope + shift


def half_documented(x: eg.Tensor, slope: float, shift: float) -> eg.Tensor:
    """Scale and shift

    Parameters
    ----------
    x
        A tensor.
    slope, offset
        Two numbers.
    """
    return x * slope + shift


def scaled(x: eg.Tensor) -> eg.Tensor:
    """Return twice the input.

    Examples
    --------
    >>> scaled(eg.ones(1)).tolist()
    [2.0]
    """
    return 2.0 * x


class Raising:
    """A class that refuses arguments.

    Parameters
    ----------
    rate
        A number.

    Examples
    --------
    >>> Raising(1.0).halve(4)
    2
    """

    def __init__(self, rate: float) -> None:
        self.rate = check_float(rate, "rate")

    def halve(self, count: int) -> int:
        """Return half of an even number."""
        if count % 2:
            raise ValueError(f"count: expected an even number, got {count}")
        return count // 2


class Bare(eg.layers.Layer):
    def __init__(self, gain=1.0):
        self.gain = gain


def test_missing_documentation_is_found(monkeypatch):
    assert documentation.missing_documentation(item_of(bare, "op")) == ["has no docstring"]
    # What a base says does not document a class.
    assert documentation.missing_documentation(item_of(Bare, "layers")) == ["has no docstring"]
    assert documentation.missing_documentation(item_of(half_documented, "op")) == [
        "its summary is no sentence of one line: 'Scale and shift'",
        "its docstring has no example",
        "its docstring leaves out shift",
        "its docstring tells of arguments that it does not take: ['offset']",
    ]
    for short, lacks in ((scaled, "x"), (eg.Tensor.expand, None)):
        found = documentation.missing_documentation(item_of(short, "op"))
        assert found == ([] if lacks is None else [f"its docstring leaves out {lacks}"])
    assert documentation.missing_documentation(item_of(Raising, "optimizers")) == [
        "its docstring names no source under References",
        "its docstring has no section Raises, and it raises errors",
    ]
    assert documentation.missing_documentation(item_of(Raising, "layers"))[0] == (
        "its docstring says no shape: (rows, ...), or any shape"
    )
    assert documentation.undocumented_members(item_of(Raising, "class")) == [
        "its halve has no section Raises, and it raises errors",
    ]
    # Of a class that users program against, methods of private bases have examples too.
    monkeypatch.setattr(eg.Model.get_weights, "__doc__", "Return copies of all variables.")
    for thing in (eg.Model, eg.layers.Layer):
        found = documentation.undocumented_members(item_of(thing, "models"))
        assert found == ["its get_weights has no example"]
    members = {"shown": lambda self: self, "told": property(lambda self: self)}
    assert documentation.undocumented_members(item_of(type("Bare", (), members), "class")) == [
        "its shown has no docstring",
        "its told has no docstring",
    ]


def test_missing_types_are_found():
    missing = ["no annotation for x, slope, shift", "no annotation for the result"]
    assert contract.missing_types(item_of(bare, "op")) == missing
    assert contract.missing_types(item_of(Bare, "layers")) == [
        "__init__: no annotation for gain",
        "__init__: no annotation for the result",
    ]
    # Native functions stand in the stub, with the arguments that they take.
    assert contract.missing_types(item_of(sum, "op")) == ["has no entry in _core.pyi"]
    differs = ["takes ['iterable', 'start'], and in _core.pyi ['dtype', 'requires_grad', 'shape']"]
    assert contract.missing_types(item_of(sum, "op", "zeros")) == differs


class Halved(eg.layers.Layer):
    """A layer whose gradient is half of what it should be."""

    def call(self, x):
        return x * x.detach()


class Crooked(eg.losses.Loss):
    """A loss whose gradient is wrong in the same way."""

    def call(self, y_true, y_pred):
        return ((y_pred - y_true) * (y_pred - y_true).detach()).mean(-1)


class Needs(eg.layers.Layer):
    """A layer with an argument of no usual name."""

    def __init__(self, sharpness: float) -> None:
        self.sharpness = sharpness


def test_wrong_gradients_are_found():
    wrong = "the gradient is .*, the central difference"
    with pytest.raises(ValueError, match=wrong):
        examples.check_gradient(item_of(lambda x: x * x.detach(), "op"))
    with pytest.raises(ValueError, match=wrong):
        examples.check_gradient(item_of(Crooked, "losses"))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        examples.check_gradient(item_of(Halved, "layers"))


def test_missing_entries_say_where_to_add_them():
    with pytest.raises(
        examples.ContractError, match=r"made_up: has no gradient .*NOT_DIFFERENTIABLE"
    ):
        examples.check_gradient(item_of(lambda x: x.detach(), "op"))
    with pytest.raises(examples.ContractError, match=r"made_up: no guess .*add it to CALLS"):
        examples.check_gradient(item_of(lambda x, shape: x.reshape(*shape), "op"))
    with pytest.raises(examples.ContractError, match=r"\['sharpness'\] to ARGUMENTS"):
        arguments.check_arguments(item_of(Needs, "layers"))
    wide = type("Wide", (eg.layers.Layer,), {"call": lambda _, x: x.reshape(2, 5, 7)})
    with pytest.raises(examples.ContractError, match="add it to INPUTS"):
        examples.check_gradient(item_of(wide, "layers"))


class Forgets(eg.layers.Layer):
    """A layer that does not keep its argument."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = min(gain, 0.125)


class ForgetsChoice(eg.layers.Layer):
    """A layer that does not keep one choice of two."""

    def __init__(self, mode: str = "a") -> None:
        if mode not in ("a", "b"):
            raise ValueError(f"mode: unknown {mode!r}; Valid: a, b")
        self.mode = "a"


class ForgetsNumber(eg.optimizers.SGD):
    """An optimizer that does not keep what is None by default."""

    def __init__(self, clipnorm: float | None = None) -> None:
        del clipnorm
        super().__init__()


class ForgetsName(eg.layers.Dense):
    """A layer that does not keep what is made of a name."""

    def __init__(self, units: int, kernel_initializer: str = "zeros") -> None:
        super().__init__(units, kernel_initializer=kernel_initializer)
        self.kernel_initializer = eg.initializers.Zeros()


class Hides(eg.layers.Layer):
    """A layer with an argument of which nobody knows another value."""

    def __init__(self, shape=None) -> None:
        self.shape = shape


class Refuses(eg.layers.Layer):
    """A layer with an argument that needs another one."""

    def __init__(self, gain: float = 0.0) -> None:
        if gain:
            raise ValueError("gain: needs more")


class Swaps(eg.regularizers.Regularizer):
    """A regularizer whose arguments grow with each way through a file."""

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = 2.0 * rate


@pytest.mark.parametrize(
    ("culprit", "message"),
    [
        (Forgets, "made with gain=0.5, get_config says 0.125"),
        (ForgetsChoice, "made with mode='b', get_config says 'a'"),
        (ForgetsNumber, "made with clipnorm=0.25, get_config says None"),
        (ForgetsName, r"made with kernel_initializer='constant', get_config says Zeros\(\)"),
        (Hides, "no other value is known for its argument 'shape'; .* OTHERS"),
        (Refuses, r"refuses gain=0.25 \(gain: needs more\); .* TOGETHER"),
        (Swaps, "comes back from get_config as"),
    ],
)
def test_lost_arguments_are_found(culprit, message):
    with pytest.raises(examples.ContractError, match=message):
        arguments.check_arguments(item_of(culprit, "layers"))


def test_lost_state_is_found(monkeypatch, tmp_path):
    item = item_of(eg.optimizers.SGD, "optimizers", "optimizers.SGD")
    round_trips.check_round_trip(item, tmp_path)
    # The file has no slots: plain descent goes on all the same, momentum does not.
    monkeypatch.setattr(eg.optimizers.SGD, "slots", lambda *_: {})
    lost = r"SGD\(.*momentum.*\) does not go on from its file"
    with pytest.raises(examples.ContractError, match=lost):
        round_trips.check_round_trip(item, tmp_path)


def test_a_lost_activation_is_found(monkeypatch, tmp_path):
    item = item_of(eg.tanh, contract.family_of(eg.tanh))
    round_trips.check_round_trip(item, tmp_path)
    offered = {"square": round_trips.square, "tanh": eg.relu}
    monkeypatch.setattr(Decoder, "function", lambda _, name: offered[name])
    with pytest.raises(examples.ContractError, match=r"comes back .* as relu"):
        round_trips.check_round_trip(item, tmp_path)


def test_lost_families_are_found(tmp_path):
    # A class that is not public cannot be loaded, and a new family has to say how it is kept.
    with pytest.raises(ValueError, match="unknown class 'Halved'"):
        round_trips.check_round_trip(item_of(Halved, "layers"), tmp_path)
    with pytest.raises(examples.ContractError, match="no round trip for its family"):
        round_trips.check_round_trip(item_of(Bare, "planets"), tmp_path)
    nameless = item_of(type("Bare", (), {}), "class")
    with pytest.raises((pickle.PicklingError, AssertionError), match="Bare"):
        round_trips.check_round_trip(nameless, tmp_path)


class Counts(eg.layers.Layer):
    """A layer whose state Python changes, unseen by a replay."""

    calls = 0.0

    def call(self, x):
        self.calls += 1.0
        return x * self.calls


class Narrow(eg.layers.Layer):
    """A layer that computes in float32, whatever comes."""

    def call(self, x):
        return x.astype("float32") * 2.0


class Reads(eg.losses.Loss):
    """A loss that takes its numbers out of the capture."""

    factor = 0.0

    def call(self, y_true, y_pred):
        self.factor += 1.0
        return ((y_pred - y_true) ** 2).mean(-1) * self.factor


def test_differences_between_modes_are_found():
    calls = iter(range(1, 99))
    for culprit, family in (
        (lambda x: x * next(calls), "op"),
        (Counts, "layers"),
        (Reads, "losses"),
    ):
        with pytest.raises(examples.ContractError, match="captured, it gives"):
            modes.check_modes(item_of(culprit, family))
    with pytest.raises(examples.ContractError, match="in float64 it returns float32"):
        modes.check_modes(item_of(lambda x: x.astype("float32"), "op"))
    with pytest.raises(examples.ContractError, match="in float64 it returns float32"):
        modes.check_modes(item_of(Narrow, "layers"))
    rough = item_of(lambda x: x * (1.5 if x.dtype == "float32" else 1.0), "op")
    with pytest.raises(examples.ContractError, match=r"(?s)in float32, .* in float64"):
        modes.check_modes(rough)


def test_lost_bits_are_found():
    models = [round_trips.network(), round_trips.network()]
    for model in models:
        model.compile("sgd", round_trips.square)
    weights = models[1].get_weights()
    weights[0][0, 0] = np.nextafter(weights[0][0, 0], np.float32(9))
    models[1].set_weights(weights)
    with pytest.raises(AssertionError, match="Mismatched elements: 1 / 9"):
        round_trips.assert_goes_on(*models, round_trips.X, np.zeros(4))
