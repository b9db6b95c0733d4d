"""Recurrent layers against an independent statement, closed forms, and central differences."""

import numpy as np
import pytest
from recurrent_statements import KINDS, OTHERS, by_hand, fill, make

import evengrad as eg
from evengrad import layers


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# ---- values


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_values(kind, go_backwards, use_bias, rng):
    x = rng.normal(size=(4, 6, 2))
    options = {"go_backwards": go_backwards, "use_bias": use_bias}
    layer = fill(make(kind, return_sequences=True, return_state=True, **options), x.shape, rng)
    outputs, states = by_hand(layer, x)
    got, *got_states = layer(x)
    np.testing.assert_allclose(got.numpy(), outputs, rtol=1e-12, atol=1e-14)
    for one, other in zip(got_states, states, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(got[:, -1].numpy(), got_states[0].numpy())
    plain = make(kind, **options)
    plain(x)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(plain(x).numpy(), outputs[:, -1], rtol=1e-12, atol=1e-14)
    # A row is the same alone, and a single step is a sequence as well.
    np.testing.assert_array_equal(plain(x[1:2]).numpy(), plain(x).numpy()[1:2])
    np.testing.assert_allclose(plain(x[:, :1]).numpy(), by_hand(plain, x[:, :1])[1][0], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_first_states(kind, rng):
    x = rng.normal(size=(4, 6, 2))
    layer = fill(make(kind, return_state=True), x.shape, rng)
    _, *states = layer(x[:, :2])
    resumed = layer([x[:, 2:], *states])
    whole = layer(x)
    for one, other in zip(resumed, whole, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-13, atol=1e-15)
    given = [rng.normal(size=(4, 3)) for _ in states]
    expected = by_hand(layer, x, given)[1]
    for one, other in zip(layer([x, *given])[1:], expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_float32(kind, rng):
    x = rng.normal(size=(4, 20, 2))
    layer = fill(make(kind, 5), x.shape, rng)
    cls, given = KINDS[kind]
    single = cls(5, **given)
    single(x.astype("float32"))
    single.set_weights(layer.get_weights())
    got = single(x.astype("float32"))
    assert got.dtype == "float32"
    np.testing.assert_allclose(got.numpy(), layer(x).numpy(), atol=2e-5)


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_no_rows(kind):
    layer = make(kind, return_sequences=True, return_state=True)
    x = eg.tensor(np.zeros((0, 4, 2)), requires_grad=True)
    outputs, *states = layer(x)
    assert outputs.shape == (0, 4, 3)
    assert all(state.shape == (0, 3) for state in states)
    outputs.sum().backward()
    assert x.grad.shape == x.shape
    assert not any(weight.grad.numpy().any() for weight in layer.trainable_weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_inputs_saturate(kind, dtype, rng):
    layer = KINDS[kind][0](3, dtype=dtype, **KINDS[kind][1])
    x = eg.tensor(rng.normal(size=(4, 6, 2)) * 1e6, dtype=dtype, requires_grad=True)
    output = layer(x)
    output.sum().backward()
    assert np.isfinite(output.numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()
    assert all(np.isfinite(w.grad.numpy()).all() for w in layer.trainable_weights)


def test_an_lstm_that_keeps_everything_is_a_sum(rng):
    """All gates open: c is the sum of the steps, and each has the same share in the gradient."""
    x = eg.tensor(rng.normal(size=(3, 50, 1)), requires_grad=True)
    layer = layers.LSTM(1, dtype="float64", return_state=True)
    layer(x)
    # f, i and o at 1 to the last bit; g = tanh(x).
    layer.set_weights([np.array([[0.0, 0, 1, 0]]), np.zeros((1, 4)), np.array([40.0, 40, 0, 40])])
    h, _, c = layer(x)
    total = np.tanh(x.numpy()).sum(axis=1)
    np.testing.assert_allclose(c.numpy(), total, rtol=1e-12)
    np.testing.assert_allclose(h.numpy(), np.tanh(total), rtol=1e-12)
    c.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 - np.tanh(x.numpy()) ** 2, rtol=1e-10)


def test_an_lstm_that_forgets_sees_the_last_step(rng):
    x = rng.normal(size=(3, 9, 1))
    layer = layers.LSTM(1, dtype="float64")
    layer(x)
    layer.set_weights([np.array([[0.0, 0, 1, 0]]), np.zeros((1, 4)), np.array([40.0, -40, 0, 40])])
    np.testing.assert_allclose(layer(x).numpy(), np.tanh(np.tanh(x[:, -1])), rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_gru_that_keeps_everything_stays(reset_after, rng):
    x, h = rng.normal(size=(3, 9, 2)), rng.normal(size=(3, 4))
    layer = layers.GRU(4, reset_after=reset_after, dtype="float64")
    layer([x, h])
    bias = np.zeros(layer.bias.shape)
    bias[..., :4] = 40.0
    layer.set_weights([np.zeros((2, 12)), np.zeros((4, 12)), bias])
    np.testing.assert_allclose(layer([x, h]).numpy(), h, rtol=1e-12)


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_gradients_through_a_linear_recurrence_grow_as_its_powers(gain, rng):
    """With an orthogonal recurrent kernel times `gain`, 30 steps scale a gradient by gain³⁰."""
    start = eg.tensor(rng.normal(size=(1, 6)), requires_grad=True)
    layer = layers.SimpleRNN(
        6,
        None,
        recurrent_initializer=eg.initializers.Orthogonal(gain),
        dtype="float64",
    )
    direction = rng.normal(size=(1, 6))
    output = layer([np.zeros((1, 30, 1)), start])
    (output * direction).sum().backward()
    ratio = np.linalg.norm(start.grad.numpy()) / np.linalg.norm(direction)
    assert ratio == pytest.approx(gain**30, rel=1e-10)
    powers = np.linalg.matrix_power(layer.get_weights()[1], 30)
    np.testing.assert_allclose(output.numpy(), start.numpy() @ powers, rtol=1e-9, atol=1e-14)


# ---- gradients


def inside(layer, names):
    """Return a function of a layer's variables, whose names are given."""

    def loss(x, *tensors):
        states = tensors[len(names) :]
        for name, tensor in zip(names, tensors, strict=False):
            setattr(layer, name, tensor)
        outputs = layer([x, *states] if states else x)
        parts = outputs if isinstance(outputs, list) else [outputs]
        # Different factors for all elements, so that no two gradients cancel.
        total = None
        for k, part in enumerate(parts):
            factors = np.cos(np.arange(part.size) + k).reshape(part.shape)
            one = (part * eg.tensor(factors)).sum()
            total = one if total is None else total + one
        return total

    return loss


@pytest.mark.parametrize("returned", ["last", "all", "states"])
@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_gradient(kind, returned, rng):
    x = rng.normal(size=(2, 4, 2))
    options = {"return_sequences": returned != "last", "return_state": returned == "states"}
    layer = fill(make(kind, **options), x.shape, rng)
    names = ["kernel", "recurrent_kernel", "bias"]
    arrays = [x, *[getattr(layer, name).detach().numpy() for name in names]]
    if returned == "states":
        arrays += [rng.normal(size=(2, 3)) for _ in range(layer.states)]
    assert eg.autograd.gradcheck(inside(layer, names), arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_without_bias_and_backwards(kind, rng):
    x = rng.normal(size=(2, 3, 2))
    layer = fill(make(kind, use_bias=False, go_backwards=True), x.shape, rng)
    names = ["kernel", "recurrent_kernel"]
    arrays = [x, *[getattr(layer, name).detach().numpy() for name in names]]
    assert eg.autograd.gradcheck(inside(layer, names), arrays)


# ---- first values


def test_the_forget_gate_begins_open():
    for initializer, rest in (("zeros", 0.0), (lambda shape, _: np.full(shape, 0.25), 0.25)):
        layer = layers.LSTM(3, bias_initializer=initializer)
        layer(np.zeros((1, 2, 2)))
        expected = np.full(12, rest)
        expected[3:6] = 1.0
        assert layer.bias.tolist() == expected.tolist()
    layer = layers.LSTM(3, unit_forget_bias=False)
    layer(np.zeros((1, 2, 2)))
    assert layer.bias.tolist() == [0.0] * 12


@pytest.mark.parametrize("kind", KINDS)
def test_the_recurrent_kernel_begins_orthogonal(kind):
    layer = make(kind, 5)
    layer(np.zeros((1, 2, 2)))
    u = layer.recurrent_kernel.numpy()
    np.testing.assert_allclose(u @ u.T, np.eye(5), atol=1e-12)


# ---- dropout


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_the_same_for_all_steps(kind, rng):
    x = rng.normal(size=(64, 5, 8))
    layer = make(kind, dropout=0.5, return_sequences=True)
    np.testing.assert_array_equal(layer(x).numpy(), layer(x, training=False).numpy())
    tensor = eg.tensor(x, requires_grad=True)
    layer(tensor, training=True).sum().backward()
    # What is dropped has no gradient, at any step.
    dropped = tensor.grad.numpy() == 0
    assert (dropped.all(axis=1) == dropped.any(axis=1)).all()
    assert 0.4 < dropped.mean() < 0.6


def test_recurrent_dropout_is_the_same_for_all_steps(rng):
    layer = layers.SimpleRNN(
        32,
        None,
        recurrent_dropout=0.25,
        recurrent_initializer=lambda shape, _: np.eye(shape[0]),
        kernel_initializer="zeros",
        dtype="float64",
    )
    start = rng.uniform(1, 2, size=(64, 32))
    x = np.zeros((64, 3, 1))
    np.testing.assert_allclose(layer([x, start]).numpy(), start)
    output = layer([x, start], training=True).numpy() / start
    # Three steps with one mask: 0, or (4/3)³.
    kept = np.isclose(output, (4 / 3) ** 3)
    assert (kept | (output == 0)).all()
    assert 0.7 < kept.mean() < 0.8


# ---- in models


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("kind", KINDS)
def test_trains_captured_as_in_python_and_survives_a_file(kind, dropout, rng, tmp_path):
    x = rng.normal(size=(48, 7, 2)).astype("float32")
    y = x[:, 0, 0] * x[:, 3, 1]
    cls, given = KINDS[kind]
    histories = []
    for eagerly in (True, False):
        model = eg.Sequential(
            [
                cls(6, return_sequences=True, dropout=dropout, recurrent_dropout=dropout, **given),
                cls(5, go_backwards=True, **given),
                eg.layers.Dense(1),
            ],
            seed=4,
        )
        optimizer = eg.optimizers.Adam(0.01, global_clipnorm=1.0)
        model.compile(optimizer, "mse", run_eagerly=eagerly)
        histories.append(model.fit(x, y, epochs=4, batch_size=16, verbose=0).history["loss"])
    assert histories[0] == histories[1]
    assert histories[0][-1] < histories[0][0]
    model.save(tmp_path / "model.safetensors")
    again = eg.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert (
        again.fit(x, y, epochs=1, verbose=0).history == model.fit(x, y, epochs=1, verbose=0).history
    )


def test_encoder_and_decoder(rng):
    """States pass from layer to layer in a graph."""
    x, y = rng.normal(size=(6, 5, 2)), rng.normal(size=(6, 4, 3))
    source, target = eg.Input((5, 2), dtype="float64"), eg.Input((4, 3), dtype="float64")
    _, h, c = layers.LSTM(7, return_state=True, name="encoder")(source)
    assert h.shape == c.shape == (None, 7)
    decoded = layers.LSTM(7, return_sequences=True, name="decoder")([target, h, c])
    assert decoded.shape == (None, 4, 7)
    model = eg.Model([source, target], eg.layers.Dense(3)(decoded))
    model.compile("adam", "mse")
    history = model.fit([x, y], y, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    encoder, decoder = (model.get_layer(name) for name in ("encoder", "decoder"))
    _, states = by_hand(encoder, x)
    expected = by_hand(decoder, y, states)[0]
    dense = model.get_layer("dense")
    expected = expected @ dense.get_weights()[0] + dense.get_weights()[1]
    np.testing.assert_allclose(model.predict([x, y]), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_counts(kind):
    layer = make(kind, 5, return_sequences=True, return_state=True)
    outputs = layer(eg.Input((7, 2), dtype="float64"))
    assert [one.shape for one in outputs] == [(None, 7, 5), *[(None, 5)] * layer.states]
    width = layer.gates * 5
    assert layer.count_params() == (2 + 5) * width + (2 if kind == "gru" else 1) * width
    assert layer.multiply_adds((None, 7, 2)) == 7 * (2 + 5) * width


@pytest.mark.parametrize("kind", KINDS)
def test_pasted_from_repr(kind):
    layer = make(kind, dropout=0.1, kernel_regularizer="l2", go_backwards=True)
    again = eval(repr(layer), {**vars(layers), **vars(eg.regularizers)})  # noqa: S307 - our words
    assert repr(again) == repr(layer)
    assert repr(make(kind)).startswith(type(layer).__name__ + "(3")


def test_penalties_and_constraints(rng):
    x, y = rng.normal(size=(16, 4, 2)), rng.normal(size=16)
    layer = layers.LSTM(
        3,
        recurrent_regularizer=eg.regularizers.L2(0.5),
        recurrent_constraint=eg.constraints.MaxNorm(0.5),
        activity_regularizer="l1",
        return_state=True,
        dtype="float64",
    )
    layer(x)
    of_kernel, of_output = layer.losses
    assert of_kernel.item() == pytest.approx(0.5 * (layer.get_weights()[1] ** 2).sum())
    assert of_output.item() == pytest.approx(0.01 * np.abs(layer(x)[0].numpy()).sum() / 16)
    model = eg.Sequential(
        [layers.LSTM(3, recurrent_constraint=eg.constraints.MaxNorm(0.5)), eg.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    assert np.linalg.norm(model.get_weights()[1], axis=0).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_layer_stays_and_passes_gradients(kind, rng):
    x, y = rng.normal(size=(16, 4, 2)), rng.normal(size=16)
    inner = make(kind)
    inner.trainable = False
    model = eg.Sequential([eg.layers.Dense(2), inner, eg.layers.Dense(1)], dtype="float64", seed=1)
    model.build((None, 4, 2))
    before = [w.copy() for w in model.get_weights()]
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    frozen = len(inner.weights)
    assert changed == [True, True, *[False] * frozen, True, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.LSTM(0), "units: expected 1 or more"),
        (lambda: layers.LSTM(2, dropout=1.0), r"dropout: expected a number in \[0, 1\)"),
        (lambda: layers.GRU(2, recurrent_dropout=-0.1), "recurrent_dropout"),
        (lambda: layers.LSTM(2)(np.zeros((3, 4))), r"lstm: expected an input of shape \(rows, st"),
        (lambda: layers.GRU(2)(np.zeros((3, 0, 4))), "gru: expected at least one step"),
        (
            lambda: layers.LSTM(2)([np.zeros((3, 4, 1)), np.zeros((3, 2))]),
            r"first states as 2 of shape \(rows, 2\)",
        ),
        (
            lambda: layers.GRU(2)([np.zeros((3, 4, 1)), np.zeros((3, 5))]),
            r"first states as 1 of shape \(rows, 2\)",
        ),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_other_features_than_built_for():
    layer = layers.SimpleRNN(2)
    layer(np.zeros((1, 3, 4)))
    with pytest.raises(ValueError, match=r"\(rows, steps, 4\)"):
        layer(np.zeros((1, 3, 5)))


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_mistakes_name_the_layer(kind):
    layer = kind(3, name="rec")
    states = [np.zeros((2, 3)), *([np.zeros((5, 3))] * (layer.states - 1))]
    message = r"rec: expected first states with as many rows as the input, 5, got \(2, 3\)"
    with pytest.raises(ValueError, match=message):
        layer([np.zeros((5, 4, 2)), *states])
    with pytest.raises(ValueError, match=r"kernel_initializer: 'auto' pairs .* of a Dense layer"):
        kind(3, kernel_initializer="auto")
