"""Models as ONNX files: what ONNX Runtime computes from them, and what the files hold."""

import numpy as np
import pytest
from api_contract import items
from api_examples import drawn, inputs_of, made

import evengrad as eg
from evengrad import layers
from evengrad._tensor.activations import offered
from evengrad.models._onnx._drawing import WRITERS
from evengrad.models._onnx._operators import FLOAT_ONLY

onnx = pytest.importorskip("onnx")
checks = pytest.importorskip("onnx_checks")

LAYERS = [item for item in items() if item.family == "layers"]
RNG = np.random.default_rng(5)


def test_noise_leaves_no_operator(tmp_path):
    # `test_each_layer_with_each_argument` tries all layers; these need nothing that writes them.
    quiet = [item for item in LAYERS if item.thing not in WRITERS and is_quiet(item)]
    assert {"layers.Dropout", "layers.GaussianNoise"} <= {item.name for item in quiet}
    for item in quiet:
        model = eg.Model(*drawn(made(item), [x.astype("float32") for x in inputs_of(item)]))
        model.export(tmp_path / "net.onnx")
        nodes = onnx.load(tmp_path / "net.onnx").graph.node
        assert {node.op_type for node in nodes} == {"Identity"}, item


def is_quiet(item):
    """Tell whether a layer is the identity in inference."""
    inputs = inputs_of(item)
    x = inputs[0].astype("float32")
    if item.thing is layers.Masking:
        # So it is where nothing is padding.
        return False
    return len(inputs) == 1 and np.array_equal(made(item)(x, training=False).numpy(), x)


def test_each_activation(tmp_path):
    for name in sorted(offered()):
        model = eg.Sequential([eg.Input((3,)), layers.Dense(4, name), layers.Dense(2)], seed=0)
        x = RNG.normal(0.0, 3.0, (8, 3))
        checks.assert_exported(model, [x], tmp_path / "net.onnx")


def test_functions_that_can_be_drawn(tmp_path):
    def bent(x):
        return x * 2.0 - x

    for function in (eg.abs, eg.square, eg.erf, eg.sin, bent):
        model = eg.Sequential([eg.Input((3,)), layers.Dense(4, function)], seed=0)
        checks.assert_exported(model, [RNG.normal(size=(5, 3))], tmp_path / "net.onnx")


def test_functions_that_cannot_be_drawn_are_named(tmp_path):
    def odd(x):
        return eg.tanh(x) / 2.0

    model = eg.Sequential([eg.Input((3,)), layers.Dense(4, odd, name="strange")])
    with pytest.raises(ValueError, match=r"strange: export: no operator .* activation odd"):
        model.export(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_recurrent_activations_that_onnx_lacks_are_named(tmp_path):
    model = eg.Sequential([eg.Input((None, 3)), layers.LSTM(4, "gelu", name="memory")])
    with pytest.raises(ValueError, match=r"memory: export: .* no gelu; they know elu, "):
        model.export(tmp_path / "net.onnx")


class Gated(eg.Model):
    """A subclass whose call can be drawn: states, an operator, a layer used twice, noise."""

    def __init__(self):
        super().__init__(name="gated", seed=4)
        self.inner = layers.Dense(4, "relu")
        self.memory = layers.GRU(4, return_sequences=True, return_state=True)
        self.noise = layers.GaussianNoise(1.0)

    def call(self, x, training):
        sequence, state = self.memory(self.inner(x))
        again, _ = self.memory(self.noise(sequence, training=training), initial_state=state)
        return [again * 0.5 + sequence, self.inner(again) if again.shape[-1] == 3 else state]


def test_subclasses_are_drawn_and_stay_as_they_are(tmp_path):
    model, x = Gated(), RNG.normal(size=(3, 5, 4))
    model(x)
    before = {path: tensor.numpy().copy() for path, tensor in model.named_weights()}
    text = repr(model), model.count_params(), model.output_shape
    checks.assert_exported(model, [x], tmp_path / "net.onnx")
    assert (repr(model), model.count_params(), model.output_shape) == text
    for path, tensor in model.named_weights():
        np.testing.assert_array_equal(tensor.numpy(), before[path])


def test_code_that_cannot_be_drawn_says_what_to_do(tmp_path):
    class Odd(layers.Layer):
        def call(self, x):
            return x.tanh()

    model = eg.Sequential([eg.Input((3,)), Odd(name="odd")])
    with pytest.raises(ValueError, match=r"odd: export: .* make it of layers of this package"):
        model.export(tmp_path / "net.onnx")


def test_layers_drawn_for_training_are_refused(tmp_path):
    x = eg.Input((3,))
    model = eg.Model(x, layers.Dropout(0.5, name="noise")(x, training=True))
    with pytest.raises(ValueError, match=r"noise: export: .*training=True"):
        model.export(tmp_path / "net.onnx")
    model = eg.Model(x, layers.Dropout(0.5)(layers.Dense(2)(x), training=False))
    checks.assert_exported(model, [RNG.normal(size=(2, 3))], tmp_path / "net.onnx")


def wide_and_deep():
    a, b = eg.Input((3,), name="left"), eg.Input((2,), name="right")
    body = layers.Dense(4, "relu", norm=layers.BatchNormalization())
    joined = layers.Concatenate()([body(a), b])
    inner = eg.Sequential([layers.Dense(4, norm=layers.BatchNormalization()), layers.PReLU()])
    model = eg.Model([a, b], [layers.Dense(1, name="first")(inner(joined)), joined], seed=2)
    checks.randomize(model)
    return model, [RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))]


def test_batch_norm_is_folded_on_demand(tmp_path):
    model, inputs = wide_and_deep()
    counts = []
    for fold in (False, True):
        path = tmp_path / f"{fold}.onnx"
        checks.assert_exported(model, inputs, path, fold_batch_norm=fold)
        graph = onnx.load(path).graph
        counts.append([node.op_type for node in graph.node].count("BatchNormalization"))
        assert [x.name for x in graph.input] == ["left", "right"]
        assert [x.name for x in graph.output] == model.output_names
    assert counts == [2, 0]


def test_files_have_fixed_versions_unique_names_and_open_sizes(tmp_path):
    x = eg.Input((None, 3))
    shared = layers.Dense(3, "relu", name="shared")
    y = shared(shared(x))
    model = eg.Model(x, [y, y, x], seed=0)
    path = tmp_path / "net.onnx"
    checks.assert_exported(model, [RNG.normal(size=(4, 7, 3))], path)
    proto = onnx.load(path)
    assert [(one.domain, one.version) for one in proto.opset_import] == [("", 20)]
    assert (proto.ir_version, proto.producer_name) == (10, "evengrad")
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == len(names)
    assert all(names)
    sizes = [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", "input_size_1", 3]
    assert proto.graph.node[0].doc_string == "Dense(3, activation='relu', name='shared')"
    # The weights of a layer that is used twice stand there once.
    assert len([x for x in proto.graph.initializer if tuple(x.dims) == (3, 3)]) == 1
    assert not any(x.data_location for x in proto.graph.initializer)


def test_equal_models_give_equal_bytes_and_any_number_of_rows(tmp_path):
    for name in ("a", "b"):
        model = eg.Sequential([eg.Input((3,)), layers.Dense(2, "softmax")], name="net", seed=7)
        model.export(tmp_path / f"{name}.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    for rows in (1, 9):
        x = RNG.normal(size=(rows, 3))
        checks.assert_exported(model, [x], tmp_path / "a.onnx")


def test_last_axes_are_written_out(tmp_path):
    model = eg.Sequential([eg.Input((4, 3)), layers.Dense(3, "softmax"), layers.Softmax(1)])
    checks.assert_exported(model, [RNG.normal(size=(2, 4, 3))], tmp_path / "net.onnx")
    nodes = [n for n in onnx.load(tmp_path / "net.onnx").graph.node if n.op_type == "Softmax"]
    assert [node.attribute[0].i for node in nodes] == [-1, 1]


def test_lists_of_recurrent_attributes_are_packed(tmp_path):
    model = eg.Sequential([eg.Input((None, 3)), layers.LSTM(2, "elu", "hard_sigmoid")], seed=1)
    checks.assert_exported(model, [RNG.normal(size=(2, 4, 3))], tmp_path / "net.onnx")
    (node,) = (n for n in onnx.load(tmp_path / "net.onnx").graph.node if n.op_type == "LSTM")
    found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert found["activations"] == [b"HardSigmoid", b"Elu", b"Elu"]
    np.testing.assert_allclose(found["activation_alpha"], [1 / 6, 1.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found["activation_beta"], [0.5])


@pytest.mark.parametrize(
    "layer", [layers.Normalization(), layers.BatchNormalization(epsilon=1e-6)], ids=str
)
def test_large_means_cost_no_digits(layer, tmp_path):
    x = RNG.normal(1e4, 1.0, (64, 2)).astype("float32")
    model = eg.Sequential([eg.Input((2,)), layer], seed=0)
    model.set_weights(
        [*model.get_weights()[:-2], x.mean(0, dtype="float64"), x.var(0, dtype="float64")]
        if isinstance(layer, layers.BatchNormalization)
        else [x.mean(0, dtype="float64"), x.var(0, dtype="float64")]
    )
    exact = (x - x.mean(0, dtype="float64")) / np.sqrt(x.var(0, dtype="float64") + 1e-6)
    model.export(tmp_path / "net.onnx")
    # A mean of 10⁴ has an error of 5e-4 in float32.
    checks.assert_near(checks.run(tmp_path / "net.onnx", [x]), [exact], 4e-4)
    operators = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert operators[:2] == ["Sub", "Mul"]


# ---- float64


def test_doubles_are_exact_where_the_runtime_has_them(tmp_path):
    x = RNG.normal(size=(5, 4))
    chain = [
        layers.Dense(6, "relu", norm=layers.BatchNormalization(epsilon=1e-3)),
        layers.Maxout(3),
        layers.Residual([layers.Dense(4, "tanh"), layers.Dense(3)]),
        layers.Dense(4, "hard_tanh"),
        layers.Activation("silu"),
        layers.Dense(3, "softmax"),
    ]
    model = eg.Sequential([eg.Input((4,), "float64"), *chain], seed=3, dtype="float64")
    checks.randomize(model)
    checks.assert_exported(model, [x], tmp_path / "net.onnx", 1e-12, "float64")


def written(operator):
    """Return a model whose file has an operator that is without a kernel for doubles."""
    recurrent = {"GRU": layers.GRU, "LSTM": layers.LSTM, "RNN": layers.SimpleRNN}
    if operator in recurrent:
        return eg.Sequential([eg.Input((None, 3)), recurrent[operator](2)])
    layer = {"PRelu": layers.PReLU(), "ThresholdedRelu": layers.ReLU(threshold=1.0)}.get(operator)
    if operator == "Erf":
        layer = layers.Activation(eg.erf)
    name = next((n for n in offered() if n.replace("_", "") == operator.lower()), None)
    return eg.Sequential([eg.Input((3,)), layer or layers.Activation(name)])


@pytest.mark.parametrize("operator", sorted(FLOAT_ONLY))
def test_operators_without_doubles_are_named(operator, tmp_path):
    model = written(operator)
    model.export(tmp_path / "net.onnx")
    assert operator in {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}
    with pytest.raises(ValueError, match=f'no {operator} for float64; .*dtype="float32"'):
        model.export(tmp_path / "other.onnx", dtype="float64")


# ---- errors


def test_errors_come_before_anything_is_written(tmp_path, monkeypatch):
    model = eg.Sequential([eg.Input((3,)), layers.Dense(2)])
    for path, arguments, message in (
        ("net.onnx", {"format": "tf_saved_model"}, "format: unknown 'tf_saved_model'"),
        ("net.safetensors", {}, r"path: expected a file that ends in \.onnx"),
        ("net.onnx", {"dtype": "float16"}, "dtype"),
    ):
        with pytest.raises(ValueError, match=message):
            model.export(tmp_path / path, **arguments)
    with pytest.raises(ValueError, match="export before the model is built"):
        eg.Sequential([layers.Dense(2)]).export(tmp_path / "net.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "evengrad\[onnx\]"'):
        model.export(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_stays(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    model = eg.Sequential([eg.Input((3,)), layers.Dense(2)])
    model.export(path)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(OSError, match="no space"):
        model.export(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["net.onnx"]
