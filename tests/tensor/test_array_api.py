"""Tensors under the array API's dispatch: they go into scikit-learn as NumPy arrays do."""

import subprocess
import sys
import types

import numpy as np
import pytest

import evengrad as eg

# SciPy reads its part of the setting once, when it is imported.
SCRIPT = """
import os
os.environ["SCIPY_ARRAY_API"] = "1"
import numpy as np
import sklearn
import evengrad as eg
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, mean_squared_error
from sklearn.preprocessing import MinMaxScaler, StandardScaler

rng = np.random.default_rng(0)
x, y = rng.normal(size=(20, 3)).astype("float32"), rng.integers(0, 2, 20)
tasks = [
    lambda x, y: StandardScaler().fit_transform(x),
    lambda x, y: MinMaxScaler().fit_transform(x),
    lambda x, y: PCA(2, svd_solver="full").fit_transform(x),
    lambda x, y: Ridge(solver="svd").fit(x, y).predict(x),
    lambda x, y: LogisticRegression().fit(x, y).predict(x),
    lambda x, y: accuracy_score(y, x[:, 0] > 0),
    lambda x, y: mean_squared_error(x[:, 0], y),
]
trained = eg.tensor(x, requires_grad=True)
with sklearn.config_context(array_api_dispatch=True):
    for task in tasks:
        expected = task(x, y)
        for one, other in [(eg.tensor(x), eg.tensor(y)), (trained, y), (x, eg.tensor(y))]:
            found = task(one, other)
            assert type(found) is type(expected), (type(found), type(expected))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
print("done")
"""


def test_scikit_learn_takes_tensors_alone_and_beside_arrays():
    pytest.importorskip("sklearn", minversion="1.8")
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_the_namespace_is_that_of_numpy_arrays(monkeypatch):
    tensor = eg.tensor([1.0, 2.0])
    assert tensor.device == "cpu"
    for name in ("sklearn.externals.array_api_compat.numpy", "array_api_compat.numpy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    if hasattr(np, "__array_api_version__"):
        assert tensor.__array_namespace__(api_version="2023.12") is np
    monkeypatch.delattr(np, "__array_api_version__", raising=False)
    with pytest.raises(TypeError, match=r"pass tensor\.numpy\(\)"):
        tensor.__array_namespace__()
    compat = types.ModuleType("array_api_compat.numpy")
    monkeypatch.setitem(sys.modules, "array_api_compat.numpy", compat)
    assert tensor.__array_namespace__() is compat
