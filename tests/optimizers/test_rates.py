"""Tests of learning rates by depth."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers, optimizers


def net():
    body = eg.Sequential(
        [eg.Input((4,)), layers.Dense(3, name="a"), layers.ReLU(), layers.Dense(3, name="b")],
        name="body",
        seed=1,
    )
    end = layers.Dense(1, name="out")
    return eg.Sequential([eg.Input((4,)), body, layers.Flatten(), end], seed=1)


def test_each_layer_below_is_slower():
    groups = optimizers.layerwise_decay(net(), 0.1)
    assert [group.names for group in groups] == ["^body/a/", "^body/b/", "^out/"]
    np.testing.assert_allclose([g.learning_rate_multiplier for g in groups], [0.01, 0.1, 1.0])


def test_steps_are_as_long_as_the_rates_say():
    x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
    moved = []
    for groups in (None, optimizers.layerwise_decay(net(), 0.5)):
        model = net()
        before = model.get_weights()
        model.compile(optimizers.SGD(0.01, groups=groups), "mse")
        model.fit(x, y, verbose=0)
        moved.append([now - then for now, then in zip(model.get_weights(), before, strict=True)])
    for number, share in enumerate([0.25, 0.25, 0.5, 0.5, 1.0, 1.0]):
        np.testing.assert_allclose(moved[1][number], share * moved[0][number], rtol=1e-3)


def test_errors():
    with pytest.raises(ValueError, match="decay"):
        optimizers.layerwise_decay(net(), 0.0)
    with pytest.raises(ValueError, match="build the model first"):
        optimizers.layerwise_decay(eg.Sequential([layers.Dense(1)]), 0.5)
