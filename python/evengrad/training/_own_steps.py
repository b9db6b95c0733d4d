"""Methods of Keras' training that a class of models may write: obeyed, or refused with a cure."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# What is said of each method that nothing here calls.
A_LOOP = (
    "write compute_loss(self, x, y, y_pred, sample_weight), which fit calls in each step, or a "
    "loop of your own: optimizer.minimize(loss, model.trainable_weights)"
)
A_METRIC = "write a metrics.Metric, and pass it to compile(metrics=[...])"
A_CALL = "write call(self, x, training), which predict runs with training=False"
REFUSED = {
    **dict.fromkeys(["train_step", "test_step", "train_function", "test_function"], A_LOOP),
    **dict.fromkeys(["make_train_function", "make_test_function"], A_LOOP),
    **dict.fromkeys(["compute_metrics", "compiled_loss", "compiled_metrics"], A_METRIC),
    **dict.fromkeys(["predict_step", "make_predict_function"], A_CALL),
}


def own_steps(kind: type) -> tuple[str, ...]:
    """Return the names of the methods of a class that nothing here would call."""
    return tuple(name for name in REFUSED if hasattr(kind, name))


def refusal(path: str, name: str) -> TypeError:
    """Return the error about a method that nothing here would call."""
    return TypeError(
        f"{path}: {name}: Keras calls this method in its training, here steps are made natively "
        f"and nothing would call it; {REFUSED[name]}"
    )


@functools.cache
def _takes_training(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(one.name == "training" or one.kind is one.VAR_KEYWORD for one in parameters)


def called_loss(
    own: Callable[..., Any], x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool
) -> Any:
    """Return what a class's `compute_loss` says of a batch."""
    given = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
    function: Any = getattr(own, "__func__", own)
    if _takes_training(function):
        given["training"] = training
    return own(**given)
