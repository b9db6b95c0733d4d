"""Event files: what tensorboard reads back is what the training came to, each step once."""

# ruff: noqa: ARG002 - methods have the signatures that they are called with

import os
import struct
import sys

import numpy as np
import pytest
from checkpoint_checks import StopAt, net, run
from doctor_stand_in import StandIn, finding

import evengrad as eg
from evengrad import callbacks, layers
from evengrad.callbacks import _event_files

accumulators = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard reads the files"
)

X = np.random.default_rng(3).normal(size=(40, 3)).astype("float32")
Y = (X.sum(axis=1) > 0).astype(int)
EVERYTHING = dict.fromkeys(("scalars", "histograms", "tensors"), 0)


def net_of_two(optimizer="sgd", metrics=()):
    inside = [layers.Dense(4, "tanh", name="hidden"), layers.Dense(2, name="out")]
    model = eg.Sequential([eg.Input((3,)), *inside], seed=1)
    model.compile(optimizer, "sparse_categorical_crossentropy", list(metrics))
    return model


def trained(*chosen, model=None, epochs=2, **settings):
    model = net_of_two() if model is None else model
    return model.fit(
        X, Y, epochs=epochs, batch_size=8, verbose=0, callbacks=list(chosen), **settings
    )


def read(folder):
    """Return all that is in a run, as tensorboard reads it."""
    found = accumulators.EventAccumulator(str(folder), EVERYTHING)
    found.Reload()
    return found


def series(folder):
    """Return (step, value) of each scalar by its tag."""
    found = read(folder)
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def in_float32(values):
    return [(step, float(np.float32(value))) for step, value in enumerate(values)]


def test_figures_lie_where_keras_puts_them(tmp_path):
    model = net_of_two(metrics=["accuracy", "confusion_matrix"])
    board = callbacks.TensorBoard(tmp_path)
    history = trained(board, model=model, epochs=3, validation_data=(X, Y)).history
    train, held_out = series(tmp_path / "train"), series(tmp_path / "validation")
    assert set(train) == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}
    for name in ("loss", "accuracy"):
        assert train[f"epoch_{name}"] == in_float32(history[name])
        assert held_out.pop(f"epoch_{name}") == in_float32(history[f"val_{name}"])
        by_update = held_out.pop(f"evaluation_{name}_vs_iterations")
        assert [step for step, _ in by_update] == [5, 10, 15]
        assert [value for _, value in by_update] == [
            value for _, value in in_float32(history[f"val_{name}"])
        ]
    assert not held_out


def test_a_schedule_is_told_as_the_rate_of_the_last_update(tmp_path):
    rate = eg.optimizers.schedules.StepDecay(0.5, 5)
    model = net_of_two(eg.optimizers.SGD(rate))
    trained(callbacks.TensorBoard(tmp_path), model=model)
    assert series(tmp_path / "train")["epoch_learning_rate"] == in_float32([rate(4), rate(9)])


def test_figures_that_are_no_numbers_come_back_as_they_are(tmp_path):
    class Says(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs.update(a=float("nan"), b=float("-inf"), c=1e300)

    trained(Says(), callbacks.TensorBoard(tmp_path), epochs=1)
    found = series(tmp_path / "train")
    assert np.isnan(found["epoch_a"][0][1])
    assert (found["epoch_b"], found["epoch_c"]) == ([(0, -np.inf)], [(0, np.inf)])


@pytest.mark.parametrize(("freq", "steps"), [("batch", range(1, 11)), (4, [4, 8]), ("epoch", [])])
def test_figures_of_batches_by_update(tmp_path, freq, steps):
    board = callbacks.TensorBoard(tmp_path, update_freq=freq, write_steps_per_second=True)
    history = trained(board).history
    found = series(tmp_path / "train")
    assert [step for step, _ in found.get("batch_loss", ())] == list(steps)
    if freq == "batch":
        assert [found["batch_loss"][i][1] for i in (4, 9)] == pytest.approx(history["loss"])
    for name in ("epoch", "batch") if steps else ("epoch",):
        assert all(value > 0 for _, value in found[f"{name}_steps_per_second"])


def test_training_hears_of_batches_only_where_they_are_written():
    assert not callbacks.TensorBoard().wants_batches("train")
    assert callbacks.TensorBoard(update_freq="batch").wants_batches("train")
    assert not callbacks.TensorBoard(update_freq="batch").wants_batches("test")


def test_an_evaluation_by_itself(tmp_path):
    model = net_of_two()
    loss = model.evaluate(X, Y, callbacks=[callbacks.TensorBoard(tmp_path)])
    found = series(tmp_path / "validation")["evaluation_loss_vs_iterations"]
    assert found == in_float32([loss])


def test_histograms_of_variables(tmp_path):
    model = net_of_two()
    trained(callbacks.TensorBoard(tmp_path, histogram_freq=2), model=model, epochs=3)
    found = read(tmp_path / "train")
    paths = ["hidden/kernel", "hidden/bias", "out/kernel", "out/bias"]
    assert set(found.Tags()["histograms"]) == {f"{path}/histogram" for path in paths}
    for path, weight in zip(paths, model.get_weights(), strict=True):
        events = found.Histograms(f"{path}/histogram")
        assert [event.step for event in events] == [0, 2]
        told = events[-1].histogram_value
        assert (told.min, told.max, told.num) == (weight.min(), weight.max(), weight.size)
        assert told.sum == pytest.approx(weight.sum(dtype="float64"))
        assert told.sum_squares == pytest.approx(np.square(weight, dtype="float64").sum())
        expected, _ = np.histogram(weight.astype("float64"), bins=30)
        assert told.bucket == expected.tolist()


def test_histograms_of_weights_that_are_no_numbers():
    values = np.array([1.0, np.nan, np.inf, -1e308, 1e308, 3.0])
    (part,) = _event_files.histogram("w", values)
    assert (part["histo"]["min"], part["histo"]["max"], part["histo"]["num"]) == (1.0, 3.0, 2.0)
    assert _event_files.histogram("w", values[1:3]) == []
    assert _event_files.counted("w", np.array([1, 2]), np.array([0.0, 1.0, np.inf])) == []
    (part,) = _event_files.histogram("w", np.zeros(3))
    assert (part["histo"]["min"], part["histo"]["max"]) == (0.0, 0.0)


class Die(callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("every", ["epoch", "5 steps"])
def test_each_step_is_there_once_after_an_interruption(tmp_path, every):
    def chosen(name):
        findings = {1: [finding()], 2: [finding(layer="out")]}
        settings = {"histogram_freq": 1, "update_freq": "batch"}
        return [StandIn(findings), callbacks.TensorBoard(tmp_path / name, **settings)]

    def everything(name):
        found = read(tmp_path / name / "train")
        return {
            "scalars": series(tmp_path / name / "train"),
            **{
                tag: [event.step for event in found.Histograms(tag)]
                for tag in found.histograms.Keys()
            },
            **{tag: [event.step for event in found.Tensors(tag)] for tag in found.tensors.Keys()},
        }

    keep = {"checkpoint": tmp_path / "ck", "checkpoint_every": every}
    run(net(), 5, callbacks=chosen("whole"))
    for dies in (Die(), StopAt(10)):
        with pytest.raises(KeyboardInterrupt):
            run(net(), 5, **keep, callbacks=[*chosen("log"), dies])
    # What the third epoch wrote is there, and the epoch is not in the checkpoint.
    run(net(), 5, **keep, callbacks=chosen("log"))
    assert everything("log") == everything("whole")
    # Other trainings in the folder stay.
    (tmp_path / "log" / "train" / "events.out.tfevents.0.other").touch()
    run(net(), 6, **keep, callbacks=chosen("log"))
    assert (tmp_path / "log" / "train" / "events.out.tfevents.0.other").exists()


def test_what_is_written_is_there_at_once_and_stays(tmp_path):
    class Looks(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(callbacks.TensorBoard(tmp_path, update_freq="batch"), Looks())
    assert [step for step, _ in series(tmp_path / "train")["batch_loss"]] == [1, 2, 3, 4]


@pytest.mark.parametrize("doctor_first", [True, False])
def test_series_and_findings_of_a_doctor(tmp_path, doctor_first):
    chosen = [
        StandIn({1: [finding(), finding(layer=None)]}),
        callbacks.TensorBoard(tmp_path, histogram_freq=1),
    ]
    trained(*(chosen if doctor_first else chosen[::-1]))
    found = read(tmp_path / "train")
    scalars = series(tmp_path / "train")
    steps = [0, 5, 10, 15]
    assert scalars["health_speed/out"] == list(zip(steps, [1.0, 3.0, 5.0, 7.0], strict=True))
    assert scalars["health_gradient_norm"] == list(zip(steps, [0.5, 1.5, 2.5, 3.5], strict=True))
    assert "health_dead/hidden" in scalars
    assert "health_dead/out" not in scalars
    assert set(found.Tags()["tensors"]) == {
        "health_finding/dead_units/hidden",
        "health_finding/dead_units/model",
    }
    (event,) = found.Tensors("health_finding/dead_units/hidden")
    assert event.step == 3
    words = event.tensor_proto.string_val[0].decode()
    assert words.startswith("**dead_units** in `hidden` (error): 0.75, threshold 0.5; cause: learn")
    assert "* Lower the rate." in words
    told = found.Histograms("health_activation/hidden")[-1].histogram_value
    assert (told.min, told.max, list(told.bucket), told.sum) == (-1.0, 1.0, [1.0, 3.0], 1.0)
    # Nothing was counted of the other layer.
    assert "health_activation/out" not in found.Tags()["histograms"]


def test_a_training_anew_has_files_of_its_own(tmp_path):
    board = callbacks.TensorBoard(tmp_path)
    model = net_of_two()
    trained(board, model=model)
    trained(board, model=model, initial_epoch=2, epochs=3)
    assert len(os.listdir(tmp_path / "train")) == 2
    assert [step for step, _ in series(tmp_path / "train")["epoch_loss"]] == [0, 1, 2]


@pytest.mark.parametrize("hidden", [["tensorboard"], ["tensorboard", "tensorboardX"]])
def test_either_package_serves(tmp_path, monkeypatch, hidden):
    if len(hidden) == 1:
        pytest.importorskip("tensorboardX")
        trained(callbacks.TensorBoard(tmp_path / "with"), epochs=1)
    for name in hidden:
        for module in [name, *(one for one in sys.modules if one.startswith(f"{name}."))]:
            monkeypatch.setitem(sys.modules, module, None)
    if len(hidden) == 2:
        with pytest.raises(ImportError, match=r'or tensorboardX: pip install "evengrad\[tens'):
            callbacks.TensorBoard(tmp_path)
        return
    trained(callbacks.TensorBoard(tmp_path / "without"), epochs=1)
    monkeypatch.undo()
    assert series(tmp_path / "without" / "train") == series(tmp_path / "with" / "train")


def test_records_have_checksums():
    def checksum(data):
        return len(data)

    assert _event_files.as_record(b"abc", checksum) == struct.pack("<QI3sI", 3, 8, b"abc", 3)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"log_dir": None}, TypeError, "log_dir: expected the path of a folder, got None"),
        ({"log_dir": ""}, TypeError, "log_dir: expected the path of a folder, got ''"),
        ({"histogram_freq": -1}, ValueError, "histogram_freq: expected 0 or more, got -1"),
        ({"update_freq": 0}, ValueError, "update_freq: expected 1 or more, got 0"),
        ({"update_freq": "batches"}, ValueError, "update_freq: unknown 'batches'"),
        ({"update_freq": 2.5}, TypeError, "update_freq: expected an integer, got 2.5"),
    ],
)
def test_wrong_arguments(settings, error, message):
    with pytest.raises(error, match=message):
        callbacks.TensorBoard(**settings)


def test_a_file_in_the_folder_s_place_is_told_before_anything_is_trained(tmp_path):
    (tmp_path / "logs").touch()
    model = net_of_two()
    with pytest.raises(OSError, match="logs"):
        trained(callbacks.TensorBoard(tmp_path / "logs"), model=model)
    assert model.optimizer.iterations == 0
