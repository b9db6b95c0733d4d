"""What metrics share that look at all scores of an epoch in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad._tensor.grad_mode import no_grad
from evengrad.losses._targets import SLACK
from evengrad.metrics._classes import AveragedMetric
from evengrad.metrics._metric import OutputsMetric

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# Scores that are kept one by one, all classes together (3 MB), and of each class at least.
ROOM, LEAST_ROOM = 2**17, 2**10
# As many as numbers of float32 in [½, 1], nearly, and few enough for memory.
THRESHOLD_LIMIT = 10_000_000


class EntriesMetric(OutputsMetric):
    """A metric that keeps numbers of rows by `_core.collect_scores`, column by column."""

    def make_entries(self, columns: int, room: int) -> None:
        """Make room for so many entries of each column."""
        self.entries = self.add_state((columns, room, 3))
        self.summary = self.add_state((columns, 3))

    def reset_state(self) -> None:
        """Forget all batches."""
        # Entries that are not counted are not there.
        if self._outputs is not None:
            self.summary.copy_(np.zeros(self.summary.shape))

    def _held(self) -> list[tuple[Tensor, Array]]:
        summary = np.array(self.summary.numpy())
        # Without the room that is left, which is much for small data.
        parts = [self.entries[at, : int(count)] for at, count in enumerate(summary[:, 0])]
        filled = [(part, np.array(part.numpy())) for part in parts if part.size]
        return [(self.summary, summary), *filled]

    def _saved(self) -> list[Array]:
        summary = np.array(self.summary.numpy())
        most = int(summary[:, 0].max())
        return [np.array(self.entries[:, :most].numpy()), summary]

    def merge_states(self, states: list[list[Array]]) -> list[Array]:
        """Return the entries of all ranks, joined to groups where there is no room for each."""
        columns, room, _ = self.entries.shape
        entries, summary = np.zeros((columns, room, 3)), np.zeros((columns, 3))
        for column in range(columns):
            parts = [filled[column, : int(found[column, 0])] for filled, found, *_ in states]
            together = np.concatenate(parts)
            if len(together) > room:
                together = joined(together, room)
            entries[column, : len(together)] = together
            # The lowest and the highest, which is NaN where one was.
            bounds = np.array([found[column, 1:] for _, found, *_ in states])
            summary[column] = len(together), bounds[:, 0].min(), bounds[:, 1].max()
        return [entries, summary, *super().merge_states([others for _, _, *others in states])]


def joined(entries: Array, room: int) -> Array:
    """Return entries of one column in groups of neighbours, for which there is room."""
    kept = _core.zeros((1, room, 3), dtype="float64")
    summary = _core.zeros((1, 3), dtype="float64")
    for label, weight in ((1, entries[:, 1]), (0, entries[:, 2])):
        counted = weight > 0.0
        if counted.any():
            scores, weights = map(_core.tensor, (entries[counted, :1], weight[counted]))
            targets = _core.tensor(np.full(counted.sum(), label))
            _core.collect_scores(kept, summary, scores, targets, weights)
    found: Array = kept.numpy()[0, : int(summary.numpy()[0, 0])]
    return found


class ScoresMetric(EntriesMetric, AveragedMetric):
    """A metric of all scores: of each class its own, of one class, or of all outputs together."""

    # What is said of scores outside [0, 1].
    _fix = "end the model in a sigmoid or softmax"

    def __init__(
        self,
        num_thresholds: int | None,
        thresholds: Any,
        average: str | None,
        class_id: int | None,
        name: str | None,
    ) -> None:
        super().__init__(average, class_id, name)
        self.num_thresholds = None
        if num_thresholds is not None:
            self.num_thresholds = check_int(num_thresholds, "num_thresholds", at_least=2)
            if self.num_thresholds > THRESHOLD_LIMIT:
                raise ValueError(
                    f"num_thresholds: expected at most {THRESHOLD_LIMIT}, got {self.num_thresholds}"
                )
        self.thresholds = None
        if thresholds is not None:
            checked = [check_float(one, "thresholds", low=0.0, high=1.0) for one in thresholds]
            self.thresholds = sorted(set(checked))

    def _limits(self) -> Array | None:
        """Return the inner thresholds that were asked for; None where every score is one."""
        if self.thresholds is not None:
            return np.array(self.thresholds, dtype="float64")
        if self.num_thresholds is None:
            return None
        return np.linspace(0.0, 1.0, self.num_thresholds)[1:-1]

    def make_counts(self, outputs: int) -> None:
        """Make the room for scores."""
        together = self._joins_as(outputs) == "micro" or self._column is not None
        columns = 1 if together else outputs
        self.make_entries(columns, max(LEAST_ROOM, ROOM // columns))

    def _given(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return targets, scores (n, outputs) and n weights or None."""
        return self.flattened(y_true, y_pred, sample_weight)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch's scores."""
        with no_grad():
            targets, scores, weights = self._given(y_true, y_pred, sample_weight)
            if not _core.is_capturing():
                seen = slice(None) if weights is None else weights.numpy() != 0.0
                self._check_strayed(scores.numpy()[seen])
            if self.from_logits and self._limits() is not None:
                scores = scores.sigmoid()
            kept = self.entries, self.summary
            _core.collect_scores(*kept, scores, targets, weights, class_id=self._column)

    def _check_strayed(self, scores: Array) -> None:
        if not self.from_logits and ((scores < -SLACK) | (scores > 1.0 + SLACK)).any():
            raise ValueError(
                f"{self.name}: expected scores in [0, 1], got some outside; {self._fix}"
            )

    def _summary(self) -> Array:
        """Return what is known of each column, or raise an error for scores outside [0, 1]."""
        summary = np.array(self.summary.numpy())
        self._check_strayed(summary[:, 1:])
        return summary

    def _points(self, column: int, count: float) -> tuple[Array, Array]:
        """Return the weights of true and of false yeses as the threshold falls past each score."""
        entries = np.array(self.entries[column, : int(count)].numpy())
        return points_of(entries, self._limits())


def points_of(entries: Array, limits: Array | None) -> tuple[Array, Array]:
    """Return the weights of positives and of negatives above each threshold, from 0 to all.

    Entries are rows of a score and the weights of its positives and negatives. Thresholds lie
    between all scores that differ, or are those that are given, in rising order.
    """
    scores, positives, negatives = entries.T
    if limits is not None:
        scores = np.searchsorted(limits, np.clip(scores, 0.0, 1.0), side="left")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    if not len(falling):
        return np.zeros(1), np.zeros(1)
    true, false = (np.cumsum(part[order])[ends] for part in (positives, negatives))
    return np.concatenate([[0.0], true]), np.concatenate([[0.0], false])
