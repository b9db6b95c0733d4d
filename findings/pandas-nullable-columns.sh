#!/usr/bin/env bash
# pandas 3.1.1: a second nullable column turns a frame's array into one of objects.
#
# `DataFrame.to_numpy()` of one nullable column is float64, with NaN where a value is missing, or
# int64 where none is. Of two such columns, even of one and the same dtype and with nothing missing,
# it is an array of Python objects, which holds `pandas.NA`, so that `astype(float)` fails on it.
# `to_numpy(float, na_value=numpy.nan)` says what is wanted.
#
# Seen with NumPy 2.4.6 on CPython 3.11.7, Linux x86-64: see `expected` below. Exit status 1 where
# something else is seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6

cat >expected <<'END'
one Float64 column: float64 [[1.5], [nan]]
two Float64 columns: object [[1.5, 1.5], [<NA>, <NA>]]
one Int64 column, nothing missing: int64 [[1], [2]]
two Int64 columns, nothing missing: object [[1, 1], [2, 2]]
two Float64 columns to float: TypeError: float() argument must be a string or a real number, not 'NAType'
two Float64 columns, said so: float64 [[1.5, 1.5], [nan, nan]]
END

venv/bin/python - >seen <<'END'
import numpy as np
import pandas as pd

numbers, whole = pd.array([1.5, None], dtype="Float64"), pd.array([1, 2], dtype="Int64")
two = pd.DataFrame({"a": numbers, "b": numbers})


def tell(what, array):
    print(f"{what}: {array.dtype} {array.tolist()}")


tell("one Float64 column", two[["a"]].to_numpy())
tell("two Float64 columns", two.to_numpy())
tell("one Int64 column, nothing missing", pd.DataFrame({"a": whole}).to_numpy())
tell("two Int64 columns, nothing missing", pd.DataFrame({"a": whole, "b": whole}).to_numpy())
try:
    two.to_numpy().astype(float)
except TypeError as error:
    print(f"two Float64 columns to float: TypeError: {error}")
tell("two Float64 columns, said so", two.to_numpy(float, na_value=np.nan))
END

cat seen
diff expected seen
