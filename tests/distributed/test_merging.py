"""What metrics of several ranks come to together, without ranks."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

import evengrad as eg
from evengrad.metrics._metric import merge, saved_by

RNG = np.random.default_rng(5)
SCORES = RNG.random(600)
LABELS = (RNG.random(600) < SCORES).astype(np.int64)
CLASSES, SHARES = RNG.integers(0, 3, 600), RNG.dirichlet(np.ones(3), 600)

METRICS = {
    "AUC": (eg.metrics.AUC, LABELS, SCORES),
    "AUC of classes": (lambda: eg.metrics.AUC(average=None), np.eye(3)[CLASSES], SHARES),
    "F1": (eg.metrics.F1Score, LABELS, SCORES),
    "confusion": (eg.metrics.ConfusionMatrix, CLASSES, SHARES),
    "R2": (eg.metrics.R2Score, SCORES * 2.0, SCORES),
    "mean": (eg.metrics.MeanSquaredError, SCORES * 2.0, SCORES),
    "function": (
        lambda: eg.metrics.from_sklearn(balanced_accuracy_score, needs="labels", max_rows=700),
        CLASSES,
        SHARES,
    ),
}


def gathered(make, y, p):
    metric = make()
    metric(y, p if p.ndim > 1 else p[:, None])
    return metric


@pytest.mark.parametrize("name", METRICS)
def test_the_figure_of_all_rows(name):
    make, y, p = METRICS[name]
    whole = gathered(make, y, p).result()
    parts = [gathered(make, y[rows], p[rows]) for rows in (slice(250), slice(250, 600))]
    states = list(map(saved_by, parts))
    for mine in parts:
        assert not np.allclose(mine.result(), whole, rtol=1e-6)
        merge(mine, states)
        np.testing.assert_allclose(mine.result(), whole, rtol=1e-12)


def test_more_scores_than_there_is_room_for():
    # Three ranks fill it: what is joined to groups stays near the exact area.
    scores = RNG.random(3 * 2**17)
    labels = (RNG.random(len(scores)) < scores).astype(np.int64)
    parts = [
        gathered(eg.metrics.AUC, y, p)
        for y, p in zip(np.split(labels, 3), np.split(scores, 3), strict=True)
    ]
    assert all(len(saved_by(one)[0][0]) == 2**17 for one in parts)
    mine = gathered(eg.metrics.AUC, labels[:3], scores[:3])
    merge(mine, list(map(saved_by, parts)))
    order = scores.argsort()
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    yes = labels.sum()
    area = (ranks[labels == 1].sum() - yes * (yes + 1) / 2) / (yes * (len(labels) - yes))
    np.testing.assert_allclose(mine.result(), area, atol=1e-5)
