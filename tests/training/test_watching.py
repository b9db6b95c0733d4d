"""What training watches for: losses that break, and weights that cannot train."""

# ruff: noqa: ARG001 - functions have the signatures that they are called with

import numpy as np
import pytest
from training_checks import same, three_classes

import evengrad as eg
from evengrad import callbacks, layers


@pytest.fixture
def data():
    return three_classes()


def network():
    model = eg.Sequential([layers.Dense(16, "relu"), layers.Dense(3, "softmax")], seed=7)
    model.compile(eg.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model


class TestTerminateOnNaN:
    """A loss that breaks in a known batch: a value of 1e200 there, whose square is infinite."""

    def model(self, run_eagerly=False):
        model = eg.Sequential([layers.Dense(1)], dtype="float64", seed=3)
        model.compile(eg.optimizers.SGD(1e-3), "mse", run_eagerly=run_eagerly)
        return model

    def broken(self, batch, rows=640):
        """Return data whose batch of 4 rows, of those in order, breaks."""
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(rows, 3)), rng.normal(size=rows)
        x[4 * batch + 1] = 1e200
        return x, y

    @pytest.mark.parametrize("batch", [0, 1, 3, 4, 47, 159])
    @pytest.mark.parametrize("eagerly", [False, True])
    def test_the_first_batch_is_named(self, batch, eagerly, advice):
        x, y = self.broken(batch)
        model, stop = self.model(eagerly), callbacks.TerminateOnNaN()
        with advice.heard():
            history = model.fit(
                x, y, batch_size=4, epochs=9, shuffle=False, verbose=0, callbacks=[stop]
            )
        assert (stop.stopped_epoch, stop.stopped_batch) == (0, batch)
        assert f"epoch 0, batch {batch} " in advice.text
        assert history.epoch == [0]
        assert not np.isfinite(history.history["loss"][0])
        # The last run of the session may go past the batch, not past the epoch: runs begin with a
        # single step and grow at most fourfold.
        assert model.optimizer.iterations <= max(1, 5 * batch + 5)

    def test_a_later_epoch_and_batches_from_an_iterable(self):
        class Breaks:
            epochs = 0

            def __iter__(self):
                self.epochs += 1
                for i in range(6):
                    x = np.ones((4, 3))
                    yield x * (1e200 if self.epochs == 3 and i == 4 else 1.0), np.zeros(4)

        model, stop = self.model(), callbacks.TerminateOnNaN()
        history = model.fit(Breaks(), epochs=9, verbose=0, callbacks=[stop])
        assert (stop.stopped_epoch, stop.stopped_batch) == (2, 4)
        assert model.optimizer.iterations == 6 + 6 + 5
        losses = history.history["loss"]
        assert history.epoch == [0, 1, 2]
        assert np.isfinite(losses[:2]).all()
        assert not np.isfinite(losses[2])

    @pytest.mark.parametrize("every", ["epoch", "1 steps"])
    def test_a_training_that_it_had_ended_resumes_with_the_place(self, tmp_path, every):
        x, y = self.broken(20)
        keep = {"checkpoint": tmp_path, "checkpoint_every": every, "verbose": 0}
        for epochs in (2, 5):
            model, stop = self.model(), callbacks.TerminateOnNaN()
            history = model.fit(x, y, 4, epochs, shuffle=False, callbacks=[stop], **keep)
            assert (stop.stopped_epoch, stop.stopped_batch) == (0, 20)
            assert history.epoch == [0]

    def test_a_sound_training_keeps_its_bits_and_its_plan(self, data, advice):
        x, y = data
        plain, watched, stop = network(), network(), callbacks.TerminateOnNaN()
        expected = plain.fit(x, y, epochs=3, verbose=0, validation_data=(x, y)).history
        got = watched.fit(
            x, y, epochs=3, verbose=0, validation_data=(x, y), callbacks=[stop]
        ).history
        assert got == expected
        assert same(plain, watched)
        assert stop.stopped_epoch is None
        assert not stop.wants_batches("train")
        assert not advice.text
        # The next training is not watched any more.
        assert watched.fit(x, y, verbose=0).history == plain.fit(x, y, verbose=0).history

    def test_beside_callbacks_for_batches_and_evaluations_within_the_epoch(self):
        x, y = self.broken(20)
        model, stop, told = self.model(), callbacks.TerminateOnNaN(), []

        def tell(batch, logs):
            told.append(batch)
            model.evaluate(x[:4], y[:4])
            model.train_on_batch(x[:4], y[:4])

        model.fit(
            x,
            y,
            batch_size=4,
            shuffle=False,
            verbose=0,
            callbacks=[callbacks.LambdaCallback(on_train_batch_end=tell), stop],
        )
        assert stop.stopped_batch == 20
        assert told == list(range(21))

    def test_another_training_begins_anew(self):
        x, y = self.broken(2)
        model, stop = self.model(), callbacks.TerminateOnNaN()
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0, callbacks=[stop])
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        model.fit(x[12:], y[12:], batch_size=4, verbose=0, callbacks=[stop])
        assert stop.stopped_batch is None


class TestLossThatIsNoNumber:
    """Weights that grow by a factor in each step: the loss leaves the range of float32."""

    def fit(self, rate=1e3, **given):
        model = eg.Sequential([layers.Dense(1)], seed=3)
        model.compile(eg.optimizers.SGD(rate), "mse")
        x, y = np.ones((8, 3)), np.zeros(8)
        return model.fit(x, y, **{"epochs": 30, "verbose": 0, "shuffle": False, **given})

    @pytest.mark.parametrize("heard", [False, True])
    def test_it_is_said_once_with_epoch_and_rate(self, advice, heard):
        told = [callbacks.Callback()] if heard else []
        history = self.fit(callbacks=told)
        first = np.flatnonzero(~np.isfinite(history.history["loss"]))[0]
        assert 0 < first < 28
        assert len(history.epoch) == 30
        assert advice.text.count("the loss is") == 1
        assert f"in epoch {first} (counted from 0), at a learning rate of 1000." in advice.text

    @pytest.mark.parametrize("heard", [False, True])
    def test_a_schedule_s_rate_is_that_of_the_last_update(self, advice, heard):
        told = [callbacks.Callback()] if heard else []
        history = self.fit(lambda step: 1000.0 + step, callbacks=told, batch_size=4)
        first = np.flatnonzero(~np.isfinite(history.history["loss"]))[0]
        assert f"at a learning rate of {1000 + 2 * first + 1}." in advice.text

    def test_who_watches_says_it_instead(self, advice):
        self.fit(callbacks=[callbacks.TerminateOnNaN()])
        assert advice.text.count("the loss is") == 1
        assert "TerminateOnNaN: sequential" in advice.text

    def test_a_sound_loss_is_not_spoken_of(self, advice):
        self.fit(1e-3)
        assert not advice.text


class Unused(layers.Layer):
    """A layer of which one of two parts goes nowhere."""

    def __init__(self):
        super().__init__()
        self.used, self.spare = layers.Dense(4, "tanh"), layers.Dense(4)

    def call(self, x):
        self.spare(x)
        return self.used(x)


class TestWeightsWithoutGradient:
    def leaves_the_tape(self, run_eagerly=False):
        model = eg.Sequential(
            [
                layers.Dense(4, lambda z: eg.tensor(np.tanh(z.numpy()))),
                layers.Dense(3),
            ],
            seed=1,
        )
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=run_eagerly)
        return model

    @pytest.mark.parametrize("way", ["fit", "train_on_batch"])
    @pytest.mark.parametrize("eagerly", [False, True])
    def test_they_are_named_once(self, data, advice, eagerly, way):
        x, y = data
        model = self.leaves_the_tape(eagerly)
        with advice.heard():
            for _ in range(3):
                getattr(model, way)(x, y)
        told = [one for one in advice.messages if "no gradient reaches" in one]
        assert len(told) == 1
        assert "dense/kernel, dense/bias, so" in told[0]
        assert "dense_1" not in told[0]

    def test_a_part_that_is_not_used(self, data, advice):
        x, y = data
        model = eg.Sequential([Unused(), layers.Dense(3)], seed=1)
        model.compile("sgd", "sparse_categorical_crossentropy")
        with advice.heard():
            model.fit(x, y, verbose=0)
        assert advice.text.count("no gradient reaches") == 1
        assert "unused/spare/kernel, unused/spare/bias, so" in advice.text
        before = advice.text
        model.layers[0].spare.trainable = False
        model.compile("sgd", "sparse_categorical_crossentropy")
        with advice.heard():
            model.fit(x, y, verbose=0)
        assert advice.text == before

    def test_nothing_is_said_of_what_trains_or_is_frozen(self, data, advice):
        x, y = data
        model = network()
        model.fit(x, y, verbose=0)
        model.layers[0].trainable = False
        with advice.heard():
            model.fit(x, y, verbose=0)
        assert "no gradient" not in advice.text
