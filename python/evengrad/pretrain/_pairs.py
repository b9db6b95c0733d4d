"""Two nets learn, side by side, to tell whether two rows are of one class."""

from __future__ import annotations

from typing import Any

from evengrad._common.checks import check_int
from evengrad._common.config import suggests_keywords
from evengrad._common.row_readers import ChosenRows
from evengrad._tensor import activations
from evengrad.layers import Concatenate, Dense
from evengrad.layers._module import state_of
from evengrad.layers._symbolic import Input
from evengrad.models._model import Model
from evengrad.optimizers import SGD
from evengrad.pretrain._greedy import check_model, check_vectors, single_input
from evengrad.pretrain._pair_batches import PairSampler, check_pairs, check_rows, steps_for
from evengrad.pretrain._report import Report
from evengrad.pretrain._settings import Settings
from evengrad.pretrain._work import anew, copied, seed_for, write

# Pairs of validation data: more tell little more.
MOST_HELD = 2000


@suggests_keywords
def pairs(
    body_a: Model,
    body_b: Model,
    x: Any,
    y: Any,
    *,
    units: int | None = 10,
    activation: Any = "elu",
    epochs: int = 100,
    batch_size: int = 200,
    steps_per_epoch: int | None = None,
    optimizer: Any = None,
    validation_data: Any = None,
    callbacks: Any = None,
    verbose: Any = "auto",
    seed: int | None = None,
) -> Report:
    """Pre-train two nets on an auxiliary task: whether two rows are of the same class.

    One row of a pair goes through `body_a`, the other through `body_b`; both outputs together go
    through a hidden layer of `units` and one logistic output, which are thrown away afterwards.
    Batches are those of `pair_batches`: half of the pairs of one class, label 0, half of two, label
    1, drawn anew in each epoch. Of few labelled rows there are many pairs. To go on, freeze a body
    and train a softmax on top of it, or fine-tune both.

    Parameters
    ----------
    body_a, body_b
        Models with one input and one output of vectors, without a head; built or not. All their
        variables that train, and the statistics of normalizations, change once the training is
        finished; an exception or Ctrl-C leaves both as they were. Settings of `compile` stay, and
        their optimizers' state is that of the beginning. The same model twice is one with shared
        weights.
    x, y
        Rows and their classes; see `pair_batches`.
    units
        The hidden layer behind both bodies. None for none: the output is then the logistic function
        of a sum, u(x₁) + v(x₂), which cannot tell whether two things are equal, and the accuracy
        stays at ½.
    activation
        Of that layer.
    epochs, callbacks, verbose
        As for `Model.fit`.
    batch_size
        Pairs in a batch, an even number.
    steps_per_epoch
        Batches in an epoch; by default as many as make a pair for each row, at least 1.
    optimizer
        A name or an optimizer; by default gradient descent at 0.01 with Nesterov's momentum 0.95.
    validation_data
        ``(x, y)`` of other rows: up to 2000 pairs of them, drawn once, are evaluated after each
        epoch.
    seed
        What pairs, noise and first values follow from; by default the seed of `body_a`.

    Returns
    -------
    Report
        One stage, ``"pairs"``, with the accuracy.

    Raises
    ------
    ValueError, TypeError
        Bodies, data or arguments that do not fit. Nothing is changed.

    References
    ----------
    Géron, "Hands-On Machine Learning with Scikit-Learn and TensorFlow", 2017, chapter 11,
    exercise 10.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(400, 4))
    >>> y = (x[:, 0] > 0).astype(int)
    >>> bodies = [eg.Sequential([eg.layers.Dense(20, "elu")], seed=n) for n in range(2)]
    >>> report = eg.pretrain.pairs(*bodies, x, y, epochs=150, verbose=0)
    >>> report.stages[0].history["accuracy"][-1] > 0.9
    True
    """
    size = check_pairs(batch_size)
    chosen = SGD(0.01, momentum=0.95, nesterov=True) if optimizer is None else optimizer
    settings = Settings(epochs, size, chosen, callbacks, verbose)
    for body, name in ((body_a, "body_a"), (body_b, "body_b")):
        check_model(body, name)
    rows = single_input(body_a, x)
    single_input(body_b, x)
    for body in (body_a, body_b):
        check_vectors(body)
    number = seed_for(body_a, seed, "pairs")
    sampler = PairSampler(y, number)
    check_rows(rows, sampler, "x", "y")
    steps = steps_for(sampler.rows, size) if steps_per_epoch is None else steps_per_epoch
    steps = check_int(steps, "steps_per_epoch", at_least=1)
    held = None if validation_data is None else held_pairs(body_a, validation_data, number, size)

    copies = {id(body): copied(body, seed_for(body, seed, body.path)) for body in (body_a, body_b)}
    twins = [copies[id(body)] for body in (body_a, body_b)]
    # By itself the class's name with a number; two of one name would not fit into one model.
    for twin in copies.values():
        state_of(twin).given_name = None
    inputs = [Input(rows.shape[1:], twin.dtype) for twin in twins]
    joined = Concatenate()([twin(one) for twin, one in zip(twins, inputs, strict=True)])
    if units is not None:
        hidden = anew(activations.get(activation))
        joined = Dense(units, hidden, kernel_initializer="auto")(joined)
    model = Model(inputs, Dense(1, "sigmoid")(joined), seed=number)
    settings.compile(model, "binary_crossentropy", ["accuracy"])
    drawn = sampler.draw(0, settings.epochs * steps, size)
    stage = settings.train(
        model,
        [ChosenRows(rows, drawn.left), ChosenRows(rows, drawn.right)],
        drawn.labels,
        name="pairs",
        figure="pairs",
        held=held,
        shuffle=False,
        steps_per_epoch=steps,
    )
    for body, twin in {id(body_a): (body_a, twins[0]), id(body_b): (body_b, twins[1])}.values():
        write(body, [(body, twin)])
    return Report((stage,))


def held_pairs(body: Model, validation_data: Any, seed: int, batch_size: int) -> Any:
    """Return pairs of validation rows, drawn once, as `fit` takes them."""
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise ValueError("validation_data: expected (x, y)")
    try:
        rows = single_input(body, validation_data[0])
        sampler = PairSampler(validation_data[1], seed)
        check_rows(rows, sampler, "x", "y")
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from error
    drawn = sampler.draw(0, max(1, MOST_HELD // batch_size), batch_size)
    return [ChosenRows(rows, drawn.left), ChosenRows(rows, drawn.right)], drawn.labels
