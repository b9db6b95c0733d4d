"""How much memory training takes at its peak, and what stays of it afterwards."""

import gc
import subprocess
import sys
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest

import evengrad as eg
from evengrad.training._data import is_finite

# A process of its own, whose peak is that of the training alone.
SCRIPT = """
import numpy as np
import evengrad as eg

def resident(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) * 1024

ROWS, WIDTH, DEPTH = 16384, 256, 5
x = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype("float32")
layers = [eg.layers.Dense(WIDTH, "relu") for _ in range(DEPTH)]
model = eg.Sequential([eg.Input((WIDTH,)), *layers, eg.layers.Dense(1)])
model.compile("sgd", "mse")
before = resident("VmRSS")
model.fit(x, x[:, :1], batch_size=ROWS, epochs=3, verbose=0)
print((resident("VmHWM") - before) / x.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_a_step_holds_activations_and_their_gradients_once():
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    # The rows are kept once and gathered once; five layers have an output and a gradient each,
    # of the same size. Values before the activation and after it never lie there for a whole
    # batch at a time in more than one layer; scratch and weights are small beside this.
    assert float(run.stdout) < 2 + 2 * 5 + 2


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_look_for_numbers_that_are_not_finite_copies_nothing(order, dtype):
    x = np.ones((4000, 500), dtype, order=order)[:, 1:]
    tracemalloc.start()
    try:
        assert is_finite(x, "float32")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 50


X, Y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
USES = {
    "built": lambda model: model.build((None, 3)),
    "asked": lambda model: [model(X) for _ in range(3)],
    "predict": lambda model: model.predict(X),
    "predict of batches": lambda model: model.predict(iter([X, X])),
    "evaluate": lambda model: model.evaluate(X, Y, verbose=0),
    "evaluate of batches": lambda model: model.evaluate(iter([(X, Y)]), verbose=0),
    "fit": lambda model: model.fit(X, Y, verbose=0),
    "fit of batches": lambda model: model.fit(iter([(X, Y)] * 3), verbose=0),
    "predict_mc": lambda model: model.predict_mc(X),
}


@pytest.mark.parametrize("use", USES)
def test_nothing_keeps_a_model_that_is_dropped(use):
    model = eg.Sequential([eg.layers.Dense(4), eg.layers.Dropout(0.1), eg.layers.Dense(1)])
    model.compile("sgd", "mse")
    gc.collect()
    gc.disable()
    try:
        USES[use](model)
        kept = [weakref.ref(thing) for thing in (model, *model.layers)]
        del model
        if "evaluate" not in use and "fit" not in use:
            # Its large tensors wait for no garbage collector. The history of a training, and the
            # objective, know their model.
            assert all(one() is None for one in kept)
    finally:
        gc.enable()
    gc.collect()
    assert all(one() is None for one in kept)
