"""Two views of a row are to be alike, and unlike those of all other rows of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float, check_int, plural
from evengrad._common.config import suggests_keywords
from evengrad.layers import Dense, Layer
from evengrad.layers._module import state_of
from evengrad.models._model import Model
from evengrad.pretrain._greedy import check_model, check_vectors, single_input
from evengrad.pretrain._report import Report
from evengrad.pretrain._settings import Settings
from evengrad.pretrain._work import anew, copied, seed_for, write

if TYPE_CHECKING:
    from evengrad._core import Tensor

# Below the least similarity, divided by the smallest temperature: no view is taken for itself.
NEVER = -1e9
# Added to squared lengths, so that a vector of zeros has one.
SMALLEST = 1e-12


class Views(Model):
    """A body and a projection behind it, which see two views of each row.

    For each row it puts out the loss, the mean of both directions, and how often the other view is
    the nearest.
    """

    def __init__(
        self,
        body: Any,
        projection: list[Layer],
        augment: list[Layer],
        temperature: float,
        seed: int,
    ) -> None:
        super().__init__(dtype=body.dtype, seed=seed)
        self.body = body
        self.projection = projection
        self.augment = augment
        # With streams of their own: a validation changes nothing of the training.
        self.augment_held = [anew(layer) for layer in augment]
        self.temperature = temperature

    def call(self, x: Any, training: bool | None = None) -> Tensor:
        """Return loss and hits, (rows, 2)."""
        first, second = x if isinstance(x, (list, tuple)) else (x, x)
        augment = self.augment if training else self.augment_held
        # Each draws anew.
        both = [augmented(first, augment), augmented(second, augment)]
        vectors = self.body(_core.cat(both, 0))
        for layer in self.projection:
            vectors = layer(vectors)
        losses, hits = nt_xent(vectors, self.temperature)
        return _core.stack([losses, hits], 1)


def augmented(view: Tensor, layers: list[Layer]) -> Tensor:
    """Return a view that went through layers, which act in a validation too.

    Without them a row would be two views that are one.
    """
    for layer in layers:
        view = layer(view, training=True)
    return view


def nt_xent(vectors: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return losses and hits of rows whose views are vectors i and i + rows.

    ℓᵢ = −ln(exp(sᵢ,ⱼ / τ) / Σ_{k ≠ i} exp(sᵢ,ₖ / τ)), with s the cosines and j the other view.
    """
    count = vectors.shape[0]
    rows = count // 2
    lengths = (vectors.square().sum(1, keepdim=True) + SMALLEST).sqrt()
    unit = vectors / lengths
    itself = _core.tensor(np.diag(np.full(count, NEVER)), dtype=vectors.dtype)
    similar = (unit @ unit.T) * (1.0 / temperature) + itself
    other = _core.tensor(np.roll(np.arange(count), rows))
    losses = _core.cross_entropy(similar, other, reduction="none")
    hits = _core.argmax_equals(similar.detach(), other).astype(vectors.dtype)
    return losses.reshape(2, rows).mean(0), hits.reshape(2, rows).mean(0)


def first_column(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return the mean of the losses that the model puts out."""
    del y_true
    return y_pred[:, 0].mean()


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return the share of views whose nearest one is the other of their row."""
    del y_true
    return y_pred[:, 1].mean()


def views_of(body: Model, x: Any, augment: list[Layer], argument: str) -> Any:
    """Return the rows, or both views of them, as arrays; the body is built."""
    if not isinstance(x, tuple):
        if not augment:
            raise ValueError(
                "augment: expected layers that make two views of a row, such as "
                f"layers.GaussianNoise(0.1), or a tuple of two views as {argument}, got neither"
            )
        found = single_input(body, x)
        rows = len(found)
    else:
        if len(x) != 2:
            raise ValueError(
                f"{argument}: expected one array, or a tuple of two views, got {len(x)}"
            )
        found = [single_input(body, view) for view in x]
        rows, others = map(len, found)
        if rows != others:
            raise ValueError(
                f"{argument}: expected as many rows in both views, got {rows} and {others}"
            )
    if rows < 2:
        raise ValueError(f"{argument}: expected two rows or more, got {plural(rows, 'row')}")
    return found


def rows_in(data: Any) -> int:
    """Return how many rows there are, of which a list has two views."""
    return len(data[0] if isinstance(data, list) else data)


def whole_batches(data: Any, size: int) -> Any:
    """Return the rows of whole batches; all where they are fewer than one."""
    rows = rows_in(data)
    end = rows if rows < size else rows - rows % size
    return [view[:end] for view in data] if isinstance(data, list) else data[:end]


def layers_for(augment: Any) -> list[Layer]:
    """Return new layers like those that a user passes."""
    given = [] if augment is None else augment
    given = list(given) if isinstance(given, (list, tuple)) else [given]
    for layer in given:
        if not isinstance(layer, Layer) or isinstance(layer, Model):
            raise TypeError(f"augment: expected layers or None, got {layer!r}")
    return [anew(layer) for layer in given]


@suggests_keywords
def contrastive(
    body: Model,
    x: Any,
    *,
    augment: Any = None,
    temperature: float = 0.1,
    projection: int | None = 64,
    epochs: int = 10,
    batch_size: int = 128,
    steps_per_epoch: int | None = None,
    optimizer: Any = "adam",
    validation_data: Any = None,
    callbacks: Any = None,
    verbose: Any = "auto",
    seed: int | None = None,
) -> Report:
    """Pre-train a net without labels to see that two views of a row are of the same row.

    Of each of the N rows of a batch two views are made. Through the body and a projection behind
    it, which is thrown away afterwards, they come to 2N vectors with cosines s. The loss is NT-Xent
    (SimCLR), InfoNCE in both directions with the 2(N − 1) views of all other rows against it: the
    mean over views i, j the other view of the row, of

    −ln(exp(s_ij / τ) / Σ_{k ≠ i} exp(s_ik / τ)).

    Parameters
    ----------
    body
        A model with one input and one output of vectors, without a head; built or not. All its
        variables that train, and the statistics of normalizations, change once the training is
        finished; an exception or Ctrl-C leaves it as it was. Settings of `compile` stay, and its
        optimizer's state is that of the beginning.
    x
        Rows; or a tuple of two arrays that are the views, row by row.
    augment
        A layer or a list of layers that a row goes through for each view, such as
        ``[layers.GaussianNoise(0.1), layers.Dropout(0.2)]``; may be left out where `x` are views.
    temperature
        τ: small, and the nearest of the other rows count alone; 0.1 by default.
    projection
        Outputs of the projection: a hidden layer with ReLU, as wide as the body, and a linear one.
        None: the loss is of the body's outputs themselves.
    epochs, steps_per_epoch, callbacks, verbose
        As for `Model.fit`.
    batch_size
        N. The rows that an epoch leaves over for a smaller batch are others each time, and wait.
    optimizer
        A name or an optimizer.
    validation_data
        Rows or views as `x`, which are not trained on: after each epoch ``"val_loss"`` and
        ``"val_accuracy"`` tell of their batches, of which a last one that is smaller is left out,
        as fewer rows are easier to tell apart.
    seed
        What views, first values and shuffling follow from; by default the body's.

    Returns
    -------
    Report
        One stage, ``"contrastive"``; its accuracy is the share of views whose nearest one is the
        other of their row.

    Raises
    ------
    ValueError, TypeError
        A body, data or arguments that do not fit. Nothing is changed.

    References
    ----------
    Chen et al., "A simple framework for contrastive learning of visual representations", 2020;
    van den Oord et al., "Representation learning with contrastive predictive coding", 2018.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(256, 8))
    >>> body = eg.Sequential([eg.layers.Dense(16, "elu")], seed=1)
    >>> noise = eg.layers.GaussianNoise(0.3)
    >>> report = eg.pretrain.contrastive(body, x, augment=noise, epochs=40, verbose=0)
    >>> report.stages[0].losses[-1] < report.stages[0].losses[0]
    True
    """
    settings = Settings(epochs, batch_size, optimizer, callbacks, verbose, validation_data)
    tau = check_float(temperature, "temperature", low=0.0, open_low=True)
    check_model(body, "body")
    augmenting = layers_for(augment)
    data = views_of(body, x, augmenting, "x")
    check_vectors(body)
    rows, held = rows_in(data), None
    if validation_data is not None:
        views = views_of(body, validation_data, augmenting, "validation_data")
        held_x = whole_batches(views, settings.batch_size)
        held = held_x, np.zeros(rows_in(held_x), np.float32)
    number = seed_for(body, seed, "contrastive")
    twin = copied(body, seed_for(body, seed, body.path))
    state_of(twin).given_name = None
    behind: list[Layer] = []
    if projection is not None:
        width = body.output_shape[-1]
        outputs = check_int(projection, "projection", at_least=1)
        behind = [Dense(width, "relu", kernel_initializer="auto"), Dense(outputs)]
    model = Views(twin, behind, augmenting, tau, number)
    settings.compile(model, first_column, [accuracy])
    stage = settings.train(
        model,
        data,
        np.zeros(rows, np.float32),
        name="contrastive",
        figure="contrastive",
        held=held,
        drop_last=True,
        steps_per_epoch=steps_per_epoch,
    )
    write(body, [(body, twin)])
    return Report((stage,))
