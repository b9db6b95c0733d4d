"""Files of real Keras read here, and files written here read by Keras: the same outputs."""

import importlib.util

import keras_own
import numpy as np
import pytest
from keras_cases import CASES
from keras_own import BOTH
from keras_trained import OPTIMIZERS

import evengrad as eg

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("keras") is None, reason="Keras needs Python 3.11"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with files of both, made by one child process."""
    return keras_own.run(tmp_path_factory.mktemp("keras"))


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_models_of_keras_compute_the_same_here(folder, name, dtype):
    keras_own.check_read_here(folder, name, dtype)


@pytest.mark.parametrize(("name", "dtype"), BOTH)
@pytest.mark.parametrize("suffix", ["weights.h5", "keras"])
def test_weights_of_keras_go_into_a_model_of_the_same_structure(folder, name, dtype, suffix):
    keras_own.check_weights(folder, name, dtype, suffix)


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"images"}))
def test_weights_of_the_old_format_go_by_their_names(folder, name):
    net = eg.Model.from_keras(folder / f"keras-{name}-float32.keras")
    net.set_weights([np.zeros(w.shape) for w in net.weights])
    report = net.load_weights(folder / f"keras-{name}-float32.h5")
    assert report.missing == report.by_order == []
    wanted = keras_own.keras_outputs(folder, name, "float32")
    keras_own.check_near(keras_own.outputs(net, name, "float32"), wanted, "float32")


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_keras_reads_what_is_written_here(folder, name, dtype):
    keras_own.check_read_there(folder, name, dtype)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_where_keras_stopped(folder, name):
    keras_own.check_goes_on_here(folder, name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keras_goes_on_where_training_stopped_here(folder, name):
    keras_own.check_goes_on_there(folder, name)
