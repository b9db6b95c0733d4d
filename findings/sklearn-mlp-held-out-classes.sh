#!/usr/bin/env bash
# scikit-learn 1.9.1: `MLPClassifier(early_stopping=True)` does not stratify three classes or more.
#
# The documentation of `early_stopping` says "The split is stratified, except in a multilabel
# setting". Whether it is, is decided by the columns of the binarized targets: one for two classes,
# but three for three classes, as for labels. A rare class may so be missing from the rows that are
# held out, or from those that are trained on.
#
# Seen with NumPy 2.4.6 on CPython 3.11.7, Linux x86-64: see `expected` below. Exit status 1 where
# something else is seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6

cat >expected <<'END'
2 classes: 20 rows held out, of which 1, 1, 1, 1, 1 are of the rare class
3 classes: 20 rows held out, of which 2, 1, 0, 0, 0 are of the rare class
END

venv/bin/python - >seen <<'END'
import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier, _multilayer_perceptron

warnings.simplefilter("ignore")
split, held = _multilayer_perceptron.train_test_split, []


def noting(*arrays, **settings):
    parts = split(*arrays, **settings)
    held.append(parts[3])
    return parts


_multilayer_perceptron.train_test_split = noting
x = np.random.default_rng(0).normal(size=(200, 2))
for classes in (2, 3):
    # The last class has 10 of 200 rows.
    y = np.arange(200) % (classes - 1)
    y[:10] = classes - 1
    held.clear()
    for seed in range(5):
        MLPClassifier((2,), early_stopping=True, max_iter=1, random_state=seed).fit(x, y)
    rare = ", ".join(str(int(part[:, -1].sum())) for part in held)
    print(f"{classes} classes: {len(held[0])} rows held out, of which {rare} are of the rare class")
END

cat seen
diff expected seen
