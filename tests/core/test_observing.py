"""What is observed of tensors, against NumPy in float64: eager, captured, not finite."""

import numpy as np
import pytest

import evengrad as eg
from evengrad._core import Optimizer, Recording, observe_all, observe_norms

INFINITY = float("inf")


def observed(x, low=-INFINITY, high=INFINITY):
    """The nine numbers by their definitions; infinite bounds bound nothing."""
    x = np.asarray(x, np.float64).reshape(-1, np.shape(x)[-1])
    kept = np.ma.masked_invalid(x)
    outside = (np.isfinite(low) & (x <= low)) | (np.isfinite(high) & (x >= high))
    rms = np.sqrt((kept**2).mean())
    columns = kept.mean(axis=0)
    return np.array(
        [
            kept.mean(),
            kept.std(),
            rms,
            1 - np.isfinite(x).mean(),
            outside.mean(),
            outside.all(axis=0).mean(),
            np.sqrt(kept.var(axis=0).mean()) / rms,
            columns.std() / rms,
            len(x),
        ]
    )


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(0.3, 2.0, shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(4,), (32, 4), (7, 5, 10), (32, 100), (300, 130), (2000, 3)])
def test_moments_shares_and_spreads(shape, dtype):
    x = normal(*shape).astype(dtype)
    into = eg.zeros((2, 9), dtype="float64")
    observe_all(
        into, [(eg.tensor(x), -1.5, 2.0, None), (eg.tensor(np.maximum(x, 0)), 0.0, INFINITY, None)]
    )
    close = {"rtol": 1e-5 if dtype == "float32" else 1e-11}
    np.testing.assert_allclose(into[0].numpy(), observed(x, -1.5, 2.0), **close)
    relu = np.maximum(x, 0)
    np.testing.assert_allclose(into[1].numpy(), observed(relu, 0.0), **close)


@pytest.mark.parametrize(("center", "size"), [(1e6, 1.0), (0, 1e-30), (0, 1e30), (100, 1e-3)])
def test_large_and_small_numbers_keep_their_figures(center, size):
    x = (center + size * normal(64, 20)).astype("float32")
    into = eg.zeros(9, dtype="float64")
    observe_all(into, [(eg.tensor(x), -INFINITY, INFINITY, None)])
    np.testing.assert_allclose(into.numpy(), observed(x), rtol=1e-5)


def test_what_is_not_finite_is_a_share_of_its_own():
    x = normal(40, 70)
    x[3, 4], x[7, 0], x[0, 69], x[5] = np.nan, np.inf, -np.inf, np.nan
    x[:, 11] = np.inf
    for bounds in [(-INFINITY, INFINITY), (0.0, INFINITY), (-INFINITY, 0.0)]:
        into = eg.zeros(9, dtype="float64")
        observe_all(into, [(eg.tensor(x), *bounds, None)])
        np.testing.assert_allclose(into.numpy(), observed(x, *bounds), rtol=1e-11)
    observe_all(into, [(eg.tensor(np.full((3, 2), np.nan)), 0.0, INFINITY, None)])
    assert into[3:6].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(into[:3].numpy()).all()


def test_units_that_live_are_counted_step_by_step_also_in_replays():
    state = eg.zeros(9 + 3, dtype="float64")
    rows = eg.tensor([[0.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    feed = eg._core.Feed(2)
    feed.load([0, 1, 2, 3, 2, 3])
    with Recording() as recording:
        feed.next()
        x = eg.take(rows, feed.indices)
        observe_all(state[:9], [(x, 0.0, INFINITY, state[9:])])
    assert state[9:].tolist() == [0.0, 1.0, 1.0]
    recording.replay(2)
    assert state[9:].tolist() == [0.0, 1.0, 3.0]
    np.testing.assert_allclose(state[:9].numpy(), observed(rows.numpy()[2:], 0.0), rtol=1e-12)


def test_norms_and_updates():
    tensors = [normal(784, 30), normal(5).astype("float32"), np.float32([[3e-30, 4e-30]])]
    tensors += [np.float32([3e30, 4e30]), np.zeros((2, 2)), np.array([3e200, 4e200])]
    into = eg.zeros((2, 3), dtype="float64")
    observe_norms(into, [eg.tensor(x) for x in tensors])
    expected = [np.linalg.norm(x.astype(np.longdouble)) for x in tensors]
    np.testing.assert_allclose(into.numpy().ravel(), np.array(expected, np.float64), rtol=1e-12)


@pytest.mark.parametrize("shape", [(40, 300), (300, 7), (31,), (), (2, 2000), (3, 3, 4, 8)])
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 2e-5)])
def test_updates_are_measured_as_they_are_made(shape, dtype, rtol):
    weight, gradient = (normal(*shape, seed=seed).astype(dtype) for seed in range(2))
    results = []
    for watched in (False, True):
        w, into = eg.tensor(weight, requires_grad=True), eg.zeros(3, dtype="float64")
        rule = Optimizer("adam", {"learning_rate": 0.1})
        if watched:
            rule.observe(into, [w])
        rule.apply([w], [eg.tensor(gradient)])
        results.append(w.detach().numpy())
    np.testing.assert_array_equal(*results)
    moved = results[0].astype(np.float64) - weight
    expected = [np.linalg.norm(np.ravel(x)) for x in (moved, weight, gradient)]
    np.testing.assert_allclose(into.numpy(), expected, rtol=rtol)


def test_a_captured_step_has_the_bits_of_an_eager_one():
    def step(rule, into, x, w):
        z = x @ w
        y = z.tanh()
        (gradient,) = eg._core.gradients((y * y).sum(), [w])
        rule.apply([w], [gradient])
        observe_all(into[:18], [(z, -1.0, 1.0, None), (y, -0.9, 0.9, None)])
        observe_norms(into[18:19], [gradient])

    results = []
    for captured in (True, False):
        w = eg.tensor(normal(50, 80).astype("float32"), requires_grad=True)
        x, into = eg.tensor(normal(32, 50, seed=2).astype("float32")), eg.zeros(22, dtype="float64")
        rule = Optimizer("adam", {"learning_rate": 1e-3})
        rule.observe(into[19:], [w])
        if captured:
            with Recording() as recording:
                step(rule, into, x, w)
            recording.replay(3)
        else:
            for _ in range(4):
                step(rule, into, x, w)
        results.append((into.numpy().tobytes(), w.detach().numpy().tobytes()))
    assert results[0] == results[1]


def test_watching_leaves_the_tape_alone():
    x = eg.tensor(normal(3, 4), requires_grad=True)
    y = x * 2
    into = eg.zeros(9, dtype="float64")
    observe_all(into, [(y, -INFINITY, INFINITY, None)])
    assert not into.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [[2.0] * 4] * 3


@pytest.mark.parametrize(
    ("into", "row", "error", "match"),
    [
        ((8,), {}, ValueError, "expected 9 numbers"),
        ((9,), {"x": ()}, ValueError, "units"),
        ((9,), {"low": 2.0, "high": 1.0}, ValueError, "low=2"),
        ((9,), {"lived": (3,)}, ValueError, "4 units"),
        ((9,), {"dtype": "int64"}, TypeError, "int64"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(into, row, error, match):
    into = eg.ones(into, dtype="float64")
    x = eg.zeros(row.get("x", (2, 4)), dtype=row.get("dtype", "float32"))
    lived = eg.zeros(row["lived"], dtype="float64") if "lived" in row else None
    with pytest.raises(error, match=match):
        observe_all(into, [(x, row.get("low", 0.0), row.get("high", 1.0), lived)])
    assert into.tolist() == [1.0] * len(into)


def test_memory_that_cannot_be_written_is_refused():
    x = eg.zeros((2, 4))
    with pytest.raises(TypeError, match="float32"):
        observe_norms(eg.zeros(1), [x])
    with pytest.raises(RuntimeError, match="contiguous"):
        observe_norms(eg.zeros((2, 2), dtype="float64")[:, 0], [x, x])
    lived = eg.zeros(4, dtype="float64")
    row = (x, 0.0, 1.0, lived)
    with pytest.raises(ValueError, match="twice"):
        observe_all(eg.zeros(18, dtype="float64"), [row, row])
    with pytest.raises(ValueError, match="got none"):
        observe_norms(eg.zeros(0, dtype="float64"), [])
    rule = Optimizer("sgd")
    with pytest.raises(ValueError, match="expected 3 numbers"):
        rule.observe(eg.zeros(4, dtype="float64"), [x])
    with pytest.raises(TypeError, match="float32"):
        rule.observe(eg.zeros(3), [x])
    rule.observe()
