"""The activations of single numbers, stated independently: a row for each, which all tests use."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import evengrad as eg

inf = math.inf
ONE, TWO, SIX = Decimal(1), Decimal(2), Decimal(6)
# The closed forms of Klambauer et al. 2017, with 50 digits.
SELU_ALPHA = Decimal("1.6732632423543772848170429916717003998105780611480")
SELU_SCALE = Decimal("1.0507009873554804934193349852946055052026438617820")
PI = Decimal("3.1415926535897932384626433832795028841971693993751058209749445923078164")


def logistic(x):
    return ONE / (ONE + (-x).exp())


def hyperbolic_tangent(x):
    grown = (TWO * x).exp()
    return (grown - ONE) / (grown + ONE)


def normal_cdf(x):
    """Return the integral of the normal density, by its series about 0."""
    term, total, n = x, x, 0
    while abs(term) > Decimal("1e-80"):
        n += 1
        term *= -x * x / (TWO * n)
        total += term / (2 * n + 1)
    return ONE / 2 + total / (TWO * PI).sqrt()


def by_tanh(x):
    inner = (TWO / PI).sqrt() * (x + Decimal("0.044715") * x**3)
    return x / TWO * (ONE + hyperbolic_tangent(inner))


def bent(slope):
    return lambda x: x if x > 0 else slope * x


def held(x, low, high):
    return min(max(x, Decimal(low)), Decimal(high))


@dataclass(frozen=True)
class Statement:
    """What an activation is.

    Its function here and the same in decimals; the values at -inf and +inf, then the derivatives
    there; the error of the value that is let pass, in units of the last place, None where the value
    is a difference of numbers near 1.
    """

    function: Callable
    oracle: Callable
    limits: tuple[float, float, float, float]
    ulps: int | None
    # With the parameters that it has by default: a point, and the value there to 17 digits. None
    # for a variant, whose function has a row of its own.
    by_default: tuple[float, float] | None = None
    # The derivative at each kink.
    kinks: dict[float, float] = field(default_factory=dict)
    # Whether f(-0.0) is -0.0.
    keeps_sign_of_zero: bool = False
    # The error of the derivative that is let pass: 1 − sigmoid has an error of a half, which x
    # times it has |x| times.
    slope_ulps: int = 8


ACTIVATIONS = {
    "relu": Statement(
        eg.relu, lambda x: max(x, Decimal(0)), (0, inf, 0, 1), 0, (-1.5, 0.0), {0.0: 0.0}
    ),
    "relu6": Statement(
        eg.relu6, lambda x: held(x, 0, 6), (0, 6, 0, 0), 0, (6.5, 6.0), {0.0: 0.0, 6.0: 1.0}
    ),
    "leaky_relu": Statement(
        lambda x: eg.leaky_relu(x, 0.25),
        bent(Decimal("0.25")),
        (-inf, inf, 0.25, 1),
        1,
        (-1.5, -0.015),
        {0.0: 0.25},
    ),
    "leaky_relu_down": Statement(
        lambda x: eg.leaky_relu(x, -2.0), bent(Decimal(-2)), (inf, inf, -2, 1), 1
    ),
    "elu": Statement(
        lambda x: eg.elu(x, 1.5),
        lambda x: x if x > 0 else (x.exp() - ONE) * 3 / 2,
        (-1.5, inf, 0, 1),
        3,
        (-1.0, -0.63212055882855768),
        {0.0: 1.5},
        keeps_sign_of_zero=True,
    ),
    "celu": Statement(
        lambda x: eg.celu(x, 2.0),
        lambda x: x if x > 0 else ((x / 2).exp() - ONE) * 2,
        (-2, inf, 0, 1),
        3,
        (-1.0, -0.63212055882855768),
        {0.0: 1.0},
        keeps_sign_of_zero=True,
    ),
    "selu": Statement(
        eg.selu,
        lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * (x.exp() - ONE)),
        (-float(SELU_SCALE * SELU_ALPHA), inf, 0, float(SELU_SCALE)),
        3,
        (-1.0, -1.1113307378125629),
        {0.0: float(SELU_SCALE * SELU_ALPHA)},
        keeps_sign_of_zero=True,
    ),
    "sigmoid": Statement(eg.sigmoid, logistic, (0, 1, 0, 0), 3, (1.0, 0.73105857863000488)),
    "tanh": Statement(
        eg.tanh,
        hyperbolic_tangent,
        (-1, 1, 0, 0),
        3,
        (1.0, 0.76159415595576489),
        keeps_sign_of_zero=True,
    ),
    "softplus": Statement(
        eg.softplus, lambda x: (ONE + x.exp()).ln(), (0, inf, 0, 1), 3, (1.0, 1.3132616875182228)
    ),
    "softsign": Statement(
        eg.softsign,
        lambda x: x / (ONE + abs(x)),
        (-1, 1, 0, 0),
        2,
        (3.0, 0.75),
        keeps_sign_of_zero=True,
    ),
    "silu": Statement(
        eg.silu,
        lambda x: x * logistic(x),
        (0, inf, 0, 1),
        4,
        (1.0, 0.73105857863000488),
        keeps_sign_of_zero=True,
    ),
    "gelu": Statement(
        eg.gelu,
        lambda x: x * normal_cdf(x),
        (0, inf, 0, 1),
        6,
        (1.0, 0.84134474606854295),
        keeps_sign_of_zero=True,
    ),
    # The rounding of 2u counts 2u times in a tail of e^(2u).
    "gelu_tanh": Statement(
        lambda x: eg.gelu(x, "tanh"), by_tanh, (0, inf, 0, 1), 200, slope_ulps=40
    ),
    "mish": Statement(
        eg.mish,
        lambda x: x * hyperbolic_tangent((ONE + x.exp()).ln()),
        (0, inf, 0, 1),
        7,
        (1.0, 0.86509838826731035),
    ),
    "hard_sigmoid": Statement(
        eg.hard_sigmoid,
        lambda x: held(x / SIX + ONE / 2, 0, 1),
        (0, 1, 0, 0),
        None,
        (1.5, 0.75),
        {-3.0: 1 / 6, 3.0: 1 / 6},
    ),
    "hard_tanh": Statement(
        eg.hard_tanh,
        lambda x: held(x, -1, 1),
        (-1, 1, 0, 0),
        0,
        (-1.5, -1.0),
        {-1.0: 1.0, 1.0: 1.0},
    ),
    "hard_silu": Statement(
        eg.hard_silu,
        lambda x: x * held(x / SIX + ONE / 2, 0, 1),
        (0, inf, 0, 1),
        3,
        (1.5, 1.125),
        {-3.0: -0.5, 3.0: 1.5},
    ),
    "exponential": Statement(
        eg.activations.exponential, Decimal.exp, (0, inf, 0, inf), 2, (1.0, 2.7182818284590452)
    ),
}
