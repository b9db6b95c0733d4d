"""Pruning trials, with the real Optuna."""

# ruff: noqa: ARG002 - methods have the signatures that they are called with

import copy
import pickle

import numpy as np
import optuna
import pytest

import evengrad as eg
from evengrad import callbacks, layers

X = np.random.default_rng(3).normal(size=(60, 3)).astype("float32")
Y = (X.sum(axis=1) > 0).astype(int)


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def net(rate=0.1):
    model = eg.Sequential([eg.Input((3,)), layers.Dense(1, "sigmoid")], seed=4)
    model.compile(eg.optimizers.SGD(rate), "binary_crossentropy", ["accuracy"])
    return model


def fit(trial, monitor="val_loss", model=None, more=(), **settings):
    given = {"epochs": 6, "validation_split": 0.25, "verbose": 0, **settings}
    pruning = callbacks.OptunaPruning(trial, monitor)
    return (model or net()).fit(X, Y, callbacks=[*more, pruning], **given).history[monitor]


def studied(objective, trials=1, pruner=None, direction="minimize"):
    study = optuna.create_study(
        direction=direction,
        pruner=pruner or optuna.pruners.NopPruner(),
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    study.optimize(objective, n_trials=trials)
    return study


@pytest.mark.parametrize(
    ("monitor", "direction"),
    [("val_loss", "minimize"), ("loss", "minimize"), ("val_accuracy", "maximize")],
)
def test_every_epoch_is_reported_from_zero_on(monitor, direction):
    figures = []

    def objective(trial):
        figures.extend(fit(trial, monitor))
        return figures[-1]

    (trial,) = studied(objective, direction=direction).trials
    assert trial.state.name == "COMPLETE"
    assert trial.intermediate_values == dict(enumerate(figures))


def test_a_training_that_falls_behind_is_ended_there_and_then():
    """The threshold is crossed at once by a net that learns nothing, after a warm-up of two."""
    heard = []

    class Hear(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            heard.append(epoch)

        def on_train_end(self, logs=None):
            heard.append("end")

    model = net(rate=0.0)

    def objective(trial):
        return fit(trial, model=model, more=[Hear()])[-1]

    pruner = optuna.pruners.ThresholdPruner(upper=0.0, n_warmup_steps=2)
    (trial,) = studied(objective, pruner=pruner).trials
    assert trial.state.name == "PRUNED"
    assert sorted(trial.intermediate_values) == [0, 1, 2]
    assert heard == [0, 1, 2, "end"]
    assert model.history.epoch == [0, 1, 2]
    # The model may be used further.
    model.fit(X, Y, verbose=0)


def test_the_pruner_compares_trials():
    rates = [0.5, 0.4, 0.0]

    def objective(trial):
        return fit(trial, model=net(rates[trial.number]))[-1]

    states = [
        trial.state.name
        for trial in studied(objective, 3, optuna.pruners.MedianPruner(n_startup_trials=2)).trials
    ]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED"]


def test_a_loss_that_is_not_finite_prunes():
    def objective(trial):
        return fit(trial, "loss", net(1e38), epochs=9, validation_split=0.0)[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eg.training._fit, "warn_of_loss", lambda *_: None)
        (trial,) = studied(objective, pruner=optuna.pruners.ThresholdPruner(upper=1e30)).trials
    assert trial.state.name == "PRUNED"


def test_epochs_without_validation_report_nothing():
    (trial,) = studied(lambda trial: fit(trial, validation_freq=3)[-1]).trials
    assert sorted(trial.intermediate_values) == [2, 5]


def test_a_training_that_goes_on_counts_on():
    def objective(trial):
        model = net()
        fit(trial, model=model, epochs=2)
        return fit(trial, model=model, epochs=4, initial_epoch=2)[-1]

    (trial,) = studied(objective).trials
    assert sorted(trial.intermediate_values) == [0, 1, 2, 3]


def test_of_several_trainings_the_first_decides():
    """As in cross-validation, whose estimators are copies: Optuna itself would warn."""
    seen = []

    def objective(trial):
        pruning = callbacks.OptunaPruning(trial)
        for rate in (0.3, 0.2):
            settings = {"validation_split": 0.25, "epochs": 3, "verbose": 0}
            history = net(rate).fit(X, Y, callbacks=[copy.deepcopy(pruning)], **settings)
            seen.append(history.history["val_loss"])
        return 0.0

    (trial,) = studied(objective).trials
    assert trial.intermediate_values == dict(enumerate(seen[0]))
    assert seen[0] != seen[1]


def test_a_copy_has_the_same_trial_and_a_pickle_none_of_this_study():
    def objective(trial):
        pruning = callbacks.OptunaPruning(trial, "loss")
        assert copy.deepcopy([pruning])[0].trial is trial
        assert pickle.loads(pickle.dumps(pruning)).trial.number == trial.number  # noqa: S301 - made here
        return 0.0

    studied(objective)


def refused(message, monitor="val_loss", kind=ValueError, **settings):
    """Have a study's only trial fail with a message, before anything is trained."""
    model = net()
    before = model.get_weights()

    def objective(trial):
        with pytest.raises(kind, match=message):
            fit(trial, monitor, model)
        assert model.optimizer.iterations == 0
        np.testing.assert_array_equal(model.get_weights()[0], before[0])
        return [0.0] * len(study.directions)

    study = optuna.create_study(**settings)
    study.optimize(objective, n_trials=1)


def test_a_study_that_goes_the_other_way_is_refused():
    larger = r'val_accuracy.*better larger.*to minimize.*direction="maximize"'
    refused(larger, "val_accuracy")
    smaller = r'val_loss.*better smaller.*to maximize.*direction="minimize"'
    refused(smaller, direction="maximize")


def test_a_study_of_several_objectives_is_refused():
    refused("the study has 2 objectives", directions=["minimize", "minimize"])


def test_a_metric_without_a_direction_goes_where_the_study_goes():
    def off(y_true, y_pred):
        return (y_true - y_pred).abs().mean(dim=-1)

    def objective(trial):
        model = net()
        model.compile("sgd", "binary_crossentropy", [off])
        return fit(trial, "val_off", model)[-1]

    for direction in ("minimize", "maximize"):
        (trial,) = studied(objective, direction=direction).trials
        assert len(trial.intermediate_values) == 6


def test_a_figure_that_there_is_not_is_named():
    def objective(trial):
        with pytest.raises(ValueError, match=r"OptunaPruning: no figure 'val_lss'.*'val_loss'"):
            fit(trial, "val_lss")
        with pytest.raises(ValueError, match=r"no figure 'val_loss'.*pass validation_data"):
            net().fit(X, Y, verbose=0, callbacks=[callbacks.OptunaPruning(trial)])
        return 0.0

    studied(objective)


def test_trials_with_fixed_parameters_train_to_the_end():
    assert len(fit(optuna.trial.FixedTrial({"rate": 0.1}))) == 6


@pytest.mark.parametrize("given", [None, optuna.Trial, {"rate": 0.1}])
def test_what_is_no_trial_is_refused(given):
    with pytest.raises(TypeError, match="trial: expected the trial that Optuna calls"):
        callbacks.OptunaPruning(given)
    with pytest.raises(TypeError, match="monitor: expected a figure's name, got None"):
        callbacks.OptunaPruning(optuna.trial.FixedTrial({}), None)
