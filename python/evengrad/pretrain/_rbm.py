"""Stacks of restricted Boltzmann machines."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.checks import check_float, check_int
from evengrad._common.config import name_of, suggests_keywords
from evengrad._common.names import choose
from evengrad.layers._dropout import Noise
from evengrad.layers._symbolic import Input
from evengrad.models._anatomy import NORMALIZATIONS, own_activation
from evengrad.models._sequential import Sequential
from evengrad.optimizers import SGD
from evengrad.pretrain._divergence import ContrastiveDivergence, Machine
from evengrad.pretrain._greedy import greedy, pieces_of
from evengrad.pretrain._settings import Settings
from evengrad.pretrain._work import values_of

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model
    from evengrad.pretrain._chain import Span
    from evengrad.pretrain._greedy import Turn
    from evengrad.pretrain._report import Report, Stage

VISIBLE = ("bernoulli", "gaussian")
RECONSTRUCTIONS = ("sample", "mean")
# A share of rows in which a pixel is on that counts as none: its bias has to be finite.
LEAST_SHARE = 0.01
RATE = 0.05


def own_output(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return the mean of what the machine puts out, which is an error already."""
    del y_true
    return y_pred.mean()


@dataclasses.dataclass
class Boltzmann:
    """How the machine of each layer is made and trained."""

    settings: Settings
    # Of the first stage; the units of the others are those of the machine below.
    machine: Machine

    def check(self, chain: list[Layer], spans: list[Span]) -> None:
        """Raise an error for layers that are no hidden units of a machine."""
        for span in spans:
            check_units(chain[span.start : span.stop], span.path)

    def train(self, layers: list[Layer], rows: Any, held: Any, turn: Turn) -> Stage:
        """Train the machine of a dense layer on rows, and return the figures."""
        dense: Any = layers[0]
        gaussian = turn.begins and self.machine.gaussian
        check_rows(rows, turn.path, gaussian)
        machine = dataclasses.replace(self.machine, gaussian=gaussian)
        layer = ContrastiveDivergence(dense, machine, visible_bias(rows, gaussian))
        shape = Input(rows.shape[1:], dense.dtype)
        model = Sequential([shape, layer], dtype=dense.dtype, seed=turn.seed)
        self.settings.compile(model, own_output)
        stage = self.settings.train(
            model,
            rows,
            without_targets(rows),
            name=turn.path,
            figure="reconstruction",
            held=None if held is None else (held, without_targets(held)),
        )
        return dataclasses.replace(stage, leftovers={"visible_bias": values_of(layer.visible_bias)})


def without_targets(rows: Any) -> Any:
    """Return what stands for targets where there are none."""
    return np.zeros(len(rows), np.float32)


def visible_bias(rows: Any, gaussian: bool) -> Any:
    """Return first biases with which a machine without connections has the means of the rows."""
    means = sum(part.sum(0, dtype=np.float64) for part in pieces_of(rows)) / len(rows)
    if gaussian:
        return means
    shares = np.clip(means, LEAST_SHARE, 1.0 - LEAST_SHARE)
    return np.log(shares / (1.0 - shares))


def check_units(layers: list[Layer], path: str) -> None:
    """Raise an error where a dense layer, with what stands behind it, is no layer of coins."""
    dense: Any = layers[0]
    behind = [layer for layer in layers[1:] if not isinstance(layer, Noise)]
    norms = [one for one in [dense.norm, *behind] if isinstance(one, NORMALIZATIONS)]
    if norms:
        raise ValueError(
            f"{path}: expected a Dense layer alone, as a machine's hidden units are, got "
            f"{type(norms[0]).__name__} with it; leave it out, or use "
            "pretrain.stacked_autoencoder"
        )
    applied = [own for one in [dense, *behind] if (own := own_activation(one)) is not None]
    own = applied[0] if len(applied) == 1 else None
    if name_of(own) != "sigmoid":
        names = [name_of(one) or type(one).__name__ for one in applied]
        shown = " and ".join(names) or "none"
        raise ValueError(
            f"{path}: expected activation='sigmoid', the chance of a hidden unit to be 1, got "
            f"{shown}; change it, or use pretrain.stacked_autoencoder"
        )


def check_rows(rows: Any, path: str, gaussian: bool) -> None:
    """Raise an error for rows that are no chances, where they are to be."""
    if rows.ndim != 2:
        raise ValueError(
            f"{path}: expected rows of features, got shape {tuple(rows.shape)}; put a Flatten in "
            "front"
        )
    if gaussian:
        return
    for part in pieces_of(rows):
        outside = part[(part < 0.0) | (part > 1.0)]
        if outside.size:
            raise ValueError(
                f"{path}: expected visible units in [0, 1], got {outside.flat[0]:g} among them; "
                'scale the data, or standardize it and pass visible="gaussian"'
            )


@suggests_keywords
def rbm(
    model: Model,
    x: Any,
    *,
    layers: Any = None,
    visible: str = "bernoulli",
    k: int = 1,
    persistent: bool = False,
    reconstruction: str = "sample",
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: Any = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    optimizer: Any = None,
    validation_data: Any = None,
    validation_split: float = 0.0,
    callbacks: Any = None,
    verbose: Any = "auto",
    seed: int | None = None,
) -> Report:
    """Pre-train the hidden dense layers of a model as restricted Boltzmann machines.

    Without labels, layer after layer. A layer's kernel W and bias c are those of a machine that has
    visible biases b besides: p_h(v) = σ(v · W + c) and p_v(h) = σ(h · Wᵀ + b). With h₀ drawn from
    p_h(v₀) and v₁ from p_v(h₀), a step of contrastive divergence over m rows v₀ is

    ΔW = η · (v₀ᵀ · p_h(v₀) − v₁ᵀ · p_h(v₁)) / m, Δb = η · mean(v₀ − v₁),
    Δc = η · mean(p_h(v₀) − p_h(v₁)).

    It goes on from the values that the layer has, and b from the log odds of the means of v. The
    outputs p_h(v) of a machine are the data of the next one. Afterwards train the whole model with
    `fit`. That is rarely done by now: other first values and activations have taken its place.

    Parameters
    ----------
    model
        A chain of layers, built or not, whose hidden dense layers have the activation
        ``"sigmoid"`` and no normalization; dropout in between is passed. Their kernels and biases
        alone change, each once its stage is finished: where an exception or Ctrl-C ends the call,
        the layers before it are pre-trained, and the others are as they were. Settings of `compile`
        stay, and the optimizer's state of what has changed is that of its beginning.
    x
        Rows (rows, features), as for `Model.fit`, all of them in one array or the like; chances in
        [0, 1] of binary units, or with ``visible="gaussian"`` standardized numbers.
    layers
        Names of `Dense` layers, or the layers; by default all that train, but for the last layer
        with a kernel.
    visible
        Visible units of the first stage: ``"bernoulli"``, 0 or 1, or ``"gaussian"``, drawn from
        N(h · Wᵀ + b, 1). Those of the other stages are 0 or 1.
    k
        Steps of each chain: CD-k, which draws h and v in turn k times and takes v_k for v₁.
    persistent
        Whether chains go on from step to step, from h = 0 on, as many as rows in a batch, instead
        of beginning at the data: persistent contrastive divergence, as scikit-learn's
        `BernoulliRBM`.
    reconstruction
        ``"sample"``: v₁ is drawn. ``"mean"``: it is p_v(h₀) itself, which is less noisy.
    epochs, batch_size, callbacks, verbose
        As for `Model.fit`, of each stage.
    learning_rate
        η, a number or a schedule; 0.05 by default. Normal units need about a tenth.
    momentum
        Of the updates, in [0, 1).
    weight_decay
        λ: ΔW has −η · λ · W besides.
    optimizer
        A name or an optimizer in place of gradient descent with `learning_rate` and `momentum`, of
        which each stage gets its own.
    validation_data, validation_split
        Rows whose reconstruction error is computed after each epoch, or a share of the rows that is
        held out for that; see `stacked_autoencoder`.
    seed
        What samples and shuffling follow from; by default the model's. The same seed gives the same
        bits for any number of threads.

    Returns
    -------
    Report
        A stage for each layer. Its losses are means of (v₀ − p_v(h₀))², the error of the
        reconstruction, which is no measure of likelihood; persistent chains, and validation, take
        p_h(v₀) for h₀ there. Its `leftovers` are the visible biases.

    Raises
    ------
    ValueError, TypeError
        A model that is no chain; no such layer, a frozen one, or one that is no hidden layer of a
        machine; data or arguments that do not fit.

    References
    ----------
    Hinton, Osindero and Teh, "A fast learning algorithm for deep belief nets", 2006; Tieleman,
    "Training restricted Boltzmann machines using approximations to the likelihood gradient", 2008;
    Hinton, "A practical guide to training restricted Boltzmann machines", 2010.

    Examples
    --------
    Halves that are on or off together:

    >>> half = np.random.default_rng(0).integers(0, 2, (500, 2))
    >>> x = np.repeat(half, 6, axis=1)
    >>> hidden = eg.layers.Dense(4, "sigmoid", name="hidden")
    >>> model = eg.Sequential([hidden, eg.layers.Dense(2, "softmax")], seed=1)
    >>> report = eg.pretrain.rbm(model, x, epochs=30, verbose=0)
    >>> report.stages[0].name, report.stages[0].losses[-1] < report.stages[0].losses[0] / 3
    ('hidden', True)
    """
    machine = Machine(
        gaussian=choose(visible, VISIBLE, "visible") == "gaussian",
        k=check_int(k, "k", at_least=1),
        chains=check_int(batch_size, "batch_size", at_least=1) if persistent else 0,
        samples=choose(reconstruction, RECONSTRUCTIONS, "reconstruction") == "sample",
        weight_decay=check_float(weight_decay, "weight_decay", low=0.0, open_high=True),
    )
    if optimizer is None:
        optimizer = SGD(RATE if learning_rate is None else learning_rate, momentum=momentum)
    elif learning_rate is not None or momentum:
        raise ValueError(
            "optimizer: expected it alone, got it with learning_rate or momentum; pass these to "
            "the optimizer"
        )
    settings = Settings(
        epochs, batch_size, optimizer, callbacks, verbose, validation_data, validation_split
    )
    work = Boltzmann(settings, machine)
    greedily = greedy(model, x, layers, seed, settings, work.check)
    check_rows(greedily.rows, greedily.spans[0].path, machine.gaussian)
    return greedily.run(work.train)
