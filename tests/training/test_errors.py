"""Bad input: raised before the first step, named, with a likely fix, and nothing changed."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

X = np.random.default_rng(9).normal(size=(20, 4)).astype("float32")
Y = np.arange(20) % 3


def classifier():
    model = eg.Sequential(
        [eg.Input((4,)), layers.Dense(5, "relu"), layers.Dense(3, "softmax")], seed=1
    )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def regression():
    model = eg.Sequential([eg.Input((4,)), layers.Dense(1)], seed=1)
    model.compile("adam", "mse")
    return model


def with_value(values, row, value):
    changed = values.astype(float).copy()
    changed[row] = value
    return changed


BAD_CALLS = [
    # data
    (classifier, {"x": X[:, :3], "y": Y}, ValueError, r"expected .*\(None, 4\).*\(None, 3\)"),
    (classifier, {"x": X[0], "y": Y}, ValueError, r"x: expected shape \(rows, features\)"),
    (classifier, {"x": X[:0], "y": Y[:0]}, ValueError, "x: expected at least one row"),
    (classifier, {"x": None, "y": Y}, ValueError, "x: expected data, got None"),
    (classifier, {"x": X, "y": None}, ValueError, "y: expected targets, got None"),
    (classifier, {"x": X, "y": Y[:19]}, ValueError, r"y: expected 20 rows as in x, got 19"),
    (classifier, {"x": X.astype(object), "y": Y}, TypeError, r"x: .*dtype object.*astype"),
    (classifier, {"x": X.astype(complex), "y": Y}, TypeError, "x: .*complex128"),
    (classifier, {"x": X.astype(str), "y": Y}, TypeError, "x: expected numbers"),
    (
        classifier,
        {"x": np.ones(20, [("a", float), ("b", int)]), "y": Y},
        TypeError,
        "x: expected numbers, .*structured_to_unstructured",
    ),
    (classifier, {"x": [[1, 2, 3, 4], [1, 2]], "y": [0, 1]}, ValueError, "different lengths"),
    (classifier, {"x": 3.0, "y": Y}, ValueError, "x: expected an array with rows"),
    (classifier, {"x": np.ma.masked_less(X, 0), "y": Y}, ValueError, "masked"),
    # numbers that are not finite
    (classifier, {"x": with_value(X, 3, np.nan), "y": Y}, ValueError, "x: .*got nan in row 3, col"),
    (classifier, {"x": with_value(X, (4, 2), -np.inf), "y": Y}, ValueError, "-inf in row 4.* 2;"),
    (
        classifier,
        {"x": with_value(X, ([4, 9], 2), np.inf), "y": Y},
        ValueError,
        "2 such values in all, in rows 4, 9 and column 2; .*check_finite=False",
    ),
    (
        classifier,
        {"x": with_value(X, (4, 2), 1e39), "y": Y},
        ValueError,
        r"at most 3\.403e\+38 .*1e\+39 in row 4, column 2; scale",
    ),
    (
        classifier,
        {"x": X, "y": Y, "validation_data": (with_value(X, 3, np.nan), Y)},
        ValueError,
        "validation_data: x: .*finite.*row 3",
    ),
    (classifier, {"x": iter([(with_value(X, 3, np.nan), Y)])}, ValueError, "finite.*row 3"),
    (
        regression,
        {"x": X, "y": with_value(X[:, 0], 3, -1e39)},
        ValueError,
        r"y: expected numbers of at most 3\.403e\+38 .*, got .*1e\+39.* in row 3; scale them",
    ),
    (
        regression,
        {"x": X, "y": X[:, 0], "sample_weight": with_value(np.ones(20), 3, 1e39)},
        ValueError,
        "sample_weight: expected finite",
    ),
    # labels
    (classifier, {"x": X, "y": Y + 1}, ValueError, r"y: .*\[0, 3\).*got 3 in row 2.*4 units"),
    (classifier, {"x": X, "y": Y - 1}, ValueError, r"y: .*got -1 in row 0"),
    (classifier, {"x": X, "y": with_value(Y, 7, np.nan)}, ValueError, "finite.*row 7"),
    (classifier, {"x": X, "y": with_value(Y, 7, 0.5)}, ValueError, r"whole.*0\.5 in row 7"),
    (classifier, {"x": X, "y": np.eye(3)[Y]}, ValueError, "categorical_crossentropy"),
    (classifier, {"x": X, "y": np.array(list("abcd") * 5)}, TypeError, "np.unique"),
    # regression targets
    (regression, {"x": X, "y": np.zeros((20, 2))}, ValueError, r"\(20, 1\).*got \(20, 2\)"),
    (regression, {"x": X, "y": np.zeros((1, 20))}, ValueError, "expected 20 rows"),
    (regression, {"x": X, "y": with_value(Y, 3, np.inf)}, ValueError, "finite.*row 3"),
    (regression, {"x": X, "y": with_value(Y, 3, 1e39)}, ValueError, r"y: .*at most 3\.4.*row 3"),
    # arguments
    (classifier, {"x": X, "y": Y, "epochs": np.array([1, 2])}, TypeError, "epochs: .*an integer"),
    (classifier, {"x": X, "y": Y, "batch_size": np.array([8])}, TypeError, "batch_size: .*integer"),
    (
        classifier,
        {"x": X, "y": Y, "validation_split": X},
        TypeError,
        "number, got ndarray of shape",
    ),
    (classifier, {"x": X, "y": Y, "validation_freq": True}, TypeError, "validation_freq: .*int"),
    (classifier, {"x": X, "y": Y, "validation_freq": []}, ValueError, "at least one epoch"),
    (classifier, {"x": X, "y": Y, "batch_size": 0}, ValueError, "batch_size: expected 1 or more"),
    (classifier, {"x": X, "y": Y, "batch_size": -3}, ValueError, "batch_size"),
    (classifier, {"x": X, "y": Y, "batch_size": 2.5}, TypeError, "batch_size"),
    (classifier, {"x": X, "y": Y, "epochs": -1}, ValueError, "epochs: expected 0 or more"),
    (classifier, {"x": X, "y": Y, "epochs": True}, TypeError, "epochs"),
    (classifier, {"x": X, "y": Y, "verbose": 3}, ValueError, "verbose: expected 0, 1, 2"),
    (classifier, {"x": X, "y": Y, "validation_split": 1.0}, ValueError, "validation_split"),
    (classifier, {"x": X, "y": Y, "validation_split": 0.01}, ValueError, "both need at least one"),
    (
        classifier,
        {"x": X, "y": Y, "validation_split": 0.1, "validation_data": (X, Y)},
        ValueError,
        "got both",
    ),
    (classifier, {"x": X, "y": Y, "validation_data": X}, ValueError, "validation_data"),
    (
        classifier,
        {"x": X, "y": Y, "validation_data": (X[:, :2], Y)},
        ValueError,
        "validation_data: .*expected",
    ),
    (
        classifier,
        {"x": X, "y": Y, "validation_data": (X, Y + 1)},
        ValueError,
        "validation_data: y: ",
    ),
    (classifier, {"x": X, "y": Y, "callbacks": [3]}, TypeError, "callbacks: .*Callback"),
    (
        classifier,
        {"x": X, "y": Y, "callbacks": eg.callbacks.EarlyStopping},
        TypeError,
        "parentheses",
    ),
    (classifier, {"x": X, "y": Y, "epoch": 3}, TypeError, "unknown argument 'epoch'.*'epochs'"),
    (classifier, {"x": X, "y": Y, "batchsize": 3}, TypeError, "did you mean 'batch_size'"),
    # weights
    (classifier, {"x": X, "y": Y, "sample_weight": np.ones(3)}, ValueError, "sample_weight"),
    (classifier, {"x": X, "y": Y, "sample_weight": -np.ones(20)}, ValueError, "0 or more"),
    (
        classifier,
        {"x": X, "y": Y, "class_weight": {5: 2.0}},
        ValueError,
        "no class 5; the classes are 0, 1, 2",
    ),
    (classifier, {"x": X, "y": Y, "class_weight": [1, 2]}, TypeError, "class_weight: .*dict"),
    (regression, {"x": X, "y": X[:, 0], "class_weight": {0: 1}}, ValueError, "that are classes"),
    (classifier, {"x": X, "y": Y, "steps_per_epoch": 0}, ValueError, "steps_per_epoch"),
    (
        classifier,
        {"x": X, "y": Y, "sample_weight": 1e39},
        ValueError,
        "sample_weight: .*in float32",
    ),
    (
        classifier,
        {"x": X, "y": Y, "class_weight": {1: 1e39}},
        ValueError,
        "class_weight: .*float32",
    ),
    # iterables
    (classifier, {"x": iter([(X, Y)]), "y": Y}, ValueError, "expected None with an iterable"),
    (classifier, {"x": iter([X])}, ValueError, r"x: batch 0: expected \(x, y\)"),
    (classifier, {"x": iter([(X, Y + 1)])}, ValueError, r"y: .*\[0, 3\)"),
]


@pytest.mark.parametrize(("make", "arguments", "error", "message"), BAD_CALLS)
def test_fit_refuses_and_changes_nothing(make, arguments, error, message):
    model = make()
    before = model.get_weights()
    with pytest.raises(error, match=f"(?s){message}"):
        model.fit(**{"verbose": 0, **arguments})
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert model.optimizer.iterations == 0
    assert not hasattr(model, "history") or model.history.epoch == []
    good = Y if make is classifier else Y.astype(float)
    model.fit(X, good, verbose=0)


BAD = with_value(X, (5, 1), np.nan)


@pytest.mark.parametrize(
    "use",
    [
        lambda model, **skip: model.evaluate(BAD, Y, **skip),
        lambda model, **skip: model.evaluate(iter([(X, Y), (BAD, Y)]), **skip),
        lambda model, **skip: model.predict(BAD, **skip),
        lambda model, **skip: model.predict(iter([X, BAD]), **skip),
        lambda model, **skip: model.predict_mc(BAD, 2, **skip),
        lambda model, **skip: model.features(BAD, **skip),
        lambda model, **skip: model.train_on_batch(BAD, Y, **skip),
        lambda model, **skip: model.test_on_batch(BAD, Y, **skip),
        lambda model, **skip: model.predict_on_batch(BAD, **skip),
    ],
)
def test_all_that_takes_rows_looks_for_numbers_that_are_not_finite(use):
    model = classifier()
    before = model.get_weights()
    with pytest.raises(ValueError, match="x: expected finite numbers, got nan in row 5, column 1;"):
        use(model)
    assert all(map(np.array_equal, before, model.get_weights()))
    use(model, check_finite=False)


def test_a_model_that_handles_numbers_that_are_not_finite():
    class Filled(layers.Layer):
        def call(self, x):
            return eg.where(x.abs() < np.inf, x, 0.0)

    def fitted(x, **skip):
        model = eg.Sequential([eg.Input((4,)), Filled(), layers.Dense(1)], seed=1)
        model.compile("sgd", "mse")
        model.fit(x, X[:, 0], validation_data=(x, X[:, 0]), verbose=0, **skip)
        model.fit(iter([(x, X[:, 0])]), verbose=0, **skip)
        return model.get_weights()

    expected = fitted(with_value(X, (5, 1), 0.0))
    assert all(map(np.array_equal, fitted(BAD, check_finite=False), expected))


def test_a_batch_that_is_not_finite_is_refused_before_its_step():
    model, once = classifier(), classifier()
    once.fit(X, Y, batch_size=20, shuffle=False, verbose=0)
    with pytest.raises(ValueError, match=r"finite.*row 5, column 1"):
        model.fit(iter([(X, Y), (BAD, Y)]), verbose=0)
    assert all(map(np.array_equal, model.get_weights(), once.get_weights()))


def test_numbers_that_are_large_but_finite_pass():
    large = with_value(X, (5, 1), 1e30).astype("float32")
    assert np.isfinite(classifier().layers[0](large).numpy()).all()
    assert regression().predict(large).shape == (20, 1)
    half = X.astype("float16")
    half[7, 3] = np.inf
    with pytest.raises(ValueError, match="got inf in row 7, column 3"):
        regression().predict(half)


@pytest.mark.parametrize("view", [np.asfortranarray, lambda x: x[:, ::-1], lambda x: x[::-1, :5]])
def test_the_place_does_not_depend_on_how_an_array_lies(view):
    x = np.zeros((4000, 6, 3))
    x[123, 4, 1] = x[3990, 0, 2] = np.nan
    model = eg.Sequential([layers.Flatten(), layers.Dense(1)])
    seen = view(x)
    first = tuple(np.argwhere(np.isnan(seen))[0])
    message = rf"in row {first[0]} at \[{first[1]}, {first[2]}\]; 2 such values in all"
    with pytest.raises(ValueError, match=message):
        model.predict(seen)
    assert not model.built


def test_the_layer_is_named_by_its_path():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.join = layers.Add()
            self.wide = layers.Dense(7)

        def call(self, x):
            return self.join([x, self.wide(x)])

    model = eg.Sequential([layers.Dense(5), Block(), layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"^block/join: expected inputs of one shape, got.*Dense"):
        model.fit(X, np.zeros((20, 2)), verbose=0)
    assert not model.built
    assert not model.layers[0].built
    assert model.weights == []


def test_shapes_that_differ_from_the_input():
    with pytest.raises(ValueError, match=r"expected an input of shape \(None, 4\)"):
        classifier().predict(X[:, :2])
    with pytest.raises(ValueError, match=r"dense: expected an input of shape \(rows, 4\)"):
        classifier().layers[0](X[:, :2])
    with pytest.raises(ValueError, match=r"add the missing dimension"):
        layers.Dense(2)(X[0])


def test_columns_of_a_frame_are_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    frame["c"] = "text"
    with pytest.raises(TypeError, match=r"x: .*column 'c'.*factorize"):
        classifier().fit(frame, Y, verbose=0)


@pytest.mark.parametrize("units", [10**12, 10**18, 10**30])
def test_sizes_that_no_memory_holds(units):
    model = eg.Sequential([layers.Dense(5), layers.Dense(units)])
    model.compile("sgd", "mse")
    with pytest.raises(MemoryError, match="dense_1"):
        model.fit(X, Y, verbose=0)
    assert model.weights == []


def test_a_batch_larger_than_the_data_is_the_data():
    model = classifier()
    model.fit(X, Y, batch_size=10**18, verbose=0)
    assert model.optimizer.iterations == 1


def test_a_column_of_steps_may_be_left_out_or_written():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(12, 5, 3)), rng.normal(size=(12, 5))
    for end in (layers.Dense(1), layers.Reshape((5,))):
        steps = [layers.GRU(2, return_sequences=True), layers.Dense(1)]
        model = eg.Sequential([eg.Input((5, 3)), *steps, end], seed=1)
        model.compile(eg.optimizers.SGD(0.0), "mse", ["mae"])
        off = model.predict(x).reshape(y.shape) - y
        wanted = pytest.approx([(off**2).mean(), abs(off).mean()], rel=1e-5)
        assert model.evaluate(x, y) == model.evaluate(x, y[..., None]) == wanted
        with pytest.raises(ValueError, match=r"expected shape|each row holds 5 vectors"):
            model.evaluate(x, y[:, :1])


def test_a_column_may_be_left_out_or_written():
    histories = []
    for target in (Y.astype(float), Y.astype(float)[:, None]):
        model = regression()
        histories.append(model.fit(X, target, verbose=0).history)
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Dense(0), ValueError, "units: expected 1 or more"),
        (lambda: layers.Dense("5"), TypeError, "units: expected an integer"),
        (lambda: layers.Dense(5, "rleu"), ValueError, "activation: .*did you mean 'relu'"),
        (lambda: layers.Dense(5, activaton="relu"), TypeError, "did you mean 'activation'"),
        (lambda: layers.Dense(5, 3), TypeError, "activation: expected a name or a function"),
        (
            lambda: layers.Dense(5, kernel_initializer="he"),
            ValueError,
            "kernel_initializer: unknown name 'he'.*he_normal",
        ),
        (lambda: layers.Dense(5, dtype="float16"), ValueError, "dtype: expected 'float32'"),
        (lambda: layers.Dense(5, name="a/b"), ValueError, "name"),
        (lambda: layers.Concatenate(axis=0), ValueError, "axis"),
        (lambda: eg.Sequential([layers.Dense]), TypeError, "parentheses"),
        (lambda: eg.Sequential([3]), TypeError, "expected layers, got 3"),
        (lambda: eg.Sequential([], sed=3), TypeError, "did you mean 'seed'"),
        (lambda: eg.Sequential([], seed=-3), ValueError, "seed: expected 0 or more"),
        (
            lambda: eg.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]),
            ValueError,
            "two layers are named 'a'",
        ),
        (lambda: eg.Input((0,)), ValueError, "shape: expected 1 or more"),
        (lambda: eg.Model(X, X), TypeError, "inputs: expected symbolic tensors"),
        (lambda: eg.Model(eg.Input((2,))), ValueError, "expected both or neither"),
        (
            lambda: eg.Model(eg.Input((2,)), layers.Dense(1)(eg.Input((2,)))),
            ValueError,
            "not among the model's inputs",
        ),
        (lambda: eg.Input((2,)) + "a", TypeError, "symbolic tensor"),
        (lambda: layers.Add()([eg.Input((2,)), X]), TypeError, "symbolic"),
        (lambda: eg.callbacks.EarlyStopping(mode="mni"), ValueError, "did you mean 'min'"),
        (lambda: eg.callbacks.LambdaCallback(on_epoch_ned=3), TypeError, "on_epoch_end"),
        (lambda: classifier().compile("adm", "mse"), ValueError, "did you mean 'adam'"),
        (lambda: classifier().compile("adam", "msee"), ValueError, "did you mean 'mse'"),
        (
            lambda: classifier().compile("adam", "mse", ["acuracy"]),
            ValueError,
            "did you mean 'accuracy'",
        ),
        (lambda: classifier().compile("adam", los="mse"), TypeError, "did you mean 'loss'"),
        (lambda: classifier().get_layer("dens"), ValueError, "did you mean 'dense'"),
        (lambda: eg.Sequential([layers.Dense(1)]).summary(), ValueError, "before the model"),
        (lambda: eg.Sequential([layers.Dense(1)]).fit(X, Y), RuntimeError, r"call compile\("),
        (lambda: eg.Sequential([]).predict(X), ValueError, "at least one layer"),
        (lambda: eg.utils.to_categorical([0, -1]), ValueError, "got -1"),
        (lambda: eg.utils.to_categorical([0, 5], 3), ValueError, r"\[0, 3\), got 5"),
        (lambda: eg.utils.to_categorical([0, 0.5]), TypeError, "x: expected whole .* got 0.5"),
        (lambda: eg.utils.to_categorical([0, np.inf]), TypeError, "x: expected whole .* got inf"),
        (lambda: eg.utils.to_categorical([0, None]), TypeError, "x: expected booleans, integers"),
        (lambda: eg.utils.to_categorical(np.ma.masked_equal([0, 1], 1)), TypeError, "x: a masked"),
        (lambda: eg.utils.set_random_seed(-1), ValueError, "seed"),
        (lambda: eg.functional.mse_loss([1.0], [1.0], "avg"), ValueError, "reduction: unknown"),
        (lambda: eg.functional.dropout([1.0], 1.5), ValueError, r"p: expected .*\[0, 1\]"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        make()


def test_a_loss_that_does_not_fit_several_outputs():
    a = eg.Input((4,))
    model = eg.Model(a, [layers.Dense(1, name="u")(a), layers.Dense(1, name="v")(a)])
    with pytest.raises(ValueError, match="each of the 2 outputs, got 1"):
        model.compile("sgd", ["mse"])
    with pytest.raises(ValueError, match="no output 'w'"):
        model.compile("sgd", {"w": "mse"})
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="y: expected a list of 2 arrays, got ndarray"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match=r"y\['v'\]: expected 20 rows"):
        model.fit(X, {"u": Y, "v": Y[:3]}, verbose=0)


# ---- what would not train

OUTSIDE = layers.Dense(1)
WAYS = {
    "fit": lambda model: model.fit(X, X[:, :1], batch_size=8, verbose=0),
    "batches": lambda model: model.fit(iter([(X, X[:, :1])]), verbose=0),
    "train_on_batch": lambda model: model.train_on_batch(X, X[:, :1]),
}


class Makes(eg.Model):
    def call(self, x):
        return layers.Dense(1)(x)


class Borrows(eg.Model):
    def __init__(self):
        super().__init__()
        self.dropout = layers.Dropout(0.5)

    def call(self, x):
        return OUTSIDE(self.dropout(x))


class PartMakes(layers.Layer):
    def call(self, x):
        return layers.Dense(3)(x)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)


def through_an_activation():
    other = layers.Dense(1)
    return eg.Sequential([layers.Dense(1, lambda x: other(x) * 2.0)])


@pytest.mark.parametrize(
    "make",
    [
        Makes,
        Borrows,
        lambda: eg.Sequential([PartMakes(), layers.Dense(1)]),
        through_an_activation,
    ],
)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("eagerly", [False, True])
def test_layers_that_are_called_and_are_no_part_are_refused(make, way, eagerly):
    model = make()
    model.compile("sgd", "mse", run_eagerly=eagerly)
    model.build((None, 4))
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"calls Dense 'dense', which is none of its layers.*make"):
        WAYS[way](model)
    for value, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, other)
    assert model.optimizer.iterations == 0


def test_layers_that_are_no_part_may_be_frozen_or_without_variables():
    teacher = layers.Dense(4, trainable=False)

    class Taught(eg.Model):
        def __init__(self):
            super().__init__()
            self.head = layers.Dense(1)

        def call(self, x):
            return self.head(layers.ReLU()(teacher(x)))

    model = Taught()
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert [path for path, _ in model.named_weights()] == ["head/kernel", "head/bias"]


class Nothing(eg.Model):
    def call(self, x):
        return x[:, :1] * 2.0


@pytest.mark.parametrize(
    ("make", "frozen", "message"),
    [
        (regression, True, "sequential: training changes nothing, because all variables are froz"),
        (Nothing, False, "nothing: training changes nothing, because there are no variables; make"),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_what_trains_nothing_says_so_once(make, frozen, message, way, advice):
    model = make()
    model.compile("sgd", "mse")
    if frozen:
        model.trainable = False
    for _ in range(2):
        WAYS[way](model)
    assert advice.text.count("training changes nothing") == 1
    assert message in advice.text


def test_frozen_in_the_middle_of_a_training_is_said(advice):
    class Freezes(eg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            del logs
            self.model.get_layer(index=0).trainable = epoch != 0

    model = regression()
    model.fit(X, X[:, :1], epochs=3, callbacks=[Freezes()], verbose=0)
    assert advice.text.count("all variables are frozen") == 1


def test_targets_that_do_not_fit_choose_no_accuracy():
    hot = np.eye(3)[Y]
    for loss, wrong in (("categorical_crossentropy", Y), ("hinge", hot * 0.5)):
        model, other = (eg.Sequential([layers.Dense(3)], seed=1) for _ in range(2))
        for one in (model, other):
            one.compile("sgd", loss, ["accuracy"])
        with pytest.raises(ValueError, match="y: expected"):
            model.fit(X, wrong, verbose=0)
        assert model.fit(X, hot, verbose=0).history == other.fit(X, hot, verbose=0).history
