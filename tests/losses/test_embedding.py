"""The circle loss, by sums over pairs written out."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import losses


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


class Unit(eg.layers.Layer):
    """Rows of length 1."""

    def call(self, x):
        return x / (x.square().sum(1, keepdim=True) + 1e-12).sqrt()


def circle(labels, vectors, gamma, margin, remove_diagonal):
    """Return the loss of each row as the paper's equation 6 has it, of similarities."""
    found = []
    for i, mine in enumerate(labels):
        pull = push = 0.0
        for j, other in enumerate(labels):
            similar = min(vectors[i] @ vectors[j], 1.0)
            if mine == other and not (remove_diagonal and i == j):
                pull += np.exp(-gamma * max(1 + margin - similar, 0) * (similar - (1 - margin)))
            if mine != other:
                push += np.exp(gamma * max(similar + margin, 0) * (similar - margin))
        found.append(np.log1p(pull * push))
    return np.array(found)


@pytest.mark.parametrize("remove_diagonal", [True, False])
@pytest.mark.parametrize(("gamma", "margin"), [(80.0, 0.4), (4.0, 0.25)])
def test_it_is_the_paper_s(gamma, margin, remove_diagonal):
    rng = np.random.default_rng(2)
    vectors, labels = unit(rng.normal(size=(12, 4))), rng.integers(0, 3, 12)
    settings = (gamma, margin, remove_diagonal)
    expected = circle(labels, vectors, *settings)
    got = losses.Circle(*settings, reduction=None)(labels, vectors).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    mean = losses.Circle(*settings)(labels, vectors).item()
    assert mean == pytest.approx(expected[expected > 0].mean(), rel=1e-9)
    points = eg.tensor(vectors, requires_grad=True)
    assert eg.autograd.gradcheck(lambda p: losses.Circle(4.0)(labels, p), points)


def test_rows_without_a_pair_cost_nothing():
    vectors = unit(np.random.default_rng(3).normal(size=(4, 3)))
    for labels in ([0, 0, 0, 0], [0, 1, 2, 3]):
        points = eg.tensor(vectors, requires_grad=True)
        loss = losses.Circle()(labels, points)
        loss.backward()
        assert loss.item() == 0.0
        np.testing.assert_array_equal(points.grad.numpy(), np.zeros((4, 3)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_classes_come_apart(dtype, tmp_path):
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 200)
    x = rng.normal(size=(200, 6)) + np.eye(6)[labels] * 3.0
    histories = []
    for eagerly in (False, True):
        model = eg.Sequential([eg.layers.Dense(4), Unit()], dtype=dtype, seed=2)
        model.compile(eg.optimizers.SGD(0.001), losses.Circle(), run_eagerly=eagerly)
        fitted = model.fit(x, labels, epochs=10, verbose=0)
        histories.append((fitted.history["loss"], [w.tolist() for w in model.get_weights()]))
    assert histories[0] == histories[1]
    assert histories[0][0][-1] < 0.5 * histories[0][0][0]
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors", custom_objects={"Unit": Unit})
    assert again.evaluate(x, labels) == model.evaluate(x, labels)


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"embeddings of shape \(rows, features\)"):
        losses.Circle()([0, 1], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"whole class numbers, got 0\.5 in row 1"):
        losses.Circle()([0.0, 0.5], [[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(TypeError, match="remove_diagonal: expected True or False"):
        losses.Circle(remove_diagonal=1)


def test_means_by_weight_are_of_the_rows_that_count():
    rng = np.random.default_rng(5)
    vectors, labels = unit(rng.normal(size=(8, 3))), np.array([0, 0, 1, 1, 2, 2, 3, 4])
    weights = rng.uniform(0.5, 2.0, 8)
    each = losses.Circle(4.0, reduction=None)(labels, vectors).numpy()
    counted = weights * (each > 0)
    assert 0 < np.count_nonzero(each) < 8
    loss = losses.Circle(4.0, reduction="mean_with_sample_weight")(labels, vectors, weights)
    assert loss.item() == pytest.approx((each * weights).sum() / counted.sum(), rel=1e-12)
