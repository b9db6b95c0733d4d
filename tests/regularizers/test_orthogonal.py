"""The penalty on directions that are not orthogonal."""

import math

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers, regularizers

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("w", "mode", "expected"),
    [
        ([[3.0, 4.0], [5.0, 0.0]], "rows", 0.6),
        # Columns (3, 5) and (4, 0): 12 / (√34 · 4)
        ([[3.0, 4.0], [5.0, 0.0]], "columns", 3 / math.sqrt(34)),
        # cos 60° = ½ between each of three pairs, once with its sign turned.
        ([[1.0, 0.0, 1.0], [0.0, 2.0, 2.0], [-3.0, 3.0, 0.0]], "rows", 0.5),
        ([[1.0, 2.0], [-10.0, -20.0]], "rows", 1.0),
        ([[0.0, 1e-3], [1e4, 0.0]], "rows", 0.0),
        ([[1.0, 2.0, 3.0]], "rows", 0.0),
        ([[0.0, 0.0], [1.0, 1.0]], "rows", 0.0),
    ],
)
def test_values(dtype, w, mode, expected):
    penalty = regularizers.OrthogonalRegularizer(2.0, mode)
    w = eg.tensor(w, dtype=dtype, requires_grad=True)
    value = penalty(w)
    assert value.dtype == dtype
    assert value.item() == pytest.approx(2.0 * expected, rel=1e-6, abs=1e-9)
    value.backward()
    assert np.isfinite(w.grad.numpy()).all()


@pytest.mark.parametrize("mode", ["rows", "columns"])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 3), (3, 1)])
def test_slopes(mode, shape):
    w = eg.tensor(RNG.normal(size=shape), requires_grad=True)
    penalty = regularizers.OrthogonalRegularizer(0.7, mode)
    if shape[mode == "columns"] == 1 or shape[mode == "rows"] == 1:
        # One vector, or all on one line: nothing that changes.
        penalty(w).backward()
        np.testing.assert_allclose(w.grad.numpy(), 0.0, atol=1e-13)
    else:
        assert eg.autograd.gradcheck(penalty, (w,))


def test_length_is_of_no_account():
    w = RNG.normal(size=(4, 6))
    penalty = regularizers.OrthogonalRegularizer()
    scaled = w * np.array([[1e-3], [1.0], [1e3], [1e6]])
    assert penalty(eg.tensor(scaled)).item() == pytest.approx(penalty(eg.tensor(w)).item())


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e20), ("float64", 1e200)])
def test_weights_whose_squares_leave_the_range(dtype, size):
    """The slope falls as the weights grow: that of size 1, over the size."""
    small, large = (np.array([[3.0, 4.0], [5.0, 0.0]]) * factor for factor in (1.0, size))
    penalty, slopes = regularizers.OrthogonalRegularizer(1.0), []
    for values in (small, large):
        w = eg.tensor(values, dtype=dtype, requires_grad=True)
        assert penalty(w).item() == pytest.approx(0.6, rel=1e-6)
        slopes.append(eg.autograd.grad(penalty(w), [w])[0].numpy())
    np.testing.assert_allclose(slopes[1] * size, slopes[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("eager", [False, True])
def test_training_with_it_makes_columns_orthogonal(eager):
    penalty = regularizers.OrthogonalRegularizer(1.0, "columns")
    model = eg.Sequential(
        [eg.Input((6,)), layers.Dense(3, kernel_regularizer=penalty)], seed=2, dtype="float64"
    )
    model.compile(
        eg.optimizers.SGD(lambda step: 0.2 / (1 + step / 20)),
        lambda y, p: (p - y).sum() * 0.0,
        run_eagerly=eager,
    )
    x = np.zeros((4, 6))
    first = model.evaluate(x, np.zeros((4, 3)))
    loss = model.fit(x, np.zeros((4, 3)), epochs=400, batch_size=4, verbose=0).history["loss"]
    assert loss[0] == pytest.approx(first)
    columns = model.get_weights()[0]
    directions = columns / np.linalg.norm(columns, axis=0)
    assert np.abs(directions.T @ directions - np.eye(3)).max() < 0.02 < first


def test_it_is_saved_and_pasted(tmp_path):
    penalty = regularizers.OrthogonalRegularizer(0.5, "columns")
    assert repr(penalty) == "OrthogonalRegularizer(factor=0.5, mode='columns')"
    assert isinstance(
        regularizers.get("orthogonal_regularizer"), regularizers.OrthogonalRegularizer
    )
    model = eg.Sequential([eg.Input((6,)), layers.Dense(3, kernel_regularizer=penalty)])
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert repr(again.layers[0].kernel_regularizer) == repr(penalty)
    assert again.losses[0].item() == model.losses[0].item()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regularizers.OrthogonalRegularizer(-1.0), "factor"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), "did you mean 'rows'"),
        (lambda: regularizers.OrthogonalRegularizer()(eg.tensor([1.0])), "expected a matrix"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
