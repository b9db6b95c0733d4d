"""Names of columns are remembered by training, and checked wherever rows come in."""

import copy

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

pandas = pytest.importorskip("pandas")

X = np.random.default_rng(5).normal(size=(40, 3))
Y = X @ [1.0, 2.0, 3.0]
FRAME = pandas.DataFrame(X, columns=["age", "height", "weight"])
TURNED = FRAME[["height", "age", "weight"]]


def untrained():
    model = eg.Sequential([eg.Input((3,)), layers.Dense(4, "relu"), layers.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    return model


def trained(x=FRAME):
    model = untrained()
    model.fit(x, Y, verbose=0)
    return model


def other_tables():
    columns = {name: TURNED[name].tolist() for name in TURNED}
    return [
        TURNED,
        pytest.importorskip("polars").DataFrame(columns),
        pytest.importorskip("pyarrow").table(columns),
    ]


USES = {
    "evaluate": lambda model, x: model.evaluate(x, Y),
    "predict": lambda model, x: model.predict(x),
    "batches to predict": lambda model, x: model.predict(iter([X, x])),
    "batches to evaluate": lambda model, x: model.evaluate(iter([(x, Y)])),
    "fit": lambda model, x: model.fit(x, Y, verbose=0),
    "batches to fit": lambda model, x: model.fit(iter([(x, Y)]), verbose=0),
    "validation": lambda model, x: model.fit(FRAME, Y, validation_data=(x, Y), verbose=0),
    "train_on_batch": lambda model, x: model.train_on_batch(x, Y),
    "call": lambda model, x: model(x),
    "predict_mc": lambda model, x: model.predict_mc(x, 2),
    "features": lambda model, x: model.features(x),
    "find_learning_rate": lambda model, x: model.find_learning_rate(x, Y),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_another_order_is_refused_and_named(use):
    model = trained()
    before = model.get_weights()
    message = (
        "x: expected the columns of the training, columns 'age', 'height', in their order, got "
        "columns 'height', 'age'; order them by the model's feature_names_in_"
    )
    for x in other_tables():
        with pytest.raises(ValueError, match=message):
            use(model, x)
    assert all(map(np.array_equal, before, model.get_weights()))
    use(model, FRAME)
    use(model, TURNED[model.feature_names_in_])
    use(model, X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.rename(columns={"age": "Age"}), "without column 'age' and with column 'Age';"),
        (lambda x: x.assign(size=1.0, sex=0.0), "got them with columns 'size', 'sex'; choose"),
        (lambda x: x[["age"]], "got them without columns 'height', 'weight'; choose them by the"),
        (lambda x: x[["age", "height", "weight", "age"]], "got them with column 'age'; choose"),
        (lambda x: x.rename(columns={"age": "\x1b[2J"}), r"with column '\\x1b\[2J'"),
    ],
)
def test_other_names_are_refused_and_named(change, message):
    model = trained()
    with pytest.raises(ValueError, match=message):
        model.predict(change(FRAME))


def test_a_row_of_a_frame_is_no_series_of_rows():
    model = trained()
    with pytest.raises(ValueError, match=r"x: expected 3 features, got a series, .*iloc\[\[i\]\]"):
        model.predict(FRAME.iloc[0])
    with pytest.raises(ValueError, match="x: expected 3 features"):
        model(FRAME["age"])
    assert model.predict(FRAME.iloc[[0]]).shape == (1, 1)


def test_names_may_be_set_as_scikit_learn_has_them(tmp_path):
    model = trained(X)
    assert model.feature_names_in_ is None
    for names in (FRAME.columns, FRAME.columns.to_numpy(), tuple(FRAME.columns)):
        model.feature_names_in_ = names
        model.predict(FRAME)
        with pytest.raises(ValueError, match="x: expected the columns of the training"):
            model.predict(TURNED)
        model.save(tmp_path / "net.safetensors")
        again = eg.load_model(tmp_path / "net.safetensors")
        assert again.feature_names_in_ == list(FRAME.columns)


def test_what_has_no_names_is_taken_by_position():
    assert trained(X).feature_names_in_ is None
    assert trained(pandas.DataFrame(X)).feature_names_in_ is None
    assert trained(X).predict(TURNED).shape == (40, 1)
    model = trained()
    assert model.feature_names_in_ == ["age", "height", "weight"]
    np.testing.assert_array_equal(model.predict(X), model.predict(FRAME))
    model.fit(X, Y, verbose=0)
    assert model.feature_names_in_ == ["age", "height", "weight"]
    model.feature_names_in_ = None
    model.fit(TURNED, Y, verbose=0)
    assert model.feature_names_in_ == ["height", "age", "weight"]


@pytest.mark.parametrize(
    "fail",
    [
        lambda model: model.fit(FRAME, Y[:3], verbose=0),
        lambda model: model.fit(FRAME, Y, validation_data=(TURNED, Y), verbose=0),
        lambda model: model.fit(iter([(FRAME, Y[:3])]), verbose=0),
        lambda model: model.train_on_batch(FRAME, Y[:3]),
    ],
)
def test_a_training_that_does_not_begin_leaves_no_names(fail):
    model = untrained()
    with pytest.raises(ValueError, match=r"expected 40 rows|columns of the training"):
        fail(model)
    assert model.feature_names_in_ is None


def test_only_training_remembers():
    model = untrained()
    model.predict(FRAME)
    model.evaluate(FRAME, Y)
    model.find_learning_rate(FRAME, Y)
    assert model.feature_names_in_ is None
    for train in (
        lambda model: model.fit(iter([(FRAME, Y)]), verbose=0),
        lambda model: model.train_on_batch(FRAME, Y),
    ):
        model = untrained()
        train(model)
        assert model.feature_names_in_ == ["age", "height", "weight"]


def test_each_input_has_names_of_its_own():
    a, b = eg.Input((2,), name="a"), eg.Input((1,), name="b")
    model = eg.Model([a, b], layers.Dense(1)(layers.Concatenate()([a, b])))
    model.compile("sgd", "mse")
    model.fit([X[:, :2], FRAME[["weight"]]], Y, verbose=0)
    assert model.feature_names_in_ == [None, ["weight"]]
    model.fit({"a": FRAME[["age", "height"]], "b": X[:, 2:]}, Y, verbose=0)
    assert model.feature_names_in_ == [["age", "height"], ["weight"]]
    with pytest.raises(ValueError, match=r"x\[0\]: expected the columns .* in their order"):
        model.predict([FRAME[["height", "age"]], FRAME["weight"]])
    with pytest.raises(ValueError, match=r"x\[1\]: .* without column 'weight' and with"):
        model.predict([X[:, :2], FRAME[["age"]]])
    model.predict([X[:, :2], FRAME["age"]])


def test_names_go_along_with_copies_and_files(tmp_path):
    model = trained()
    model.save(tmp_path / "m.safetensors")
    for same in (
        eg.load_model(tmp_path / "m.safetensors"),
        copy.deepcopy(model),
        model.clone(),
        model.fold_batch_norm(),
    ):
        assert same.feature_names_in_ == model.feature_names_in_
        with pytest.raises(ValueError, match="in their order"):
            same.predict(TURNED)
    assert eg.models.clone_model(model).feature_names_in_ is None
    trained(X).save(tmp_path / "plain.safetensors")
    assert b"feature_names" not in (tmp_path / "plain.safetensors").read_bytes()


def test_damaged_names_in_a_file(tmp_path):
    model = trained()
    for damaged in ([1, 2, 3], "age", [["age", 2]], {"age": 1}):
        model.feature_names_in_ = damaged
        model.save(tmp_path / "m.safetensors")
        with pytest.raises(eg.FileFormatError, match="feature_names"):
            eg.load_model(tmp_path / "m.safetensors")


def test_a_transformer_checks_the_names_of_its_fit():
    sklearn = pytest.importorskip("evengrad.sklearn")
    for model in (trained(X), trained()):
        extractor = sklearn.FeatureExtractor(model).fit(FRAME)
        assert extractor.feature_names_in_.tolist() == ["age", "height", "weight"]
        with pytest.raises(ValueError, match="in their order, got columns 'height', 'age'"):
            extractor.transform(TURNED)
        extractor.transform(FRAME)
