"""Weights out of ONNX files for models that are there: by the graph, never by names of arrays."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

checks = pytest.importorskip("onnx_checks")

RNG = np.random.default_rng(4)
X = RNG.normal(size=(6, 4)).astype("float32")
NEAR = 3e-6


def random(*shape):
    return RNG.normal(0.0, 0.7, shape).astype("float32")


def values(model):
    return [tensor.numpy().copy() for _, tensor in model.named_weights()]


def test_names_of_initialisers_mean_nothing(tmp_path):
    # Each has the name of another, as where an exporter has folded a normalization.
    text = """net (float[6, 4] x) => (float[6, 4] y) {
        a = Gemm<transB=1>(x, second, bias) b = Relu(a) y = Gemm<transB=1>(b, first, weight)
    }"""
    arrays = {"second": random(4, 4), "bias": random(4), "first": random(4, 4), "weight": random(4)}
    path = checks.write_graph(tmp_path / "net.onnx", text, **arrays)
    chain = [layers.Dense(4, "relu", name="first"), layers.Dense(4, name="second")]
    model = eg.Sequential([eg.Input((4,)), *chain])
    report = model.load_weights(path)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), arrays["second"].T)
    assert report.by_order == ["first/kernel", "first/bias", "second/kernel", "second/bias"]
    checks.assert_near(checks.outputs_of(model, [X]), checks.run(path, [X]), NEAR)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 0.5])
def test_variances_go_with_the_models_epsilon(epsilon, tmp_path):
    text = """net (float[n, 4] x) => (float[n, 4] y) {
        y = BatchNormalization<epsilon=0.001>(x, a, b, mean, variance)
    }"""
    vectors = {"a": random(4), "b": random(4), "mean": random(4), "variance": random(4) ** 2 + 1}
    path = checks.write_graph(tmp_path / "net.onnx", text, **vectors)
    norm = layers.BatchNormalization(epsilon=epsilon)
    model = eg.Sequential([eg.Input((4,)), norm])
    model.load_weights(path)
    checks.assert_near(checks.outputs_of(model, [X]), checks.run(path, [X]), NEAR)
    np.testing.assert_array_equal(norm.gamma.numpy(), vectors["a"])


def test_decomposed_normalizations_fill_batch_normalization(tmp_path):
    text = """net (float[n, 4] x) => (float[n, 2] y) {
        a = Sub(x, mean) b = Mul(a, factor) c = Add(b, beta) y = MatMul(c, w)
    }"""
    arrays = {"mean": random(1, 4), "factor": random(1, 4), "beta": random(1, 4), "w": random(4, 2)}
    path = checks.write_graph(tmp_path / "net.onnx", text, **arrays)
    chain = [layers.BatchNormalization(), layers.Dense(2, use_bias=False)]
    model = eg.Sequential([eg.Input((4,)), *chain])
    model.load_weights(path)
    checks.assert_near(checks.outputs_of(model, [X]), checks.run(path, [X]), NEAR)


def test_weights_that_were_folded_are_missed_and_nothing_changes(tmp_path):
    chain = [layers.Dense(4, "relu", norm=layers.BatchNormalization()), layers.Dense(2)]
    model = eg.Sequential([eg.Input((4,)), *chain])
    model.export(tmp_path / "net.onnx", fold_batch_norm=True)
    before = values(model)
    with pytest.raises(eg.FileFormatError, match="norm/gamma"):
        model.load_weights(tmp_path / "net.onnx")
    for one, other in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_classifiers_with_labels_are_read_by_their_shares(tmp_path):
    text = """net (float[n, 4] X) => (int64[n] label, float[n, 3] probabilities) {
        a = MatMul(X, w) b = Add(a, bias) probabilities = Softmax<axis=1>(b)
        label = ArgMax<axis=1, keepdims=0>(probabilities)
    }"""
    path = checks.write_graph(tmp_path / "net.onnx", text, w=random(4, 3), bias=random(3))
    model = eg.Sequential([eg.Input((4,)), layers.Dense(3, "softmax")])
    model.load_weights(path)
    checks.assert_near(checks.outputs_of(model, [X]), checks.run(path, [X])[1:], NEAR)


def test_files_that_cannot_be_read_change_nothing(tmp_path):
    model = eg.Sequential([eg.Input((4,)), layers.Dense(3)])
    before = values(model)
    (tmp_path / "net.onnx").write_bytes(b"no file")
    with pytest.raises(eg.FileFormatError, match="no ONNX file"):
        model.load_weights(tmp_path / "net.onnx")
    path = checks.write_graph(
        tmp_path / "net.onnx", "net (float[n, 4] x) => (float[n, 4] y) { y = Cumulative(x) }"
    )
    with pytest.raises(eg.FileFormatError, match="Cumulative"):
        model.load_weights(path)
    np.testing.assert_array_equal(values(model)[0], before[0])
