"""What callbacks set while training, beside weights, is part of a checkpoint."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import weakref

import pytest
from checkpoint_checks import StopAt, X, bits, net, run

import evengrad as eg
from evengrad import callbacks, layers, losses, optimizers, regularizers
from evengrad.optimizers import schedules


class Changes(callbacks.Callback):
    """Change something of the model at the beginning of an epoch."""

    def __init__(self, change, epoch=1):
        self.change, self.epoch = change, epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.change(self.model)


class Scaled(layers.Layer):
    """A layer of a user's, with attributes that its constructor knows nothing of."""

    def __init__(self, **given):
        super().__init__(**given)
        self.scale, self.shape, self.table = 1.0, (1, 2), {"a": [1.0]}

    def call(self, x, training=None):
        return x * self.scale * self.table["a"][0] * float(self.shape[0])


def assign(name, value, layer=None):
    """Return a change that sets an attribute of the layer of that name, or of the optimizer."""
    return lambda model: setattr(
        model.optimizer if layer is None else model.get_layer(layer), name, value
    )


# The losses of models, which a callback may have a hold of.
LOSS = weakref.WeakKeyDictionary()


def rich():
    """Make a model with settings of many kinds."""
    model = eg.Sequential(
        [
            eg.Input((4,)),
            layers.Dense(8, "relu", kernel_regularizer=regularizers.L2(0.1)),
            layers.BatchNormalization(),
            layers.Dropout(0.4),
            Scaled(),
            layers.GaussianNoise(0.1),
            layers.Dense(1),
        ],
        seed=5,
    )
    LOSS[model] = losses.Huber(1.0)
    model.compile(optimizers.Adam(0.01), LOSS[model])
    return model


CHANGES = {
    "rate": assign("rate", 0.1, "dropout"),
    "noise": assign("stddev", 0.5, "gaussian_noise"),
    "statistics": assign("momentum", 0.5, "batch_normalization"),
    "activation": assign("activation", eg.activations.tanh, "dense"),
    "regularizer": lambda model: setattr(model.get_layer("dense").kernel_regularizer, "l2", 0.9),
    "another regularizer": assign("kernel_regularizer", regularizers.L1(0.2), "dense"),
    "no regularizer": assign("kernel_regularizer", None, "dense"),
    "attribute": assign("scale", 0.25, "scaled"),
    "tuple": assign("shape", (3, 2), "scaled"),
    "inside": lambda model: model.get_layer("scaled").table.update(a=[2.0]),
    "loss": lambda model: setattr(LOSS[model], "delta", 0.01),
    "schedule": assign("learning_rate", schedules.ExponentialDecay(0.05, 3, 0.5)),
    "schedule of schedules": assign(
        "learning_rate", schedules.Join([schedules.CosineDecay(0.05, 9), 0.001], [9])
    ),
    "momentum": assign("beta_1", 0.5),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("every", ["epoch", "3 steps"])
def test_what_a_callback_sets_is_set_again(tmp_path, advice, name, every):
    def train(*more, **keep):
        model = rich()
        changes = Changes(CHANGES[name])
        return model, run(model, 5, X, X[:, :1], callbacks=[changes, *more], **keep)

    expected = bits(*train())
    plain = rich()
    assert bits(plain, run(plain, 5, X, X[:, :1], callbacks=[callbacks.Callback()])) != expected
    keep = {"checkpoint": tmp_path, "checkpoint_every": every}
    with pytest.raises(KeyboardInterrupt):
        train(StopAt(18), **keep)
    assert bits(*train(**keep)) == expected
    assert "another value" not in advice.text


def test_a_schedule_that_gives_way_to_a_number(tmp_path):
    def train(*more, **keep):
        model = net(optimizer=optimizers.SGD(schedules.ExponentialDecay(0.1, 5, 0.9)))
        changes = Changes(assign("learning_rate", 0.01))
        return model, run(model, callbacks=[changes, *more], **keep)

    expected = bits(*train())
    with pytest.raises(KeyboardInterrupt):
        train(StopAt(18), checkpoint=tmp_path)
    assert bits(*train(checkpoint=tmp_path)) == expected


def test_a_callback_keeps_its_hold_of_a_regularizer(tmp_path):
    """What is annealed through the object itself goes on being annealed."""

    class Anneals(callbacks.Callback):
        def __init__(self, held):
            self.held = held

        def on_epoch_begin(self, epoch, logs=None):
            self.held.l2 *= 0.5

    def train(*more, **keep):
        held = regularizers.L2(0.4)
        model = eg.Sequential([eg.Input((4,)), layers.Dense(2, kernel_regularizer=held)], seed=1)
        model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        return model, run(model, callbacks=[Anneals(held), *more], **keep)

    expected = bits(*train())
    with pytest.raises(KeyboardInterrupt):
        train(StopAt(18), checkpoint=tmp_path, checkpoint_every="2 steps")
    assert bits(*train(checkpoint=tmp_path)) == expected


def test_in_one_process_a_training_goes_on_and_another_process_goes_on_from_that(tmp_path):
    def change():
        return Changes(CHANGES["rate"])

    def made():
        return rich(), {"x": X, "y": X[:, :1], "checkpoint": tmp_path}

    whole = rich()
    expected = bits(whole, run(whole, 6, X, X[:, :1], callbacks=[change()]))
    model, keep = made()
    run(model, 2, callbacks=[change()], **keep)
    assert model.get_layer("dropout").rate == 0.1
    run(model, 4, callbacks=[change()], **keep)
    again, keep = made()
    assert bits(again, run(again, 6, callbacks=[change()], **keep)) == expected


def test_another_rate_than_then_is_another_training(tmp_path):
    run(net(), 1, checkpoint=tmp_path)
    model = net()
    model.get_layer("dropout").rate = 0.1
    with pytest.raises(ValueError, match=r"layer 'dropout': now Dropout\(0.1\)"):
        run(model, 2, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (assign("learning_rate", lambda step: 0.1 / (step + 1)), "optimizer.learning_rate"),
        (assign("note", {1, 2}, "scaled"), "scaled.note"),
    ],
)
def test_what_no_file_can_hold_is_said(tmp_path, advice, change, named):
    keep = {"x": X, "y": X[:, :1], "checkpoint": tmp_path, "callbacks": [Changes(change)]}
    run(rich(), 2, **keep)
    with advice.heard():
        run(rich(), 3, **keep)
    assert f"{named}: had another value" in advice.text


def test_functions_of_the_user_s_that_the_model_has_are_known_again(tmp_path):
    def decayed(step):
        return 0.1 / (step + 1)

    def train(*more, **keep):
        model = net(optimizer=optimizers.SGD(decayed))
        return model, run(model, callbacks=[callbacks.Callback(), *more], **keep)

    expected = bits(*train())
    with pytest.raises(KeyboardInterrupt):
        train(StopAt(18), checkpoint=tmp_path)
    assert bits(*train(checkpoint=tmp_path)) == expected
