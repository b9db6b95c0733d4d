"""In what order Keras numbers the variables of a layer, and where they stand."""

from __future__ import annotations

from typing import Any, NamedTuple


class Variables(NamedTuple):
    """The variables of a class of layers.

    Attributes
    ----------
    names
        In Keras' order; a layer may lack some.
    place
        Where they stand below the group of the layer.
    unused
        How many arrays may follow that are no weights.
    """

    names: tuple[str, ...] = ()
    place: str = ""
    unused: int = 0


OF_CELL = Variables(("kernel", "recurrent_kernel", "bias"), "cell")
VARIABLES = {
    "Dense": Variables(("kernel", "bias")),
    "Embedding": Variables(("embeddings",)),
    "BatchNormalization": Variables(("gamma", "beta", "moving_mean", "moving_variance")),
    "LayerNormalization": Variables(("gamma", "beta")),
    # Behind them, how many rows were seen.
    "Normalization": Variables(("mean", "variance"), unused=1),
    "LSTM": OF_CELL,
    "GRU": OF_CELL,
    "SimpleRNN": OF_CELL,
    "PReLU": Variables(("alpha",)),
}
# Which arguments say whether there is a variable.
FLAGS = {"bias": "use_bias", "gamma": "scale", "beta": "center"}


def variables_of(kind: str, config: dict[str, Any]) -> Variables:
    """Return the variables of a layer of a class with these arguments."""
    if kind == "TimeDistributed" and isinstance(config.get("layer"), dict):
        inside = config["layer"]
        arguments = inside.get("config")
        found = variables_of(
            str(inside.get("class_name")), arguments if isinstance(arguments, dict) else {}
        )
        return found._replace(place=f"layer/{found.place}".rstrip("/"))
    found = VARIABLES.get(kind, Variables())
    if kind == "Normalization" and config.get("mean") is not None:
        # They are part of the configuration.
        return Variables(unused=0)
    names = [name for name in found.names if config.get(FLAGS.get(name, ""), True) is not False]
    return found._replace(names=tuple(names))
