"""Data for the battery: scikit-learn's bundled tables and seeded numbers, split by seed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets


class Split(NamedTuple):
    """Rows to train on and rows to validate on."""

    x: Any
    y: Any
    validation_x: Any
    validation_y: Any


def split(x: np.ndarray, y: np.ndarray, seed: int, rows: int | None = None) -> Split:
    """Shuffle by seed; three quarters train, or so many rows."""
    order = np.random.default_rng(seed).permutation(len(x))
    at = rows if rows is not None else 3 * len(x) // 4
    train, rest = order[:at], order[at:]
    return Split(x[train], y[train], x[rest], y[rest])


def standardized(x: np.ndarray) -> np.ndarray:
    """Return features of mean 0 and deviation 1; constant ones stay 0."""
    std = x.std(axis=0)
    scaled: np.ndarray = (x - x.mean(axis=0)) / np.where(std > 0, std, 1.0)
    return scaled.astype("float32")


def digits(seed: int, *, scale: str = "unit", rows: int | None = 1200) -> Split:
    """Return 8 × 8 images in ten classes: pixels 0 to 1, or standardized, or raw (0 to 16)."""
    x, y = datasets.load_digits(return_X_y=True)
    scaled = {"unit": x / 16, "standardized": standardized(x), "raw": x}[scale]
    return split(scaled.astype("float32"), y, seed, rows)


def wine(seed: int, *, scaled: bool = True) -> Split:
    """Return 13 measurements of 178 wines in three classes; unscaled, some reach 1700."""
    x, y = datasets.load_wine(return_X_y=True)
    return split(standardized(x) if scaled else x.astype("float32"), y, seed)


def cancer(seed: int, *, scaled: bool = True) -> Split:
    """Return 30 measurements of 569 tumours in two classes; unscaled, some reach 4000."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return split(standardized(x) if scaled else x.astype("float32"), y, seed)


def diabetes(seed: int, *, scaled: bool = True) -> Split:
    """Return ten standardized measurements of 442 patients, and a number of 25 to 346 or scaled."""
    x, y = datasets.load_diabetes(return_X_y=True)
    target = standardized(y[:, None]) if scaled else y[:, None].astype("float32")
    return split(standardized(x), target, seed)


def sine(seed: int, *, features: int = 8, rows: int = 1200) -> Split:
    """Return a smooth function of standardized features with a little noise."""
    rng = np.random.default_rng(1000 + seed)
    x = rng.normal(size=(rows, features)).astype("float32")
    y = np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + 0.1 * rng.normal(size=(rows, 1))
    return split(x, y.astype("float32"), seed)


def moons(seed: int, *, rows: int = 800) -> Split:
    """Return two interlocked half circles, which no straight line parts."""
    x, y = datasets.make_moons(rows, noise=0.15, random_state=seed)
    return split(standardized(x), y, seed)


def sequences(seed: int, *, steps: int = 20, features: int = 3, rows: int = 800) -> Split:
    """Return series of numbers, and whether the sum of the first feature is positive."""
    rng = np.random.default_rng(2000 + seed)
    x = rng.normal(size=(rows, steps, features)).astype("float32")
    return split(x, (x[:, :, 0].sum(axis=1) > 0).astype("int64"), seed)


def tokens(seed: int, *, words: int = 50, steps: int = 12, rows: int = 800) -> Split:
    """Return rows of word numbers, and whether more than half are of the lower half."""
    rng = np.random.default_rng(3000 + seed)
    x = rng.integers(0, words, size=(rows, steps))
    return split(x, (2 * (x < words // 2).sum(axis=1) > steps).astype("int64"), seed)


def blobs(seed: int, *, features: int = 20, classes: int = 4, rows: int = 800) -> Split:
    """Return Gaussian clouds, standardized, that overlap a little."""
    x, y = datasets.make_blobs(
        rows, n_features=features, centers=classes, cluster_std=4.0, random_state=seed
    )
    return split(standardized(x), y, seed)
