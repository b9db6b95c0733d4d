"""Batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core, constraints, initializers, regularizers
from evengrad._common.checks import check_float
from evengrad._common.config import beyond
from evengrad._common.names import choose
from evengrad._tensor.grad_mode import no_grad
from evengrad.layers._activation import check_axis
from evengrad.layers._call_context import call_context
from evengrad.layers._masked_normalization import masked_batch_norm
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad._common.choices import Choice
    from evengrad._core import Tensor


# What a convention sets where nothing is passed.
CONVENTIONS: dict[str, dict[str, Any]] = {
    "keras": {"momentum": 0.99, "epsilon": 1e-3, "scale": True},
    "torch": {"momentum": 0.1, "epsilon": 1e-5, "scale": True},
    "tf1": {"momentum": 0.999, "epsilon": 1e-3, "scale": False},
}


class BatchNormalization(SameShape):
    """Give every feature mean 0 and variance 1 over the batch: gamma · x̂ + beta.

    x̂ = (x − mean) / √(variance + epsilon). While training, mean and (biased) variance are those of
    the batch, and the moving statistics follow them: moving ← moving · momentum + batch · (1 −
    momentum). In inference, and where the layer is frozen with ``trainable = False``, they are the
    moving statistics, and nothing changes.

    Parameters
    ----------
    momentum
        The weight of the old moving statistics, in [0, 1]; that of the new ones under
        ``convention="torch"``. Where an epoch has fewer than 100 batches, 0.9 follows them better
        than the default.
    epsilon
        Added to the variance; 0 or more.
    center
        Whether there is an offset, `beta`.
    scale
        Whether there is a factor, `gamma`. A ReLU or a linear layer that follows makes it
        superfluous.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer
        A name from `evengrad.initializers`, an initializer, or a function of shape and dtype.
    convention
        Whose definition and defaults hold. ``"keras"``: momentum 0.99, epsilon 0.001, the moving
        variance is biased (divisor rows). ``"torch"``: momentum 0.1 as the weight of the new value,
        epsilon 1e-5, the moving variance is unbiased (divisor rows − 1), and a batch of one row is
        an error. ``"tf1"``: momentum 0.999, epsilon 0.001, no `gamma`, unbiased.
    axis
        The dimension of the features; not 0, the rows.
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint
        As those of `Dense`, for offset and factor.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `momentum` or `epsilon` out of bounds, `axis` 0, an unknown name. From a call: the dimension
        of the features is missing, or differs from the one that the layer was built for; in
        training, no row, or one under ``convention="torch"``.

    Notes
    -----
    Input and output (..., features); all dimensions but `axis` are the batch, without the steps
    that a mask leaves out. Variables, of shape
    (features,): `gamma`, `beta`, and the statistics `moving_mean` and `moving_variance`, which are
    not trainable but are saved. A batch of one row has x̂ = 0 in training, so that the output is
    beta. A layer before this one needs no bias.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift", 2015.

    Examples
    --------
    >>> layer = eg.layers.BatchNormalization(dtype="float64")
    >>> layer([[0.0], [1.0], [2.0], [3.0]], training=True).numpy().round(3).ravel().tolist()
    [-1.341, -0.447, 0.447, 1.341]
    >>> layer.moving_mean.numpy().round(4).tolist(), layer.moving_variance.numpy().round(4).tolist()
    ([0.015], [1.0025])
    """

    gamma: Tensor | None
    beta: Tensor | None
    moving_mean: Tensor
    moving_variance: Tensor

    @takes_shared
    def __init__(
        self,
        momentum: float | None = None,
        epsilon: float | None = None,
        center: bool = True,
        scale: bool | None = None,
        beta_initializer: Choice = "zeros",
        gamma_initializer: Choice = "ones",
        moving_mean_initializer: Choice = "zeros",
        moving_variance_initializer: Choice = "ones",
        convention: str = "keras",
        *,
        axis: int = -1,
        beta_regularizer: Choice | None = None,
        gamma_regularizer: Choice | None = None,
        beta_constraint: Choice | None = None,
        gamma_constraint: Choice | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.convention = choose(convention, tuple(CONVENTIONS), "convention")
        default = CONVENTIONS[self.convention]
        momentum = default["momentum"] if momentum is None else momentum
        self.momentum = check_float(momentum, "momentum", low=0.0, high=1.0)
        epsilon = default["epsilon"] if epsilon is None else epsilon
        self.epsilon = check_float(epsilon, "epsilon", low=0.0, open_high=True)
        self.center = bool(center)
        self.scale = bool(default["scale"] if scale is None else scale)
        self.beta_initializer = initializers.get(beta_initializer, "beta_initializer")
        self.gamma_initializer = initializers.get(gamma_initializer, "gamma_initializer")
        self.moving_mean_initializer = initializers.get(
            moving_mean_initializer, "moving_mean_initializer"
        )
        self.moving_variance_initializer = initializers.get(
            moving_variance_initializer, "moving_variance_initializer"
        )
        self.axis = check_axis(axis)
        self.beta_regularizer = regularizers.get(beta_regularizer, "beta_regularizer")
        self.gamma_regularizer = regularizers.get(gamma_regularizer, "gamma_regularizer")
        self.beta_constraint = constraints.get(beta_constraint, "beta_constraint")
        self.gamma_constraint = constraints.get(gamma_constraint, "gamma_constraint")

    @property
    def _needs_several_rows(self) -> bool:  # type: ignore[override]  # here it depends
        return self.convention == "torch" and self.trainable

    def _shown(self) -> dict[str, Any]:
        return beyond(super()._shown(), CONVENTIONS[self.convention])

    def build(self, input_shape: Any) -> None:
        """Make factor and offset and the moving statistics."""
        shape = (input_shape[self.axis],)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                "gamma",
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                "beta",
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )
        self.moving_mean = self.add_weight(
            "moving_mean", shape, self.moving_mean_initializer, trainable=False
        )
        self.moving_variance = self.add_weight(
            "moving_variance", shape, self.moving_variance_initializer, trainable=False
        )

    def call(self, x: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        """Return gamma · x̂ + beta."""
        last = self.axis in (-1, x.ndim - 1)
        ordered = x if last else x.transpose(self.axis, -1)
        rows = ordered if x.ndim == 2 else ordered.reshape(-1, ordered.shape[-1])
        learning = training and self.trainable
        torch = self.convention == "torch"
        summed = call_context.sum_over_ranks if learning else None
        if learning and summed is None and rows.shape[0] < (2 if torch else 1):
            raise self._story(
                f"at least {'two rows' if torch else 'one row'} to train with",
                x.shape,
                "choose a batch size that leaves no smaller last batch, or fit(drop_last=True)"
                + (', or convention="keras", whose output is then beta' if torch else ""),
            )
        if mask is not None and learning and last:
            return masked_batch_norm(
                x,
                mask,
                self.gamma,
                self.beta,
                (self.moving_mean, self.moving_variance),
                rate=self.momentum if torch else 1.0 - self.momentum,
                unbiased=self.convention != "keras",
                epsilon=self.epsilon,
            )
        if summed is not None:
            output = self._over_ranks(rows, summed)
        else:
            output = _core.batch_norm(
                rows,
                self.gamma,
                self.beta,
                self.moving_mean,
                self.moving_variance,
                training=learning,
                rate=self.momentum if torch else 1.0 - self.momentum,
                unbiased=self.convention != "keras",
                epsilon=self.epsilon,
            )
        if rows is x:
            return output
        output = output.reshape(*ordered.shape)
        return output if last else output.transpose(self.axis, -1)

    def _over_ranks(self, rows: Tensor, summed: Callable[[Tensor], Tensor]) -> Tensor:
        """Return gamma · x̂ + beta by the statistics of the rows of all ranks."""
        features, counts = rows.shape[-1], call_context.counts_rows
        # Stand-ins for no rows take part in all sums, as nothing.
        own = rows if counts else rows * 0.0
        number = _core.full((1,), float(rows.shape[0]) if counts else 0.0, dtype=rows.dtype)
        sums = summed(_core.cat([own.sum(dim=0), number]))
        count = sums[features:].detach()
        mean = sums[:features] / count
        centered = rows - mean
        squares = (centered if counts else centered * 0.0).square().sum(dim=0)
        variance = summed(squares) / count
        output = centered / (variance + self.epsilon).sqrt()
        if self.gamma is not None:
            output = output * self.gamma
        if self.beta is not None:
            output = output + self.beta
        self._move_statistics(mean.detach(), variance.detach(), count)
        return output

    def _move_statistics(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the moving statistics towards those of a batch."""
        if self.convention != "keras":
            variance = variance * count / _core.maximum(count - 1.0, 1.0)
        rate = self.momentum if self.convention == "torch" else 1.0 - self.momentum
        with no_grad():
            for kept, now in (self.moving_mean, mean), (self.moving_variance, variance):
                kept.copy_(kept + rate * (now - kept))

    def _check_input(self, shape: Any) -> None:
        if self.axis == -1:
            self._check_features(shape, self.moving_mean.shape[0] if self.built else None)
            return
        self._check_single(shape)
        if not -len(shape) < self.axis < len(shape) or shape[self.axis] is None:
            raise self._story(
                f"an input with a dimension {self.axis} of known size", shape, "choose axis=-1"
            )
        if self.built and shape[self.axis] != self.moving_mean.shape[0]:
            raise self._story(
                f"an input with {self.moving_mean.shape[0]} features in dimension {self.axis}",
                shape,
                "the layer was built for that many features: pass as many, or make a new layer",
            )


def is_over_last(layer: BatchNormalization, ndim: int) -> bool:
    """Tell whether a layer's features are the last of so many dimensions."""
    return layer.axis in (-1, ndim - 1)
