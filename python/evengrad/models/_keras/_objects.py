"""Initializers, regularizers, constraints and their like, as Keras' configurations have them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from evengrad import constraints, initializers, losses, metrics, optimizers, regularizers
from evengrad._common.names import snake_case
from evengrad.optimizers import schedules
from evengrad.saving._keras._described import NoCounterpartError, class_and_config

if TYPE_CHECKING:
    from collections.abc import Mapping

# Our classes that are also Keras', with the arguments that both have, by family.
OFFERED: dict[str, dict[str, tuple[str, ...]]] = {
    "initializers": {
        "Constant": ("value",),
        "Identity": ("gain",),
        "Ones": (),
        "Zeros": (),
        "Orthogonal": ("gain", "seed"),
        "RandomNormal": ("mean", "stddev", "seed"),
        "RandomUniform": ("minval", "maxval", "seed"),
        "TruncatedNormal": ("mean", "stddev", "seed"),
        "GlorotNormal": ("seed",),
        "GlorotUniform": ("seed",),
        "HeNormal": ("seed",),
        "HeUniform": ("seed",),
        "LecunNormal": ("seed",),
        "LecunUniform": ("seed",),
        "VarianceScaling": ("scale", "mode", "distribution", "seed"),
    },
    "regularizers": {
        "L1": ("l1",),
        "L2": ("l2",),
        "L1L2": ("l1", "l2"),
        "OrthogonalRegularizer": ("factor", "mode"),
    },
    "constraints": {
        "MaxNorm": ("max_value", "axis"),
        "MinMaxNorm": ("min_value", "max_value", "rate", "axis"),
        "NonNeg": (),
        "UnitNorm": ("axis",),
    },
    "losses": {
        "BinaryCrossentropy": ("from_logits", "label_smoothing", "reduction", "name"),
        "CategoricalCrossentropy": ("from_logits", "label_smoothing", "reduction", "name"),
        "SparseCategoricalCrossentropy": ("from_logits", "ignore_class", "reduction", "name"),
        "BinaryFocalCrossentropy": (
            *("apply_class_balancing", "alpha", "gamma"),
            *("from_logits", "label_smoothing", "reduction", "name"),
        ),
        "CategoricalFocalCrossentropy": (
            *("alpha", "gamma", "from_logits", "label_smoothing", "reduction", "name"),
        ),
        "CategoricalGeneralizedCrossEntropy": ("q", "reduction", "name"),
        "CategoricalHinge": ("reduction", "name"),
        "Circle": ("gamma", "margin", "remove_diagonal", "reduction", "name"),
        "CosineSimilarity": ("axis", "reduction", "name"),
        "Dice": ("axis", "reduction", "name"),
        "Hinge": ("reduction", "name"),
        "Huber": ("delta", "reduction", "name"),
        "KLDivergence": ("reduction", "name"),
        "LogCosh": ("reduction", "name"),
        "MeanAbsoluteError": ("reduction", "name"),
        "MeanAbsolutePercentageError": ("reduction", "name"),
        "MeanSquaredError": ("reduction", "name"),
        "MeanSquaredLogarithmicError": ("reduction", "name"),
        "Poisson": ("reduction", "name"),
        "SquaredHinge": ("reduction", "name"),
    },
    "metrics": {
        "AUC": (
            *("num_thresholds", "curve", "summation_method", "name"),
            *("multi_label", "num_labels", "label_weights"),
        ),
        "Accuracy": ("name",),
        "BinaryAccuracy": ("name", "threshold"),
        "BinaryCrossentropy": ("name", "from_logits", "label_smoothing"),
        "CategoricalAccuracy": ("name",),
        "CategoricalCrossentropy": ("name", "from_logits", "label_smoothing"),
        "CategoricalHinge": ("name",),
        "CosineSimilarity": ("name", "axis"),
        "FalseNegatives": ("thresholds", "name"),
        "FalsePositives": ("thresholds", "name"),
        "Hinge": ("name",),
        "KLDivergence": ("name",),
        "LogCoshError": ("name",),
        "MeanAbsoluteError": ("name",),
        "MeanAbsolutePercentageError": ("name",),
        "MeanSquaredError": ("name",),
        "MeanSquaredLogarithmicError": ("name",),
        "Poisson": ("name",),
        "Precision": ("thresholds", "top_k", "class_id", "name"),
        "PrecisionAtRecall": ("recall", "num_thresholds", "class_id", "name"),
        "R2Score": ("class_aggregation", "num_regressors", "name"),
        "Recall": ("thresholds", "top_k", "class_id", "name"),
        "RecallAtPrecision": ("precision", "num_thresholds", "class_id", "name"),
        "RootMeanSquaredError": ("name",),
        "SensitivityAtSpecificity": ("specificity", "num_thresholds", "class_id", "name"),
        "SparseCategoricalAccuracy": ("name",),
        "SparseCategoricalCrossentropy": ("name", "from_logits"),
        "SparseTopKCategoricalAccuracy": ("k", "name"),
        "SpecificityAtSensitivity": ("sensitivity", "num_thresholds", "class_id", "name"),
        "SquaredHinge": ("name",),
        "TopKCategoricalAccuracy": ("k", "name"),
        "TrueNegatives": ("thresholds", "name"),
        "TruePositives": ("thresholds", "name"),
    },
    "schedules": {
        "CosineDecay": (
            *("initial_learning_rate", "decay_steps", "alpha", "warmup_target", "warmup_steps"),
        ),
        "CosineDecayRestarts": (
            *("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha"),
        ),
        "ExponentialDecay": ("initial_learning_rate", "decay_steps", "decay_rate", "staircase"),
        "InverseTimeDecay": ("initial_learning_rate", "decay_steps", "decay_rate", "staircase"),
        "PiecewiseConstantDecay": ("boundaries", "values"),
        "PolynomialDecay": (
            *("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle"),
        ),
    },
}
OF_EVERY_OPTIMIZER = (
    *("learning_rate", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue"),
    *("use_ema", "ema_momentum", "ema_overwrite_frequency", "gradient_accumulation_steps"),
)
OFFERED["optimizers"] = {
    name: (*own, *OF_EVERY_OPTIMIZER)
    for name, own in {
        "Adadelta": ("rho", "epsilon"),
        "Adagrad": ("initial_accumulator_value", "epsilon"),
        "Adam": ("beta_1", "beta_2", "epsilon", "amsgrad"),
        "AdamW": ("beta_1", "beta_2", "epsilon", "amsgrad"),
        "Adamax": ("beta_1", "beta_2", "epsilon"),
        "Lion": ("beta_1", "beta_2"),
        "Nadam": ("beta_1", "beta_2", "epsilon"),
        "RMSprop": ("rho", "momentum", "epsilon", "centered"),
        "SGD": ("momentum", "nesterov"),
    }.items()
}
PACKAGES: dict[str, Any] = {
    "initializers": initializers,
    "regularizers": regularizers,
    "constraints": constraints,
    "losses": losses,
    "metrics": metrics,
    "optimizers": optimizers,
    "schedules": schedules,
}
MODULES = {"schedules": "keras.optimizers.schedules"}
# Keras' other names of its classes; Keras 3.0 knows no other one for the first.
OTHER_NAMES = {"OrthogonalInitializer": "Orthogonal", "IdentityInitializer": "Identity"}
WRITTEN_NAMES = {"Orthogonal": "OrthogonalInitializer"}
# What Keras 3.0 cannot read by any name.
NOT_WRITTEN = ("Identity",)
# Where ours do otherwise by default than Keras.
AS_IN_KERAS = {
    name: {"convention": "keras"}
    for name in ("CategoricalHinge", "MaxNorm", "MinMaxNorm", "UnitNorm", "L2", "L1L2")
}
NONE: Mapping[str, Any] = MappingProxyType({})
# What Keras' losses have in place of None, which is the same.
REDUCTIONS = {"none": None, "auto": "sum_over_batch_size"}
# Arguments that say nothing of what is computed here.
SILENT = {
    *("dtype", "name", "registered_name", "is_legacy_optimizer", "jit_compile"),
    *("input_axes", "output_axes", "loss_scale_factor"),
}


def written(value: Any, family: str) -> dict[str, Any] | None:
    """Return an object as a configuration; None stays None."""
    if value is None:
        return None
    kind = type(value).__name__
    arguments = OFFERED[family].get(kind)
    if (
        kind in NOT_WRITTEN
        or arguments is None
        or type(value) is not getattr(PACKAGES[family], kind, None)
    ):
        raise NoCounterpartError(f"{value!r} has no counterpart in Keras")
    _check_left_out(value, family, arguments)
    config = value.get_config()
    if family == "losses" and config.get("reduction", "") is None:
        # Keras' word for no reduction.
        config["reduction"] = "none"
    chosen = {name: config[name] for name in arguments if config.get(name) is not None}
    if family == "schedules":
        chosen = {name: listed(item) for name, item in chosen.items()}
    return {
        "module": MODULES.get(family, f"keras.{family}"),
        "class_name": WRITTEN_NAMES.get(kind, kind),
        "config": {name: listed(item) for name, item in chosen.items()},
        "registered_name": None,
    }


def _check_left_out(value: Any, family: str, arguments: tuple[str, ...]) -> None:
    """Raise an error for settings that Keras does not have, and that change what is computed."""
    config, kind = value.get_config(), type(value)
    # What Keras' arguments alone would make here.
    twin = kind(**{name: config[name] for name in arguments if name in config}).get_config()
    for name in config.keys() - arguments:
        if name == "convention":
            # First values are not drawn anew from a file; an exact norm differs in rounding alone.
            is_same = family == "initializers" or config[name] in ("keras", "exact")
        else:
            # Whether losses take logits is for the caller to write.
            is_same = config[name] == twin[name] or name == "from_logits"
        if not is_same:
            raise NoCounterpartError(
                f"{kind.__name__} with {name}={config[name]!r} has no counterpart in Keras"
            )


def listed(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, (list, tuple)):
        return [listed(item) for item in value]
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def read(described: Any, family: str, own: Mapping[str, Any] = NONE) -> Any:
    """Return the object that a configuration describes; None stays None.

    Functions, which Keras describes by their names, come back as names. What is among the caller's
    `own` is made of that.
    """
    if described is None:
        return None
    name, config = class_and_config(described, own)
    if name in own:
        return made_of_own(own[name], config)
    name = OTHER_NAMES.get(name, name)
    known = OFFERED[family]
    if name not in known:
        by_word = {snake_case(kind): kind for kind in known}
        if not config and family in ("losses", "metrics"):
            return name
        if name not in by_word:
            raise NoCounterpartError(f"{name} has no counterpart here")
        name = by_word[name]
    kind = getattr(PACKAGES[family], name)
    return kind(**arguments_of(name, config, known[name]), **AS_IN_KERAS.get(name, {}))


def made_of_own(found: Any, config: Mapping[str, Any]) -> Any:
    """Return an object of a class of the caller's, or the caller's function as it is."""
    if not isinstance(found, type):
        return found
    return found(**{key: value for key, value in config.items() if key != "dtype"})


def arguments_of(name: str, config: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """Return the arguments of an object of ours; those that we lack must say nothing."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key == "learning_rate" and isinstance(value, dict):
            found[key] = read(value, "schedules")
        elif key == "reduction":
            found[key] = REDUCTIONS.get(value, value)
        elif key in known:
            found[key] = value
        elif key not in SILENT and value not in (None, False, -1, 0):
            raise NoCounterpartError(f"{name} with {key}={value!r} has no counterpart here")
    return found
