"""Operations as functions, with PyTorch's names and order of arguments.

Functions of single numbers stand here too, so that ``from evengrad import functional as F`` is all
that a model written by hand needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad._tensor import nonlinear as _nonlinear
from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.nonlinear import *
from evengrad._tensor.normalization import layer_norm
from evengrad._tensor.random import generator, next_seed

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad._tensor.conversion import TensorLike

__all__ = [
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "layer_norm",
    "linear",
    "log_softmax",
    "mse_loss",
    "softmax",
]
__all__ += _nonlinear.__all__

Reduction: TypeAlias = Literal["mean", "sum", "none"]
REDUCTIONS: tuple[Reduction, ...] = ("mean", "sum", "none")


def _reduction(name: str) -> Reduction:
    """Return a reduction, or raise an error that names the nearest one."""
    choose(name, REDUCTIONS, "reduction")
    return cast("Reduction", name)


def linear(input: TensorLike, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply by a kernel and add a bias: input · weight + bias.

    Parameters
    ----------
    input
        Shape (..., in).
    weight
        The kernel, shape (in, out): Keras' layout, the transpose of PyTorch's.
    bias
        Shape (out,), or None.

    Returns
    -------
    Tensor
        Shape (..., out).

    Raises
    ------
    ValueError
        The shapes do not fit together.

    Examples
    --------
    >>> w = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> eg.functional.linear([[1.0, 1.0]], w, eg.tensor([0.5, 0.5])).tolist()
    [[4.5, 6.5]]
    """
    return _core.dense(as_tensor(input), weight, bias)


def softmax(input: TensorLike, dim: int = -1) -> Tensor:
    """Turn scores into shares that sum to one: e^x / Σ e^x, with the largest x subtracted first.

    Parameters
    ----------
    input
        Any shape.
    dim
        The dimension along which the shares sum to one.

    Returns
    -------
    Tensor
        As `input` in shape and dtype.

    Examples
    --------
    >>> eg.functional.softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    return _core.softmax(as_tensor(input), dim)


def log_softmax(input: TensorLike, dim: int = -1) -> Tensor:
    """Return the logarithm of the softmax, accurate where shares are tiny: x − ln Σ e^x.

    Parameters
    ----------
    input
        Any shape.
    dim
        The dimension of the sum.

    Returns
    -------
    Tensor
        As `input` in shape and dtype.

    Examples
    --------
    >>> eg.functional.log_softmax([[1000.0, 0.0]]).tolist()
    [[0.0, -1000.0]]
    """
    return _core.log_softmax(as_tensor(input), dim)


def cross_entropy(
    input: TensorLike, target: TensorLike, reduction: str = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """Return the softmax cross-entropy of logits: ln Σ e^z − z_target.

    Parameters
    ----------
    input
        Logits, shape (rows, classes).
    target
        Class numbers, shape (rows,), or probabilities in the shape of `input`.
    reduction
        ``"mean"`` over the rows, ``"sum"``, or ``"none"`` for a value per row.
    label_smoothing
        Share of the target's mass that is spread evenly over all classes, in [0, 1].

    Returns
    -------
    Tensor
        One element, or shape (rows,) with ``reduction="none"``.

    Raises
    ------
    ValueError
        Shapes do not fit, a label is out of range, an unknown reduction.

    Examples
    --------
    >>> eg.functional.cross_entropy([[0.0, 0.0], [0.0, 0.0]], [0, 1]).item()
    0.6931471824645996
    """
    smoothing = check_float(label_smoothing, "label_smoothing", low=0.0, high=1.0)
    return _core.cross_entropy(
        as_tensor(input),
        as_tensor(target),
        label_smoothing=smoothing,
        reduction=_reduction(reduction),
    )


def binary_cross_entropy_with_logits(
    input: TensorLike, target: TensorLike, reduction: str = "mean"
) -> Tensor:
    """Return the logistic cross-entropy of logits: max(z, 0) − z·y + ln(1 + e^(−|z|)).

    Parameters
    ----------
    input
        Logits z, any shape.
    target
        Probabilities y in the same shape.
    reduction
        ``"mean"`` over all elements, ``"sum"``, or ``"none"`` for a value per element.

    Returns
    -------
    Tensor
        One element, or the shape of `input` with ``reduction="none"``.

    Raises
    ------
    ValueError
        The shapes differ, an unknown reduction.

    Examples
    --------
    >>> eg.functional.binary_cross_entropy_with_logits([0.0, 100.0], [1.0, 0.0]).item()
    50.34657287597656
    """
    return _core.binary_cross_entropy_with_logits(
        as_tensor(input), as_tensor(target), reduction=_reduction(reduction)
    )


def mse_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """Return the squared error: (input − target)².

    Parameters
    ----------
    input, target
        Of one shape; nothing is broadcast.
    reduction
        ``"mean"`` over all elements, ``"sum"``, or ``"none"`` for a value per element.

    Returns
    -------
    Tensor
        One element, or the shape of `input` with ``reduction="none"``.

    Raises
    ------
    ValueError
        The shapes differ, an unknown reduction.

    Examples
    --------
    >>> eg.functional.mse_loss([1.0, 2.0], [0.0, 4.0]).item()
    2.5
    """
    return _core.mse_loss(as_tensor(input), as_tensor(target), reduction=_reduction(reduction))


def dropout(input: TensorLike, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero a random share of the elements and scale the others: input · mask / (1 − p).

    Each call draws anew, from the stream that `utils.set_random_seed` starts. Inside
    `evengrad.compile` every replay draws anew too.

    Parameters
    ----------
    input
        Any shape.
    p
        The share that is zeroed, in [0, 1]; with 1 all outputs and gradients are 0.
    training
        Where False, the input is returned as it is.

    Returns
    -------
    Tensor
        As `input` in shape and dtype.

    Raises
    ------
    ValueError
        `p` outside [0, 1).

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Examples
    --------
    >>> eg.utils.set_random_seed(1)
    >>> sorted(set(eg.functional.dropout(eg.ones((100,)), 0.5).tolist()))
    [0.0, 2.0]
    """
    x = as_tensor(input)
    rate = check_float(p, "p", low=0.0, high=1.0)
    if not training or rate == 0.0:
        return x
    return _core.dropout(x, rate, generator(next_seed(), "dropout"))


def batch_norm(
    input: TensorLike,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize every feature: weight · (input − mean) / √(variance + eps) + bias.

    In training mean and (biased) variance are those of the batch, and the running statistics move
    in place: running ← running · (1 − momentum) + batch · momentum, with the unbiased variance.
    Otherwise they are the running statistics.

    Parameters
    ----------
    input
        Shape (rows, features), or (rows, features, ...) where all dimensions but the second are
        the batch.
    running_mean, running_var
        Shape (features,); both may be None in training.
    weight, bias
        Shape (features,); 1 and 0 where None.
    training
        Whether to normalize by the batch.
    momentum
        The weight of the new statistics: PyTorch's, 1 − that of `layers.BatchNormalization`.
    eps
        Added to the variance.

    Returns
    -------
    Tensor
        As `input` in shape and dtype.

    Raises
    ------
    ValueError
        The shapes do not fit; in training, fewer than two values per feature; otherwise, running
        statistics are missing.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift", 2015.

    Examples
    --------
    >>> mean, variance = eg.zeros((1,), dtype="float64"), eg.ones((1,), dtype="float64")
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> eg.functional.batch_norm(x, mean, variance, training=True).numpy().round(3).ravel().tolist()
    [-1.342, -0.447, 0.447, 1.342]
    >>> round(mean.item(), 4), round(variance.item(), 4)
    (0.15, 1.0667)
    """
    x = as_tensor(input)
    if x.ndim < 2:
        raise ValueError(
            f"input: expected shape (rows, features) or (rows, features, ...), got {x.shape}"
        )
    rate = check_float(momentum, "momentum", low=0.0, high=1.0)
    last = x.transpose(1, -1)
    rows = last.reshape(-1, x.shape[1])
    if training and rows.shape[0] < 2:
        raise ValueError(
            "input: expected more than one value per feature to train with, got shape "
            f"{x.shape}; pass more rows, or training=False"
        )
    output = _core.batch_norm(
        rows,
        weight,
        bias,
        running_mean,
        running_var,
        training=training,
        rate=rate,
        unbiased=True,
        epsilon=eps,
    )
    return output.reshape(*last.shape).transpose(1, -1)
