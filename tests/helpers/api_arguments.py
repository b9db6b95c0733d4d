"""Every argument of a public class is given another value, and must not get lost.

The other values are found by asking: an argument that takes names lists them when it is given a
wrong one, and annotations tell of numbers. Where neither helps, the failure says to add some to
`OTHERS`.
"""

import inspect
import json
import pickle
import re

import numpy as np
from api_examples import ARGUMENTS, USUAL, ContractError, Trial, made

import evengrad as eg
from evengrad import layers
from evengrad._common.config import Configured
from evengrad._tensor.activations import offered
from evengrad.optimizers import schedules
from evengrad.saving._describe import Decoder, Encoder

# Other values of arguments that list none, by name; first by class and name.
OTHERS = {
    "metrics.EpochMetric.function": lambda: [eg.losses.mean_absolute_error],
    "metrics.MeanMetricWrapper.fn": lambda: [eg.losses.huber, eg.losses.MeanSquaredError()],
    "metrics.AUC.label_weights": lambda: [[0.5, 1.0, 2.0]],
    "metrics.CosineSimilarity.axis": lambda: [1],
    "losses.Dice.axis": lambda: [1, [0, 1]],
    "losses.Tversky.axis": lambda: [1, [0, 1]],
    "arguments": lambda: [[-1]],
    "axes": lambda: [-1, [1, 1]],
    "backup_dir": lambda: ["other"],
    "bin_boundaries": lambda: [[0.0], [-1.0, 1.0]],
    "body": lambda: [layers.Dense(3, "relu")],
    "dims": lambda: [[1, 2]],
    "dtype": lambda: ["float64"],
    "filename": lambda: ["other.csv"],
    "filepath": lambda: ["other.safetensors"],
    "function": lambda: [eg.tanh],
    "groups": lambda: [[eg.optimizers.ParameterGroup("bias", learning_rate_multiplier=0.5)]],
    "height_factor": lambda: [0.125, (-0.2, 0.3)],
    "initial_value_threshold": lambda: [0.5],
    "keywords": lambda: [{"keepdim": True}],
    "kinds": lambda: [["dead_units"]],
    "log_dir": lambda: ["other"],
    "method": lambda: ["mean", "amax"],
    "monitor": lambda: ["loss"],
    "name": lambda: ["other_name"],
    "names": lambda: ["kernel", ["kernel", "beta"]],
    "noise_shape": lambda: [(None, 1)],
    "norm": lambda: [layers.BatchNormalization(epsilon=0.5)],
    "num_bins": lambda: [4],
    "output_shape": lambda: [(3,)],
    "path": lambda: ["other.jsonl"],
    "projection": lambda: [layers.Dense(3, use_bias=False)],
    "replay": lambda: ["other.safetensors"],
    "save_freq": lambda: [3],
    "schedule": lambda: [schedules.PowerDecay(0.2, 5)],
    "schedules": lambda: [[0.2, schedules.PowerDecay(0.1, 5)]],
    "separator": lambda: [";"],
    "shared_axes": lambda: [[1]],
    "target_shape": lambda: [(1, 3), (3,)],
    "trial": lambda: [Trial(4)],
    "thresholds": lambda: [[0.25, 0.5, 0.75]],
    "value_range": lambda: [(0.0, 1.0)],
    "values": lambda: [[0.5, 0.25, 0.125]],
    "variance": lambda: [[1.5, 2.0, 0.5]],
    "width_factor": lambda: [0.125, (-0.2, 0.3)],
    "callbacks.GradualUnfreezing.layers": lambda: ["hidden*", ["high", ["low", "middle"]]],
    "layers.BatchNormalization.axis": lambda: [1],
    "backward_layer": lambda: [layers.GRU(2, "elu", go_backwards=True)],
    "layers.Bidirectional.layer": lambda: [layers.LSTM(2, return_sequences=True)],
    "layers.SpectralNormalization.layer": lambda: [layers.Dense(2, "tanh")],
    "layers.TimeDistributed.layer": lambda: [layers.Dense(2), layers.LayerNormalization()],
    "layers.Concatenate.axis": lambda: [1],
    "layers.GaussianNoise.stddev": lambda: [0.25, [0.1, 0.2, 0.3]],
    "layers.Lambda.arguments": lambda: [{}],
    "layers.LayerNormalization.axis": lambda: [1, [1]],
    "layers.Normalization.axis": lambda: [1],
    "layers.Normalization.mean": lambda: [[1.5, 0.0, 2.0]],
    **{
        f"layers.{name}.factor": lambda: [0.125, (0.1, 0.3)]
        for name in ("RandomBrightness", "RandomContrast", "RandomErasing", "RandomRotation")
    },
    "layers.RandomErasing.fill_value": lambda: [0.5, [2.0]],
    "layers.RandomErasing.scale": lambda: [0.5, (0.1, 0.2)],
    "layers.Softmax.axis": lambda: [1, [1]],
    "layers.UnitNormalization.axis": lambda: [1, [1]],
    "optimizers.schedules.OneCycleMomentum.cycle": lambda: [schedules.OneCycle(0.2, 7)],
    "optimizers.schedules.Join.boundaries": lambda: [[3]],
    "optimizers.schedules.PiecewiseConstantDecay.boundaries": lambda: [[3, 6]],
}
# What an argument needs beside it, where the class takes that; first by class and name.
TOGETHER = {
    "ema_momentum": {"use_ema": True},
    "ema_overwrite_frequency": {"use_ema": True},
    "metrics.AUC.label_weights": {"multi_label": True},
    "optimizers.Adagrad.lr_decay": {"convention": "torch"},
    "optimizers.AdamW.convention": {"weight_decay": 0.25},
    "optimizers.SGD.convention": {"learning_rate": 0.25},
    "optimizers.SGD.dampening": {"convention": "torch", "momentum": 0.5},
    "optimizers.schedules.CosineDecay.warmup_steps": {"warmup_target": 0.5},
}
# Short names whose long forms name the class.
SHORT = {"normal": "random_normal", "uniform": "random_uniform"}
# No class takes this.
NO_CHOICE = "no such choice"
# A function of the number of steps, in place of a number.
A_SCHEDULE = schedules.PowerDecay(0.5, 3)


def parameters_of(item):
    """Return the parameters of a class's constructor that have a name."""
    return [
        p
        for p in inspect.signature(item.thing).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def usual(item, parameter):
    """Return the value that an argument has in `made`."""
    given = ARGUMENTS.get(item.name, dict)()
    if parameter.name in given:
        return given[parameter.name]
    return USUAL.get(parameter.name) if parameter.default is parameter.empty else parameter.default


def beside(item, name):
    """Return the arguments that one needs beside it."""
    taken = {p.name for p in parameters_of(item)}
    given = TOGETHER.get(f"{item}.{name}", TOGETHER.get(name, {}))
    return {other: value for other, value in given.items() if other in taken}


def listed(item, name):
    """Return the names that an argument lists when it is given a wrong one, if it does."""
    try:
        made(item, **{**beside(item, name), name: NO_CHOICE})
    except (TypeError, ValueError) as error:
        found = re.search("Valid: (.+)", str(error))
        return found[1].split(", ") if found else []
    return []


def others(item, parameter):
    """Return other values for an argument, all of which its class takes."""
    value, name = usual(item, parameter), parameter.name
    table = OTHERS.get(f"{item}.{name}", OTHERS.get(name))
    if table is not None:
        return table()
    annotation = str(parameter.annotation)
    plain = annotation.replace("Callable[[int], float]", "")
    scheduled = [] if plain == annotation else [A_SCHEDULE]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        return [value / 2 if value else 0.25, *scheduled]
    choices = [choice for choice in listed(item, name) if choice != value]
    if choices:
        return choices
    for kind, values in (("bool", [True, False]), ("int", [2]), ("float", [0.25])):
        if kind in plain:
            return [*values, *scheduled]
    raise ContractError(
        f"{item}: no other value is known for its argument {name!r}; let the error for a wrong one "
        "list its choices, or add values to OTHERS in tests/helpers/api_arguments.py"
    )


def variants(item):
    """Yield (arguments, object) with each argument in turn at each of its other values."""
    for parameter in parameters_of(item):
        for value in others(item, parameter):
            changes = {**beside(item, parameter.name), parameter.name: value}
            try:
                thing = made(item, **changes)
            except (TypeError, ValueError) as error:
                raise ContractError(
                    f"{item}: refuses {parameter.name}={value!r} ({error}); add what it needs to "
                    "TOGETHER, or values that it takes to OTHERS, in tests/helpers/api_arguments.py"
                ) from error
            yield changes, thing


# ---- nothing is lost


def is_configured(thing):
    """Tell whether something is a class whose arguments describe it."""
    return inspect.isclass(thing) and issubclass(thing, Configured)


def stands_for(kept, value):
    """Tell whether an object keeps an argument: the value itself, or what a name makes."""
    if isinstance(value, str) and not isinstance(kept, str) and kept is not None:
        names = {id(function): name for name, function in offered().items()}
        if offered().get(value) is kept:
            return True
        name = names.get(id(kept), type(kept).__name__)
        value = SHORT.get(value, value)
        return name.replace("_", "").lower() == value.replace("_", "").lower()
    if isinstance(value, (list, tuple, Configured)):
        return repr(kept) == repr(value) or np.array_equal(kept, value)
    return bool(kept == value)


def check_arguments(item):
    """Check that each argument survives, as usual and changed: config, description, pickle."""
    check_description(item, made(item))
    for changes, thing in variants(item):
        config = thing.get_config()
        for name, value in changes.items():
            if not stands_for(config.get(name), value):
                raise ContractError(
                    f"{item}: made with {name}={value!r}, get_config says {config.get(name)!r}"
                )
        check_description(item, thing)


def check_description(item, thing):
    """Check an object's arguments, its description in files, and its pickle."""
    config = thing.get_config()
    copies = {
        "get_config": type(thing)(**config),
        "pickle": pickle.loads(pickle.dumps(thing)),  # noqa: S301 - made here
    }
    if item.family != "callbacks":
        text = json.dumps(Encoder().value(thing, str(item)))
        copies["its description"] = Decoder("a file", {type(thing).__name__: type(thing)}).value(
            json.loads(text)
        )
    for how, again in copies.items():
        if repr(again) != repr(thing) or type(again) is not type(thing):
            raise ContractError(f"{item}: {thing!r} comes back from {how} as {again!r}")
