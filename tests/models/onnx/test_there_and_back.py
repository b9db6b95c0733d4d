"""Every layer as an ONNX file: run by ONNX Runtime, read as a model again, loaded as weights."""

import pytest
from api_arguments import others, parameters_of, variants
from api_contract import items
from api_examples import drawn, inputs_of, made
from hypothesis import given, settings
from hypothesis import strategies as st

import evengrad as eg
from evengrad import layers

checks = pytest.importorskip("onnx_checks")

LAYERS = [item for item in items() if item.family == "layers"]
# Arguments that say how a layer trains, or what it is called.
OF_TRAINING = ("initializer", "regularizer", "constraint", "trainable", "name", "dtype", "dropout")
RECURRENT = (layers.SimpleRNN, layers.LSTM, layers.GRU)
# Layers that other runtimes do not get, or not with each argument: the message says so.
NOT_IN_FILES = (
    *(layers.CategoryEncoding, layers.Discretization, layers.Dot, layers.Lambda),
    *(layers.Operation, layers.Permute, layers.Softmax, layers.SpectralNormalization),
    layers.UnitNormalization,
    *(layers.Bidirectional, layers.TimeDistributed, layers.RepeatVector, layers.Masking),
    *(layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D, layers.Embedding),
)


def kept(changes):
    """Tell whether arguments may change what a layer computes in inference."""
    return not any(word in name for name in changes for word in OF_TRAINING)


def assert_there_and_back(model, inputs, path):
    """Compare what ONNX Runtime and the model that is read again make of a model's file."""
    checks.assert_exported(model, inputs, path)
    again = eg.Model.from_onnx(path)
    checks.assert_near(checks.outputs_of(again, inputs), checks.outputs_of(model, inputs), 3e-6)


@pytest.mark.parametrize("item", LAYERS, ids=str)
def test_each_layer_with_each_argument(item, tmp_path):
    inputs = [x.astype(x.dtype if x.dtype.kind == "i" else "float32") for x in inputs_of(item)]
    for layer in (made(item), *(thing for changes, thing in variants(item) if kept(changes))):
        model = eg.Model(*drawn(layer, inputs), seed=1)
        checks.randomize(model)
        try:
            assert_there_and_back(model, inputs, tmp_path / "net.onnx")
        except ValueError as error:
            # ONNX' recurrent operators know a few activations, which the message lists, and no
            # states that last.
            said = ("recurrent operators have no", "a stateful layer has no counterpart in ONNX")
            known = isinstance(layer, RECURRENT) and any(one in str(error) for one in said)
            refused = isinstance(layer, NOT_IN_FILES) and "export: " in str(error)
            assert known or refused, error  # noqa: PT017 - others succeed


def test_arguments_that_change_inference_are_tried():
    tried = {
        p.name for item in LAYERS for p in parameters_of(item) if kept([p.name]) and others(item, p)
    }
    assert {"activation", "go_backwards", "return_state", "axis", "reset_after"} <= tried


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_random_nets(seed, tmp_path_factory):
    model, inputs = checks.random_net(seed)
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    assert_there_and_back(model, inputs, path)
    other = model.clone()
    checks.randomize(other, seed + 1)
    assert not other.load_weights(path).missing
    checks.assert_near(checks.outputs_of(other, inputs), checks.outputs_of(model, inputs), 3e-6)
