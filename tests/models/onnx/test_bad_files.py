"""ONNX files that are damaged, lie about sizes, or are made to take memory or other files."""

import random
import tracemalloc

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

onnx = pytest.importorskip("onnx")
checks = pytest.importorskip("onnx_checks")

X = np.ones((2, 4), "float32")


@pytest.fixture(name="path")
def exported(tmp_path):
    model = eg.Sequential([eg.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)], seed=0)
    model.export(tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def changed(path, change):
    """Change the message in a file."""
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())


def refused(path, message):
    with pytest.raises(eg.FileFormatError, match=message) as caught:
        eg.Model.from_onnx(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_is_no_onnx_file_is_said_to_be_none(path):
    for content in (b"", b"no file", b"\x80\x04pickle", b"\x08\x0a"):
        path.write_bytes(content)
        refused(path, "no ONNX file")
    with pytest.raises(FileNotFoundError):
        eg.Model.from_onnx(path.parent / "other.onnx")


def test_cut_files(path):
    content = path.read_bytes()
    for length in range(0, len(content) - 1, 37):
        path.write_bytes(content[:length])
        refused(path, r"\w")


def test_damaged_files_are_refused_or_models(tmp_path):
    rng = random.Random(5)
    sources = []
    for seed in range(4):
        checks.random_net(seed)[0].export(tmp_path / "net.onnx")
        sources.append((tmp_path / "net.onnx").read_bytes())
    for _ in range(60):
        content = bytearray(rng.choice(sources))
        for _ in range(rng.choice([1, 1, 3, 20])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / "bad.onnx").write_bytes(content)
        try:
            assert isinstance(eg.Model.from_onnx(tmp_path / "bad.onnx"), eg.Model)
        except eg.FileFormatError as error:
            assert str(error).startswith(str(tmp_path / "bad.onnx"))  # noqa: PT017 - some load


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([4, 300], "48 bytes where the shape asks for 4800"),
        ([2**40, 2**40], "48 bytes where the shape asks for"),
        ([-4, -3], r"shape \(-4, -3\)"),
        ([3, 4], r"a bias of shape \(3,\) for 4 outputs"),
        ([12], r"weights of shape \(12,\)"),
    ],
)
def test_shapes_that_lie(path, dims, message):
    def change(model):
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    changed(path, change)
    refused(path, message)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (10, "elements of kind FLOAT16"),
        (8, "elements of kind STRING"),
        (16, "elements of kind BFLOAT16"),
        (99, "elements of kind 99"),
        (6, "weights int32"),
    ],
)
def test_kinds_of_numbers(path, kind, message):
    changed(path, lambda model: setattr(model.graph.initializer[0], "data_type", kind))
    refused(path, message)


def test_versions_that_nobody_knows(path):
    for version in (6, 99):
        changed(path, lambda model, v=version: setattr(model.opset_import[0], "version", v))
        refused(path, f"expected operators of version 7 to 28, got {version}")


def test_graphs_that_do_not_hang_together(path):
    content = path.read_bytes()
    for change, message in (
        (lambda model: model.graph.node[2].input.__setitem__(0, "nowhere"), "before it is made"),
        (lambda model: model.graph.node[1].output.__setitem__(0, "input"), "before it is made"),
        (lambda model: model.graph.node.reverse(), "before it is made"),
        (lambda model: model.graph.ClearField("output"), "no outputs"),
        (lambda model: model.graph.initializer.pop(), "before it is made"),
    ):
        path.write_bytes(content)
        changed(path, change)
        refused(path, message)


def test_functions_and_sparse_weights(path):
    content = path.read_bytes()
    changed(path, lambda model: model.functions.add(name="own", domain="mine"))
    refused(path, "operators of its own, as own; .*inline_local_functions")
    path.write_bytes(content)
    changed(path, lambda model: model.graph.sparse_initializer.add())
    refused(path, "sparse weights")


# ---- memory


def peak_of(path, message):
    """Return how many bytes reading a file takes at most, in parts of its length."""
    tracemalloc.start()
    try:
        refused(path, message)
        return tracemalloc.get_traced_memory()[1] / path.stat().st_size
    finally:
        tracemalloc.stop()


BOMBS = {
    # A column and a row make a square.
    "broadcast": ("c = Add(column, row) y = Add(x, c)", "many times the file's size"),
    "doubling": (
        "".join(f"c{i + 1} = Concat<axis=0>(c{i}, c{i}) " for i in range(40)).replace("c0", "row")
        + "y = Add(x, c40)",
        "many times the file's size",
    ),
    "many layers": (
        "".join(f"h{i + 1} = Gemm<alpha={float(i + 1)}>(h{i}, square) " for i in range(60)).replace(
            "h0,", "x,"
        )
        + "y = Relu(h60)",
        "many times the file's size",
    ),
    "wide rows": (
        "".join(f"h{i + 1} = Concat<axis=1>(h{i}, h{i}) " for i in range(40)).replace("h0", "x")
        + "y = Abs(h40)",
        "rows of shape",
    ),
    "filled": ("c = ConstantOfShape(huge) y = Reshape(c, huge)", "it does not fit|must|expected"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_small_files_take_little_memory(bomb, tmp_path):
    operators, message = BOMBS[bomb]
    path = checks.write_graph(
        tmp_path / "net.onnx",
        f"net (float[n, 256] x) => (float[n, 256] y) {{ {operators} }}",
        column=np.ones((20000, 1), "float32"),
        row=np.ones(20000, "float32"),
        square=np.ones((256, 256), "float32"),
        huge=np.array([2**31, 2**31]),
    )
    assert peak_of(path, message) < 20


def test_inputs_of_absurd_shapes(tmp_path):
    path = checks.write_graph(
        tmp_path / "net.onnx", "net (float[n, 1099511627776] x) => (float[n] y) { y = Abs(x) }"
    )
    refused(path, r"input 'x': a row of shape \(1099511627776,\)")


def test_long_chains_end(tmp_path):
    chain = "".join(f"h{i + 1} = Identity(h{i}) " for i in range(3000)).replace("(h0)", "(x)")
    text = f"net (float[n, 4] x) => (float[n, 4] y) {{ {chain} y = Relu(h3000) }}"
    path = checks.write_graph(tmp_path / "net.onnx", text)
    assert len(eg.Model.from_onnx(path).layers) == 1


# ---- weights beside the file


@pytest.fixture(name="beside")
def external(path):
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=0
    )
    return path


def entries(model):
    return {e.key: e for e in model.graph.initializer[0].external_data}


def test_weights_beside_the_file_are_read(beside, monkeypatch, tmp_path):
    expected = checks.run(beside, [X])
    # From wherever the program runs.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    checks.assert_near(checks.outputs_of(eg.Model.from_onnx(beside), [X]), expected, 3e-6)


@pytest.mark.parametrize("location", ["../net.data", "/etc/passwd", "", "link.data", "a/../../b"])
def test_weights_may_not_lead_out_of_the_folder(beside, location, tmp_path):
    outside = tmp_path.parent / "outside.data"
    outside.write_bytes(b"\0" * 4096)
    (beside.parent / "link.data").symlink_to(outside)
    changed_beside(beside, lambda model: setattr(entries(model)["location"], "value", location))
    refused(beside, "which is not in the file's folder")


def changed_beside(path, change):
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("location", "other.data", "its weights are to be in 'other.data'"),
        ("length", "12", "12 bytes from .* where the shape asks for 48"),
        ("length", "many", "offset or length"),
        ("offset", "1000000", "from 1000000 on in 'net.data', which has"),
        ("offset", "-8", "from -8 on"),
    ],
)
def test_places_beside_the_file_that_lie(beside, key, value, message):
    changed_beside(beside, lambda model: setattr(entries(model)[key], "value", value))
    refused(beside, message)


def test_weights_that_overlap(beside):
    def change(model):
        for tensor in model.graph.initializer:
            entry = next(e for e in tensor.external_data if e.key == "offset")
            entry.value = "0"

    changed_beside(beside, change)
    content = (beside.parent / "net.data").read_bytes()
    # As long as the largest of them.
    (beside.parent / "net.data").write_bytes(content[:48])
    refused(beside, "the weights overlap in 'net.data'")
