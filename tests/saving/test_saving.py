"""Files: what was saved comes back, atomically; damage is found and named."""

# ruff: noqa: ARG001, ARG002, ARG005 - functions have the signatures that they are called with

import contextlib
import os
import stat
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from saving_checks import rewrite

import evengrad as eg
from evengrad import layers
from evengrad.saving import _safetensors


@pytest.fixture
def data():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(101, 6)).astype("float32")
    return x, (x[:, 0] > 0).astype(int)


class Scaled(layers.Layer):
    """A layer of the user's with a layer inside and state of its own."""

    def __init__(self, units, factor=2.0, **settings):
        super().__init__(**settings)
        self.units = units
        self.factor = factor
        self.inner = layers.Dense(units, "relu")

    def build(self, input_shape):
        self.seen = self.add_weight("seen", (), "zeros", trainable=False)

    def call(self, x, training):
        if training:
            eg.accumulate(self.seen, eg.ones(()))
        return self.inner(x) * self.factor


class Net(eg.Model):
    def __init__(self, width):
        super().__init__(seed=2)
        self.width = width
        self.body = layers.Dense(width, "tanh")
        self.drop = layers.Dropout(0.2)
        self.head = layers.Dense(2)

    def call(self, x, training):
        return self.head(self.drop(self.body(x)))


def steep(step):
    return 0.01 / (1 + step)


def quartic(y_true, y_pred):
    return ((y_true - y_pred) ** 4).mean(dim=-1)


def sequential():
    return eg.Sequential(
        [
            layers.Dense(
                8,
                "elu",
                kernel_initializer=eg.initializers.VarianceScaling(2.0, "fan_avg", "uniform"),
            ),
            layers.Dropout(0.3),
            Scaled(5, factor=0.5, name="mine"),
            eg.Sequential([layers.Dense(4, "selu", use_bias=False)], name="inside"),
            layers.Activation("tanh"),
            layers.Dense(2, "softmax", name="out", trainable=False),
        ],
        name="whole",
        seed=3,
    )


def graph():
    a = eg.Input((6,), name="wide")
    h = layers.Dense(6, "relu")(a)
    shared = layers.Dense(4)
    joined = layers.Concatenate()([shared(a), shared(layers.Add()([h, a]))])
    return eg.Model(a, layers.Dense(2)(layers.Dropout(0.1)(joined)), seed=4)


CUSTOM = {"Scaled": Scaled, "Net": Net, "steep": steep, "quartic": quartic}


@pytest.mark.parametrize("make", [sequential, graph, lambda: Net(7)])
def test_training_goes_on_as_if_nothing_had_happened(data, make, tmp_path):
    x, y = data
    path = tmp_path / "net.safetensors"
    model = make()
    model.compile(
        eg.optimizers.Adam(steep, clipnorm=1.0), "sparse_categorical_crossentropy", ["accuracy"]
    )
    model.fit(x, y, epochs=2, verbose=0)
    model.save(path)
    again = eg.load_model(path, custom_objects=CUSTOM)
    assert repr(again) == repr(model) or isinstance(model, Net)
    assert [p for p, _ in again.named_weights()] == [p for p, _ in model.named_weights()]
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert again.optimizer.iterations == model.optimizer.iterations
    assert repr(again.optimizer) == repr(model.optimizer)
    left = model.fit(x, y, epochs=3, verbose=0).history
    right = again.fit(x, y, epochs=3, verbose=0).history
    assert left == right
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [w.requires_grad for w in model.weights] == [w.requires_grad for w in again.weights]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: eg.optimizers.SGD(0.1),
        lambda: eg.optimizers.SGD(0.1, 0.9, True, convention="torch"),
        lambda: eg.optimizers.Adam(0.01, amsgrad=True),
    ],
)
def test_optimizer_state(data, optimizer, dtype, tmp_path):
    x, y = data
    model = eg.Sequential([layers.Dense(2)], dtype=dtype, seed=1)
    model.compile(optimizer(), "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net")
    for a, b in zip(model.weights, again.weights, strict=True):
        left, right = model.optimizer.slots(a), again.optimizer.slots(b)
        assert list(left) == list(right)
        for name in left:
            np.testing.assert_array_equal(left[name].numpy(), right[name].numpy())
    assert again.dtype == dtype


def test_layers_keep_their_dtype(tmp_path):
    body = eg.Sequential([layers.Dense(4), layers.Dense(2)], dtype="float64", seed=1)
    body.build((None, 3))
    model = eg.Sequential([eg.Input((3,)), body.layers[0], layers.Dense(1)], seed=2)
    model.save(tmp_path / "net")
    x = np.full((2, 3), 1 / 3)
    expected = model.predict(x)
    for default in ("float32", "float64"):
        eg.set_default_dtype(default)
        try:
            again = eg.load_model(tmp_path / "net")
            assert [w.dtype for w in again.weights] == [w.dtype for w in model.weights]
            np.testing.assert_array_equal(again.predict(x), expected)
        finally:
            eg.set_default_dtype("float32")


def test_a_loss_among_the_metrics_comes_back(data, tmp_path):
    x, _ = data
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", "mse", [eg.losses.Huber()])
    model.fit(x, x[:, 0], verbose=0)
    model.save(tmp_path / "net")
    assert eg.load_model(tmp_path / "net").evaluate(x, x[:, 0]) == model.evaluate(x, x[:, 0])


def test_variables_that_code_sets_when_it_makes_them_come_back(tmp_path):
    class Fills(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight("scale", (input_shape[-1],))
            self.scale.copy_(np.full(input_shape[-1], 5.0))

        def call(self, x):
            return x * self.scale

    model = eg.Sequential([eg.Input((3,)), Fills()])
    model.set_weights([np.arange(3.0)])
    model.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net", {"Fills": Fills})
    np.testing.assert_array_equal(again.get_weights()[0], np.arange(3.0))


def test_custom_loss_and_metric(data, tmp_path):
    x, _ = data
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", quartic, [quartic, "mae", eg.metrics.RootMeanSquaredError()])
    model.fit(x, x[:, 0], verbose=0)
    model.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net", {"quartic": quartic})
    assert again.evaluate(x, x[:, 0]) == model.evaluate(x, x[:, 0])
    with pytest.raises(ValueError, match=r"unknown function 'quartic'.*custom_objects"):
        eg.load_model(tmp_path / "net")
    bare = eg.load_model(tmp_path / "net", compile=False)
    np.testing.assert_array_equal(bare.predict(x), model.predict(x))


def test_a_custom_class_must_be_given(data, tmp_path):
    model = sequential()
    model.build((None, 6))
    model.save(tmp_path / "net")
    # A schedule of this package has its name, too.
    with pytest.raises(ValueError, match=r"'Scaled' is none of the layers.*custom_objects"):
        eg.load_model(tmp_path / "net")


class Looked(layers.Layer):
    """A layer of a user's with an array among its arguments."""

    def __init__(self, table, **given):
        super().__init__(**given)
        self.table = table

    def call(self, x):
        return x * np.asarray(self.table, "float32")


@pytest.mark.parametrize("kind", ["float32", ">f8", "int64", "uint8", "bool", "float16"])
def test_arrays_among_arguments_come_back_to_the_bit(tmp_path, kind):
    table = np.arange(6).reshape(2, 3)[:, ::-1].astype(kind)
    model = eg.Sequential([eg.Input((2, 3)), Looked(table), layers.Flatten()])
    model.save(tmp_path / "net")
    same = eg.load_model(tmp_path / "net", {"Looked": Looked})
    found = same.layers[0].table
    assert np.array_equal(found, table)
    assert found.dtype == table.dtype.newbyteorder("=")
    # It is no view of a file.
    found[0, 0] = 1
    with pytest.raises(ValueError, match="an array of dtype object"):
        eg.Sequential([eg.Input((2, 3)), Looked(table.astype(object))]).save(tmp_path / "net")


def test_what_cannot_be_described_is_refused(tmp_path):
    model = eg.Sequential([eg.Input((2,)), layers.Dense(2, lambda x: x * 2.0)])
    with pytest.raises(ValueError, match=r"dense: Dense.activation: a lambda has no name"):
        model.save(tmp_path / "net")
    with pytest.raises(ValueError, match="before the model is built"):
        eg.Sequential([layers.Dense(2)]).save(tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_weights_alone(data, tmp_path):
    path = tmp_path / "weights"
    model, other = graph(), graph()
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save_weights(path)
    other.load_weights(path)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.save(tmp_path / "whole")
    third = graph()
    third.load_weights(tmp_path / "whole")
    np.testing.assert_array_equal(third.get_weights()[0], model.get_weights()[0])
    with pytest.raises(eg.FileFormatError, match="holds tensors but no model"):
        eg.load_model(path)
    wrong = eg.Sequential([eg.Input((6,)), layers.Dense(6), layers.Dense(3)])
    before = wrong.get_weights()
    with pytest.raises(ValueError, match="is no variable of the model"):
        wrong.load_weights(path)
    narrow = eg.Sequential([eg.Input((6,)), layers.Dense(5)])
    wide = eg.Sequential([eg.Input((6,)), layers.Dense(6)])
    wide.save_weights(path)
    with pytest.raises(ValueError, match=r"dense/kernel: expected shape \(6, 5\)"):
        narrow.load_weights(path)
    with pytest.raises(ValueError, match="no values for 'dense_1/kernel'"):
        wrong.load_weights(path)
    _safetensors.write(path, {name: np.ones(t.shape, int) for name, t in wide.named_weights()}, {})
    with pytest.raises(ValueError, match="weights: dense/kernel: expected floating-point numbers"):
        wide.load_weights(path)
    np.testing.assert_array_equal(wrong.get_weights()[0], before[0])


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_weights_of_another_size_become_those_of_the_variables(tmp_path, kind):
    model = graph()
    values = {path: tensor.detach().numpy() for path, tensor in model.named_weights()}
    given = {path: (array * 1.7).astype(kind) for path, array in values.items()}
    _safetensors.write(tmp_path / "net", given, {})
    model.load_weights(tmp_path / "net")
    for path, tensor in model.named_weights():
        assert tensor.dtype == "float32"
        np.testing.assert_array_equal(tensor.detach().numpy(), given[path].astype("float32"))


def test_the_file_is_a_safetensors_file(tmp_path):
    numpy_reader = pytest.importorskip("safetensors.numpy")
    model = graph()
    model.save(tmp_path / "net")
    tensors = numpy_reader.load_file(tmp_path / "net")
    for path, tensor in model.named_weights():
        np.testing.assert_array_equal(tensors[path], tensor.detach().numpy())
    numpy_reader.save_file({name: a + 1 for name, a in tensors.items()}, tmp_path / "theirs")
    model.load_weights(tmp_path / "theirs")
    np.testing.assert_array_equal(model.get_weights()[0], tensors[model.named_weights()[0][0]] + 1)


class TestAtomic:
    def test_a_failed_save_leaves_the_old_file(self, tmp_path, monkeypatch):
        model = graph()
        path = tmp_path / "net"
        model.save(path)
        old = path.read_bytes()

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            model.save(path)
        assert path.read_bytes() == old
        assert [file.name for file in tmp_path.iterdir()] == ["net"]

    @pytest.mark.skipif(os.name != "posix", reason="modes")
    def test_mode(self, tmp_path):
        before = os.umask(0o027)
        try:
            graph().save(tmp_path / "net")
            assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o640
            (tmp_path / "net").chmod(0o604)
            graph().save(tmp_path / "net")
            assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o604
        finally:
            os.umask(before)

    @pytest.mark.skipif(os.name != "posix", reason="links")
    def test_a_link_stays_one(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real" / "net")
        graph().save(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert eg.load_model(tmp_path / "link").count_params() == graph().count_params()

    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            graph().save(tmp_path / "none" / "net")

    @pytest.mark.skipif(os.name != "posix", reason="kills a process")
    def test_killed_at_any_moment_the_file_is_whole(self, tmp_path):
        program = """
        import sys
        import numpy as np
        import evengrad as eg
        model = eg.Sequential([eg.Input((200,)), eg.layers.Dense(500)])
        value = 0.0
        while True:
            model.set_weights([np.full((200, 500), value, "f4"), np.full(500, value, "f4")])
            model.save(sys.argv[1])
            value += 1
            print(flush=True)
        """
        path = tmp_path / "net"
        for _ in range(4):
            command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
            child = subprocess.Popen(command, stdout=subprocess.PIPE)
            for _ in range(3):
                child.stdout.readline()
            child.kill()
            child.communicate()
            kernel, bias = eg.load_model(path).get_weights()
            assert (kernel == bias[0]).all()


@pytest.fixture
def saved(tmp_path, data):
    x, y = data
    model = eg.Sequential([layers.Dense(4, "relu"), layers.Dropout(0.1), layers.Dense(2)], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(x, y, verbose=0)
    path = tmp_path / "net"
    model.save(path)
    return path


def test_cut_off_anywhere(saved):
    content = saved.read_bytes()
    for size in [*range(64), *range(64, len(content), 97)]:
        saved.write_bytes(content[:size])
        with pytest.raises(eg.FileFormatError, match="net: "):
            eg.load_model(saved)
    saved.write_bytes(content + b"\0")
    with pytest.raises(eg.FileFormatError):
        eg.load_model(saved)


def test_any_byte_of_the_header_changed(saved):
    # As in a file of an earlier version, whose checksums do not find it first.
    rewrite(saved, lambda h, d: None)
    content = saved.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    rng = np.random.default_rng(0)
    for place in rng.integers(0, 8 + length, 400):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(0, 8))
        saved.write_bytes(changed)
        # An unknown name is a ValueError that says what to pass; damage is one too.
        with contextlib.suppress(ValueError):
            eg.load_model(saved)


def nested(depth):
    return [nested(depth - 1)] if depth else 1


DAMAGE = {
    "huge layer": lambda h, d: d["model"]["layers"][0]["config"].update(units=10**9),
    "no units": lambda h, d: d["model"]["layers"][0]["config"].pop("units"),
    "text for units": lambda h, d: d["model"]["layers"][0]["config"].update(units="many"),
    "unknown argument": lambda h, d: d["model"]["layers"][0]["config"].update(code="x"),
    "layer of another family": lambda h, d: d["model"]["layers"][0].update(family="losses"),
    "no layers": lambda h, d: d["model"].update(layers=[]),
    "layers no list": lambda h, d: d["model"].update(layers="x"),
    "input of another shape": lambda h, d: d.update(input_shape=[7]),
    "huge input": lambda h, d: d.update(input_shape=[2**50]),
    "negative seed": lambda h, d: d["model"].update(seed=-1),
    "huge seed": lambda h, d: d["model"].update(drawn_seed=2**80),
    "no streams": lambda h, d: d.update(streams={}),
    "stream of text": lambda h, d: d["streams"].update({"dropout/mask": ["a", 1, 2]}),
    "version of text": lambda h, d: d.update(version="1"),
    "newer version": lambda h, d: d.update(version=99),
    "overlap": lambda h, d: h["dense/kernel"].update(
        data_offsets=h["dense_1/bias"]["data_offsets"]
    ),
    "negative shape": lambda h, d: h["dense/kernel"].update(shape=[-6, -4]),
    "huge shape": lambda h, d: h["dense/kernel"].update(shape=[2**62, 4]),
    "another dtype": lambda h, d: h["dense/kernel"].update(dtype="I32"),
    "another dtype of a slot": lambda h, d: h["optimizer:dense/kernel/mean"].update(dtype="I32"),
    "dtype of a list": lambda h, d: h["dense/kernel"].update(dtype=[]),
    "65 dimensions": lambda h, d: h["dense/kernel"].update(shape=[6, 4, *[1] * 63]),
    "millions of dimensions": lambda h, d: h["dense/kernel"].update(shape=[2**62] * 10**6),
    "unknown dtype": lambda h, d: h["dense/kernel"].update(dtype="F8_E4M3"),
    "metadata of numbers": lambda h, d: h["__metadata__"].update(other=3),
    "missing tensor": lambda h, d: h.update({"other": h.pop("dense/kernel")}),
    "missing slot": lambda h, d: h.update({"x": h.pop("optimizer:dense/kernel/mean")}),
    "compile of a list": lambda h, d: d.update(compile=[]),
    "compile of a number": lambda h, d: d.update(compile=True),
    "count beyond 64 bits": lambda h, d: d["compile"].update(iterations=2**64),
    "shuffles beyond 64 bits": lambda h, d: d.update(shuffles=2**64),
    "stream beyond 64 bits": lambda h, d: d["streams"].update({"dropout/mask": [1, 2, 2**64]}),
    "memory of infinity": lambda h, d: d["compile"].update(memory=float("inf")),
    "size beyond all bits": lambda h, d: d["model"]["layers"][0]["config"].update(units=10**300),
    "absurd row": lambda h, d: d.update(input_shape=[2**20, 2**20]),
    "absurd input": lambda h, d: d["model"].update(
        input={"shape": [2**20, 2**20], "dtype": "float32", "name": None}
    ),
    "absurd depth": lambda h, d: d["model"]["layers"][0]["config"].update(activation=nested(300)),
    "name with control characters": lambda h, d: d["model"]["layers"][0].update(name="\x1b[2J"),
    "a loss for an activation": lambda h, d: d["model"]["layers"][0]["config"].update(
        activation={"family": "losses", "class": "Hinge", "config": {}}
    ),
    "a layer for a loss": lambda h, d: d["compile"].update(loss=d["model"]["layers"][0]),
    "a layer for a metric": lambda h, d: d["compile"].update(metrics=[d["model"]["layers"][0]]),
    "a metric of absurd size": lambda h, d: d["compile"].update(
        metrics=[{"family": "metrics", "class": "AUC", "config": {"num_thresholds": 10**12}}]
    ),
    "a layer for the optimizer": lambda h, d: d["compile"].update(
        optimizer=d["model"]["layers"][0]
    ),
    "a layer for a setting": lambda h, d: d["compile"]["optimizer"]["config"].update(
        weight_decay=d["model"]["layers"][0]
    ),
    "optimizer of text": lambda h, d: d["compile"].update(optimizer="adam"),
    "negative iterations": lambda h, d: d["compile"].update(iterations=-5),
    "bad learning rate": lambda h, d: d["compile"]["optimizer"]["config"].update(learning_rate=-1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(saved, damage):
    rewrite(saved, DAMAGE[damage])
    with pytest.raises(eg.FileFormatError, match="net: "):
        eg.load_model(saved)


def test_a_description_names_classes_and_nothing_else(saved):
    for name in ("os.system", "evengrad.Tensor", "__import__", "Layer"):
        rewrite(saved, lambda h, d, name=name: d["model"]["layers"][0].update({"class": name}))
        with pytest.raises(ValueError, match=r"unknown class|is damaged|cannot be made"):
            eg.load_model(saved)


def test_deep_nesting(saved):
    content = b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    saved.write_bytes(struct.pack("<Q", len(content)) + content)
    with pytest.raises(eg.FileFormatError):
        eg.load_model(saved)


def test_not_a_file_of_ours(tmp_path):
    path = tmp_path / "other"
    for content in (b"", b"hello", b"\x80\x04pickle..........", os.urandom(1000), b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(eg.FileFormatError, match="other: "):
            eg.load_model(path)
    with pytest.raises(FileNotFoundError):
        eg.load_model(tmp_path / "none")
