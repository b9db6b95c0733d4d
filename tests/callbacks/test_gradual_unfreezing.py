"""Tests of thawing layers one after the other."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, layers, optimizers

X = np.random.default_rng(7).normal(size=(40, 5)).astype("float32")
Y = np.arange(40) % 3
GIVEN = {"batch_size": 8, "verbose": 0}


class Note(callbacks.Callback):
    """Note what trains in each epoch, and with which multiples of the rate."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        groups = self.model.optimizer.groups or []
        rates = {
            path.split("/")[0]: group.learning_rate_multiplier
            for path, tensor in self.model.named_weights()
            for group in groups
            if group.holds(tensor)
        }
        self.seen.append(([one.name for one in self.model.layers if one.trainable], rates))


def net(optimizer=None):
    hidden = [layers.Dense(6, "elu", name=f"h{i}") for i in (1, 2, 3)]
    model = eg.Sequential([eg.Input((5,)), *hidden, layers.Dense(3, name="out")], seed=1)
    model.compile(optimizer or optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


def trained(epochs, callback, freeze="h*", **given):
    model, note = net(), Note()
    if freeze:
        model.freeze(freeze)
    model.fit(X, Y, epochs=epochs, callbacks=[callback, note], **GIVEN, **given)
    return [names for names, _ in note.seen]


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


def test_the_last_layers_thaw_first():
    found = trained(5, callbacks.GradualUnfreezing())
    assert found == [
        ["out"],
        ["h3", "out"],
        ["h2", "h3", "out"],
        ["h1", "h2", "h3", "out"],
        ["h1", "h2", "h3", "out"],
    ]


def test_epochs_say_when():
    two = trained(5, callbacks.GradualUnfreezing(2))
    assert [len(names) for names in two] == [1, 1, 2, 2, 3]
    listed = trained(5, callbacks.GradualUnfreezing([0, 3, 3]))
    assert [len(names) for names in listed] == [2, 2, 2, 4, 4]
    # In a training that begins later, what was due before is due now.
    later = trained(5, callbacks.GradualUnfreezing(2), initial_epoch=4)
    assert [len(names) for names in later] == [3]


def test_layers_that_are_named_freeze_and_thaw_in_that_order():
    stages = callbacks.GradualUnfreezing(layers=["h3", ["h1", "h2"]])
    found = trained(3, stages, freeze=None)
    assert found == [["out"], ["h3", "out"], ["h1", "h2", "h3", "out"]]


def test_models_inside_thaw_layer_by_layer():
    body = eg.Sequential([eg.Input((5,)), layers.Dense(4, name="a"), layers.Dense(4, name="b")])
    model = eg.Sequential([eg.Input((5,)), body, layers.Dense(3, name="out")], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.freeze(body)
    seen = []
    tell = callbacks.LambdaCallback(
        on_epoch_end=lambda *_: seen.append([one.name for one in body.layers if one.trainable])
    )
    thaw = callbacks.GradualUnfreezing()
    model.fit(X, Y, epochs=3, callbacks=[thaw, tell], **GIVEN)
    assert seen == [[], ["b"], ["a", "b"]]
    assert thaw.stages == [["sequential/b"], ["sequential/a"]]


def test_each_stage_has_a_smaller_rate():
    def rates(callback, optimizer):
        model, note = net(optimizer), Note()
        model.freeze("h*")
        model.fit(X, Y, epochs=4, callbacks=[callback, note], **GIVEN)
        return {name: round(rate, 9) for name, rate in note.seen[-1][1].items()}

    thaw = callbacks.GradualUnfreezing(decay=0.5)
    assert rates(thaw, None) == {"h3": 0.5, "h2": 0.25, "h1": 0.125}
    thaw = callbacks.GradualUnfreezing(learning_rate=0.002, decay=0.5)
    assert rates(thaw, None) == {"h3": 0.2, "h2": 0.1, "h1": 0.05}
    # Of a schedule as it stands.
    thaw = callbacks.GradualUnfreezing(decay=0.5)
    falling = optimizers.SGD(lambda step: 0.1 / (step + 1))
    assert rates(thaw, falling) == {"h3": 0.5, "h2": 0.25, "h1": 0.125}


@pytest.mark.parametrize("cache", [False, True])
def test_it_goes_on_from_a_checkpoint(tmp_path, cache):
    def thaw():
        return callbacks.GradualUnfreezing([1, 2, 4], learning_rate=0.003, decay=0.4)

    def frozen():
        model = net()
        model.freeze("h*")
        return model

    class Stop(callbacks.Callback):
        left = 17

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    given = {**GIVEN, "epochs": 6, "validation_data": (X[:9], Y[:9])}
    whole = frozen()
    whole.fit(X, Y, callbacks=[thaw()], **given)
    given.update(checkpoint=tmp_path, checkpoint_every="2 steps", cache_frozen=cache)
    model = frozen()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, callbacks=[thaw(), Stop()], **given)
    assert [one.name for one in model.layers if one.trainable] == ["h1", "h2", "h3", "out"][-3:]
    # In another process, and in this one, where the model stands as it was left.
    other = frozen()
    for one in (other, model):
        folder = tmp_path if one is model else tmp_path / "copy"
        if one is other:
            copy_of(tmp_path, folder)
        history = one.fit(X, Y, callbacks=[thaw()], **{**given, "checkpoint": folder})
        assert bits(one) == bits(whole)
        assert history.history == whole.history.history


def copy_of(folder, to):
    to.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (to / path.name).write_bytes(path.read_bytes())


def test_keeping_outputs_changes_nothing():
    found = []
    for cache in (False, True, "auto"):
        model = net()
        model.freeze("h*")
        thaw = callbacks.GradualUnfreezing(decay=0.5)
        history = model.fit(X, Y, epochs=5, callbacks=[thaw], cache_frozen=cache, **GIVEN)
        found.append((bits(model), history.history))
    assert found[0] == found[1] == found[2]


def test_errors():
    with pytest.raises(ValueError, match="GradualUnfreezing: no layer is frozen"):
        trained(1, callbacks.GradualUnfreezing(), freeze=None)
    with pytest.raises(ValueError, match="'h9' matches no layer"):
        trained(1, callbacks.GradualUnfreezing(layers=["h3", "h9"]), freeze=None)
    with pytest.raises(ValueError, match=r"epochs: expected rising numbers, got \[2, 1\]"):
        callbacks.GradualUnfreezing([2, 1])
    with pytest.raises(ValueError, match="epochs"):
        callbacks.GradualUnfreezing(0)
    with pytest.raises(ValueError, match="decay"):
        callbacks.GradualUnfreezing(decay=1.5)
    with pytest.raises(ValueError, match="learning_rate"):
        callbacks.GradualUnfreezing(learning_rate=0.0)
