"""Layers around sequences, and states that last, against NumPy and the layers inside."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def trained_weights(layer, x, rng):
    """Build a layer and give it random weights."""
    layer(x)
    layer.set_weights([rng.normal(size=w.shape) * 0.5 for w in layer.weights])
    return layer


# ---- both directions


JOINED = {
    "concat": lambda a, b: np.concatenate([a, b], -1),
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda a, b: (a + b) / 2,
}


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("mode", JOINED)
def test_both_directions_are_joined(mode, sequences, kind, rng):
    x = rng.normal(size=(3, 5, 2))
    inner = kind(4, return_sequences=sequences, dtype="float64")
    layer = trained_weights(layers.Bidirectional(inner, mode, dtype="float64"), x, rng)
    alone = [kind(4, return_sequences=sequences, dtype="float64") for _ in range(2)]
    half = len(layer.get_weights()) // 2
    outputs = []
    for one, values, weights in zip(
        alone,
        (x, x[:, ::-1]),
        (layer.get_weights()[:half], layer.get_weights()[half:]),
        strict=True,
    ):
        one(values)
        one.set_weights(weights)
        outputs.append(one(values).numpy())
    backward = outputs[1][:, ::-1] if sequences else outputs[1]
    np.testing.assert_array_equal(layer(x).numpy(), JOINED[mode](outputs[0], backward))


def test_unmerged_outputs_and_states_come_as_a_list(rng):
    x = rng.normal(size=(3, 5, 2)).astype("float32")
    inner = layers.LSTM(4, return_sequences=True, return_state=True)
    layer = layers.Bidirectional(inner, None)
    forward, backward, *states = layer(x)
    assert forward.shape == backward.shape == (3, 5, 4)
    assert [state.shape for state in states] == [(3, 4)] * 4
    # The last output of each is its state h: the backward one's stands at the first step.
    np.testing.assert_array_equal(forward[:, -1].numpy(), states[0].numpy())
    np.testing.assert_array_equal(backward[:, 0].numpy(), states[2].numpy())
    assert layer.compute_output_shape((None, 5, 2)) == [(None, 5, 4)] * 2 + [(None, 4)] * 4


def test_first_states_of_both_directions(rng):
    x = rng.normal(size=(3, 5, 2))
    layer = layers.Bidirectional(layers.GRU(4, return_state=True), dtype="float64")
    layer(x)
    states = [rng.normal(size=(3, 4)) for _ in range(2)]
    found = layer(x, initial_state=states)
    np.testing.assert_array_equal(found[0].numpy(), layer([x, *states])[0].numpy())
    forward = layer.forward_layer([x, states[0]])[0]
    np.testing.assert_array_equal(found[0][:, :4].numpy(), forward.numpy())


def test_the_given_layer_stays_as_it_is(rng):
    inner = layers.LSTM(4, name="memory")
    layer = layers.Bidirectional(inner)
    layer(rng.normal(size=(3, 5, 2)))
    assert not inner.built
    assert next(path for path, _ in layer.named_weights()) == "memory/kernel"
    assert layer.backward_layer.go_backwards


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match="layer: expected an LSTM, GRU or SimpleRNN, got Dense"):
        layers.Bidirectional(layers.Dense(2))
    with pytest.raises(ValueError, match=r"merge_mode.*Valid: ave, concat, mul, sum"):
        layers.Bidirectional(layers.GRU(2), "mean")
    with pytest.raises(ValueError, match="another go_backwards"):
        layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2))
    other = layers.GRU(2, go_backwards=True, return_sequences=True)
    with pytest.raises(ValueError, match="expected return_sequences=False as in layer, got True"):
        layers.Bidirectional(layers.GRU(2), backward_layer=other)
    with pytest.raises(ValueError, match="2 first states after the input"):
        layers.Bidirectional(layers.GRU(2))([np.zeros((1, 2, 2)), np.zeros((1, 2))])


# ---- every step


def test_a_layer_at_every_step(rng):
    x = rng.normal(size=(3, 5, 2))
    layer = layers.TimeDistributed(layers.Dense(4, "tanh"), dtype="float64")
    output = layer(x)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(output.numpy(), np.tanh(x @ kernel + bias), rtol=1e-12)
    assert layer.compute_output_shape((None, None, 2)) == (None, None, 4)
    assert layer.multiply_adds((None, 5, 2)) == 5 * 2 * 4


def test_a_recurrent_layer_or_model_at_every_step(rng):
    x = rng.normal(size=(3, 5, 4, 2)).astype("float32")
    inner = eg.Sequential([eg.Input((4, 2)), layers.GRU(3), layers.Dense(1)])
    output = layers.TimeDistributed(inner)(x).numpy()
    for step in range(5):
        np.testing.assert_array_equal(output[:, step], inner(x[:, step]).numpy())


def test_losses_fuse_with_the_end_of_a_layer_at_every_step(rng):
    x, y = rng.normal(size=(8, 5, 2)).astype("float32"), rng.integers(0, 3, (8, 5))

    def losses_of(last):
        model = eg.Sequential(
            [eg.Input((5, 2)), layers.GRU(4, return_sequences=True), last], seed=1
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        return model.fit(x, y, epochs=3, verbose=0).history["loss"]

    wrapped = layers.TimeDistributed(layers.Dense(3, "softmax", name="end"), name="end")
    plain = losses_of(layers.Dense(3, "softmax", name="end"))
    assert len(plain) == len(losses_of(wrapped)) == 3
    assert wrapped.final_activation == "softmax"


def test_what_is_no_sequence_is_refused():
    with pytest.raises(TypeError, match="layer: expected a layer, got"):
        layers.TimeDistributed(3)
    with pytest.raises(ValueError, match=r"expected an input of shape \(rows, steps, ...\)"):
        layers.TimeDistributed(layers.Dense(2))(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"expected an input of shape \(rows, features\)"):
        layers.RepeatVector(2)(np.zeros((3, 2, 2)))
    with pytest.raises(ValueError, match=r"expected an input of shape \(rows, steps, features\)"):
        layers.GlobalAveragePooling1D()(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="at least one step"):
        layers.GlobalMaxPooling1D()(np.zeros((3, 0, 2)))


# ---- repeating and pooling


def test_an_autoencoder_of_sequences_trains(rng):
    x = rng.normal(size=(16, 4, 2)).astype("float32")
    chain = [eg.Input((4, 2)), layers.LSTM(8), layers.RepeatVector(4)]
    chain += [layers.LSTM(8, return_sequences=True), layers.TimeDistributed(layers.Dense(2))]
    model = eg.Sequential(chain, seed=2)
    model.compile(eg.optimizers.Adam(0.01), "mse")
    losses = model.fit(x, x, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("keepdims", [False, True])
def test_pooling(keepdims, rng):
    x = rng.normal(size=(3, 5, 2))
    for cls, function in (
        (layers.GlobalAveragePooling1D, np.mean),
        (layers.GlobalMaxPooling1D, np.max),
    ):
        layer = cls(keepdims=keepdims, dtype="float64")
        expected = function(x, axis=1, keepdims=keepdims)
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-14)
        first = cls("channels_first", keepdims, dtype="float64")
        turned = function(x, axis=2, keepdims=keepdims)
        np.testing.assert_allclose(first(x).numpy(), turned, rtol=1e-14)
        assert layer.compute_output_shape((None, 5, 2)) == (None, *expected.shape[1:])
        assert first.compute_output_shape((None, 5, 2)) == (None, *turned.shape[1:])


# ---- states that last


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_a_stateful_layer_goes_on_where_the_batch_before_ended(kind, rng):
    x = rng.normal(size=(3, 6, 2))
    whole = kind(4, return_sequences=True, dtype="float64")
    expected = whole(x).numpy()
    layer = kind(4, return_sequences=True, stateful=True, dtype="float64")
    layer.build((None, None, 2))
    layer.set_weights(whole.get_weights())
    for _ in range(2):
        parts = [layer(x[:, at : at + 2]).numpy() for at in (0, 2, 4)]
        np.testing.assert_array_equal(np.concatenate(parts, 1), expected)
        layer.reset_states()


def stateful_model():
    chain = [eg.Input((4, 2)), layers.LSTM(3, stateful=True), layers.Dense(1)]
    model = eg.Sequential(chain, seed=4)
    model.compile("adam", "mse")
    return model


def test_a_stateful_training_has_the_same_bits_captured(rng):
    x, y = rng.normal(size=(12, 4, 2)).astype("float32"), rng.normal(size=(12, 1))
    models = []
    for eager in (True, False):
        model = stateful_model()
        model.compile("adam", "mse", run_eagerly=eager)
        model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
        models.append(model)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    assert models[0].get_weights()[3].shape == (4, 3)
    first = [model.predict(x, batch_size=4) for model in models]
    np.testing.assert_array_equal(*first)
    assert not np.array_equal(first[0], models[0].predict(x, batch_size=4))


def test_a_checkpoint_keeps_the_states(rng, tmp_path):
    x, y = rng.normal(size=(8, 4, 2)).astype("float32"), rng.normal(size=(8, 1))
    settings = {"batch_size": 4, "shuffle": False, "verbose": 0}
    through, resumed = stateful_model(), stateful_model()
    through.fit(x, y, epochs=4, **settings)
    backup = eg.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    stateful_model().fit(x, y, epochs=2, callbacks=[backup], **settings)
    backup = eg.callbacks.BackupAndRestore(tmp_path / "backup")
    resumed.fit(x, y, epochs=4, callbacks=[backup], **settings)
    for one, other in zip(through.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_of_another_size_are_refused_before_anything_changes(rng):
    x, y = rng.normal(size=(10, 4, 2)).astype("float32"), rng.normal(size=(10, 1))
    model = stateful_model()
    before = [np.array(w.detach().numpy()) for w in model.trainable_weights]
    with pytest.raises(ValueError, match=r"lstm: expected batches of 4 rows.*got 2"):
        model.fit(x, y, batch_size=4, verbose=0)
    for one, other in zip(before, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(one, other.detach().numpy())
    with pytest.raises(ValueError, match="reset_states: the layer keeps no states"):
        layers.GRU(2).reset_states()


def test_a_stateful_model_is_copied_and_saved(rng, tmp_path):
    x = rng.normal(size=(4, 4, 2)).astype("float32")
    model = stateful_model()
    first = model.predict(x, batch_size=4)
    model.save(tmp_path / "net.safetensors")
    again, twin = eg.load_model(tmp_path / "net.safetensors"), model.clone()
    second = model.predict(x, batch_size=4)
    assert not np.array_equal(first, second)
    # All of them go on from the same states.
    np.testing.assert_array_equal(again.predict(x, batch_size=4), second)
    np.testing.assert_array_equal(twin.predict(x, batch_size=4), second)
