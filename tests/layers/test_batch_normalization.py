"""Batch normalization: against NumPy and the conventions' figures, captured, frozen, saved."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import evengrad as eg
from evengrad import layers


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def normalized(x, gamma=1.0, beta=0.0, epsilon=1e-3):
    """Return the training output and the statistics, in NumPy's words."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta, mean, variance


# On x = 0, 1, 2, 3 from fresh statistics.
MOVED = {"keras": (0.015, 1.0025), "torch": (0.15, 1 + 0.1 * 2 / 3), "tf1": (0.0015, 1 + 2e-3 / 3)}


@pytest.mark.parametrize("convention", MOVED)
def test_moving_statistics_of_each_convention(convention):
    layer = layers.BatchNormalization(convention=convention, dtype="float64")
    layer([[0.0], [1.0], [2.0], [3.0]], training=True)
    moved = [layer.moving_mean.item(), layer.moving_variance.item()]
    np.testing.assert_allclose(moved, MOVED[convention], rtol=1e-14)
    names = [path for path, _ in layer.named_weights()]
    assert ("gamma" in names) is (convention != "tf1")


def test_explicit_arguments_win():
    layer = layers.BatchNormalization(0.5, 0.25, scale=True, convention="tf1")
    assert (layer.momentum, layer.epsilon, layer.scale) == (0.5, 0.25, True)
    assert repr(layer) == (
        "BatchNormalization(momentum=0.5, epsilon=0.25, scale=True, convention='tf1')"
    )
    assert repr(layers.BatchNormalization(convention="torch")) == (
        "BatchNormalization(convention='torch')"
    )
    again = layers.BatchNormalization(**layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 3), (50, 7), (4, 5, 6), (2, 3, 2, 5)])
def test_values(rng, dtype, shape):
    x = rng.normal(3, 2, size=shape).astype(dtype)
    layer = layers.BatchNormalization(0.75, gamma_initializer="he_normal", dtype=dtype)
    layer.gamma_initializer = eg.initializers.RandomNormal(stddev=1.0)
    layer.beta_initializer = eg.initializers.RandomNormal(stddev=1.0)
    y = layer(x, training=True)
    gamma, beta, moving_mean, moving_variance = layer.get_weights()
    expected, mean, variance = normalized(x.astype("float64"), gamma, beta)
    close = {"rtol": 1e-5, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    assert y.shape == shape
    assert y.dtype == dtype
    np.testing.assert_allclose(y.detach().numpy(), expected, **close)
    np.testing.assert_allclose(moving_mean, 0.25 * mean, **close)
    np.testing.assert_allclose(moving_variance, 0.75 + 0.25 * variance, **close)
    fixed = (x - moving_mean) / np.sqrt(moving_variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(x).detach().numpy(), fixed, **close)


@pytest.mark.parametrize("training", [True, False])
def test_gradients(rng, training):
    values = [rng.normal(size=(6, 3)), rng.normal(size=3), rng.normal(size=3)]
    weights = rng.normal(size=(6, 3))
    mean, variance = eg.tensor(rng.normal(size=3)), eg.tensor(rng.uniform(0.5, 2, size=3))

    def loss(x, gamma, beta):
        state = [mean.clone(), variance.clone()]
        y = eg.functional.batch_norm(x, *state, gamma, beta, training=training, eps=0.1)
        return (y * weights).sum()

    leaves = [eg.tensor(value, requires_grad=True) for value in values]
    found = eg.autograd.grad(loss(*leaves), leaves)
    for i, value in enumerate(values):
        for index in np.ndindex(value.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = [v.copy() for v in values]
                moved[i][index] += step
                sides.append(loss(*map(eg.tensor, moved)).item())
            numeric = (sides[0] - sides[1]) / 2e-5
            assert found[i].numpy()[index] == pytest.approx(numeric, rel=1e-6, abs=1e-8)
    if training:
        np.testing.assert_allclose(found[0].numpy().sum(0), 0, atol=1e-13)


def test_functional_has_features_in_dimension_one(rng):
    x = rng.normal(size=(4, 3, 5))
    mean, variance = eg.tensor(np.zeros(3)), eg.tensor(np.ones(3))
    y = eg.functional.batch_norm(x, mean, variance, training=True)
    expected, mu, var = normalized(x.transpose(0, 2, 1), epsilon=1e-5)
    np.testing.assert_allclose(y.numpy(), expected.transpose(0, 2, 1), rtol=1e-12)
    np.testing.assert_allclose(mean.numpy(), 0.1 * mu)
    np.testing.assert_allclose(variance.numpy(), 0.9 + 0.1 * var * 20 / 19)
    np.testing.assert_allclose(
        eg.functional.batch_norm(x, None, None, training=True).numpy(), y.numpy()
    )
    with pytest.raises(ValueError, match="moving_mean and moving_variance"):
        eg.functional.batch_norm(x, None, None)
    with pytest.raises(ValueError, match="more than one value per feature"):
        eg.functional.batch_norm(x[:1, :, 0], mean, variance, training=True)


def test_a_batch_of_one():
    for convention in ("keras", "tf1"):
        layer = layers.BatchNormalization(0.5, convention=convention, beta_initializer="ones")
        assert layer([[7.0, -3.0]], training=True).tolist() == [[1.0, 1.0]]
        assert layer.moving_variance.tolist() == [0.5, 0.5]
    layer = layers.BatchNormalization(convention="torch", name="norm")
    with pytest.raises(ValueError, match=r"norm: expected at least two rows .*choose a batch size"):
        layer([[7.0, -3.0]], training=True)
    assert layer.moving_variance.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_batch_of_one(dtype):
    """x̂ = 0 whatever x is: nothing reaches x or γ, and β takes all."""
    layer = layers.BatchNormalization(dtype=dtype, gamma_initializer="ones")
    x = eg.tensor([[7.0, -3.0, 1e30]], dtype=dtype, requires_grad=True)
    loss = (layer(x, training=True) * eg.tensor([[2.0, 3.0, 4.0]], dtype=dtype)).sum()
    of_x, of_gamma, of_beta = eg.autograd.grad(loss, [x, layer.gamma, layer.beta])
    assert of_x.tolist() == [[0.0, 0.0, 0.0]]
    assert of_gamma.tolist() == [0.0, 0.0, 0.0]
    assert of_beta.tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("rows", [2, 7, 64])
@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 2.0])
def test_what_holds_for_every_gradient(rng, rows, epsilon):
    """Σ dx = 0, and Σ dx · x̂ = γ / √(σ² + ε) · Σ(dy · x̂) · ε / (σ² + ε)."""
    values, dy = rng.normal(2.0, 3.0, size=(rows, 4)), rng.normal(size=(rows, 4))
    gamma = rng.normal(size=4)
    x = eg.tensor(values, requires_grad=True)
    y = eg.functional.batch_norm(x, None, None, eg.tensor(gamma), training=True, eps=epsilon)
    (dx,) = eg.autograd.grad((y * dy).sum(), [x])
    dx = dx.numpy()
    spread = values.var(axis=0) + epsilon
    hat = (values - values.mean(axis=0)) / np.sqrt(spread)
    np.testing.assert_allclose(dx.sum(axis=0), 0.0, atol=1e-12)
    expected = gamma / np.sqrt(spread) * (dy * hat).sum(axis=0) * epsilon / spread
    np.testing.assert_allclose((dx * hat).sum(axis=0), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_leftover_batch_of_one_in_fit(rng, dtype):
    """Captured steps have the bits of eager ones; moving variances take 0 for it."""
    x, y = rng.normal(size=(33, 3)), rng.normal(size=(33, 1))

    def trained(eager, rows=33):
        parts = [
            eg.Input((3,)),
            layers.Dense(4, norm=layers.BatchNormalization(0.5)),
            layers.Dense(1),
        ]
        model = eg.Sequential(parts, dtype=dtype, seed=2)
        model.compile(eg.optimizers.SGD(0.01), "mse", run_eagerly=eager)
        settings = {"batch_size": 16, "shuffle": False, "verbose": 0}
        model.fit(x[:rows], y[:rows], epochs=1, **settings)
        return model

    captured, eager, before = trained(False), trained(True), trained(False, 32)
    assert same(captured, eager)
    assert all(np.isfinite(w).all() for w in captured.get_weights())
    after_one, after_none = captured.layers[0], before.layers[0]
    np.testing.assert_array_equal(
        after_one.norm.moving_variance.numpy(), 0.5 * after_none.norm.moving_variance.numpy()
    )
    # What lies before the normalization learns nothing from one row.
    np.testing.assert_array_equal(
        after_one.kernel.detach().numpy(), after_none.kernel.detach().numpy()
    )


def test_what_does_not_fit():
    layer = layers.BatchNormalization()
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"expected an input of shape \(rows, 3\)"):
        layer(np.ones((2, 4)))
    with pytest.raises(ValueError, match="momentum: expected a number in"):
        layers.BatchNormalization(1.5)
    with pytest.raises(ValueError, match="keras"):
        layers.BatchNormalization(convention="kerras")
    with pytest.raises(TypeError, match="norm: expected a layer"):
        layers.Dense(2, norm=layers.BatchNormalization)
    with pytest.raises(ValueError, match="before"):
        layers.Dense(2, norm=layers.BatchNormalization(), norm_position="befor")


def network(run_eagerly=False, position="before", dtype=None, **settings):
    def hidden(units):
        norm = layers.BatchNormalization(0.9, **settings)
        return layers.Dense(units, "relu", norm=norm, norm_position=position)

    model = eg.Sequential(
        [hidden(19), layers.BatchNormalization(), hidden(16), layers.Dense(3, "softmax")],
        seed=4,
        dtype=dtype,
    )
    model.compile(
        eg.optimizers.Adam(0.01), "sparse_categorical_crossentropy", run_eagerly=run_eagerly
    )
    return model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(203, 12)).astype("float32")
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.3)


def same(left, right):
    pairs = zip(left.get_weights(), right.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("position", ["before", "after"])
def test_every_way_of_training_gives_the_same_bits(data, position, dtype):
    x, y = data
    expected = network(position=position, dtype=dtype)
    before = eg.get_num_threads()
    expected.fit(x, y, batch_size=32, epochs=3, verbose=0)
    eager = network(True, position, dtype)
    eager.fit(x, y, batch_size=32, epochs=3, verbose=0)
    assert same(expected, eager)
    try:
        for threads in (1, 2, 3, 8):
            eg.set_num_threads(threads)
            model = network(position=position, dtype=dtype)
            model.fit(x, y, batch_size=32, epochs=3, verbose=0)
            assert same(expected, model)
    finally:
        eg.set_num_threads(before)
    np.testing.assert_array_equal(
        expected.predict(x, batch_size=7), expected.predict(x, batch_size=203)
    )


def test_compiled_steps_have_the_bits_of_eager_ones(data):
    x, y = data

    def trained(wrap):
        model = network()
        model.build((None, 12))
        optimizer = eg.optimizers.Adam(0.01)

        def step(rows, labels):
            logits = model(rows, training=True)
            loss = eg.functional.cross_entropy(logits, labels)
            optimizer.minimize(loss, model.trainable_weights)
            return loss

        step = wrap(step)
        losses = [step(eg.tensor(x[i : i + 50]), eg.tensor(y[i : i + 50])).item() for i in range(9)]
        return model, losses

    (eager, left), (compiled, right) = trained(lambda step: step), trained(eg.compile)
    assert left == right
    assert same(eager, compiled)


@pytest.mark.parametrize("affine", [True, False])
def test_frozen_is_inference_even_in_training(data, affine):
    x, y = data
    norm = layers.BatchNormalization(center=affine, scale=affine)
    model = eg.Sequential([eg.Input((12,)), norm, layers.Dense(3, "softmax")], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=1, verbose=0)
    kept = [np.array(w) for w in norm.get_weights()]
    norm.trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=2, verbose=0)
    for before, after in zip(kept, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(norm(x, training=True).detach().numpy(), norm(x).detach().numpy())
    norm.trainable = True
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=1, verbose=0)
    assert not np.array_equal(kept[-1], norm.get_weights()[-1])


def test_freezing_between_two_captured_epochs_is_seen(data):
    x, y = data
    norm = layers.BatchNormalization(center=False, scale=False)
    model = eg.Sequential([norm, layers.Dense(3, "softmax")], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy")
    seen = []

    class Freeze(eg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            del epoch, logs
            seen.append(norm.moving_mean.numpy().copy())
            norm.trainable = False

    model.fit(x, y, epochs=2, verbose=0, callbacks=[Freeze()])
    np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize("position", ["before", "after"])
def test_norm_of_a_dense_layer(rng, position):
    x = rng.normal(size=(20, 5))
    layer = layers.Dense(
        4, "tanh", norm=layers.BatchNormalization(), norm_position=position, dtype="float64"
    )
    y = layer(x, training=True).detach().numpy()
    kernel = layer.kernel.detach().numpy()
    if position == "before":
        assert layer.bias is None
        expected = np.tanh(normalized(x @ kernel)[0])
        assert layer.final_activation == "tanh"
    else:
        expected = normalized(np.tanh(x @ kernel + layer.bias.detach().numpy()))[0]
        assert layer.final_activation is None
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-13)
    asked = layers.Dense(4, use_bias=True, norm=layers.BatchNormalization())
    asked(x)
    assert asked.bias is not None
    assert "use_bias=True" in repr(asked)


def test_normalized_logits_fuse_with_the_loss(data):
    x, y = data
    head = layers.Dense(3, "softmax", norm=layers.BatchNormalization())
    model = eg.Sequential([head], seed=2)
    model.compile(eg.optimizers.Adam(0.02), "sparse_categorical_crossentropy", ["accuracy"])
    history = model.fit(x, y, epochs=20, verbose=0)
    assert history.history["accuracy"][-1] > 0.7


def test_summary_counts():
    model = network()
    model.build((None, 12))
    summary = model.summary()
    assert summary.parameters == (12 * 19 + 4 * 19) + 4 * 19 + (19 * 16 + 4 * 16) + 17 * 3
    assert summary.parameters - summary.trainable == 2 * (19 + 19 + 16)


@pytest.mark.parametrize("convention", MOVED)
def test_saved_and_loaded(data, tmp_path, convention):
    x, y = data
    model = network(convention=convention, position="after")
    model.fit(x, y, batch_size=40, epochs=2, verbose=0)
    model.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net")
    assert same(model, again)
    np.testing.assert_array_equal(model.predict(x), again.predict(x))
    for one in (model, again):
        one.fit(x, y, batch_size=40, epochs=1, verbose=0)
    assert same(model, again)


def test_without_it_a_deep_logistic_net_stays_at_chance():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    rows = np.random.default_rng(0).permutation(len(x))
    train, test = rows[:1437], rows[1437:]

    def accuracy(normalize):
        hidden = [
            layers.Dense(100, "sigmoid", norm=layers.BatchNormalization(0.9) if normalize else None)
            for _ in range(6)
        ]
        model = eg.Sequential([*hidden, layers.Dense(10, "softmax")], seed=3)
        optimizer = eg.optimizers.SGD(0.01, momentum=0.9)
        model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
        model.fit(x[train], y[train], batch_size=32, epochs=12, verbose=0)
        return model.evaluate(x[test], y[test], verbose=0, return_dict=True)["accuracy"]

    assert accuracy(False) < 0.2
    assert accuracy(True) > 0.9


@pytest.mark.parametrize(("rows", "barriers"), [(256, 2), (251, 4)])
def test_one_barrier_forward_and_one_backward(rng, rows, barriers):
    """A batch that chunks divide; any other takes its statistics down whole columns: two more."""
    x, y = rng.normal(size=(rows, 80)).astype("float32"), rng.integers(0, 3, rows)

    def counts(count):
        norms = [layers.BatchNormalization() if i < count else None for i in range(3)]
        model = eg.Sequential([*[layers.Dense(96, "relu", norm=n) for n in norms], layers.Dense(3)])
        model.build((None, 80))
        optimizer = eg.optimizers.SGD(0.1)

        @eg.compile
        def step(rows, labels):
            loss = eg.functional.cross_entropy(model(rows, training=True), labels)
            optimizer.minimize(loss, model.trainable_weights)
            return loss

        step(x, y)
        facts = step.plans()[0]
        return np.array([facts["phases"], facts["barriers"]])

    plain = counts(0)
    for count in (1, 2, 3):
        np.testing.assert_array_equal(counts(count) - plain, [4 * count, barriers * count])
