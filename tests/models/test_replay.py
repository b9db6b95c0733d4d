"""Steps that broke a training, made once more from a file."""

# ruff: noqa: ARG001, ARG005 - functions have the signatures that they are called with

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, layers, optimizers
from evengrad.saving import _safetensors

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("float32")


class Grows(layers.Layer):
    """A layer of the user's, whose output overflows."""

    def __init__(self, factor=60.0):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return (self.factor * x).exp()


def steep(y, p):
    return (p.relu()).log().mean(dim=-1)


def leaps(step):
    return 1e-3 if step < 12 else 1e6


def net(optimizer=None, middle=None, loss="mse", **settings):
    model = eg.Sequential(
        [
            layers.Dense(16, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            middle or layers.Dense(8, "relu"),
            layers.Dense(1),
        ],
        seed=3,
        **settings,
    )
    model.compile(optimizer or optimizers.Adam(1e-3), loss, ["mae"])
    return model


def written(path, model, x=X, y=Y, **given):
    given = {"batch_size": 16, "epochs": 4, "verbose": 0, "check_finite": False, **given}
    stop = callbacks.TerminateOnNaN(replay=path)
    model.fit(x, y, callbacks=[stop], **given)
    assert stop.finding is not None
    return stop.finding


def with_nan():
    x = X.copy()
    x[77, 1] = np.nan
    return x


CASES = {
    "input": (net, {"x": with_nan()}, {}),
    "rate": (lambda: net(optimizers.SGD(leaps, momentum=0.9)), {}, {}),
    "adam": (lambda: net(optimizers.Adam(lambda step: leaps(step) ** 6, amsgrad=True)), {}, {}),
    "accumulated": (lambda: net(optimizers.SGD(30.0, gradient_accumulation_steps=3)), {}, {}),
    "averaged": (lambda: net(optimizers.SGD(30.0, use_ema=True, clipnorm=1e30)), {}, {}),
    "weights": (lambda: net(optimizers.SGD(leaps)), {"sample_weight": np.linspace(1, 2, 120)}, {}),
    "layer": (lambda: net(middle=Grows()), {}, {"Grows": Grows}),
    "loss": (lambda: net(loss=steep), {}, {"steep": steep}),
    "double": (lambda: net(optimizers.SGD(1e30), dtype="float64"), {"y": Y.astype("float64")}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_replay_finds_the_same(tmp_path, name):
    make, given, custom = CASES[name]
    path = tmp_path / "bad.safetensors"
    finding = written(path, make(), **given)
    assert finding.layer is not None or finding.tensor == "loss"
    assert eg.replay(path, custom) == finding
    # It leaves nothing behind that would change a second time.
    assert eg.replay(path, custom) == finding


@pytest.mark.parametrize("every", [1, 3, 7, "auto"])
@pytest.mark.parametrize("name", ["input", "rate"])
def test_a_doctor_writes_it_whichever_steps_it_watches(tmp_path, every, name):
    make, given, _ = CASES[name]
    given = {"batch_size": 16, "epochs": 4, "verbose": 0, "check_finite": False, **given}
    path = tmp_path / "bad.safetensors"
    doctor = callbacks.GradientDoctor(every=every, replay=path)
    make().fit(given.pop("x", X), Y, callbacks=[doctor], **given)
    found = [finding for finding in doctor.findings if finding.kind == "non_finite"]
    assert found == [eg.replay(path)]
    assert found == [written(tmp_path / "other.safetensors", make(), **CASES[name][1])]


def test_several_inputs_and_outputs(tmp_path):
    ends = [eg.Input((3,), name="left"), eg.Input((6,), name="right")]
    both = [layers.Dense(4, name=name)(end) for name, end in zip("ab", ends, strict=True)]
    joined = layers.Add()(both)
    outputs = [layers.Dense(1, name="number")(joined), layers.Dense(3, name="classes")(joined)]
    model = eg.Model(ends, outputs, seed=1)
    model.compile(optimizers.SGD(leaps), ["mse", "sparse_categorical_crossentropy"])
    classes = RNG.integers(3, size=120)
    weights = [np.linspace(1, 2, 120), None]
    path = tmp_path / "bad.safetensors"
    finding = written(path, model, [X[:, :3], X], [Y, classes], sample_weight=weights, epochs=9)
    assert eg.replay(path) == finding


def test_an_iterable_of_batches(tmp_path):
    path = tmp_path / "bad.safetensors"
    batches = [(with_nan()[i : i + 10], Y[i : i + 10]) for i in range(0, 120, 10)]
    finding = written(path, net(), batches, None, batch_size=None)
    assert (finding.step, finding.batch_rows, finding.rows) == (7, (7,), None)
    assert eg.replay(path) == finding


def test_in_a_fresh_process(tmp_path):
    path = tmp_path / "bad.safetensors"
    finding = written(path, net(optimizers.SGD(leaps, momentum=0.9)))
    program = f"import evengrad as eg; print(repr(eg.replay({str(path)!r})))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == repr(finding)


def test_code_that_was_mended_finds_nothing(tmp_path):
    class Mended(Grows):
        def call(self, x):
            return (self.factor * x).clamp(-5.0, 5.0).exp()

    path = tmp_path / "bad.safetensors"
    written(path, net(optimizers.Adam(1e-3), middle=Grows(10.0)), X * 100)
    assert eg.replay(path, {"Grows": Grows}) is not None
    assert eg.replay(path, {"Grows": Mended}) is None


def test_what_cannot_be_written_is_said_and_training_ends_as_it_would(tmp_path, advice):
    path = tmp_path / "bad.safetensors"
    finding = written(path, net(loss=lambda y, p: (p.relu()).log().mean(dim=-1)))
    assert finding.tensor == "loss"
    assert not path.exists()
    assert "what reproduces the step could not be written" in advice.text
    finding = written(tmp_path / "none" / "bad.safetensors", net(), with_nan())
    assert finding.tensor == "input"
    assert "No such file" in advice.text


def test_a_path_of_another_format_is_refused():
    with pytest.raises(ValueError, match=r"replay: 'bad\.npz' has the suffix of another format"):
        callbacks.TerminateOnNaN(replay="bad.npz")
    with pytest.raises(TypeError, match="replay: expected the path"):
        callbacks.TerminateOnNaN(replay=3)


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "bad.safetensors"
        written(path, net(), with_nan())
        return path

    def test_other_files_are_refused_by_what_they_are(self, path, tmp_path):
        other = str(tmp_path / "net.safetensors")
        model = net()
        model.build((None, 6))
        model.save(other)
        with pytest.raises(eg.FileFormatError, match="holds no step to replay"):
            eg.replay(other)
        with pytest.raises(eg.FileFormatError, match="holds a step of a training"):
            eg.load_model(path)
        with pytest.raises(eg.FileFormatError, match="holds a step of a training"):
            model.load_weights(path)
        with pytest.raises(FileNotFoundError):
            eg.replay(tmp_path / "nowhere.safetensors")

    def test_each_damaged_byte_is_noticed(self, path):
        whole = path.read_bytes()
        for at in range(0, len(whole), 997):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            with pytest.raises(eg.FileFormatError):
                eg.replay(path)
        path.write_bytes(whole[:-1])
        with pytest.raises(eg.FileFormatError):
            eg.replay(path)

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 2},
            {"version": "1"},
            {"x": 0},
            {"x": 2},
            {"x": -1},
            {"x": 10**9},
            {"y": 0},
            {"y": None},
            {"w": 3},
            None,
        ],
        ids=str,
    )
    def test_a_description_that_does_not_fit(self, path, change):
        tensors, metadata = _safetensors.read(path)
        described = json.loads(metadata["evengrad_replay"])
        metadata["evengrad_replay"] = json.dumps(
            None if change is None else {**described, **change}
        )
        _safetensors.write(path, tensors, metadata)
        with pytest.raises(eg.FileFormatError):
            eg.replay(path)

    @pytest.mark.parametrize(
        ("name", "array"),
        [
            ("batch:x0", np.zeros((16, 5), "float32")),
            ("batch:x0", np.zeros((0, 6), "float32")),
            ("batch:x0", np.zeros((15, 6), "float32")),
            ("batch:x0", np.zeros((16, 6), "int64")),
            ("batch:y0", np.zeros(3, "float32")),
            ("batch:rows", np.zeros(3, "int64")),
            ("batch:rows", np.zeros((16, 2), "int64")),
            ("batch:rows", np.zeros(16, "float32")),
            ("batch:w0", np.zeros((16, 9), "float32")),
            ("batch:other", np.zeros(3, "float32")),
        ],
        ids=str,
    )
    def test_a_batch_that_does_not_fit(self, path, name, array):
        tensors, metadata = _safetensors.read(path)
        tensors[name] = array
        _safetensors.write(path, tensors, metadata)
        with pytest.raises(eg.FileFormatError):
            eg.replay(path)

    @pytest.mark.parametrize("without", ["compile", "loss", "optimizer"])
    def test_a_model_that_does_not_say_how_it_trains(self, path, without):
        tensors, metadata = _safetensors.read(path)
        described = json.loads(metadata["evengrad"])
        table = described if without == "compile" else described["compile"]
        table[without] = None
        metadata["evengrad"] = json.dumps(described)
        _safetensors.write(path, tensors, metadata)
        with pytest.raises(eg.FileFormatError):
            eg.replay(path)

    def test_nothing_of_the_process_is_in_it(self, path):
        _, metadata = _safetensors.read(path)
        assert str(pathlib.Path.cwd()) not in "".join(metadata.values())
