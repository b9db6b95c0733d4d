"""Nets and trainings of `keras_cases` and `keras_trained` made here, and runs of `keras_child`."""

import os
import pathlib
import subprocess
import sys

import numpy as np
from keras_cases import CASES, IMAGE, READ, data, erasing, values
from keras_trained import OPTIMIZERS, STEPS, gradients, net, optimizer

import evengrad as eg

HELPERS = pathlib.Path(__file__).parent
# In parts of the largest output.
NEAR = {"float32": 3e-6, "float64": 1e-12}
BOTH = [(name, dtype) for name in CASES for dtype in NEAR]
ALL_OF_KERAS = [*BOTH, *((name, dtype) for name in READ for dtype in NEAR)]


def own_net(name, dtype):
    before = eg.get_default_dtype()
    eg.set_default_dtype(dtype)
    try:
        return {**CASES, **READ}[name](eg)
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


def plain_images():
    """Return a net on images without channels, with single numbers that mean more there."""
    return eg.Sequential(
        [
            eg.Input(IMAGE[:2]),
            eg.layers.RandomContrast(0.3),
            eg.layers.RandomFlip(data_format="channels_first"),
        ]
    )


def run(folder, python=sys.executable, dtypes=tuple(NEAR), **environment):
    """Fill a folder with files of both, those of Keras by one child process."""
    for name, dtype in BOTH:
        if dtype in dtypes:
            made = randomized(own_net(name, dtype))
            made.save(folder / f"own-{name}-{dtype}.keras")
            made.save_weights(folder / f"own-{name}-{dtype}.weights.h5")
    erasing(eg).save(folder / "own-erasing-float32.keras")
    plain_images().save(folder / "own-plain-float32.keras")
    for name in OPTIMIZERS:
        trained(name).save(folder / f"own-trained-{name}.keras")
    child = subprocess.run(
        [python, str(HELPERS / "keras_child.py"), str(folder), *dtypes],
        env={**os.environ, "PYTHONPATH": str(HELPERS), **environment},
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


def check_read_there(folder, name, dtype, kinds=("y", "wy")):
    """Check that Keras computes the same with what was written here: a model, weights alone."""
    found = np.load(folder / f"own-{name}-{dtype}.read.npz")
    wanted = outputs(randomized(own_net(name, dtype)), name, dtype)
    for first in kinds:
        made = [found[f"{first}{i}"] for i in range(len(wanted))]
        check_near(made, wanted, dtype)


def check_read_here(folder, name, dtype):
    """Check that models of Keras compute the same here."""
    made = eg.Model.from_keras(folder / f"keras-{name}-{dtype}.keras")
    check_near(outputs(made, name, dtype), keras_outputs(folder, name, dtype), dtype)


def check_weights(folder, name, dtype, suffix):
    """Check that weights of Keras go into a model of the same structure."""
    made = own_net(name, dtype)
    report = made.load_weights(folder / f"keras-{name}-{dtype}.{suffix}")
    assert report.missing == report.unexpected == []
    check_near(outputs(made, name, dtype), keras_outputs(folder, name, dtype), dtype)


def check_goes_on_here(folder, name):
    """Check a step here behind those that Keras has made."""
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


def check_goes_on_there(folder, name):
    """Check a step of Keras behind those that were made here."""
    found = np.load(folder / f"own-trained-{name}.npz")
    assert not found["loss"]
    if name == "nadam":
        # Its state has no place that all releases of Keras read.
        assert found["iterations"] == 1
        return
    made = trained(name)
    step(made, STEPS)
    assert found["iterations"] == STEPS + 1
    for place, weight in enumerate(made.trainable_weights):
        np.testing.assert_allclose(found[str(place)], weight.numpy(), rtol=2e-5, atol=2e-6)
