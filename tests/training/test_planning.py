"""What `Model.plan` tells about training, and that it changes nothing."""

import numpy as np
import pytest
from training_checks import everything

import evengrad as eg

RNG = np.random.default_rng(5)
X = RNG.normal(size=(100, 6))
Y = RNG.integers(0, 3, 100)


def classifier(optimizer="adam", loss="sparse_categorical_crossentropy", **options):
    model = eg.Sequential(
        [
            eg.Input((6,)),
            eg.layers.Dense(8, "relu", norm=eg.layers.BatchNormalization()),
            eg.layers.Dropout(0.3),
            eg.layers.Dense(3),
        ],
        seed=11,
    )
    model.compile(optimizer, loss, ["accuracy"], **options)
    return model


def plain(*widths, optimizer="sgd", loss="mse"):
    layers = [eg.layers.Dense(width, use_bias=False) for width in widths[1:]]
    model = eg.Sequential([eg.Input((widths[0],)), *layers])
    model.compile(optimizer, loss)
    return model


def test_the_figures_are_those_of_counting():
    # Weights so small that there is one way to cut them.
    plan = plain(200, 128, 64, optimizer="adam").plan(np.zeros((1000, 200)), batch_size=100)
    assert (plan.rows, plan.batch_size, plan.steps_per_epoch) == (1000, 100, 10)
    parameters = 200 * 128 + 128 * 64
    assert plan.parameter_bytes == 4 * parameters
    # Adam keeps two moments.
    assert plan.optimizer_bytes == 8 * parameters
    # Forward, and backward twice as much but for the gradient of the rows themselves.
    products = 100 * (3 * parameters - 200 * 128)
    # Adam does some dozens of operations for each weight; the loss does next to nothing.
    assert products < plan.multiply_adds < products + 30 * parameters
    # Rows and targets, and what a step keeps for a batch: activations and their gradients.
    assert plan.data_bytes == 4 * 1000 * (200 + 64)
    assert plan.working_bytes >= 4 * 100 * (128 + 64)
    assert plan.memory == (
        plan.parameter_bytes + plan.optimizer_bytes + plan.data_bytes + plan.working_bytes
    )
    assert plan.phases == 2
    assert "dense > adam" in plan.explanation


def test_time_is_measured_and_adds_up():
    plan = classifier().plan(X, batch_size=30)
    assert plan.seconds_per_step > 0
    assert plan.seconds_per_epoch == plan.seconds_per_step * 4
    assert 1 <= plan.threads <= eg.get_num_threads()


def test_a_batch_is_no_larger_than_the_data():
    plan = classifier().plan(X, batch_size=4096)
    assert (plan.batch_size, plan.steps_per_epoch) == (100, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: eg.optimizers.SGD(0.1, 0.9),
        lambda: eg.optimizers.Nadam(eg.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)),
        lambda: eg.optimizers.Adam(0.01, use_ema=True, gradient_accumulation_steps=4),
    ],
)
@pytest.mark.parametrize("eager", [False, True])
def test_it_leaves_no_trace(make, eager):
    planned, other = (classifier(make(), run_eagerly=eager) for _ in range(2))
    for _ in range(2):
        before = everything(planned)
        planned.plan(X, batch_size=32, y=Y)
        assert everything(planned) == before
        logs = [model.fit(X, Y, epochs=2, verbose=0).history for model in (planned, other)]
        assert logs[0] == logs[1]
        assert everything(planned)[:-2] == everything(other)[:-2]


def test_an_interrupted_plan_leaves_no_trace():
    def loss(_, prediction):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return prediction.square().mean()

    calls = []
    model = classifier(loss=loss, run_eagerly=True)
    before = everything(model)
    with pytest.raises(KeyboardInterrupt):
        model.plan(X)
    assert everything(model) == before


def test_steps_in_python_have_no_phases():
    plan = classifier(run_eagerly=True).plan(X)
    assert (plan.phases, plan.threads, plan.explanation) == (0, 1, "")
    assert "in Python, operation by operation" in str(plan)
    # Forward alone is 6·8 + 8·3 for each row.
    assert plan.multiply_adds == 3 * 32 * (6 * 8 + 8 * 3)


@pytest.mark.parametrize(
    "loss", ["mse", "huber", "sparse_categorical_crossentropy", "categorical_crossentropy"]
)
def test_targets_may_be_missing(loss):
    assert classifier(loss=loss).plan(X).phases > 0


def test_two_outputs_and_sample_weights():
    rows = eg.Input((6,))
    hidden = eg.layers.Dense(8, "relu")(rows)
    outputs = [eg.layers.Dense(3, name="kind")(hidden), eg.layers.Dense(1, name="size")(hidden)]
    model = eg.Model(rows, outputs)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    assert model.plan(X).data_bytes == 100 * (6 * 4 + 8 + 4)
    weighted = model.plan(X, y={"kind": Y, "size": X[:, :1]}, sample_weight=np.ones(100))
    assert weighted.data_bytes == 100 * (6 * 4 + 8 + 4 + 4)


def test_it_prints_as_a_table():
    text = str(plain(256, 128, 64).plan(np.zeros((1000, 256)), batch_size=100))
    lines = [line.split()[0] for line in text.splitlines()]
    assert lines == ["sequential", "step", "work", "memory", "epoch"]
    assert "1000 rows in batches of 100" in text
    assert text.endswith("10 steps")


def test_wrong_calls_are_refused():
    model = eg.Sequential([eg.Input((6,)), eg.layers.Dense(3)])
    with pytest.raises(RuntimeError, match="compile"):
        model.plan(X)
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"batch_size: expected 1 or more"):
        model.plan(X, batch_size=0)
    with pytest.raises(TypeError, match="expected arrays, got an iterable of batches"):
        model.plan(iter([(X, Y)]))
    with pytest.raises(TypeError, match="batch_size"):
        model.plan(X, batchsize=3)
    with pytest.raises(ValueError, match="6"):
        model.plan(X[:, :4])
