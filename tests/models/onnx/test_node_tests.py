"""The ONNX project's own tests of the operators that are read and written, all of them."""

import re

import numpy as np
import pytest

import evengrad as eg
from evengrad.models._onnx._folding import FOLDS
from evengrad.models._onnx._operators import CELLS, FLOAT_ONLY, FUNCTIONS, RECURRENT_FUNCTIONS
from evengrad.models._onnx._reader import READERS

node_tests = pytest.importorskip("onnx_node_tests")

ROWS = "a model computes row by row, for any number of rows"
TRAINING = "a model read from a file is for inference; the outputs of training are no layer's"
KIND = "layers calculate with float32 and float64, embeddings take int32 and int64"
NO_LAYER = "no layer computes it"
BESIDE = "the operator is read where it stands beside others, as in files that exporters write"
# Tests that no model can pass, by the beginnings of their names: each is refused, for this reason.
EXCLUDED = {
    r"cast_(?!(FLOAT_to_DOUBLE|DOUBLE_to_FLOAT)$).*": KIND,
    r".*_(u?int(8|16|32|64)|bfloat16|float16)(_.*)?": KIND,
    r"(.*_)?empty_set(_.*)?": "rows have at least one number",
    r"batchnorm_\w+_training_mode": TRAINING,
    r"(training_dropout(_default)?|(training_)?dropout_.*mask.*)": TRAINING,
    r"concat_(1d_axis_.*|2d_axis_(0|negative_2)|3d_axis_(0|negative_3))": ROWS,
    r"flatten_(axis[023]|negative_axis[124])": ROWS,
    r"layer_normalization_\dd_axis0.*": ROWS,
    r"layer_normalization_(4d_axis_negative_4|3d_axis_negative_3|2d_axis_negative_2).*": ROWS,
    r"(logsoftmax_axis_[01]|softmax_axis_0)": ROWS,
    r"reshape_(reordered_all_dims|one_dim|negative_extended_dims|allowzero_reordered)": ROWS,
    r"(squeeze|unsqueeze_axis_0)": ROWS,
    r"transpose_(default|all_permutations_[1-5])": ROWS,
    r"gemm_(transposeA|all_attributes)": ROWS,
    r"matmul_(3d|4d|bcast|1d_3d|4d_1d|1d_1d)": "a dense layer has one matrix for all rows",
    r"(gru|lstm|simple_rnn)_bidirectional": NO_LAYER,
    r"lstm_with_peepholes": NO_LAYER,
    r"gru_reverse": "outputs of steps taken backwards, in the order of time, are no layer's",
    r"gather_.*": "a table of two dimensions, numbers from 0 on: what an embedding is",
    r"pow(_example|_bcast_array)?": NO_LAYER,
    r"reciprocal(_example)?": BESIDE,
    r"reduce_(max|mean)_.*": BESIDE,
    r"(constant|shape|slice|greater|where)(_.*)?": BESIDE,
    r"identity_(sequence|opt)": KIND,
}


def excluded(name):
    bare = name.removeprefix("test_")
    return any(re.fullmatch(pattern, bare) for pattern in EXCLUDED)


def as_written(case):
    """Tell whether a test is of an operator: others are of its formula in other operators."""
    return "_expanded" not in case.name


CASES = {name: case for name, case in node_tests.cases(READERS).items() if as_written(case)}


def outputs(case, path):
    model, inputs, expected = node_tests.as_rows(case)
    path.write_bytes(model.SerializeToString())
    net = eg.Model.from_onnx(path)
    found = net(inputs if len(inputs) > 1 else inputs[0])
    return [x.numpy() for x in (found if isinstance(found, list) else [found])], expected


def test_every_operator_has_tests():
    named = {case.model.graph.node[0].op_type for case in CASES.values()}
    # What is read of older and other files beside ONNX' own operators of today.
    assert READERS.keys() - named == {"ZipMap"}
    # What is written is read.
    written = {row.operator for row in (*FUNCTIONS.values(), *RECURRENT_FUNCTIONS.values())}
    written |= FLOAT_ONLY | {cell.operator for cell in CELLS.values()}
    written -= {"Affine"}
    assert written <= READERS.keys() | FOLDS.keys()


def test_the_projects_own_tests_pass(tmp_path):
    passed, wrong = [], []
    for name, case in CASES.items():
        try:
            found, expected = outputs(case, tmp_path / "net.onnx")
        except eg.FileFormatError as error:
            if not excluded(name):
                wrong.append(f"{name}: {error}")
            continue
        if excluded(name):
            wrong.append(f"{name}: is excluded and passes")
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape, name
            np.testing.assert_allclose(one, other, case.rtol, 10 * case.atol, err_msg=name)
        passed.append(name)
    assert not wrong
    assert len(passed) >= 160


def test_exclusions_are_needed(tmp_path):
    # A pattern that matches no test that is refused has become idle.
    for pattern in EXCLUDED:
        named = [name for name in CASES if re.fullmatch(pattern, name.removeprefix("test_"))]
        with pytest.raises(eg.FileFormatError):
            outputs(CASES[named[0]], tmp_path / "net.onnx")
