#!/usr/bin/env bash
# Keras 3.15.1: `losses.Tversky` weighs false negatives by alpha and false positives by beta.
#
# Its documentation calls alpha the coefficient of false positives and beta that of false negatives,
# as the paper has them (Salehi et al., 2017). What is computed has the two exchanged: with four
# pixels of which one is found and one is predicted in vain, alpha=1, beta=0 gives 0, the loss of a
# perfect prediction, and alpha=0, beta=1 gives ½. The same for a pixel that is missed, the other way
# round. Whoever sets beta above alpha, as the paper advises for rare members, gets the opposite.
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
one found, one in vain: alpha=1, beta=0 gives 0.00; alpha=0, beta=1 gives 0.50
one found, one missed:  alpha=1, beta=0 gives 0.50; alpha=0, beta=1 gives 0.00
END

KERAS_BACKEND=jax venv/bin/python - >seen 2>errors <<'END' || {
import keras
import numpy as np

cases = {
    "one found, one in vain:": ([1, 0, 0, 0], [1, 1, 0, 0]),
    "one found, one missed: ": ([1, 1, 0, 0], [1, 0, 0, 0]),
}
for name, (true, predicted) in cases.items():
    y, p = np.array([true], "float32"), np.array([predicted], "float32")
    losses = [
        f"alpha={alpha}, beta={beta} gives {float(keras.losses.Tversky(alpha, beta)(y, p)):.2f}"
        for alpha, beta in ((1, 0), (0, 1))
    ]
    print(name, "; ".join(losses))
END
    cat errors
    exit 1
}

cat seen
diff expected seen
