"""Run by itself: makes files with Keras and reads others, in one process, as its import takes long.

``python keras_child.py FOLDER DTYPE...``: writes ``keras-CASE-DTYPE.keras`` and so on there, with
data and outputs; then loads each ``own-….keras`` and ``own-….weights.h5`` and writes what
comes out.
"""

import json
import os
import pathlib
import sys
import warnings

# That of NumPy compiles nothing: it takes a quarter of the time.
os.environ.setdefault("KERAS_BACKEND", "numpy")

import keras
import numpy as np
from keras.src.backend.common import dtypes
from keras_cases import CASES, READ, data, erasing, values
from keras_trained import OPTIMIZERS, STEPS, gradients, net, optimizer

# Results of float64 would be rounded to float32, as JAX does it; those of TensorFlow are not.
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"

FOLDER, DTYPES = pathlib.Path(sys.argv[1]), sys.argv[2:]
RELEASE = tuple(map(int, keras.__version__.split(".")[:2]))


def outputs(model, name, dtype):
    inputs = [x.astype(dtype) for x in data(name)]
    made = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    made = made if isinstance(made, (list, tuple)) else [made]
    return {f"y{i}": np.asarray(y) for i, y in enumerate(made)}


def randomize(model):
    draws = np.random.default_rng(5)
    for variable in model.weights:
        if "count" not in variable.path and "seed" not in variable.path:
            variable.assign(values(variable.path, variable.shape, draws).astype(variable.dtype))


def make(name, dtype):
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    model = {**CASES, **READ}[name](keras)
    randomize(model)
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    stem = FOLDER / f"keras-{name}-{dtype}"
    model.save(f"{stem}.keras")
    model.save_weights(f"{stem}.weights.h5")
    if dtype == "float32" and RELEASE >= (3, 8) and name != "images":
        # Keras 3.0 fails on models inside models, and 3.15 on RandomBrightness.
        model.save(f"{stem}.h5")
    np.savez(f"{stem}.npz", **outputs(model, name, dtype))


def read(name, dtype):
    stem = FOLDER / f"own-{name}-{dtype}"
    found = {}
    if name != "graph" or RELEASE >= (3, 1):
        # Keras 3.0 does not read such a file of its own: a model inside is called on what comes
        # later than its first call.
        found = outputs(keras.models.load_model(f"{stem}.keras"), name, dtype)
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    same = CASES[name](keras)
    same.load_weights(f"{stem}.weights.h5")
    found |= {f"w{key}": value for key, value in outputs(same, name, dtype).items()}
    np.savez(f"{stem}.read.npz", **found)


def write_settings():
    """Write what layers of augmentation are as Keras reads them: in inference all do nothing."""
    found = {}
    for name in ("images", "erasing", "plain"):
        if name != "erasing" or hasattr(keras.layers, "RandomErasing"):
            model = keras.models.load_model(FOLDER / f"own-{name}-float32.keras")
            found[name] = [[type(one).__name__, one.get_config()] for one in model.layers]
    (FOLDER / "settings.json").write_text(json.dumps(found))
    if "erasing" in found:
        erasing(keras).save(FOLDER / "keras-erasing-float32.keras")


def step(model, number):
    trained = model.trainable_variables
    grads = gradients([tuple(v.shape) for v in trained], number)
    model.optimizer.apply([g.astype("float32") for g in grads], trained)


def weights(model):
    return {str(i): np.asarray(v.value) for i, v in enumerate(model.trainable_variables)}


def train(name):
    """Make some steps, save, make one more."""
    model = net(keras)
    randomize(model)
    model.compile(
        optimizer(keras, name),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=1)],
    )
    for number in range(STEPS):
        step(model, number)
    model.save(FOLDER / f"trained-{name}.keras")
    step(model, STEPS)
    np.savez(FOLDER / f"trained-{name}.npz", **weights(model))


def go_on(name):
    """Make one more step of what was trained here, as Keras reads it."""
    with warnings.catch_warnings():
        # Releases have the state of Nadam in different places: none of them gets it.
        action = "ignore" if name == "nadam" or RELEASE < (3, 1) else "error"
        warnings.filterwarnings(action, message="Skipping variable loading")
        model = keras.models.load_model(FOLDER / f"own-trained-{name}.keras")
    step(model, STEPS)
    loss = model.loss if isinstance(model.loss, str) else model.loss.get_config()["from_logits"]
    found = {"loss": np.array(loss), "iterations": np.asarray(model.optimizer.iterations.value)}
    np.savez(FOLDER / f"own-trained-{name}.npz", **weights(model), **found)


if __name__ == "__main__":
    keras.config.set_floatx("float32")
    for name in OPTIMIZERS:
        train(name)
        go_on(name)
    for dtype in DTYPES:
        for name in CASES:
            make(name, dtype)
            read(name, dtype)
        for name in READ:
            make(name, dtype)
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    write_settings()
