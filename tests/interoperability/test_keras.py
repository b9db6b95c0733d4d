"""Keras' files between this library and other releases and backends of Keras than `make test` has.

`make interoperability` runs this with TensorFlow's backend. Other releases by hand: KERAS_PYTHONS
names their interpreters, with a colon between (last run: 3.0.5 and 3.8.0, beside 3.15.1).
"""

import importlib.util
import os
import subprocess
import sys

import keras_own
import numpy as np
import pytest
from keras_cases import CASES, READ
from keras_trained import OPTIMIZERS

pytestmark = pytest.mark.skipif(
    "KERAS_PYTHONS" not in os.environ and importlib.util.find_spec("tensorflow") is None,
    reason="TensorFlow has an environment of its own: make interoperability",
)
PYTHONS = os.environ.get("KERAS_PYTHONS", sys.executable).split(os.pathsep)
VERSION = "import importlib.metadata as m; print(m.version('keras'))"


@pytest.fixture(scope="module", params=PYTHONS)
def made(request, tmp_path_factory):
    """Return a folder with files of one Keras, its release, and its dtypes."""
    python = request.param
    version = subprocess.check_output([python, "-c", VERSION], text=True)
    release = tuple(map(int, version.split(".")[:2]))
    # Before 3.8 the backend of NumPy wants PyTorch; JAX holds everything in float32, and that of
    # TensorFlow rounds slopes, scales and constants to it (1e-8 off in Rescaling and gelu).
    backend = "tensorflow" if python == sys.executable else "jax" if release < (3, 8) else "numpy"
    dtypes = ("float32", "float64") if backend == "numpy" else ("float32",)
    folder = tmp_path_factory.mktemp("keras")
    keras_own.run(folder, python, dtypes, KERAS_BACKEND=backend)
    return folder, release, dtypes


@pytest.mark.parametrize("name", CASES)
def test_files_go_both_ways(made, name):
    folder, release, dtypes = made
    # `keras_child` says why.
    kinds = ("wy",) if name == "graph" and release < (3, 1) else ("y", "wy")
    for dtype in dtypes:
        keras_own.check_read_here(folder, name, dtype)
        for suffix in ("weights.h5", "keras"):
            keras_own.check_weights(folder, name, dtype, suffix)
        keras_own.check_read_there(folder, name, dtype, kinds)


@pytest.mark.parametrize("name", READ)
def test_what_only_keras_writes_is_read(made, name):
    folder, _, dtypes = made
    for dtype in dtypes:
        keras_own.check_read_here(folder, name, dtype)
        for suffix in ("weights.h5", "keras"):
            keras_own.check_weights(folder, name, dtype, suffix)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_on_both_sides(made, name):
    folder, release, _ = made
    if release < (3, 1):
        # It keeps state of frozen layers, too, so that what was trained begins anew, with a word.
        assert np.load(folder / f"trained-{name}.npz").files
        return
    keras_own.check_goes_on_here(folder, name)
    keras_own.check_goes_on_there(folder, name)
