"""Initializers whose variance follows from the number of inputs and outputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad.initializers._initializer import Initializer, checked_seed

if TYPE_CHECKING:
    from evengrad import _core
    from evengrad._core import Tensor

# The standard deviation of N(0, 1) cut at ±2.
TRUNCATED_DEVIATION = 0.87962566103423978

MODES = ("fan_in", "fan_out", "fan_avg")
CONVENTIONS = ("keras", "torch", "tf1")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(Initializer):
    """Values whose variance is scale / n, so that signals keep their size from layer to layer.

    n is the number of inputs of a unit (`fan_in`), the number of units that an input feeds
    (`fan_out`), or the mean of the two (`fan_avg`); at least 1.

    Parameters
    ----------
    scale
        Above 0. 2 makes up for the half that a rectifier cuts off.
    mode
        ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``.
    distribution
        ``"truncated_normal"`` (``"normal"`` for short): cut at two deviations, with the deviation
        before the cut set so that the variance after it is exact. ``"untruncated_normal"``.
        ``"uniform"``: over ±√(3 · scale / n).
    seed
        Takes the place of the model's seed.
    convention
        Whose truncated normal law: ``"keras"``, as above; ``"tf1"``, with the deviation
        √(1.3 · scale / n) before the cut, as ``tf.contrib.layers.variance_scaling_initializer``;
        ``"torch"``, not cut at all, as ``torch.nn.init.kaiming_normal_``.

    Raises
    ------
    ValueError
        A `scale` that is not above 0; an unknown `mode`, `distribution` or `convention`.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015, section 2.2.

    Examples
    --------
    >>> w = eg.initializers.VarianceScaling(2.0, "fan_avg", "uniform", seed=1)((300, 100)).numpy()
    >>> bool(abs(w).max() <= (3 * 2.0 / 200) ** 0.5)
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        convention: str = "keras",
    ) -> None:
        self.scale = check_float(scale, "scale", low=0.0, open_low=True)
        self.mode = choose(mode, MODES, "mode")
        chosen = "truncated_normal" if distribution == "normal" else distribution
        self.distribution = choose(chosen, DISTRIBUTIONS, "distribution")
        self.seed = checked_seed(seed)
        self.convention = choose(convention, CONVENTIONS, "convention")

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Draw."""
        # A kernel is (in, out); dimensions before those are a receptive field.
        inputs, outputs = shape[-2:] if len(shape) > 1 else [math.prod(shape)] * 2
        n = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        n *= math.prod(shape[:-2])
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return generator.uniform(shape, -limit, limit, dtype)
        deviation = math.sqrt(variance)
        if self.distribution == "untruncated_normal" or self.convention == "torch":
            return generator.normal(shape, 0.0, deviation, dtype)
        if self.convention == "keras":
            before = deviation / TRUNCATED_DEVIATION
        else:
            # TensorFlow 1 rounds 1 / 0.8796² to 1.3.
            before = deviation * math.sqrt(1.3)
        return generator.truncated_normal(shape, 0.0, before, dtype)


class _Named(VarianceScaling):
    """A variance scaling with a name of its own."""

    SCALE = 1.0
    MODE = "fan_in"
    DISTRIBUTION = "truncated_normal"

    def __init__(self, seed: int | None = None, convention: str = "keras") -> None:
        super().__init__(self.SCALE, self.MODE, self.DISTRIBUTION, seed, convention)


class GlorotUniform(_Named):
    """Glorot's initializer, also called Xavier's: uniform over ±√(6 / (fan_in + fan_out)).

    For tanh, logistic, softmax and linear layers; the default of `Dense`.

    Parameters
    ----------
    seed
        Takes the place of the model's seed.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``, which have the same uniform law.

    References
    ----------
    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010.

    Examples
    --------
    >>> w = eg.initializers.GlorotUniform(seed=1)((300, 100)).numpy()
    >>> bool(abs(w).max() <= (6 / 400) ** 0.5)
    True
    """

    MODE = "fan_avg"
    DISTRIBUTION = "uniform"


class GlorotNormal(_Named):
    """Glorot's initializer with a truncated normal law of variance 2 / (fan_in + fan_out).

    Parameters
    ----------
    seed
        Takes the place of the model's seed.
    convention
        Whose truncated law, as for `VarianceScaling`: ``"keras"``, ``"torch"`` (not cut) or
        ``"tf1"``.

    References
    ----------
    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010.

    Examples
    --------
    >>> w = eg.initializers.GlorotNormal(seed=1)((300, 100)).numpy()
    >>> round(float(w.std()), 2), round((2 / 400) ** 0.5, 2)
    (0.07, 0.07)
    """

    MODE = "fan_avg"


class HeUniform(_Named):
    """He's initializer for ReLU and its variants: uniform over ±√(6 / fan_in).

    Parameters
    ----------
    seed
        Takes the place of the model's seed.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``, which have the same uniform law.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015.

    Examples
    --------
    >>> w = eg.initializers.HeUniform(seed=1)((300, 100)).numpy()
    >>> bool(abs(w).max() <= (6 / 300) ** 0.5)
    True
    """

    SCALE = 2.0
    DISTRIBUTION = "uniform"


class HeNormal(_Named):
    """He's initializer for ReLU and its variants: a truncated normal law of variance 2 / fan_in.

    Parameters
    ----------
    seed
        Takes the place of the model's seed.
    convention
        Whose truncated law, as for `VarianceScaling`: ``"keras"``, ``"torch"`` (not cut) or
        ``"tf1"``.

    References
    ----------
    He et al., "Delving deep into rectifiers", 2015.

    Examples
    --------
    >>> w = eg.initializers.HeNormal(seed=1)((300, 100)).numpy()
    >>> round(float(w.std()), 2), round((2 / 300) ** 0.5, 2)
    (0.08, 0.08)
    """

    SCALE = 2.0


class LecunUniform(_Named):
    """LeCun's initializer: uniform over ±√(3 / fan_in).

    Parameters
    ----------
    seed
        Takes the place of the model's seed.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``, which have the same uniform law.

    References
    ----------
    LeCun et al., "Efficient backprop", 1998.

    Examples
    --------
    >>> w = eg.initializers.LecunUniform(seed=1)((300, 100)).numpy()
    >>> bool(abs(w).max() <= (3 / 300) ** 0.5)
    True
    """

    DISTRIBUTION = "uniform"


class LecunNormal(_Named):
    """LeCun's initializer, which SELU requires: a truncated normal law of variance 1 / fan_in.

    Parameters
    ----------
    seed
        Takes the place of the model's seed.
    convention
        Whose truncated law, as for `VarianceScaling`: ``"keras"``, ``"torch"`` (not cut) or
        ``"tf1"``.

    References
    ----------
    LeCun et al., "Efficient backprop", 1998; Klambauer et al., "Self-normalizing neural networks",
    2017.

    Examples
    --------
    >>> w = eg.initializers.LecunNormal(seed=1)((300, 100)).numpy()
    >>> round(float(w.std()), 2), round((1 / 300) ** 0.5, 2)
    (0.06, 0.06)
    """
