#!/usr/bin/env bash
# scikit-learn 1.9.1: with several targets, the gradient of `MLPRegressor` is not that of its loss.
#
# The loss is the mean over the targets, the gradient that of their sum, while the penalty of
# `alpha` is the same in both. With two targets or more, `solver="lbfgs"` is so told slopes that are
# too steep by their number, and its line search gives up where no way leads down: it ends after a
# few iterations, with a warning about scaling. For "adam" and "sgd" the loss that is reported, and
# that `tol` is compared with, is smaller by that factor than what is descended on.
#
# One regressor for each target (`MultiOutputRegressor`) avoids it. Seen with NumPy 2.4.6 and SciPy
# 1.17.1 on CPython 3.11.7, Linux x86-64: see `expected` below. Exit status 1 where something else
# is seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1

cat >expected <<'END'
1 target: the last bias's slope is 1.00 of what the gradient says; converged
2 targets: the last bias's slope is 0.50 of what the gradient says; ABNORMAL
5 targets: the last bias's slope is 0.20 of what the gradient says; ABNORMAL
END

venv/bin/python - >seen <<'END'
import warnings

import numpy as np
from sklearn.neural_network import MLPRegressor

random = np.random.default_rng(0)
x = random.normal(size=(200, 3))
every = x @ random.normal(size=(3, 5))
for targets in (1, 2, 5):
    y = every[:, :targets]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        net = MLPRegressor(
            hidden_layer_sizes=(4,),
            activation="tanh",
            solver="lbfgs",
            alpha=10.0,
            max_iter=2000,
            random_state=0,
        ).fit(x, y if targets > 1 else y.ravel())

    def loss_and_gradient(vector):
        passed, errors = [x, None, None], [None, None]
        kernels = [np.empty((3, 4)), np.empty((4, targets))]
        biases = [np.empty(4), np.empty(targets)]
        loss, gradient = net._loss_grad_lbfgs(
            vector, x, y, None, passed, errors, kernels, biases
        )
        return loss, gradient.copy()

    vector = random.normal(size=3 * 4 + 4 * targets + 4 + targets)
    step = np.zeros_like(vector)
    step[-1] = 1e-6
    slope = (loss_and_gradient(vector + step)[0] - loss_and_gradient(vector - step)[0]) / 2e-6
    share = slope / loss_and_gradient(vector)[1][-1]
    end = "ABNORMAL" if any("ABNORMAL" in str(one.message) for one in said) else "converged"
    name = f"{targets} target" + "s" * (targets > 1)
    print(f"{name}: the last bias's slope is {share:.2f} of what the gradient says; {end}")
END

cat seen
diff expected seen
