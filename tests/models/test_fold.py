"""Batch normalization folded into dense layers: the same outputs, and none of it left."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.layers._module import module_tree

EXACT = {"float32": 1e-6, "float64": 1e-12}


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def norm(**settings):
    return layers.BatchNormalization(**settings)


def dense(units, *activation, **settings):
    return layers.Dense(units, *activation, **settings)


def randomize(model, rng):
    """Give all variables values with outputs of the order of one, variances apart from zero."""
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) * w.size**-0.25 for w in model.weights])
    for path, tensor in model.named_weights():
        if path.endswith("kernel"):
            size = tensor.shape[0] ** -0.5
            tensor.copy_(rng.uniform(-size, size, tensor.shape))


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def left(model):
    """Return the normalizations that are left anywhere in a model."""
    inside = [layer for _, layer in module_tree(model).layers]
    return [layer for layer in inside if isinstance(layer, layers.BatchNormalization)]


def assert_folds(make, rng, remaining=0):
    """Fold in both precisions, and compare with the model; return the last folded one."""
    for dtype, tolerance in EXACT.items():
        eg.set_default_dtype(dtype)
        try:
            model = make(dtype)
        finally:
            eg.set_default_dtype("float32")
        randomize(model, rng)
        given = model._state.input_shape
        several = isinstance(given, list)
        rows = [rng.normal(size=(40, *one[1:])) for one in (given if several else [given])]
        x = [one.astype(dtype) for one in rows] if several else rows[0].astype(dtype)
        assert left(model)
        before = model.get_weights()
        folded = model.fold_batch_norm()
        expected, found = model.predict(x), folded.predict(x)
        pairs = (
            zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]
        )
        for a, b in pairs:
            assert a.dtype == dtype
            assert np.abs(b).max() > 0.05
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
        assert len(left(folded)) == remaining
        # The model is what it was, and shares no variable with the folded one.
        folded.set_weights([w + 1 for w in folded.get_weights()])
        for now, then in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)
        inside = {id(layer) for _, layer in module_tree(model).layers}
        assert not any(id(layer) in inside for _, layer in module_tree(folded).layers)
    return folded


def chain(*parts, shape=(6,)):
    """Return what makes a chain of parts that a function makes anew each time."""

    def make(dtype):
        made = [part() for part in parts]
        return eg.Sequential([eg.Input(shape), *made], seed=1, dtype=dtype)

    return make


def graph(draw, *shapes):
    """Return what makes a graph: `draw` gets the inputs."""

    def make(dtype):
        inputs = [eg.Input(shape, dtype) for shape in shapes or [(6,)]]
        return eg.Model(inputs if len(inputs) > 1 else inputs[0], draw(*inputs), seed=1)

    return make


# ---- chains


@pytest.mark.parametrize("position", ["before", "after"])
def test_the_two_placements_against_the_formulas(rng, position):
    """W' = W · diag(s), b' = (b − μ) ⊙ s + β; W₂' = diag(s) · W₂, b₂' = b₂ + (β − μ ⊙ s) · W₂."""
    model = eg.Sequential(
        [
            eg.Input((3,)),
            dense(4, "tanh", norm=norm(), norm_position=position, use_bias=True),
            dense(2),
        ],
        dtype="float64",
    )
    randomize(model, rng)
    w, b, gamma, beta, mean, variance, w2, b2 = model.get_weights()
    s = gamma / np.sqrt(variance + model.layers[0].norm.epsilon)
    if position == "before":
        expected = [w @ np.diag(s), (b - mean) * s + beta, w2, b2]
    else:
        expected = [w, b, np.diag(s) @ w2, b2 + (beta - mean * s) @ w2]
    folded = model.fold_batch_norm()
    for found, wanted in zip(folded.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-15)


def test_a_chain_of_all_kinds(rng):
    folded = assert_folds(
        chain(
            norm,
            lambda: dense(8, "tanh", norm=norm()),
            lambda: layers.Dropout(0.5),
            lambda: norm(scale=False),
            lambda: eg.Sequential(
                [dense(7, use_bias=False), norm(center=False), layers.Activation("elu"), norm()]
            ),
            lambda: dense(5, "relu", norm=norm(), norm_position="after"),
            lambda: norm(convention="torch"),
            lambda: dense(3, "softmax", norm=norm(), use_bias=True),
        ),
        rng,
    )
    assert kinds(folded) == ["Dense", "Dropout", "Dense", "Activation", "Dense", "Dense"]
    assert "norm" not in repr(folded)


@pytest.mark.parametrize(
    "noise",
    [
        lambda: layers.Dropout(0.5),
        lambda: layers.AlphaDropout(0.2),
        lambda: layers.GaussianDropout(0.2),
        lambda: layers.GaussianNoise(0.3),
        lambda: layers.SwapNoise(0.1),
        lambda: layers.MixUp(0.2),
        lambda: layers.Activation("linear"),
    ],
)
def test_what_does_nothing_in_inference_is_passed_over(rng, noise):
    after = lambda: dense(5, "relu", norm=norm(), norm_position="after")  # noqa: E731
    folded = assert_folds(chain(after, noise, noise, lambda: dense(3)), rng)
    assert len(folded.layers) == 4
    folded = assert_folds(chain(lambda: dense(5), noise, norm, layers.ReLU), rng)
    assert len(folded.layers) == 3


def test_images_that_change_in_training_alone_are_passed_over(rng):
    parts = [
        lambda: dense(4, "relu"),
        norm,
        lambda: layers.RandomTranslation(0.1, 0.1),
        lambda: layers.RandomRotation(0.1),
        lambda: layers.RandomZoom(0.1),
        layers.RandomFlip,
        lambda: layers.RandomBrightness(0.1),
        lambda: layers.RandomContrast(0.1),
        layers.RandomErasing,
        layers.Flatten,
    ]
    folded = assert_folds(chain(*parts, lambda: dense(3), shape=(3, 2, 6)), rng)
    assert len(folded.layers) == 10


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 6)])
def test_flatten_on_the_way_to_the_dense_layer(rng, shape):
    parts = [lambda: dense(4, "relu"), norm, layers.Flatten, lambda: layers.Dropout(0.1)]
    folded = assert_folds(chain(*parts, lambda: dense(3), shape=shape), rng)
    assert kinds(folded) == ["Dense", "Flatten", "Dropout", "Dense"]


def test_a_normalization_of_flattened_vectors_goes_forward_only(rng):
    parts = [lambda: dense(4), layers.Flatten, norm]
    assert_folds(chain(*parts, lambda: dense(3), shape=(2, 6)), rng)
    assert_folds(chain(lambda: dense(4, norm=norm()), *parts, shape=(2, 6)), rng, remaining=1)


def test_what_has_no_dense_layer_next_to_it_stays(rng):
    make = chain(norm, lambda: layers.Activation("relu"), norm)
    folded = assert_folds(make, rng, remaining=2)
    assert [layer.trainable for layer in folded.layers] == [False, True, False]
    with pytest.raises(ValueError, match="before the model is built"):
        eg.Sequential([norm()]).fold_batch_norm()


def test_layers_inside_others_are_made_anew(rng):
    """Also those inside others: layers as activations, and blocks of layers."""
    learned = lambda: layers.PReLU("random_uniform")  # noqa: E731
    folded = assert_folds(
        chain(
            lambda: dense(6, learned(), norm=norm()),
            lambda: layers.Residual(
                [dense(6, "tanh", norm=norm()), dense(6)], activation=learned()
            ),
            norm,
            lambda: dense(3, learned()),
        ),
        rng,
    )
    assert kinds(folded) == ["Dense", "Residual", "Dense"]


def test_names_of_chains_that_are_laid_open(rng):
    inner = lambda: eg.Sequential([dense(6, "relu", name="one"), norm()])  # noqa: E731
    folded = assert_folds(chain(inner, inner, lambda: dense(2, name="one")), rng)
    assert [layer.name for layer in folded.layers] == ["one", "dense", "dense_1"]


def test_a_normalization_that_two_dense_layers_share(rng):
    def make(dtype):
        one = norm()
        parts = [dense(6, "relu", norm=one), dense(6, "tanh", norm=one), dense(2)]
        return eg.Sequential([eg.Input((6,)), *parts], dtype=dtype)

    assert_folds(make, rng)


def test_a_layer_that_two_chains_inside_share(rng):
    def make(dtype):
        one = layers.Dropout(0.5)
        inner = [eg.Sequential([dense(6, norm=norm()), one]) for _ in range(2)]
        return eg.Sequential([eg.Input((6,)), *inner], dtype=dtype)

    assert kinds(assert_folds(make, rng)) == ["Dense", "Dropout"] * 2


# ---- blocks


def test_inside_residual_blocks(rng):
    parts = lambda: [dense(6, "relu", norm=norm()), dense(6), norm()]  # noqa: E731
    block = lambda: layers.Residual(parts())  # noqa: E731
    folded = assert_folds(chain(block, block, lambda: dense(2, norm=norm())), rng)
    assert [len(layer.body) for layer in folded.layers[:2]] == [2, 2]


def chained():
    return eg.Sequential([dense(5, "relu", norm=norm()), dense(4)])


@pytest.mark.parametrize(
    "projection", [lambda: None, lambda: dense(4, norm=norm(), use_bias=False), chained]
)
def test_projections(rng, projection):
    make = chain(lambda: layers.Residual(dense(4, "tanh", norm=norm()), projection()))
    folded = assert_folds(make, rng)
    assert type(folded.layers[0].body) is layers.Dense


def test_models_inside_a_block(rng):
    def inner():
        a = eg.Input((6,))
        return eg.Model(a, norm()(dense(6)(a)))

    assert_folds(chain(lambda: layers.Residual(inner()), lambda: dense(2)), rng)
    assert_folds(chain(lambda: layers.Residual([inner(), dense(6)])), rng)


def test_a_normalization_before_a_block_stays(rng):
    """Both the body and the shortcut read it."""
    make = chain(norm, lambda: layers.Residual(dense(6)), lambda: dense(2))
    assert_folds(make, rng, remaining=1)


# ---- graphs


def test_a_graph_that_is_a_chain(rng):
    def draw(a):
        h = layers.Dropout(0.2)(norm()(dense(5, "relu")(a)))
        return dense(2, "softmax", norm=norm())(h)

    folded = assert_folds(graph(draw), rng)
    assert type(folded) is eg.Model
    assert kinds(folded) == ["Dense", "Dropout", "Dense"]


def test_branches_that_read_one_normalization(rng):
    def draw(a):
        h = norm()(a)
        left, right = dense(4, "relu")(h), dense(4, "tanh", norm=norm())(layers.Dropout(0.1)(h))
        joined = layers.Concatenate()([left, right])
        return [dense(2)(norm()(layers.Add()([left, right]))), dense(1)(norm()(joined))]

    assert_folds(graph(draw), rng)


def test_several_inputs(rng):
    def draw(a, b):
        return dense(2)(layers.Multiply()([dense(4, norm=norm())(a), norm()(dense(4)(b))]))

    assert_folds(graph(draw, (6,), (2, 6)[1:]), rng)


def test_layers_that_are_used_twice(rng):
    def draw(a):
        shared, between = dense(6, "tanh", norm=norm()), norm()
        h = shared(between(shared(between(a))))
        return dense(2)(norm()(h))

    folded = assert_folds(graph(draw), rng, remaining=1)
    assert len(folded.layers) == 3


def test_what_stays_in_a_graph(rng):
    def as_output(a):
        h = norm()(dense(4, "relu")(a))
        return [h, dense(2)(h)]

    def read_by_a_sum(a):
        h = norm()(a)
        return layers.Add()([h, dense(6, norm=norm())(h)])

    assert_folds(graph(as_output), rng, remaining=1)
    assert_folds(graph(read_by_a_sum), rng, remaining=1)


def test_graphs_inside_chains_and_chains_inside_graphs(rng):
    def inner():
        a = eg.Input((6,))
        return eg.Model(a, norm()(dense(6, "relu")(a)))

    def wide():
        a = eg.Input((6,))
        h = norm()(dense(6, "relu", norm=norm())(a))
        return eg.Model(a, layers.Add()([dense(6)(h), dense(6)(h)]), name="wide")

    folded = assert_folds(chain(wide, norm, inner, lambda: dense(2)), rng)
    assert kinds(folded) == ["Model", "Dense", "Dense"]

    def draw(a):
        return dense(2)(wide()(eg.Sequential([norm(), dense(6, norm=norm())])(inner()(a))))

    folded = assert_folds(graph(draw), rng)
    assert kinds(folded) == ["Dense", "Dense", "Model", "Dense"]


def test_layers_with_several_outputs(rng):
    def draw(a):
        output, state = layers.SimpleRNN(3, return_state=True)(norm()(dense(4)(a)))
        return dense(2)(norm()(layers.Add()([output, state])))

    assert_folds(graph(draw, (5, 6)), rng)


# ---- code


class Net(eg.Model):
    def __init__(self):
        super().__init__()
        self.inner = dense(6, norm=norm())

    def call(self, x):
        return self.inner(x) * 2.0


def test_a_subclass_is_code(rng):
    model = Net()
    model.predict(np.ones((2, 6)))
    with pytest.raises(ValueError, match=r"net: .*the call of Net is code"):
        model.fold_batch_norm()
    folded = assert_folds(chain(Net, norm, lambda: dense(2)), rng, remaining=1)
    assert kinds(folded) == ["Net", "Dense"]


def test_what_is_pruned_stays_so(rng):
    model = chain(norm, lambda: dense(6, "relu", norm=norm()), lambda: dense(3))("float64")
    share = model.prune(0.4).whole
    folded = model.fold_batch_norm()
    assert folded.sparsity().whole == share
    x = rng.normal(size=(20, model.layers[0].gamma.shape[0]))
    np.testing.assert_allclose(folded.predict(x), model.predict(x), rtol=1e-9, atol=1e-12)
    folded.compile(eg.optimizers.SGD(0.1, momentum=0.9), "mse")
    folded.fit(x, np.ones((20, 3)), epochs=3, verbose=0)
    assert folded.sparsity().whole == share
    assert model.sparsity().whole == share


def test_folded_models_are_saved_and_trained(rng, tmp_path):
    block = lambda: layers.Residual(dense(6, "relu", norm=norm()))  # noqa: E731
    model = chain(lambda: dense(6, norm=norm()), block, lambda: dense(1))("float32")
    folded = model.fold_batch_norm()
    folded.compile("adam", "mse")
    x = rng.normal(size=(40, 6))
    folded.fit(x, x[:, 0], epochs=2, verbose=0)
    folded.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net")
    np.testing.assert_array_equal(again.predict(x), folded.predict(x))
