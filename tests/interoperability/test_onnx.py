"""ONNX files of PyTorch's exporters, skl2onnx and Keras: read as models, with the same outputs.

`make interoperability` runs this with these libraries, which `make test` does without.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

WHERE = "an environment of its own has it: make interoperability"
pytest.importorskip("onnx", reason=WHERE)
RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(6, 4)).astype("float32")
SEQUENCES = RNG.normal(size=(6, 5, 3)).astype("float32")
# Of the largest output.
NEAR = 3e-6


def assert_same(model, inputs, expected):
    found = model(inputs if len(inputs) > 1 else inputs[0]).numpy()
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0
    assert np.abs(found - expected).max() <= NEAR * np.abs(expected).max()


# ---- PyTorch


def torch_nets():
    """Return makers of networks, with data for each."""
    from torch import nn

    functions = [nn.SiLU(), nn.Mish(), nn.SELU(), nn.CELU(1.3), nn.Softplus(), nn.Softsign()]
    functions += [nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(), nn.ReLU6(), nn.LeakyReLU(0.2)]
    functions += [nn.ELU(0.7), nn.GELU(), nn.GELU("tanh"), nn.LogSoftmax(-1)]

    class Recurrent(nn.Module):
        def __init__(self, kind, sequences, depth):
            super().__init__()
            self.recurrent = getattr(nn, kind)(3, 4, depth, batch_first=True)
            self.head, self.sequences = nn.Linear(4, 2), sequences

        def forward(self, x):
            outputs = self.recurrent(x)[0]
            return self.head(outputs if self.sequences else outputs[:, -1])

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.inner = nn.LayerNorm(4), nn.Linear(4, 4)

        def forward(self, x):
            return x + self.inner(self.norm(x)).relu()

    recurrent = {
        f"{kind}, {'all' if sequences else 'last'}, {depth} deep": (
            lambda kind=kind, sequences=sequences, depth=depth: Recurrent(kind, sequences, depth),
            SEQUENCES,
        )
        for kind in ("LSTM", "GRU", "RNN")
        for sequences, depth in ((True, 1), (False, 1), (False, 2))
    }
    return recurrent | {
        "batch norm": (
            lambda: nn.Sequential(
                nn.BatchNorm1d(4), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5)
            ),
            ROWS,
        ),
        "functions": (
            lambda: nn.Sequential(*[m for f in functions for m in (nn.Linear(4, 4), f)]),
            ROWS,
        ),
        "slopes": (lambda: nn.Sequential(nn.Linear(4, 5), nn.PReLU(5), nn.PReLU()), ROWS),
        "residual": (lambda: nn.Sequential(Block(), Block(), nn.Softmax(-1)), ROWS),
        "steps": (lambda: nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Tanh()), SEQUENCES),
        "flat": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(15, 4)), SEQUENCES),
    }


NAMES = [f"{k}, {w}" for k in ("LSTM", "GRU", "RNN") for w in ("all, 1 deep", "last, 1 deep")]
NAMES += [f"{k}, last, 2 deep" for k in ("LSTM", "GRU", "RNN")]
NAMES += ["batch norm", "functions", "slopes", "residual", "steps", "flat"]


def settled(net, torch):
    """Give normalizations statistics that are not those of the beginning."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.normal_(module.weight)
    return net.eval()


# Exporters warn of their own plans.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["dynamo", "dynamo, open rows", "torchscript"])
@pytest.mark.parametrize("name", NAMES)
def test_files_of_pytorch(name, how, tmp_path):
    torch = pytest.importorskip("torch", reason=WHERE)
    pytest.importorskip("onnxscript", reason=WHERE)
    torch.manual_seed(1)
    make, x = torch_nets()[name]
    net, data, path = settled(make(), torch), torch.from_numpy(x), str(tmp_path / "net.onnx")
    settings = {"dynamo": how != "torchscript", "verbose": False}
    if how == "dynamo, open rows":
        settings["dynamic_shapes"] = ({0: torch.export.Dim.DYNAMIC},)
    torch.onnx.export(net, (data,), path, **settings)
    if name.startswith("RNN") and how != "torchscript":
        # One operator for each step.
        with pytest.raises(eg.FileFormatError, match=r"node \d+ '.*' \((Slice|Squeeze)\)"):
            eg.Model.from_onnx(path)
        return
    with torch.no_grad():
        expected = net(data).numpy()
    assert_same(eg.Model.from_onnx(path), [x], expected)


@pytest.mark.filterwarnings("ignore")
def test_files_of_pytorch_in_training_are_refused(tmp_path):
    torch = pytest.importorskip("torch", reason=WHERE)
    pytest.importorskip("onnxscript", reason=WHERE)
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Dropout(0.5)).train()
    path = str(tmp_path / "net.onnx")
    torch.onnx.export(net, (torch.from_numpy(ROWS),), path, verbose=False)
    with pytest.raises(eg.FileFormatError, match=r"Dropout.*exported while training.*model\.eval"):
        eg.Model.from_onnx(path)


@pytest.mark.filterwarnings("ignore")
def test_folded_normalizations_are_known_by_the_graph(tmp_path):
    torch = pytest.importorskip("torch", reason=WHERE)
    pytest.importorskip("onnxscript", reason=WHERE)
    nn = torch.nn
    net = settled(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)), torch)
    path = str(tmp_path / "net.onnx")
    torch.onnx.export(net, (torch.from_numpy(ROWS),), path, verbose=False)
    with torch.no_grad():
        expected = net(torch.from_numpy(ROWS)).numpy()
    model = eg.Sequential([eg.Input((4,)), layers.Dense(5), layers.Dense(2)])
    model.load_weights(path)
    assert_same(model, [ROWS], expected)


# ---- scikit-learn


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_files_of_skl2onnx(activation, classes, zipmap, tmp_path):
    skl2onnx = pytest.importorskip("skl2onnx", reason=WHERE)
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    rows = RNG.normal(size=(60, 4)).astype("float32")
    labels = np.arange(60) % classes
    settings = {"hidden_layer_sizes": (5, 4), "activation": activation, "max_iter": 20}
    net = MLPClassifier(random_state=0, **settings).fit(rows, labels)
    proto = skl2onnx.to_onnx(net, rows[:1], options={"zipmap": zipmap})
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    model = eg.Model.from_onnx(tmp_path / "net.onnx", outputs=1)
    assert_same(model, [rows], net.predict_proba(rows).astype("float32"))
    net = MLPRegressor(random_state=0, **settings).fit(rows, rows[:, 0])
    proto = skl2onnx.to_onnx(net, rows[:1])
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    model = eg.Model.from_onnx(tmp_path / "net.onnx")
    assert_same(model, [rows], net.predict(rows)[:, None].astype("float32"))


# ---- Keras on TensorFlow, in a process of its own

KERAS = """
import json, os, sys
os.environ["KERAS_BACKEND"], os.environ["TF_CPP_MIN_LOG_LEVEL"] = "tensorflow", "3"
import keras, numpy as np
layers, folder = keras.layers, sys.argv[1]
functions = ["relu6", "selu", "silu", "softplus", "softsign", "tanh", "hard_sigmoid", "leaky_relu"]
nets = {
    "dense": [layers.Dense(5, "relu"), layers.Dense(3, "softmax")],
    "batch norm": [layers.Dense(5), layers.BatchNormalization(), layers.ELU(), layers.Dropout(0.5)],
    "slopes": [layers.Dense(5), layers.PReLU(), layers.LeakyReLU(negative_slope=0.2)],
    "functions": [layers.Dense(4, name) for name in functions],
    "by rows": [layers.Dense(5), layers.LayerNormalization()],
    "steps": [layers.Dense(4, "relu"), layers.Dense(3)],
    "lstm": [layers.LSTM(4), layers.Dense(3)],
    "gelu": [layers.Dense(4, "gelu")],
    "gru": [layers.GRU(4)],
}
rng, outputs = np.random.default_rng(0), {}
for name, chain in nets.items():
    x = np.load(folder + ("/sequences" if name in ("steps", "lstm", "gru") else "/rows") + ".npy")
    net = keras.Sequential([keras.Input(x.shape[1:]), *chain])
    for weight in net.weights:
        values = rng.normal(0.0, 0.6, weight.shape)
        weight.assign(values**2 + 0.3 if "variance" in weight.path else values)
    # A net that has not been called is not exported.
    outputs[name] = net.predict(x, verbose=0).tolist()
    net.export(f"{folder}/{name}.onnx", format="onnx", verbose=False)
json.dump(outputs, open(folder + "/outputs.json", "w"))
"""
REFUSED = {"gelu": r"\(Erfc\): no layer is known", "gru": r"\(Loop\): no layer is known"}


@pytest.fixture(name="keras", scope="module")
def files_of_keras(tmp_path_factory):
    pytest.importorskip("tf2onnx", reason=WHERE)
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "rows.npy", ROWS)
    np.save(folder / "sequences.npy", SEQUENCES)
    subprocess.run([sys.executable, "-c", KERAS, str(folder)], check=True)
    return folder, json.loads((folder / "outputs.json").read_text())


def test_files_of_keras(keras):
    folder, outputs = keras
    for name, expected in outputs.items():
        path = folder / f"{name}.onnx"
        if name in REFUSED:
            with pytest.raises(eg.FileFormatError, match=REFUSED[name]):
                eg.Model.from_onnx(path)
            continue
        x = SEQUENCES if name in ("steps", "lstm") else ROWS
        assert_same(eg.Model.from_onnx(path), [x], np.asarray(expected, "float32"))
