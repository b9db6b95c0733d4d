"""Loading weights: pairs by name or order, patterns, mappings, layouts, the report, atomicity."""

import re

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.saving import _safetensors


def net(*widths, seed=1, names=None):
    named = names or [None] * len(widths)
    stack = [layers.Dense(w, name=n) for w, n in zip(widths, named, strict=True)]
    return eg.Sequential([eg.Input((4,)), *stack], seed=seed)


def state_of(model):
    """Return the variables of a model of dense layers, as PyTorch's state dict has them."""
    weights = model.get_weights()
    return {
        f"{2 * (i // 2)}.{'bias' if i % 2 else 'weight'}": np.ascontiguousarray(value.T)
        for i, value in enumerate(weights)
    }


def write(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        _safetensors.write(path, arrays, {})
    return path


def assert_equal(model, other):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(params=["net.safetensors", "net.npz"])
def path(request, tmp_path):
    return tmp_path / request.param


def test_names_pair_and_the_report_says_so(path):
    model, other = net(3, 2), net(3, 2, seed=2)
    write(path, {name: w.numpy() for name, w in model.named_weights()})
    report = other.load_weights(path)
    assert_equal(model, other)
    names = [name for name, _ in model.named_weights()]
    assert report == eg.models.LoadReport(dict(zip(names, names, strict=True)))
    assert str(report).startswith("4 variables loaded\n  dense/kernel   <- dense/kernel\n")


def test_kernels_of_torch_are_transposed(path):
    # The second kernel is square: the names decide.
    model, other = net(3, 3, 2), net(3, 3, 2, seed=2)
    write(path, state_of(model))
    report = other.load_weights(path)
    assert_equal(model, other)
    assert report.transposed == ["dense/kernel", "dense_1/kernel", "dense_2/kernel"]
    assert len(report.by_order) == 6
    assert report.matched["2.weight"] == "dense_1/kernel"
    assert "dense/kernel   <- 0.weight  transposed, by order and shape" in str(report)
    # What it says is a mapping.
    third = net(3, 3, 2, seed=3)
    assert third.load_weights(path, mapping=report.matched).by_order == []
    assert_equal(model, third)


def test_names_with_prefixes_of_wrappers_pair(path):
    model, other = net(3, 2, names=["first", "last"]), net(3, 2, names=["first", "last"], seed=2)
    found = {
        f"_orig_mod.module.{name.replace('/', '.').replace('kernel', 'weight')}": w.numpy().T.copy()
        for name, w in model.named_weights()
    }
    write(path, found)
    assert other.load_weights(path).by_order == []
    assert_equal(model, other)


@pytest.mark.parametrize(
    "mapping",
    [
        {"0": "dense", "2": "dense_1"},
        {"0": "dense", "2.weight": "dense_1/kernel", "2.bias": "dense_1/bias"},
        lambda name: name.replace("0.", "dense.").replace("2.", "dense_1/"),
    ],
)
def test_a_mapping_names_layers_or_variables(path, mapping):
    model, other = net(3, 2), net(3, 2, seed=2)
    write(path, state_of(model))
    assert other.load_weights(path, mapping=mapping).by_order == []
    assert_equal(model, other)


def test_a_mapping_names_what_there_is(path):
    model = net(3, 2)
    write(path, state_of(model))
    with pytest.raises(ValueError, match=r"mapping: .* has no '1.weight'; did you mean '2.weight'"):
        model.load_weights(path, mapping={"1.weight": "dense/kernel"})
    with pytest.raises(ValueError, match="mapping: the model has no 'dense/kernels'; did you mean"):
        model.load_weights(path, mapping={"0.weight": "dense/kernels"})
    with pytest.raises(TypeError, match="mapping: expected a dict"):
        model.load_weights(path, mapping=["dense"])


def test_a_mapping_to_none_leaves_out(path):
    model, other = net(3, 2), net(3, 2, 5, seed=2)
    arrays = state_of(model)
    write(path, {**arrays, "head.weight": np.ones((7, 7), "float32")})
    mapping = {"0": "dense", "2": "dense_1", "head": None}
    report = other.load_weights(path, mapping=mapping, strict=False)
    assert report.unexpected == []
    assert report.missing == ["dense_2/kernel", "dense_2/bias"]


@pytest.mark.parametrize(
    ("pattern", "loaded"),
    [
        ("dense", 2),
        ("dense*", 4),
        ("dense_1/kernel", 1),
        (["dense/bias", "dense_1"], 3),
        (re.compile("bias$"), 2),
        ("^dense.*/b", 2),
    ],
)
def test_a_pattern_chooses_variables(path, pattern, loaded):
    model, other = net(3, 2), net(3, 2, seed=2)
    other.set_weights([w + 1 for w in other.get_weights()])
    write(path, {name: w.numpy() for name, w in model.named_weights()})
    before = other.get_weights()
    report = other.load_weights(path, pattern)
    assert len(report.matched) == loaded
    pairs = zip(other.named_weights(), model.get_weights(), before, strict=True)
    for (name, tensor), new, old in pairs:
        wanted = new if name in report.matched else old
        np.testing.assert_array_equal(tensor.detach().numpy(), wanted)


def test_a_pattern_that_matches_nothing_is_an_error(path):
    model = net(3, 2)
    write(path, {name: w.numpy() for name, w in model.named_weights()})
    with pytest.raises(ValueError, match="pattern: 'hidden' matches none of: dense/kernel"):
        model.load_weights(path, "hidden")
    with pytest.raises(TypeError, match="pattern: expected a name, a glob or a regular expression"):
        model.load_weights(path, 3)


def test_lower_layers_of_a_net_with_another_head(path):
    model, other = net(3, 3, 2), net(3, 3, 5, seed=2)
    write(path, state_of(model))
    report = other.load_weights(path, ["dense", "dense_1"])
    assert sorted(report.unexpected) == ["4.bias", "4.weight"]
    for old, new in zip(model.get_weights()[:4], other.get_weights()[:4], strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_does_not_fit_changes_nothing(path):
    other = net(3, 2)
    before = other.get_weights()
    arrays = {name: w + 1 for (name, _), w in zip(other.named_weights(), before, strict=True)}
    arrays["dense_1/kernel"] = np.ones((3, 7), "float32")
    write(path, arrays)
    with pytest.raises(eg.FileFormatError, match=r"dense_1/kernel: expected shape \(3, 2\), the"):
        other.load_weights(path)
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    report = other.load_weights(path, strict=False)
    assert report.missing == ["dense_1/kernel"]
    assert report.mismatched == {"dense_1/kernel": "expected shape (3, 2), the file has (3, 7)"}
    np.testing.assert_array_equal(other.get_weights()[1], before[1] + 1)
    assert "dense_1/kernel: expected shape (3, 2)" in str(report)


def test_order_is_not_guessed(path):
    # Either of the two hidden layers may be the one that the file has.
    arrays = {"a.weight": np.ones((4, 4), "float32"), "a.bias": np.ones(4, "float32")}
    write(path, arrays)
    with pytest.raises(eg.FileFormatError, match="there are several ways: pass mapping"):
        net(4, 4).load_weights(path)


def test_a_matrix_and_a_vector(tmp_path):
    np.savez(tmp_path / "net.npz", W=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], b=[7.0, 8.0, 9.0])
    model = eg.Sequential([eg.Input((2,)), layers.Dense(3, "relu")])
    model.load_weights(tmp_path / "net.npz")
    assert model.predict([[10.0, 11.0]], verbose=0).tolist() == [[61.0, 83.0, 105.0]]


def test_an_unbuilt_model_says_what_to_do(path):
    write(path, state_of(net(3)))
    with pytest.raises(ValueError, match="before the model is built"):
        eg.Sequential([layers.Dense(3)]).load_weights(path)


def test_numbers_that_keras_went_on_counting_are_no_names(path):
    model, other = net(3, 3, 2), net(3, 3, 2, seed=2)
    values = model.get_weights()
    names = [f"dense_{i + 1}/{role}" for i in range(3) for role in ("kernel", "bias")]
    write(path, dict(zip(names, values, strict=True)))
    report = other.load_weights(path)
    assert report.matched["dense_2/kernel"] == "dense_1/kernel"
    assert len(report.by_order) == 6
    assert_equal(model, other)


def test_the_report_says_what_the_file_does_not(tmp_path):
    normal = [layers.BatchNormalization(), layers.BatchNormalization(convention="torch")]
    model = eg.Sequential([eg.Input((3,)), *normal])
    model.save_weights(tmp_path / "net.npz", layout="torch")
    (note,) = model.load_weights(tmp_path / "net.npz").notes
    assert note.startswith("batch_normalization: epsilon is 0.001; PyTorch's default is 1e-05")


def test_what_a_layer_has_not_must_do_nothing(tmp_path):
    model = eg.Sequential([eg.Input((3,)), layers.BatchNormalization(scale=False)])
    model.save_weights(tmp_path / "net.npz", layout="torch")
    model.load_weights(tmp_path / "net.npz")
    arrays = dict(np.load(tmp_path / "net.npz"))
    np.savez(tmp_path / "net.npz", **{**arrays, "0.weight": np.full(3, 2.0)})
    with pytest.raises(eg.FileFormatError, match=r"'0\.weight' is no variable of the model"):
        model.load_weights(tmp_path / "net.npz")


def test_square_kernels_without_names_are_spoken_of(tmp_path):
    w = np.arange(16.0, dtype="f4").reshape(4, 4)
    np.savez(tmp_path / "net.npz", W=w, b=np.zeros(4, "f4"))
    model = net(4)
    (note,) = model.load_weights(tmp_path / "net.npz").notes
    assert (
        note == 'square kernel dense/kernel: taken as (in, out); pass layout="torch" for (out, in)'
    )
    np.testing.assert_array_equal(model.get_weights()[0], w)
    assert model.load_weights(tmp_path / "net.npz", layout="torch").transposed == ["dense/kernel"]
    np.testing.assert_array_equal(model.get_weights()[0], w.T)
    with pytest.raises(ValueError, match="layout: unknown 'pytorch'; did you mean 'torch'"):
        model.load_weights(tmp_path / "net.npz", layout="pytorch")


def test_a_mapping_has_one_array_for_a_variable(path):
    model, source = net(3, 3), net(3, 3, seed=2)
    names = {"one.weight": 0, "one.bias": 1, "two.weight": 2, "two.bias": 3}
    write(path, {name: source.get_weights()[i][..., :3] for name, i in names.items()})
    before = model.get_weights()
    # Which of them comes first in the file is the format's matter.
    message = r"mapping: 'one\.(\w+)' and 'two\.\1' are both for 'dense_1/\1'; map one of them to N"
    with pytest.raises(ValueError, match=message):
        model.load_weights(path, mapping={"one": "dense_1", "two": "dense_1"}, strict=False)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_a_mapping_says_goes_before_a_name_that_fits(path):
    model = net(4)
    mine, theirs = np.ones((4, 4), "float32"), np.zeros((4, 4), "float32")
    for first in ({"dense/kernel": theirs, "z/kernel": mine}, {"a/kernel": mine}):
        arrays = {**first, "dense/kernel": theirs, "dense/bias": np.ones(4, "float32")}
        write(path, arrays)
        own = next(name for name in arrays if not name.startswith("dense"))
        mapping = {own: "dense/kernel"}
        with pytest.raises(eg.FileFormatError, match="'dense/kernel' is no variable"):
            model.load_weights(path, mapping=mapping)
        report = model.load_weights(path, mapping=mapping, strict=False)
        assert report.matched == {own: "dense/kernel", "dense/bias": "dense/bias"}
        assert report.unexpected == ["dense/kernel"]
        np.testing.assert_array_equal(model.get_weights()[0], mine)


def test_a_function_may_name_what_the_model_has_not(path):
    model, source = net(3, 2), net(3, 2, seed=2)
    arrays = {f"old/{name}": w.numpy() for name, w in source.named_weights()}
    write(path, {**arrays, "old/projection/kernel": np.ones((2, 2), "float32")})

    def renamed(name):
        return name.removeprefix("old/")

    with pytest.raises(eg.FileFormatError, match="'old/projection/kernel' is no variable"):
        model.load_weights(path, mapping=renamed)
    report = model.load_weights(path, mapping=renamed, strict=False)
    assert report.unexpected == ["old/projection/kernel"]
    assert_equal(model, source)


@pytest.mark.parametrize("mapping", [{"dense": 3}, len])
def test_a_mapping_gives_names(path, mapping):
    model = net(3)
    write(path, {name: w.numpy() for name, w in model.named_weights()})
    with pytest.raises(TypeError, match=r"mapping: expected a name in the model or None for 'dens"):
        model.load_weights(path, mapping=mapping)


class Listed(eg.Model):
    def __init__(self, seed):
        super().__init__(seed=seed)
        self.body = [layers.Dense(4), layers.Dense(4)]
        self.branches = {"a": eg.Sequential([layers.Dense(4), layers.BatchNormalization()])}
        self.head = layers.Dense(2)

    def call(self, x):
        for layer in self.body:
            x = layer(x)
        return self.head(self.branches["a"](x))


def listed(seed):
    model = Listed(seed)
    model(np.zeros((1, 4), "float32"))
    return model


def test_layers_in_lists_have_the_names_of_module_lists(path):
    # Beside names that fit as they are, so that order alone is no way.
    model, other = listed(1), listed(2)
    model.save_weights(path, layout="torch")
    report = other.load_weights(path)
    assert_equal(model, other)
    assert not report.by_order
    assert report.matched["body.1.weight"] == "body_1/kernel"
    assert report.matched["branches.a.dense.bias"] == "branches_a/dense/bias"
    assert report.matched["head.bias"] == "head/bias"
