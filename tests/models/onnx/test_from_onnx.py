"""Models from ONNX files: ours, and graphs as other exporters write them."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

onnx = pytest.importorskip("onnx")
checks = pytest.importorskip("onnx_checks")

# In parts of the largest output.
NEAR = 3e-6
RNG = np.random.default_rng(8)
X = RNG.normal(size=(6, 4)).astype("float32")
STEPS = RNG.normal(size=(6, 5, 3)).astype("float32")


def random(*shape):
    return RNG.normal(0.0, 0.7, shape).astype("float32")


def returned(model, path, **arguments):
    model.export(path, **arguments)
    return eg.Model.from_onnx(path)


# ---- there and back


def test_layers_keep_kind_name_and_values(tmp_path):
    chain = [
        layers.Dense(5, "elu", norm=layers.BatchNormalization(epsilon=0.25), name="first"),
        layers.Maxout(3, pieces=2),
        layers.PReLU(),
        layers.LayerNormalization(epsilon=0.5),
        layers.Residual([layers.Dense(3, "tanh")]),
        layers.Dense(2, "softmax", name="head"),
    ]
    model = eg.Sequential([eg.Input((4,), name="rows"), *chain], name="net", seed=0)
    checks.randomize(model)
    again = returned(model, tmp_path / "net.onnx")
    assert again.name == "net"
    assert [type(layer) for layer in again.layers] == [
        layers.Dense,
        layers.BatchNormalization,
        layers.Activation,
        layers.Maxout,
        layers.PReLU,
        layers.LayerNormalization,
        layers.Dense,
        layers.Add,
        layers.Dense,
    ]
    np.testing.assert_array_equal(
        again.get_layer("head").kernel.numpy(), model.get_layer("head").kernel.numpy()
    )
    assert again.get_layer("maxout").pieces == 2
    assert all(layer.trainable for layer in again.layers)


def test_chains_become_sequential_and_train(tmp_path):
    model = eg.Sequential([eg.Input((4,)), layers.Dense(5, "relu"), layers.Dense(2)], seed=0)
    again = returned(model, tmp_path / "net.onnx")
    assert type(again) is eg.Sequential
    again.compile("adam", "mse")
    before = again.get_weights()
    again.fit(X, random(6, 2), epochs=2, verbose=0)
    assert not np.array_equal(before[0], again.get_weights()[0])
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    # It goes into our own files too.
    again.save(tmp_path / "net.safetensors")
    other = eg.load_model(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(other.predict(X, verbose=0), again.predict(X, verbose=0))


def test_shared_layers_are_shared_again(tmp_path):
    x = eg.Input((4,))
    shared = layers.Dense(4, "tanh")
    model = eg.Model(x, layers.Dense(2)(shared(shared(x))), seed=0)
    again = returned(model, tmp_path / "net.onnx")
    assert len(again.layers) == 2
    checks.assert_near(checks.outputs_of(again, [X]), checks.outputs_of(model, [X]), NEAR)


def test_doubles_come_back_as_doubles(tmp_path):
    chain = [layers.Dense(5, "relu", norm=layers.BatchNormalization()), layers.Dense(2, "tanh")]
    model = eg.Sequential([eg.Input((4,), "float64"), *chain], seed=0, dtype="float64")
    checks.randomize(model)
    again = returned(model, tmp_path / "net.onnx", dtype="float64")
    assert again.dtype == "float64"
    x = RNG.normal(size=(6, 4))
    checks.assert_near(checks.outputs_of(again, [x]), checks.outputs_of(model, [x]), 1e-12)


# ---- as PyTorch writes it


def test_a_number_of_rows_and_names_mean_nothing(tmp_path):
    # Normalization is folded into the sums, under the name of before; the batch is written out.
    text = """net (float[6, 4] input) => (float[6, 3] out) {
        linear = Gemm<alpha=1.0, beta=1.0, transB=1>(input, weight, bias)
        act = Relu(linear) out = Gemm<transB=1>(act, running_mean, running_var)
    }"""
    arrays = {"weight": random(5, 4), "bias": random(5)}
    path = checks.write_graph(
        tmp_path / "net.onnx", text, **arrays, running_mean=random(3, 5), running_var=random(3)
    )
    model = checks.assert_read(path, [X])
    assert [type(layer) for layer in model.layers] == [layers.Dense] * 2
    assert model.layers[0].final_activation == "relu"
    assert model.predict(random(9, 4), verbose=0).shape == (9, 3)


FUNCTIONS = {
    "silu": "s = Sigmoid(h) y = Mul(h, s)",
    "silu turned": "s = Sigmoid(h) y = Mul(s, h)",
    "mish": "s = Softplus(h) t = Tanh(s) y = Mul(h, t)",
    "softsign": "a = Abs(h) b = Add(a, one) y = Div(h, b)",
    "gelu": "d = Div(h, root) e = Erf(d) f = Add(e, one) g = Mul(h, f) y = Mul(g, half)",
    "gelu turned": "d = Mul(h, inverse) e = Erf(d) f = Add(e, one) g = Mul(half, h) y = Mul(g, f)",
    "gelu tanh": 'y = Gelu<approximate="tanh">(h)',
    "hard_silu": "s = HardSigmoid<alpha=0.16666667, beta=0.5>(h) y = Mul(h, s)",
    "softplus": "s = Softplus(h) c = Greater(h, twenty) y = Where(c, h, s)",
    "square": "y = Pow(h, two)",
    "negative": "y = Neg(h)",
    "hard_sigmoid": "y = HardSigmoid<alpha=0.3, beta=0.4>(h)",
    "celu": "y = Celu<alpha=1.3>(h)",
    "selu": "y = Selu<alpha=2.0, gamma=3.0>(h)",
    "elu": "y = Elu<alpha=0.7>(h)",
    "thresholded": "y = ThresholdedRelu<alpha=0.5>(h)",
    "clip": "y = Clip(h, half, two)",
    "clip below": "y = Clip(h, half)",
    "max min": "m = Max(h, half) y = Min(two, m)",
    "log softmax": "y = LogSoftmax<axis=-1>(h)",
    "1 - x": "y = Sub(one, h)",
    "scaled": "a = Sub(h, vector) b = Mul(a, signs) y = Add(b, vector)",
    "divided": "a = Add(vector, h) y = Div(a, signs)",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_several_operators(name, tmp_path):
    text = f"net (float[n, 4] x) => (float[n, 4] y) {{ h = Gemm(x, w, bias) {FUNCTIONS[name]} }}"
    numbers = {"one": 1.0, "half": 0.5, "two": 2.0, "root": 2**0.5, "twenty": 20.0}
    numbers["inverse"] = 0.5**0.5
    scalars = {key: np.float32(value) for key, value in numbers.items()}
    signs = np.array([1.5, -0.5, 2.0, -1.0], "float32")
    path = checks.write_graph(
        tmp_path / "net.onnx",
        text,
        w=random(4, 4),
        bias=random(4),
        vector=random(4),
        signs=signs,
        **scalars,
    )
    model = checks.assert_read(path, [X])
    kinds = {layer.final_activation for layer in model.layers}
    wanted = {"silu": "swish", "gelu": "gelu", "mish": "mish", "softplus": "softplus"}
    if name in wanted:
        assert wanted[name] in kinds


def test_a_value_that_is_used_twice_is_no_activation_of_a_dense_layer(tmp_path):
    text = """net (float[n, 4] x) => (float[n, 4] y, float[n, 4] h) {
        h = Gemm(x, w, b) r = Relu(h) y = Add(r, h)
    }"""
    path = checks.write_graph(tmp_path / "net.onnx", text, w=random(4, 4), b=random(4))
    checks.assert_read(path, [X])


RECURRENT = {
    "last of all": ("LSTM", "", "y0 = Transpose<perm=[1,0,2]>(s) y = Gather<axis=1>(y0, minus)"),
    "last cut": ("GRU", "", "z = Slice(s, from, far, first) y = Squeeze(z, first)"),
    "by reshape": (
        "LSTM",
        "",
        "a = Transpose<perm=[0,2,1,3]>(Y) b = Reshape(a, kept) y = Transpose<perm=[1,0,2]>(b)",
    ),
    "steps": ("RNN", "", "y = Transpose<perm=[1,0,2]>(s)"),
    "state": ("LSTM", "", "y = Squeeze(H, first)"),
    "backwards": ("GRU", 'direction="reverse", ', "y = Squeeze(H, first)"),
    "after reset": ("GRU", "linear_before_reset=1, ", "y = Squeeze(H, first)"),
    "functions": (
        "GRU",
        'activations=["HardSigmoid","LeakyRelu"], activation_alpha=[0.16666667,0.2], activation_beta=[0.5], ',  # noqa: E501 - one argument
        "y = Squeeze(H, first)",
    ),
}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent_file(path, kind, attributes, tail, inputs="x1, W, R, B"):
    out = "float[n, 5, 2] y" if "perm=[1,0,2]>(s)" in tail or "(b)" in tail else "float[n, 2] y"
    text = f"""net (float[n, 5, 3] x) => ({out}) {{
        x1 = Transpose<perm=[1,0,2]>(x)
        Y, H = {kind}<{attributes}hidden_size=2>({inputs})
        s = Squeeze(Y, second)
        {tail}
    }}"""
    gates = GATES[kind]
    whole = {"first": [0], "second": [1], "minus": -1, "from": [-1], "far": [2**31 - 1]}
    arrays = {name: np.array(value, np.int64) for name, value in whole.items()}
    return checks.write_graph(
        path,
        text,
        W=random(1, gates * 2, 3),
        R=random(1, gates * 2, 2),
        B=random(1, gates * 4),
        kept=np.array([0, 0, -1], np.int64),
        **arrays,
        zeros=np.zeros((1, 6, 2), "float32"),
        ones=np.ones((1, 6, 2), "float32"),
        P=random(1, 6),
        lengths=np.array([5, 5, 4, 5, 5, 5], np.int32),
    )


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_operators(name, tmp_path):
    path = recurrent_file(tmp_path / "net.onnx", *RECURRENT[name])
    model = checks.assert_read(path, [STEPS])
    (layer,) = model.layers
    assert layer.return_sequences is (len(model.output_shape) == 3)
    assert layer.go_backwards is (name == "backwards")


def test_first_states_of_zeros_are_none(tmp_path):
    inputs = "x1, W, R, B, , zeros, zeros"
    path = recurrent_file(tmp_path / "net.onnx", "LSTM", "", "y = Squeeze(H, first)", inputs)
    assert len(checks.assert_read(path, [STEPS]).layers) == 1


REFUSED = {
    "direction='bidirectional'": ("LSTM", 'direction="bidirectional", ', "x1, W, R, B"),
    "attribute clip": ("LSTM", "clip=1.0, ", "x1, W, R, B"),
    "attribute input_forget=1": ("LSTM", "input_forget=1, ", "x1, W, R, B"),
    "sequence_lens": ("GRU", "", "x1, W, R, B, lengths"),
    "P: gates that look at the cell": ("LSTM", "", "x1, W, R, B, , , , P"),
    "first states that are constants": ("GRU", "", "x1, W, R, B, , ones"),
    "attribute activations='ScaledTanh'": ("RNN", 'activations=["ScaledTanh"], ', "x1, W, R, B"),
    "activations: different ones": (
        "LSTM",
        'activations=["Sigmoid","Tanh","Relu"], ',
        "x1, W, R, B",
    ),
    "expected steps of rows": ("LSTM", "layout=1, ", "x1, W, R, B"),
    "attribute hidden_size": ("RNN", "", "x1, W, R3, B"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_recurrent_layers_cannot_do_is_named(reason, tmp_path):
    kind, attributes, inputs = REFUSED[reason]
    path = recurrent_file(tmp_path / "net.onnx", kind, attributes, "y = Squeeze(H, first)", inputs)
    if "R3" in inputs:
        model = onnx.load(path)
        model.graph.initializer.append(onnx.numpy_helper.from_array(random(1, 3, 3), "R3"))
        model.graph.initializer.append(onnx.numpy_helper.from_array(random(1, 3, 3), "W3"))
        model.graph.node[1].input[1] = "W3"
        model.graph.node[1].input[3] = ""
        onnx.save(model, path)
    with pytest.raises(eg.FileFormatError, match=rf"net.onnx: node 1 \({kind}\): .*{reason}"):
        eg.Model.from_onnx(path)


# ---- as Keras writes it


def test_decomposed_batch_normalization_is_one_layer(tmp_path):
    text = """net (float[n, 4] x) => (float[n, 3] y) {
        a = Cast<to=1>(x) b = Sub(a, mean) c = Mul(b, factor) d = Add(c, beta)
        e = Cast<to=1>(d) f = MatMul(e, w) y = Add(f, bias)
    }"""
    path = checks.write_graph(
        tmp_path / "net.onnx",
        text,
        mean=random(1, 4),
        factor=random(1, 4),
        beta=random(1, 4),
        w=random(4, 3),
        bias=random(3),
    )
    model = checks.assert_read(path, [X])
    assert [type(one) for one in model.layers] == [layers.BatchNormalization, layers.Dense]
    assert not model.layers[0].trainable


def test_slopes_written_as_two_rectifiers_are_one_layer(tmp_path):
    text = """net (float[n, 4] x) => (float[n, 4] y) {
        h = MatMul(x, w) a = Relu(h) b = Neg(h) c = Relu(b) d = Mul(minus_alpha, c) y = Add(a, d)
    }"""
    arrays = {"w": random(4, 4), "minus_alpha": random(4)}
    path = checks.write_graph(tmp_path / "net.onnx", text, **arrays)
    model = checks.assert_read(path, [X])
    assert [type(one) for one in model.layers] == [layers.Dense, layers.PReLU]
    np.testing.assert_array_equal(model.layers[1].alpha.numpy(), -arrays["minus_alpha"])


def test_products_of_merged_rows(tmp_path):
    text = """net (float[n, 5, 3] x) => (float[n, 5, 2] y) {
        s = Shape(x) t = Gather<axis=0>(s, free) u = Concat<axis=0>(t, two)
        a = Reshape(x, rows) b = MatMul(a, w) c = Reshape(b, u) d = Add(c, bias) y = Relu(d)
    }"""
    whole = {"free": [0, 1], "two": [2], "rows": [-1, 3]}
    arrays = {name: np.array(value, np.int64) for name, value in whole.items()}
    path = checks.write_graph(tmp_path / "net.onnx", text, w=random(3, 2), bias=random(2), **arrays)
    (layer,) = checks.assert_read(path, [STEPS]).layers
    assert (type(layer), layer.final_activation) == (layers.Dense, "relu")


@pytest.mark.parametrize("way", ["Keras", "by quotient"])
def test_normalization_by_rows_as_a_formula(way, tmp_path):
    square = "q = Mul(d, d)" if way == "Keras" else "q = Pow(d, two)"
    tail = (
        """i = Reciprocal(s) g = Mul(i, gamma) a = Mul(x, g) n = Neg(m) b = Mul(n, g)
        c = Add(b, beta) y = Add(a, c)"""
        if way == "Keras"
        else "a = Div(d, s) b = Mul(a, gamma) y = Add(b, beta)"
    )
    text = f"""net (float[n, 4] x) => (float[n, 4] y) {{
        m = ReduceMean<keepdims=1>(x, last) d = Sub(x, m) {square}
        v = ReduceMean<keepdims=1>(q, last) w = Add(v, epsilon) s = Sqrt(w) {tail}
    }}"""
    path = checks.write_graph(
        tmp_path / "net.onnx",
        text,
        last=np.array([-1]),
        epsilon=np.float32(0.01),
        two=np.float32(2),
        gamma=random(4),
        beta=random(4),
    )
    model = checks.assert_read(path, [X])
    assert type(model.layers[0]) is layers.LayerNormalization
    assert abs(model.layers[0].epsilon - 0.01) < 1e-8


@pytest.mark.parametrize("operator", ["Erfc", "Loop", "Cumulative"])
def test_operators_that_are_no_layer_are_named(operator, tmp_path):
    text = f"net (float[n, 4] x) => (float[n, 4] y) {{ y = {operator}(x) }}"
    path = checks.write_graph(tmp_path / "net.onnx", text)
    message = rf"net\.onnx: node 0 \({operator}\): no layer is known for this operator"
    with pytest.raises(eg.FileFormatError, match=message):
        eg.Model.from_onnx(path)


# ---- as skl2onnx writes it


def test_outputs_are_taken_by_place(tmp_path):
    text = """net (float[n, 4] X) => (int64[n] label, float[n, 2] probabilities) {
        a = Cast<to=1>(X) b = MatMul(a, w) c = Add(b, bias) d = Sigmoid(c) e = Sub(one, d)
        f = Concat<axis=1>(e, d) k = ArgMax<axis=1>(f) label = Cast<to=7>(k)
        probabilities = ai.onnx.ml.ZipMap<classlabels_int64s=[0, 1]>(f)
    }"""
    arrays = {"w": random(4, 1), "bias": random(1, 1), "one": np.array([1.0], "float32")}
    path = checks.write_graph(tmp_path / "net.onnx", text, **arrays)
    share = 1.0 / (1.0 + np.exp(-(X @ arrays["w"] + arrays["bias"])))
    for outputs in (1, -1, [1], "probabilities"):
        model = eg.Model.from_onnx(path, outputs=outputs)
        found = model.predict(X, verbose=0)
        np.testing.assert_allclose(found, np.concatenate([1 - share, share], 1), rtol=1e-5)
    with pytest.raises(eg.FileFormatError, match=r"node 6 \(ArgMax\)"):
        eg.Model.from_onnx(path)
    with pytest.raises(ValueError, match=r"outputs: .* has no 2 among its 2 outputs; .*label"):
        eg.Model.from_onnx(path, outputs=2)


# ---- numbers of other kinds, and rows that are mixed


MIXED = {
    "attribute transA=1": "y = Gemm<transA=1>(x, w)",
    "which mixes rows": "a = Reshape(x, shape) y = MatMul(a, w)",
    "attribute axis=0": "a = Softmax<axis=0>(x) y = MatMul(a, w)",
    "attribute axis=0, which mixes rows": "a = Flatten<axis=0>(x) y = MatMul(a, w)",
    "expected rows first": "y = Transpose(x)",
    "training_mode": "y = Dropout(x, ratio, yes)",
    "no layer divides": "a = Abs(x) y = Div(a, x)",
    "beside rows": "y = Add(x, by_row)",
    "squares alone": "y = Pow(x, three)",
    "input 1 must be constant": "y = MatMul(x, x)",
    "attribute to=FLOAT16": "y = Cast<to=10>(x)",
    "cut the fractions": "a = Cast<to=7>(x) y = Cast<to=1>(a)",
    "do not calculate": "a = Cast<to=7>(x) b = Add(a, number) y = Cast<to=1>(b)",
}


@pytest.mark.parametrize("reason", MIXED)
def test_what_layers_cannot_do_is_named(reason, tmp_path):
    text = f"net (float[n, 4] x) => (float[n, 4] y) {{ {MIXED[reason]} }}"
    path = checks.write_graph(
        tmp_path / "net.onnx",
        text,
        w=random(4, 4),
        shape=np.array([-1, 8]),
        by_row=random(1, 6, 4),
        ratio=np.float32(0.5),
        yes=np.array(True),
        three=np.float32(3),
        number=np.array(1),
    )
    with pytest.raises(eg.FileFormatError, match=rf"net\.onnx: node \d \(\w+\): .*{reason}|output"):
        eg.Model.from_onnx(path)


@pytest.mark.parametrize(("opset", "axis", "taken"), [(12, 1, False), (12, 2, True), (13, 1, True)])
def test_old_softmax_means_another_thing(opset, axis, taken, tmp_path):
    text = f"net (float[n, 5, 3] x) => (float[n, 5, 3] y) {{ y = Softmax<axis={axis}>(x) }}"
    path = checks.write_graph(tmp_path / "net.onnx", text, opset)
    if taken:
        checks.assert_read(path, [STEPS])
    else:
        with pytest.raises(eg.FileFormatError, match="axis=1 of version 12"):
            eg.Model.from_onnx(path)


def test_embeddings_take_whole_numbers(tmp_path):
    text = """net (int64[n, 2] x) => (float[n, 3] y) {
        e = Gather<axis=0>(table, x) f = Flatten(e) y = Gemm(f, w)
    }"""
    path = checks.write_graph(tmp_path / "net.onnx", text, table=random(7, 3), w=random(6, 3))
    numbers = RNG.integers(0, 7, (5, 2))
    model = eg.Model.from_onnx(path)
    checks.assert_near(
        checks.outputs_of(model, [numbers]), checks.run(path, [numbers], "int64"), NEAR
    )


def test_inputs_that_nothing_reads_are_left_out(tmp_path):
    text = "net (float[n, 4] x, float[1, 4] captured) => (float[n, 4] y) { y = Relu(x) }"
    path = checks.write_graph(tmp_path / "net.onnx", text)
    assert eg.Model.from_onnx(path).predict(X, verbose=0).shape == (6, 4)
