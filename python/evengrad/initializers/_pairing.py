"""Which first values suit which activation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.config import name_of
from evengrad._common.names import look_up
from evengrad._tensor import activations
from evengrad.initializers._variance_scaling import (
    GlorotUniform,
    HeNormal,
    LecunNormal,
    VarianceScaling,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array
    from evengrad.initializers._initializer import Initializer

RECTIFIERS = frozenset({"relu", "leaky_relu", "prelu", "rrelu", "relu6"})
# As `name_of` calls them: SiLU is Swish.
SMOOTH = frozenset({"elu", "celu", "gelu", "swish", "mish", "softplus", "hard_swish"})
HE = RECTIFIERS | SMOOTH
LECUN = frozenset({"selu"})
# Layers that are no functions; in inference, and as they start, these functions stand for them.
ONLY_LAYERS = {"prelu": activations.relu, "rrelu": lambda x: x.leaky_relu((1 / 8 + 1 / 3) / 2)}
# They look at more than one number.
WHOLE_ROW = frozenset({"softmax", "log_softmax"})

# The normal density beyond is below 1e-31.
REACH = 12
# Panels end at the kinks of all activations here; within one, the rule is exact to rounding. Where
# it is not, as at the kinks of a user's function, panels are halved: what is left of a jump after
# so many times is rounding. A function that is rough everywhere would be halved without end.
PANELS_PER_UNIT, NODES = 4, 16
HALVINGS, MOST_PANELS = 48, 2**14
TOLERANCE, DIGITS = 1e-14, 12


def for_activation(name: Any, variance_preserving: bool = False) -> Initializer:
    """Return the initializer that suits an activation: what ``kernel_initializer="auto"`` takes.

    He's for ReLU and its variants (leaky, learned and random ones, ELU, CELU, GELU, SiLU, Mish,
    softplus), LeCun's normal for SELU, Glorot's uniform for tanh, the logistic, softmax, none and
    all others.

    Parameters
    ----------
    name
        A name from `evengrad.activations`, ``"prelu"`` or ``"rrelu"``, None, an activation layer,
        or a function of a tensor. For a function of your own the variance-preserving one is
        returned.
    variance_preserving
        True: `VarianceScaling` over fan_in with scale 1 / E[f(z)²], z standard normal, which keeps
        the mean square of the signals from layer to layer: 2 for ReLU, 1.5505 for ELU, 1 for SELU,
        2.5362 for tanh, 3.4086 for the logistic. It is exact for the way forward; backward, the
        logistic and tanh would need other scales.

    Returns
    -------
    Initializer
        Without a seed of its own.

    Raises
    ------
    ValueError
        An unknown name; a scale asked for where f(z) has none, as softmax, or where E[f(z)²] is 0
        or infinite.
    TypeError
        Neither a name nor a function.

    References
    ----------
    Glorot and Bengio, 2010; He et al., 2015; Klambauer et al., 2017: see the initializers.

    Examples
    --------
    >>> eg.initializers.for_activation("elu")
    HeNormal()
    >>> eg.initializers.for_activation("elu", variance_preserving=True)
    VarianceScaling(scale=1.5505188080677441)
    """
    known, function = _resolved(name)
    if known is None or variance_preserving:
        if known in WHOLE_ROW:
            raise ValueError(
                f"activation: {known} has no scale that preserves variance, since it looks at more "
                "than one number; use for_activation without variance_preserving"
            )
        return VarianceScaling(1.0 / _mean_square(function), "fan_in")
    if known in HE:
        return HeNormal()
    return LecunNormal() if known in LECUN else GlorotUniform()


def _resolved(activation: Any) -> tuple[str | None, Callable[..., Any]]:
    """Return an activation's name, if it has one, and the function itself."""
    if isinstance(activation, str):
        offered = {**activations.offered(), **ONLY_LAYERS}
        function = look_up(activation, offered, "activation")
        names = [name for name, value in offered.items() if value is function]
        return names[-1] if names[-1] in ONLY_LAYERS else name_of(function), function
    if hasattr(activation, "final_activation"):
        # The layer itself stays as it is; of what it learns, the first values count.
        config = {**activation.get_config(), "name": None, "dtype": "float64"}
        return activation.final_activation, type(activation)(**config)
    function = activations.get(activation)
    return name_of(function), function


def _mean_square(function: Callable[..., Any]) -> float:
    """Return E[f(z)²] for a standard normal z, by Gauss and Legendre's rule on short panels."""
    left = np.arange(-REACH, REACH, 1 / PANELS_PER_UNIT)
    width = 1 / PANELS_PER_UNIT
    whole = _integrals(function, left, width)
    mean = 0.0
    for _ in range(HALVINGS):
        width /= 2
        halves = _integrals(function, np.concatenate([left, left + width]), width).reshape(2, -1)
        both = halves.sum(axis=0)
        rough = np.abs(both - whole) > TOLERANCE * (mean + both.sum())
        mean += both[~rough].sum()
        left = np.concatenate([left[rough], left[rough] + width])
        whole = halves[:, rough].reshape(-1)
        if not 0 < left.size <= MOST_PANELS:
            break
    mean = float(mean + whole.sum())
    if not (np.isfinite(mean) and mean > 0.0):
        raise ValueError(
            f"activation: expected one whose mean square is above 0 and finite, got {mean}"
        )
    # What is beyond these digits is rounding.
    return float(f"{mean:.{DIGITS}g}")


def _integrals(function: Callable[..., Any], left: Array, width: float) -> Array:
    """Return what each panel adds to E[f(z)²]."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    points = left[:, None] + width * (nodes + 1) / 2
    column = points.reshape(-1, 1)
    values = function(_core.tensor(column)).detach().numpy()
    if values.shape != column.shape:
        raise ValueError(
            f"activation: expected a function of single numbers, got one that makes shape "
            f"{values.shape} of shape {column.shape}"
        )
    density = np.exp(-0.5 * points**2) / np.sqrt(2 * np.pi)
    found: Array = (values.reshape(points.shape) ** 2 * density * weights).sum(axis=1)
    return found * (width / 2)
