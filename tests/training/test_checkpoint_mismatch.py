"""A checkpoint of another training is refused by what differs, and nothing is changed."""

import numpy as np
import pytest
from checkpoint_checks import X, Y, net, run

import evengrad as eg
from evengrad import callbacks, layers, optimizers


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda: (net(units=9), {}), "dense"),
        (lambda: (net(activation="tanh"), {}), "tanh"),
        (lambda: (net(seed=6), {}), "seed"),
        (lambda: (net(optimizer=optimizers.SGD(0.01)), {}), "optimizer"),
        (lambda: (net(optimizer=optimizers.Adam(0.02)), {}), "learning_rate"),
        (lambda: (net(), {"x": X[:-1], "y": Y[:-1]}), "x: now shape"),
        (lambda: (net(), {"x": X + 1}), "values"),
        (lambda: (net(), {"y": Y[::-1]}), "y: now"),
        (lambda: (net(), {"batch_size": 10}), "batch_size"),
        (lambda: (net(), {"shuffle": False}), "shuffle"),
        (lambda: (net(), {"class_weight": {1: 2.0}}), "class_weight"),
        (lambda: (net(), {"callbacks": callbacks.EarlyStopping("loss")}), "EarlyStopping"),
        (lambda: (net(), {"validation_split": 0.5}), "validation"),
    ],
)
def test_another_training_is_refused_by_what_differs(tmp_path, change, named):
    run(net(), 1, checkpoint=tmp_path)
    model, given = change()
    before = model.get_weights()
    with pytest.raises(ValueError, match=named):
        run(model, 2, checkpoint=tmp_path, **given)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    run(model, 1, checkpoint=tmp_path, resume=False, **given)


def test_another_loss_is_refused(tmp_path):
    run(net(), 1, checkpoint=tmp_path)
    model = net()
    model.compile(optimizers.Adam(0.01), eg.losses.SparseCategoricalCrossentropy())
    with pytest.raises(ValueError, match="loss"):
        run(model, 2, checkpoint=tmp_path)


@pytest.mark.parametrize("swapped", [False, True])
def test_graphs_that_are_wired_otherwise_are_other_models(tmp_path, swapped):
    def made(swap):
        a, b = layers.Dense(4, name="a"), layers.Dense(4, name="b")
        x = eg.Input((4,))
        first, second = (b, a) if swap else (a, b)
        model = eg.Model(x, layers.Dense(2, name="c")(second(first(x))), seed=1)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    run(made(False), 1, checkpoint=tmp_path)
    if not swapped:
        run(made(False), 2, checkpoint=tmp_path)
        return
    with pytest.raises(ValueError, match="graph"):
        run(made(True), 2, checkpoint=tmp_path)


def test_a_refused_resume_leaves_the_seed(tmp_path):
    run(net(None), 1, checkpoint=tmp_path)
    model = net(None)
    before = model._seed()
    with pytest.raises(ValueError, match="batch_size"):
        run(model, 2, checkpoint=tmp_path, batch_size=10)
    assert model._seed() == before
