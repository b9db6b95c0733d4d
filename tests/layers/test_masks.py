"""Masks of steps: what layers make of them, against rows without padding and loops in float64."""

import numpy as np
import pytest
from recurrent_statements import KINDS, OTHERS, by_hand, fill, make

import evengrad as eg
from evengrad import layers

STEPS = 6
# Which steps count: rows padded on the right, on the left, with gaps, not at all, and entirely.
COUNTS = np.array(
    [
        [1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 1],
        [1, 0, 1, 0, 0, 1],
        [1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
    ],
    bool,
)


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.fixture
def x(rng):
    # What stands at masked steps is nothing to anybody.
    return np.where(COUNTS[:, :, None], rng.normal(size=(len(COUNTS), STEPS, 2)), 1e3)


def expected_of(layer, x, states=None):
    """Return what a layer makes of the steps that count, at all steps, and its last states."""
    outputs, last = np.zeros((*x.shape[:2], layer.units)), []
    for row, counts in enumerate(COUNTS):
        own = None if states is None else [state[row : row + 1] for state in states]
        begin = own or [np.zeros((1, layer.units))] * layer.states
        there = np.flatnonzero(counts[::-1] if layer.go_backwards else counts)
        if len(there):
            made, begin = by_hand(layer, x[row : row + 1, counts], own)
            for number, step in enumerate(there):
                outputs[row, step:] = made[0, number]
        last.append([state[0] for state in begin])
    return outputs, [np.array(state) for state in zip(*last, strict=True)]


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, *OTHERS])
def test_a_state_is_carried_over_masked_steps(kind, go_backwards, rng, x):
    options = {"return_sequences": True, "return_state": True, "go_backwards": go_backwards}
    layer = fill(make(kind, **options), x.shape, rng)
    outputs, states = expected_of(layer, x)
    found, *last = layer(x, mask=COUNTS)
    np.testing.assert_allclose(found.numpy(), outputs, rtol=1e-12, atol=1e-14)
    for one, other in zip(last, states, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-12, atol=1e-14)
    zeroed = make(kind, **options)
    zeroed.zero_output_for_mask = True
    zeroed(x)
    zeroed.set_weights(layer.get_weights())
    counts = COUNTS[:, ::-1] if go_backwards else COUNTS
    shown = np.where(counts[:, :, None], found.numpy(), 0.0)
    np.testing.assert_array_equal(zeroed(x, mask=COUNTS)[0].numpy(), shown)


@pytest.mark.parametrize("kind", KINDS)
def test_first_states_are_carried_and_not_shown(kind, rng, x):
    layer = fill(make(kind, return_sequences=True, return_state=True), x.shape, rng)
    states = [rng.normal(size=(len(x), 3)) for _ in range(layer.states)]
    outputs, last = expected_of(layer, x, states)
    found = layer(x, initial_state=states, mask=COUNTS)
    np.testing.assert_allclose(found[0].numpy(), outputs, rtol=1e-12, atol=1e-14)
    for one, other in zip(found[1:], last, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("units", [3, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_a_padded_row_has_the_bits_of_the_row_alone(kind, dtype, units, rng):
    lengths = rng.integers(1, 13, 19)
    x = np.zeros((19, 12, 5), dtype)
    for row, length in enumerate(lengths):
        x[row, :length] = rng.normal(size=(length, 5))
    chain = [eg.Input((None, 5)), layers.Masking(), kind(units), layers.Dense(2)]
    model = eg.Sequential(chain, seed=3, dtype=dtype)
    padded = model.predict(x)
    for row, length in enumerate(lengths):
        alone = model.predict(x[row : row + 1, :length])
        np.testing.assert_array_equal(padded[row : row + 1], alone)
    np.testing.assert_array_equal(model(x).numpy(), padded)
    np.testing.assert_array_equal(model(x).numpy(), padded)


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_steps_between_gaps_have_the_bits_of_those_alone(kind, rng):
    x = rng.normal(size=(37, 9, 5)).astype("float32")
    counts = rng.random((37, 9)) < 0.6
    layer = kind(40, return_sequences=True)
    found = layer(x, mask=counts).numpy()
    for row in np.flatnonzero(counts.any(1)):
        alone = layer(x[row : row + 1, counts[row]]).numpy()
        np.testing.assert_array_equal(found[row, counts[row]], alone[0])
    everything = layer(x, mask=np.ones_like(counts)).numpy()
    np.testing.assert_array_equal(everything, layer(x).numpy())


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind, sequences, dropout, rng):
    x = rng.normal(size=(len(COUNTS), STEPS, 2))
    layer = fill(make(kind, return_sequences=sequences, recurrent_dropout=dropout), x.shape, rng)
    factors = rng.normal(size=tuple(layer(x).shape))

    def loss(inputs, *weights):
        for own, given in zip(layer.weights, weights, strict=True):
            own.copy_(given.detach())
        layer.generator("recurrent_dropout").draws = 0
        return (layer(inputs, training=True, mask=COUNTS) * factors).sum()

    eg.autograd.gradcheck(lambda inputs: loss(inputs, *layer.weights), [x])
    value = eg.tensor(x, requires_grad=True)
    total = loss(value, *layer.weights)
    gradients = eg.autograd.grad(total, [value, *layer.weights])
    # Nothing comes from masked steps.
    assert not gradients[0].numpy()[~COUNTS].any()
    for weight, gradient in zip(layer.weights, gradients[1:], strict=True):
        first = np.array(weight.detach().numpy())
        at = tuple(size // 2 for size in first.shape)
        sides = []
        for step in (1e-6, -1e-6):
            moved = first.copy()
            moved[at] += step
            weight.copy_(moved)
            sides.append(loss(value, *layer.weights).item())
        weight.copy_(first)
        assert gradient.numpy()[at] == pytest.approx(
            (sides[0] - sides[1]) / 2e-6, rel=1e-6, abs=1e-8
        )


def test_both_directions_pass_over_masked_steps(x):
    inner = layers.LSTM(3, return_sequences=True, dtype="float64")
    layer = layers.Bidirectional(inner, dtype="float64")
    found = layer(x, mask=COUNTS).numpy()
    assert not found[~COUNTS].any()
    for row, counts in enumerate(COUNTS):
        if counts.any():
            alone = layer(x[row : row + 1, counts]).numpy()
            np.testing.assert_array_equal(found[row, counts], alone[0])


# ---- where masks come from, and where they go


def test_masking():
    x = np.array([[[1.0, 2.0], [0.0, 0.0], [0.0, 3.0]], [[0.0, 0.0], [0.0, 0.0], [4.0, 0.0]]])
    rows = layers.GlobalAveragePooling1D()(layers.Masking()(x))
    np.testing.assert_array_equal(rows.numpy(), [[0.5, 2.5], [4.0, 0.0]])
    other = layers.Masking(4.0)([[[4.0, 4.0], [4.0, 1.0]]])
    assert other.tolist() == [[[0.0, 0.0], [4.0, 1.0]]]
    with pytest.raises(ValueError, match=r"expected an input of shape \(rows, steps, features\)"):
        layers.Masking()(np.zeros((2, 3)))


def test_numbers_of_categories_may_stand_for_padding():
    numbers = np.array([[3, 1, 0, 0], [2, 0, 4, 1], [0, 0, 0, 0]])
    embedding = layers.Embedding(5, 3, mask_zero=True)
    pooled = layers.GlobalAveragePooling1D()(embedding(numbers)).numpy()
    vectors = embedding.get_weights()[0]
    for row, found in zip(numbers, pooled, strict=True):
        there = row[row != 0]
        expected = vectors[there].mean(0) if len(there) else np.zeros(3)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    everything = layers.Embedding(5, 3)
    everything(numbers)
    everything.set_weights([vectors])
    plain = layers.GlobalAveragePooling1D()(everything(numbers)).numpy()
    np.testing.assert_allclose(plain, vectors[numbers].mean(1), rtol=1e-6)


ON_THE_WAY = {
    "dense": lambda: layers.Dense(4, "relu"),
    "activation": lambda: layers.Activation("tanh"),
    "leaky": layers.LeakyReLU,
    "softmax": layers.Softmax,
    "dropout": lambda: layers.Dropout(0.5),
    "noise": lambda: layers.GaussianNoise(0.5),
    "layer norm": layers.LayerNormalization,
    "batch norm": layers.BatchNormalization,
    "maxout": lambda: layers.Maxout(4),
    "residual": lambda: layers.Residual([layers.Dense(8, "relu"), layers.Dense(3)]),
    "rescaling": lambda: layers.Rescaling(0.5),
    "time distributed": lambda: layers.TimeDistributed(layers.Dense(4)),
    "recurrent": lambda: layers.GRU(4, return_sequences=True),
    "bidirectional": lambda: layers.Bidirectional(layers.GRU(4, return_sequences=True)),
    "model": lambda: eg.Sequential([layers.Dense(4), layers.Dropout(0.5)]),
}


@pytest.mark.parametrize("between", ON_THE_WAY)
def test_masks_go_through_layers(between, rng):
    x = rng.normal(size=(4, 3, 3)).astype("float32")
    padded = np.concatenate([x, np.zeros((4, 2, 3), "float32")], axis=1)
    chain = [eg.Input((None, 3)), layers.Masking(), ON_THE_WAY[between]()]
    model = eg.Sequential([*chain, layers.GlobalAveragePooling1D()], seed=1)
    np.testing.assert_allclose(model.predict(padded), model.predict(x), rtol=1e-6, atol=1e-7)
    shown = eg.Sequential(model.layers[:-1])
    for _ in range(3):
        found = layers.GlobalAveragePooling1D()(shown(padded)).numpy()
        np.testing.assert_allclose(found, model.predict(x), rtol=1e-6, atol=1e-7)


def test_joined_inputs_count_where_any_counts():
    one = layers.Masking()([[[1.0], [0.0], [0.0]]])
    other = layers.Masking()([[[2.0], [2.0], [0.0]]])
    plain = eg.ones((1, 3, 1))
    mean, add = layers.GlobalAveragePooling1D(), layers.Add()
    assert mean(add([one, other])).tolist() == [[2.5]]
    # A step of an input without mask always counts.
    assert mean(add([one, plain])).item() == pytest.approx(4 / 3)
    join = layers.Concatenate()
    assert mean(join([one, other])).tolist() == [[0.5, 2.0]]
    assert mean(layers.Concatenate(1)([one, other])).item() == pytest.approx(5 / 3)


def test_a_layer_that_ends_a_mask_says_so():
    steps = layers.Masking()([[[1.0], [0.0]]])
    with pytest.warns(UserWarning, match="flatten: the input has a mask, which ends here"):
        layers.Flatten()(steps)


def test_masks_are_given_by_hand(x):
    rows = x.astype("float32")
    model = eg.Sequential([eg.Input((STEPS, 2)), layers.Dense(3), layers.LSTM(4)], seed=2)
    inner = model.layers[1](model.layers[0](rows), mask=COUNTS).numpy()
    np.testing.assert_array_equal(model(rows, mask=COUNTS).numpy(), inner)
    given = eg.tensor(rows)
    model(given, mask=COUNTS)
    np.testing.assert_array_equal(model(given).numpy(), model(rows).numpy())
    np.testing.assert_array_equal(model.layers[0](rows, mask=COUNTS).numpy(), model.layers[0](rows))
    inputs, counts = eg.Input((STEPS, 2)), eg.Input((STEPS,))
    layer = layers.LSTM(4, return_sequences=True)
    drawn = eg.Model([inputs, counts], layer(inputs, mask=counts))
    expected = layer(rows, mask=COUNTS).numpy()
    np.testing.assert_array_equal(drawn.predict([rows, COUNTS.astype("float32")]), expected)
    with pytest.raises(ValueError, match=r"expected a mask of shape \(rows, steps\), \(6, 6\)"):
        layer(rows, mask=COUNTS[:, :3])


def test_layers_of_users_get_and_make_masks(x):
    class Last(layers.Layer):
        def call(self, x, mask=None):
            seen = x if mask is None else x * mask.unsqueeze(2).astype(x.dtype)
            return seen[:, -1]

        def compute_mask(self, inputs, previous_mask=None):
            del inputs, previous_mask

    class Shorter(layers.Layer):
        supports_masking = True

        def call(self, x):
            return 2.0 * x

    rows = layers.Masking(1e3)(x)
    found = Last()(Shorter()(rows)).numpy()
    np.testing.assert_array_equal(found, np.where(COUNTS[:, -1:], 2 * x[:, -1], 0).astype("f4"))


def test_a_cache_of_frozen_layers_refuses_masks(rng):
    numbers, y = rng.integers(0, 5, (8, 4)), rng.normal(size=(8, 1))
    first = layers.Embedding(5, 3, mask_zero=True, trainable=False)
    model = eg.Sequential([eg.Input((4,)), first, layers.LSTM(3), layers.Dense(1)])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="steps of what its frozen part puts out are masked"):
        model.fit(numbers, y, cache_frozen=True, verbose=0)
