"""Cross-entropies: losses of classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad.losses._functions import function_of
from evengrad.losses._loss import BY_WEIGHT, EPSILON, Loss, combined, hide_masked, weights_for
from evengrad.losses._targets import (
    UnknownClassError,
    check_probabilities,
    check_targets_within_unit,
    first_row,
    last_column_as,
    one_hot_labels,
    refuse_nan,
    refuse_several_vectors,
    without_masked,
    yes_or_no_labels,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array, Shape
    from evengrad._core import Tensor

Reduction: TypeAlias = Literal["mean", "sum", "none"]


class CrossEntropy(Loss):
    """What the cross-entropies share: where logits come from, and how values are reduced."""

    # The number in the targets that stands for no class, where a loss has one.
    ignore_class: int | None = None
    # Rows of predictions are divided by their sums.
    _largest_share = np.inf

    def __init__(
        self,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits = check_from_logits(from_logits)
        self.label_smoothing = check_float(label_smoothing, "label_smoothing", low=0.0, high=1.0)

    def from_logits_loss(self, y_true: Tensor, logits: Tensor, weight: Tensor | None) -> Tensor:
        """Return the reduced loss of logits, as one fused operation where there are no weights."""
        if self.ignore_class is not None:
            return self._of_counted(self._from_weighted_logits, y_true, logits, weight)
        if logits.size == 0:
            return self._reduce(self._fused(y_true, logits, "none"))
        if weight is None:
            known: dict[str, Reduction] = {"sum": "sum", "none": "none"}
            return self._fused(y_true, logits, known.get(self.reduction, "mean"))
        return self._from_weighted_logits(y_true, logits, weights_for(weight, logits))

    def _from_weighted_logits(self, y_true: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
        targets, seen = hide_masked(y_true, weights), hide_masked(logits, weights)
        return self._reduce(self._fused(targets, seen, "none"), weights)

    def _of_counted(
        self, loss: Callable[..., Tensor], y_true: Tensor, y_pred: Tensor, sample_weight: Any
    ) -> Tensor:
        """Return a loss in which what stands for no class is masked, and the mean without it."""
        assert self.ignore_class is not None  # noqa: S101 - as the callers have seen
        self._check_shapes(y_true, y_pred)
        counted = counted_of(y_true, self.ignore_class, y_pred.dtype)
        weights = None if sample_weight is None else weights_for(sample_weight, y_pred)
        value = loss(y_true, y_pred, combined(counted, weights))
        if self.reduction in ("sum", "none", BY_WEIGHT):
            return value
        number = counted.sum()
        return value * (float(counted.size) / _core.where(number == 0.0, 1.0, number))

    def _fused(self, y_true: Tensor, logits: Tensor, reduction: Reduction) -> Tensor:
        raise NotImplementedError

    def _from_probabilities(self, y_true: Tensor, probabilities: Tensor) -> Tensor:
        targets = self._smoothed(y_true, probabilities)
        return -(targets * safe_log(shares(probabilities))).sum(dim=-1)

    def _smoothed(self, y_true: Tensor, like: Tensor) -> Tensor:
        """Return targets in the shape and dtype of the predictions."""
        return smoothed(y_true.astype(like.dtype), self.label_smoothing, like.shape[-1])

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        super()._check_values(y, outputs, what)
        check_targets_within_unit(y, what)

    def _check_predictions(self, p: Array) -> None:
        if not self.from_logits:
            fix = "pass from_logits=True for logits"
            check_probabilities(p, self.name, fix, self._largest_share)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return a value per row: of logits with ``from_logits=True``, else of probabilities."""
        if self.from_logits:
            return self._fused(y_true, y_pred, "none")
        return self._from_probabilities(y_true, y_pred)


class SparseCategoricalCrossentropy(CrossEntropy):
    """Cross-entropy of class numbers: −ln p[label], mean over the rows.

    In a model the loss looks at the last layer: after a softmax it works on the softmax's inputs,
    ln Σ e^z − z[label], which is exact where probabilities round to 0 or 1; after a linear layer it
    takes the outputs for logits.

    Parameters
    ----------
    from_logits
        None: look at the model; called directly, predictions are probabilities. True or False: as
        said, and an error where the model contradicts it.
    ignore_class
        A number that stands for no class, such as −1 or 255: rows or steps with it do not count.
        Their value is 0, no gradient comes from them, and the mean is over the others; 0 where
        there are no others. In a model its metrics pass them over, too; over several batches the
        loss is the mean of theirs by their rows, as in Keras.
    reduction, name
        As for every `Loss`.
    label_smoothing
        s, the share of the target that is spread evenly over the K classes, in [0, 1]:
        −Σ_k q_k · ln p_k with q = 1 − s + s / K for the label and s / K for the others.

    Raises
    ------
    TypeError
        A `from_logits` that is none of the three, an `ignore_class` that is no integer; from `fit`,
        labels that are no numbers.
    ValueError
        `label_smoothing` out of range, an unknown reduction. From a call or `fit`: labels out of
        range or not whole, shapes that do not fit; from a call alone, negative probabilities.

    Notes
    -----
    Targets: integers in [0, classes), shape (rows,) or (rows, 1). Predictions: (rows, classes). Of
    sequences, targets (rows, steps) and predictions (rows, steps, classes); the mean is over the
    steps, too. Probabilities are divided by the sum of their row, as in Keras, and those below 10⁻⁷
    count as 10⁻⁷.

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.2.2; Szegedy et al.,
    "Rethinking the Inception architecture for computer vision", 2016, for the smoothing.

    Examples
    --------
    >>> loss = eg.losses.SparseCategoricalCrossentropy()
    >>> round(loss([0, 1], [[0.9, 0.1], [0.2, 0.8]]).item(), 4)
    0.1643
    >>> loss = eg.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    >>> round(loss([0, 1, -1], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]).item(), 4)
    0.1643
    """

    fused_activation = "softmax"
    _takes_columns = True

    def __init__(
        self,
        from_logits: bool | None = None,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, name)
        self.ignore_class = check_ignore_class(ignore_class)

    def value(self, targets: Tensor, predictions: Tensor, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss of tensors whose values were checked before; see `Loss`."""
        if self.ignore_class is None:
            return super().value(targets, predictions, sample_weight)
        return self._of_counted(super().value, targets, predictions, sample_weight)

    def _each(self, targets: Tensor, predictions: Tensor) -> Tensor:
        if self.ignore_class is None:
            return super()._each(targets, predictions)
        counted = counted_of(targets, self.ignore_class, predictions.dtype)
        seen = hide_masked(targets, counted), hide_masked(predictions, counted)
        return hide_masked(super()._each(*seen), counted)

    def _fitted(self, targets: Tensor, predictions: Tensor) -> Tensor:
        fitted: Tensor = last_column_as(targets, tuple(predictions.shape[:-1]))
        return fitted

    def _fused(self, y_true: Tensor, logits: Tensor, reduction: Reduction) -> Tensor:
        return over_steps(logits, y_true.reshape(-1), reduction, self.label_smoothing)

    def _smoothed(self, y_true: Tensor, like: Tensor) -> Tensor:
        return smoothed(one_hot(y_true, like), self.label_smoothing, like.shape[-1])

    def _check_shapes(self, targets: Tensor, predictions: Tensor) -> None:
        fits = tuple(targets.shape) == tuple(predictions.shape[:-1])
        if predictions.ndim < 2 or not fits:
            raise ValueError(
                f"{self.name}: expected predictions of shape (rows, classes), or (rows, steps, "
                "classes), and a class number for each row or step, got "
                f"{tuple(predictions.shape)} and {tuple(targets.shape)}"
            )

    def check_target(
        self, y: np.ndarray[Any, Any], output_shape: tuple[int | None, ...], what: str, dtype: str
    ) -> np.ndarray[Any, Any]:
        """Return labels as int64 of shape (rows,), or (rows, steps), all in range."""
        del dtype
        classes = output_shape[-1]
        if len(output_shape) < 2 or classes is None:
            raise ValueError(
                f"{self.name}: expected a model with outputs of shape (rows, classes), got "
                f"{output_shape}"
            )
        if classes == 1:
            raise ValueError(
                f"{self.name}: expected an output for each class, two or more, got a single one; "
                'for yes and no use loss="binary_crossentropy", else give the last layer a unit '
                "for each class"
            )
        wanted = (y.shape[0], *(size or 1 for size in output_shape[1:-1]))
        named = "(rows,)" if len(wanted) == 1 else f"(rows, {', '.join(map(str, wanted[1:]))})"
        if y.shape == (*wanted, classes) and classes > 1:
            raise ValueError(
                f"{what}: expected class numbers of shape {named}, got rows of {classes} as for "
                'one-hot targets; use loss="categorical_crossentropy" or y.argmax(axis='
                f"{y.ndim - 1})"
            )
        if y.shape not in (wanted, (*wanted, 1)):
            refuse_several_vectors(y.shape, output_shape)
            raise ValueError(
                f"{what}: expected class numbers of shape {named}, got shape {y.shape}"
            )
        fitted = y.reshape(wanted)
        self._check_values(fitted, classes, what)
        return fitted.astype(np.int64)

    def class_labels(self, y: Array) -> Array:
        """Return the targets, which are class numbers."""
        return y

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        if self.ignore_class is not None:
            counted = y != self.ignore_class
            if not counted.any():
                return
            y = without_masked(y, counted)
        check_labels(y, outputs, what)


class CategoricalCrossentropy(CrossEntropy):
    """Cross-entropy of class probabilities: −Σ y · ln p, mean over the rows.

    In a model the loss looks at the last layer, as `SparseCategoricalCrossentropy` does.

    Parameters
    ----------
    from_logits
        None: look at the model; called directly, predictions are probabilities. True or False: as
        said, and an error where the model contradicts it.
    label_smoothing
        s, the share of the targets' mass that is spread evenly over the K classes, in [0, 1]:
        y · (1 − s) + s / K.
    reduction, name
        As for every `Loss`.

    Raises
    ------
    TypeError
        A `from_logits` that is none of the three; from `fit`, targets that are no numbers.
    ValueError
        `label_smoothing` out of range, an unknown reduction. From a call or `fit`: targets outside
        of [0, 1], shapes that differ; from a call alone, negative probabilities.

    Notes
    -----
    Targets and predictions: (rows, classes), or (rows, steps, classes) of sequences. Probabilities
    are divided by the sum of their row, as in Keras, and those below 10⁻⁷ count as 10⁻⁷; targets
    are taken as they are.

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.2.2; Szegedy et al.,
    "Rethinking the Inception architecture for computer vision", 2016, for the smoothing.

    Examples
    --------
    >>> loss = eg.losses.CategoricalCrossentropy()
    >>> round(loss([[1.0, 0.0]], [[0.9, 0.1]]).item(), 4)
    0.1054
    """

    fused_activation = "softmax"

    def _fused(self, y_true: Tensor, logits: Tensor, reduction: Reduction) -> Tensor:
        targets = y_true.astype(logits.dtype).reshape(-1, y_true.shape[-1])
        return over_steps(logits, targets, reduction, self.label_smoothing)

    def class_labels(self, y: Array) -> Array | None:
        """Return the class of each one-hot row."""
        return one_hot_labels(y)

    def _check_columns(self, y: Array, output_shape: Shape, what: str) -> None:
        if y.ndim == 1 and output_shape[-1] != 1:
            raise ValueError(
                f"{what}: expected one-hot rows of shape (rows, {output_shape[-1]}), got shape "
                f'{y.shape}; use loss="sparse_categorical_crossentropy", or '
                "evengrad.utils.to_categorical(y)"
            )


class BinaryCrossentropy(CrossEntropy):
    """Cross-entropy of yes and no: −y · ln p − (1 − y) · ln(1 − p), mean over all outputs.

    In a model the loss looks at the last layer: after a sigmoid it works on the sigmoid's inputs,
    max(z, 0) − z · y + ln(1 + e^(−|z|)); after a linear layer it takes the outputs for logits.

    Parameters
    ----------
    from_logits
        None: look at the model; called directly, predictions are probabilities. True or False: as
        said, and an error where the model contradicts it.
    label_smoothing
        s draws the targets towards ½: y · (1 − s) + s / 2, in [0, 1].
    reduction, name
        As for every `Loss`.
    pos_weight
        w, how much a yes counts for, as in PyTorch: −w · y · ln p − (1 − y) · ln(1 − p). One number
        above 0, or one for each output; n₀ / n₁ gives rare yeses the weight of all noes together,
        and probabilities that are too large by it. None: 1.

    Raises
    ------
    TypeError
        A `from_logits` that is none of the three, a `pos_weight` that is no number; from `fit`,
        targets that are no numbers.
    ValueError
        `label_smoothing` or `pos_weight` out of range, an unknown reduction. From a call or `fit`:
        targets outside of [0, 1], shapes that differ; from a call alone, probabilities outside of
        [0, 1].

    Notes
    -----
    Targets in [0, 1] and predictions of one shape, (rows, 1) or (rows, outputs); in a model,
    targets (rows,) are taken for (rows, 1). Probabilities within 10⁻⁷ of 0 and 1 count as that far
    from them.

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep learning", 2016, section 6.2.2; Szegedy et al.,
    "Rethinking the Inception architecture for computer vision", 2016, for the smoothing.

    Examples
    --------
    >>> loss = eg.losses.BinaryCrossentropy()
    >>> round(loss([[1.0], [0.0]], [[0.9], [0.2]]).item(), 4)
    0.1643
    """

    fused_activation = "sigmoid"
    _largest_share = 1.0

    def __init__(
        self,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        pos_weight: float | list[float] | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, name)
        self.pos_weight = None if pos_weight is None else check_pos_weight(pos_weight)

    def _smoothed(self, y_true: Tensor, like: Tensor) -> Tensor:
        return smoothed(y_true.astype(like.dtype), self.label_smoothing, 2)

    def _fused(self, y_true: Tensor, logits: Tensor, reduction: Reduction) -> Tensor:
        targets = self._smoothed(y_true, logits)
        if self.pos_weight is not None:
            # (1 − y) · z + (1 + (w − 1) · y) · ln(1 + e^(−z)).
            yes = targets * (self._factors(logits) - 1.0) + 1.0
            return reduced((1.0 - targets) * logits + yes * (-logits).softplus(), reduction)
        if reduction == "sum":
            # The sum over rows of the mean over outputs.
            values = _core.binary_cross_entropy_with_logits(logits, targets, reduction="none")
            return reduced(values, "sum")
        return _core.binary_cross_entropy_with_logits(logits, targets, reduction=reduction)

    def _from_probabilities(self, y_true: Tensor, probabilities: Tensor) -> Tensor:
        targets = self._smoothed(y_true, probabilities)
        yes = targets * safe_log(probabilities)
        if self.pos_weight is not None:
            yes = yes * self._factors(probabilities)
        no = (1.0 - targets) * safe_log(1.0 - probabilities)
        return -(yes + no)

    def _factors(self, like: Tensor) -> Tensor:
        """Return the weights of a yes, for outputs of a shape."""
        assert self.pos_weight is not None  # noqa: S101 - as the callers have seen
        weights = _core.tensor(self.pos_weight, dtype=like.dtype)
        if weights.ndim and weights.shape[0] != like.shape[-1]:
            raise ValueError(
                f"{self.name}: expected predictions of {weights.shape[0]} outputs, as pos_weight "
                f"has, got {like.shape[-1]}"
            )
        return weights

    def class_labels(self, y: Array) -> Array | None:
        """Return 0 or 1 for each row of a single output; several outputs are no classes."""
        return yes_or_no_labels(y, (0, 1))

    def _check_columns(self, y: Array, output_shape: Shape, what: str) -> None:
        if y.ndim == 1 and output_shape[-1] not in (1, None) and len(output_shape) == 2:
            raise ValueError(
                f"{what}: expected shape (rows, {output_shape[-1]}), got {y.shape}; give the last "
                'layer one unit, or use loss="sparse_categorical_crossentropy"'
            )


def check_from_logits(from_logits: bool | None) -> bool | None:
    """Return what was said about predictions, or raise a TypeError."""
    if from_logits is not None and not isinstance(from_logits, bool):
        raise TypeError(f"from_logits: expected True, False or None, got {from_logits!r}")
    return from_logits


def check_pos_weight(pos_weight: Any) -> float | list[float]:
    """Return the weight of a yes, or of that of each output, or raise an error."""
    several = hasattr(pos_weight, "__len__")
    weights = [
        check_float(one, "pos_weight", low=0.0, open_low=True, open_high=True)
        for one in (pos_weight if several else [pos_weight])
    ]
    if not weights:
        raise ValueError("pos_weight: expected a number, or one for each output, got none")
    return weights if several else weights[0]


def check_ignore_class(ignore_class: Any) -> int | None:
    """Return the number that stands for no class, or raise a TypeError."""
    if ignore_class is None:
        return None
    return check_int(ignore_class, "ignore_class", at_least=-(2**63))


def counted_of(y_true: Tensor, ignore_class: int, dtype: str) -> Tensor:
    """Return 1 for each target that is a class and 0 for those that stand for none."""
    is_class: Tensor = y_true != ignore_class
    return is_class.astype(dtype)


def over_steps(logits: Tensor, targets: Tensor, reduction: Reduction, smoothing: float) -> Tensor:
    """Return the cross-entropy of (..., classes), whose steps count as rows."""
    rows = logits if logits.ndim == 2 else logits.reshape(-1, logits.shape[-1])
    values = _core.cross_entropy(rows, targets, label_smoothing=smoothing, reduction=reduction)
    if logits.ndim == 2 or reduction == "mean":
        return values
    if reduction == "sum":
        # The sum over rows of the mean over steps.
        return values / (rows.shape[0] // max(1, logits.shape[0]))
    return values.reshape(*logits.shape[:-1])


def reduced(values: Tensor, reduction: Reduction) -> Tensor:
    """Return the mean of the elements, the sum over rows of their means, or the elements."""
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum() / (values.size // max(1, values.shape[0]))
    return values.mean()


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """Return rows of zeros with a one at each label, in the shape and dtype of `like`."""
    classes = _core.arange(like.shape[-1])
    hits: Tensor = labels.unsqueeze(-1) == classes
    return hits.astype(like.dtype)


def smoothed(targets: Tensor, smoothing: float, classes: int) -> Tensor:
    """Return targets with a share of their mass spread evenly over the classes."""
    if not smoothing:
        return targets
    return targets * (1.0 - smoothing) + smoothing / classes


def shares(probabilities: Tensor) -> Tensor:
    """Return rows divided by their sums; a row of zeros stays one."""
    total = probabilities.sum(dim=-1, keepdim=True)
    return probabilities / _core.where(total == 0.0, 1.0, total)


def safe_log(probabilities: Tensor) -> Tensor:
    """Return the logarithm of probabilities that may be 0; losses of logits need no such thing."""
    return probabilities.clamp(EPSILON, 1.0).log()


def check_labels(y: Array, classes: int, what: str) -> None:
    """Raise an error for class numbers that are not whole, or not among so many classes."""
    if y.dtype.kind not in "fiub":
        raise TypeError(
            f"{what}: expected class numbers, got dtype {y.dtype}; number the classes with "
            "np.unique(y, return_inverse=True)[1]"
        )
    if y.size == 0:
        return
    if y.dtype.kind == "f":
        check_whole(y, what)
    high = y.max()
    if y.min() < 0 or high >= classes:
        bad = (y < 0) | (y >= classes)
        fix = "number the classes from 0 with np.unique(y, return_inverse=True)[1]"
        if y.min() >= 0:
            fix = f"give the last layer {int(high) + 1} units or {fix}"
        elif bool(((y == -1) | (y == 1)).all()):
            fix = 'map −1 and 1 to 0 and 1 with (y + 1) // 2, or use one unit and loss="hinge"'
        elif high < classes:
            mark = int(y.min())
            fix = (
                f"where {mark} stands for no class, use losses.SparseCategoricalCrossentropy("
                f"ignore_class={mark}) or a sample_weight of 0; else {fix}"
            )
        raise UnknownClassError(
            f"{what}: expected class numbers in [0, {classes}), as there are {classes} outputs, "
            f"got {y[bad][0].item()!r} in row {first_row(bad)}; {fix}",
            bad,
        )


def check_whole(y: Array, what: str) -> None:
    """Raise a ValueError that names the first row whose number is not finite, or not whole."""
    refuse_nan(y, what)
    parts = y != np.floor(y)
    if parts.any():
        row = first_row(parts)
        raise ValueError(
            f"{what}: expected whole class numbers, got {y[parts][0].item()!r} in row {row}; "
            "for a regression choose a loss such as mean_squared_error"
        )


sparse_categorical_crossentropy = function_of(
    SparseCategoricalCrossentropy, "[0, 1], [[0.9, 0.1], [0.2, 0.8]]", "[0.1054, 0.2231]"
)
categorical_crossentropy = function_of(
    CategoricalCrossentropy,
    "[[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.2, 0.8]]",
    "[0.1054, 0.2231]",
)
binary_crossentropy = function_of(
    BinaryCrossentropy, "[[1.0], [0.0]], [[0.9], [0.2]]", "[0.1054, 0.2231]"
)
BCE = BinaryCrossentropy
bce = binary_crossentropy
