"""Treatments: copies of models with one change, the model itself untouched to the bit."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import evengrad as eg
from evengrad import constraints, initializers, layers, optimizers
from evengrad.health._finding import Treatment
from evengrad.models._treatments import CHANGES, treated

ROWS = np.random.default_rng(3).normal(size=(40, 6)).astype("float32")
NUMBERS = (ROWS[:, :1] - ROWS[:, 1:2]).astype("float32")
CLASSES = (ROWS[:, 0] > 0).astype("int64") + (ROWS[:, 1] > 0)
STEPS = np.random.default_rng(4).normal(size=(40, 5, 3)).astype("float32")


def chain(*inner: layers.Layer, **settings: Any) -> eg.Sequential:
    """Return a compiled chain of these layers for rows of six numbers."""
    model = eg.Sequential([eg.Input((6,)), *inner], seed=7, **settings)
    model.compile(optimizers.SGD(0.1, momentum=0.5), "mse")
    return model


def deep(activation: Any = "relu", **arguments: Any) -> eg.Sequential:
    """Return a chain with three hidden layers of equal width."""
    hidden = [layers.Dense(8, activation, **arguments) for _ in range(3)]
    return chain(*hidden, layers.Dense(1))


def state_of_all(model: eg.Model) -> list[Any]:
    """Return all that a treatment must leave as it is, as bytes."""
    optimizer = model.optimizer
    weights = model.trainable_weights
    slots = [
        slot.numpy().tobytes()
        for weight in (weights if optimizer.iterations else [])
        for slot in optimizer.slots(weight).values()
    ]
    return [
        [weight.tobytes() for weight in model.get_weights()],
        slots,
        optimizer.iterations,
        repr(model),
        [path for path, _ in model.named_weights()],
        [weight.requires_grad for weight in model.weights],
    ]


def treat(model: eg.Model, *arguments: Any, data: Any = None) -> eg.Model:
    """Return the treated copy, having checked that the model is what it was."""
    before = state_of_all(model)
    twin = treated(model, Treatment(*arguments), data)
    assert state_of_all(model) == before
    assert twin is not model
    assert not {id(weight) for weight in twin.weights} & {id(weight) for weight in model.weights}
    assert twin.optimizer is not model.optimizer
    assert twin.optimizer.iterations == 0
    return twin


@dataclass
class Case:
    """A treatment of a model, and what is true of the copy alone."""

    change: str
    make: Any
    has: Any
    paths: tuple[str, ...] = ()
    value: Any = None
    x: Any = None
    y: Any = None


def recurrent() -> eg.Model:
    model = eg.Sequential(
        [eg.Input((5, 3)), layers.SimpleRNN(4, return_sequences=True), layers.SimpleRNN(3)], seed=1
    )
    model.add(layers.Dense(1))
    model.compile("adam", "mse")
    return model


def classifier(head: Any = "softmax", **loss: Any) -> eg.Model:
    model = eg.Sequential([eg.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(3, head)], seed=2)
    given = eg.losses.SparseCategoricalCrossentropy(**loss) if loss else None
    model.compile("adam", given or "sparse_categorical_crossentropy", ["accuracy"])
    return model


CASES = [
    Case(
        "initializer",
        lambda: deep(kernel_initializer=initializers.RandomNormal(1.0)),
        lambda m: (
            [repr(one.kernel_initializer) for one in m.layers]
            == [*["HeNormal()"] * 3, "GlorotUniform()"]
        ),
        value="auto",
    ),
    Case(
        "activation",
        lambda: deep("sigmoid"),
        lambda m: (
            (m.layers[1].activation, repr(m.layers[1].kernel_initializer))
            == (eg.activations.elu, "HeNormal()")
        ),
        value="elu",
    ),
    Case(
        "normalize",
        lambda: deep("sigmoid", use_bias=True),
        lambda m: (
            [one.norm is not None and not one.use_bias for one in m.layers]
            == [True, True, True, False]
        ),
    ),
    Case(
        "scale_inputs",
        deep,
        lambda m: (
            type(m.layers[0]) is layers.Normalization
            and np.allclose(m.layers[0].mean_.numpy(), ROWS.mean(0), atol=1e-6)
        ),
    ),
    Case("learning_rate", deep, lambda m: m.optimizer.learning_rate == 0.01, value=0.1),
    Case("clip", deep, lambda m: m.optimizer.global_clipnorm == 1.5, value=1.5),
    Case("optimizer", deep, lambda m: type(m.optimizer) is optimizers.Adam, value="adam"),
    Case("weight_decay", deep, lambda m: m.optimizer.weight_decay == 0.03, value=0.03),
    Case("loss", deep, lambda m: np.isfinite(m.evaluate(ROWS, NUMBERS, verbose=0)), value="mae"),
    Case(
        "head",
        lambda: classifier("softmax", from_logits=True),
        lambda m: m.layers[-1].activation is eg.activations.linear,
        y=CLASSES,
    ),
    Case("units", deep, lambda m: [one.units for one in m.layers] == [16] * 3 + [1], value=2.0),
    Case(
        "alpha_dropout",
        lambda: chain(layers.Dense(8, "selu"), layers.Dropout(0.3), layers.Dense(1)),
        lambda m: type(m.layers[1]) is layers.AlphaDropout and m.layers[1].rate == 0.05,
    ),
    Case(
        "remove_regularizers",
        lambda: deep(kernel_regularizer="l2", activity_regularizer="l1"),
        lambda m: not m.losses and all(one.activity_regularizer is None for one in m.layers),
    ),
    Case(
        "dropout",
        deep,
        lambda m: type(m.layers[3]) is layers.Dropout and m.layers[3].rate == 0.4,
        value=0.4,
    ),
    Case(
        "shortcuts",
        lambda: chain(*[layers.Dense(8, "sigmoid") for _ in range(5)], layers.Dense(1)),
        lambda m: (
            [type(one).__name__ for one in m.layers] == ["Dense", "Residual", "Residual", "Dense"]
        ),
    ),
    Case(
        "lstm",
        recurrent,
        lambda m: [type(one) for one in m.layers] == [layers.LSTM, layers.LSTM, layers.Dense],
        x=STEPS,
    ),
]


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.change)
def test_the_copy_has_the_change_trains_and_comes_back_from_a_file(
    case: Case, trained: bool, tmp_path: Any
) -> None:
    x = ROWS if case.x is None else case.x
    y = NUMBERS if case.y is None else case.y
    model = case.make()
    if trained and case.change != "head":
        model.fit(x, y, epochs=1, verbose=0)
    twin = treat(model, case.change, case.paths, case.value, data=x)
    assert case.has(twin)
    assert not case.has(model) or case.change == "loss"
    history = twin.fit(x, y, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    twin.save(tmp_path / "twin.safetensors")
    loaded = eg.load_model(tmp_path / "twin.safetensors")
    assert loaded.predict(x).tobytes() == twin.predict(x).tobytes()
    assert repr(loaded) == repr(twin)


def test_every_change_has_a_case() -> None:
    assert {case.change for case in CASES} == {*CHANGES} - {"label_shape"}


# ---- what stays and what starts anew


def by_path(model: eg.Model) -> dict[str, np.ndarray[Any, Any]]:
    return {path: np.array(tensor.detach().numpy()) for path, tensor in model.named_weights()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.change)
def test_weights_stay_where_first_values_are_not_what_it_is_about(case: Case) -> None:
    x = ROWS if case.x is None else case.x
    y = NUMBERS if case.y is None else case.y
    fresh, model = case.make(), case.make()
    if case.change == "head":
        model.set_weights([weight + 1.0 for weight in model.get_weights()])
    else:
        model.fit(x, y, epochs=2, verbose=0)
    twin = by_path(treat(model, case.change, case.paths, case.value, data=x))
    keeps = ("learning_rate", "clip", "optimizer", "loss", "head", "alpha_dropout")
    source = by_path(model if case.change in (*keeps, "remove_regularizers") else fresh)
    if case.change not in ("units", "lstm"):
        last = max(path for path in source if path.endswith("kernel"))
        np.testing.assert_array_equal(twin[last], source[last])
    if case.change in (*keeps, "remove_regularizers"):
        assert set(twin) == set(source)
        for path, values in source.items():
            np.testing.assert_array_equal(twin[path], values)


def test_frozen_layers_and_adapted_statistics_stay_when_the_rest_starts_anew() -> None:
    scaling = layers.Normalization()
    model = chain(scaling, layers.Dense(8, "tanh", trainable=False), layers.Dense(1))
    scaling.adapt(ROWS * 3 + 1)
    model.layers[1].set_weights([np.full((6, 8), 0.25), np.full(8, 0.5)])
    twin = treat(model, "initializer", ("dense_1",), "he_normal")
    assert not twin.layers[1].trainable
    for old, new in zip(model.get_weights()[:4], twin.get_weights()[:4], strict=True):
        np.testing.assert_array_equal(old, new)
    twin = treat(model, "initializer", ("dense", "dense_1"), "he_normal")
    np.testing.assert_array_equal(twin.layers[1].get_weights()[0], np.full((6, 8), 0.25))
    with pytest.raises(ValueError, match="dense: Dense is frozen"):
        treated(model, Treatment("initializer", ("dense",), "he_normal"))


def test_weights_that_are_no_numbers_start_anew() -> None:
    fresh, model = deep(), deep()
    kernel = np.full((6, 8), np.nan)
    model.set_weights([kernel, *[weight + 1.0 for weight in model.get_weights()[1:]]])
    for change, value in (("learning_rate", 0.1), ("head", "sigmoid")):
        twin = treat(model, change, (), value)
        for old, new in zip(fresh.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_a_model_without_a_seed_keeps_the_one_it_drew_and_no_other_is_drawn() -> None:
    def drawn(treats: bool) -> tuple[eg.Model, list[Any]]:
        eg.utils.set_random_seed(5)
        inner = eg.Sequential([eg.Input((4,)), layers.Dense(4, "relu")])
        model = eg.Sequential([eg.Input((6,)), layers.Dense(4, "relu"), inner, layers.Dense(1)])
        model.compile("sgd", "mse")
        for change, value in (("clip", 1.0), ("activation", "elu")) if treats else ():
            twin = treat(model, change, (), value)
            assert twin.seed is None
            np.testing.assert_array_equal(twin.get_weights()[-2], model.get_weights()[-2])
        return model, eg.Sequential([eg.Input((2,)), layers.Dense(2)]).get_weights()

    model, after = drawn(treats=True)
    np.testing.assert_array_equal(after[0], drawn(treats=False)[1][0])
    twice = [treat(model, "activation", ("dense",), "elu").get_weights() for _ in range(2)]
    np.testing.assert_array_equal(twice[0][0], twice[1][0])


def test_batches_come_in_the_same_order() -> None:
    seen = []

    class Note(eg.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch
            seen.append(logs["loss"])

    model = deep()
    twin = treat(model, "loss", (), "mse")
    for one in (model, twin):
        one.fit(ROWS, NUMBERS, batch_size=8, verbose=0, callbacks=[Note()])
    assert seen[:5] == seen[5:]


# ---- settings of compile


def test_settings_of_compile_are_taken_over_and_shared_with_nobody() -> None:
    metric = eg.metrics.MeanAbsoluteError()
    model = deep()
    loss = eg.losses.Huber(2.0)
    model.compile(optimizers.Adam(0.02, clipnorm=1.0), loss, [metric], run_eagerly=True)
    twin = treat(model, "learning_rate", (), 0.5)
    config = twin._config  # what `compile` got is not public
    assert config is not None
    assert twin.optimizer.get_config() == {**model.optimizer.get_config(), "learning_rate": 0.01}
    assert config.run_eagerly
    assert repr(config.loss) == repr(loss)
    assert config.loss is not loss
    assert config.metrics[0] is not metric


def test_clipping_is_the_only_one_and_another_rule_keeps_what_is_around_it() -> None:
    model = deep()
    model.compile(optimizers.Adam(0.02, clipnorm=1.0, gradient_accumulation_steps=2), "mse")
    clipped = treat(model, "clip", (), 0.5).optimizer
    assert (clipped.clipnorm, clipped.global_clipnorm) == (None, 0.5)
    other = treat(model, "optimizer", (), "rmsprop").optimizer
    assert (type(other), other.clipnorm) == (optimizers.RMSprop, 1.0)
    assert other.gradient_accumulation_steps == 2


def test_a_schedule_is_scaled_by_a_group_of_all_parameters() -> None:
    model, plain = deep(), deep()
    model.compile(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)), "mse")
    plain.compile(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.025, 10, 0.5)), "mse")
    twin = treat(model, "learning_rate", (), 0.25)
    for one in (twin, plain):
        one.fit(ROWS, NUMBERS, epochs=3, verbose=0)
    for left, right in zip(twin.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)


def test_removing_all_regularizers_ends_the_decay_of_weights() -> None:
    model = deep()
    model.compile(optimizers.AdamW(0.01, weight_decay=0.1), "mse")
    assert treat(model, "remove_regularizers").optimizer.weight_decay == 0.0
    penalized = deep(kernel_regularizer="l2")
    twin = treat(penalized, "remove_regularizers", ("dense_1",))
    assert [one.kernel_regularizer is None for one in twin.layers] == [False, True, False, True]


# ---- which layers


def test_initializers_pair_with_the_activation_that_follows() -> None:
    model = chain(
        layers.Dense(8, kernel_initializer="ones", bias_initializer=initializers.Constant(-50.0)),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        layers.Dense(8, "selu"),
        layers.Dense(8, "tanh"),
        layers.Dense(1, bias_initializer=initializers.Constant(-3.0)),
    )
    twin = treat(model, "initializer", (), "auto")
    kernels = [one for one in twin.layers if isinstance(one, layers.Dense)]
    assert [repr(one.kernel_initializer) for one in kernels] == [
        "HeNormal()",
        "LecunNormal()",
        "GlorotUniform()",
        "GlorotUniform()",
    ]
    # A hidden bias begins at zero; that of the outputs may stand for the log odds.
    assert repr(kernels[0].bias_initializer) == "Zeros()"
    assert repr(kernels[-1].bias_initializer) == "Constant(value=-3.0)"
    exact = treat(model, "initializer", ("dense_2",), "variance_preserving")
    assert exact.get_layer("dense_2").kernel_initializer.scale == pytest.approx(2.536175, rel=1e-6)


def test_activations_change_in_their_own_layer_with_the_kernel_in_front() -> None:
    def make() -> eg.Model:
        return chain(layers.Dense(8), layers.Activation("sigmoid"), layers.Dense(8), layers.ReLU())

    for paths in (("activation", "re_lu"), ("dense", "dense_1")):
        twin = treat(make(), "activation", paths, "elu")
        assert [one.name for one in twin.layers] == ["dense", "activation", "dense_1", "re_lu"]
        assert [one.final_activation for one in twin.layers] == ["linear", "elu"] * 2
        assert repr(twin.layers[0].kernel_initializer) == "HeNormal()"
    twin = treat(make(), "activation", ("dense_1",), "prelu")
    assert type(twin.layers[3]) is layers.PReLU
    assert repr(twin.layers[0].kernel_initializer) == "GlorotUniform()"


def test_activations_that_are_layers_inside_a_layer() -> None:
    twin = treat(deep(), "activation", (), "rrelu")
    assert [type(one.activation) for one in twin.layers[:3]] == [layers.RReLU] * 3
    assert len({id(one.activation) for one in twin.layers}) == 4


def test_heads_keep_names_and_end_in_the_layer_that_they_ended_in() -> None:
    model = eg.Sequential([eg.Input((6,)), layers.Dense(3), layers.Softmax()], seed=1)
    model.compile("sgd", eg.losses.SparseCategoricalCrossentropy(from_logits=True))
    for paths in ((), ("softmax",), ("dense",)):
        twin = treat(model, "head", paths, None)
        assert twin.output_names == model.output_names
        assert twin.final_activation == "linear"
    logits = model.call_without_activation(ROWS).numpy()
    np.testing.assert_array_equal(twin.predict(ROWS), logits)


def test_units_are_counted_or_multiplied() -> None:
    assert [one.units for one in treat(deep(), "units", (), 1.5).layers] == [12, 12, 12, 1]
    assert [one.units for one in treat(deep(), "units", ("dense_3",), 4).layers] == [8, 8, 8, 4]


def test_dropout_stands_in_front_of_the_head_once() -> None:
    model = chain(layers.Dense(8, "selu"), layers.Dropout(0.1), layers.Dense(1))
    twin = treat(model, "dropout", (), 0.5)
    assert [type(one) for one in twin.layers[1:]] == [layers.AlphaDropout, layers.Dense]
    assert twin.layers[1].rate == 0.5


def test_normalized_layers_are_left_as_they_are() -> None:
    model = chain(
        layers.Dense(8, "relu", norm=layers.LayerNormalization()),
        layers.Dense(8),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        layers.Dense(8),
        layers.Activation("relu"),
        layers.Dense(1),
    )
    twin = treat(model, "normalize")
    norms = [type(one.norm) for one in twin.layers if isinstance(one, layers.Dense)]
    none = type(None)
    assert norms == [layers.LayerNormalization, none, layers.BatchNormalization, none]
    with pytest.raises(ValueError, match="treatment: all layers with an activation are normal"):
        treated(twin, Treatment("normalize"))


def test_max_norm_goes_with_the_penalties_and_most_of_the_dropout() -> None:
    model = chain(
        layers.Dense(8, "relu", kernel_constraint=constraints.MaxNorm(1.0), bias_regularizer="l2"),
        layers.Dropout(0.8),
        layers.Dense(1, kernel_constraint=constraints.NonNeg()),
    )
    twin = treat(model, "remove_regularizers")
    assert twin.layers[0].kernel_constraint is None
    assert repr(twin.layers[2].kernel_constraint) == "NonNeg()"
    assert twin.layers[1].rate == 0.2
    assert treat(model, "remove_regularizers", ("dense",)).layers[1].rate == 0.8


def test_layers_next_to_dropout_stand_for_it() -> None:
    model = chain(
        layers.Dense(8, "selu"), layers.Dropout(0.05), layers.Dense(8), layers.Dropout(0.2)
    )
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    twin = treat(model, "alpha_dropout", ("dense",))
    assert [type(one) for one in twin.layers[1::2]] == [layers.AlphaDropout, layers.Dropout]
    assert [one.rate for one in twin.layers[1::2]] == [0.05, 0.2]


def test_layers_that_cannot_be_changed_are_passed_over_where_others_can() -> None:
    model = eg.Sequential(
        [eg.Input((5, 3)), layers.LSTM(4), layers.Dense(4, "relu"), layers.Dense(4, "relu")], seed=1
    )
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    paths = ("lstm", "dense", "dense_1")
    assert [one.norm is None for one in treat(model, "normalize", paths).layers[1:3]] == [False] * 2
    twin = treat(model, "activation", paths, "elu")
    assert [one.activation for one in twin.layers[:2]] == [eg.activations.tanh, eg.activations.elu]
    assert type(treat(model, "shortcuts", paths).layers[1]) is layers.Residual
    with pytest.raises(ValueError, match="lstm: LSTM needs an activation with bounds"):
        treated(model, Treatment("activation", ("lstm",), "relu"))


def test_losses_follow_the_head() -> None:
    model = eg.Sequential([eg.Input((6,)), layers.Dense(1, "softmax")], seed=1)
    model.compile(optimizers.Adam(0.1), "sparse_categorical_crossentropy", ["accuracy"])
    twin = treat(model, "head", ("dense",), "sigmoid")
    twin.fit(ROWS, CLASSES > 0, epochs=40, verbose=0)
    assert twin.evaluate(ROWS, CLASSES > 0, verbose=0)[1] > 0.75
    model = classifier("softmax", from_logits=False)
    twin = treat(model, "head", (), None)
    twin.fit(ROWS, CLASSES, verbose=0)
    labels = model.evaluate(ROWS, CLASSES, verbose=0)
    again = treat(model, "head", (), None)
    np.testing.assert_allclose(again.evaluate(ROWS, CLASSES, verbose=0)[0], labels[0], rtol=1e-5)


def test_shortcuts_keep_the_signal_within_bounds_at_any_depth() -> None:
    hidden = [layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(61)]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(1)], seed=5)
    model.compile("sgd", "mse")
    twin = treat(model, "shortcuts")
    assert [type(one) for one in twin.layers].count(layers.Residual) == 30
    rows = np.random.default_rng(0).normal(size=(200, 64))
    first = np.mean(twin.features(rows, "dense") ** 2)
    last = np.mean(twin.features(rows, len(twin.layers) - 2) ** 2)
    assert first <= last <= 3 * first


def test_first_values_suit_deep_nets_and_biases_do_not_keep_units_dead() -> None:
    far = initializers.Constant(-9.0)
    model = chain(*[layers.Dense(64, "relu", bias_initializer=far) for _ in range(20)])
    twin = treat(model, "activation", (), "elu")
    outputs = [np.mean(twin.features(ROWS, place) ** 2) for place in (0, 18)]
    assert 0.25 < outputs[1] / outputs[0] < 4.0
    shallow = treat(deep(bias_initializer=far), "activation", (), "elu")
    assert repr(shallow.layers[0].kernel_initializer) == "HeNormal()"
    for twin in (shallow, treat(deep(bias_initializer=far), "shortcuts")):
        assert not any(
            weight.any()
            for (path, _), weight in zip(twin.named_weights(), twin.get_weights(), strict=True)
            if path.endswith("bias")
        )


# ---- models of all kinds


def graph() -> eg.Model:
    a, b = eg.Input((6,), name="a"), eg.Input((6,), name="b")
    shared = layers.Dense(8, "sigmoid", name="shared")
    inner = eg.Sequential([eg.Input((8,)), layers.Dense(8, "sigmoid"), layers.Dense(8, "sigmoid")])
    left = layers.Activation("sigmoid")(layers.Dense(8)(shared(a)))
    both = layers.Add()([inner(left), shared(b)])
    block = layers.Residual([layers.Dense(8, "sigmoid"), layers.Dense(8, "sigmoid")])
    model = eg.Model([a, b], [layers.Dense(1)(block(both)), layers.Dense(1)(both)], seed=3)
    model.compile("sgd", "mse")
    return model


class Net(eg.Model):
    """A model whose call is code, with layers in attributes, a list, and another model."""

    def __init__(self, width: int = 8) -> None:
        super().__init__(seed=3)
        self.inner = layers.Dense(width, "sigmoid")
        self.stack = [layers.Dense(width, "sigmoid") for _ in range(2)]
        self.part = eg.Sequential([layers.Dense(width, "sigmoid")])
        self.head = layers.Dense(1)

    def call(self, x: Any) -> Any:
        x = self.inner(x)
        for layer in self.stack:
            x = layer(x)
        return self.head(self.part(x))


def code() -> eg.Model:
    model = Net()
    model.compile("sgd", "mse")
    model.predict(ROWS)
    return model


class Wrapped(layers.Layer):
    """A layer with code of the user's around a layer that is an argument."""

    def __init__(self, layer: layers.Layer, **shared: Any) -> None:
        super().__init__(**shared)
        self.layer = layer

    def call(self, x: Any) -> Any:
        return self.layer(x) + 1.0


def wrapped() -> eg.Model:
    inner = Wrapped(layers.Dense(8, "sigmoid"))
    return chain(layers.Dense(8, "sigmoid"), inner, layers.Dense(1))


def of_leaves(model: eg.Model, kind: type) -> list[Any]:
    return [one for _, one in eg.layers._module.module_tree(model).layers if type(one) is kind]


WHOLE = {"graph": graph, "code": code, "wrapped": wrapped}
INPUTS = {"graph": [ROWS, ROWS[::-1].copy()], "code": ROWS, "wrapped": ROWS}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize(
    ("change", "value"), [("initializer", "auto"), ("activation", "elu"), ("normalize", None)]
)
def test_hidden_layers_change_wherever_they_are(kind: str, change: str, value: Any) -> None:
    model, x = WHOLE[kind](), INPUTS[kind]
    paths = [path.rpartition("/")[0] for path, _ in model.named_weights() if path.endswith("bias")]
    heads = [path for path in paths if path.split("/")[-1] in ("head", "dense_2", "dense_3")]
    hidden = tuple(path for path in paths if path not in heads or "/" in path)
    twin = treat(model, change, hidden, value)
    dense = [one for one in of_leaves(twin, layers.Dense) if one.path in hidden]
    assert len(dense) == len(hidden) >= 2
    for one in dense:
        if change == "normalize":
            assert one.norm is not None
        elif change == "activation":
            assert repr(one.kernel_initializer) == "HeNormal()"
        else:
            assert repr(one.kernel_initializer) == "GlorotUniform()"
    assert [path for path, _ in twin.named_weights() if path.endswith("kernel")] == [
        path for path, _ in model.named_weights() if path.endswith("kernel")
    ]
    y = [NUMBERS, NUMBERS] if kind == "graph" else NUMBERS
    assert np.isfinite(twin.fit(x, y, verbose=0).history["loss"]).all()
    assert len(of_leaves(twin, layers.Dense)) == len(of_leaves(model, layers.Dense))


class Drawn(eg.Model):
    """A model whose constructor draws a graph."""

    def __init__(self, width: int = 4) -> None:
        x = eg.Input((6,))
        hidden = layers.Dense(width, "sigmoid")(x)
        super().__init__(x, layers.Dense(1)(layers.Dense(width, "sigmoid")(hidden)), seed=1)


class Line(eg.Sequential):
    """A model whose constructor lines up layers."""

    def __init__(self, width: int = 4) -> None:
        hidden = [layers.Dense(width, "sigmoid") for _ in range(2)]
        super().__init__([eg.Input((6,)), *hidden, layers.Dense(1)], seed=1)


@pytest.mark.parametrize("kind", [Drawn, Line])
def test_subclasses_without_a_call_of_their_own(kind: type[eg.Model]) -> None:
    model = kind()
    model.compile("sgd", "mse")
    twin = treat(model, "activation", (), "elu")
    assert [one.activation for one in twin.layers[:2]] == [eg.activations.elu] * 2
    assert isinstance(twin, Line) is (kind is Line)
    assert type(treat(model, "scale_inputs", data=ROWS).layers[0]) is layers.Normalization
    assert type(treat(model, "dropout", (), 0.5).layers[2]) is layers.Dropout
    assert type(treat(model, "shortcuts").layers[0]) is layers.Residual
    assert type(treat(model, "clip", (), 1.0)) is kind


def test_a_shared_layer_stays_one_and_inputs_are_scaled_each_by_itself(tmp_path: Any) -> None:
    model = graph()
    x = [ROWS * 1000, ROWS + 5]
    twin = treat(model, "scale_inputs", data=x)
    norms = of_leaves(twin, layers.Normalization)
    np.testing.assert_allclose(norms[0].mean_.numpy(), x[0].mean(0), rtol=1e-4)
    np.testing.assert_allclose(norms[1].mean_.numpy(), x[1].mean(0), rtol=1e-4)
    assert twin.count_params() == model.count_params() + 4 * 6
    twin.save(tmp_path / "twin.safetensors")
    again = eg.load_model(tmp_path / "twin.safetensors").predict(x)
    np.testing.assert_array_equal(again[0], twin.predict(x)[0])


def test_a_scaling_that_is_there_is_adapted_and_codes_are_left_alone() -> None:
    model = chain(layers.Rescaling(2.0), layers.Normalization(), layers.Dense(1))
    twin = treat(model, "scale_inputs", data=ROWS)
    assert [type(one) for one in twin.layers] == [type(one) for one in model.layers]
    np.testing.assert_allclose(twin.layers[1].mean_.numpy(), 2 * ROWS.mean(0), atol=1e-6)
    words = eg.Sequential([eg.Input((4,)), layers.Embedding(9, 3), layers.Flatten()])
    words.add(layers.Dense(1))
    words.compile("sgd", "mse")
    with pytest.raises(ValueError, match="treatment: no input holds numbers to be scaled"):
        treated(words, Treatment("scale_inputs"), np.ones((3, 4)))


def test_shortcuts_in_graphs_and_dropout_in_models_inside() -> None:
    x = eg.Input((8,))
    y = x
    for _ in range(4):
        y = layers.Dense(8, "relu")(y)
    model = eg.Model(x, layers.Dense(1)(y), seed=1)
    model.compile("sgd", "mse")
    twin = treat(model, "shortcuts")
    assert [type(one) for one in twin.layers] == [layers.Residual] * 2 + [layers.Dense]
    head = eg.Sequential([layers.Dense(4, "relu"), layers.Dense(1)], name="head")
    outer = chain(layers.Dense(8, "relu"), head)
    twin = treat(outer, "dropout", (), 0.2)
    assert [type(one) for one in twin.layers[1].layers] == [
        layers.Dense,
        layers.Dropout,
        layers.Dense,
    ]


def test_float64_stays_and_a_model_built_by_data_needs_no_input() -> None:
    model = eg.Sequential([layers.Dense(4, "relu"), layers.Dense(1)], dtype="float64", seed=1)
    model.compile("sgd", "mse")
    model.predict(ROWS)
    twin = treat(model, "activation", ("dense",), "elu")
    assert {weight.dtype for weight in twin.weights} == {"float64"}
    assert repr(twin).startswith("Sequential([Dense(4, activation='elu'")


def test_functions_of_users_stay_in_layers_that_do_not_change() -> None:
    model = chain(layers.Dense(8, lambda x: x.tanh()), layers.Dense(8, "relu"), layers.Dense(1))
    twin = treat(model, "activation", ("dense_1",), "elu")
    assert twin.layers[0].activation is model.layers[0].activation


# ---- what only a person can do


class Hidden(layers.Layer):
    """A layer that makes what is inside it as it is built."""

    def build(self, input_shape: Any) -> None:
        self.inner = layers.Dense(input_shape[-1], "sigmoid")

    def call(self, x: Any) -> Any:
        return self.inner(x)


REFUSED = [
    (lambda: chain(Hidden(), layers.Dense(1)), "activation", ("hidden/inner",), "elu", "hidden: "),
    (code, "dropout", ("head",), 0.5, "only you can do that here: head: Dense reads what"),
    (code, "scale_inputs", (), None, "x = \\(x - x.mean"),
    (code, "shortcuts", ("inner",), None, "layers.Residual"),
    (lambda: chain(layers.Flatten(), layers.Dense(1)), "units", ("flatten",), 3, "without 'units'"),
    (deep, "normalise", (), None, "treatment.change: unknown 'normalise'"),
    (deep, "label_shape", (), None, "it is a change of the data"),
    (deep, "units", ("dense_9",), 3, "no layer 'dense_9'; did you mean"),
    (deep, "alpha_dropout", (), None, "treatment: the model has no layers.Dropout"),
    (deep, "scale_inputs", (), None, "data: expected the inputs"),
    (deep, "initializer", (), "he_norml", "did you mean 'he_normal'"),
    (deep, "activation", (), "rellu", "did you mean 'relu'"),
    (deep, "learning_rate", (), 0.0, "treatment.value: expected"),
    (deep, "loss", (), "msee", "msee"),
]


@pytest.mark.parametrize(("make", "change", "paths", "value", "said"), REFUSED)
def test_what_cannot_be_done_is_said_and_leaves_the_model(
    make: Any, change: str, paths: tuple[str, ...], value: Any, said: str
) -> None:
    model = make()
    before = copy.deepcopy(state_of_all(model))
    data = ROWS if change == "scale_inputs" and make is code else None
    with pytest.raises(ValueError, match=said):
        treated(model, Treatment(change, paths, value), data)
    assert state_of_all(model) == before


def test_a_model_that_is_not_compiled_or_built_is_refused() -> None:
    model = eg.Sequential([layers.Dense(1)])
    with pytest.raises(RuntimeError, match="call compile"):
        treated(model, Treatment("clip", (), 1.0))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="a treatment before the model is built"):
        treated(model, Treatment("clip", (), 1.0))
    with pytest.raises(TypeError, match="a number of units, or a factor"):
        treated(deep(), Treatment("units", (), "many"))
