"""Builders of whole networks: funnels, and the combination of techniques that serves by default."""

from __future__ import annotations

from typing import Any

from evengrad import layers, optimizers
from evengrad._common.checks import check_float, check_int
from evengrad._common.config import remade, suggests_keywords
from evengrad._common.names import choose
from evengrad.layers._symbolic import Input
from evengrad.models._sequential import Sequential
from evengrad.optimizers.schedules import OneCycle
from evengrad.regularizers import L2

KINDS = ("default", "self_normalizing")
TASKS = ("classification", "regression")
# From this many hidden layers on a network counts as deep. The chapter gives no number.
DEEP = 5
# Rates at which the rules start well. The peak of a cycle is this many times as high.
RATES = {"adam": 1e-3, "momentum": 1e-2, "nadam": 1e-3, "nesterov": 1e-2, "rmsprop": 1e-3}
PEAK = 5.0
MOMENTUM = 0.9


@suggests_keywords
def funnel_widths(n_in: int, n_out: int, hidden: int, shape: str = "geometric") -> list[int]:
    """Return the widths of hidden layers that narrow from `n_in` inputs to `n_out` outputs.

    For k = 1…L: n_in · (n_out / n_in)^(k / (L + 1)) where the shape is ``"geometric"``, each layer
    narrower by the same factor; n_in + (n_out − n_in) · k / (L + 1) where it is ``"linear"``, by
    the same number. Rounded to whole numbers, halves to even ones.

    Parameters
    ----------
    n_in, n_out
        The numbers of inputs and outputs; at least as many inputs.
    hidden
        L, the number of hidden layers.
    shape
        ``"geometric"`` or ``"linear"``.

    Raises
    ------
    ValueError
        More outputs than inputs: that is no funnel. A number below 1; an unknown shape.

    Examples
    --------
    >>> eg.models.funnel_widths(64, 10, 3)
    [40, 25, 16]
    >>> eg.models.funnel_widths(784, 10, 4, shape="linear")
    [629, 474, 320, 165]
    """
    wide = check_int(n_in, "n_in", at_least=1)
    narrow = check_int(n_out, "n_out", at_least=1)
    count = check_int(hidden, "hidden", at_least=1)
    if narrow > wide:
        raise ValueError(
            f"n_out: expected at most n_in = {wide}, since a funnel narrows, got {narrow}; choose "
            "the widths of the hidden layers yourself"
        )
    shares = [k / (count + 1) for k in range(1, count + 1)]
    if choose(shape, ("geometric", "linear"), "shape") == "geometric":
        return [round(wide * (narrow / wide) ** share) for share in shares]
    return [round(wide + (narrow - wide) * share) for share in shares]


@suggests_keywords
def funnel(
    n_in: int,
    n_out: int,
    hidden: int,
    *,
    shape: str = "geometric",
    activation: Any = "relu",
    output_activation: Any = None,
    name: str | None = None,
    dtype: Any = None,
    seed: int | None = None,
) -> Sequential:
    """Return a chain of dense layers, each narrower than the one before; it is not compiled.

    Hidden layers near the inputs tell many small things apart, those near the outputs few large
    ones. The widths are those of `funnel_widths`. First values are what
    `initializers.for_activation` pairs with the activations. For other arguments of the layers,
    as a `norm`, put a scope of `default_arguments` around the call.

    Parameters
    ----------
    n_in, n_out
        The numbers of inputs and outputs.
    hidden
        The number of hidden layers.
    shape
        ``"geometric"``: narrower by the same factor each time; ``"linear"``: by the same number.
    activation
        That of the hidden layers: a name, a function of a tensor, or a layer, of which each hidden
        layer gets one of its own.
    output_activation
        That of the last layer; None is none.
    name, dtype, seed
        As for `Sequential`.

    Raises
    ------
    ValueError
        More outputs than inputs; a number below 1; an unknown shape or activation.

    Examples
    --------
    >>> model = eg.models.funnel(64, 10, 3, output_activation="softmax")
    >>> [layer.units for layer in model.layers]
    [40, 25, 16, 10]
    >>> with eg.default_arguments(eg.layers.Dense, norm=eg.layers.BatchNormalization()):
    ...     model = eg.models.funnel(64, 10, 3, shape="linear")
    >>> model.layers[0]
    Dense(50, activation='relu', kernel_initializer=HeNormal(), norm=BatchNormalization())
    """
    widths = funnel_widths(n_in, n_out, hidden, shape)
    chain = [layers.Dense(width, remade(activation), kernel_initializer="auto") for width in widths]
    # A norm that a scope puts into the hidden layers is not meant for the outputs.
    head = layers.Dense(n_out, output_activation, kernel_initializer="auto", norm=None)
    return Sequential([Input((n_in,)), *chain, head], name=name, dtype=dtype, seed=seed)


@suggests_keywords
def guideline(
    kind: str,
    n_in: int,
    n_out: int,
    hidden: Any,
    *,
    edition: int = 2,
    task: str = "classification",
    standardize: Any = None,
    batch_norm: bool | None = None,
    dropout: float | None = None,
    l2: float = 0.0,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    total_steps: int | None = None,
    name: str | None = None,
    dtype: Any = None,
    seed: int | None = None,
) -> Sequential:
    """Return a dense network with the combination of techniques that serves by default, compiled.

    ================  ====================  ====================  ====================
    ..                ``"default"``         ``"default"``         ``"self_normalizing"``
    `edition`         1                     2                     2
    ================  ====================  ====================  ====================
    first values      He                    He                    LeCun
    activation        ELU                   ELU                   SELU
    normalization     batch                 batch, if deep        none
    regularization    dropout, 0.5          ℓ2 on demand          alpha dropout on demand
    optimizer         Adam                  momentum              momentum
    learning rate     constant              1cycle                1cycle
    ================  ====================  ====================  ====================

    A network is deep from 5 hidden layers on. Normalization stands before the activation, dropout
    behind every hidden layer. The last layer takes Glorot's first values.

    Early stopping belongs to the second edition; it is an argument of `fit`:
    ``callbacks=[eg.callbacks.EarlyStopping(patience=10, restore_best_weights=True)]``. The cycle
    must know where it ends, so it comes with `total_steps`; a cycle that is stopped early never
    reaches its low rates, so use the one or the other.

    Scopes of `default_arguments` reach what is left open here: with fewer than about 100 batches in
    an epoch, let ``default_arguments(layers.BatchNormalization, momentum=0.9)`` keep the moving
    statistics from lagging behind.

    Parameters
    ----------
    kind
        ``"default"`` or ``"self_normalizing"``.
    n_in, n_out
        The numbers of inputs and outputs.
    hidden
        The widths of the hidden layers as a list; or their number, for the widths of a funnel from
        `n_in` to `n_out`.
    edition
        1 or 2: of the book whose chapter recommends the combination.
    task
        ``"classification"``: softmax and cross-entropy for integer labels, or with one output the
        logistic and binary cross-entropy, and accuracy; ``"regression"``: no last activation and
        the mean squared error, for targets that are standardized too.
    standardize
        Rows to train on: a `Normalization` adapted to them stands in front. With None the inputs
        must come standardized, which a net that normalizes itself depends on.
    batch_norm
        Whether to normalize, whatever the depth; None leaves that to the guideline.
    dropout
        The rate; None leaves it to the guideline.
    l2
        The factor c of the penalty c · Σ w² on each hidden kernel.
    optimizer
        ``"momentum"``, ``"nesterov"`` (both `SGD` with 0.9), ``"rmsprop"``, ``"adam"`` or
        ``"nadam"``; None leaves it to the guideline. The second edition names momentum, RMSProp and
        Nadam as equals, of which the first is taken; later printings of the first edition have
        Nesterov's momentum in the place of Adam.
    learning_rate
        The rate, the peak of a cycle; by default 0.01 for momentum and Nesterov and 0.001 for the
        others, and five times that as a peak. `Model.find_learning_rate` finds a better one.
    total_steps
        The number of steps in the whole training, ⌈rows / batch size⌉ · epochs: with it the rate
        follows `schedules.OneCycle`, and a momentum its counterpart.
    name, dtype, seed
        As for `Sequential`.

    Returns
    -------
    Sequential
        Built and compiled.

    Raises
    ------
    ValueError
        An unknown name, a number out of range; normalization, ℓ2 or the first edition with
        ``"self_normalizing"``, which rules them out; a cycle with the first edition.

    References
    ----------
    Géron, "Hands-On Machine Learning", the guidelines at the end of the chapter on training deep
    networks; Klambauer et al., "Self-Normalizing Neural Networks", 2017, for the second.

    Examples
    --------
    >>> model = eg.models.guideline("default", 64, 10, [100] * 5)
    >>> model.layers[0]
    Dense(100, activation='elu', kernel_initializer=HeNormal(), norm=BatchNormalization())
    >>> model.optimizer
    SGD(learning_rate=0.01, momentum=0.9)
    >>> model = eg.models.guideline("self_normalizing", 64, 10, 3, dropout=0.1, total_steps=600)
    >>> model
    Sequential([Input((64,)), \
Dense(40, activation='selu', kernel_initializer=LecunNormal()), AlphaDropout(0.1), \
Dense(25, activation='selu', kernel_initializer=LecunNormal()), AlphaDropout(0.1), \
Dense(16, activation='selu', kernel_initializer=LecunNormal()), AlphaDropout(0.1), \
Dense(10, activation='softmax')])
    >>> [round(model.optimizer.learning_rate(step), 4) for step in (0, 269, 538)]
    [0.005, 0.05, 0.005]
    """
    itself = choose(kind, KINDS, "kind") == "self_normalizing"
    choose(task, TASKS, "task")
    _check_kind(itself, edition, batch_norm, l2)
    first = edition == 1
    widths = _widths(n_in, n_out, hidden)
    rate = (0.5 if first else 0.0) if dropout is None else dropout
    normal = not itself and (first or len(widths) >= DEEP) if batch_norm is None else batch_norm
    rule = _optimizer(
        optimizer or ("adam" if first else "momentum"), learning_rate, total_steps, first
    )
    # Everything that can fail for the arguments' sake has been looked at: now layers are made.
    ahead = [] if standardize is None else [layers.Normalization()]
    noise = layers.AlphaDropout if itself else layers.Dropout
    chain: list[layers.Layer] = []
    for width in widths:
        chain.append(
            layers.Dense(
                width,
                "selu" if itself else "elu",
                kernel_initializer="auto",
                kernel_regularizer=L2(l2) if l2 else None,
                norm=layers.BatchNormalization() if normal else None,
            )
        )
        if rate:
            chain.append(noise(rate))
    last, loss, metrics = _head(task, n_out)
    model = Sequential([Input((n_in,)), *ahead, *chain, last], name=name, dtype=dtype, seed=seed)
    if standardize is not None:
        ahead[0].adapt(standardize)
    model.compile(rule, loss, metrics)
    return model


def _check_kind(itself: bool, edition: int, batch_norm: bool | None, l2: float) -> None:
    """Raise an error for an unknown edition, and for what the kind rules out."""
    if edition not in (1, 2) or isinstance(edition, bool):
        raise ValueError(f"edition: expected 1 or 2, got {edition!r}")
    if itself and edition == 1:
        raise ValueError(
            'edition: expected 2 with "self_normalizing", which the first edition does not know, '
            "got 1"
        )
    if itself and batch_norm:
        raise ValueError(
            'batch_norm: expected False or None with "self_normalizing", got True; the net '
            "normalizes itself"
        )
    if itself and l2:
        raise ValueError(
            f'l2: expected 0 with "self_normalizing", got {l2:g}; a penalty pulls variances down: '
            "use dropout, which is alpha dropout here, or early stopping"
        )


def _widths(n_in: int, n_out: int, hidden: Any) -> list[int]:
    check_int(n_in, "n_in", at_least=1)
    check_int(n_out, "n_out", at_least=1)
    if isinstance(hidden, (list, tuple)):
        return [check_int(width, "hidden", at_least=1) for width in hidden]
    return funnel_widths(n_in, n_out, hidden)


def _optimizer(
    name: str, learning_rate: float | None, total_steps: int | None, first: bool
) -> optimizers.Optimizer:
    """Return the update rule, with its schedule where there is one."""
    chosen = choose(name, RATES, "optimizer")
    if first and total_steps is not None:
        raise ValueError(
            "total_steps: expected None with the first edition, which keeps the rate constant, "
            f"got {total_steps}"
        )
    usual = RATES[chosen] * (1.0 if total_steps is None else PEAK)
    rate: Any = (
        usual if learning_rate is None else check_float(learning_rate, "learning_rate", low=0.0)
    )
    momentum: Any = MOMENTUM
    if total_steps is not None:
        rate = OneCycle(rate, total_steps)
        momentum = rate.momentum
    if chosen in ("momentum", "nesterov"):
        return optimizers.SGD(rate, momentum=momentum, nesterov=chosen == "nesterov")
    adaptive = {"adam": optimizers.Adam, "nadam": optimizers.Nadam}
    return adaptive.get(chosen, optimizers.RMSprop)(rate)


def _head(task: str, n_out: int) -> tuple[layers.Dense, str, list[str]]:
    """Return the last layer, the loss and the metrics."""
    activation, loss, metrics = None, "mse", []
    if task == "classification":
        activation = "softmax" if n_out > 1 else "sigmoid"
        loss = "sparse_categorical_crossentropy" if n_out > 1 else "binary_crossentropy"
        metrics = ["accuracy"]
    head = layers.Dense(
        n_out, activation, kernel_initializer="auto", kernel_regularizer=None, norm=None
    )
    return head, loss, metrics
