"""Rows that `validation_split` holds out: shares of classes, ties, and what counts as a class."""

# ruff: noqa: ARG001 - functions have the signatures that they are called with

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.training._classes import classes_of, split_rows


def held_rows(y, loss, units, share=0.2, seed=0, **options):
    """Return which rows `fit` validates on, as the predictions of a model that repeats its row."""
    seen = []

    def remember(y_true, y_pred):
        seen.append(y_pred.numpy()[:, 0].copy())
        return y_pred[:, 0]

    kernel = np.zeros((1, units))
    kernel[:, 0] = 1.0
    model = eg.Sequential([eg.Input((1,)), layers.Dense(units)], seed=seed, dtype="float64")
    model.set_weights([kernel, np.zeros(units)])
    model.compile(eg.optimizers.SGD(0.0), loss, [remember], run_eagerly=True)
    x = np.arange(len(y), dtype="float64")[:, None]
    arguments = {"batch_size": len(y), "verbose": 0, "shuffle": False}
    model.fit(x, y, validation_split=share, **arguments, **options)
    return np.round(seen[1]).astype(int)


SPARSE = "sparse_categorical_crossentropy"


def test_ties_are_the_seed_s():
    y = np.repeat(np.arange(100), 4)
    found = [set(y[held_rows(y, SPARSE, 100, seed=seed)]) for seed in range(6)]
    # A class gives one row or none, and which ones do is drawn.
    assert all(len(classes) == 80 for classes in found)
    assert len(set(map(frozenset, found))) == 6
    assert set.union(*found) == set(range(100))
    assert all(np.mean(list(classes)) == pytest.approx(49.5, abs=6) for classes in found)
    again = set(y[held_rows(y, SPARSE, 100, seed=3)])
    assert again == found[3]


def test_each_class_gives_its_share_and_training_keeps_one():
    rng = np.random.default_rng(0)
    for _ in range(50):
        sizes = rng.integers(1, 40, rng.integers(2, 30))
        labels = rng.permutation(np.repeat(np.arange(len(sizes)) * 3 - 5, sizes))
        rows, share = len(labels), rng.uniform(0.1, 0.5)
        count = round(rows * share)
        if not 0 < count < rows:
            continue
        train, held = split_rows(rows, share, 1, True, labels)
        np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(rows))
        assert len(held) == count
        given = np.array([(labels[held] == label).sum() for label in np.unique(labels)])
        parts = sizes * (count / rows)
        assert (abs(given - parts) < 1 + 1e-9).all()
        if count <= (np.maximum(sizes - 1, 0)).sum() and share < 0.4:
            assert set(labels[train]) == set(labels)


def test_remainders_are_compared_exactly():
    # In floats 14 · 0.2 leaves less than 4 · 0.2, although both leave ⅘: ties for the seed.
    labels = np.repeat([0, 1, 2], [4, 14, 2])
    seen = {
        tuple(np.bincount(labels[split_rows(20, 0.2, seed, True, labels)[1]], minlength=3))
        for seed in range(40)
    }
    assert seen == {(1, 3, 0)}
    labels = np.repeat([0, 1], [5, 5])
    seen = {
        tuple(np.bincount(labels[split_rows(10, 0.3, seed, True, labels)[1]])) for seed in range(20)
    }
    assert seen == {(1, 2), (2, 1)}


def test_many_classes():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(100_000), 3))
    train, held = split_rows(len(labels), 1 / 3, 0, True, labels)
    np.testing.assert_array_equal(np.bincount(labels[held]), np.ones(100_000))
    assert len(train) == 200_000


@pytest.mark.parametrize("low", [0, -3, 10**15])
def test_classes_of_any_numbers(low):
    labels = np.array([[3, 3, 0], [7, 0, 3]]) + low
    classes, codes = classes_of(labels)
    assert (classes - low).tolist() == [0, 3, 7]
    np.testing.assert_array_equal(codes, [[1, 1, 0], [2, 0, 1]])


@pytest.mark.parametrize("loss", ["mse", "mae", "poisson", lambda y, p: (p[:, 0] - y).square()])
def test_amounts_are_no_classes(loss):
    # Whole numbers, each once: as classes, all ties, the lowest would be held out.
    y = np.arange(1, 401)
    rows = held_rows(y, loss, 1)
    assert y[rows].mean() == pytest.approx(200.5, abs=40)
    expected = split_rows(400, 0.2, 0, True, None)[1]
    np.testing.assert_array_equal(rows, expected)
    # Asked for, they are taken for classes.
    assert len(held_rows(y // 4, loss, 1, validation_stratify=True)) == 80


@pytest.mark.parametrize(
    ("loss", "units", "targets"),
    [
        (SPARSE, 2, lambda y: y),
        ("categorical_crossentropy", 2, lambda y: np.eye(2)[y]),
        ("categorical_hinge", 2, lambda y: np.eye(2)[y]),
        ("binary_crossentropy", 1, lambda y: y * 1.0),
        ("binary_focal_crossentropy", 1, lambda y: y[:, None]),
        ("hinge", 1, lambda y: 2.0 * y - 1),
        ("squared_hinge", 1, lambda y: y),
    ],
)
def test_what_a_loss_reads_as_classes_keeps_its_shares(loss, units, targets):
    y = np.arange(200) % 10 == 3
    for seed in range(5):
        rows = held_rows(targets(y.astype(int)), loss, units, seed=seed)
        assert y[rows].sum() == 4
    free = [
        y[
            held_rows(targets(y.astype(int)), loss, units, seed=seed, validation_stratify=False)
        ].sum()
        for seed in range(8)
    ]
    assert len(set(free)) > 1


@pytest.mark.parametrize(
    ("loss", "units", "y"),
    [
        ("mse", 1, np.linspace(0, 1, 40)),
        ("binary_crossentropy", 2, np.ones((40, 2))),
        ("kl_divergence", 2, np.full((40, 2), 0.5)),
    ],
)
def test_shares_of_no_classes_cannot_be_asked_for(loss, units, y):
    with pytest.raises(ValueError, match="validation_stratify: expected targets that are classes"):
        held_rows(y, loss, units, validation_stratify=True)
