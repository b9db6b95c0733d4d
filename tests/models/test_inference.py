"""Captured answers: `model(x)` without gradients, `predict`."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import evengrad as eg
from evengrad import _core, layers
from evengrad.layers._watchers import watchers


def answered(model):
    """Tell whether the model has a captured answer at hand."""
    return model._answers.latest is not None


def ask(model, x, times=3):
    """Return what the model says, again and again: layer by layer first, then from a capture."""
    with eg.no_grad():
        return [np.array(model(x).numpy()) for _ in range(times)]


def chain():
    return eg.Sequential(
        [
            eg.Input((6,)),
            layers.Dense(9, "elu", norm=layers.BatchNormalization()),
            layers.Dropout(0.5),
            layers.Dense(4, "softmax"),
        ],
        seed=3,
    )


def rows():
    """Return rows that differ, so that a normalization by the batch leaves something of them."""
    return np.arange(48, dtype=np.float32).reshape(8, 6) % 5


def graph():
    x = eg.Input((6,))
    inner = layers.Dense(6, "tanh")(x)
    return eg.Model(x, layers.Dense(2)(layers.Add()([x, inner])), seed=3)


@pytest.mark.parametrize("make", [chain, graph])
@pytest.mark.parametrize("count", [1, 2, 7, 200])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_captured_answers_have_the_bits_of_the_layers(make, count, dtype):
    x = np.random.default_rng(count).standard_normal((count, 6)).astype(dtype)
    model = make()
    with_tape = np.array(model(x).detach().numpy())
    assert not answered(model)
    for given in (x, eg.tensor(x), np.asfortranarray(x)):
        for answer in ask(model, given):
            np.testing.assert_array_equal(answer, with_tape)
    assert answered(model)


@pytest.mark.parametrize("make", [chain, graph])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_predictions_of_many_blocks_have_the_bits_of_the_layers(make, dtype, order):
    x = np.random.default_rng(1).standard_normal((411, 6)) * 3
    x = x.astype(dtype, order=order)
    model = make()
    expected = model(x.astype("float32")).detach().numpy()
    # The last block is a whole one, or less, or there is one alone.
    for rows in (1, 10, 30, 137, 411, 500):
        np.testing.assert_array_equal(model.predict(x, batch_size=rows, verbose=0), expected)
    model.set_weights([2 * value for value in model.get_weights()])
    expected = model(x.astype("float32")).detach().numpy()
    np.testing.assert_array_equal(model.predict(x, batch_size=10, verbose=0), expected)


def test_blocks_come_one_by_one_where_a_callback_hears_of_them():
    class Heard(eg.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.batches = []

        def on_predict_batch_end(self, batch, logs=None):
            del logs
            self.batches.append(batch)

    heard, model, x = Heard(), chain(), np.ones((95, 6), np.float32)
    model.predict(x, batch_size=10, verbose=0, callbacks=[heard])
    assert heard.batches == list(range(10))


def test_answers_are_memory_of_their_own():
    model = chain()
    x, y = np.zeros((1, 6), np.float32), np.ones((1, 6), np.float32)
    ask(model, x)
    with eg.no_grad():
        first = model(x)
        before = first.tolist()
        assert model(y).tolist() != before
    assert first.tolist() == before


def test_answers_follow_the_variables():
    model = chain()
    x = np.ones((1, 6), np.float32)
    before = ask(model, x)[-1]
    model.set_weights([2 * value for value in model.get_weights()])
    assert answered(model)
    after = ask(model, x)[-1]
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, model(x).detach().numpy())


def test_answers_follow_training():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 6)), rng.integers(0, 4, 64)
    model = chain()
    model.compile("adam", "sparse_categorical_crossentropy")
    before = ask(model, x[:1])[-1]
    model.fit(x, y, epochs=1, verbose=0)
    after = ask(model, x[:1])[-1]
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, model(x[:1]).detach().numpy())


def test_an_attribute_that_is_set_counts_at_once():
    model = eg.Sequential([eg.Input((3,)), layers.Dense(3, "relu", use_bias=False)])
    model.set_weights([np.eye(3)])
    x = np.array([[-1.0, 2.0, -3.0]], np.float32)
    assert ask(model, x)[-1].tolist() == [[0.0, 2.0, 0.0]]
    model.layers[0].activation = eg.activations.get("linear")
    assert not answered(model)
    assert ask(model, x)[-1].tolist() == x.tolist()
    model.add(layers.Activation("relu"))
    assert ask(model, x)[-1].tolist() == [[0.0, 2.0, 0.0]]
    model.pop()
    assert ask(model, x)[-1].tolist() == x.tolist()


def test_where_gradients_are_recorded_the_layers_run():
    model = chain()
    x = np.ones((1, 6), np.float32)
    ask(model, x)
    assert model(x).requires_grad
    with eg.no_grad():
        assert not model(x).requires_grad


def test_noise_is_not_captured():
    model = chain()
    ask(model, rows())
    with eg.no_grad():
        answers = {str(model(rows(), training=True).tolist()) for _ in range(20)}
    assert len(answers) > 1


def test_a_layer_around_that_trains_turns_captures_off():
    inner = chain()

    class Around(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def call(self, x, training):
            del training
            return self.inner(x)

    outer = Around()
    ask(outer, rows())
    ask(inner, rows())
    with eg.no_grad():
        answers = {str(outer(rows(), training=True).tolist()) for _ in range(20)}
    assert len(answers) > 1


def test_code_of_the_user_runs_at_every_call():
    calls = []

    def activation(x):
        calls.append(x.shape)
        return x

    class Own(layers.Layer):
        def call(self, x):
            calls.append(x.shape)
            return x

    for layer in (layers.Dense(2, activation), Own(), layers.Activation(activation)):
        model = eg.Sequential([eg.Input((3,)), layer])
        calls.clear()
        ask(model, np.zeros((1, 3), np.float32), times=5)
        assert len(calls) >= 5
        assert not answered(model)


def test_a_capture_around_records_the_layers():
    model = chain()
    x = eg.tensor(np.ones((2, 6), np.float32))
    ask(model, x)

    @eg.compile
    def step(x):
        with eg.no_grad():
            return model(x)

    for value in (1.0, 2.0, 3.0):
        given = eg.tensor(np.full((2, 6), value, np.float32))
        np.testing.assert_array_equal(step(given).numpy(), ask(model, given)[-1])


def test_wrong_inputs_are_told_as_before():
    model = chain()
    ask(model, np.ones((1, 6), np.float32))
    with eg.no_grad(), pytest.raises(ValueError, match=r"expected an input of .*\(None, 6\)"):
        model(np.ones((1, 5), np.float32))
    with eg.no_grad():
        assert model([[1.0] * 6]).shape == (1, 4)
        assert model(np.ones((1, 6), np.int64)).shape == (1, 4)


def test_shapes_take_turns_and_old_ones_are_let_go():
    model = chain()
    with eg.no_grad():
        for count in [1, 1, 2, 2, 1, *range(3, 30), *range(3, 30)]:
            assert model(np.ones((count, 6), np.float32)).shape == (count, 4)
        for count in range(3, 30):
            ask(model, np.ones((count, 6), np.float32))
    assert len(model._answers._known.by_shape) <= 8


def test_models_of_several_outputs_answer_again_and_again():
    inputs = eg.Input((3,))
    hidden = layers.Dense(4, "tanh")(inputs)
    ends = [layers.Dense(2)(hidden), layers.Dense(1, "sigmoid")(hidden)]
    model = eg.Model(inputs, ends, seed=1)
    x = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
    expected = [end.numpy() for end in model(x)]
    for _ in range(3):
        for outputs in (model.predict(x), model.predict(x, batch_size=4)):
            assert all(map(np.array_equal, outputs, expected))
        with eg.no_grad():
            assert all(map(np.array_equal, (end.numpy() for end in model(x)), expected))


def test_predict_uses_captures_for_its_blocks():
    model = chain()
    x = np.random.default_rng(0).standard_normal((1003, 6))
    whole = model.predict(x, batch_size=1003)
    np.testing.assert_array_equal(model.predict(x, batch_size=100), whole)
    np.testing.assert_array_equal(model.predict(x), whole)


def test_threads_ask_one_model_at_the_same_time():
    model = chain()
    questions = np.random.default_rng(0).standard_normal((50, 1, 6)).astype(np.float32)
    expected = [ask(model, row)[-1] for row in questions]

    def work(_):
        with eg.no_grad():
            return [np.array(model(row).numpy()) for row in questions]

    with ThreadPoolExecutor(4) as pool:
        for answers in pool.map(work, range(8)):
            np.testing.assert_array_equal(answers, expected)


def test_training_keeps_the_answers_and_they_follow_it():
    model, x = chain(), rows()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, np.zeros(8), verbose=0)
    before = ask(model, x)[-1]
    assert answered(model)
    model.fit(x, np.zeros(8), verbose=0)
    assert answered(model)
    after = ask(model, x, times=1)[0]
    assert not np.array_equal(before, after)
    model._answers.forget()
    np.testing.assert_array_equal(ask(model, x, times=1)[0], after)


def test_a_model_that_is_gone_is_not_watched():
    model = chain()
    ask(model, np.ones((1, 6), np.float32))
    before = len(watchers)
    del model
    gc.collect()
    assert len(watchers) < before or before == 0


def test_an_inference_wants_whole_float_tensors():
    x = eg.zeros((2, 2))
    with _core.Recording() as recording:
        y = x * 2.0
    plan = recording.plan
    with pytest.raises(ValueError, match="input without gaps"):
        _core.Inference(plan, eg.zeros((2, 3))[:, :2], y)
    with pytest.raises(TypeError, match="expected a float32 or float64"):
        _core.Inference(plan, x, eg.arange(3))
    inference = _core.Inference(plan, x, y)
    with eg.no_grad():
        assert inference.answer(eg.zeros((2, 3))) is None
        assert inference.answer(np.zeros((2, 2), np.int32)) is None
        assert inference.answer("text") is None
        assert inference.answer(np.ones((2, 2))).tolist() == [[2.0, 2.0], [2.0, 2.0]]
