"""What the classifier and the regressor share beyond scikit-learn's perceptrons."""

# ruff: noqa: ARG002 - methods have the signatures that they are called with

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import evengrad as eg
from evengrad.sklearn import DenseClassifier, DenseRegressor, ModelMeta

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4))
CLASSES = np.array(["no", "perhaps", "yes"])[np.digitize(X[:, 0], [-0.5, 0.5])]
NUMBERS = X @ [1.0, -2.0, 0.0, 0.5]
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}


def fitted(kind=DenseClassifier, y=CLASSES, **arguments):
    return kind(**{**SMALL, **arguments}).fit(X, y)


def layers_of(estimator):
    return [type(layer).__name__ for layer in estimator.model_.layers]


def state_of(estimator):
    """Return what is known after a fit, with copies of all weights."""
    known = {name: value for name, value in vars(estimator).items() if name != "model_"}
    return known, [coef.tolist() for coef in estimator.coefs_]


# ---- architecture


def test_each_hidden_layer_may_have_its_own_activation_norm_and_dropout():
    net = fitted(
        hidden_layer_sizes=(6, 5, 4),
        activation=["elu", "logistic", eg.layers.LeakyReLU(0.2)],
        norm=["batch", None, "layer"],
        dropout=[0.0, 0.5, 0.1],
    )
    assert layers_of(net) == ["Dense", "Dense", "Dropout", "Dense", "Dropout", "Dense"]
    dense = [layer for layer in net.model_.layers if isinstance(layer, eg.layers.Dense)]
    assert [layer.final_activation for layer in dense[:2]] == ["elu", "sigmoid"]
    assert isinstance(dense[0].norm, eg.layers.BatchNormalization)
    assert isinstance(dense[2].norm, eg.layers.LayerNormalization)
    # A norm takes the bias out again.
    assert [layer.bias is None for layer in dense] == [True, False, True, False]
    assert [b.tolist() for b in net.intercepts_[::2]] == [[0.0] * 6, [0.0] * 4]
    with pytest.raises(ValueError, match="dropout: expected one value, or one for each of the 2"):
        fitted(hidden_layer_sizes=(3, 3), dropout=[0.1])


def test_a_layer_given_as_norm_is_a_pattern_that_fit_leaves_alone():
    norm = eg.layers.BatchNormalization(momentum=0.5)
    first, second = fitted(norm=norm), fitted(norm=norm)
    assert not norm.built
    used = [net.model_.layers[0].norm for net in (first, second)]
    assert used[0] is not used[1]
    assert used[0].momentum == 0.5


def test_first_values_follow_scikit_learn_for_its_activations_and_ours_for_others():
    theirs = MLPClassifier(**{**SMALL, "learning_rate_init": 1e-30}).fit(X, CLASSES)
    ours = fitted(learning_rate_init=1e-30)
    for one, other in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    selu = fitted(activation="selu", hidden_layer_sizes=(2000,), learning_rate_init=1e-30)
    # LeCun's normal law has a variance of 1 / inputs; biases are 0.
    assert selu.coefs_[0].std() == pytest.approx(0.5, rel=0.05)
    assert np.abs(selu.intercepts_[0]).max() < 1e-20
    ones = fitted(kernel_initializer="ones", learning_rate_init=1e-30, alpha=0.0)
    np.testing.assert_allclose(ones.coefs_[0], 1.0)


def test_a_constraint_and_a_penalty_of_the_users_hold_for_kernels():
    net = fitted(kernel_constraint=eg.constraints.MaxNorm(0.1), learning_rate_init=0.1)
    assert np.linalg.norm(net.coefs_[0], axis=0).max() <= 0.1 + 1e-9
    penalty = eg.regularizers.L1(0.3)
    net = fitted(kernel_regularizer=penalty, alpha=1e6)
    assert [type(layer.kernel_regularizer) for layer in net.model_.layers] == [type(penalty)] * 2


def test_a_function_makes_the_model():
    seen = []

    def make(meta):
        seen.append(meta)
        layers = [eg.layers.Dense(4, "relu"), eg.layers.Dense(meta.n_outputs, "softmax")]
        return eg.Sequential([eg.Input((meta.n_features,)), *layers], dtype=meta.dtype)

    first, second = fitted(model=make), fitted(model=make)
    assert seen[0] == ModelMeta(4, 3, "multiclass", 3, "float64")
    # First values follow from `random_state`.
    np.testing.assert_array_equal(first.coefs_[0], second.coefs_[0])
    assert (first.coefs_[0] != fitted(model=make, random_state=1).coefs_[0]).any()
    assert first.predict_proba(X).shape == (60, 3)
    with pytest.raises(TypeError, match="model: expected a function that returns a model"):
        fitted(model=lambda _: "net")


# ---- solvers


@pytest.mark.parametrize("solver", ["adamw", "rmsprop", "nadam", eg.optimizers.Lion(0.001)])
def test_any_optimizer_solves(solver):
    net = fitted(solver=solver, learning_rate_init=0.001)
    name = solver if isinstance(solver, str) else "lion"
    assert type(net.model_.optimizer).__name__.lower() == name
    assert net.model_.optimizer.learning_rate == 0.001
    again = clone(net).fit(X, CLASSES)
    np.testing.assert_array_equal(again.coefs_[0], net.coefs_[0])


def test_a_schedule_and_clipping_reach_the_optimizer():
    schedule = eg.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    optimizer = fitted(schedule=schedule, clipnorm=0.5).model_.optimizer
    assert optimizer.learning_rate(10) == pytest.approx(0.05)
    assert optimizer.clipnorm == 0.5
    with pytest.raises(ValueError, match="schedule, clipnorm: expected with the name of a solver"):
        fitted(solver=eg.optimizers.Adam(), schedule=schedule)
    with pytest.raises(ValueError, match="solver: unknown name 'adm'; did you mean 'adam'"):
        fitted(solver="adm")


def test_lbfgs_refuses_what_it_has_no_use_for():
    with pytest.raises(ValueError, match='dropout: expected 0 with solver="lbfgs"'):
        fitted(solver="lbfgs", dropout=0.1)
    with pytest.raises(ValueError, match='schedule: expected None with solver="lbfgs"'):
        fitted(solver="lbfgs", schedule=eg.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))
    for callback in (
        eg.callbacks.ReduceLROnPlateau("loss"),
        eg.callbacks.TerminateOnNaN(),
        eg.callbacks.GradientDoctor(),
        eg.callbacks.LambdaCallback(on_train_batch_end=print),
    ):
        with pytest.raises(ValueError, match=f"^callbacks: {type(callback).__name__} acts on"):
            fitted(solver="lbfgs", callbacks=[callback])
    with pytest.raises(TypeError, match="callbacks: expected evengrad"):
        fitted(solver="lbfgs", callbacks=["log"])


class Heard(eg.callbacks.Callback):
    """Notes what it hears, with the weights at the end of each epoch."""

    def __init__(self, stops_after=None):
        self.stops_after = stops_after
        self.calls, self.weights, self.losses = [], [], []

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("end", epoch))
        self.losses.append(logs["loss"])
        self.weights.append(self.model.get_weights())
        if epoch == self.stops_after:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.calls.append("end")


def test_callbacks_hear_of_each_iteration_of_lbfgs():
    heard = Heard()
    net = fitted(solver="lbfgs", max_iter=5, callbacks=[heard])
    epochs = [call for epoch in range(5) for call in (epoch, ("end", epoch))]
    assert heard.calls == ["begin", *epochs, "end"]
    assert heard.losses == net.history_.history["loss"]
    assert net.n_iter_ == heard.params["epochs"] == 5
    assert heard.losses[-1] == net.loss_
    alone = fitted(solver="lbfgs", max_iter=5)
    for one, other, last in zip(
        net.model_.get_weights(), alone.model_.get_weights(), heard.weights[-1], strict=True
    ):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, last)


def test_a_callback_ends_lbfgs():
    heard = Heard(stops_after=2)
    net = fitted(solver="lbfgs", max_iter=50, callbacks=heard)
    assert net.n_iter_ == len(net.history_.epoch) == 3
    assert heard.calls[-2:] == [("end", 2), "end"]
    assert net.loss_ == heard.losses[-1]
    for one, last in zip(net.model_.get_weights(), heard.weights[-1], strict=True):
        np.testing.assert_array_equal(one, last)


def test_an_error_of_a_callback_leaves_lbfgs_and_others_hear_of_the_end():
    class Broken(eg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise OSError("full")

    heard = Heard()
    with pytest.raises(OSError, match="full"):
        fitted(solver="lbfgs", callbacks=[heard, Broken()])
    assert heard.calls == ["begin", 0, ("end", 0), "end"]


# ---- when it ends


class Counting(eg.callbacks.Callback):
    """Counts the epochs that it hears of."""

    epochs = 0

    def on_epoch_end(self, *_):
        self.epochs += 1


def test_callbacks_hear_of_each_epoch_and_may_end_the_training():
    counting = Counting()
    net = fitted(callbacks=[counting], max_iter=5)
    assert counting.epochs == net.n_iter_ == 5
    stop = eg.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    assert fitted(callbacks=stop, max_iter=50).n_iter_ == 2


def test_blocks_of_epochs_end_where_single_epochs_would():
    known = {"max_iter": 300, "tol": 0.01, "n_iter_no_change": 4, "learning_rate_init": 0.01}
    blocks, singly = fitted(**known), fitted(callbacks=[Counting()], **known)
    assert blocks.n_iter_ == singly.n_iter_ < 300
    assert blocks.loss_curve_ == singly.loss_curve_
    np.testing.assert_array_equal(blocks.coefs_[0], singly.coefs_[0])


def test_held_out_rows_give_curves_and_the_best_weights():
    known = {"early_stopping": True, "validation_fraction": 0.3, "max_iter": 30}
    known["learning_rate_init"] = 0.1
    net = fitted(**known)
    assert len(net.validation_scores_) == len(net.validation_loss_curve_) == net.n_iter_
    assert net.history_.history["val_loss"] == net.validation_loss_curve_
    assert net.best_validation_score_ == max(net.validation_scores_)
    last = fitted(restore_best_weights=False, **known)
    assert last.validation_scores_ == net.validation_scores_
    assert (last.coefs_[0] != net.coefs_[0]).any()


def test_another_figure_may_decide():
    known = {"early_stopping": True, "max_iter": 300, "learning_rate_init": 0.05, "tol": 0.02}
    by_loss = fitted(monitor="val_loss", n_iter_no_change=3, **known)
    losses = np.array(by_loss.validation_loss_curve_)
    # The first epoch whose loss and the three before did not fall by `tol` below the best.
    waits, best = 0, np.inf
    for end, loss in enumerate(losses, 1):  # noqa: B007 - it is looked at afterwards
        waits = waits + 1 if loss > best - 0.02 else 0
        best = min(best, loss)
        if waits > 3:
            break
    assert by_loss.n_iter_ == end < 300
    with pytest.raises(ValueError, match="monitor: no figure 'val_loss'; there are loss"):
        fitted(monitor="val_loss")


def test_three_classes_are_held_out_by_their_shares():
    y = np.repeat([0, 1, 2], [40, 14, 6])
    held = []

    class Noting(eg.callbacks.Callback):
        def on_test_batch_end(self, *heard):
            held.append(heard)

    net = fitted(y=y, early_stopping=True, validation_fraction=0.5, max_iter=1, callbacks=Noting())
    assert held
    # Half of a class that nobody tells apart is right or wrong as a whole.
    assert round(net.validation_scores_[0] * 30) in {20, 7, 3, 27, 23, 10, 30}


# ---- data


def test_sparse_rows_are_those_they_stand_for():
    sparse = scipy.sparse.csr_array(np.where(np.abs(X) > 0.5, X, 0.0))
    for arguments in ({}, {"solver": "lbfgs"}, {"early_stopping": True}):
        net = DenseClassifier(**SMALL, **arguments)
        found = net.fit(sparse, CLASSES).predict_proba(sparse)
        np.testing.assert_allclose(
            found, clone(net).fit(sparse.toarray(), CLASSES).predict_proba(sparse.toarray())
        )
    net.set_params(early_stopping=False)
    np.testing.assert_allclose(
        clone(net).partial_fit(sparse, CLASSES, classes=["no", "perhaps", "yes"]).coefs_[0],
        clone(net).partial_fit(sparse.toarray(), CLASSES, classes=np.unique(CLASSES)).coefs_[0],
    )


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [
        ("float32", "auto", "float32"),
        ("float64", "auto", "float64"),
        ("int64", "auto", "float64"),
        ("float64", "float32", "float32"),
    ],
)
def test_the_dtype_is_that_of_the_data_or_as_asked(given, asked, expected):
    net = DenseRegressor(dtype=asked, **SMALL).fit((10 * X).astype(given), NUMBERS)
    assert net.model_.dtype == expected == net.predict(X).dtype


def test_threads_are_bounded_within_calls_alone():
    before, seen = eg.get_num_threads(), []

    class Looking(eg.callbacks.Callback):
        def on_epoch_end(self, *_):
            seen.append(eg.get_num_threads())

    fitted(n_threads=1, callbacks=Looking())
    assert set(seen) == {1}
    assert eg.get_num_threads() == before


def test_threads_are_bounded_in_logits_and_deviations_too():
    seen = set()

    class Looking(eg.layers.Layer):
        def call(self, x):
            seen.add(eg.get_num_threads())
            return x

    def net(meta):
        layers = [eg.layers.Dropout(0.1), Looking(), eg.layers.Dense(meta.n_outputs)]
        return eg.Sequential(layers)

    classifier = fitted(model=net, n_threads=1)
    regressor = fitted(DenseRegressor, NUMBERS, model=net, n_threads=1)
    for predict in (classifier.decision_function, lambda x: regressor.predict(x, return_std=True)):
        seen.clear()
        predict(X)
        assert seen == {1}


# ---- what is left after an error


class Failing(eg.callbacks.Callback):
    """Raises an error after an epoch."""

    def on_epoch_end(self, *_):
        raise RuntimeError("no more")


def test_a_failed_first_fit_leaves_nothing():
    net = DenseClassifier(callbacks=[Failing()], **SMALL)
    before = dict(vars(net))
    with pytest.raises(RuntimeError, match="no more"):
        net.fit(X, CLASSES)
    assert vars(net) == before
    with pytest.raises(NotFittedError):
        net.predict(X)
    assert not hasattr(net, "coefs_")
    assert not hasattr(net, "classes_")


@pytest.mark.parametrize("how", ["fit", "warm", "partial_fit", "data"])
def test_a_failed_later_fit_leaves_what_there_was(how):
    net = fitted(warm_start=how == "warm")
    net.partial_fit(X, CLASSES)
    known, weights = state_of(net)
    slots = [s.tolist() for s in net.model_.optimizer.slots(net.model_.layers[0].kernel).values()]
    predicted = net.predict_proba(X)
    if how == "data":
        with pytest.raises(ValueError, match="NaN"):
            net.partial_fit(np.full_like(X, np.nan), CLASSES)
    else:
        net.callbacks = [Failing()]
        with pytest.raises(RuntimeError, match="no more"):
            net.partial_fit(X, CLASSES) if how == "partial_fit" else net.fit(X, CLASSES)
        net.callbacks = None
    after, weights_after = state_of(net)
    assert after == known
    assert weights_after == weights
    np.testing.assert_array_equal(net.predict_proba(X), predicted)
    kept = net.model_.optimizer.slots(net.model_.layers[0].kernel).values()
    assert [s.tolist() for s in kept] == slots


def test_partial_fit_leaves_what_there_was_where_weights_become_infinite():
    net = fitted(DenseRegressor, NUMBERS, solver="sgd")
    _, weights = state_of(net)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        net.partial_fit(X * 1e200, NUMBERS)
    assert state_of(net)[1] == weights


# ---- what becomes of it


def test_lists_of_weights_are_copies_that_may_be_assigned():
    net = fitted()
    with pytest.raises(ValueError, match="read-only"):
        net.coefs_[0][0, 0] = 1.0
    net.coefs_ = [np.zeros_like(coef) for coef in net.coefs_]
    net.intercepts_ = [np.zeros(5), np.log([1.0, 2.0, 5.0])]
    np.testing.assert_allclose(net.predict_proba(X[:1]), [[1 / 8, 2 / 8, 5 / 8]])


@pytest.mark.parametrize("kind", [DenseClassifier, DenseRegressor])
def test_pickles_and_skops_keep_a_fitted_estimator_that_goes_on(kind):
    skops_io = pytest.importorskip("skops.io")
    y = CLASSES if kind is DenseClassifier else NUMBERS
    net = fitted(kind, y, dropout=0.1, solver="sgd")
    written = skops_io.dumps(net)
    trusted = skops_io.get_untrusted_types(data=written)
    copies = [pickle.loads(pickle.dumps(net)), skops_io.loads(written, trusted=trusted)]  # noqa: S301 - what was just written
    expected = net.predict(X)
    net.partial_fit(X, y)
    for copy in copies:
        np.testing.assert_array_equal(copy.predict(X), expected)
        copy.partial_fit(X, y)
        np.testing.assert_array_equal(copy.coefs_[0], net.coefs_[0])


def test_diagnosis_report_and_file_of_a_fitted_estimator(tmp_path):
    net = fitted(hidden_layer_sizes=(5, 5))
    assert net.diagnose(X, CLASSES, steps=2).findings is not None
    net.report(tmp_path / "run.html", X, CLASSES)
    assert "Confusion matrix" in (tmp_path / "run.html").read_text(encoding="utf-8")
    net.report(tmp_path / "plain.html")
    runtime = pytest.importorskip("onnxruntime")
    net.to_onnx(tmp_path / "net.onnx")
    session = runtime.InferenceSession(tmp_path / "net.onnx")
    name = session.get_inputs()[0].name
    (found,) = session.run(None, {name: X.astype("float32")})
    np.testing.assert_allclose(found, net.predict_proba(X), atol=1e-5)
    for method in ("diagnose", "report", "to_onnx"):
        with pytest.raises(NotFittedError):
            getattr(DenseClassifier(), method)(*[tmp_path / "no"] * (2 - (method != "diagnose")))


def test_it_stands_in_pipelines_and_shows_itself():
    pipeline = make_pipeline(StandardScaler(), DenseClassifier(**SMALL)).fit(X, CLASSES)
    assert pipeline.predict(X).shape == (60,)
    assert "DenseClassifier" in pipeline._repr_html_()
    assert repr(DenseClassifier(dropout=0.5)) == "DenseClassifier(dropout=0.5)"


def test_weights_are_routed():
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        net = DenseClassifier(**SMALL).set_fit_request(sample_weight=True)
        net.set_partial_fit_request(sample_weight=True, classes=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, net)
        weights = np.arange(60.0)
        pipeline.fit(X, CLASSES, sample_weight=weights)
    scaled = StandardScaler().fit_transform(X)
    alone = DenseClassifier(**SMALL).fit(scaled, CLASSES, sample_weight=weights)
    np.testing.assert_array_equal(pipeline[-1].coefs_[0], alone.coefs_[0])


def test_the_model_stands_by_itself(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd"))
    net = DenseClassifier(norm="batch", **SMALL).fit(frame, CLASSES)
    net.model_.save(tmp_path / "net.safetensors")
    loaded, copied = eg.load_model(tmp_path / "net.safetensors"), eg.Model.from_sklearn(net)
    for model in (loaded, copied):
        assert model is not net.model_
        assert model.feature_names_in_ == list("abcd")
        outputs = model.predict(frame, verbose=0)
        np.testing.assert_allclose(outputs, net.predict_proba(frame))
        np.testing.assert_array_equal(model.classes_[outputs.argmax(axis=1)], net.predict(frame))
    with pytest.raises(ValueError, match="dtype: expected 'float64'"):
        eg.Model.from_sklearn(net, "float32")


def test_columns_first_and_threads_change_no_bit():
    sparse = scipy.sparse.csc_matrix(np.where(np.abs(X) > 0.5, X, 0.0))
    for rows in (sparse, np.asfortranarray(X)):
        dense = np.ascontiguousarray(rows.toarray() if scipy.sparse.issparse(rows) else rows)
        net = DenseClassifier(n_threads=1, **SMALL).fit(rows, CLASSES)
        np.testing.assert_allclose(net.predict_proba(rows), net.predict_proba(dense))
        again = DenseClassifier(**SMALL).fit(dense, CLASSES)
        np.testing.assert_allclose(again.predict_proba(dense), net.predict_proba(dense))
