"""Files of real Keras read here, and files written here read by Keras: the same outputs."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from keras_cases import CASES, data, values
from keras_trained import OPTIMIZERS, STEPS, gradients, net, optimizer

import evengrad as eg

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("keras") is None, reason="Keras needs Python 3.11"
)
HELPERS = pathlib.Path(__file__).parents[2] / "helpers"
# In parts of the largest output.
NEAR = {"float32": 3e-6, "float64": 1e-12}
BOTH = [(name, dtype) for name in CASES for dtype in NEAR]


def own_net(name, dtype):
    before = eg.get_default_dtype()
    eg.set_default_dtype(dtype)
    try:
        return CASES[name](eg)
    finally:
        eg.set_default_dtype(before)


def randomized(net):
    draws = np.random.default_rng(7)
    net.set_weights([values(path, w.shape, draws) for path, w in net.named_weights()])
    return net


def outputs(net, name, dtype):
    inputs = [x.astype(dtype) for x in data(name)]
    made = net.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    return made if isinstance(made, list) else [made]


def step(net, number):
    pairs = zip(
        gradients([w.shape for w in net.trainable_weights], number),
        net.trainable_weights,
        strict=True,
    )
    grads = [(eg.tensor(gradient, dtype="float32"), w) for gradient, w in pairs]
    net.optimizer.apply_gradients(grads)


def trained(name):
    made = randomized(net(eg))
    made.compile(
        optimizer(eg, name), "sparse_categorical_crossentropy", metrics=["accuracy", "auc"]
    )
    for number in range(STEPS):
        step(made, number)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with files of both, made by one child process."""
    folder = tmp_path_factory.mktemp("keras")
    for name, dtype in BOTH:
        net = randomized(own_net(name, dtype))
        net.save(folder / f"own-{name}-{dtype}.keras")
        net.save_weights(folder / f"own-{name}-{dtype}.weights.h5")
    for name in OPTIMIZERS:
        trained(name).save(folder / f"own-trained-{name}.keras")
    child = subprocess.run(
        [sys.executable, str(HELPERS / "keras_child.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(HELPERS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-4000:]
    return folder


def check_near(found, wanted, dtype):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype == dtype
        assert np.abs(one - other).max() <= NEAR[dtype] * np.abs(other).max()


def keras_outputs(folder, name, dtype):
    found = np.load(folder / f"keras-{name}-{dtype}.npz")
    return [found[f"y{i}"] for i in range(len(found.files))]


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_models_of_keras_compute_the_same_here(folder, name, dtype):
    net = eg.Model.from_keras(folder / f"keras-{name}-{dtype}.keras")
    check_near(outputs(net, name, dtype), keras_outputs(folder, name, dtype), dtype)


@pytest.mark.parametrize(("name", "dtype"), BOTH)
@pytest.mark.parametrize("suffix", ["weights.h5", "keras"])
def test_weights_of_keras_go_into_a_model_of_the_same_structure(folder, name, dtype, suffix):
    net = own_net(name, dtype)
    report = net.load_weights(folder / f"keras-{name}-{dtype}.{suffix}")
    assert report.missing == report.unexpected == []
    check_near(outputs(net, name, dtype), keras_outputs(folder, name, dtype), dtype)


@pytest.mark.parametrize("name", CASES)
def test_weights_of_the_old_format_go_by_their_names(folder, name):
    net = eg.Model.from_keras(folder / f"keras-{name}-float32.keras")
    net.set_weights([np.zeros(w.shape) for w in net.weights])
    report = net.load_weights(folder / f"keras-{name}-float32.h5")
    assert report.missing == report.by_order == []
    check_near(outputs(net, name, "float32"), keras_outputs(folder, name, "float32"), "float32")


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_keras_reads_what_is_written_here(folder, name, dtype):
    found = np.load(folder / f"own-{name}-{dtype}.read.npz")
    wanted = outputs(randomized(own_net(name, dtype)), name, dtype)
    for first in ("y", "wy"):
        made = [found[f"{first}{i}"] for i in range(len(wanted))]
        check_near(made, wanted, dtype)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_where_keras_stopped(folder, name):
    made = eg.Model.from_keras(folder / f"trained-{name}.keras")
    assert made.optimizer.iterations == STEPS
    step(made, STEPS)
    wanted = np.load(folder / f"trained-{name}.npz")
    assert [w.shape for w in made.trainable_weights] == [wanted[key].shape for key in wanted]
    for weight, key in zip(made.trainable_weights, wanted, strict=True):
        np.testing.assert_allclose(weight.numpy(), wanted[key], rtol=2e-5, atol=2e-6)
    assert made.evaluate(np.ones((4, 3)), [0, 1, 0, 1], verbose=0, return_dict=True).keys() == {
        *("loss", "accuracy", "sparse_top_k_categorical_accuracy")
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keras_goes_on_where_training_stopped_here(folder, name):
    made = trained(name)
    step(made, STEPS)
    found = np.load(folder / f"own-trained-{name}.npz")
    assert found["iterations"] == STEPS + 1
    assert not found["loss"]
    for place, weight in enumerate(made.trainable_weights):
        np.testing.assert_allclose(found[str(place)], weight.numpy(), rtol=2e-5, atol=2e-6)
