"""Pairs of rows of the same class and of different ones, half and half in each batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evengrad._common.arrays import as_array
from evengrad._common.checks import check_int, plural
from evengrad._common.config import suggests_keywords
from evengrad._common.row_readers import reader_for
from evengrad._tensor.random import check_seed, generator, next_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    Array = np.ndarray[Any, Any]

# As the exercise has them; some write them the other way round.
SAME, DIFFERENT = 0.0, 1.0


class Pairs(NamedTuple):
    """Numbers of rows on both sides, and 0 for each pair of one class, 1 for the others."""

    left: Array
    right: Array
    labels: Array


class PairSampler:
    """Draws pairs of rows by their classes: those of an epoch follow from its number and a seed."""

    def __init__(self, y: Any, seed: int, what: str = "y") -> None:
        classes = np.asarray(y)
        if classes.ndim == 2 and classes.shape[1] == 1:
            classes = classes[:, 0]
        if classes.ndim != 1:
            raise ValueError(
                f"{what}: expected a class for each row, got shape {classes.shape}; of one-hot "
                f"targets pass {what}.argmax(axis=1)"
            )
        self.seed, self.rows = seed, len(classes)
        # Rows sorted by class: those of a class lie side by side.
        self.order = np.argsort(classes, kind="stable")
        _, counts = np.unique(classes, return_counts=True)
        if len(counts) == 1 or counts.max(initial=0) < 2:
            raise ValueError(
                f"{what}: expected two classes, and two rows or more of one, as no row is paired "
                f"with itself, got {plural(self.rows, 'row')} of {len(counts)} classes"
            )
        self.starts = np.repeat(np.cumsum(counts) - counts, counts)
        self.counts = np.repeat(counts, counts)
        self.paired = np.flatnonzero(self.counts > 1)

    def draw(self, epoch: int, batches: int, batch_size: int) -> Pairs:
        """Return the pairs of so many batches, one after the other."""
        half, stream = batch_size // 2, generator(self.seed, f"pairs/{epoch}")

        def below(count: Any) -> Array:
            # Whole numbers from 0 to below these, for half of all pairs.
            chances: Array = stream.uniform((batches, half), dtype="float64").numpy()
            return np.asarray(chances * count).astype(np.int64)

        first = self.paired[below(len(self.paired))]
        starts, counts = self.starts[first], self.counts[first]
        second = starts + (first - starts + 1 + below(counts - 1)) % counts
        other = below(self.rows)
        starts, counts = self.starts[other], self.counts[other]
        stranger = (starts + counts + below(self.rows - counts)) % self.rows
        # Which half comes first in a batch is no clue to the other.
        mixed = np.argsort(stream.uniform((batches, batch_size), dtype="float64").numpy(), axis=1)

        def joined(one: Array, two: Array) -> Array:
            return np.take_along_axis(np.concatenate([one, two], axis=1), mixed, axis=1).ravel()

        labels = joined(np.full(first.shape, SAME), np.full(first.shape, DIFFERENT))
        left, right = joined(first, other), joined(second, stranger)
        return Pairs(self.order[left], self.order[right], labels.astype(np.float32))


def check_pairs(batch_size: Any) -> int:
    """Return a number of pairs that has a half."""
    size = check_int(batch_size, "batch_size", at_least=2)
    if size % 2:
        raise ValueError(
            f"batch_size: expected an even number, half of the pairs being of one class, got {size}"
        )
    return size


class PairBatches:
    """Batches of pairs, drawn anew in each pass; ``len`` is the batches of one."""

    def __init__(self, x: Any, sampler: PairSampler, batch_size: int, steps: int) -> None:
        self.batch_size = batch_size
        self._x, self._sampler, self._steps = x, sampler, steps
        # The pass, and the batches of it that were used; whether the next one goes on there.
        self._epoch, self._batch, self._goes_on = 0, 0, False

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[tuple[list[Array], Array]]:
        if self._batch and not self._goes_on:
            # The last pass was left early.
            self._epoch, self._batch = self._epoch + 1, 0
        size, self._goes_on = self.batch_size, False
        pairs = self._sampler.draw(self._epoch, self._steps, size)
        for start in range(self._batch * size, self._steps * size, size):
            chosen = slice(start, start + size)
            batch = [np.asarray(self._x[side[chosen]]) for side in (pairs.left, pairs.right)]
            self._advance()
            yield batch, pairs.labels[chosen]

    def _advance(self) -> None:
        self._batch += 1
        if self._batch == self._steps:
            self._epoch, self._batch = self._epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Return the place: the pass, and the batches of it that were used."""
        return {"epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to a place that `state_dict` returned: the next pass begins there."""
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])
        self._goes_on = True


@suggests_keywords
def pair_batches(
    x: Any, y: Any, batch_size: int = 200, *, steps: int | None = None, seed: int | None = None
) -> PairBatches:
    """Return batches of pairs of rows to tell apart: of one class, label 0, or of two, label 1.

    Half of the pairs of every batch are of one class, in mixed order: a batch of one kind alone
    teaches nothing. The first row of a pair is drawn from all, the second from those of its class,
    or of the other classes; no row is paired with itself. Each pass draws anew. For `Model.fit`
    of a model with two inputs; `pairs` trains such a model, and quicker.

    Labels are those of the exercise's text; some solutions have 1 for pairs of one class.

    Parameters
    ----------
    x
        Rows, as an array or what can be asked for rows by their numbers.
    y
        The class of each row: numbers or text.
    batch_size
        Pairs in a batch, an even number. Few pairs show too little of what makes rows alike, and a
        training may not start.
    steps
        Batches in a pass; by default as many as make a pair for each row, at least 1.
    seed
        What is drawn follows from it; by default drawn from `evengrad.utils.set_random_seed`.

    Returns
    -------
    PairBatches
        An iterable of ``([left, right], labels)``, with labels (batch_size,) and a length. Its
        ``state_dict`` and ``load_state_dict`` have checkpoints of `Model.fit` keep the place in it.

    Raises
    ------
    ValueError
        One class alone, or no class with two rows; an odd `batch_size`; x and y of different
        lengths.

    References
    ----------
    Géron, "Hands-On Machine Learning with Scikit-Learn and TensorFlow", 2017, chapter 11,
    exercise 10.

    Examples
    --------
    >>> x, y = np.arange(6)[:, None], np.array([0, 0, 0, 1, 1, 1])
    >>> for (left, right), label in eg.pretrain.pair_batches(x, y, batch_size=4, steps=2, seed=1):
    ...     same = y[left[:, 0]] == y[right[:, 0]]
    ...     print(sorted(label.tolist()), bool((label == ~same).all()))
    [0.0, 0.0, 1.0, 1.0] True
    [0.0, 0.0, 1.0, 1.0] True
    """
    rows: Any = reader_for(x)
    rows = as_array(x, "x") if rows is None else rows
    sampler = PairSampler(y, next_seed() if seed is None else check_seed(seed, "seed"))
    check_rows(rows, sampler, "x", "y")
    size = check_pairs(batch_size)
    count = steps_for(sampler.rows, size) if steps is None else steps
    return PairBatches(rows, sampler, size, check_int(count, "steps", at_least=1))


def check_rows(rows: Any, sampler: PairSampler, x: str, y: str) -> None:
    """Raise an error where rows and classes are not as many."""
    if len(rows) != sampler.rows:
        raise ValueError(f"{y}: expected {plural(len(rows), 'row')} as in {x}, got {sampler.rows}")


def steps_for(rows: int, batch_size: int) -> int:
    """Return how many batches make a pair for each row."""
    return max(1, rows // batch_size)
