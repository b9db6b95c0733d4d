"""Areas under curves by the ranks of all scores: rare, near, or more than there is room for."""

import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sk

import evengrad as eg
from evengrad import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(12)


def over_batches(metric, y, p, w=None, size=700):
    for start in range(0, len(y), size):
        part = slice(start, start + size)
        metric.update_state(y[part], p[part], None if w is None else w[part])
    return metric.result()


def rare(rng, rows, share=1 / 2000, scale=1.0):
    """Return labels, and calibrated probabilities, of events below one in 200."""
    logits = rng.normal(np.log(share), 1.0, rows)
    p = special.expit(logits)
    return (rng.uniform(size=rows) < p).astype(int), p * scale


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_rare_events(rng, dtype, scale):
    y, p = rare(rng, 30_000, scale=scale)
    p = p.astype(dtype)
    assert 5 < y.sum() < 150
    assert p.max() < 0.2
    w = rng.uniform(size=len(y))
    assert sk.roc_auc_score(y, p) > 0.6
    for weights in (None, w):
        wanted = sk.roc_auc_score(y, p, sample_weight=weights)
        assert over_batches(metrics.AUC(), y, p, weights) == pytest.approx(wanted, rel=1e-6)
    # Evenly spaced thresholds, as in Keras, do not tell such scores apart.
    if scale < 1:
        assert metrics.AUC(200)(y, p) == pytest.approx(0.5)


@pytest.mark.parametrize("eagerly", [False, True])
def test_rare_events_in_training(rng, eagerly):
    x = rng.normal(size=(6000, 4))
    y = (rng.uniform(size=6000) < special.expit(1.5 * x[:, 0] - 7)).astype(int)
    model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(1, "sigmoid")], dtype="float64", seed=1)
    model.set_weights([np.array([[1.0], [0.0], [0.0], [0.0]]), np.array([-7.0])])
    model.compile(eg.optimizers.SGD(0.0), "binary_crossentropy", ["auc"], run_eagerly=eagerly)
    history = model.fit(x, y, epochs=2, batch_size=250, verbose=0, validation_data=(x, y)).history
    wanted = sk.roc_auc_score(y, x[:, 0])
    for name in ("auc", "val_auc"):
        assert history[name] == [pytest.approx(wanted, rel=1e-12)] * 2


def test_an_evaluation_within_an_epoch_leaves_the_epochs_scores(rng):
    x, y = rng.normal(size=(200, 4)), rng.integers(0, 2, 200)

    class Look(eg.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            del batch, logs
            self.model.evaluate(x[:50], y[:50])

    figures = []
    for callbacks in ([], [Look()]):
        model = eg.Sequential([eg.layers.Dense(1, "sigmoid")], seed=1)
        model.compile(eg.optimizers.SGD(0.0), "binary_crossentropy", ["auc"])
        history = model.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
        figures.append(history.history["auc"])
    assert figures[0] == figures[1]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("curve", ["ROC", "PR"])
@pytest.mark.parametrize("spread", [1.0, 1e-7])
def test_more_scores_than_there_is_room_for(rng, monkeypatch, curve, spread, weighted):
    """Groups of neighbours at the quantiles, however near the scores are to each other."""
    monkeypatch.setattr(metrics._scores, "ROOM", 4096)
    y = (rng.uniform(size=60_000) < 0.02).astype(int)
    p = 0.5 + spread * 0.1 * np.tanh(rng.normal(1.2 * y))
    w = rng.uniform(size=len(y)) if weighted else None
    got = over_batches(metrics.AUC(curve=curve), y, p, w)
    if curve == "ROC":
        wanted = sk.roc_auc_score(y, p, sample_weight=w)
    else:
        wanted = sk.average_precision_score(y, p, sample_weight=w)
    assert got == pytest.approx(wanted, abs=3e-4 if curve == "ROC" else 1e-3)


def test_scores_that_tie_are_exact_however_many_there_are(rng, monkeypatch):
    monkeypatch.setattr(metrics._scores, "ROOM", 4096)
    y = rng.integers(0, 2, 60_000)
    p = np.round(special.expit(rng.normal(y)) * 1000) / 1000
    w = rng.integers(1, 5, 60_000).astype(float)
    wanted = sk.roc_auc_score(y, p, sample_weight=w)
    assert over_batches(metrics.AUC(), y, p, w) == pytest.approx(wanted, rel=1e-12)


def test_every_score_is_a_threshold_of_the_curve(rng):
    y, p = rng.integers(0, 2, 200), np.round(rng.uniform(size=200) * 50) / 50
    levels = np.unique(p)
    between = (levels[1:] + levels[:-1]) / 2
    for curve in ("ROC", "PR"):
        exact = metrics.AUC(curve=curve)(y, p)
        assert exact == pytest.approx(metrics.AUC(curve=curve, thresholds=between)(y, p), rel=1e-12)


def test_infinite_scores_tie_with_each_other():
    inf = float("inf")
    y, p = [0, 1, 0, 1, 0, 1], np.array([-inf, -inf, 0.0, 1.0, inf, inf])
    finite = np.nan_to_num(p, posinf=9.0, neginf=-9.0)
    got = metrics.AUC(from_logits=True)(y, p)
    assert got == pytest.approx(sk.roc_auc_score(y, finite), rel=1e-12)


def test_what_is_held_is_what_counts(rng):
    """A snapshot takes the scores that are there, not the room, and gives them back."""
    metric = metrics.AUC(average=None)
    y, p = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    before = metric(y, p)
    held = eg.metrics._metric.held_by(metric)
    assert sum(values.size for _, values in held) == 3 * 3 + 3 * 50 * 3
    metric.reset_state()
    metric(y[::-1], p)
    for state, values in held:
        state.copy_(values)
    np.testing.assert_array_equal(metric.result(), before)


@pytest.mark.parametrize("average", [None, "micro", "macro"])
def test_what_is_saved_is_what_is_filled(rng, average):
    y, p = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    metric, other = metrics.AUC(average=average), metrics.AUC(average=average)
    figure = metric(y, p)
    other.build(3)
    saved = eg.metrics._metric.saved_by(metric)
    states = eg.metrics._metric.states_of(other)
    assert sum(values.size for values in saved) == 50 * 3 * 3 + saved[1].size
    for state, values in zip(states, saved, strict=True):
        eg.metrics._metric.fill(state, values)
    np.testing.assert_array_equal(other.result(), figure)


def test_the_states_do_not_grow_with_the_rows(rng):
    metric = metrics.AUC(average="macro")
    metric.build(10)
    before = sum(state.size for state in metric._states)
    over_batches(metric, rng.integers(0, 10, 9000), rng.dirichlet(np.ones(10), 9000))
    assert sum(state.size for state in metric._states) == before
    assert before * 8 < 4e6
