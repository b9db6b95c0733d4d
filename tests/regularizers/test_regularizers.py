"""Penalties by absolute value and by square, under each convention."""

import numpy as np
import pytest

import evengrad as eg

W = [[3.0, -1.0], [0.5, 2.0]]
SQUARES, SIZES = 9.0 + 1.0 + 0.25 + 4.0, 6.5


@pytest.mark.parametrize(
    ("convention", "half"), [("keras", 1.0), ("torch", 0.5), ("tf1", 0.5), ("scikit-learn", 0.5)]
)
def test_squares_are_halved_where_the_convention_says_so(convention, half):
    w = eg.tensor(np.array(W))
    assert eg.regularizers.L2(0.1, convention)(w).item() == pytest.approx(0.1 * half * SQUARES)
    both = eg.regularizers.L1L2(0.2, 0.1, convention)
    assert both(w).item() == pytest.approx(0.2 * SIZES + 0.1 * half * SQUARES)


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.5, 0.5, 3.0, 1.0]])
@pytest.mark.parametrize("kind", [eg.regularizers.L1L2, eg.regularizers.L2])
def test_under_scikit_learns_convention_a_batch_divides_the_penalty(kind, weights):
    # The loss and its gradient do not depend on w, so that the penalty alone moves it.
    given = {"l2": 0.6} if kind is eg.regularizers.L2 else {"l1": 0.3, "l2": 0.6}
    layer = eg.layers.Dense(
        2, use_bias=False, kernel_regularizer=kind(convention="scikit-learn", **given)
    )
    model = eg.Sequential([eg.Input((2,)), layer], dtype="float64")
    layer.set_weights([np.array(W)])
    model.compile(eg.optimizers.SGD(0.5), "mse")
    weights = None if weights is None else np.array(weights)
    shares = np.ones(6) if weights is None else weights
    expected, losses = np.array(W), []
    for batch in (shares[:4], shares[4:]):
        size = given.get("l1", 0.0) * np.abs(expected).sum()
        losses.append((size + 0.3 * (expected**2).sum()) / batch.sum())
        slope = given.get("l1", 0.0) * np.sign(expected) + 0.6 * expected
        expected = expected - 0.5 * slope / batch.sum()
    history = model.fit(
        np.zeros((6, 2)),
        np.zeros((6, 2)),
        batch_size=4,
        shuffle=False,
        sample_weight=weights,
        verbose=0,
    )
    np.testing.assert_allclose(layer.kernel.detach().numpy(), expected)
    mean = (4 * losses[0] + 2 * losses[1]) / 6
    assert history.history["loss"] == pytest.approx([mean])
    # Without a batch there is nothing to divide by.
    assert model.losses[0].item() == pytest.approx(layer.kernel_regularizer(layer.kernel).item())


def test_other_penalties_beside_one_by_rows_stay_whole():
    layers = [
        eg.layers.Dense(1, use_bias=False, kernel_regularizer=penalty)
        for penalty in (eg.regularizers.L2(1.0, "scikit-learn"), eg.regularizers.L2(1.0))
    ]
    model = eg.Sequential([eg.Input((1,)), *layers])
    for layer in layers:
        layer.set_weights([np.full((1, 1), 2.0)])
    model.compile("sgd", "mse")
    loss = model.evaluate(np.zeros((8, 1)), np.zeros((8, 1)), batch_size=8, verbose=0)
    assert loss == pytest.approx(0.5 * 4.0 / 8 + 4.0)
