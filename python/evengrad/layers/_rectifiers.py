"""Rectifiers as layers: with settings, with a learned slope, with a random one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core, constraints, initializers, regularizers
from evengrad._common.checks import check_float, check_int
from evengrad._common.config import beyond, by_convention
from evengrad._common.names import choose
from evengrad._tensor.relu import rectified
from evengrad.layers._activation import Elementwise
from evengrad.layers._shared import Shared, takes_shared
from evengrad.layers._symbolic import fits

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._common.choices import Choice
    from evengrad._core import Tensor


# What a convention sets where nothing is passed.
SLOPES = {"keras": 0.3, "torch": 0.01, "tf1": 0.2}
FIRST_SLOPES = {
    "keras": initializers.Zeros(),
    "torch": initializers.Constant(0.25),
    "tf1": initializers.Zeros(),
}


class ReLU(Elementwise):
    """The rectified linear unit: max(0, x), with a leak, a threshold and an upper bound on demand.

    It is max_value where x ≥ max_value, x where threshold ≤ x < max_value, and negative_slope ·
    (x − threshold) below.

    Parameters
    ----------
    max_value
        The upper bound, 0 or more; none if None.
    negative_slope
        The slope below the threshold, 0 or more.
    threshold
        Where the slope changes, 0 or more; the function jumps there unless it is 0.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A negative argument.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    References
    ----------
    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.

    Examples
    --------
    >>> eg.layers.ReLU()([[-2.0, 3.0, 9.0]]).tolist()
    [[0.0, 3.0, 9.0]]
    >>> eg.layers.ReLU(6.0, negative_slope=0.5, threshold=1.0)([[-2.0, 3.0, 9.0]]).tolist()
    [[-1.5, 3.0, 6.0]]
    """

    NAME = "relu"

    @takes_shared
    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.max_value = None if max_value is None else check_float(max_value, "max_value", low=0.0)
        self.negative_slope = check_float(negative_slope, "negative_slope", low=0.0, open_high=True)
        self.threshold = check_float(threshold, "threshold", low=0.0, open_high=True)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the function of x."""
        return rectified(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Elementwise):
    """The rectifier with a leak: x where x > 0, else negative_slope · x.

    Parameters
    ----------
    negative_slope
        The slope below zero, 0 or more. Default 0.01, as in the paper and in PyTorch; 0.3, as in
        Keras' layer, under ``"keras"``; 0.2, a large leak, under ``"tf1"``.
    convention
        ``"torch"``, ``"keras"`` or ``"tf1"``: whose slope is the default.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A negative slope; an unknown convention.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    References
    ----------
    Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Examples
    --------
    >>> eg.layers.LeakyReLU(0.25)([[-2.0, 3.0]]).tolist()
    [[-0.5, 3.0]]
    >>> eg.layers.Dense(100, activation=eg.layers.LeakyReLU(0.25))
    Dense(100, activation=LeakyReLU(negative_slope=0.25))
    """

    NAME = "leaky_relu"

    @takes_shared
    def __init__(
        self,
        negative_slope: float | None = None,
        convention: str = "torch",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.convention = choose(convention, tuple(SLOPES), "convention")
        slope = by_convention(negative_slope, self.convention, **SLOPES)
        self.negative_slope = check_float(slope, "negative_slope", low=0.0, open_high=True)

    def _shown(self) -> dict[str, Any]:
        return beyond(super()._shown(), {"negative_slope": SLOPES[self.convention]})

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the function of x."""
        return x.leaky_relu(self.negative_slope)


class PReLU(Elementwise):
    """The rectifier whose leak is learned: x where x > 0, else alpha · x.

    Good on large data; on small data the slopes overfit. The weight decay of optimizers leaves them
    alone, since it would pull them towards the plain rectifier.

    Parameters
    ----------
    alpha_initializer, alpha_regularizer, alpha_constraint
        As those of `Dense`, for the slopes. They begin at 0 by default, at 0.25 under ``"torch"``.
    shared_axes
        A dimension or several, counted from 1, whose places share one slope. By default none, every
        feature has its own; all under ``"torch"``, where there is one slope. ``()`` is none.
    decays
        Whether the weight decay of optimizers reaches the slopes; no by default.
    convention
        ``"keras"``, ``"torch"``, or ``"tf1"``, which is as ``"keras"``.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        An unknown name or convention; `shared_axes` holds 0. From a call: a dimension that the
        input lacks, or another shape than the layer was built for.

    Notes
    -----
    Input and output (rows, ...); `alpha` has the shape of a row, with 1 for the shared dimensions.
    At zero the derivative is the slope, and that of the slope is 0.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015.

    Examples
    --------
    >>> layer = eg.layers.PReLU(alpha_initializer=eg.initializers.Constant(0.25))
    >>> layer([[-2.0, 3.0]]).tolist(), layer.alpha.shape
    ([[-0.5, 3.0]], (2,))
    """

    NAME = "prelu"
    alpha: Tensor

    @takes_shared
    def __init__(
        self,
        alpha_initializer: Choice | None = None,
        alpha_regularizer: Choice | None = None,
        alpha_constraint: Choice | None = None,
        shared_axes: Any = None,
        decays: bool = False,
        convention: str = "keras",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.convention = choose(convention, tuple(FIRST_SLOPES), "convention")
        first = by_convention(alpha_initializer, self.convention, **FIRST_SLOPES)
        self.alpha_initializer = initializers.get(first, "alpha_initializer")
        self.alpha_regularizer = regularizers.get(alpha_regularizer, "alpha_regularizer")
        self.alpha_constraint = constraints.get(alpha_constraint, "alpha_constraint")
        axes = shared_axes
        if axes is not None:
            given = axes if isinstance(axes, (tuple, list)) else [axes]
            axes = [check_int(axis, "shared_axes", at_least=1) for axis in given]
        self.shared_axes = axes
        self.decays = bool(decays)

    def _shown(self) -> dict[str, Any]:
        return beyond(super()._shown(), {"alpha_initializer": FIRST_SLOPES[self.convention]})

    def build(self, input_shape: Any) -> None:
        """Make the slopes."""
        shape = list(input_shape[1:])
        shared = self.shared_axes
        if shared is None:
            shared = range(1, len(shape) + 1) if self.convention == "torch" else []
        for axis in shared:
            shape[axis - 1] = 1
        if None in shape:
            raise self._story(
                "known sizes, or shared slopes", input_shape, "pass shared_axes=[1] for sequences"
            )
        self.alpha = self.add_weight(
            "alpha",
            shape,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            decays=self.decays,
        )

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the function of x."""
        return _core.prelu(x, self.alpha)

    def _check_input(self, shape: Any) -> None:
        super()._check_input(shape)
        last = max(self.shared_axes or [1])
        if len(shape) <= last:
            raise self._story(
                f"an input with a dimension {last} beside the rows", shape, "check shared_axes"
            )
        built_for = self._state.input_shape
        if self.built and not fits(shape, built_for):
            raise self._story(
                f"an input of shape {built_for}",
                shape,
                "the layer was built for that shape: pass it, or make a new layer",
            )


class RReLU(Elementwise):
    """The rectifier with a random leak: x where x > 0, else slope · x.

    While training, the slope is drawn for each element, evenly between lower and upper; in
    inference it is their mean. The noise acts against overfitting.

    Slopes follow from the model's seed, the layer's path and the number of the step, as the masks
    of `Dropout` do.

    Parameters
    ----------
    lower, upper
        The bounds of the slope, `lower` not above `upper`. PyTorch's defaults, with the mean 11/48;
        the paper draws the inverse of the slope between 3 and 8, and tests with 1/5.5.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `lower` is negative or above `upper`.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    References
    ----------
    Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.

    Examples
    --------
    >>> layer = eg.layers.RReLU(0.25, 0.75)
    >>> layer([[-2.0, 3.0]]).tolist()
    [[-1.0, 3.0]]
    >>> slopes = -layer(eg.full((100, 100), -1.0), training=True).numpy()
    >>> bool((0.25 <= slopes).all() and (slopes <= 0.75).all()), round(float(slopes.mean()), 1)
    (True, 0.5)
    """

    NAME = "rrelu"

    @takes_shared
    def __init__(
        self, lower: float = 1 / 8, upper: float = 1 / 3, **shared: Unpack[Shared]
    ) -> None:
        super().__init__(**shared)
        self.lower = check_float(lower, "lower", low=0.0, open_high=True)
        self.upper = check_float(upper, "upper", low=self.lower, open_high=True)

    def build(self, input_shape: Any) -> None:
        """Make the stream of slopes."""
        del input_shape
        self.add_generator("slope")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return the function of x, with random slopes in training."""
        if not training:
            return x.leaky_relu((self.lower + self.upper) / 2)
        slopes = self.generator("slope").uniform(x.shape, self.lower, self.upper, x.dtype)
        return _core.prelu(x, slopes)
