"""Every loss, found by looking, and batches that suit them."""

import numpy as np

from evengrad import losses

# Other names of a class are left out.
NAMES = sorted(
    name
    for name, thing in vars(losses).items()
    if isinstance(thing, type) and issubclass(thing, losses.Loss)
    if thing is not losses.Loss and thing.__name__ == name
)

# Those whose value is of a batch, not of a row at a time.
OF_BATCHES = ("Circle", "Dice", "Tversky")
OF_ROWS = [name for name in NAMES if name not in OF_BATCHES]


def embeddings(rng, rows, width):
    """Return class numbers, and vectors of length 1."""
    vectors = rng.normal(size=(rows, width))
    return np.arange(rows) % 2, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def binary(rng, rows, width):
    """Return targets of 0 and 1, and probabilities."""
    return rng.integers(0, 2, (rows, width)) * 1.0, rng.uniform(0.1, 0.9, (rows, width))


def labelled(rng, rows, width):
    """Return class numbers, and rows of shares."""
    shares = rng.dirichlet(np.ones(width), rows)
    return rng.integers(0, width, rows), shares


def amounts(rng, rows, width):
    """Return numbers above 0, targets far from it."""
    return rng.uniform(1.0, 2.0, (rows, width)), rng.exponential(size=(rows, width)) + 0.1


def means_and_variances(rng, rows, width):
    """Return numbers, and means and logarithms of variances."""
    del width
    return rng.normal(size=(rows, 2)), rng.normal(size=(rows, 4))


# Targets and predictions of what is neither of classes, by name, nor of any numbers.
BATCHES = {
    "CategoricalGeneralizedCrossEntropy": labelled,
    "Circle": embeddings,
    "Dice": binary,
    "GaussianNegativeLogLikelihood": means_and_variances,
    "MeanAbsolutePercentageError": amounts,
    "MeanSquaredLogarithmicError": amounts,
    "Poisson": lambda rng, rows, width: (
        rng.poisson(2.0, (rows, width)) * 1.0,
        rng.uniform(0.5, 3.0, (rows, width)),
    ),
    "SparseCategoricalCrossentropy": labelled,
    "Tversky": binary,
}


def batch(name, rng, rows=6, width=3):
    """Return targets and predictions that suit a loss."""
    if name in BATCHES:
        return BATCHES[name](rng, rows, width)
    if name.startswith("Binary"):
        return binary(rng, rows, width)
    labels, shares = labelled(rng, rows, width)
    if name.startswith("Categorical"):
        return np.eye(width)[labels], shares
    if name == "KLDivergence":
        return rng.dirichlet(np.ones(width), rows), shares
    signs, numbers = rng.choice([-1.0, 1.0], (rows, width)), rng.normal(size=(rows, width))
    return (signs if "Hinge" in name else numbers), rng.normal(size=(rows, width))
