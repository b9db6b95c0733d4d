"""Exported files beside the models that they were exported from."""

import numpy as np
import onnx
import onnxruntime

import evengrad as eg
from evengrad import layers

onnxruntime.set_default_logger_severity(3)


def randomize(model, seed=0):
    """Give all variables values that tell one from another, in their ranges."""
    rng = np.random.default_rng(seed)
    for path, tensor in model.named_weights():
        values = rng.normal(0.0, 0.6, tensor.shape)
        if "variance" in path:
            values = values**2 + 0.3
        tensor.copy_(values.astype(tensor.dtype))


def as_list(outputs):
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def outputs_of(model, inputs):
    """Return the outputs of a model as arrays, in float64 where the model is."""
    outputs = model(inputs if len(inputs) > 1 else inputs[0])
    return [output.detach().numpy() for output in as_list(outputs)]


def run(path, inputs, dtype="float32"):
    """Return the outputs of a file in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    given = {name: x.astype(dtype) for name, x in zip(names, inputs, strict=True)}
    return session.run(None, given)


def assert_near(found, expected, tolerance):
    """Compare outputs, in parts of the largest number of each."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        scale = max(1e-30, float(np.abs(other).max(initial=0.0)))
        assert float(np.abs(one - other).max(initial=0.0)) <= tolerance * scale


def assert_exported(model, inputs, path, tolerance=1e-5, dtype="float32", **settings):
    """Export a model, and compare what ONNX Runtime makes of the file with the model's outputs."""
    model.export(path, dtype=dtype, **settings)
    assert_near(run(path, inputs, dtype), outputs_of(model, inputs), tolerance)


# ---- files of others


def write_graph(path, text, opset=20, producer="other", **arrays):
    """Write a file of a graph in ONNX' text form, with arrays of these names as initializers."""
    graph = onnx.parser.parse_graph(text)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(x), name) for name, x in arrays.items()
    )
    domains = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    model = onnx.helper.make_model(
        graph, opset_imports=domains, ir_version=10, producer_name=producer
    )
    path.write_bytes(model.SerializeToString())
    return path


def assert_read(path, inputs, tolerance=3e-6, **settings):
    """Read a file as a model, and compare its outputs with ONNX Runtime's; return the model."""
    model = eg.Model.from_onnx(path, **settings)
    assert_near(outputs_of(model, inputs), run(path, inputs), tolerance)
    return model


# ---- random nets

WIDE = ["relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "hard_silu", None]


def random_layer(rng, activations=WIDE):
    """Return a layer that takes (rows, ..., features)."""
    units = int(rng.integers(1, 6))
    activation = activations[rng.integers(len(activations))]
    makers = [
        lambda: layers.Dense(units, activation, use_bias=bool(rng.integers(2))),
        lambda: layers.Dense(units, layers.LeakyReLU(0.2), norm=layers.BatchNormalization()),
        lambda: layers.Dense(
            units, activation, norm=layers.BatchNormalization(scale=False), norm_position="after"
        ),
        lambda: layers.BatchNormalization(center=bool(rng.integers(2))),
        lambda: layers.LayerNormalization(scale=bool(rng.integers(2))),
        lambda: layers.Maxout(units, pieces=int(rng.integers(1, 4))),
        lambda: layers.Residual([layers.Dense(units, activation), layers.Dense(units)]),
        lambda: layers.PReLU(shared_axes=[1] if rng.integers(2) else None),
        lambda: layers.ReLU(4.0, float(rng.integers(2)) / 4, float(rng.integers(2)) / 2),
        lambda: layers.Activation("softmax"),
        lambda: layers.Dropout(0.5),
        lambda: layers.GaussianNoise(0.5),
        layers.RReLU,
        lambda: layers.Rescaling(-1.5, 0.25),
        layers.Normalization,
        lambda: eg.Sequential([layers.Dense(units, "tanh"), layers.AlphaDropout(0.1)]),
    ]
    return makers[rng.integers(len(makers))]()


def random_recurrent(rng):
    """Return a recurrent layer."""
    kind = [layers.SimpleRNN, layers.LSTM, layers.GRU][rng.integers(3)]
    settings = {
        "activation": ["tanh", "relu", "elu", "softsign", None][rng.integers(5)],
        "use_bias": bool(rng.integers(2)),
        "return_sequences": bool(rng.integers(2)),
        "go_backwards": bool(rng.integers(2)),
        "dropout": 0.25,
    }
    if kind is layers.GRU:
        settings["reset_after"] = bool(rng.integers(2))
    if kind is not layers.SimpleRNN:
        settings["recurrent_activation"] = ["sigmoid", "hard_sigmoid"][rng.integers(2)]
    return kind(int(rng.integers(1, 5)), **settings)


def random_net(seed):
    """Return a graph of random layers, with two inputs and two outputs, and data for it."""
    rng = np.random.default_rng(seed)
    steps = [None, 5][rng.integers(2)]
    a, b = eg.Input((4,), name="a"), eg.Input((steps, 3), name="b")
    x = a
    for _ in range(rng.integers(1, 4)):
        x = random_layer(rng)(x)
    shared = layers.Dense(3, "tanh")
    y = layers.Dense(3)(b)
    y = layers.Add()([shared(y), shared(b)])
    # The slopes of one that is not shared over the steps have the number of these.
    layer = random_layer(rng)
    while steps is None and isinstance(layer, layers.PReLU) and not layer.shared_axes:
        layer = random_layer(rng)
    y = random_recurrent(rng)(layer(y))
    if len(y.shape) == 3:
        y = layers.LSTM(3)(y)
    x, z = layers.Dense(4)(x), layers.Dense(4)(y)
    merge = [layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum]
    joined = merge[rng.integers(len(merge))]()([x, z])
    joined = layers.Concatenate()([joined, layers.Minimum()([x, z])])
    model = eg.Model([a, b], [layers.Dense(2)(joined), x], seed=int(seed) % 1000)
    randomize(model, seed)
    return model, [rng.normal(size=(6, 4)), rng.normal(size=(6, 5, 3))]
