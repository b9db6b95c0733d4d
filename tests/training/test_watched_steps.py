"""Watched steps: the same bits as others, and figures as NumPy has them."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import _core
from evengrad._tensor.activations import offered
from evengrad.callbacks import Callback
from evengrad.health._series import Series
from evengrad.layers._dense import FUSED
from evengrad.training._data_facts import moments_of

layers = eg.layers


class Collector(Callback):
    def __init__(self, every=1):
        self.watch_every = every
        self.series = Series()

    def _on_watched(self, observed):
        self.series.add(observed)


def data(rows=100, features=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def chain():
    return eg.Sequential(
        [
            eg.Input((6,)),
            layers.Dense(8, "relu"),
            layers.Dense(8, "tanh", norm=layers.BatchNormalization()),
            layers.Dropout(0.3),
            layers.Dense(2, "softmax"),
        ],
        seed=4,
    )


def blocks():
    block = layers.Residual([layers.Dense(6, "relu"), layers.Dense(6)])
    return eg.Sequential([eg.Input((6,)), block, layers.Dense(2)], seed=4)


def branches():
    x = eg.Input((6,))
    shared = layers.Dense(6, "elu")
    both = layers.Concatenate()([shared(x), shared(shared(x)), layers.GaussianNoise(0.1)(x)])
    return eg.Model(x, layers.Dense(2, "softmax")(both), seed=4)


def recurrent():
    steps = layers.Reshape((3, 2))
    return eg.Sequential([eg.Input((6,)), steps, layers.LSTM(5), layers.Dense(2)], seed=4)


def noise_always():
    x = eg.Input((6,))
    noisy = layers.Dropout(0.5)(layers.Dense(8, "relu")(x), training=True)
    return eg.Model(x, layers.Dense(2, "softmax")(noisy), seed=4)


MODELS = [chain, blocks, branches, recurrent, noise_always]


def trained(make, callbacks, source="arrays", **settings):
    model = make()
    model.compile(
        eg.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"], **settings
    )
    x, y = data()
    if source == "batches":
        x, y = [(x[at : at + 16], y[at : at + 16]) for at in range(0, 100, 16)], None
    arguments = {"batch_size": 16} if source == "arrays" else {}
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=callbacks, **arguments)
    slots = [
        np.array(slot.numpy())
        for weight in model.trainable_weights
        for slot in model.optimizer.slots(weight).values()
    ]
    return history.history, model.get_weights() + slots


@pytest.mark.parametrize("source", ["arrays", "batches"])
@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("every", [1, 3, "auto"])
def test_watching_changes_no_bit(make, every, source):
    plain, watched = trained(make, [], source), trained(make, [Collector(every)], source)
    assert plain[0] == watched[0]
    for ours, theirs in zip(plain[1], watched[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_steps_are_watched_as_asked_for():
    for every, source in [(1, "arrays"), (4, "arrays"), (4, "batches")]:
        collector = Collector(every)
        trained(chain, [collector], source)
        examination = collector.series.examination()
        # 7 steps an epoch, of which the last one has 4 rows.
        assert examination.steps.tolist() == list(range(0, 21, every))
        assert examination.epochs.tolist() == [step // 7 for step in range(0, 21, every)]


def test_figures_are_those_of_a_step_by_hand():
    x, y = data(rows=32)
    targets = np.stack([1.0 - y, y], axis=1)
    make = lambda: eg.Sequential(  # noqa: E731 - short
        [
            eg.Input((6,)),
            layers.Dense(7, "sigmoid", dtype="float64"),
            layers.Dense(5, "relu", dtype="float64"),
            layers.Dense(2, dtype="float64"),
        ],
        seed=2,
        dtype="float64",
    )
    model, rate = make(), 0.1
    model.compile(eg.optimizers.SGD(rate), "mse")
    (w1, b1, w2, b2, w3, b3) = weights = model.get_weights()
    collector = Collector()
    model.fit(x, targets, batch_size=32, shuffle=False, verbose=0, callbacks=[collector])
    examination = collector.series.examination()
    z1 = x.astype(np.float64) @ w1 + b1
    a1 = 1 / (1 + np.exp(-z1))
    z2 = a1 @ w2 + b2
    a2 = np.maximum(z2, 0)
    out = a2 @ w3 + b3
    d3 = 2 * (out - targets) / targets.size
    d2 = (d3 @ w3.T) * (z2 > 0)
    d1 = (d2 @ w2.T) * a1 * (1 - a1)
    measured = {name: column[0] for name, column in examination.measures.items()}
    biases = [np.linalg.norm(delta.sum(axis=0)) for delta in (d1, d2, d3)]
    np.testing.assert_allclose(measured["bias_gradient"], biases, rtol=1e-9)
    units = np.sqrt([7, 5, 2])
    np.testing.assert_allclose(measured["speed"], biases / units, rtol=1e-9)
    kernels = [x.T @ d1, a1.T @ d2, a2.T @ d3]
    norms = [np.linalg.norm(one) for one in kernels]
    np.testing.assert_allclose(measured["kernel_gradient"], norms, rtol=1e-6)
    ratios = [rate * norm / np.linalg.norm(w) for norm, w in zip(norms, (w1, w2, w3), strict=True)]
    np.testing.assert_allclose(measured["update_ratio"], ratios, rtol=1e-6)
    for name, of in [("preactivation", (z1, z2, out)), ("activation", (a1, a2, out))]:
        means, stds = [one.mean() for one in of], [one.std() for one in of]
        np.testing.assert_allclose(measured[f"{name}_mean"], means, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(measured[f"{name}_std"], stds, rtol=1e-6)
    outside = ((a1 <= 0.05) | (a1 >= 0.95)).mean()
    np.testing.assert_allclose(measured["saturated"], [outside, np.nan, np.nan])
    np.testing.assert_allclose(measured["inactive"], [np.nan, (z2 <= 0).mean(), np.nan])
    np.testing.assert_allclose(measured["non_finite"], 0.0)
    spread = np.sqrt(a1.var(axis=0).mean()) / np.sqrt((a1**2).mean())
    assert measured["row_spread"][0] == pytest.approx(spread, rel=1e-6)
    spread = a1.mean(axis=0).std() / np.sqrt((a1**2).mean())
    assert measured["unit_spread"][0] == pytest.approx(spread, rel=1e-6)
    loss = ((out - targets) ** 2).mean()
    assert examination.loss[0] == pytest.approx(loss, rel=1e-9)
    parts = [*biases, *norms]
    assert examination.gradient_norm[0] == pytest.approx(np.linalg.norm(parts), rel=1e-6)
    assert examination.learning_rate.tolist() == [rate]
    assert len(weights) == len(parts)


def test_what_takes_no_bias_learns_at_the_speed_of_its_mean_gradient():
    x, y = data(rows=32)
    model = eg.Sequential(
        [eg.Input((6,)), layers.Dense(4, use_bias=False), layers.Dense(1)], seed=2
    )
    model.compile(eg.optimizers.SGD(0.0), "mse")
    collector = Collector()
    model.fit(x, y.astype(np.float32), batch_size=32, verbose=0, callbacks=[collector])
    w1, w2, b2 = model.get_weights()
    error = 2 * ((x @ w1) @ w2 + b2 - y[:, None]) / 32
    expected = np.linalg.norm((error @ w2.T).sum(axis=0)) / 2
    speed = collector.series.examination().measures["speed"][0]
    assert speed[0] == pytest.approx(expected, rel=1e-4)


def test_a_layer_that_is_frozen_within_training_has_no_update():
    class Freeze(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            del logs
            if epoch == 1:
                self.model.layers[0].trainable = False

    collector = Collector()
    trained(chain, [Freeze(), collector])
    ratios = collector.series.examination().measures["update_ratio"][:, 0]
    assert (ratios[:7] > 0).all()
    assert not np.nan_to_num(ratios[7:]).any()


def test_moments_of_the_data_are_those_of_its_finite_numbers():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(50, 4)) * [1.0, 1e-6, 1e3, 0.0] + [0.0, 1e4, -5.0, 3.0]).astype("float32")
    mean, std, count = moments_of(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, exact.std(axis=0), rtol=1e-9, atol=1e-12)
    assert count == 0
    x[3, 0], x[7, 2], x[8, 2] = np.nan, np.inf, -np.inf
    mean, std, count = moments_of(x)
    assert count == 3
    for column in range(4):
        known = x[np.isfinite(x[:, column]), column].astype(np.float64)
        assert mean[column] == pytest.approx(known.mean(), rel=1e-12)
        assert std[column] == pytest.approx(known.std(), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name, one in offered().items() if FUSED.get(id(one))])
def test_a_dense_layer_in_two_launches_has_the_bits_of_one(name, dtype):
    function = offered()[name]
    rng = np.random.default_rng(0)
    for rows, features, units in [(32, 30, 20), (20, 100, 100), (1, 5, 7)]:
        arrays = [rng.normal(size=shape) for shape in [(rows, features), (features, units), units]]
        weight = eg.tensor(rng.normal(size=(rows, units)), dtype=dtype)
        found = []
        for activation in (FUSED[id(function)], None):
            tensors = [eg.tensor(array, dtype=dtype, requires_grad=True) for array in arrays]
            output = _core.dense(*tensors, activation=activation)
            if activation is None:
                output = function(output)
            (output * weight).sum().backward()
            found.append([output.detach(), *(tensor.grad for tensor in tensors)])
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def watched_by(every, optimizer, source="arrays", epochs=3, others=()):
    model = chain()
    model.compile(optimizer, "sparse_categorical_crossentropy")
    x, y = data()
    given = {"batch_size": 16}
    if source == "batches":
        x, y = [(x[at : at + 16], y[at : at + 16]) for at in range(0, 100, 16)], None
        given = {}
    collector = Collector(every)
    model.fit(x, y, epochs=epochs, verbose=0, callbacks=[*others, collector], **given)
    return collector.series


@pytest.mark.parametrize("source", ["arrays", "batches"])
def test_loss_and_rate_of_every_step_are_kept_whichever_are_watched(source):
    schedule = eg.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    all_of_them = watched_by(1, eg.optimizers.SGD(schedule), source)
    some = watched_by(5, eg.optimizers.SGD(schedule), source)
    course = some.course.columns
    assert course["step"].tolist() == list(range(21))
    np.testing.assert_array_equal(course["loss"], all_of_them.columns["loss"])
    np.testing.assert_allclose(course["learning_rate"], [schedule(step) for step in range(21)])
    watched = slice(0, 21, 5)
    np.testing.assert_array_equal(some.columns["loss"], course["loss"][watched])
    np.testing.assert_array_equal(some.columns["learning_rate"], course["learning_rate"][watched])


def test_the_rate_of_a_step_is_the_one_that_it_took():
    class Lower(Callback):
        def on_epoch_end(self, epoch, logs=None):
            del logs
            self.model.optimizer.learning_rate = 0.1 / 10 ** (epoch + 1)

    rates = watched_by(3, eg.optimizers.SGD(0.1), others=[Lower()]).course.columns["learning_rate"]
    np.testing.assert_allclose(rates, np.repeat([0.1, 0.01, 0.001], 7))


@pytest.mark.parametrize("source", ["arrays", "batches"])
def test_clipping_by_the_norm_of_all_is_known_of_every_step(source):
    limit = 0.3
    some = watched_by(4, eg.optimizers.SGD(0.1, global_clipnorm=limit), source)
    course, sampled = some.course.columns, some.columns
    assert len(course["gradient_norm"]) == 21
    watched = slice(0, 21, 4)
    np.testing.assert_allclose(
        course["gradient_norm"][watched], sampled["gradient_norm"], rtol=1e-5
    )
    left = np.minimum(1.0, limit / course["gradient_norm"])
    np.testing.assert_allclose(course["clipped"], left, rtol=1e-6)
    np.testing.assert_array_equal(course["clipped"][watched], sampled["clipped"])
    assert (left < 1).any()


@pytest.mark.parametrize("clipping", [{"clipnorm": 0.05}, {"clipvalue": 0.01}])
def test_what_other_clipping_leaves_is_measured_in_watched_steps(clipping):
    x, y = data(rows=32)
    model = eg.Sequential([eg.Input((6,)), layers.Dense(5, "tanh"), layers.Dense(1)], seed=3)
    model.compile(eg.optimizers.SGD(0.1, **clipping), "mse")
    collector = Collector()
    gradients = eg.autograd.grad(
        eg.losses.MeanSquaredError()(eg.tensor(y[:, None].astype("float32")), model(x)),
        model.trainable_weights,
    )
    given = [gradient.numpy().astype(np.float64) for gradient in gradients]
    if "clipnorm" in clipping:
        left = [g * min(1.0, 0.05 / np.linalg.norm(g)) for g in given]
    else:
        left = [np.clip(g, -0.01, 0.01) for g in given]
    norm = [np.sqrt(sum((g**2).sum() for g in both)) for both in (left, given)]
    model.fit(x, y, batch_size=32, epochs=2, verbose=0, callbacks=[collector])
    columns = collector.series.columns
    assert columns["gradient_norm"][0] == pytest.approx(norm[1], rel=1e-5)
    assert columns["clipped"][0] == pytest.approx(norm[0] / norm[1], rel=1e-5)
    # Of gradients that are accumulated nothing is known.
    model.compile(eg.optimizers.SGD(0.1, gradient_accumulation_steps=2, **clipping), "mse")
    collector = Collector()
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[collector])
    assert np.isnan(collector.series.columns["clipped"]).all()
    assert collector.series.columns["step"].tolist() == [0, 0, 1, 1]


def test_units_that_die_are_counted_epoch_by_epoch_however_often_python_looks(monkeypatch):
    monkeypatch.setattr("evengrad.training._watching.BETWEEN_VISITS", 1e9)
    looks = []

    class Looks(Collector):
        def _on_watched(self, observed):
            looks.append([lives.epoch for lives in observed.lived])
            super()._on_watched(observed)

    model = chain()
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = data()
    model.fit(x, y, batch_size=16, epochs=12, verbose=0, callbacks=[Looks()])
    assert looks == [list(range(12))]


def test_of_many_watched_steps_those_evenly_apart_are_samples(monkeypatch):
    monkeypatch.setattr("evengrad.training._watching.MOST_SAMPLES", 16)
    # Python looks after each epoch of seven steps.
    monkeypatch.setattr("evengrad.training._watching.BETWEEN_VISITS", 0.0)
    series = watched_by(1, eg.optimizers.SGD(0.1), epochs=20)
    steps, every = series.columns["step"], series.course.columns
    assert (steps[0], steps[-1]) == (0, 139)
    assert (np.diff(steps) >= 1).all()
    # At first all are, then fewer and fewer of each epoch, and its last one.
    assert steps[:14].tolist() == list(range(14))
    assert steps[-4:].tolist() == [126, 132, 133, 139]
    # Of the steps between samples the norm of the gradient is known all the same.
    assert every["step"].tolist() == list(range(140))
    np.testing.assert_allclose(every["gradient_norm"][steps], series.columns["gradient_norm"])
    assert np.isfinite(every["gradient_norm"]).all()
