"""Figures as lines of JSON: valid, once for each epoch, with what a doctor has found."""

# ruff: noqa: ARG002 - methods have the signatures that they are called with

import json

import numpy as np
import pytest
from checkpoint_checks import net, run
from doctor_stand_in import StandIn, finding

import evengrad as eg
from evengrad import callbacks, layers

X = np.random.default_rng(3).normal(size=(40, 3)).astype("float32")
Y = (X.sum(axis=1) > 0).astype(int)


def trained(*chosen, epochs=2, metrics=(), **settings):
    model = eg.Sequential([layers.Dense(4, "tanh", name="hidden"), layers.Dense(2, name="out")])
    model.compile("sgd", "sparse_categorical_crossentropy", list(metrics))
    return model.fit(X, Y, epochs=epochs, verbose=0, callbacks=list(chosen), **settings)


def lines_of(path):
    """Return the lines as JSON has them: words that are none are refused."""

    def refuse(word):
        raise ValueError(word)

    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


class Says(callbacks.Callback):
    """Puts figures among those of an epoch."""

    def __init__(self, **figures):
        self.figures = figures

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.figures)


def test_a_line_has_the_figures_of_its_epoch(tmp_path):
    path = tmp_path / "log.jsonl"
    log = callbacks.JSONLogger(path)
    history = trained(log, metrics=["accuracy"], validation_data=(X, Y))
    lines = lines_of(path)
    assert [line["epoch"] for line in lines] == [0, 1]
    for name, column in history.history.items():
        assert [line[name] for line in lines] == column
    assert set(lines[0]) == {"epoch", *history.history}


def test_arrays_are_lists_and_pandas_reads_them(tmp_path):
    pd = pytest.importorskip("pandas")
    path = tmp_path / "log.jsonl"
    history = trained(callbacks.JSONLogger(path), metrics=["confusion_matrix"]).history
    frame = pd.read_json(path, lines=True)
    assert frame["epoch"].tolist() == [0, 1]
    np.testing.assert_allclose(frame["loss"], history["loss"])
    assert frame["confusion_matrix"][1] == history["confusion_matrix"][1].tolist()


def test_what_is_no_number_is_null_and_said(tmp_path):
    pd = pytest.importorskip("pandas")
    path = tmp_path / "log.jsonl"
    odd = Says(a=float("nan"), b=float("-inf"), c=np.array([1.0, np.nan]), d=np.float32(0.5))
    trained(odd, callbacks.JSONLogger(path))
    line = lines_of(path)[0]
    assert (line["a"], line["b"], line["c"], line["d"]) == (None, None, [1.0, None], 0.5)
    assert line["non_finite"] == {"a": "nan", "b": "-inf"}
    assert pd.read_json(path, lines=True)["a"].isna().all()


def test_figures_with_the_names_of_other_keys_stay(tmp_path):
    path = tmp_path / "log.jsonl"
    trained(Says(epoch=7.5, health=0.25), callbacks.JSONLogger(path), epochs=1)
    (line,) = lines_of(path)
    assert (line["epoch"], line["epoch_"], line["health_"]) == (0, 7.5, 0.25)


def test_appending(tmp_path):
    path = tmp_path / "log.jsonl"
    trained(callbacks.JSONLogger(path))
    more = {"initial_epoch": 2, "epochs": 3}
    trained(callbacks.JSONLogger(path, append=True), **more)
    assert [line["epoch"] for line in lines_of(path)] == [0, 1, 2]
    trained(callbacks.JSONLogger(path), **more)
    assert [line["epoch"] for line in lines_of(path)] == [2]


def test_a_line_is_there_as_soon_as_its_epoch_ends(tmp_path):
    path = tmp_path / "log.jsonl"
    seen = []

    class Looks(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(lines_of(path))

    trained(callbacks.JSONLogger(path), Looks())
    assert list(map(len, seen)) == [1, 2]


class Die(callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_lines_are_those_of_one_training(tmp_path):
    def chosen(name):
        findings = {1: [finding()], 2: [finding(layer="out")]}
        return [StandIn(findings), callbacks.JSONLogger(tmp_path / name)]

    run(net(), 5, callbacks=chosen("whole.jsonl"))
    with pytest.raises(KeyboardInterrupt):
        run(net(), 5, checkpoint=tmp_path / "ck", callbacks=[*chosen("log.jsonl"), Die()])
    assert len(lines_of(tmp_path / "log.jsonl")) == 5
    # The third epoch's lines are in the file, and the epoch is not in the checkpoint.
    run(net(), 5, checkpoint=tmp_path / "ck", callbacks=chosen("log.jsonl"))
    assert (tmp_path / "log.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()


def test_the_last_sample_of_a_doctor_by_layer(tmp_path):
    path = tmp_path / "log.jsonl"
    trained(StandIn(), callbacks.JSONLogger(path))
    assert lines_of(path)[1]["health"] == {
        "step": 15,
        "epoch": 1,
        "gradient_norm": 3.5,
        "layers": {"hidden": {"speed": 6.0, "dead": 0.06}, "out": {"speed": 7.0}},
    }


@pytest.mark.parametrize("doctor_first", [True, False])
def test_findings_are_lines_whoever_comes_first(tmp_path, doctor_first):
    path = tmp_path / "log.jsonl"
    # Judged again, it has begun at another step.
    chosen = [StandIn({1: [finding()], 2: [finding(step=7)]}), callbacks.JSONLogger(path)]
    trained(*(chosen if doctor_first else chosen[::-1]), epochs=3)
    lines = lines_of(path)
    assert sum("loss" in line for line in lines) == 3
    assert max(line["health"]["step"] for line in lines if "health" in line) == 25
    (told,) = (line for line in lines if "finding" in line)
    assert told["epoch"] == (1 if doctor_first else 2)
    assert told["finding"] == {
        "kind": "dead_units",
        "layer": "hidden",
        "value": 0.75,
        "threshold": 0.5,
        "step": 3,
        "severity": "error",
        "cause": "learning_rate",
        "because": {"kind": "unscaled_inputs", "layer": "hidden", "step": 0},
        "remedies": [{"text": "Lower the rate.", "code": "model.optimizer.learning_rate = 0.01"}],
        "tensor": None,
        "batch_rows": None,
        "rows": None,
    }
