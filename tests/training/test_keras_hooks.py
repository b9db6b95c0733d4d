"""What scripts for Keras write into their models and hear in callbacks: obeyed, or refused."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, layers, optimizers
from evengrad.optimizers import schedules

RNG = np.random.default_rng(2)
X, Y = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 1))
LABELS = RNG.integers(3, size=40)
WEIGHTS = RNG.uniform(0.5, 2.0, 40)


def net(kind=eg.Sequential, outputs=1, activation=None, **settings):
    chain = [eg.Input((3,)), layers.Dense(5, "tanh", **settings), layers.Dense(outputs, activation)]
    return kind(chain, seed=4)


class Absolute(eg.Sequential):
    """Its loss is none of `compile`."""

    def compute_loss(self, x, y, y_pred, sample_weight):
        error = (y - y_pred).abs()[:, 0] + 0.0 * x.sum(1)
        if sample_weight is not None:
            error = error * sample_weight
        return error.mean()


class Twice(eg.Sequential):
    """Its loss is twice that of `compile`."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        self.modes = {*getattr(self, "modes", ()), training}
        return 2.0 * super().compute_loss(x, y, y_pred, sample_weight, training)


class TestComputeLoss:
    @pytest.mark.parametrize("run_eagerly", [False, True])
    @pytest.mark.parametrize("loss", [None, "mse"])
    def test_it_takes_the_place_of_the_loss(self, run_eagerly, loss):
        model, same = net(Absolute), net()
        model.compile("adam", loss, ["mse"], run_eagerly=run_eagerly)
        same.compile("adam", "mae", ["mse"])
        for one in (model, same):
            one.fit(X, Y, epochs=3, batch_size=8, verbose=0)
        for a, b in zip(model.get_weights(), same.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        found = model.evaluate(X, Y, sample_weight=WEIGHTS, return_dict=True)
        errors = model.predict(X, verbose=0) - Y
        assert found["loss"] == pytest.approx((np.abs(errors[:, 0]) * WEIGHTS).mean(), rel=1e-5)
        assert found["mse"] == pytest.approx((errors**2).mean(), rel=1e-5)

    def test_captured_equals_eager(self):
        weights = []
        for run_eagerly in (False, True):
            model = net(Absolute)
            model.compile("adam", run_eagerly=run_eagerly)
            model.fit(X, Y, epochs=2, batch_size=7, verbose=0)
            weights.append(model.get_weights())
        for a, b in zip(*weights, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_with_the_loss_of_compile_and_penalties(self):
        model, same = net(Twice, kernel_regularizer="l2"), net(kernel_regularizer="l2")
        for one in (model, same):
            one.compile(optimizers.SGD(0.1), "mse")
        assert model.evaluate(X, Y) == pytest.approx(2 * same.evaluate(X, Y), rel=1e-6)
        assert model.modes == {False}
        model.fit(X, Y, verbose=0)
        assert model.modes == {False, True}

    def test_it_gets_what_the_model_puts_out(self):
        model, same = net(Twice, 3, "softmax"), net(eg.Sequential, 3, "softmax")
        for one in (model, same):
            one.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        found, expected = (one.evaluate(X, LABELS) for one in (model, same))
        assert found[0] == pytest.approx(2 * expected[0], rel=1e-5)
        assert found[1] == expected[1]

    def test_several_outputs(self):
        class Joint(eg.Model):
            def compute_loss(self, x, y, y_pred, **_):
                return (y_pred["a"] * y["b"]).square().mean() + (x - y["a"]).square().mean() * 0.0

        x = eg.Input((3,))
        ends = {"a": layers.Dense(1)(x), "b": layers.Dense(1)(x)}
        model = Joint(x, ends, seed=1)
        model.compile("sgd")
        found = model.evaluate(X, {"a": Y, "b": Y}, return_dict=True)
        outputs = model.predict(X, verbose=0)
        assert found == {"loss": pytest.approx(((outputs["a"] * Y) ** 2).mean(), rel=1e-5)}

    def test_what_is_no_loss(self):
        class Wrong(eg.Sequential):
            def compute_loss(self, **batch):
                return batch["y_pred"]

        model = net(Wrong)
        model.compile("sgd")
        before = model.get_weights()
        with pytest.raises(TypeError, match=r"compute_loss: expected a tensor of one element"):
            model.fit(X, Y, verbose=0)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        model = net(Twice)
        model.compile("sgd", "mse")
        with pytest.raises(RuntimeError, match="compute_loss before any data was seen"):
            model.compute_loss(None, Y, Y)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("train_step", "compute_loss"),
        ("test_step", "compute_loss"),
        ("predict_step", r"call\(self, x, training\)"),
        ("compute_metrics", r"metrics\.Metric"),
        ("make_train_function", "compute_loss"),
    ],
)
def test_methods_that_nothing_calls(name, instead):
    kind = type("Mine", (eg.Sequential,), {name: lambda _, data: data})
    model = net(kind)
    # For a loop of the user's own, all is there.
    model.compile("sgd", "mse")
    message = rf"mine: {name}: Keras calls this method .*{instead}"
    for run in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(TypeError, match=message):
            run(X, Y)
    if name == "predict_step":
        with pytest.raises(TypeError, match=message):
            model.predict(X, verbose=0)
    else:
        assert model.predict(X, verbose=0).shape == (40, 1)


class Heard(callbacks.Callback):
    """Notes what it hears of batches."""

    def __init__(self):
        self.begun, self.ended, self.figures = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        del logs
        self.begun.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.ended.append(batch)
        self.figures.append(dict(logs))

    def on_test_batch_end(self, batch, logs=None):
        del logs
        self.ended.append(-batch)


class TestStepsPerExecution:
    @pytest.mark.parametrize("batches", [False, True])
    def test_callbacks_hear_of_the_first_and_the_last(self, batches):
        model = net()
        model.compile("sgd", "mse", ["mae"], steps_per_execution=3)
        heard = Heard()
        given = (X, Y)
        if batches:
            given = ([(X[i : i + 5], Y[i : i + 5]) for i in range(0, 40, 5)],)
        model.fit(*given, epochs=2, batch_size=None if batches else 5, callbacks=heard, verbose=0)
        assert heard.begun == [0, 3, 6] * 2
        assert heard.ended == [2, 5, 7] * 2
        assert {frozenset(one) for one in heard.figures} == {frozenset({"loss", "mae"})}

    def test_it_changes_no_bits(self):
        weights = []
        for count in (1, 4):
            model = net()
            model.compile("adam", "mse", steps_per_execution=count)
            model.fit(X, Y, epochs=2, batch_size=3, callbacks=[Heard()], verbose=0)
            weights.append(model.get_weights())
        for a, b in zip(*weights, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_evaluation_and_stopping(self):
        class Stops(Heard):
            def on_train_batch_end(self, batch, logs=None):
                super().on_train_batch_end(batch, logs)
                self.model.stop_training = True

        model = net()
        model.compile("sgd", "mse", steps_per_execution=2)
        heard = Heard()
        model.evaluate(X, Y, batch_size=10, callbacks=heard)
        assert heard.ended == [-1, -3]
        stops = Stops()
        model.fit(X, Y, epochs=3, batch_size=10, callbacks=stops, verbose=0)
        assert stops.ended == [1]
        with pytest.raises(ValueError, match="steps_per_execution"):
            model.compile("sgd", "mse", steps_per_execution=0)


class TestLearningRates:
    def test_of_a_schedule(self):
        for validation in (None, (X, Y)):
            model = net()
            model.compile(optimizers.SGD(schedules.StepDecay(0.1, 4, 0.5)), "mse")
            history = model.fit(
                X, Y, epochs=4, batch_size=10, validation_data=validation, verbose=0
            )
            # That of each epoch's last update: those with the numbers 3, 7, 11 and 15.
            rates = history.history["learning_rate"]
            np.testing.assert_allclose(rates, [0.1, 0.05, 0.025, 0.0125])
            assert [*history.history][-1] == "learning_rate"

    def test_with_gathered_gradients(self):
        model = net()
        schedule = schedules.StepDecay(0.1, 1, 0.5)
        model.compile(optimizers.SGD(schedule, gradient_accumulation_steps=4), "mse")
        history = model.fit(X, Y, epochs=3, batch_size=10, verbose=0)
        np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.05, 0.025])

    def test_of_a_scheduler(self):
        model = net()
        model.compile(optimizers.SGD(1.0), "mse")
        halve = callbacks.LearningRateScheduler(lambda _, rate: rate / 2)
        history = model.fit(X, Y, epochs=3, callbacks=halve, verbose=0)
        assert history.history["learning_rate"] == [0.5, 0.25, 0.125]

    def test_of_a_plateau(self):
        model = net()
        model.compile(optimizers.SGD(0.0078125), "mse")
        cut = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
        seen = []
        tell = callbacks.LambdaCallback(on_epoch_end=lambda _, logs: seen.append(dict(logs)))
        history = model.fit(X, Y, epochs=3, callbacks=[cut, tell], verbose=0)
        # The epoch's own rate, which is cut at its end.
        assert history.history["learning_rate"] == [0.0078125, 0.0078125, 0.00390625]
        assert [logs["learning_rate"] for logs in seen] == history.history["learning_rate"]

    def test_a_rate_that_stays_is_left_out(self):
        model = net()
        model.compile(optimizers.SGD(0.1), "mse")
        history = model.fit(X, Y, epochs=2, callbacks=[Heard()], verbose=0)
        assert [*history.history] == ["loss"]
