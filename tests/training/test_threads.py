"""Several threads at one model: each sees whole steps, and one at a time trains it."""

# ruff: noqa: ARG001, ARG002, S301 - hooks as they are called; pickles of this process

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from thread_checks import frequent_switches  # noqa: F401 - a fixture that all tests here use

import evengrad as eg
from evengrad import layers

# Looks at a model in training, and changes of its weights beside predictions.
LOOKS = 20


class Clock(layers.Layer):
    """Forty variables, each of which a step moves by what it moves the others by."""

    def build(self, input_shape):
        del input_shape
        self.hands = [self.add_weight(f"hand_{number}", (1,), "zeros") for number in range(40)]
        # Moved by the layer itself, and a stream that is drawn from once a step.
        self.ticks = self.add_weight("ticks", (), "zeros", trainable=False)
        self.add_generator()

    def call(self, x, training):
        if training:
            eg.accumulate(self.ticks, eg.ones(()))
            x = x * self.generator().uniform(x.shape, 0.0, 1.0, x.dtype)
        return x * 0.0 + eg.cat(self.hands, 0).sum()


def mean(y, prediction):
    del y
    return prediction.mean()


X, Y = np.zeros((8, 1), np.float32), np.zeros((8, 1), np.float32)


def clock(*, eager=False, momentum=0.5):
    model = eg.Sequential([eg.Input((1,)), Clock()], seed=1)
    optimizer = eg.optimizers.SGD(1.0, momentum=momentum)
    model.compile(optimizer, mean, ["mae"], run_eagerly=eager)
    return model


def is_whole(model):
    """Tell whether all that a model consists of is of one step."""
    (layer,) = model.layers
    optimizer, hands = model.optimizer, model.trainable_weights
    steps = {optimizer.iterations, int(layer.ticks.item()), layer.generator().draws}
    states = {(w.item(), *(slot.item() for slot in optimizer.slots(w).values())) for w in hands}
    columns = {len(column) for column in model.history.history.values()}
    return len(steps) == len(states) == 1 and columns <= {len(model.history.epoch)}


def beside_a_fit(model, look):
    """Look at a model while another thread trains it, and return what was seen."""
    enough, epochs = threading.Event(), 0

    def train():
        nonlocal epochs
        while not enough.is_set():
            model.fit(X, Y, batch_size=4, epochs=5, verbose=0)
            epochs += 5

    model.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(train)
        try:
            seen = [look() for _ in range(LOOKS)]
        finally:
            enough.set()
        training.result()
    assert is_whole(model)
    assert model.optimizer.iterations == 2 * epochs + 2
    return seen


def saved_and_loaded(model, folder):
    path = folder / "net.safetensors"
    model.save(path)
    loaded = eg.load_model(path, custom_objects={"Clock": Clock, "mean": mean})
    # A file has none.
    loaded.history = eg.callbacks.History()
    return loaded


COPIES = {
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "pickle, by Python": lambda model, _: pickle.loads(pickle._dumps({"model": model}))["model"],
    "deepcopy": lambda model, _: copy.deepcopy([model])[0],
    "clone": lambda model, _: model.clone(),
    "save": saved_and_loaded,
}


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_that_is_made_beside_a_training_is_one_of_a_whole_step(how, eager, tmp_path):
    model = clock(eager=eager)
    seen = beside_a_fit(model, lambda: is_whole(COPIES[how](model, tmp_path)))
    assert seen == [True] * LOOKS


@pytest.mark.parametrize("eager", [False, True])
def test_weights_that_are_read_beside_a_training_are_those_of_a_whole_step(eager, tmp_path):
    model = clock(eager=eager)

    def look():
        hands = model.get_weights()[:-1]
        model.save_weights(tmp_path / "weights.safetensors")
        other = clock()
        other.load_weights(tmp_path / "weights.safetensors")
        return {hand.item() for hand in hands}, {w.item() for w in other.trainable_weights}

    assert all(len(one) == len(other) == 1 for one, other in beside_a_fit(model, look))


def test_a_layer_and_an_optimizer_alone_are_copied_as_they_are_after_a_whole_step():
    model = clock()

    def look():
        layer = copy.deepcopy(model.layers[0])
        optimizer = pickle.loads(pickle.dumps(model.optimizer))
        hands = {w.item() for w in layer.trainable_weights}
        momenta = {slots[0].item() for _, slots in optimizer.__reduce__()[2]["slots"]}
        return len(hands), len(momenta), layer.ticks.item() == layer.generator().draws

    assert set(beside_a_fit(model, look)) == {(1, 1, True)}


def test_an_update_in_a_loop_of_ones_own_is_whole():
    model, optimizer = clock(), eg.optimizers.SGD(1.0, use_ema=True)
    model.build((None, 1))
    enough = threading.Event()

    def train():
        while not enough.is_set():
            optimizer.minimize(model(X, training=True).mean(), model.trainable_weights)

    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(train)
        try:
            seen = [{w.item() for w in model.get_weights()[:-1]} for _ in range(LOOKS)]
        finally:
            enough.set()
        training.result()
    assert [len(hands) for hands in seen] == [1] * LOOKS


def test_a_copy_that_fails_leaves_nothing_behind():
    model = clock()
    model.fit(X, Y, verbose=0)
    model.lock = threading.Lock()
    kept = []
    for fail in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="lock") as raised:
            fail(model)
        kept.append(raised.value)
    del model.lock
    model.fit(X, Y, verbose=0)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert is_whole(twin)
        assert twin.optimizer.iterations == model.optimizer.iterations == 2
    assert copy.deepcopy(model.weights[0]).item() == model.weights[0].item()


def test_a_shallow_copy_shares_the_variables():
    model = clock()
    twin = copy.copy(model)
    assert twin.weights[0] is model.weights[0]
    assert vars(twin).keys() == vars(model).keys()


# ---- predictions and evaluations


class Stages(eg.Model):
    """A chain whose call is code, so that its layers run one by one."""

    def __init__(self):
        super().__init__()
        self.stages = [layers.Dense(1, use_bias=False) for _ in range(6)]

    def call(self, x):
        for stage in self.stages:
            x = stage(x)
        return x


def chain(kind):
    if kind == "subclass":
        model = Stages()
    else:
        model = eg.Sequential([layers.Dense(1, use_bias=False) for _ in range(6)])
    model.build((None, 1))
    return model


def ask(model, x):
    with eg.no_grad():
        return model(x).numpy()


@pytest.mark.parametrize("kind", ["captured", "subclass"])
@pytest.mark.parametrize("how", ["predict", "blocks", "batches", "call"])
def test_a_prediction_beside_set_weights_is_made_by_one_net(kind, how):
    model, x = chain(kind), np.ones((12, 1), np.float32)
    predict = {
        "predict": lambda: [model.predict(x)],
        "blocks": lambda: [model.predict(x, batch_size=3)],
        # Each batch by one net, which may be another one.
        "batches": lambda: np.split(model.predict(iter([x[:6], x[:6]])), 2),
        "call": lambda: [ask(model, x)],
    }[how]
    nets = [[np.full((1, 1), value, np.float32)] * 6 for value in (1.0, 2.0)]
    model.set_weights(nets[0])
    enough = threading.Event()

    def change():
        turn = 0
        while not enough.is_set():
            turn = 1 - turn
            model.set_weights(nets[turn])

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        try:
            seen = [np.unique(part) for _ in range(10 * LOOKS) for part in predict()]
        finally:
            enough.set()
        changing.result()
    assert {tuple(values) for values in seen} <= {(1.0,), (64.0,)}


@pytest.mark.parametrize("eager", [False, True])
def test_an_evaluation_beside_a_training_sees_one_net_and_leaves_the_figures_alone(eager):
    model, expected = clock(eager=eager, momentum=0.0), clock(eager=eager, momentum=0.0)

    def look():
        both = [
            model.evaluate(X, Y, batch_size=2, verbose=0, return_dict=True),
            model.test_on_batch(X, Y, return_dict=True),
        ]
        # After k steps, rows give -40 k.
        return all(
            figures["loss"] % 40 == 0 and figures["mae"] == -figures["loss"] for figures in both
        )

    assert beside_a_fit(model, look) == [True] * LOOKS
    expected.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    while expected.optimizer.iterations < model.optimizer.iterations:
        expected.fit(X, Y, batch_size=4, epochs=5, verbose=0)
    assert model.history.history == expected.history.history


def test_evaluations_in_several_threads_track_their_own_figures():
    rng = np.random.default_rng(0)
    parts = [(rng.normal(size=(40, 3)), rng.integers(0, 2, 40)) for _ in range(3)]
    model = eg.Sequential([eg.Input((3,)), layers.Dense(2)], seed=1)
    own = eg.metrics.SparseCategoricalAccuracy(name="own")
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy", own])

    def figures(part):
        return model.evaluate(*part, batch_size=8, verbose=0)

    expected = [figures(part) for part in parts]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(10):
            assert list(pool.map(figures, parts)) == expected


@pytest.mark.parametrize("question", ["predict_mc", "find_learning_rate", "plan"])
def test_what_a_question_tries_out_is_no_part_of_a_training_beside_it(question):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 3)).astype("float32"), rng.integers(0, 2, 64)

    def network():
        parts = [eg.Input((3,)), layers.Dense(8), layers.Dropout(0.5), layers.Dense(2)]
        model = eg.Sequential(parts, seed=1)
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        return model

    model, expected = network(), network()
    asked = {
        "predict_mc": lambda: model.predict_mc(x, 3),
        "find_learning_rate": lambda: model.find_learning_rate(x, y, steps=40),
        "plan": lambda: model.plan(x, batch_size=16),
    }[question]
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(model.fit, x, y, batch_size=16, epochs=60, verbose=0)
        for _ in range(3):
            asked()
        history = training.result().history
    assert history == expected.fit(x, y, batch_size=16, epochs=60, verbose=0).history
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- one thread trains


class Pause(eg.callbacks.Callback):
    """Stops a training after its first epoch until it is told to go on."""

    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def on_epoch_end(self, epoch, logs=None):
        self.reached.set()
        assert self.go_on.wait(600)


def test_a_model_that_another_thread_trains_is_refused_by_name(tmp_path):
    model, pause = clock(), Pause()
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(model.fit, X, Y, epochs=2, verbose=0, callbacks=[pause])
        assert pause.reached.wait(600)
        before, history = model.get_weights(), model.history
        try:
            for train in (
                lambda: model.fit(X, Y, verbose=0),
                lambda: model.fit(X, Y, verbose=0, checkpoint=tmp_path / "folder", resume=False),
                lambda: model.train_on_batch(X, Y),
            ):
                with pytest.raises(RuntimeError, match="sequential: another thread trains this"):
                    train()
            # Before anything has changed.
            assert model.history is history
            assert not (tmp_path / "folder").exists()
            for one, other in zip(before, model.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
            # Copies, and all that only looks, go on meanwhile.
            model.clone().fit(X, Y, verbose=0)
            model.evaluate(X, Y, verbose=0)
            model.predict(X)
        finally:
            pause.go_on.set()
        assert training.result().epoch == [0, 1]
    model.fit(X, Y, verbose=0)
    assert is_whole(model)


def test_a_training_that_failed_leaves_the_model_to_other_threads():
    model = clock()

    def fail(epoch, logs):
        raise OSError("on purpose")

    with ThreadPoolExecutor(1) as pool:
        callback = eg.callbacks.LambdaCallback(on_epoch_end=fail)
        failed = pool.submit(model.fit, X, Y, verbose=0, callbacks=[callback])
        assert isinstance(failed.exception(), OSError)
        with pytest.raises(ValueError, match="epochs"):
            model.fit(X, Y, epochs=-1, verbose=0)
        pool.submit(model.fit, X, Y, verbose=0).result()
    model.fit(X, Y, verbose=0)


def test_callbacks_may_train_and_change_the_model_that_is_being_trained():
    model = clock()

    def within(epoch, logs):
        model.train_on_batch(X, Y)
        model.set_weights([w * 0 for w in model.get_weights()])
        model.evaluate(X, Y, verbose=0)
        model.predict(X)
        model.find_learning_rate(X, Y, steps=4)

    callback = eg.callbacks.LambdaCallback(on_epoch_end=within)
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[callback])
    assert model.optimizer.iterations == 6


@pytest.mark.parametrize("eager", [False, True])
def test_steps_on_batches_of_several_threads_are_made_one_after_the_other(eager):
    model = clock(eager=eager)
    with ThreadPoolExecutor(3) as pool:
        steps = [pool.submit(model.train_on_batch, X[:rows], Y[:rows]) for rows in [8, 4] * 15]
        for step in steps:
            step.result()
    model.history = eg.callbacks.History()
    assert model.optimizer.iterations == 30
    assert is_whole(model)
