"""Constraints and regularizers: their values, their slopes, and their part in a training step."""

# ruff: noqa: ARG002 - methods have the signatures that they are called with

import numpy as np
import pytest

import evengrad as eg
from evengrad import constraints, layers, optimizers, regularizers

W = np.array([[3.0, 4.0], [0.3, 0.4]])


def brought(constraint, w):
    return constraint(eg.tensor(np.asarray(w))).numpy()


def test_max_norm():
    over_inputs = brought(constraints.MaxNorm(1.0), W)
    expected = [[0.99503719, 0.99503719], [0.09950372, 0.09950372]]
    np.testing.assert_allclose(over_inputs, expected, atol=5e-9)
    over_outputs = brought(constraints.MaxNorm(1.0, axis=1), W)
    np.testing.assert_allclose(over_outputs, [[0.6, 0.8], [0.3, 0.4]], atol=1e-15)
    # Inside the ball: to the bit, unless Keras is asked for.
    np.testing.assert_array_equal(over_outputs[1], W[1])
    np.testing.assert_array_equal(brought(constraints.MaxNorm(1.0, 1, "tf1"), W)[1], W[1])
    norms = np.sqrt((W**2).sum(axis=0))
    keras = brought(constraints.MaxNorm(10.0, convention="keras"), W)
    np.testing.assert_allclose(keras, W * norms / (1e-7 + norms), rtol=1e-15)
    assert (keras < W).all()


def test_max_norm_leaves_random_weights_inside_alone():
    w = np.random.default_rng(0).normal(size=(30, 1000)).astype("float32")
    np.testing.assert_array_equal(brought(constraints.MaxNorm(100.0), w), w)
    got = np.sqrt((brought(constraints.MaxNorm(1.0), w).astype("float64") ** 2).sum(axis=0))
    np.testing.assert_allclose(got, 1.0, rtol=1e-6)


def test_other_constraints():
    np.testing.assert_array_equal(
        brought(constraints.NonNeg(), [-1.0, 0.0, 2.0, -np.inf]), [0.0, 0.0, 2.0, 0.0]
    )
    unit = brought(constraints.UnitNorm(), W)
    np.testing.assert_allclose(unit, W / np.sqrt((W**2).sum(axis=0)), rtol=1e-15)
    np.testing.assert_allclose(
        brought(constraints.UnitNorm(1, "keras"), W),
        W / (1e-7 + np.sqrt((W**2).sum(axis=1, keepdims=True))),
        rtol=1e-15,
    )
    bounded = constraints.MinMaxNorm(1.0, 2.0, axis=1)
    np.testing.assert_allclose(brought(bounded, W), [[1.2, 1.6], [0.6, 0.8]], rtol=1e-15)
    half = constraints.MinMaxNorm(1.0, 2.0, rate=0.5, axis=1)
    np.testing.assert_allclose(brought(half, W), [[2.1, 2.8], [0.45, 0.6]], rtol=1e-14)
    inside = constraints.MinMaxNorm(0.1, 10.0, rate=0.3)
    np.testing.assert_array_equal(brought(inside, W), W)
    for constraint in (constraints.MaxNorm(0.0), constraints.UnitNorm(), bounded):
        np.testing.assert_array_equal(brought(constraint, np.zeros((2, 2))), np.zeros((2, 2)))


W3 = np.array([3.0, -1.0, 0.0, 0.5])


@pytest.mark.parametrize(
    ("regularizer", "penalty", "slope"),
    [
        (regularizers.L1(), 0.045, 0.01 * np.sign(W3)),
        (regularizers.L2(), 0.1025, 0.02 * W3),
        (regularizers.L2(convention="tf1"), 0.05125, 0.01 * W3),
        (regularizers.L2(convention="torch"), 0.05125, 0.01 * W3),
        (regularizers.L1L2(0.01, 0.01), 0.1475, 0.01 * np.sign(W3) + 0.02 * W3),
        (regularizers.L1L2(l2=0.01, convention="tf1"), 0.05125, 0.01 * W3),
    ],
    ids=repr,
)
def test_regularizers(regularizer, penalty, slope):
    w = eg.tensor(W3, requires_grad=True)
    value = regularizer(w)
    assert value.item() == pytest.approx(penalty, rel=1e-14)
    value.backward()
    np.testing.assert_allclose(w.grad.numpy(), slope, rtol=1e-14)


def test_torch_s_l2_is_its_weight_decay():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(24, 3)), rng.normal(size=(24, 1))

    def trained(optimizer, regularizer):
        model = eg.Sequential(
            [
                eg.Input((3,)),
                layers.Dense(1, kernel_regularizer=regularizer, bias_regularizer=regularizer),
            ],
            dtype="float64",
            seed=1,
        )
        model.compile(optimizer, "mse")
        model.fit(x, y, batch_size=8, epochs=5, verbose=0)
        return model.get_weights()

    penalized = trained(optimizers.SGD(0.1, 0.9), regularizers.L2(0.3, "torch"))
    decayed = trained(optimizers.SGD(0.1, 0.9, convention="torch", weight_decay=0.3), None)
    for left, right in zip(penalized, decayed, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12)


def network(eager=False, optimizer=None, **settings):
    model = eg.Sequential(
        [eg.Input((3,)), layers.Dense(4, "tanh", **settings), layers.Dense(1)],
        dtype="float64",
        seed=3,
    )
    model.compile(optimizer or optimizers.SGD(0.5), "mse", ["mse"], run_eagerly=eager)
    return model


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    return rng.normal(size=(40, 3)), 5 * rng.normal(size=(40, 1))


def test_penalties_are_in_the_reported_loss(data):
    x, y = data
    settings = {"kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l1"}
    model = network(bias_initializer="ones", **settings)
    kernel, bias, *_ = model.get_weights()
    of_variables = 0.01 * (kernel**2).sum() + 0.01 * np.abs(bias).sum()
    of_outputs = 0.01 * np.abs(np.tanh(x @ kernel + bias)).sum() / 40
    loss, mse = model.evaluate(x, y, batch_size=40)
    assert loss == pytest.approx(mse + of_variables + of_outputs, rel=1e-12)
    model(x)
    assert sum(p.item() for p in model.losses) == pytest.approx(of_variables + of_outputs)
    assert model.train_on_batch(x, y)[0] == pytest.approx(loss, rel=1e-12)
    model.layers[0].trainable = False
    model(x)
    assert sum(p.item() for p in model.losses) == pytest.approx(
        0.01
        * np.abs(np.tanh(x @ model.layers[0].kernel.numpy() + model.layers[0].bias.numpy())).sum()
        / 40
    )


@pytest.mark.parametrize("eager", [False, True])
def test_an_activity_penalty_is_that_of_a_row_for_any_batch(data, eager):
    x, y = data
    kernel, bias, *_ = network().get_weights()
    of_row = 0.01 * np.abs(np.tanh(x @ kernel + bias)).sum() / 40
    for size in (40, 8, 5, 1):
        model = network(eager=eager, activity_regularizer="l1")
        loss, mse = model.evaluate(x, y, batch_size=size)
        assert loss - mse == pytest.approx(of_row, rel=1e-9)
        model.compile(optimizers.SGD(0.0), "mse", run_eagerly=eager)
        history = model.fit(x, y, batch_size=size, verbose=0).history
        assert history["loss"][0] == pytest.approx(loss, rel=1e-12)


def test_penalties_have_gradients_in_captured_steps(data):
    x, y = data
    settings = {"kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2"}
    one, two = network(**settings), network(eager=True, **settings)
    plain = network()
    for model in (one, two, plain):
        model.fit(x, y, epochs=4, batch_size=16, verbose=0)
    for left, right, other in zip(
        one.get_weights(), two.get_weights(), plain.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(left, right)
        assert (left != other).any()


def test_an_activity_penalty_keeps_a_softmax_from_being_fused(data):
    x, _ = data
    labels = np.arange(40) % 3

    def losses(regularizer):
        model = eg.Sequential(
            [eg.Input((3,)), layers.Dense(3, "softmax", activity_regularizer=regularizer)], seed=1
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model.evaluate(x, labels, batch_size=40), model.predict(x)

    plain, _ = losses(None)
    loss, outputs = losses(lambda y: (y**2).sum())
    assert loss == pytest.approx(plain + (outputs**2).sum() / 40, rel=1e-5)


@pytest.mark.parametrize("eager", [False, True])
def test_constraints_hold_after_every_update(data, eager):
    x, y = data
    seen = []
    model = network(eager, kernel_constraint=constraints.MaxNorm(0.5), bias_constraint="non_neg")

    class Watch(eg.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kernel, bias, *_ = self.model.get_weights()
            seen.append((np.sqrt((kernel**2).sum(axis=0)).max(), bias.min()))

    model.fit(x, y, epochs=3, batch_size=8, verbose=0, callbacks=[Watch()])
    norms, least = np.array(seen).T
    assert len(norms) == 15
    assert norms.max() <= 0.5 * (1 + 1e-12)
    assert norms.max() > 0.499
    assert least.min() == 0.0


def test_captured_and_eager_constraints_have_the_same_bits(data):
    x, y = data
    settings = {"kernel_constraint": constraints.MaxNorm(0.5), "bias_constraint": "unit_norm"}
    one, two = network(**settings), network(eager=True, **settings)
    for model in (one, two):
        model.fit(x, y, epochs=4, batch_size=16, verbose=0)
    for left, right in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_step_with_everything_against_numpy(data):
    """Clip, decay, update, constrain: in this order."""
    x, y = data
    optimizer = optimizers.SGD(0.5, weight_decay=0.2, clipvalue=0.1)
    model = eg.Sequential(
        [
            eg.Input((3,)),
            layers.Dense(
                1,
                use_bias=False,
                kernel_initializer="ones",
                kernel_regularizer="l2",
                kernel_constraint=constraints.MaxNorm(1.0),
            ),
        ],
        dtype="float64",
    )
    model.compile(optimizer, "mse")
    w = np.ones((3, 1))
    model.fit(x, y, batch_size=40, epochs=6, shuffle=False, verbose=0)
    for _ in range(6):
        g = 2 * x.T @ (x @ w - y) / 40 + 0.02 * w
        w = w - 0.5 * 0.2 * w
        w = w - 0.5 * np.clip(g, -0.1, 0.1)
        w = w / max(1.0, np.sqrt((w**2).sum()))
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-12)


def test_a_loop_of_one_s_own_is_constrained_too():
    layer = layers.Dense(2, kernel_constraint="unit_norm", dtype="float64")
    x = np.ones((4, 3))
    layer(x)
    optimizers.SGD(0.1).minimize(layer(x).square().mean(), layer.trainable_weights)
    np.testing.assert_allclose((layer.kernel.numpy() ** 2).sum(axis=0), 1.0, rtol=1e-14)


def test_they_are_saved(data, tmp_path):
    x, y = data
    model = network(
        kernel_regularizer=regularizers.L1L2(0.01, 0.02, "tf1"),
        activity_regularizer="l1",
        kernel_constraint=constraints.MinMaxNorm(0.1, 0.9, 0.5, axis=(0,), convention="keras"),
        bias_constraint="max_norm",
    )
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert repr(again.layers[0]) == repr(model.layers[0])
    for one in (model, again):
        one.fit(x, y, epochs=2, verbose=0)
    for left, right in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: layers.Dense(1, kernel_constraint="max_nrm"),
            ValueError,
            "kernel_constraint.*did",
        ),
        (lambda: layers.Dense(1, kernel_regularizer=0.1), TypeError, "kernel_regularizer"),
        (lambda: layers.Dense(1, bias_constraint=constraints.NonNeg), TypeError, "bias_constraint"),
        (lambda: constraints.MaxNorm(-1.0), ValueError, "max_value"),
        (lambda: constraints.MaxNorm(convention="torhc"), ValueError, "did you mean 'torch'"),
        (lambda: constraints.MaxNorm(axis=1.5), TypeError, r"axis: expected an integer or .* 1.5"),
        (lambda: constraints.UnitNorm(axis=(0, "1")), TypeError, "axis: expected an integer"),
        (lambda: constraints.MinMaxNorm(axis=()), ValueError, "axis: expected at least one"),
        (
            lambda: layers.Dense(2, bias_constraint=constraints.MaxNorm(1.0, axis=1)).build((1, 3)),
            ValueError,
            r"dense/bias: axis: MaxNorm\(.*axis=1\) .* dimension 1, which shape \(2,\) lacks",
        ),
        (
            lambda: constraints.MaxNorm(1.0, axis=(0, 2))(eg.ones((2, 2))),
            ValueError,
            "MaxNorm: axis: .* dimension 2",
        ),
        (lambda: constraints.MinMaxNorm(2.0, 1.0), ValueError, "max_value"),
        (lambda: regularizers.L2(-0.1), ValueError, "l2"),
        (lambda: regularizers.get("l3"), ValueError, "regularizer"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_constraint_of_the_wrong_shape_is_named():
    layer = layers.Dense(2, kernel_constraint=lambda w: w.sum())
    layer(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"expected to return a tensor of shape \(3, 2\)"):
        optimizers.SGD(0.1).minimize(layer(np.ones((1, 3))).sum(), layer.trainable_weights)


# The ends of both ranges: squares of 1e20 and 1e-25 are no float32, those of 1e±200 no float64.
EXTREMES = [
    *(("float32", size) for size in (1e20, 8e37, 1e-25, 1e-38)),
    *(("float64", size) for size in (1e200, 4e307, 1e-200, 1e-307)),
]


@pytest.mark.parametrize(("dtype", "size"), EXTREMES)
@pytest.mark.parametrize("convention", ["exact", "torch", "tf1"])
def test_weights_whose_squares_leave_the_range(dtype, size, convention):
    w = np.array([[3.0 * size, 0.0, 3.0], [4.0 * size, 0.0, 4.0]], dtype)
    unit = np.array([0.6, 0.8])
    close = 1e-6 if dtype == "float32" else 1e-15

    def check(constraint, expected, rtol=close):
        got = constraint(eg.tensor(w)).numpy()
        np.testing.assert_allclose(got[:, 0], expected, rtol=rtol, atol=0)
        np.testing.assert_array_equal(got[:, 1], 0.0)

    short = size < 1.0
    # PyTorch's ε in a norm of 5, which has no place beside a large one.
    check(constraints.MaxNorm(1.0, convention=convention), w[:, 0] if short else unit)
    check(constraints.UnitNorm(convention=convention), unit)
    bounded = unit * (0.5 if short else 2.0)
    check(constraints.MinMaxNorm(0.5, 2.0, convention=convention), bounded)
    middle = (w[:, 0].astype("longdouble") + bounded) / 2
    check(constraints.MinMaxNorm(0.5, 2.0, 0.5, convention=convention), middle)
    if short:
        inside = constraints.MaxNorm(10.0, convention=convention)(eg.tensor(w)).numpy()
        np.testing.assert_array_equal(inside, w)


@pytest.mark.parametrize(("dtype", "size"), EXTREMES)
def test_keras_form_at_the_ends_of_the_range(dtype, size):
    w = np.array([[3.0], [4.0]]) * size
    rtol = 2e-6 if dtype == "float32" else 1e-14
    long = w.astype("longdouble")
    norm = np.sqrt((long**2).sum())
    for constraint, wanted in (
        (constraints.MaxNorm(1.0, convention="keras"), min(norm, 1.0)),
        (constraints.UnitNorm(convention="keras"), 1.0),
        (constraints.MinMaxNorm(0.5, 2.0, convention="keras"), min(max(norm, 0.5), 2.0)),
    ):
        got = constraint(eg.tensor(w, dtype=dtype)).numpy()
        tiny = np.finfo(dtype).tiny
        np.testing.assert_allclose(got, long * (wanted / (norm + 1e-7)), rtol=rtol, atol=tiny)


def test_max_norm_under_torch_is_renorm():
    """w · r / (‖w‖ + 1e-7) outside the ball, which `torch.renorm` has; inside w, to the bit."""
    w = np.array([[3.0, 0.3, 0.6], [4.0, 0.4, 0.8]])
    got = constraints.MaxNorm(1.0, convention="torch")(eg.tensor(w)).numpy()
    np.testing.assert_allclose(got[:, 0], w[:, 0] / 5.0000001, rtol=1e-15)
    np.testing.assert_array_equal(got[:, 1:], w[:, 1:])


@pytest.mark.parametrize("kind", ["MaxNorm", "UnitNorm", "MinMaxNorm"])
def test_what_is_no_number_is_not_hidden(kind):
    w = eg.tensor([[np.nan, 3.0], [1.0, 4.0]])
    got = getattr(constraints, kind)()(w).numpy()
    assert np.isnan(got[0, 0])
    assert np.isfinite(got[:, 1]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["MaxNorm", "UnitNorm", "MinMaxNorm"])
def test_large_weights_in_fit(dtype, kind):
    """They come back into the ball, and captured steps have the bits of eager ones."""
    size = 1e20 if dtype == "float32" else 1e200

    def trained(eager):
        constraint = getattr(constraints, kind)()
        model = eg.Sequential(
            [eg.Input((2,)), layers.Dense(3, use_bias=False, kernel_constraint=constraint)],
            dtype=dtype,
        )
        model.compile(optimizers.SGD(1e-3), "mae", run_eagerly=eager)
        model.set_weights([np.array([[3.0, -4.0, 6.0], [4.0, 3.0, 8.0]]) * size])
        model.fit(np.ones((8, 2)), np.zeros((8, 3)), batch_size=4, verbose=0)
        return model.get_weights()[0]

    captured = trained(False)
    np.testing.assert_array_equal(captured, trained(True))
    assert 0.9 < np.sqrt((captured**2).sum(axis=0)).max() < 2.1
