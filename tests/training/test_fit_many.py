"""`fit_many`: what each model comes to is what `fit` of it alone does, to the bit."""

import _thread
import logging

import numpy as np
import pytest
from training_checks import everything, three_classes

import evengrad as eg
from evengrad import callbacks, layers

EPOCHS = 4


def network(seed, rate=0.01, metrics=("accuracy",), units=12, **settings):
    """Return a net with all that may differ from step to step."""
    model = eg.Sequential(
        [
            layers.Dense(units, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3),
        ],
        seed=seed,
    )
    model.compile(
        eg.optimizers.Adam(rate), "sparse_categorical_crossentropy", list(metrics), **settings
    )
    return model


def compare(make, count, **settings):
    """Train models at once and one by one, and compare them; return the histories."""
    x, y = three_classes()
    together, alone = [[make(seed) for seed in range(count)] for _ in range(2)]
    histories = eg.fit_many(together, x, y, epochs=EPOCHS, verbose=0, **settings)
    assert len(histories) == count
    for one, other, history in zip(together, alone, histories, strict=True):
        expected = other.fit(x, y, epochs=EPOCHS, verbose=0, **settings)
        assert one.history is history
        assert (history.history, history.epoch) == (expected.history, expected.epoch)
        assert list(map(repr, everything(one))) == list(map(repr, everything(other)))
    return histories


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_bits_of_each_alone(count):
    histories = compare(network, count)
    assert len({tuple(history.history["loss"]) for history in histories}) == count


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(threads):
    x, y = three_classes()
    models, expected = [network(seed) for seed in range(3)], network(2)
    eg.fit_many(models, x, y, epochs=2, n_threads=threads, verbose=0)
    expected.fit(x, y, epochs=2, verbose=0)
    assert list(map(repr, everything(models[2]))) == list(map(repr, everything(expected)))


def test_nets_of_different_sizes_with_schedules():
    def make(seed):
        rate = eg.optimizers.schedules.ExponentialDecay(0.02, 5, 0.9)
        return network(seed, rate, units=4 + 40 * seed)

    compare(make, 3, batch_size=50)


def test_validation_after_each_epoch():
    x, y = three_classes()
    histories = compare(network, 3, validation_data=(x[::2], y[::2]))
    assert all(len(history.history["val_loss"]) == EPOCHS for history in histories)


def test_weights_of_rows():
    x, _ = three_classes()
    compare(network, 2, sample_weight=np.linspace(0.0, 1.0, len(x)))


def test_steps_that_run_in_python():
    compare(lambda seed: network(seed, run_eagerly=seed == 1), 2)


def test_metrics_that_forget_in_a_way_of_their_own():
    compare(
        lambda seed: network(seed, metrics=[eg.metrics.AUC(average="macro", from_logits=True)]), 2
    )


def test_data_for_each_model():
    x, y = three_classes()
    xs, ys = [x, x[:50], x[20:]], [y, y[:50], y[20:]]
    held = [(x[:10], y[:10]), None, (x[10:], y[10:])]
    weights = [None, np.ones(50) / 2, None]
    models = [network(seed) for seed in range(3)]
    settings = {"epochs": 2, "verbose": 0}
    histories = eg.fit_many(models, xs, ys, validation_data=held, sample_weight=weights, **settings)
    for seed, history in enumerate(histories):
        own = {"validation_data": held[seed], "sample_weight": weights[seed]}
        expected = network(seed).fit(xs[seed], ys[seed], **own, **settings)
        assert history.history == expected.history


def test_targets_for_each_model_with_rows_for_all():
    x, y = three_classes()
    models = [network(seed) for seed in range(2)]
    histories = eg.fit_many(models, x, [y, 2 - y], verbose=0)
    expected = network(1).fit(x, 2 - y, verbose=0)
    assert histories[1].history == expected.history


def test_models_with_several_inputs_and_outputs_take_one_list_or_many():
    def make(seed):
        a, b = eg.Input((2,)), eg.Input((3,))
        joined = layers.Concatenate()([a, b])
        ends = [layers.Dense(1, name="one")(joined), layers.Dense(2, name="two")(joined)]
        model = eg.Model([a, b], ends, seed=seed)
        model.compile("adam", "mse")
        return model

    rng = np.random.default_rng(0)
    x = [rng.normal(size=(40, 2)), rng.normal(size=(40, 3))]
    y = [rng.normal(size=(40, 1)), rng.normal(size=(40, 2))]
    expected = [make(seed).fit(x, y, verbose=0).history for seed in range(2)]
    for data in [(x, y), ([x, x], [y, y])]:
        histories = eg.fit_many([make(0), make(1)], *data, verbose=0)
        assert [history.history for history in histories] == expected


# ---- callbacks


class Notes(callbacks.Callback):
    """Notes what it hears, and on which thread."""

    def __init__(self, heard):
        self.heard = heard

    def on_train_begin(self, logs=None):
        del logs
        self.heard.append(("begin", _thread.get_ident()))

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append((epoch, _thread.get_ident(), logs["loss"]))

    def on_train_end(self, logs=None):
        del logs
        self.heard.append(("end", _thread.get_ident()))


def test_callbacks_run_between_epochs_on_the_thread_that_calls():
    x, y = three_classes()
    heard = [[], []]
    models = [network(seed) for seed in range(2)]
    histories = eg.fit_many(
        models, x, y, epochs=3, verbose=0, callbacks=[[Notes(heard[0])], Notes(heard[1])]
    )
    for said, history in zip(heard, histories, strict=True):
        assert [one[0] for one in said] == ["begin", 0, 1, 2, "end"]
        assert {one[1] for one in said} == {_thread.get_ident()}
        assert [one[2] for one in said[1:-1]] == history.history["loss"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: callbacks.EarlyStopping("loss", patience=0, min_delta=10.0),
        lambda: callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1.0),
        callbacks.TerminateOnNaN,
        lambda: callbacks.GradientDoctor(every=3),
        lambda: callbacks.LambdaCallback(on_train_batch_end=lambda *_: None),
    ],
    ids=["early-stopping", "plateau", "nan", "doctor", "batches"],
)
def test_callbacks_do_what_they_do_in_fit(make):
    x, y = three_classes()
    models = [network(seed) for seed in range(3)]
    settings = {"epochs": EPOCHS, "verbose": 0}
    histories = eg.fit_many(models, x, y, callbacks=[[make()], [], [make()]], **settings)
    for seed, history in enumerate(histories):
        other = network(seed)
        expected = other.fit(x, y, callbacks=[] if seed == 1 else [make()], **settings)
        assert history.history == expected.history
        assert list(map(repr, everything(models[seed]))) == list(map(repr, everything(other)))


def test_one_net_that_stops_early_leaves_the_others_alone():
    x, y = three_classes()
    stop = callbacks.EarlyStopping("loss", patience=0, min_delta=10.0)
    histories = eg.fit_many(
        [network(0), network(1)], x, y, epochs=5, verbose=0, callbacks=[[stop], []]
    )
    assert [len(history.epoch) for history in histories] == [2, 5]
    assert [history.ended_by for history in histories] == [None, None]


# ---- halving


def test_halving_ends_half_of_the_models_by_their_validation_loss():
    x, y = three_classes()
    rates = [1e-5, 1e-2, 1e-4, 3e-2, 1e-3, 3e-3, 1e-6]
    models = [network(3, rate) for rate in rates]
    histories = eg.fit_many(
        models, x, y, epochs=9, validation_data=(x, y), stop="halving", verbose=0
    )
    # By hand: the trainings in full, cut after 1, 2 and 4 epochs.
    full = [
        network(3, rate).fit(x, y, epochs=9, validation_data=(x, y), verbose=0).history["val_loss"]
        for rate in rates
    ]
    left, lengths = list(range(7)), [9] * 7
    for rung in (1, 2, 4):
        ranked = sorted(left, key=lambda place: full[place][rung - 1])
        for place in ranked[(len(ranked) + 1) // 2 :]:
            lengths[place] = rung
        left = ranked[: (len(ranked) + 1) // 2]
    assert sorted(lengths) == [1, 1, 1, 2, 2, 4, 9]
    for history, length, losses in zip(histories, lengths, full, strict=True):
        assert history.history["val_loss"] == losses[:length]
        assert (history.ended_by is None) is (length == 9)
    ended = histories[lengths.index(4)].ended_by
    assert ended.startswith("halving after 4 epochs: val_loss 0.")
    assert ended.endswith("was the 2. of 2")


def test_losses_that_are_no_numbers_are_the_first_to_end():
    x, y = three_classes()
    models = [network(0), network(1)]
    models[0].compile(eg.optimizers.SGD(1e30), "sparse_categorical_crossentropy")
    with np.errstate(all="ignore"):
        histories = eg.fit_many(
            models, x, y, epochs=2, validation_data=(x, y), stop="halving", verbose=0
        )
    assert [len(history.epoch) for history in histories] == [1, 2]


# ---- errors: before anything changes


def refused(models, *data, error=ValueError, **settings):
    """Return what an error says, after which the models are as they were."""
    before = [everything(model) if model.built else None for model in models]
    histories = [vars(model).get("history") for model in models]
    data = data or three_classes()
    with pytest.raises(error) as caught:
        eg.fit_many(models, *data, verbose=0, **settings)
    for model, values, history in zip(models, before, histories, strict=True):
        assert vars(model).get("history") is history
        if values is not None:
            assert list(map(repr, everything(model))) == list(map(repr, values))
    return str(caught.value)


def trained(seed):
    model = network(seed)
    model.fit(*three_classes(), verbose=0)
    return model


def test_models_that_cannot_be_trained_at_once():
    one, other = trained(0), trained(1)
    assert refused([one, other, one]).startswith(
        "models[2]: expected another model, got models[0] again"
    )
    shared = eg.Sequential([layers.Dense(4, "relu"), other.layers[3]], seed=1)
    shared.compile("adam", "sparse_categorical_crossentropy")
    assert refused([one, other, shared]).startswith(
        "models[2]: expected layers of its own, got dense_1 of models[1]"
    )
    plain = eg.Sequential([layers.Dense(3)])
    assert refused([one, plain], error=RuntimeError).startswith("models[1]: sequential")
    assert "expected one model or more" in refused([])
    with pytest.raises(TypeError, match=r"models\[1\]: expected a Model, got 7"):
        eg.fit_many([one, 7], *three_classes())


def test_data_that_does_not_fit_one_of_the_models():
    x, y = three_classes()
    models = [trained(0), trained(1)]
    assert refused(models, [x, x[:, :1]], y).startswith("models[1]: ")
    assert refused(models, x, [y, y[:-1]]).startswith("models[1]: y: expected ")
    assert refused(models, [x, np.full_like(x, np.nan)], y).startswith("models[1]: x")
    batches = [(x, y), (x, y)]
    assert refused(models, iter(batches), None, error=TypeError).startswith("models[0]: x: ")
    held = [(x, y), (x, y[:-1])]
    assert refused(models, validation_data=held).startswith("models[1]: validation_data: ")


def test_arguments_out_of_range():
    x, y = three_classes()
    models = [trained(0), trained(1)]
    assert refused(models, stop="half") == "stop: expected None or 'halving', got 'half'"
    assert "pass validation_data" in refused(models, stop="halving")
    assert refused(models, callbacks=callbacks.EarlyStopping()).startswith(
        "callbacks: expected a list of callbacks for each of the 2 models"
    )
    one = callbacks.EarlyStopping()
    assert refused(models, callbacks=[[one], [one]]).startswith(
        "callbacks[1]: expected callbacks of its own, got the EarlyStopping of callbacks[0]"
    )
    said = refused(models, callbacks=[[], ["no"]], error=TypeError)
    assert said.startswith("models[1]: callbacks: expected ")
    assert "n_threads" in refused(models, n_threads=0)
    assert "epochs" in refused(models, x, y, epochs=-1)


# ---- what ends all trainings


class Ends(callbacks.Callback):
    """Raises an error at the end of an epoch."""

    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, epoch, logs=None):
        del logs
        if epoch == 1:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk full")])
def test_ctrl_c_and_errors_keep_what_is_done(error, caplog):
    x, y = three_classes()
    heard = []
    models = [network(seed) for seed in range(3)]
    with caplog.at_level(logging.ERROR, "evengrad"), pytest.raises(type(error)):
        eg.fit_many(
            models, x, y, epochs=50, verbose=0, callbacks=[[], [Ends(error)], [Notes(heard)]]
        )
    assert [len(model.history.epoch) for model in models][1] == 2
    for seed, model in enumerate(models):
        done = model.history.history["loss"]
        assert done
        assert done == network(seed).fit(x, y, epochs=50, verbose=0).history["loss"][: len(done)]
    assert heard[-1][0] == "end"
    said = "models[1]: its OSError ends the training of all models"
    assert (said in caplog.messages) is isinstance(error, OSError)
    # They can be trained again.
    eg.fit_many(models, x, y, verbose=0)


# ---- progress


def test_a_line_for_each_model_that_ends(capsys):
    x, y = three_classes()
    eg.fit_many([network(0), network(1)], x, y, epochs=2, verbose=2)
    lines = sorted(capsys.readouterr().out.splitlines())
    begins = [f"model {number}/2  epoch 2/2  loss " for number in (1, 2)]
    assert [line[: len(begins[0])] for line in lines] == begins
