#!/usr/bin/env bash
# scikit-learn 1.9.1: QuantileTransformer makes a column of small numbers constant.
#
# With output_distribution="normal" a value within 1e-7 of the lowest one counts as the lowest, and
# within 1e-7 of the highest as the highest, whatever the unit of the column. Of numbers that lie
# closer together than that, such as lengths in metres of what is nanometres long, all come out as
# the lowest, -5.199; the same numbers in nanometres are spread as they should be. Of numbers that
# are spread over 1e-6, a fifth sticks to the two ends. With the uniform distribution nothing of
# this is seen.
#
# Seen with NumPy 2.4.6 and SciPy 1.17.1 on CPython 3.11.7, Linux x86-64: see `expected` below. Exit
# status 1 where something else is seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1

cat >expected <<'END'
normal, over 1e+01: 101 different values, 2 at the ends
normal, over 1e-06: 83 different values, 20 at the ends
normal, over 1e-08: 1 different values, 101 at the ends
uniform, over 1e-08: 101 different values, 2 at the ends
END

venv/bin/python - >seen <<'END'
import numpy as np
from sklearn.preprocessing import QuantileTransformer

even = np.linspace(0, 1, 101)[:, None]


def tell(distribution, span):
    transformer = QuantileTransformer(n_quantiles=101, output_distribution=distribution)
    found = transformer.fit_transform(even * span)
    ends = ((found == found.min()) | (found == found.max())).sum()
    print(f"{distribution}, over {span:.0e}: {len(np.unique(found))} different values, {ends} at the ends")


tell("normal", 10.0)
tell("normal", 1e-6)
tell("normal", 1e-8)
tell("uniform", 1e-8)
END

cat seen
diff expected seen
