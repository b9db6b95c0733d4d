"""Layer normalization: against NumPy, its gradient, captured, saved."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers


@pytest.fixture
def rng():
    return np.random.default_rng(12)


def normalized(x, epsilon):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (3, 4, 6)])
def test_values(rng, dtype, shape):
    x = rng.normal(3, 2, size=shape).astype(dtype)
    normal = eg.initializers.RandomNormal(stddev=1.0)
    layer = layers.LayerNormalization(
        0.1, beta_initializer=normal, gamma_initializer=normal, dtype=dtype
    )
    y = layer(x, training=True)
    gamma, beta = layer.get_weights()
    expected = normalized(x.astype("float64"), 0.1) * gamma + beta
    close = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=close, atol=close)
    np.testing.assert_array_equal(layer(x).detach().numpy(), y.detach().numpy())
    rows = [layer(x[i : i + 1]).detach().numpy() for i in range(len(x))]
    np.testing.assert_array_equal(np.concatenate(rows), y.detach().numpy())


def test_gradients(rng):
    layer = layers.LayerNormalization(0.1, center=False, scale=False, dtype="float64")
    x, weights = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    leaf = eg.tensor(x, requires_grad=True)
    [found] = eg.autograd.grad((layer(leaf) * weights).sum(), [leaf])
    for index in np.ndindex(x.shape):
        sides = []
        for step in (1e-5, -1e-5):
            moved = x.copy()
            moved[index] += step
            sides.append((normalized(moved, 0.1) * weights).sum())
        assert found.numpy()[index] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-7)
    np.testing.assert_allclose(found.numpy().sum(1), 0, atol=1e-13)


def test_any_number_of_layers_passes_rows_in_one_go(rng):
    x, y = rng.normal(size=(64, 20)).astype("float32"), rng.integers(0, 3, 64)

    def phases(count):
        norms = [layers.LayerNormalization() if i < count else None for i in range(4)]
        model = eg.Sequential([*[layers.Dense(16, "tanh", norm=n) for n in norms], layers.Dense(3)])
        model.build((None, 20))
        optimizer = eg.optimizers.SGD(0.1)

        @eg.compile
        def step(rows, labels):
            loss = eg.functional.cross_entropy(model(rows, training=True), labels)
            optimizer.minimize(loss, model.trainable_weights)
            return loss

        step(x, y)
        return step.plans()[0]["phases"]

    assert [phases(count) for count in (0, 1, 4)] == [2, 2, 2]


@pytest.mark.parametrize("given", ["", "weight", "bias", "weight bias"])
def test_the_function_and_its_gradients(rng, given):
    shape = (3, 4)
    arguments = {name: eg.tensor(rng.normal(size=shape)) for name in given.split()}
    x = eg.tensor(rng.normal(3, 2, size=(2, 5, *shape)))
    y = eg.functional.layer_norm(x, shape, **arguments, eps=0.3)
    flat = x.numpy().reshape(10, 12)
    expected = normalized(flat, 0.3).reshape(x.shape)
    expected = expected * (arguments["weight"].numpy() if "weight" in arguments else 1)
    expected = expected + (arguments["bias"].numpy() if "bias" in arguments else 0)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)

    def of(x, *rest):
        named = dict(zip(arguments, rest, strict=True))
        return eg.functional.layer_norm(x, shape, **named, eps=0.3)

    assert eg.autograd.gradcheck(of, [x, *arguments.values()])


def test_trains_saves_and_repeats_its_bits(rng, tmp_path):
    x = rng.normal(size=(203, 12)).astype("float32")
    y = (x[:, 0] > 0).astype(int)

    def trained(run_eagerly):
        norms = [layers.LayerNormalization() for _ in range(2)]
        hidden = [layers.Dense(16, "tanh", norm=norm) for norm in norms]
        model = eg.Sequential([*hidden, layers.Dense(2, "softmax")], seed=5)
        optimizer = eg.optimizers.Adam(0.01)
        model.compile(
            optimizer, "sparse_categorical_crossentropy", ["accuracy"], run_eagerly=run_eagerly
        )
        history = model.fit(x, y, epochs=10, verbose=0)
        assert history.history["accuracy"][-1] > 0.9
        return model

    captured, eager = trained(False), trained(True)
    for a, b in zip(captured.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    captured.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net")
    np.testing.assert_array_equal(again.predict(x), captured.predict(x))


def test_what_does_not_fit():
    layer = layers.LayerNormalization()
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"expected an input of shape \(rows, 3\)"):
        layer(np.ones((2, 4)))
    with pytest.raises(ValueError, match="epsilon"):
        layers.LayerNormalization(-1.0)
