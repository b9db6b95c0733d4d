"""Eager and captured, in both dtypes: the same bits, and results of the dtype that came in."""

import numpy as np
from api_examples import (
    ContractError,
    call_of,
    drawn,
    first_that_works,
    inputs_of,
    made,
    predictions_for,
    targets_of,
)
from api_round_trips import METRIC_GUESSES, X, network, optimizers_of, square

import evengrad as eg

FLOATS = ("float32", "float64")
# Results in float32 are this near to those in float64, beside values of about 1.
NEAR = {"rtol": 1e-4, "atol": 1e-5}
# Operations that return another dtype than they take: the reason.
OF_OTHER_DTYPE = dict.fromkeys(
    ["Tensor.astype", "Tensor.double", "Tensor.float"], "it is asked for one"
)
# Operations whose replay gives other values than their first run: the reason.
DRAWING = {"functional.dropout": "each replay draws anew; layers.Dropout is compared"}


def check_modes(item):
    """Check that an item computes the same eagerly and captured, in float32 and in float64."""
    TAKE_PART.get(item.family, check_operation)(item)


def same_bits(item, eager, captured):
    """Compare two lists of arrays."""
    for one, other in zip(eager, captured, strict=True):
        if one.dtype != other.dtype or not np.array_equal(one, other, equal_nan=True):
            raise ContractError(f"{item}: captured, it gives {other}; eagerly {one}")


def right_dtype(item, found, dtype):
    if found != dtype:
        raise ContractError(f"{item}: in {dtype} it returns {found}")


def nearly(item, values):
    """Compare what came of float32 with what came of float64."""
    for single, double in zip(*(values[dtype] for dtype in FLOATS), strict=True):
        if not np.allclose(single, double, **NEAR):
            raise ContractError(f"{item}: {single} in float32, {double} in float64")


# ---- operations


def step_of(function):
    """Return a step that computes a function's value and gradients."""

    def step(*leaves):
        output = function(*leaves)
        factors = np.linspace(0.5, 1.5, output.size).reshape(output.shape).astype(output.dtype)
        return [output, *eg.autograd.grad((output * eg.tensor(factors)).sum(), list(leaves))]

    return step


def check_operation(item):
    """Record a step and replay it at other values, beside the same step run eagerly."""
    function, point = call_of(item)
    values = {}
    for dtype in FLOATS:
        leaves = [eg.tensor(x.astype(dtype), requires_grad=True) for x in point]
        step = step_of(function)
        compiled = eg.compile(step)
        for factor in (0.75, 1.25, 1.0):
            for leaf, x in zip(leaves, point, strict=True):
                leaf.copy_((x * factor).astype(dtype))
            eager, captured = (
                [np.array(result.detach().numpy()) for result in run(*leaves)]
                for run in (step, compiled)
            )
            if item.name not in DRAWING:
                same_bits(item, eager, captured)
        if item.name not in OF_OTHER_DTYPE:
            right_dtype(item, eager[0].dtype, dtype)
        values[dtype] = eager
    nearly(item, values)


# ---- what takes part in training


def trained(model, x, y, run_eagerly, optimizer=None, **settings):
    """Return what two epochs come to: losses and metrics, weights, predictions."""
    settings = {"loss": square, **settings}
    model.compile(optimizer or eg.optimizers.SGD(0.05), run_eagerly=run_eagerly, **settings)
    history = model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0)
    curves = [np.array(values) for _, values in sorted(history.history.items())]
    outputs = model.predict(x)
    scores = as_list(model.evaluate(x, y, verbose=0))
    return [*as_list(outputs), *map(np.array, scores), *model.get_weights(), *curves]


def check_training(item, make, x=X, y=None, settings=dict):
    """Train the same model eagerly and captured, in each dtype."""
    first = x[0] if isinstance(x, list) else x
    for dtype in FLOATS:
        typed = [one.astype(dtype) if one.dtype.kind == "f" else one for one in as_list(x)]
        x = typed if isinstance(x, list) else typed[0]
        targets = np.zeros(len(first)) if y is None else y
        eager, captured = (
            trained(make(dtype), x, targets, run_eagerly, **settings())
            for run_eagerly in (True, False)
        )
        same_bits(item, eager, captured)


def as_list(x):
    return x if isinstance(x, list) else [x]


def check_setting(item, argument):
    check_training(item, lambda dtype: network(dtype=dtype, **{argument: made(item)}))


def check_optimizers(item, optimizers):
    for optimizer in optimizers:
        # Its arguments make it anew for each training.
        check_training(
            item,
            lambda dtype: network(dtype=dtype),
            settings=lambda one=optimizer: {"optimizer": type(one)(**one.get_config())},
        )


def check_layer(item):
    """Compare trainings, and what one layer's values come to in each dtype."""
    inputs = inputs_of(item)
    x = inputs if len(inputs) > 1 else inputs[0]

    def model_of(dtype):
        layer = made(item, dtype=dtype)
        kinds = [x if x.dtype.kind == "i" else x.astype(dtype) for x in inputs]
        return eg.Model(*drawn(layer, kinds), seed=3, dtype=dtype)

    check_training(item, model_of, x)
    values, weights = {}, model_of("float64").get_weights()
    for dtype in FLOATS:
        model = model_of(dtype)
        model.set_weights(weights)
        outputs = model(x)
        values[dtype] = [output.detach().numpy() for output in as_list(outputs)]
        for output in values[dtype]:
            right_dtype(item, output.dtype, dtype)
    nearly(item, values)


def check_loss(item):
    """Compare the loss by itself, and a training with it."""
    loss = made(item)
    targets = targets_of(item, loss)
    values = {}
    for dtype in FLOATS:
        leaf = eg.tensor(predictions_for(item).astype(dtype), requires_grad=True)
        step = step_of(lambda p: loss(targets, p))
        eager, captured = (
            [np.array(result.detach().numpy()) for result in run(leaf)]
            for run in (step, eg.compile(step))
        )
        same_bits(item, eager, captured)
        right_dtype(item, eager[0].dtype, dtype)
        values[dtype] = eager
    nearly(item, values)


def check_metric(item):
    """Compare what a metric counts in training and in evaluation."""

    def attempt(guess):
        outputs, y = guess
        check_training(
            item,
            lambda dtype: network(outputs=outputs, activation="sigmoid", dtype=dtype),
            y=y,
            settings=lambda: {"metrics": [made(item)]},
        )

    first_that_works(item, METRIC_GUESSES, attempt, "METRIC_GUESSES")


# Families that take part in training, with their checks. What else computes is an operation.
TAKE_PART = {
    "constraints": lambda item: check_setting(item, "kernel_constraint"),
    "initializers": lambda item: check_setting(item, "kernel_initializer"),
    "layers": check_layer,
    "losses": check_loss,
    "metrics": check_metric,
    "models": lambda item: check_training(item, lambda dtype: made(item, seed=3, dtype=dtype)),
    "optimizers": lambda item: check_optimizers(item, [made(item), *optimizers_of(item)]),
    "schedules": lambda item: check_optimizers(item, [eg.optimizers.SGD(made(item))]),
}
