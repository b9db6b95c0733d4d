"""What makes an epoch and a validation: numbers of steps, last batches, iterators, early ends."""

# ruff: noqa: ARG001, ARG002 - functions have the signatures that they are called with

import itertools

import numpy as np
import pytest
from checkpoint_checks import StopAt, X, Y, bits, net, run
from training_checks import same

import evengrad as eg
from evengrad import callbacks, layers


def regressor(**settings):
    """Return a model whose loss is the mean square of what is fed as y: the output is 0."""
    model = eg.Sequential([layers.Dense(1, kernel_initializer="zeros")], seed=1)
    model.compile(eg.optimizers.SGD(0.0), "mse", **settings)
    return model


def batches(*values, rows=4):
    """Return batches whose mean squares are these values."""
    return [(np.zeros((rows, 2)), np.full(rows, value**0.5)) for value in values]


class Anew:
    """An iterable that can be iterated anew, and counts how often it was."""

    def __init__(self, items):
        self.items, self.begun = items, 0

    def __iter__(self):
        self.begun += 1
        return iter(self.items)


class Endless(Anew):
    def __iter__(self):
        self.begun += 1
        return itertools.cycle(self.items)


def endless(*values):
    return itertools.cycle(batches(*values))


def rows_seen(model, x, y, **given):
    """Return the first feature of the rows of each batch, epoch by epoch."""
    seen, epochs = [], []

    class Notes(layers.Layer):
        def call(self, z, training):
            if training:
                seen.append(z.numpy()[:, 0].astype(int).tolist())
            return z

    noting = eg.Sequential([Notes(), *model.layers], seed=model.seed)
    noting.compile(eg.optimizers.SGD(0.0), "mse", run_eagerly=True)

    def note(epoch, logs):
        epochs.append(seen.copy())
        seen.clear()

    told = callbacks.LambdaCallback(on_epoch_end=note)
    noting.fit(x, y, verbose=0, callbacks=[told], **given)
    return epochs


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


NUMBERED = np.stack([np.arange(10.0), np.zeros(10)], axis=1), np.zeros(10)


class TestStepsPerEpoch:
    def test_epochs_of_arrays_go_on_in_the_order(self):
        seen = rows_seen(
            regressor(), *NUMBERED, batch_size=2, epochs=3, steps_per_epoch=2, shuffle=False
        )
        # Where the rows end, the epoch ends, as in Keras.
        assert seen == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9]]]

    def test_each_pass_has_a_new_order_of_all_rows(self):
        seen = rows_seen(regressor(), *NUMBERED, batch_size=3, epochs=4, steps_per_epoch=2)
        passes = [flat(seen[at] + seen[at + 1]) for at in (0, 2)]
        assert [sorted(rows) for rows in passes] == [list(range(10))] * 2
        assert passes[0] != passes[1]
        whole = rows_seen(regressor(), *NUMBERED, batch_size=3, epochs=2)
        assert list(map(flat, whole)) == passes

    @pytest.mark.parametrize("watched", [False, True])
    def test_the_figures_are_those_of_the_steps(self, watched):
        y = np.sqrt(np.arange(10.0))
        told = [callbacks.Callback()] if watched else []
        history = regressor().fit(
            np.zeros((10, 2)), y, 2, 6, 0, told, shuffle=False, steps_per_epoch=2
        )
        assert history.history["loss"] == pytest.approx([1.5, 5.5, 8.5, 1.5, 5.5, 8.5])

    def test_a_number_that_is_no_divisor_is_said(self, advice):
        with advice.heard():
            regressor().fit(*NUMBERED, batch_size=2, steps_per_epoch=5, verbose=0)
            assert not advice.text
            regressor().fit(*NUMBERED, batch_size=2, steps_per_epoch=2, epochs=2, verbose=0)
            assert not advice.text
            regressor().fit(*NUMBERED, batch_size=2, steps_per_epoch=2, epochs=3, verbose=0)
        assert "steps_per_epoch: 2 is no divisor of the 5 batches" in advice.text

    def test_parts_of_epochs_train_as_whole_ones_do(self):
        whole, parts = net(), net()
        run(whole, 3)
        run(parts, 12, steps_per_epoch=2)
        assert same(whole, parts)

    def test_data_that_comes_piece_by_piece(self, monkeypatch):
        expected = net()
        run(expected, 5, steps_per_epoch=2)
        monkeypatch.setattr("evengrad.training._data.RESIDENT_BYTES", 0)
        monkeypatch.setattr("evengrad.training._data.PIECE_BYTES", 500)
        pieces = net()
        run(pieces, 5, steps_per_epoch=2)
        assert same(expected, pieces)

    def test_an_iterable_goes_on_and_is_begun_anew_at_its_end(self, advice):
        data = Anew(batches(1, 2, 3, 4, 5))
        with advice.heard():
            history = regressor().fit(data, epochs=4, steps_per_epoch=2, verbose=0)
        assert history.history["loss"] == pytest.approx([1.5, 3.5, 5.0, 1.5])
        assert data.begun == 2
        assert advice.text.count("no batch is left after 1 of the 2 that steps_per_epoch") == 1

    def test_a_chain_that_puts_out_states_has_several_outputs(self):
        x = np.random.default_rng(0).normal(size=(12, 5, 4))
        model = eg.Sequential([eg.Input((5, 4)), layers.GRU(3, return_state=True)], seed=1)
        model.compile(eg.optimizers.SGD(0.0), "mse")
        outputs = model.predict(x)
        wanted = sum(((one - 1.0) ** 2).mean() for one in outputs)
        targets = [np.ones((12, 3))] * 2
        assert model.fit(x, targets, verbose=0).history["loss"] == [pytest.approx(wanted, rel=1e-5)]
        assert model.evaluate(x, targets)[0] == pytest.approx(wanted, rel=1e-5)

    def test_a_list_of_batches_is_an_iterable(self):
        given = batches(4.0, 16.0)
        model = regressor()
        history = model.fit(given, epochs=2, validation_data=given, verbose=0).history
        assert history == {"loss": [10.0, 10.0], "val_loss": [10.0, 10.0]}
        assert model.evaluate(given) == 10.0
        inputs = [eg.Input((2,)), eg.Input((2,))]
        model = eg.Model(inputs, [layers.Dense(2)(one) for one in inputs])
        model.compile("sgd", "mse")
        x = np.ones((4, 2))
        # Two inputs and two outputs are no two batches.
        model.fit([x, x], [x, x], validation_data=[(x, x), (x, x)], verbose=0)

    def test_items_without_an_iterator_are_not_waited_for(self):
        class Items:
            """As data sets of other libraries, which end at no index."""

            def __len__(self):
                return 2

            def __getitem__(self, index):
                return batches(4.0)[0]

        for use in (
            lambda: regressor().fit(Items(), verbose=0),
            lambda: regressor().predict(Items()),
            lambda: regressor().fit(np.ones((4, 2)), Items(), verbose=0),
        ):
            with pytest.raises(
                TypeError, match=r"got Items, which has items but no __iter__; give"
            ):
                use()

    def test_an_iterable_that_ends_with_an_epoch(self, advice):
        data = Anew(batches(1, 2, 3, 4))
        history = regressor().fit(data, epochs=4, steps_per_epoch=2, verbose=0)
        assert history.history["loss"] == pytest.approx([1.5, 3.5, 1.5, 3.5])
        assert not advice.text

    @pytest.mark.parametrize(("count", "losses"), [(3, [1.5, 3.0]), (4, [1.5, 3.5])])
    def test_an_iterator_that_runs_short_ends_the_training(self, advice, count, losses):
        data = iter(batches(1, 2, 3, 4)[:count])
        model = regressor()
        with advice.heard():
            history = model.fit(data, epochs=9, steps_per_epoch=2, verbose=0)
        assert history.history["loss"] == pytest.approx(losses)
        assert advice.text.count("no batch is left after") == 1
        assert "what can be iterated anew" in advice.text

    def test_an_iterator_for_several_epochs_is_refused_at_once(self):
        data, model = iter(batches(1, 2, 3)), regressor()
        with pytest.raises(ValueError, match=r"^x: an iterator .* 2 epochs; pass steps_per_epoch"):
            model.fit(data, epochs=2, verbose=0)
        assert len(list(data)) == 3
        assert not hasattr(model, "history")
        history = model.fit(iter(batches(1, 2, 3)), epochs=7, initial_epoch=6, verbose=0)
        assert history.epoch == [6]

    @pytest.mark.parametrize("limited", [1, 2, 4, 7, 9])
    @pytest.mark.parametrize("stop", [5, 9, 14])
    def test_an_interrupted_training_comes_to_the_same_bits(self, tmp_path, limited, stop):
        given = {"epochs": 9, "steps_per_epoch": limited}
        whole = net()
        expected = bits(whole, run(whole, **given))
        keep = {"checkpoint": tmp_path, "checkpoint_every": "2 steps"}
        if stop < 9 * limited:
            with pytest.raises(KeyboardInterrupt):
                run(net(), **given, callbacks=[StopAt(stop)], **keep)
        again = net()
        assert bits(again, run(again, **given, **keep)) == expected

    def test_between_epochs_within_an_order(self, tmp_path):
        whole = net()
        expected = bits(whole, run(whole, 9, steps_per_epoch=2))
        for epochs in (1, 2, 3, 5, 9):
            again = net()
            history = run(again, epochs, steps_per_epoch=2, checkpoint=tmp_path)
        assert bits(again, history) == expected

    @pytest.mark.parametrize("stop", [4, 7, 13])
    def test_batches_of_an_iterable_go_on_from_a_checkpoint(self, tmp_path, stop):
        def data():
            return Anew([(X[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8)])

        given = {"epochs": 6, "steps_per_epoch": 3, "verbose": 0}
        whole = net()
        expected = bits(whole, whole.fit(data(), **given))
        keep = {"checkpoint": tmp_path, "checkpoint_every": "1 steps"}
        with pytest.raises(KeyboardInterrupt):
            net().fit(data(), callbacks=[StopAt(stop)], **given, **keep)
        again = net()
        assert bits(again, again.fit(data(), **given, **keep)) == expected


class TestValidation:
    def fit(self, validation, **given):
        given = {"epochs": 3, "verbose": 0, **given}
        return regressor().fit(*NUMBERED, validation_data=validation, **given).history

    def test_an_endless_iterator_goes_on(self):
        history = self.fit(endless(1, 2, 3), validation_steps=2)
        assert history["val_loss"] == pytest.approx([1.5, 2.0, 2.5])

    def test_an_iterable_begins_anew(self):
        data = Endless(batches(1, 2, 3))
        assert self.fit(data, validation_steps=2)["val_loss"] == pytest.approx([1.5] * 3)
        assert data.begun == 3

    def test_the_first_batches_of_arrays(self, advice):
        data = np.zeros((6, 2)), np.sqrt([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        given = {"validation_batch_size": 2}
        assert self.fit(data, validation_steps=2, **given)["val_loss"] == pytest.approx([2.5] * 3)
        assert not advice.text
        assert self.fit(data, validation_steps=9, **given)["val_loss"] == pytest.approx([3.5] * 3)
        assert "validation_steps: there are 3 batches, fewer than 9" in advice.text

    def test_an_iterator_needs_steps_for_several_times(self):
        refused = "^validation_data: an iterator .* 3 times; pass validation_steps"
        for data in (endless(1), iter(batches(1, 2))):
            with pytest.raises(ValueError, match=refused):
                self.fit(data)
        assert self.fit(iter(batches(1, 2)), epochs=1)["val_loss"] == pytest.approx([1.5])
        data = iter(batches(1, 2))
        history = self.fit(data, epochs=5, validation_freq=3)
        assert history["val_loss"][2] == pytest.approx(1.5)

    def test_an_iterator_that_runs_short(self, advice):
        history = self.fit(iter(batches(1, 2, 3)), epochs=2, validation_steps=2)
        assert history["val_loss"] == pytest.approx([1.5, 3.0])
        assert "validation_data: no batch is left after 1 of the 2" in advice.text
        advice.clear()
        history = self.fit(iter(batches(1, 2)), epochs=3, validation_steps=2)
        assert history["val_loss"] == pytest.approx([1.5, np.nan, np.nan], nan_ok=True)
        assert len(history["loss"]) == 3
        assert advice.text.count("validation_data: no batch is left after 0 of the 2") == 1

    @pytest.mark.parametrize(
        ("often", "epochs"),
        [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), (5, [4]), (6, []), ([1, 4], [0, 3]), ({9}, [])],
    )
    def test_how_often(self, often, epochs):
        heard = []

        class Hears(callbacks.Callback):
            def on_test_begin(self, logs=None):
                heard.append(len(self.model.history.epoch))

        history = self.fit(NUMBERED, epochs=5, validation_freq=often, callbacks=[Hears()])
        assert heard == epochs
        if epochs:
            assert np.flatnonzero(~np.isnan(history["val_loss"])).tolist() == epochs
            assert len(history["val_loss"]) == 5

    def test_callbacks_that_watch_pass_over(self, tmp_path):
        stop = callbacks.EarlyStopping("val_loss", patience=2, mode="min")
        cut = callbacks.ReduceLROnPlateau("val_loss", patience=2, mode="min")
        best = callbacks.ModelCheckpoint(
            tmp_path / "best-{epoch}", "val_loss", save_best_only=True, mode="min"
        )
        log = callbacks.CSVLogger(tmp_path / "log.csv")
        history = self.fit(NUMBERED, epochs=20, validation_freq=3, callbacks=[cut, best, log, stop])
        # Validation of epochs 3, 6 and 9: the second and the third are no better.
        assert len(history["loss"]) == 9
        assert [path.name for path in tmp_path.glob("best-*")] == ["best-3"]
        lines = (tmp_path / "log.csv").read_text().splitlines()
        assert lines[0] == "epoch,loss,learning_rate,val_loss"
        assert lines[1].endswith(",")
        assert not lines[3].endswith(",")

    def test_a_file_named_after_a_figure_is_written_where_there_is_one(self, tmp_path):
        save = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.1f}", "loss")
        best = callbacks.ModelCheckpoint(
            tmp_path / "b{epoch}-{val_loss:.1f}", "loss", save_best_only=True
        )
        settings = {"epochs": 5, "validation_freq": 2, "verbose": 0}
        data = batches(4.0, 2.0)
        regressor().fit(*data[0], validation_data=data[1], callbacks=[save, best], **settings)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["2-2.0", "4-2.0", "b2-2.0"]
        with pytest.raises(ValueError, match="no figure 'val_loss'"):
            regressor().fit(*data[0], callbacks=[save], verbose=0)

    def test_a_figure_that_is_none_of_validation_is_still_named(self):
        stop = callbacks.EarlyStopping("val_los", mode="min")
        with pytest.raises(ValueError, match="no figure 'val_los'"):
            self.fit(NUMBERED, epochs=20, validation_freq=3, callbacks=[stop])

    def test_the_history_is_a_table(self):
        pytest.importorskip("pandas")
        model = regressor()
        given = {"validation_data": NUMBERED, "validation_freq": 2}
        history = model.fit(*NUMBERED, epochs=5, verbose=0, **given)
        assert history.to_pandas()["val_loss"].isna().tolist() == [True, False, True, False, True]

    def test_an_iterator_goes_on_from_a_checkpoint(self, tmp_path):
        def data():
            return itertools.cycle([(X[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8)])

        given = {"epochs": 5, "validation_steps": 2}
        whole = net()
        expected = bits(whole, run(whole, validation_data=data(), **given))
        keep = {"checkpoint": tmp_path, "checkpoint_every": "3 steps"}
        with pytest.raises(KeyboardInterrupt):
            run(net(), validation_data=data(), callbacks=[StopAt(16)], **given, **keep)
        again = net()
        assert bits(again, run(again, validation_data=data(), **given, **keep)) == expected

    @pytest.mark.parametrize(
        "given",
        [
            {"validation_steps": 0},
            {"validation_steps": 1.5},
            {"validation_freq": 0},
            {"validation_freq": [0]},
            {"validation_freq": "2"},
        ],
    )
    def test_bad_arguments(self, given):
        with pytest.raises((TypeError, ValueError), match=next(iter(given))):
            self.fit(NUMBERED, **given)
        with pytest.raises(ValueError, match="validation_steps, validation_freq: expected with"):
            self.fit(None, validation_freq=2)


class TestEvaluateAndPredict:
    X, Y = np.zeros((6, 2)), np.sqrt([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])

    def test_steps_limit_arrays_too(self, advice):
        model = regressor()
        assert model.evaluate(self.X, self.Y, batch_size=2, steps=2) == pytest.approx(2.5)
        assert model.predict(self.X, batch_size=2, steps=2).shape == (4, 1)
        assert model.predict(np.zeros((40, 2)), steps=1).shape == (32, 1)
        assert model.evaluate(endless(1, 2), steps=3) == pytest.approx(4 / 3)
        assert not advice.text
        for ask in (lambda **given: model.evaluate(y=self.Y, **given), model.predict):
            advice.clear()
            ask(x=self.X, batch_size=2, steps=4)
            assert "steps: there are 3 batches, fewer than 4" in advice.text
        for ask in (model.evaluate, model.predict):
            advice.clear()
            ask(x=iter(batches(1, 2)), steps=3)
            assert "x: no batch is left after 2 of the 3 that steps asks for" in advice.text

    def test_an_evaluation_is_stopped(self):
        class Stops(callbacks.Callback):
            def on_test_batch_end(self, batch, logs=None):
                self.model.stop_evaluating = batch == 1

        model = regressor()
        given = {"batch_size": 2, "callbacks": Stops()}
        for _ in range(2):
            assert model.evaluate(self.X, self.Y, **given) == pytest.approx(2.5)
        assert model.evaluate(endless(1, 2), callbacks=Stops()) == pytest.approx(1.5)
        assert model.evaluate(self.X, self.Y) == pytest.approx(3.5)
        history = model.fit(
            self.X, self.Y, epochs=3, verbose=0, validation_data=(self.X, self.Y), **given
        )
        assert history.history["val_loss"] == pytest.approx([2.5] * 3)
        history = model.fit(
            self.X, self.Y, epochs=3, verbose=0, validation_data=Endless(batches(1, 2, 3)), **given
        )
        assert history.history["val_loss"] == pytest.approx([1.5] * 3)

    def test_a_prediction_is_stopped(self):
        class Stops(callbacks.Callback):
            def on_predict_batch_end(self, batch, logs=None):
                self.model.stop_predicting = batch == 1

        model = regressor()
        for _ in range(2):
            assert model.predict(self.X, batch_size=2, callbacks=Stops()).shape == (4, 1)
        assert model.predict(endless(1), callbacks=Stops()).shape == (8, 1)
        assert model.predict(self.X).shape == (6, 1)

    def test_what_has_no_end_is_said(self, advice, monkeypatch):
        monkeypatch.setattr("evengrad.training._loop.MANY_BATCHES", 5)

        class Stops(callbacks.Callback):
            def on_test_batch_end(self, batch, logs=None):
                self.model.stop_evaluating = batch == 20

        model = regressor()
        model.evaluate(batches(*range(1, 6)).__iter__())
        assert not advice.text
        model.evaluate(endless(1), callbacks=Stops())
        assert advice.text.count("x: 5 batches so far, and it goes on; if it has no end") == 1


class TestDropLast:
    def test_only_whole_batches_are_made_and_the_rows_change(self):
        seen = rows_seen(regressor(), *NUMBERED, batch_size=3, epochs=6, drop_last=True)
        assert [[len(rows) for rows in epoch] for epoch in seen] == [[3, 3, 3]] * 6
        left_out = {(set(range(10)) - set(flat(epoch))).pop() for epoch in seen}
        assert len(left_out) > 1

    @pytest.mark.parametrize("watched", [False, True])
    def test_it_is_the_training_of_these_batches(self, watched):
        told = [callbacks.Callback()] if watched else []
        dropped, whole = net(), net()
        run(dropped, 3, shuffle=False, drop_last=True, callbacks=told)
        run(whole, 3, X[:48], Y[:48], shuffle=False)
        assert same(dropped, whole)
        # Nothing is left out of what has whole batches alone, or fewer rows than one.
        for size in (10, 64):
            one, other = net(), net()
            assert run(one, 2, batch_size=size, drop_last=True).history == (
                run(other, 2, batch_size=size).history
            )

    def test_with_steps_per_epoch(self):
        seen = rows_seen(
            regressor(), *NUMBERED, batch_size=3, epochs=4, steps_per_epoch=2, drop_last=True
        )
        assert [len(epoch) for epoch in seen] == [2, 1, 2, 1]

    @pytest.mark.parametrize("stop", [5, 6, 9])
    def test_an_interrupted_training_comes_to_the_same_bits(self, tmp_path, stop):
        whole = net()
        expected = bits(whole, run(whole, 3, drop_last=True))
        keep = {"checkpoint": tmp_path, "checkpoint_every": "2 steps"}
        with pytest.raises(KeyboardInterrupt):
            run(net(), 3, drop_last=True, callbacks=[StopAt(stop)], **keep)
        with pytest.raises(ValueError, match="drop_last: now absent, in the checkpoint True"):
            run(net(), 3, **keep)
        again = net()
        assert bits(again, run(again, 3, drop_last=True, **keep)) == expected

    def test_batches_of_an_iterable_are_its_own(self):
        with pytest.raises(ValueError, match="drop_last: expected with arrays"):
            regressor().fit(Anew(batches(1)), drop_last=True, verbose=0)


class TestSmallLastBatch:
    def model(self):
        model = eg.Sequential(
            [
                layers.Dense(4, "relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.BatchNormalization(convention="torch"),
                layers.Dense(1),
            ],
            seed=3,
        )
        model.compile("adam", "mse")
        return model

    def test_it_is_refused_before_the_first_step(self):
        model = self.model()
        model.build((None, 4))
        before, draws = model.get_weights(), model.layers[2]
        x, y = X[:33], Y[:33]
        with pytest.raises(ValueError, match=r"batch_normalization_1: .*two rows.*drop_last=True"):
            model.fit(x, y, verbose=0)
        assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
        assert model.optimizer.iterations == 0
        assert not hasattr(model, "history")
        model.fit(x, y, verbose=0, drop_last=True)
        fresh = self.model()
        fresh.fit(x, y, verbose=0, drop_last=True)
        assert same(model, fresh)
        assert draws is model.layers[2]

    def test_it_does_not_matter_where_no_epoch_comes_to_it(self):
        x, y = X[:33], Y[:33]
        self.model().fit(x, y, batch_size=8, steps_per_epoch=2, epochs=2, verbose=0)
        with pytest.raises(ValueError, match="two rows"):
            self.model().fit(x, y, batch_size=8, steps_per_epoch=2, epochs=3, verbose=0)

    def test_of_an_iterable_before_its_step(self):
        model = self.model()
        with pytest.raises(ValueError, match=r"x: batch 1: .*two rows"):
            model.fit(Anew([(X[:8], Y[:8]), (X[:1], Y[:1])]), verbose=0)
        expected = self.model()
        expected.fit(X[:8], Y[:8], shuffle=False, verbose=0)
        assert same(model, expected)
        with pytest.raises(ValueError, match="two rows"):
            model.train_on_batch(X[:1], Y[:1])
        assert same(model, expected)

    def test_one_row_of_several_steps_is_a_batch(self):
        x = np.random.default_rng(0).normal(size=(9, 5, 3))
        model = eg.Sequential(
            [layers.BatchNormalization(convention="torch"), layers.LSTM(2), layers.Dense(1)]
        )
        model.compile("sgd", "mse")
        model.fit(x, np.zeros(9), batch_size=8, verbose=0)

    @pytest.mark.parametrize("left", [1, 2, 5])
    def test_code_of_users_may_refuse_any_number_of_rows(self, left):
        class Eights(layers.Layer):
            """Takes rows eight at a time in training."""

            def call(self, x, training=False):
                if training and x.shape[0] % 8:
                    raise ValueError(f"expected rows in eights, got {x.shape[0]}")
                return x

        model = eg.Sequential(
            [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), Eights()], seed=1
        )
        model.compile("adam", "mse")
        model.build((None, 4))
        before = model.get_weights()
        x, y = X[: 32 + left], np.zeros((32 + left, 4))
        with pytest.raises(ValueError, match=f"in eights, got {left}"):
            model.fit(x, y, batch_size=16, verbose=0)
        assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
        assert model.optimizer.iterations == 0
        fresh = model.clone()
        for one in (model, fresh):
            one.fit(x, y, batch_size=16, verbose=0, drop_last=True)
        assert same(model, fresh)

    def test_a_frozen_layer_takes_one_row(self):
        model = self.model()
        model.layers[3].trainable = False
        model.fit(X[:33], Y[:33], verbose=0)


class TestBatchesOfNone:
    """A batch of None among batches does not end the epoch silently; it is refused."""

    def data(self):
        good = batches(1, 2)
        return [good[0], None, good[1]]

    @pytest.mark.parametrize("make", [Anew, iter])
    @pytest.mark.parametrize("told", [False, True])
    def test_in_fit_and_evaluate(self, make, told):
        class Hears(callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                pass

            def on_test_batch_end(self, batch, logs=None):
                pass

        given = {"callbacks": Hears() if told else None, "verbose": 0}
        with pytest.raises(ValueError, match=r"^x: batch 1: .*NoneType"):
            regressor().fit(make(self.data()), **given)
        with pytest.raises(ValueError, match=r"^x: batch 1: .*NoneType"):
            regressor().evaluate(make(self.data()), **given)
        with pytest.raises(ValueError, match=r"^validation_data: batch 1: .*NoneType"):
            regressor().fit(*NUMBERED, validation_data=make(self.data()), **given)
        with pytest.raises(ValueError, match=r"^x: batch 1: .*None"):
            regressor().predict(make(self.data()))

    def test_in_a_list(self):
        with pytest.raises(ValueError, match=r"^x: batch 1: .*NoneType"):
            regressor().fit(self.data(), verbose=0)
        with pytest.raises(ValueError, match=r"^x: batch 1: .*NoneType"):
            regressor().evaluate(self.data(), verbose=0)
        with pytest.raises(ValueError, match=r"^validation_data: batch 1: .*NoneType"):
            regressor().fit(*NUMBERED, validation_data=self.data(), verbose=0)

    def test_the_first_one_with_a_checkpoint(self, tmp_path):
        with pytest.raises(ValueError, match=r"^x: batch 0: .*NoneType"):
            regressor().fit(Anew([None]), verbose=0, checkpoint=tmp_path)

    def test_whatever_else_is_wrong_with_a_batch_says_which_it_is(self):
        good = batches(1)[0]
        for bad in ((np.zeros((4, 3)), good[1]), (good[0], good[1][:3])):
            with pytest.raises(ValueError, match=r"^x: batch 1: "):
                regressor().fit(Anew([good, bad]), verbose=0)
