"""Tests of freezing layers by name and of what frozen layers do not take part in."""

import re

import numpy as np
import pytest
from saving_checks import rewrite

import evengrad as eg
from evengrad import constraints, layers, optimizers, regularizers

X = np.random.default_rng(3).normal(size=(40, 6)).astype("float32")
Y = np.arange(40) % 3


def chain(**given):
    hidden = [layers.Dense(5, "elu", name=f"hidden{i}", **given) for i in (1, 2, 3)]
    return eg.Sequential([eg.Input((6,)), *hidden, layers.Dense(3, name="out")], seed=1)


def nested():
    body = eg.Sequential(
        [eg.Input((6,)), layers.Dense(5, name="low"), layers.Dense(4, name="high")], name="body"
    )
    block = layers.Residual([layers.Dense(4, name="inner")], name="block")
    return eg.Sequential([eg.Input((6,)), body, block, layers.Dense(3, name="out")], seed=1)


class Own(eg.Model):
    def __init__(self):
        super().__init__(seed=1)
        self.encoder = [layers.Dense(5, "relu"), layers.Dense(5, "relu")]
        self.head = layers.Dense(3)

    def call(self, x):
        for layer in self.encoder:
            x = layer(x)
        return self.head(x)


def graph():
    a, b = eg.Input((6,), name="a"), eg.Input((6,), name="b")
    left = layers.Dense(4, name="left")(a)
    right = layers.Dense(4, name="right")(b)
    joined = layers.Add(name="joined")([left, layers.Dense(4, name="deep")(left)])
    end = layers.Dense(3, name="out")(layers.Concatenate(name="both")([joined, right]))
    return eg.Model([a, b], end, seed=1)


def trains(model):
    return {path for path, weight in model.named_weights() if weight.requires_grad}


def frozen(model):
    return sorted(
        {path.rsplit("/", 1)[0] for path in set(dict(model.named_weights())) - trains(model)}
    )


def compiled(model, optimizer="adam"):
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


# ---- which layers are meant


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("hidden2", ["hidden2"]),
        ("hidden*", ["hidden1", "hidden2", "hidden3"]),
        ("*[12]", ["hidden1", "hidden2"]),
        (re.compile(r"\d$"), ["hidden1", "hidden2", "hidden3"]),
        (["out", "hidden1"], ["hidden1", "out"]),
        (None, ["hidden1", "hidden2", "hidden3", "out"]),
    ],
)
def test_patterns_mean_layers_by_their_paths(pattern, found):
    model = chain()
    assert model.freeze(pattern) == found
    assert frozen(model) == found
    assert model.unfreeze(pattern) == found
    assert frozen(model) == []


def test_layers_stand_for_themselves():
    model = chain()
    assert model.freeze(model.layers[1]) == ["hidden2"]
    assert model.freeze([model.layers[0], "out"]) == ["hidden1", "out"]
    assert frozen(model) == ["hidden1", "hidden2", "out"]


def test_layers_inside_others_have_paths():
    model = nested()
    assert model.freeze("body/low") == ["body/low"]
    assert frozen(model) == ["body/low"]
    assert model.freeze("*/inner") == ["block/inner"]
    model.unfreeze()
    assert model.freeze("body") == ["body"]
    assert frozen(model) == ["body/high", "body/low"]
    assert model.unfreeze("body/high") == ["body/high"]
    assert frozen(model) == ["body/low"]


def test_until_and_since_share_a_layer():
    model = chain()
    assert model.freeze(until="hidden2") == ["hidden1", "hidden2"]
    assert model.unfreeze(since="hidden2") == ["hidden2", "hidden3", "out"]
    assert frozen(model) == ["hidden1"]
    model = nested()
    assert model.freeze(until="body/low") == ["body/low"]
    assert model.freeze(until=model.get_layer("block")) == ["body", "block"]
    assert model.unfreeze(since="body/high") == ["body/high", "block", "out"]
    assert frozen(model) == ["body/low"]


def test_in_a_graph_until_means_what_leads_there():
    model = graph()
    assert model.freeze(until="joined") == ["left", "deep", "joined"]
    assert frozen(model) == ["deep", "left"]
    assert set(model.unfreeze(since="deep")) == {"deep", "joined", "right", "both", "out"}
    assert frozen(model) == ["left"]


def test_in_a_subclass_attributes_are_layers():
    model = Own()
    model.build((None, 6))
    assert model.freeze(until="encoder_1") == ["encoder_0", "encoder_1"]
    assert frozen(model) == ["encoder_0", "encoder_1"]
    before = [w.tobytes() for w in model.get_weights()]
    compiled(model).fit(X, Y, epochs=2, verbose=0)
    same = [w.tobytes() == b for w, b in zip(model.get_weights(), before, strict=True)]
    assert same == [True] * 4 + [False] * 2


@pytest.mark.parametrize("call", ["freeze", "unfreeze"])
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"pattern": "hiden1"}, ValueError, "did you mean 'hidden1'.*hidden1, hidden2, hidden3"),
        ({"pattern": "x*"}, ValueError, "'x\\*' matches no layer; Valid: hidden1"),
        ({"pattern": re.compile("^no")}, ValueError, "'\\^no' matches no layer.*out"),
        ({"pattern": ["out", "no"]}, ValueError, "'no' matches no layer"),
        ({"pattern": layers.Dense(1, name="other")}, ValueError, "'other' is no layer of"),
        ({"pattern": []}, ValueError, "at least one"),
        ({"pattern": 1}, TypeError, "pattern: expected names, patterns or layers, got 1 \\(int\\)"),
    ],
)
def test_what_matches_nothing_changes_nothing(call, given, error, message):
    model = chain()
    model.layers[0].trainable = False
    with pytest.raises(error, match=message):
        getattr(model, call)(**given)
    assert frozen(model) == ["hidden1"]


def test_one_end_is_one_layer_and_no_pattern_beside_it():
    model = chain()
    with pytest.raises(ValueError, match="until: expected one layer, 'hidden\\*' matches hidden1"):
        model.freeze(until="hidden*")
    with pytest.raises(ValueError, match="pattern, since: expected one of the two"):
        model.unfreeze("out", since="hidden1")
    unbuilt = eg.Sequential([layers.Dense(3), layers.Dense(2)])
    with pytest.raises(ValueError, match="pattern by names before the model is built"):
        unbuilt.freeze("dense")
    assert unbuilt.freeze(unbuilt.layers[0])
    assert not unbuilt.layers[0].trainable


# ---- what frozen layers do not take part in


def test_frozen_weights_keep_their_bits_and_have_no_state():
    model = chain(
        kernel_regularizer=regularizers.L2(0.1), kernel_constraint=constraints.MaxNorm(0.1)
    )
    optimizer = optimizers.AdamW(0.01, weight_decay=0.1, use_ema=True)
    compiled(model, optimizer)
    model.freeze(until="hidden2")
    before = {path: weight.numpy().tobytes() for path, weight in model.named_weights()}
    model.fit(X, Y, epochs=3, batch_size=16, verbose=0)
    after = {path: weight.numpy().tobytes() for path, weight in model.named_weights()}
    assert {path for path in before if before[path] != after[path]} == trains(model)
    known = {id(one) for one in optimizer._parameters.values()}
    assert known == {id(dict(model.named_weights())[path]) for path in trains(model)}


def test_penalties_on_frozen_weights_are_no_part_of_the_loss():
    heavy = chain(kernel_regularizer=regularizers.L2(10.0))
    light = chain()
    for model in (heavy, light):
        compiled(model).freeze("hidden*")
    assert heavy.evaluate(X, Y) == light.evaluate(X, Y)


def test_no_gradient_is_computed_below_the_cut():
    seen = []

    class Spy(layers.Layer):
        def call(self, x):
            out = x * 1.0
            if out.requires_grad:
                out.register_hook(lambda _: seen.append(self.name))
            return out

    chain_ = [layers.Dense(4), Spy(name="low"), layers.Dense(4), Spy(name="high"), layers.Dense(3)]
    model = compiled(eg.Sequential([eg.Input((6,)), *chain_], seed=1))
    model.fit(X, Y, verbose=0)
    assert {"low", "high"} == set(seen)
    seen.clear()
    model.freeze(until="dense_1")
    model.fit(X, Y, verbose=0)
    assert seen == []
    model.unfreeze("dense_1")
    model.fit(X, Y, verbose=0)
    assert set(seen) == {"high"}


def test_frozen_batch_normalization_goes_by_its_moving_statistics():
    model = eg.Sequential(
        [eg.Input((6,)), layers.BatchNormalization(), layers.Dense(4), layers.Dense(3)], seed=1
    )
    compiled(model, optimizers.SGD(0.1)).fit(X, Y, epochs=2, verbose=0)
    model.freeze(until="dense")
    held = model.layers[0].moving_mean.numpy().tobytes()
    loss = model.evaluate(X, Y, batch_size=40)
    # One step: the loss of the history is that before the update, and no batch's statistics enter.
    history = model.fit(X, Y, batch_size=40, shuffle=False, verbose=0)
    assert history.history["loss"] == [loss]
    assert model.layers[0].moving_mean.numpy().tobytes() == held


# ---- rates


def test_a_rate_holds_for_the_layers_that_thaw():
    def moved(rate, optimizer):
        model = compiled(chain(), optimizer)
        model.freeze("hidden*")
        model.unfreeze("hidden3", learning_rate=rate)
        before = [w.copy() for w in model.get_weights()]
        model.fit(X, Y, batch_size=40, verbose=0)
        return [
            np.abs(now - old).max() for now, old in zip(model.get_weights(), before, strict=True)
        ]

    plain = moved(None, optimizers.SGD(0.5))
    slow = moved(0.05, optimizers.SGD(0.5))
    assert plain[:4] == slow[:4] == [0.0] * 4
    np.testing.assert_allclose(slow[4:6], np.array(plain[4:6]) / 10, rtol=1e-4)
    assert slow[6:] == plain[6:]
    schedule = moved(0.05, optimizers.SGD(lambda step: 0.5 / (step + 1)))
    assert schedule == slow


def test_a_rate_can_be_set_anew_between_trainings():
    model = compiled(chain(), optimizers.SGD(0.5, groups=[optimizers.ParameterGroup("out", 0.5)]))
    model.fit(X, Y, batch_size=40, verbose=0)
    for rate in (0.1, 0.25):
        model.unfreeze("out", learning_rate=rate)
        twin = model.clone()
        twin.compile(optimizers.SGD(rate), "sparse_categorical_crossentropy")
        twin.freeze("hidden*")
        history = [one.fit(X, Y, batch_size=40, verbose=0) for one in (model, twin)]
        assert history[0].history == history[1].history
        np.testing.assert_allclose(
            model.layers[-1].kernel.numpy(), twin.layers[-1].kernel.numpy(), rtol=1e-6
        )
    assert len(model.optimizer.groups) == 3


def test_rates_by_depth_and_errors():
    model = compiled(chain(), optimizers.SGD(0.8))
    model.unfreeze(decay=0.5)
    multiples = [group.learning_rate_multiplier for group in model.optimizer.groups]
    assert multiples == [0.125, 0.125, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0]
    with pytest.raises(ValueError, match="decay"):
        model.unfreeze(decay=0.0)
    with pytest.raises(ValueError, match="learning_rate"):
        model.unfreeze(learning_rate=-1.0)
    with pytest.raises(RuntimeError, match="compile"):
        chain().unfreeze("out", learning_rate=0.1)
    still = compiled(chain(), optimizers.SGD(0.0))
    with pytest.raises(ValueError, match="rate is above 0 now"):
        still.unfreeze("out", learning_rate=0.1)


def test_rates_travel_with_files(tmp_path):
    model = compiled(chain(), optimizers.SGD(0.5))
    model.freeze("hidden1")
    model.unfreeze("hidden2", learning_rate=0.1)
    model.save(tmp_path / "net.safetensors")
    twin = eg.load_model(tmp_path / "net.safetensors")
    assert frozen(twin) == ["hidden1"]
    for one in (model, twin):
        one.fit(X, Y, epochs=2, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in twin.get_weights()]


@pytest.mark.parametrize("taken", [lambda model: model, lambda model: model.clone()])
def test_rates_out_of_files_are_of_the_layers_that_had_them(tmp_path, taken):
    model = compiled(chain(), optimizers.SGD(0.5, groups=[optimizers.ParameterGroup("bias", 0.5)]))
    model.unfreeze("out", learning_rate=0.1)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "net.safetensors")
    twin = taken(eg.load_model(tmp_path / "net.safetensors"))
    for one in (model, twin):
        # Set anew, not multiplied; and a new head, if of the same name, has none.
        again = one.clone()
        again.unfreeze("out", learning_rate=0.2)
        shares = [group.learning_rate_multiplier for group in again.optimizer.groups]
        assert shares == [0.5, 0.4, 0.8]
        headed = one.drop_top(1).with_head(layers.Dense(3, name="out"))
        assert [group.names for group in headed.optimizer.groups] == ["bias"]


@pytest.mark.parametrize("rates", [{"nowhere": 0.5}, {"out/kernel": -1.0}, {"out/kernel": "1"}, 3])
def test_rates_of_a_damaged_description_are_refused(tmp_path, rates):
    model = compiled(chain(), optimizers.SGD(0.5))
    model.unfreeze("out", learning_rate=0.1)
    path = tmp_path / "net.safetensors"
    model.save(path)
    rewrite(path, lambda _, description: description["compile"].update(rates=rates))
    with pytest.raises(eg.FileFormatError, match="net"):
        eg.load_model(path)
