"""Data to train on, and what training changes, for tests of what must not."""

import numpy as np

from evengrad.layers._module import module_tree


def three_classes():
    """Return 203 rows of 12 features, and classes that follow from two of them."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(203, 12)).astype("float32")
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.3)
    return x, y


def same(left, right):
    """Tell whether two models have equal weights, bit for bit."""
    return all(
        np.array_equal(a, b) for a, b in zip(left.get_weights(), right.get_weights(), strict=True)
    )


def everything(model):
    """Return all state that training changes, as bytes."""
    optimizer = model.optimizer
    slots = [
        slot.numpy().tobytes()
        for weight in model.trainable_weights
        for slot in (optimizer.slots(weight).values() if optimizer.iterations else [])
    ]
    streams = [
        stream.draws
        for _, layer in module_tree(model).layers
        for stream in layer._state.generators.values()
    ]
    rate = optimizer.learning_rate
    return (
        [weight.tobytes() for weight in model.get_weights()],
        slots,
        streams,
        model._shuffler().draws,
        optimizer.iterations,
        optimizer._core.memory,
        optimizer._core.accumulated,
        rate,
        repr(optimizer),
    )
