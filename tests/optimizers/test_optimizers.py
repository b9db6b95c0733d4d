"""Optimizers against hand-checked trajectories and an independent statement in NumPy."""

import numpy as np
import pytest

import evengrad as eg

GRADIENTS = (0.5, -0.25, 1.0)


def trajectory(optimizer, gradients, start=1.0, rates=None):
    """Return a parameter's values after each step, in float64."""
    w = eg.tensor(np.array([start]), requires_grad=True)
    values = []
    for i, gradient in enumerate(gradients):
        if rates is not None:
            optimizer.learning_rate = rates[i]
        optimizer.apply_gradients([(eg.tensor(np.array([gradient])), w)])
        values.append(w.item())
    return values


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (eg.optimizers.SGD(0.1), (0.95, 0.975, 0.875)),
        (eg.optimizers.SGD(0.1, convention="torch"), (0.95, 0.975, 0.875)),
        (eg.optimizers.SGD(0.1, convention="tf1"), (0.95, 0.975, 0.875)),
        (eg.optimizers.SGD(0.1, momentum=0.9), (0.95, 0.93, 0.812)),
        (eg.optimizers.SGD(0.1, momentum=0.9, convention="torch"), (0.95, 0.93, 0.812)),
        (eg.optimizers.SGD(0.1, momentum=0.9, convention="tf1"), (0.95, 0.93, 0.812)),
        (eg.optimizers.SGD(0.1, 0.9, nesterov=True), (0.905, 0.912, 0.7058)),
        (eg.optimizers.SGD(0.1, 0.9, True, convention="torch"), (0.905, 0.912, 0.7058)),
        (eg.optimizers.SGD(0.1, 0.9, True, convention="tf1"), (0.905, 0.912, 0.7058)),
        (eg.optimizers.Adam(0.1), (0.900000632452, 0.873367079208, 0.807556100877)),
        (
            eg.optimizers.Adam(0.1, convention="torch"),
            (0.900000002000, 0.873366298708, 0.807555139677),
        ),
        (
            eg.optimizers.Adam(0.1, convention="tf1"),
            (0.900000063246, 0.873366374352, 0.807555232496),
        ),
    ],
    ids=repr,
)
def test_known_trajectories(optimizer, expected):
    np.testing.assert_allclose(trajectory(optimizer, GRADIENTS), expected, atol=6e-13, rtol=0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"momentum": 0.9}, (0.95, 0.9075, 0.85925)),
        ({"momentum": 0.9, "convention": "torch"}, (0.95, 0.948, 0.9362)),
        ({"momentum": 0.9, "convention": "tf1"}, (0.95, 0.948, 0.9362)),
        ({"momentum": 0.9, "nesterov": True}, (0.905, 0.86925, 0.815825)),
        (
            {"momentum": 0.9, "nesterov": True, "convention": "torch"},
            (0.905, 0.9057, 0.88508),
        ),
        (
            {"momentum": 0.9, "nesterov": True, "convention": "tf1"},
            (0.905, 0.9057, 0.88508),
        ),
    ],
)
def test_where_the_rate_changes_the_conventions_differ(settings, expected):
    optimizer = eg.optimizers.SGD(0.1, **settings)
    got = trajectory(optimizer, GRADIENTS, rates=(0.1, 0.01, 0.01))
    np.testing.assert_allclose(got, expected, atol=1e-14, rtol=0)


@pytest.mark.parametrize(
    ("convention", "expected"), [("keras", -2.0), ("torch", -1.19), ("tf1", -1.19)]
)
def test_a_rate_that_falls_at_once(convention, expected):
    """Gradients of 1, rates 1 and .1, β .9: −1 − (.9 + .1), or −1 − .1 · 1.9."""
    optimizer = eg.optimizers.SGD(1.0, 0.9, convention=convention)
    got = trajectory(optimizer, (1.0, 1.0), start=0.0, rates=(1.0, 0.1))
    assert got[-1] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("convention", ["keras", "torch", "tf1"])
def test_momentum_is_at_most_ten_times_as_fast(convention):
    """A constant gradient: step t is η · g · (1 − .9ᵗ) / .1."""
    optimizer = eg.optimizers.SGD(1e-3, 0.9, convention=convention)
    path = trajectory(optimizer, [2.0] * 44, start=0.0)
    lengths = -np.diff([0.0, *path]) / (1e-3 * 2.0)
    for step, expected in ((1, 1.0), (10, 6.513216), (22, 9.015229), (44, 9.903023)):
        assert lengths[step - 1] == pytest.approx(expected, abs=6e-7)


def test_adam_beside_amsgrad():
    optimizer = eg.optimizers.Adam(0.1, beta_2=0.9, convention="torch")
    got = trajectory(optimizer, (1.0, -0.1, 0.1))
    expected = (0.900000001000, 0.839159541688, 0.784451403679)
    np.testing.assert_allclose(got, expected, atol=6e-13, rtol=0)


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        ("keras", (0.900000031623, 0.841961949967, 0.792150513102)),
        ("torch", (0.900000001000, 0.841961901791, 0.792150449994)),
    ],
)
def test_amsgrad(convention, expected):
    optimizer = eg.optimizers.Adam(0.1, beta_2=0.9, amsgrad=True, convention=convention)
    got = trajectory(optimizer, (1.0, -0.1, 0.1))
    np.testing.assert_allclose(got, expected, atol=6e-13, rtol=0)


@pytest.mark.parametrize(
    ("convention", "moved"), [("keras", 3.152309e-4), ("torch", 0.05), ("tf1", 3.065343e-3)]
)
def test_a_tiny_gradient_shows_epsilon(convention, moved):
    optimizer = eg.optimizers.Adam(0.1, convention=convention)
    assert 1 - trajectory(optimizer, [1e-8])[0] == pytest.approx(moved, rel=1e-6)


def adam_in_numpy(gradients, rate, convention):
    b1, b2 = 0.9, 0.999
    epsilon = 1e-7 if convention == "keras" else 1e-8
    m = v = np.zeros_like(gradients[0])
    w, path = np.ones_like(m), []
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        if convention == "torch":
            w = w - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + epsilon)
        else:
            w = w - rate * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + epsilon)
        path.append(w)
    return np.array(path)


def sgd_in_numpy(gradients, rate, momentum, nesterov, convention):
    a = np.zeros_like(gradients[0])
    w, path = np.ones_like(a), []
    for g in gradients:
        if convention == "keras":
            a = momentum * a - rate * g
            w = w + momentum * a - rate * g if nesterov else w + a
        else:
            a = momentum * a + g
            w = w - rate * (g + momentum * a if nesterov else a)
        path.append(w)
    return np.array(path)


def walk(optimizer, gradients):
    w = eg.tensor(np.ones_like(gradients[0]), requires_grad=True)
    path = []
    for gradient in gradients:
        optimizer.apply_gradients([(eg.tensor(gradient), w)])
        path.append(w.detach().numpy().copy())
    return np.array(path)


@pytest.fixture
def long_walk():
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-12, 1, size=(150, 40))
    return sizes * rng.choice([-1.0, 1.0], size=sizes.shape)


@pytest.mark.parametrize("convention", ["keras", "torch", "tf1"])
def test_adam_over_many_steps(long_walk, convention):
    got = walk(eg.optimizers.Adam(0.01, convention=convention), long_walk)
    np.testing.assert_allclose(got, adam_in_numpy(long_walk, 0.01, convention), rtol=1e-12)


@pytest.mark.parametrize("convention", ["keras", "torch", "tf1"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_over_many_steps(long_walk, convention, nesterov):
    got = walk(eg.optimizers.SGD(0.01, 0.9, nesterov, convention=convention), long_walk)
    expected = sgd_in_numpy(long_walk, 0.01, 0.9, nesterov, convention)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


def clipped(optimizer, gradients):
    """Return how far one step with rate 1 moves parameters: the gradients that were applied."""
    weights = [eg.tensor(np.zeros_like(g), requires_grad=True) for g in gradients]
    optimizer.apply_gradients([(eg.tensor(g), w) for g, w in zip(gradients, weights, strict=True)])
    return [-w.detach().numpy() for w in weights]


def test_clipping():
    g, h = np.array([3.0, 4.0]), np.array([0.0, 0.0])
    sgd = eg.optimizers.SGD
    np.testing.assert_allclose(clipped(sgd(1.0, clipvalue=3.5), [g])[0], [3.0, 3.5])
    np.testing.assert_allclose(clipped(sgd(1.0, clipnorm=1.0), [g, h]), [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(clipped(sgd(1.0, clipnorm=10.0), [g])[0], g)
    both = clipped(sgd(1.0, global_clipnorm=5.0), [g, 2 * g])
    factor = 5 / np.sqrt(125)
    np.testing.assert_allclose(both, [g * factor, 2 * g * factor])
    torch = clipped(sgd(1.0, global_clipnorm=1.0, convention="torch"), [g])[0]
    np.testing.assert_allclose(torch, [0.59999988, 0.79999984], atol=1e-9)
    nothing = clipped(sgd(1.0, global_clipnorm=1.0), [h])[0]
    np.testing.assert_array_equal(nothing, h)


@pytest.mark.parametrize("way", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("convention", ["keras", "torch"])
@pytest.mark.parametrize("size", [1e20, 1e37])
def test_clipping_keeps_the_direction_of_an_exploding_gradient(way, convention, size):
    """The squares of these are beyond float32."""
    g = np.array([3.0, 4.0], np.float32) * np.float32(size)
    (moved,) = clipped(eg.optimizers.SGD(1.0, convention=convention, **{way: 1.0}), [g])
    np.testing.assert_allclose(moved, [0.6, 0.8], rtol=1e-6)


def test_the_global_norm_of_two_dtypes():
    g, h = np.array([3.0, 0.0], np.float32), np.array([0.0, 4.0])
    one, other = clipped(eg.optimizers.SGD(1.0, global_clipnorm=1.0), [g, h])
    assert (one.dtype, other.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(one, [0.6, 0.0], rtol=1e-7)
    np.testing.assert_allclose(other, [0.0, 0.8], rtol=1e-15)


def test_what_is_no_number_is_not_hidden_by_clipping():
    for way in ("clipnorm", "global_clipnorm", "clipvalue"):
        (moved,) = clipped(eg.optimizers.SGD(1.0, **{way: 1.0}), [np.array([np.nan, 1.0])])
        assert np.isnan(moved).any()


def test_schedule_is_a_function_of_the_step():
    seen = []

    def schedule(step):
        seen.append(step)
        return 0.1 / (step + 1)

    optimizer = eg.optimizers.SGD(schedule)
    got = trajectory(optimizer, (1.0, 1.0, 1.0))
    np.testing.assert_allclose(got, [0.9, 0.85, 0.85 - 0.1 / 3], rtol=1e-12)
    assert optimizer.iterations == 3
    assert optimizer.learning_rate is schedule


def test_settings_change_between_steps():
    optimizer = eg.optimizers.SGD(0.1)
    assert trajectory(optimizer, (1.0, 1.0), rates=(0.5, 0.25)) == [0.5, 0.25]
    adam = eg.optimizers.Adam(0.1)
    adam.epsilon = 0.1
    assert adam.epsilon == 0.1
    assert "epsilon=0.1" in repr(adam)


def test_two_levels():
    w = eg.tensor([1.0, 2.0], requires_grad=True)
    unused = eg.tensor([1.0], requires_grad=True)
    optimizer = eg.optimizers.SGD(0.5)
    pairs = optimizer.compute_gradients((w**2).sum(), [w, unused])
    assert pairs[0][0].tolist() == [2.0, 4.0]
    assert pairs[1] == (None, unused)
    assert w.grad is None
    optimizer.apply_gradients(pairs)
    assert w.tolist() == [0.0, 0.0]
    assert unused.tolist() == [1.0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: eg.optimizers.SGD(-0.1), ValueError, "learning_rate"),
        (lambda: eg.optimizers.SGD("fast"), TypeError, "learning_rate"),
        (lambda: eg.optimizers.SGD(0.1, momentum=1.0), ValueError, "momentum"),
        (lambda: eg.optimizers.SGD(0.1, clipnorm=1.0, clipvalue=1.0), ValueError, "one way"),
        (lambda: eg.optimizers.SGD(0.1, nestrov=True), TypeError, "did you mean 'nesterov'"),
        (lambda: eg.optimizers.SGD(convention="tf1"), ValueError, "no default"),
        (lambda: eg.optimizers.SGD(0.1, 0.0, True, convention="torch"), ValueError, "momentum"),
        (lambda: eg.optimizers.Adam(convention="kears"), ValueError, "did you mean 'keras'"),
        (lambda: eg.optimizers.Adam(epsilon=0.0), ValueError, "epsilon"),
        (lambda: eg.optimizers.get("adm"), ValueError, "did you mean 'adam'"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_loss_that_depends_on_nothing():
    w = eg.tensor([1.0], requires_grad=True)
    other = eg.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="no parameter has a gradient"):
        eg.optimizers.SGD().minimize((other * 2.0).sum(), [w])
