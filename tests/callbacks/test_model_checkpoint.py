"""Models saved while they are trained: when, under which names, and which is the best."""

import logging

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, layers

X = np.random.default_rng(2).normal(size=(40, 3)).astype("float32")
Y = X.sum(axis=1)


def fit(save, epochs=4, rates=None, **given):
    model = eg.Sequential([eg.Input((3,)), layers.Dense(1)], seed=4)
    model.compile(eg.optimizers.SGD(0.05), "mse")
    each = [save]
    if rates is not None:
        each = [callbacks.LearningRateScheduler(lambda epoch: rates[epoch]), save]
    model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, callbacks=each, **given)
    return model


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_epoch_is_saved_under_its_number_and_figures(tmp_path):
    save = callbacks.ModelCheckpoint(tmp_path / "e{epoch:03d}-{loss:.6f}.safetensors")
    model = fit(save, 3)
    losses = model.history.history["loss"]
    assert names(tmp_path) == [
        f"e{i + 1:03d}-{loss:.6f}.safetensors" for i, loss in enumerate(losses)
    ]
    loaded = eg.load_model(tmp_path / names(tmp_path)[-1])
    assert np.array_equal(loaded.predict(X), model.predict(X))


def test_one_name_is_overwritten_and_weights_alone_are_smaller(tmp_path):
    fit(callbacks.ModelCheckpoint(tmp_path / "whole"))
    model = fit(callbacks.ModelCheckpoint(tmp_path / "weights", save_weights_only=True))
    assert names(tmp_path) == ["weights", "whole"]
    other = eg.Sequential([eg.Input((3,)), layers.Dense(1)], seed=9)
    other.load_weights(tmp_path / "weights")
    assert np.array_equal(other.get_weights()[0], model.get_weights()[0])
    with pytest.raises(eg.FileFormatError):
        eg.load_model(tmp_path / "weights")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Losses fall where the rate is small, and rise where it is far too large.
        ({"monitor": "loss", "save_best_only": True}, ["1", "2", "4"]),
        ({"monitor": "loss", "save_best_only": True, "mode": "max"}, ["1", "3"]),
        ({"monitor": "loss"}, ["1", "2", "3", "4"]),
        ({"monitor": "loss", "save_best_only": True, "initial_value_threshold": 0.0}, []),
    ],
)
def test_the_best_alone(tmp_path, settings, expected):
    class Figures(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["loss"] = [3.0, 2.0, 4.0, 1.0][epoch]

    save = callbacks.ModelCheckpoint(tmp_path / "{epoch}", **settings)
    model = eg.Sequential([eg.Input((3,)), layers.Dense(1)], seed=4)
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[Figures(), save])
    assert names(tmp_path) == expected


def test_after_so_many_batches(tmp_path):
    save = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=3)
    # Five batches an epoch: after batches 3, 6, 9, 12 and 15 of all.
    fit(save, 3)
    assert names(tmp_path) == ["1-3", "2-1", "2-4", "3-2", "3-5"]


def test_verbose_says_so(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "evengrad"):
        fit(callbacks.ModelCheckpoint(tmp_path / "net", verbose=1), 2)
    assert caplog.text.count("saved") == 2


def test_unknown_figures_are_named(tmp_path):
    with pytest.raises(ValueError, match="val_loss"):
        fit(callbacks.ModelCheckpoint(tmp_path / "{val_loss}"))
    with pytest.raises(ValueError, match="val_loss"):
        fit(callbacks.ModelCheckpoint(tmp_path / "net", save_best_only=True))


@pytest.mark.parametrize("given", [{"save_freq": 0}, {"mode": "best"}])
def test_arguments_are_checked(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        callbacks.ModelCheckpoint("net", **given)


def test_the_best_so_far_is_part_of_a_checkpoint(tmp_path):
    def saved(folder, epochs):
        save = callbacks.ModelCheckpoint(
            folder / "{epoch}-{batch}", "loss", save_best_only=True, save_freq=2
        )
        return save, fit(save, epochs, checkpoint=tmp_path / "ck")

    first, _ = saved(tmp_path, 2)
    again, _ = saved(tmp_path, 4)
    assert again.best <= first.best


class TestBackupAndRestore:
    def test_it_is_a_checkpoint_by_another_name(self, tmp_path):
        whole = fit(callbacks.Callback(), 5)
        fit(callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False), 2)
        assert len(names(tmp_path)) == 1
        again = fit(callbacks.BackupAndRestore(tmp_path, double_checkpoint=True), 5)
        assert np.array_equal(again.get_weights()[0], whole.get_weights()[0])
        assert again.history.history == whole.history.history

    def test_files_go_when_training_has_ended(self, tmp_path):
        folder = tmp_path / "backup"
        fit(callbacks.BackupAndRestore(folder, save_freq=2))
        assert not folder.exists()

    def test_two_ways_of_keeping_are_refused(self, tmp_path):
        with pytest.raises(ValueError, match="BackupAndRestore"):
            fit(callbacks.BackupAndRestore(tmp_path), checkpoint=tmp_path)
