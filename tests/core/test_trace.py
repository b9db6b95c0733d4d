"""`EVENGRAD_TRACE`: a timeline of steps, as Chrome's trace format has it."""

import json
import os
import subprocess
import sys

PROGRAM = """
import numpy as np
import evengrad as eg
eg.set_num_threads(2)
x = np.random.default_rng(0).normal(size=(512, 64)).astype("float32")
def net(seed):
    hidden = [eg.layers.Dense(256, "relu") for _ in range(2)]
    model = eg.Sequential([eg.Input((64,)), *hidden, eg.layers.Dense(1)], seed=seed)
    model.compile("adam", "mse")
    return model
{call}
"""
ALONE = "net(1).fit(x, x[:, 0], batch_size=128, epochs=12, verbose=0)"
MANY = "eg.fit_many([net(1), net(2)], x, x[:, 0], batch_size=128, epochs=2, verbose=0)"


def traced(call, path):
    """Return the events of a program, by their names, and what it wrote to the error stream."""
    environment = {**os.environ, "EVENGRAD_TRACE": str(path)}
    code = PROGRAM.format(call=call)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    events = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [event for event in events if event["ph"] == "X"], done.stderr


def check(events):
    """Look at the form of events, and that what a thread does follows each other."""
    ends = {}
    for event in events:
        assert set(event) == {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"}
        assert event["dur"] >= 0.0
        # Written with thousandths of microseconds.
        assert event["ts"] >= ends.get(event["tid"], 0.0) - 0.002
        ends[event["tid"]] = event["ts"] + event["dur"]


def test_a_training_with_two_threads(tmp_path):
    events, _ = traced(ALONE, tmp_path / "trace.json")
    check(events)
    works = [event for event in events if event["name"] == "works"]
    assert {event["tid"] for event in works} == {0, 1}
    launches = " > ".join(event["args"]["launches"] for event in works)
    assert "dense" in launches
    assert "adam" in launches
    # Each meeting of the two has one that comes last.
    served = sum(event["name"] == "serves all" for event in events)
    waited = sum(event["name"] == "waits" for event in events)
    assert served >= waited > 0


def test_models_side_by_side(tmp_path):
    events, _ = traced(MANY, tmp_path / "trace.json")
    check(events)
    assert len({event["args"]["plan"] for event in events}) == 2
    # Nobody waits within a step.
    assert {event["name"] for event in events} == {"works", "serves all"}


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    events, said = traced(ALONE, tmp_path / "none" / "trace.json")
    assert events == []
    assert "EVENGRAD_TRACE=" in said
    assert "there is no trace" in said
