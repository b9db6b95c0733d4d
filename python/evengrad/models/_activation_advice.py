"""Which activation for which situation: the rules of the chapter, with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad import initializers, layers

if TYPE_CHECKING:
    from evengrad.initializers import Initializer

# From the best to the last, by the chapter.
RANKING = ("selu", "elu", "leaky_relu", "relu", "tanh", "sigmoid")
# What to compare where there is time to: the variants of ReLU that a rule below speaks for.
COMPARED = ("elu", "leaky_relu", "rrelu", "prelu")
# These are layers, since they draw or learn their slopes.
LAYERS = {"prelu": "PReLU", "rrelu": "RReLU"}

ABOUT = {
    "selu": (
        "ranked first: λ and α are such that signals keep mean 0 and variance 1 through any depth "
        "of a plain dense chain, if inputs are standardized and first values are LeCun's normal"
    ),
    "elu": (
        "ranked above ReLU and its leaky variants: negative outputs bring the mean near 0, and the "
        "gradient is not 0 where the input is negative, so that no unit dies; its exponential "
        "costs a little time"
    ),
    "leaky_relu": (
        "a comparison and a product, no exponential, though in a dense net matrix products take "
        "most of the time; the small slope keeps units alive; keep the default, 0.01"
    ),
    "rrelu": (
        "random slopes in training regularize, as other noise does, and take time to draw; in "
        "inference it is a leaky ReLU with a fixed slope"
    ),
    "prelu": (
        "the slopes are learned: a gain on very large data, overfitting on small; learning them "
        "takes time"
    ),
    "relu": "the cheapest, and enough most of the time; units may die at high learning rates",
    "tanh": "saturates for large inputs of either sign, but its mean is 0",
    "sigmoid": (
        "saturates, has mean ½ and a derivative of at most ¼: gradients vanish with depth; for "
        "gates and outputs that are probabilities"
    ),
}


@dataclass(frozen=True)
class Suggestion:
    """An activation for hidden layers, and why: what `activations.suggest` returns.

    Attributes
    ----------
    name
        The activation, as `initializers.for_activation` knows it.
    reasons
        Why this one, one reason for each rule that had a say.
    alternatives
        Others with what speaks for them, the best first.

    Examples
    --------
    >>> found = eg.activations.suggest(overfitting=True)
    >>> found.name, found.activation, found.kernel_initializer
    ('rrelu', RReLU(), HeNormal())
    >>> print(eg.activations.suggest(runtime_matters=True))
    leaky_relu
      - run time matters: a comparison and a product, no exponential, though in a dense net matrix \
products take most of the time; the small slope keeps units alive; keep the default, 0.01
    """

    name: str
    reasons: tuple[str, ...]
    alternatives: tuple[tuple[str, str], ...]

    @property
    def activation(self) -> Any:
        """What ``activation=`` takes: a name, or a new layer where the slopes are drawn or learned.

        Examples
        --------
        >>> eg.activations.suggest().activation
        'elu'
        """
        return getattr(layers, LAYERS[self.name])() if self.name in LAYERS else self.name

    @property
    def kernel_initializer(self) -> Initializer:
        """The first values that go with it.

        Examples
        --------
        >>> eg.activations.suggest(self_normalizing=True).kernel_initializer
        LecunNormal()
        """
        return initializers.for_activation(self.name)

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"  - {reason}" for reason in self.reasons)])


def suggest(
    *,
    self_normalizing: bool = False,
    runtime_matters: bool = False,
    overfitting: bool = False,
    large_data: bool = False,
    spare_compute: bool = False,
) -> Suggestion:
    """Suggest an activation for the hidden layers of a dense network.

    The rules, the first that applies decides:

    - run time matters: leaky ReLU;
    - it overfits: RReLU, or SELU with `AlphaDropout` where the network can normalize itself;
    - very large data: PReLU;
    - it can normalize itself: SELU;
    - otherwise ELU.

    They come from the ranking SELU > ELU > leaky ReLU and its variants > ReLU > tanh > logistic,
    which holds on the whole and not for every data set (``examples/07_activations.py`` measures it
    on one): with computing time to spare, compare.

    Parameters
    ----------
    self_normalizing
        Whether the conditions of `Model.check_selu` are or can be met: standardized inputs, a plain
        chain of dense layers, no ℓ1, ℓ2, max-norm or ordinary dropout.
    runtime_matters
        Whether the time of a training step or an answer counts more than the last of accuracy.
    overfitting
        Whether the network does much better on what it was trained on than on other data.
    large_data
        Whether there is so much data that additional parameters do not overfit.
    spare_compute
        Whether there is time to compare several by cross-validation.

    Returns
    -------
    Suggestion
        With `activation` and `kernel_initializer` to pass on, and the reasons.

    References
    ----------
    Géron, "Hands-On Machine Learning", the chapter on training deep networks; Xu et al., "Empirical
    Evaluation of Rectified Activations in Convolutional Network", 2015, for the variants of ReLU.

    Examples
    --------
    >>> found = eg.activations.suggest(large_data=True)
    >>> layer = eg.layers.Dense(100, found.activation, kernel_initializer=found.kernel_initializer)
    >>> layer
    Dense(100, activation=PReLU(), kernel_initializer=HeNormal())
    """
    if runtime_matters:
        name, why = "leaky_relu", "run time matters"
    elif overfitting and not self_normalizing:
        name, why = "rrelu", "it overfits"
    elif large_data and not overfitting:
        name, why = "prelu", "there is very much data"
    elif self_normalizing:
        name, why = "selu", "it can normalize itself"
    else:
        name, why = "elu", "nothing speaks for a special one"
    reasons = [f"{why}: {ABOUT[name]}"]
    if overfitting and name == "selu":
        reasons.append(
            "it overfits: use layers.AlphaDropout, the noise that keeps mean and variance; the "
            "random slopes of RReLU would end the self-normalization"
        )
    if overfitting and name == "leaky_relu":
        reasons.append(
            "it overfits: the random slopes of RReLU would take time; use early stopping or ℓ2"
        )
    if overfitting and large_data:
        reasons.append(
            "learned slopes, which suit very large data, would add parameters to what overfits"
        )
    if spare_compute:
        compared = ", ".join(COMPARED if name != "selu" else ("selu", *COMPARED))
        reasons.append(f"there is time to spare: compare {compared} by cross-validation")
    ranked = [one for one in RANKING if one != name and (one != "selu" or self_normalizing)]
    return Suggestion(name, tuple(reasons), tuple((one, ABOUT[one]) for one in ranked))
