#!/usr/bin/env bash
# tensorboardX 2.6.5: weights that have become NaN end the training in its log.
#
# `SummaryWriter.add_scalar` takes NaN and writes it. `add_histogram` of an array in which all is NaN,
# as weights are when a training has diverged, raises "The histogram is empty, please file a bug
# report."; with `bins="auto"`, one NaN or infinity among the numbers is enough. The loop that logs
# ends with it, where the curves would have shown what happened.
#
# Seen with NumPy 2.4.6 on CPython 3.11.7, Linux x86-64: see `expected` below. Exit status 1 where
# something else is seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tensorboardX==2.6.5 numpy==2.4.6

cat >expected <<'END'
a scalar NaN: written
[1, nan] in the bins that come by themselves: written
[nan, nan] in the bins that come by themselves: ValueError: The histogram is empty, please file a bug report.
[1, nan] in bins="auto": ValueError: autodetected range of [nan, nan] is not finite
[1, inf] in bins="auto": ValueError: autodetected range of [1.0, inf] is not finite
END

venv/bin/python - >seen 2>warnings <<'END'
import numpy as np
from tensorboardX import SummaryWriter

writer = SummaryWriter("log")


def tell(what, write, *arguments):
    try:
        write("name", *arguments)
    except ValueError as error:
        print(f"{what}: ValueError: {error}")
    else:
        print(f"{what}: written")


tell("a scalar NaN", writer.add_scalar, float("nan"), 0)
usual = "in the bins that come by themselves"
tell(f"[1, nan] {usual}", writer.add_histogram, np.array([1.0, np.nan]), 0)
tell(f"[nan, nan] {usual}", writer.add_histogram, np.array([np.nan, np.nan]), 1)
tell('[1, nan] in bins="auto"', writer.add_histogram, np.array([1.0, np.nan]), 2, "auto")
tell('[1, inf] in bins="auto"', writer.add_histogram, np.array([1.0, np.inf]), 3, "auto")
writer.close()
END

cat seen
diff expected seen
