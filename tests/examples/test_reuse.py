"""Tests of the example of exercise 9: the shapes of its table, also with kept outputs."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from evengrad import callbacks, optimizers

PATH = Path(__file__).resolve().parents[2] / "examples" / "09_reuse.py"
pytestmark = pytest.mark.skipif(not PATH.exists(), reason="a packaged copy has no examples")


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("example_of_reuse", PATH)
    module = importlib.util.module_from_spec(spec)
    # Its named tuples are looked up there.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        # Half of the time, for the same shapes.
        module.PATIENCE = 10
        yield module
    finally:
        del sys.modules[spec.name]


@pytest.fixture(scope="module")
def found(example):
    return example.run(2, (1, 10), [*example.RISING[1:], example.UNFREEZING[1]])


@pytest.mark.parametrize("labels", [1, 10])
def test_fewer_frozen_layers_are_better(example, found, labels):
    means = [np.mean(found.stages[name, labels]) for name in example.RISING[1:]]
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize("labels", [1, 10])
def test_unfreezing_helps(example, found, labels):
    frozen, unfrozen, _ = example.UNFREEZING
    assert np.mean(found.stages[frozen, labels]) < np.mean(found.stages[unfrozen, labels])


def test_the_best_stage_comes_near_a_net_from_scratch(found):
    for labels, near in ((1, 0.15), (10, 0.05)):
        here = np.mean(found.stages["1 layer, then all", labels])
        there = np.mean(found.scratch[5, labels])
        assert abs(here - there) < near


def test_kept_outputs_have_the_same_trajectory(example):
    task = example.few(example.new_task(0), 10)
    known = example.network(example.HIDDEN, 0)
    runs = []
    for cache in (False, True):
        model = known.drop_top(1).with_head(example.head())
        model.freeze("hidden*")
        model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        history = model.fit(
            *task.train,
            batch_size=20,
            epochs=60,
            validation_data=task.validation,
            callbacks=[callbacks.EarlyStopping(patience=5)],
            verbose=0,
            cache_frozen=cache,
        )
        runs.append((history.history, [w.tobytes() for w in model.get_weights()]))
    assert runs[0] == runs[1]
