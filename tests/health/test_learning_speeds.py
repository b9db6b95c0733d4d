"""Nielsen's learning speeds of layers, from a diagnosis alone."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import evengrad as eg
from evengrad import initializers, layers

# Of 1000 nets: the 1st and 99th percentile of the last hidden layer's speed over the first one's,
# and the median of ‖∂C/∂b‖ of each hidden layer, for the cost summed over the ten outputs.
BOUNDS = {2: (3.6, 7.3), 3: (15.9, 41.4), 4: (67.0, 221.0)}
MEDIANS = {2: (0.058, 0.287), 3: (0.0116, 0.0572, 0.288), 4: (0.0024, 0.0120, 0.059, 0.295)}
OUTPUTS = 10


def network(depth, seed):
    given = {
        "kernel_initializer": initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal"),
        "bias_initializer": initializers.RandomNormal(stddev=1.0),
    }
    hidden = [layers.Dense(30, "sigmoid", name=f"hidden_{at}", **given) for at in range(depth)]
    head = layers.Dense(OUTPUTS, "sigmoid", **given)
    model = eg.Sequential([eg.Input((64,)), *hidden, head], seed=seed)
    model.compile(eg.optimizers.SGD(0.1), "binary_crossentropy")
    return model


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return images[:1000] / 16, np.eye(OUTPUTS)[labels[:1000]]


@pytest.mark.parametrize("depth", BOUNDS)
def test_speeds_of_logistic_layers(digits, depth):
    x, y = digits
    for seed in range(3):
        diagnosis = network(depth, seed).diagnose(x, y, batch_size=1000, steps=1)
        measured = [diagnosis.layers[f"hidden_{at}"] for at in range(depth)]
        speeds = [layer["speed"] for layer in measured]
        low, high = BOUNDS[depth]
        assert low < speeds[-1] / speeds[0] < high
        assert (np.diff(speeds) > 0).all()
        # The loss here is the mean over the outputs.
        norms = OUTPUTS * np.array([layer["bias_gradient"] for layer in measured])
        assert norms == pytest.approx(MEDIANS[depth], rel=0.7)
        # A speed is that norm over the root of the units.
        assert norms == pytest.approx(OUTPUTS * 30**0.5 * np.array(speeds), rel=1e-6)
    found = diagnosis.findings[:1]
    assert [one.kind for one in found] == (["vanishing_gradients"] if depth > 2 else [])
