"""What a finding says of numbers that are not finite: where it comes from, and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evengrad.health._finding import Finding, Remedy, Treatment, rows_as_text

# Numbers up to this size are no explosion: what becomes infinite from them does so by itself.
MODERATE = 1e6
# Rates above this make infinities of moderate gradients sooner than any rule does.
LARGE_RATE = 1e3


@dataclass(frozen=True)
class Circumstances:
    """What is known of the step in which numbers stopped being finite."""

    # "input", "activation", "loss", "gradient", "slot" or "weight", and the layer's path.
    tensor: str
    layer: str | None
    # As `Optimizer.iterations` counts, and the rate that the step had.
    step: int
    learning_rate: float
    # The share of the tensor that is not finite, and the rows of the batch and of the data.
    share: float
    batch_rows: tuple[int, ...] | None = None
    rows: tuple[int, ...] | None = None
    # Whether it was so before the step.
    before: bool = False
    # Whether the layer computes something without a bound by code of the user's or an activation.
    own_function: bool = False
    recurrent: bool = False
    # Rows that stand out of the batch by the size of their inputs, and explain it.
    outliers: tuple[int, ...] = ()
    # Whether rows of the data are known, which `outliers` are then.
    numbered: bool = False
    # Whether targets are not finite, or too large for the loss.
    bad_labels: bool = False
    # Whether a penalty is not finite, where the losses of the outputs are.
    penalty: bool = False
    # The largest finite number among activations, or among gradients, before the trouble.
    signal: float = 0.0
    # The largest number among the variables before the step.
    weights: float = 0.0


@dataclass(frozen=True)
class NonFinite:
    """A finding of numbers that are not finite, and where in the training it was met."""

    finding: Finding
    # Both counted from 0: of the first loss that is not finite, or else of the finding.
    epoch: int
    batch: int
    # Whether the loss is not finite: else weights are, or what the optimizer keeps.
    in_loss: bool


def cause_of(known: Circumstances) -> str:
    """Return where numbers that are not finite come from."""
    by_itself = _cause_of_itself(known) if max(known.signal, known.weights) < MODERATE else None
    told = [
        ("inputs", known.tensor == "input"),
        ("initializer", known.before),
        ("labels", known.bad_labels),
        ("inputs", bool(known.outliers)),
        ("regularization", known.penalty),
        (by_itself, by_itself is not None),
        ("learning_rate", known.step > 0),
        ("initializer", True),
    ]
    return next(cause for cause, holds in told if holds and cause is not None)


def _cause_of_itself(known: Circumstances) -> str | None:
    """Return what makes infinities of moderate numbers; None where the weights have to."""
    if known.tensor == "activation":
        return "activation" if known.own_function or known.recurrent else None
    if known.tensor == "loss":
        return "loss"
    if known.tensor == "gradient":
        if known.layer is None:
            return "loss"
        return "architecture" if known.recurrent else "activation"
    if known.tensor == "weight" and known.learning_rate >= LARGE_RATE:
        return "learning_rate"
    return "optimizer"


def finding_of(known: Circumstances) -> Finding:
    """Return the finding, with its cause and its remedies."""
    cause = cause_of(known)
    return Finding(
        "non_finite",
        known.layer,
        known.share,
        0.0,
        step=known.step,
        severity="error",
        cause=cause,
        remedies=remedies_for(cause, known),
        tensor=known.tensor,
        batch_rows=known.batch_rows,
        rows=known.rows,
    )


def finding_again(described: dict[str, Any]) -> Finding:
    """Return the finding that `dataclasses.asdict` has described."""
    remedies = []
    for one in described["remedies"]:
        treatment = one["treatment"]
        remedies.append(Remedy(**{**one, "treatment": treatment and Treatment(**treatment)}))
    return Finding(**{**described, "remedies": tuple(remedies)})


LOWER_RATE = Remedy(
    "Lower the learning rate tenfold.",
    "model.optimizer.learning_rate = 0.1 * model.optimizer.learning_rate",
    Treatment("learning_rate", value=0.1),
)
CLIP = Remedy(
    "Clip the gradients to a global norm of 1.",
    "model.compile(eg.optimizers.SGD(global_clipnorm=1.0), ...)",
    Treatment("clip", value=1.0),
)
SCALE = Remedy(
    "Scale the inputs to mean 0 and standard deviation 1.",
    "x = (x - x.mean(axis=0)) / x.std(axis=0)",
    Treatment("scale_inputs"),
)
ANEW = Remedy(
    "The variables were not finite before the step: begin with others, from an initializer or from "
    "a file of before.",
    'model.load_weights("net.safetensors")',
)
FINITE_ROWS = "keep = np.isfinite({0}.reshape(len({0}), -1)).all(axis=1)\nx, y = x[keep], y[keep]"


UPDATES = (LOWER_RATE, CLIP)
# What helps whatever the layer and the rows are.
REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "learning_rate": UPDATES,
    "activation": (
        Remedy(
            "Keep what comes to the function where it and its derivative are finite: exp(z) "
            "overflows from z = 88 on in float32, and the root and the logarithm have an infinite "
            "derivative at 0; normalize before it, clamp, or take a bounded function.",
            "z = z.clamp(-30.0, 30.0)",
        ),
        *UPDATES,
    ),
    "loss": (
        Remedy(
            "Keep what the loss divides by, or takes the logarithm or root of, away from 0; the "
            "losses of this package do, and take logits.",
            "p = p.clamp(1e-7, 1.0 - 1e-7)",
        ),
    ),
    "regularization": (
        Remedy(
            "Lower the strength of the regularizers, or remove them.",
            "eg.regularizers.L2(1e-4)",
            Treatment("remove_regularizers"),
        ),
        LOWER_RATE,
    ),
    "optimizer": (
        Remedy(
            "Raise the optimizer's epsilon: it divides by next to nothing, or squares of gradients "
            "overflow.",
            "model.compile(eg.optimizers.Adam(epsilon=1e-4), ...)",
        ),
        CLIP,
    ),
    "architecture": (
        CLIP,
        Remedy(
            "Take an LSTM, whose gates keep gradients through time from exploding.",
            "eg.layers.LSTM(units)",
            Treatment("lstm"),
        ),
        LOWER_RATE,
    ),
}


def remedies_for(cause: str, known: Circumstances) -> tuple[Remedy, ...]:
    """Return what helps, most likely first."""
    if known.before:
        return (ANEW,)
    if cause in REMEDIES:
        return REMEDIES[cause]
    if cause == "labels":
        return (Remedy(f"Drop or mend the targets of {_rows(known)}.", FINITE_ROWS.format("y")),)
    if cause == "initializer":
        layers = () if known.layer is None else (known.layer,)
        pair = Remedy(
            "Pair the initializer with the activation: He for relu, Glorot for tanh and sigmoid, "
            "LeCun for selu.",
            'eg.layers.Dense(units, "relu", kernel_initializer="he_normal")',
            Treatment("initializer", layers, "auto"),
        )
        return pair, SCALE
    if known.tensor == "input":
        drop = Remedy(
            f"Drop or fill {_rows(known)}; check_finite=True, the default, refuses such data "
            "before the first step.",
            FINITE_ROWS.format("x"),
        )
        return (drop,)
    outliers = Remedy(
        f"Look at {_rows(known)}, whose inputs are far larger than others: drop or clip them.",
        "x = np.clip(x, *np.percentile(x, [0.1, 99.9], axis=0))",
    )
    return outliers, SCALE, CLIP


def _rows(known: Circumstances) -> str:
    """Return which rows of the data it is, as far as they are known and few."""
    of = "data" if known.numbered else "batch"
    shown = known.outliers or (known.rows if known.numbered else known.batch_rows)
    return f"{rows_as_text(shown)} of the {of}" if shown else "the rows that are not finite"
