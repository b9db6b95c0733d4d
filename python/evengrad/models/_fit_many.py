"""`fit_many`: several models trained at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import shown_object
from evengrad.models._model import Model
from evengrad.models._network import view_of
from evengrad.training._fit_many import ManyOptions
from evengrad.training._fit_many import fit_many as train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad.callbacks import History


def fit_many(
    models: Sequence[Model],
    x: Any,
    y: Any,
    *,
    batch_size: int | None = 32,
    epochs: int = 1,
    validation_data: Any = None,
    sample_weight: Any = None,
    callbacks: Sequence[Any] | None = None,
    stop: str | None = None,
    n_threads: int | None = None,
    verbose: Any = "auto",
) -> list[History]:
    """Train several compiled models at once, each on one thread.

    Each model makes the steps that `Model.fit` makes, with the same bits, by its own seed. Threads
    take whole trainings from one queue, and wait for no other one: small nets, which a second
    thread helps little, are trained on all processors so. Trainings take turns, so that all come to
    their end at about the same time.

    Ctrl-C ends all trainings at a whole step, and what they have done is kept: ``model.history`` of
    each has its epochs. So does an error of a callback or a layer, which is raised.

    Parameters
    ----------
    models
        Compiled models, which have no variable in common.
    x, y
        Rows and targets as for `Model.fit`, in arrays: the same for all models, which is one copy
        in memory; or a list with one for each.
    batch_size, epochs
        Rows in a step, and how many epochs each model trains.
    validation_data
        ``(x, y)`` or ``(x, y, sample_weight)`` for all models, or a list with one for each;
        evaluated after each epoch.
    sample_weight
        A weight for each row, for all models, or a list with one for each.
    callbacks
        A list with the callbacks of each model, None or an empty list for one without. They run
        between the epochs of their model, on the thread that calls this. Those with methods for
        batches have their model return to Python for each.
    stop
        ``"halving"``: after epochs 1, 2, 4, … the half of the models that are left with the larger
        validation loss ends; ``history.ended_by`` says so. Successive halving, with the number of
        epochs doubled at each cut.
    n_threads
        How many threads at once at most; by default as many as `evengrad.get_num_threads` says.
    verbose
        0: silent. 1: one progress bar over all models on a terminal or in a notebook, else a line
        for each model that ends. 2: such lines. ``"auto"``: as 1.

    Returns
    -------
    list of History
        For each model the figures of every epoch.

    Raises
    ------
    ValueError, TypeError
        A model is there twice, shares a variable or an optimizer with another one, or its data does
        not fit: the error says which, before the first step. A callback is there for two models;
        ``stop="halving"`` without validation data.
    RuntimeError
        A model is not compiled, or another thread trains it.

    References
    ----------
    Jamieson and Talwalkar, *Non-stochastic best arm identification and hyperparameter
    optimization*, 2016 (successive halving).

    Examples
    --------
    >>> def net(seed, rate):
    ...     layers = [eg.Input((3,)), eg.layers.Dense(8, "tanh"), eg.layers.Dense(1)]
    ...     model = eg.Sequential(layers, seed=seed)
    ...     model.compile(eg.optimizers.Adam(rate), "mse")
    ...     return model
    >>> x = np.random.default_rng(0).normal(size=(64, 3))
    >>> models = [net(seed, rate) for seed in (1, 2) for rate in (0.01, 0.1)]
    >>> histories = eg.fit_many(models, x, x.sum(axis=1), epochs=5, verbose=0)
    >>> [len(history.epoch) for history in histories]
    [5, 5, 5, 5]
    """
    found = list(models)
    for place, model in enumerate(found):
        if not isinstance(model, Model):
            raise TypeError(f"models[{place}]: expected a Model, got {shown_object(model)}")
    options = ManyOptions(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=validation_data,
        sample_weight=sample_weight,
        callbacks=callbacks,
        stop=stop,
        n_threads=n_threads,
        verbose=verbose,
    )
    return train([view_of(model) for model in found], options)
