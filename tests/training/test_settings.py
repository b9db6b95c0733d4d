"""Settings that change between steps: captured steps go by them as those in Python do."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, constraints, layers, losses, metrics, optimizers, regularizers
from evengrad.training._step import Step

rng = np.random.default_rng(0)
X = rng.normal(size=(36, 4)).astype("float32")
Y = rng.normal(size=(36, 2)).astype("float32")
FACTOR = 1.0
NUMBERS = SimpleNamespace(factor=1.0, others=[1.0])


def net(*inner, loss="mse", optimizer=None, metrics=None, **settings):
    model = eg.Sequential([eg.Input((4,)), *inner, layers.Dense(2, **settings)], seed=3)
    model.compile(optimizer or optimizers.SGD(0.05), loss, metrics)
    return model


class Own(layers.Layer):
    """A layer with numbers of its own."""

    def __init__(self):
        super().__init__()
        self.numbers, self.by_name, self.number = [1.0], {"a": 1.0}, 1.0
        self.penalty = OwnPenalty(0.1)

    def call(self, x):
        return x * self.numbers[0] * self.by_name["a"] * self.number * FACTOR


class OwnPenalty(regularizers.Regularizer):
    def __init__(self, amount):
        self.amount = amount

    def __call__(self, w):
        return (w * w).sum() * self.amount


class CallablePenalty:
    """No regularizer of this package's, but called like one."""

    amount = 0.1

    def __init__(self):
        self.amount = 0.1

    def __call__(self, w):
        return (w * w).sum() * self.amount


class OwnLoss(losses.Loss):
    def __init__(self):
        super().__init__()
        self.weights = [1.0, {"second": 1.0}]

    def call(self, y_true, y_pred):
        first, second = self.weights
        return ((y_true - y_pred) ** 2).mean(dim=-1) * first * second["second"]


def by_global(y_true, y_pred):
    return ((y_true - y_pred) ** 2).mean(dim=-1) * FACTOR


def by_object(y_true, y_pred):
    return ((y_true - y_pred) ** 2).mean(dim=-1) * NUMBERS.factor * helper()


def helper():
    return NUMBERS.others[0]


def with_closure():
    factor = 1.0

    def loss(y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean(dim=-1) * factor

    def change(value):
        nonlocal factor
        factor = value

    return loss, change


class Owner:
    """An object whose method is a loss."""

    def __init__(self):
        self.factor = 1.0
        self.unrelated = 0

    def loss(self, y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean(dim=-1) * self.factor


def first(model):
    return model.layers[0]


def changes(make, path, value):
    """Return a model, and what sets an attribute that is found by a path of names and numbers."""

    def build():
        model = make()
        made = {"model": model, "loss": model._config.losses}

        def change():
            *way, name = path.split(".")
            held = made["loss"] if way[0] == "loss" else model
            for part in way[1:] if way[0] == "loss" else way:
                held = held[int(part)] if part.isdigit() else getattr(held, part)
            if name.isdigit():
                held[int(name)] = value
            else:
                setattr(held, name, value)

        return model, change

    return build


def with_object(make_object, make, change):
    def build():
        thing = make_object()
        return make(thing), functools.partial(change, thing)

    return build


def with_global(loss, name, value):
    def build():
        return net(loss=loss), lambda: globals().__setitem__(name, value)

    return build


CASES = {
    "a rate": changes(lambda: net(layers.Dropout(0.5)), "layers.0.rate", 0.0),
    "a deviation": changes(lambda: net(layers.GaussianNoise(0.5)), "layers.0.stddev", 0.0),
    "a momentum": changes(lambda: net(layers.BatchNormalization()), "layers.0.momentum", 0.5),
    "a slope": changes(lambda: net(layers.LeakyReLU()), "layers.0.negative_slope", 0.5),
    "an activation": changes(
        lambda: net(layers.Dense(4, "relu")), "layers.0.activation", eg.activations.tanh
    ),
    "a number": changes(lambda: net(Own()), "layers.0.number", 0.5),
    "a list of numbers": changes(lambda: net(Own()), "layers.0.numbers.0", 0.5),
    "L2": changes(
        lambda: net(kernel_regularizer=regularizers.L2(0.1)), "layers.0.kernel_regularizer.l2", 0.0
    ),
    "a penalty on outputs": changes(
        lambda: net(activity_regularizer=regularizers.L1(0.1)),
        "layers.0.activity_regularizer.l1",
        0.0,
    ),
    "a penalty of one's own": changes(
        lambda: net(kernel_regularizer=OwnPenalty(0.1)), "layers.0.kernel_regularizer.amount", 0.0
    ),
    "a callable penalty": changes(
        lambda: net(kernel_regularizer=CallablePenalty()), "layers.0.kernel_regularizer.amount", 0.0
    ),
    "another regularizer": changes(
        lambda: net(kernel_regularizer="l2"), "layers.0.kernel_regularizer", "l1"
    ),
    "a first regularizer": changes(net, "layers.0.bias_regularizer", regularizers.L1(0.1)),
    "no regularizer": changes(
        lambda: net(kernel_regularizer=regularizers.L2(0.1)), "layers.0.kernel_regularizer", None
    ),
    "the largest norm": changes(
        lambda: net(kernel_constraint=constraints.MaxNorm(0.5)),
        "layers.0.kernel_constraint.max_value",
        0.1,
    ),
    "another constraint": changes(net, "layers.0.kernel_constraint", "unit_norm"),
    "no constraint": changes(
        lambda: net(kernel_constraint="unit_norm"), "layers.0.kernel_constraint", None
    ),
    "a frozen variable": changes(net, "layers.0.kernel.requires_grad", False),
    "delta": with_object(
        lambda: losses.Huber(1.0),
        lambda loss: net(loss=loss),
        lambda loss: setattr(loss, "delta", 0.1),
    ),
    "a list in a loss": with_object(
        OwnLoss, lambda loss: net(loss=loss), lambda loss: loss.weights.__setitem__(0, 0.1)
    ),
    "a dict in a list in a loss": with_object(
        OwnLoss, lambda loss: net(loss=loss), lambda loss: loss.weights[1].update(second=0.1)
    ),
    "a closure": with_object(
        with_closure, lambda both: net(loss=both[0]), lambda both: both[1](0.1)
    ),
    "a global": with_global(by_global, "FACTOR", 0.1),
    "an object's number": with_object(
        lambda: NUMBERS,
        lambda _: net(loss=by_object),
        lambda numbers: setattr(numbers, "factor", 0.1),
    ),
    "what a helper reads": with_object(
        lambda: NUMBERS,
        lambda _: net(loss=by_object),
        lambda numbers: setattr(numbers, "others", [0.1]),
    ),
    "a global that a layer reads": lambda: (
        net(Own()),
        lambda: globals().__setitem__("FACTOR", 0.5),
    ),
    "an attribute behind a method": with_object(
        Owner, lambda owner: net(loss=owner.loss), lambda owner: setattr(owner, "factor", 0.1)
    ),
    "an argument of a partial function": with_object(
        lambda: {"factor": [1.0]},
        lambda given: net(
            loss=functools.partial(
                lambda factor, y, p: ((y - p) ** 2).mean(dim=-1) * factor[0], given["factor"]
            )
        ),
        lambda given: given["factor"].__setitem__(0, 0.1),
    ),
    "a rate of the optimizer": changes(net, "optimizer.learning_rate", 0.001),
    "a momentum of the optimizer": changes(
        lambda: net(optimizer=optimizers.SGD(0.05, momentum=0.5)), "optimizer.momentum", 0.9
    ),
    "a schedule's number": changes(
        lambda: net(optimizer=optimizers.SGD(optimizers.schedules.StepDecay(0.05, 50))),
        "optimizer.learning_rate.initial_learning_rate",
        0.001,
    ),
}


class At(callbacks.Callback):
    """Changes something after an epoch, or after a batch."""

    def __init__(self, change, batch):
        super().__init__()
        self.change = change
        self.batch = batch


class AfterEpoch(At):
    def on_epoch_end(self, epoch, logs):
        del logs
        if epoch == 0:
            self.change()


class AfterBatch(At):
    def on_train_batch_end(self, batch, logs):
        del logs
        if batch == 1 and self.model.optimizer.iterations == 2:
            self.change()


@pytest.fixture(autouse=True)
def numbers_as_they_were():
    yield
    globals()["FACTOR"] = NUMBERS.factor = 1.0
    NUMBERS.others = [1.0]


def run(build, when, eagerly):
    """Return the weights and the figures of a training with a change in it."""
    numbers = NUMBERS.factor, NUMBERS.others
    model, change = build()
    model._config.run_eagerly = eagerly
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0}
    try:
        if when == "fits":
            history = model.fit(X, Y, **settings).history["loss"]
            change()
            history += model.fit(X, Y, epochs=2, **settings).history["loss"]
        elif when == "batches":
            history = [model.train_on_batch(X, Y) for _ in range(3)]
            change()
            history += [model.train_on_batch(X, Y) for _ in range(3)]
        else:
            listener = (AfterEpoch if when == "epoch" else AfterBatch)(change, 1)
            data = {"validation_data": (X, Y)}
            history = model.fit(X, Y, epochs=3, callbacks=[listener], **data, **settings).history
            history = history["loss"] + history["val_loss"]
        return [*model.get_weights(), np.array(history)]
    finally:
        globals()["FACTOR"] = 1.0
        NUMBERS.factor, NUMBERS.others = numbers


@pytest.mark.parametrize("when", ["epoch", "batch", "fits", "batches"])
@pytest.mark.parametrize("build", CASES.values(), ids=list(CASES))
def test_a_change_is_what_captured_steps_go_by(build, when):
    captured, eager = (run(build, when, eagerly) for eagerly in (False, True))
    for value, other in zip(captured, eager, strict=True):
        np.testing.assert_array_equal(value, other)
    unchanged = run(lambda: (build()[0], lambda: None), when, eagerly=False)
    assert any((value != other).any() for value, other in zip(captured, unchanged, strict=True))


def test_metrics_go_by_their_settings_too():
    accuracy = metrics.BinaryAccuracy(threshold=0.5)
    model = net(loss="mse", metrics=[accuracy])
    outputs = model.predict(X)
    y = (outputs > 0.0).astype("float32")
    found = []
    for threshold in (0.5, 0.0, 0.5):
        accuracy.threshold = threshold
        found.append(model.evaluate(X, y)[1])
        wanted = ((outputs > threshold) == y).mean()
        assert found[-1] == pytest.approx(wanted, rel=1e-6)
    assert found[0] == found[2] < found[1] == 1.0


def test_what_does_not_change_is_captured_once(monkeypatch):
    made = []
    recording = eg._core.Recording

    def counted(*args):
        made.append(1)
        return recording(*args)

    owner = Owner()

    class Unrelated(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            del logs
            self.last = owner.unrelated = epoch

    model = net(Own(), loss=owner.loss, kernel_regularizer=OwnPenalty(0.1))
    monkeypatch.setattr(Step, "recorder", staticmethod(counted))
    settings = {"batch_size": 9, "epochs": 6, "verbose": 0}
    model.fit(X, Y, callbacks=[Unrelated()], validation_data=(X, Y), **settings)
    assert len(made) == 2


def test_a_bad_setting_changes_nothing():
    model = net(kernel_regularizer="l2")
    layer = first(model)
    for name in ("kernel_regularizer", "kernel_constraint", "activity_regularizer"):
        before = getattr(layer, name)
        with pytest.raises(ValueError, match=rf"dense: {name}.*'l3'"):
            setattr(layer, name, "l3")
        assert getattr(layer, name) is before
    with pytest.raises(ValueError, match="axis"):
        layer.bias_constraint = constraints.MaxNorm(1.0, axis=3)
    assert layer.bias_constraint is None


def test_settings_that_were_replaced_are_saved(tmp_path):
    model = net()
    first(model).kernel_regularizer = regularizers.L2(0.5)
    first(model).kernel_constraint = "unit_norm"
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    for one in (model, again):
        one.fit(X, Y, verbose=0)
    for value, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(value, other)
    np.testing.assert_allclose(np.linalg.norm(model.get_weights()[0], axis=0), 1.0, rtol=1e-5)


def test_recurrent_layers_have_theirs_too():
    layer = layers.LSTM(3, recurrent_regularizer="l2")
    layer(np.ones((2, 4, 2)))
    assert len(layer.losses) == 1
    layer.recurrent_regularizer = None
    assert layer.losses == []
    layer.bias_regularizer = layer.kernel_regularizer = "l1"
    assert len(layer.losses) == 2
