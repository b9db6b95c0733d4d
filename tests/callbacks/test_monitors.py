"""Callbacks that watch a figure: which way it is to go, and hand-counted epochs."""

# ruff: noqa: ARG002 - methods have the signatures that they are called with

import numpy as np
import pytest
from metric_cases import NAMES, OF_FUNCTIONS

import evengrad as eg
from evengrad import callbacks, layers, metrics

NAN, INF = float("nan"), float("inf")
X = np.random.default_rng(3).normal(size=(40, 3)).astype("float32")
Y = (X.sum(axis=1) > 0).astype(int)


def net(*given, loss="binary_crossentropy", units=1):
    model = eg.Sequential([eg.Input((3,)), layers.Dense(units, "sigmoid")], seed=4)
    model.compile(eg.optimizers.SGD(0.1), loss, list(given))
    return model


def value(y_true, y_pred):
    return (y_true - y_pred).abs().mean(dim=-1)


class Mine(metrics.MeanMetric):
    def values(self, y_true, y_pred):
        return y_pred.mean(dim=-1)


class MineUp(Mine):
    direction = "max"


# ---- which way


def stopper(monitor, mode):
    return callbacks.EarlyStopping(monitor, mode=mode, patience=1)


def plateau(monitor, mode):
    return callbacks.ReduceLROnPlateau(monitor, mode=mode, patience=1)


def keeper(monitor, mode):
    return callbacks.ModelCheckpoint("unused", monitor, mode=mode, save_best_only=True)


WATCHERS = [stopper, plateau, keeper]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def goes(make, monitor, model, mode="auto"):
    """Return which of two figures a callback takes for the better one: the first is 1, then 2."""
    watcher = make(monitor, mode)
    watcher.set_model(model)
    watcher.on_train_begin()
    for epoch, figure in enumerate((1.0, 2.0)):
        watcher.on_epoch_end(epoch, {monitor: figure})
    return {1.0: "min", 2.0: "max"}[watcher.best]


@pytest.mark.parametrize("make", WATCHERS)
@pytest.mark.parametrize("fitted", [False, True])
def test_metrics_say_which_way_they_go_whatever_their_names(make, fitted):
    model = net(
        metrics.AUC(name="score"),
        metrics.F1Score(name="f"),
        metrics.MeanSquaredError(name="accuracy_gap"),
        metrics.R2Score(name="error"),
        metrics.MAE(name="auc"),
        MineUp(name="loss_of_mine"),
    )
    if fitted:
        model.fit(X, Y, verbose=0)
    up, down = ("score", "f", "error", "loss_of_mine"), ("accuracy_gap", "auc", "loss")
    for names, way in ((up, "max"), (down, "min")):
        for name in names:
            for monitor in (name, f"val_{name}"):
                assert goes(make, monitor, model) == way, monitor
                assert goes(make, monitor, model, "min") == "min"
                assert goes(make, monitor, model, "max") == "max"


# A matrix is to go nowhere, and what is made of a function goes where that does.
WITHOUT = ("ConfusionMatrix", *OF_FUNCTIONS)
DOWN = ("Error", "Crossentropy", "Divergence", "Hinge", "Poisson", "False")


@pytest.mark.parametrize("name", [one for one in NAMES if one not in WITHOUT])
def test_every_metric_knows_its_direction(name):
    is_down = any(word in name for word in DOWN)
    assert getattr(metrics, name).direction == ("min" if is_down else "max")


@pytest.mark.parametrize("make", WATCHERS)
@pytest.mark.parametrize(
    "monitor", ["val_acceleration_loss", "layer2_loss", "val_error2", "value", "val_mine", "acc2"]
)
def test_a_name_that_says_nothing_asks_for_a_mode_before_anything_is_trained(make, monitor):
    model = net(value, Mine())
    before = model.get_weights()
    with pytest.raises(ValueError, match=rf"{monitor}.*mode=\"min\" or mode=\"max\""):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[make(monitor, "auto")])
    assert model.optimizer.iterations == 0
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert goes(make, monitor, model, "max") == "max"


@pytest.mark.parametrize("make", WATCHERS)
def test_a_figure_without_a_name_is_refused(make):
    with pytest.raises(TypeError, match=r"monitor: expected a figure's name, got None"):
        make(None, "min")


def test_a_loss_among_the_metrics_goes_down():
    model = net(eg.losses.MeanSquaredError())
    name = list(model.fit(X, Y, verbose=0).history)[1]
    assert goes(stopper, name, model) == "min"


def test_the_message_names_what_is_near():
    model = net("accuracy")
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("val_acuracy")])
    wrong = metrics.AUC(name="score")
    wrong.direction = "up"
    with pytest.raises(ValueError, match=r"score: direction: unknown 'up'"):
        net(wrong).fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("score")])


def test_a_checkpoint_of_every_epoch_needs_no_direction():
    net().fit(X, Y, verbose=0, callbacks=[callbacks.ModelCheckpoint("net", "whatever")])


def test_numbered_and_prefixed_names_of_several_outputs():
    class Two(eg.Model):
        def __init__(self):
            super().__init__(seed=1)
            self.a, self.b = layers.Dense(1, "sigmoid"), layers.Dense(1)

        def call(self, x):
            return self.a(x), self.b(x)

    def batches():
        while True:
            yield X, (Y, X[:, 0])

    model = Two()
    pair = [[metrics.AUC(name="s"), metrics.AUC(name="s")], [metrics.MAE(name="s")]]
    model.compile("sgd", ["binary_crossentropy", "mse"], pair)
    first, second = "output_1", "output_2"
    for monitor in (f"{first}_s_1", f"{second}_s", f"{second}_loss"):
        # Known before the first step, though only a batch shows the outputs.
        watcher = callbacks.EarlyStopping(monitor, patience=9)
        fresh = Two()
        fresh.compile("sgd", ["binary_crossentropy", "mse"], pair)
        history = fresh.fit(batches(), steps_per_epoch=2, epochs=1, verbose=0, callbacks=[watcher])
        assert watcher.best == history.history[monitor][0]
    model.fit(X, (Y, X[:, 0]), verbose=0)
    assert goes(stopper, f"{first}_s_1", model) == "max"
    assert goes(stopper, f"val_{second}_s", model) == "min"
    assert goes(stopper, f"{second}_loss", model) == "min"


def test_the_best_weights_are_those_of_the_best_epoch():
    """A score under a name of the user's: of epochs that fall, the first is restored."""

    class Worsen(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            kept.append(self.model.get_weights())
            logs["val_score"] = 1.0 - epoch / 10

    kept = []
    model = net(metrics.AUC(name="score"))
    stop = callbacks.EarlyStopping("val_score", patience=3, restore_best_weights=True)
    model.fit(X, Y, epochs=9, verbose=0, callbacks=[Worsen(), stop], validation_data=(X, Y))
    assert len(kept) == 4
    np.testing.assert_array_equal(model.get_weights()[0], kept[0][0])


# ---- hand-counted epochs


def watch(watcher, figures, model=None):
    """Tell a callback figures until it stops; return the epochs, and the rate after each."""
    model = net() if model is None else model
    model.optimizer.learning_rate, model.stop_training = 1.0, False
    watcher.set_model(model)
    watcher.on_train_begin()
    rates = []
    for epoch, figure in enumerate(figures):
        watcher.on_epoch_end(epoch, {"loss": figure})
        rates.append(round(model.optimizer.learning_rate, 9))
        if model.stop_training:
            break
    watcher.on_train_end()
    return len(rates), rates


FALLS = [5.0, 4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("settings", "figures", "epochs"),
    [
        # Nothing stops a loss that falls.
        ({"patience": 0}, FALLS, 5),
        ({"patience": 1}, FALLS, 5),
        ({"patience": 2}, FALLS, 5),
        # The first epoch that does not improve: for 0 and for 1.
        ({"patience": 0}, [5.0, 4.0, 4.0, 3.0], 3),
        ({"patience": 1}, [5.0, 4.0, 4.0, 3.0], 3),
        ({"patience": 2}, [5.0, 4.0, 4.0, 3.0], 4),
        ({"patience": 2}, [5.0, 4.0, 6.0, 3.0, 3.0, 3.0, 3.0], 6),
        ({"patience": 0, "mode": "max"}, [1.0, 2.0, 3.0, 2.0, 4.0], 4),
        # An improvement is more than min_delta; one that is not moves no bar.
        ({"patience": 0, "min_delta": 0.5}, [5.0, 4.0, 3.5], 3),
        ({"patience": 2, "min_delta": 0.5}, [5.0, 4.75, 4.25, 4.0, 3.75], 5),
        ({"patience": 2, "min_delta": 1.0}, [5.0, 4.5, 4.25, 3.0], 3),
        # Epochs before the start are as if they were not.
        ({"patience": 0, "start_from_epoch": 2}, [1.0, 9.0, 8.0, 7.0, 7.0, 1.0], 5),
        ({"patience": 1, "start_from_epoch": 3}, [1.0, 1.0, 1.0, 5.0, 6.0, 1.0], 5),
        ({"patience": 2, "start_from_epoch": 1}, [1.0, 5.0, 6.0, 7.0, 1.0], 4),
        # NaN is no improvement, and no bar.
        ({"patience": 0}, [NAN, 5.0, 4.0, NAN, 3.0], 4),
        ({"patience": 2}, [5.0, NAN, 4.0, NAN, NAN, 3.0], 5),
        ({"patience": 2}, [NAN, NAN, 3.0], 2),
        ({"patience": 1}, [INF, 5.0, INF, 4.0], 3),
        # Where the baseline is not beaten, nothing begins anew; an epoch that improves goes on.
        ({"patience": 0, "baseline": 3.5}, [5.0, 4.0, 4.0, 3.0], 3),
        ({"patience": 2, "baseline": 3.5}, [5.0, 4.0, 3.0, 3.0, 2.0, 2.0, 2.0], 7),
        ({"patience": 3, "baseline": 1.0}, [5.0, 6.0, 4.0, 4.0, 0.0], 4),
    ],
)
def test_early_stopping(settings, figures, epochs):
    stop = callbacks.EarlyStopping("loss", **settings)
    model = net()
    assert watch(stop, figures, model)[0] == epochs
    whole = epochs < len(figures) or model.stop_training
    assert stop.stopped_epoch == (epochs - 1 if whole else None)
    # As if it were new.
    assert watch(stop, figures, model)[0] == epochs


@pytest.mark.parametrize(
    ("settings", "figures", "rates"),
    [
        ({"patience": 0}, [5.0, 4.0, 3.0], [1, 1, 1]),
        ({"patience": 0}, [5.0, 5.0, 4.0, 5.0], [1, 0.1, 0.1, 0.01]),
        ({"patience": 1}, [5.0, 5.0, 4.0, 5.0], [1, 0.1, 0.1, 0.01]),
        ({"patience": 2}, [5.0, 5.0, 4.0, 5.0, 5.0, 5.0], [1, 1, 1, 1, 0.1, 0.1]),
        ({"patience": 2}, [5.0, 5.0, 5.0, 5.0, 5.0], [1, 1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "min_delta": 0.5}, [5.0, 4.5, 4.4, 4.0], [1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "mode": "max"}, [1.0, 2.0, 2.0, 3.0], [1, 1, 0.1, 0.1]),
        ({"patience": 2}, [NAN, 5.0, NAN, NAN, 4.0], [1, 1, 1, 0.1, 0.1]),
        ({"patience": 1, "cooldown": 2}, [5.0] * 6, [1, 0.1, 0.1, 0.01, 0.01, 0.001]),
        ({"patience": 0, "min_lr": 0.05}, [5.0] * 4, [1, 0.1, 0.05, 0.05]),
        # PyTorch counts one bad epoch more, and improves by a share.
        ({"patience": 0, "convention": "torch"}, [5.0, 5.0, 4.0, 5.0], [1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "convention": "torch"}, [5.0, 5.0, 5.0, 5.0], [1, 1, 0.1, 0.1]),
        (
            {"patience": 0, "convention": "torch", "min_delta": 0.1},
            [5.0, 4.6, 4.4, 4.0],
            [1, 0.1, 0.1, 0.01],
        ),
        (
            {"patience": 0, "convention": "torch", "mode": "max", "min_delta": 0.1},
            [-5.0, -4.6, -5.4, 0.0],
            [1, 1, 0.1, 0.1],
        ),
    ],
)
def test_plateaus(settings, figures, rates):
    cut = callbacks.ReduceLROnPlateau("loss", factor=0.1, **settings)
    assert watch(cut, figures)[1] == pytest.approx(rates)
    assert watch(cut, figures)[1] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("settings", "figures", "saved"),
    [
        ({}, [3.0, 2.0, 2.0, 4.0, 1.0], [1, 2, 5]),
        ({"mode": "max"}, [3.0, 2.0, 3.0, 4.0], [1, 4]),
        ({}, [NAN, 3.0, NAN, 2.0], [2, 4]),
        ({"initial_value_threshold": 2.5}, [3.0, 2.5, 2.0, 2.2], [3]),
        ({"initial_value_threshold": 2.5, "mode": "max"}, [3.0, 2.0, 4.0], [1, 3]),
    ],
)
def test_the_best_models(tmp_path, settings, figures, saved):
    save = callbacks.ModelCheckpoint("e{epoch}", "loss", save_best_only=True, **settings)
    watch(save, figures)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"e{epoch}" for epoch in saved]
