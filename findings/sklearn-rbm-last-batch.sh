#!/usr/bin/env bash
# scikit-learn 1.9.1: one row more spoils a `BernoulliRBM`, where it makes a last batch of few rows.
#
# Persistent chains are as many as `batch_size` says. The sum over all of them is taken from the sum
# over the batch, and the difference divided by the batch's rows: in a last batch of one row, a
# hundred chains weigh a hundred times as much as the data. Of 1,000 rows of fair coins the machine
# learns that each is on in half of the rows; of the same rows and one more, in a few.
#
# Rows that are a multiple of `batch_size` avoid it. Seen with NumPy 2.4.6 on CPython 3.11.7, Linux
# x86-64: see `expected` below. Exit status 1 where something else is seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6

cat >expected <<'END'
1000 rows in batches of 100: coins are on with 0.5, rows score -14 (best: -14)
1001 rows in batches of 100: coins are on with 0.1, rows score -25 (best: -14)
1001 rows in batches of 91: coins are on with 0.5, rows score -14 (best: -14)
END

venv/bin/python - >seen <<'END'
import numpy as np
from sklearn.neural_network import BernoulliRBM

coins = np.random.default_rng(0).integers(0, 2, (1001, 20)).astype(float)
best = 20 * np.log(0.5)
for rows, batch_size in [(1000, 100), (1001, 100), (1001, 91)]:
    machine = BernoulliRBM(
        8, learning_rate=0.01, batch_size=batch_size, n_iter=20, random_state=0
    )
    machine.fit(coins[:rows])
    chance = 1 / (1 + np.exp(-machine.intercept_visible_.mean()))
    score = machine.score_samples(coins).mean()
    print(
        f"{rows} rows in batches of {batch_size}: coins are on with {chance:.1f}, "
        f"rows score {score:.0f} (best: {best:.0f})"
    )
END

cat seen
diff expected seen
