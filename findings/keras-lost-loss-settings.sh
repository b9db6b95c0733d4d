#!/usr/bin/env bash
# Keras 3.15.1: files lose the `delta` of `losses.Huber` and the `axis` of `CosineSimilarity`.
#
# `get_config` of these losses, and of `metrics.CosineSimilarity`, has name and reduction alone, so
# that `serialize` and `deserialize`, and `save` and `load_model`, give back the defaults: a model
# that was compiled with Huber(delta=10) goes on with delta=1 when it is loaded, without a word. Of
# one error of 5 the loss is 12.5 before and 4.5 after.
#
# Seen with JAX 0.10.2 as the backend, NumPy 2.4.6 on CPython 3.11.7, Linux x86-64: see `expected`
# below. Exit status 1 where something else is seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 numpy==2.4.6

cat >expected <<'END'
Huber(10.0): name, reduction
CosineSimilarity(axis=1): name, reduction
metrics.CosineSimilarity(axis=1): dtype, name
the loss of an error of 5 before saving: 12.5; after loading: 4.5
END

KERAS_BACKEND=jax venv/bin/python - >seen 2>errors <<'END' || {
import keras
import numpy as np

for shown, made in (
    ("Huber(10.0)", keras.losses.Huber(10.0)),
    ("CosineSimilarity(axis=1)", keras.losses.CosineSimilarity(axis=1)),
    ("metrics.CosineSimilarity(axis=1)", keras.metrics.CosineSimilarity(axis=1)),
):
    print(f"{shown}: {', '.join(sorted(made.get_config()))}")
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
model.compile("sgd", keras.losses.Huber(10.0))
x, y = np.array([[5.0]]), np.array([[0.0]])
before = model.evaluate(x, y, verbose=0)
model.save("net.keras")
after = keras.models.load_model("net.keras").evaluate(x, y, verbose=0)
print(f"the loss of an error of 5 before saving: {before}; after loading: {after}")
END
    cat errors
    exit 1
}

cat seen
diff expected seen
