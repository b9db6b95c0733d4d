"""Dead units are found, and learn again."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import types
from typing import Any

import numpy as np
import pytest

import evengrad as eg
from evengrad import initializers, layers, optimizers
from evengrad.layers._call_context import shown_to

X = np.random.default_rng(2).normal(size=(60, 5)).astype("float32")
Y = X[:, :1] * 2
STEPS = np.random.default_rng(4).normal(size=(30, 6, 3)).astype("float32")


def with_dead(layer: Any, units: tuple[int, ...] = (1, 3), bias: float = -50.0) -> Any:
    """Give units of a built layer a bias that no row reaches over."""
    values = layer.bias.numpy().copy()
    values[list(units)] = bias
    layer.bias.copy_(values)
    return layer


def make(*inner: Any, optimizer: Any = "sgd", rows: Any = X, **settings: Any) -> eg.Sequential:
    chain = [eg.Input(rows.shape[1:]), *inner, layers.Dense(1)]
    model = eg.Sequential(chain, seed=5, **settings)
    model.compile(optimizer, "mse")
    return model


def relu_net(**settings: Any) -> eg.Sequential:
    model = make(layers.Dense(6, "relu"), **settings)
    with_dead(model.layers[0])
    return model


# ---- finding


def test_units_are_dead_where_no_row_has_a_derivative() -> None:
    model = make(layers.Dense(30, "relu"), layers.Dense(20, "relu"), dtype="float64")
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.normal(size=w.shape) for w in model.get_weights()])
    found = model.dead_units(X, batch_size=7)
    kernels = model.get_weights()
    first = np.maximum(X.astype("float64") @ kernels[0] + kernels[1], 0)
    second = np.maximum(first @ kernels[2] + kernels[3], 0)
    for path, outputs in (("dense", first), ("dense_1", second)):
        expected = np.flatnonzero((outputs <= 0).all(axis=0))
        entry = found[path]
        assert entry is not None
        assert entry.units == tuple(expected)
        assert entry.share == len(expected) / outputs.shape[1]
        assert entry.died_in is None
    assert set(found) == {"dense", "dense_1"}


@pytest.mark.parametrize(
    ("activation", "dead"),
    [
        ("relu", (-50.0,)),
        ("relu6", (-50.0, 50.0)),
        ("hard_silu", (-50.0,)),
        ("hard_sigmoid", (-50.0, 50.0)),
        ("hard_tanh", (-50.0, 50.0)),
        (layers.ReLU(), (-50.0,)),
        (layers.ReLU(max_value=1.5), (-50.0, 50.0)),
        (layers.ReLU(max_value=1.5, negative_slope=0.1), (50.0,)),
        (layers.ReLU(threshold=0.5), (-50.0,)),
        (layers.Activation("relu"), (-50.0,)),
    ],
)
def test_activations_with_flat_parts(activation: Any, dead: tuple[float, ...]) -> None:
    for at in range(2 if isinstance(activation, layers.Layer) else 1):
        model = make(layers.Dense(3), activation) if at else make(layers.Dense(3, activation))
        for bias in (-50.0, 50.0):
            with_dead(model.layers[0], (1,), bias)
            (entry,) = model.dead_units(X).values()
            assert entry is not None
            assert entry.units == ((1,) if bias in dead else ())


def test_what_has_a_slope_everywhere_is_left_out() -> None:
    smooth = ["elu", "leaky_relu", "sigmoid", "tanh", "gelu", layers.PReLU(), lambda x: x * 2]
    model = make(*[layers.Dense(4, one) for one in smooth], layers.ReLU(negative_slope=0.1))
    assert model.dead_units(X) == {}


def test_outputs_that_are_normalized_behind_the_activation() -> None:
    norm = layers.BatchNormalization()
    model = make(layers.Dense(4, "relu", norm=norm, norm_position="after"))
    with_dead(model.layers[0], (2,))
    assert model.dead_units(X)["dense"].units == (2,)


def test_blocks_models_inside_and_recurrent_layers() -> None:
    inner = eg.Sequential([eg.Input((4,)), layers.Dense(4, "relu")], name="inner", seed=1)
    model = make(layers.Dense(4), layers.Residual(layers.Dense(4), activation="relu"), inner)
    with_dead(inner.layers[0], (0,))
    assert set(model.dead_units(X)) == {"residual", "inner/dense"}
    assert model.dead_units(X)["inner/dense"].units == (0,)
    whole = layers.SimpleRNN(4, "relu", return_sequences=True)
    model = make(whole, layers.SimpleRNN(3, "relu"), rows=STEPS)
    with_dead(whole, (3,))
    expected = {"simple_rnn": (3,), "simple_rnn_1": ()}
    assert {path: one.units for path, one in model.dead_units(STEPS).items()} == expected


def test_of_a_recurrent_layer_all_steps_count_also_where_it_returns_the_last() -> None:
    last = layers.SimpleRNN(3, "relu")
    model = make(last, layers.Dense(2), rows=STEPS)
    # Alive in the first step alone, where the input says so; and never.
    kernel, recurrent = np.zeros((3, 3)), np.zeros((3, 3))
    kernel[0] = [1.0, 1.0, -1.0]
    recurrent[0, 0] = 1.0
    steps = np.zeros((5, 6, 3), np.float32)
    steps[:, 0, 0] = 2.0
    last.set_weights([kernel, recurrent, np.zeros(3)])
    assert last(steps).numpy().any(axis=0).tolist() == [True, False, False]
    assert model.dead_units(steps)["simple_rnn"].units == (2,)


def test_a_layer_that_no_row_comes_to_is_unknown() -> None:
    class Forked(eg.Model):
        def __init__(self) -> None:
            super().__init__(seed=1)
            self.one, self.other = layers.Dense(3, "relu"), layers.Dense(3, "relu")

        def call(self, x: Any) -> Any:
            return self.other(x) if x.shape[0] == 7 else self.one(x)

    model = Forked()
    model.predict(X[:7])
    model.predict(X)
    found = model.dead_units(X)
    assert found["one"] is not None
    assert found["other"] is None
    assert model.dead_units(X[:7])["one"] is None


def test_looking_changes_nothing_and_numbers_that_are_none_are_not_dead() -> None:
    model = relu_net()
    before = [w.tobytes() for w in model.get_weights()]
    model.dead_units(X)
    assert [w.tobytes() for w in model.get_weights()] == before
    with pytest.raises(ValueError, match="expected finite numbers, got nan"):
        model.dead_units(np.full((3, 5), np.nan))
    assert model.dead_units(np.full((3, 5), np.nan), check_finite=False)["dense"].share == 0.0


def test_batches_are_refused() -> None:
    with pytest.raises(TypeError, match="all rows together tell which units are dead"):
        relu_net().dead_units(iter([X]))
    with pytest.raises(TypeError, match="did you mean 'batch_size'"):
        relu_net().dead_units(X, batchsize=3)


def test_epochs_of_death_come_from_the_doctor_that_watched() -> None:
    model = relu_net()
    since = np.array([-1, 4, -1, -1, 0, -1])
    model.history = types.SimpleNamespace(health={"dead_since": {"dense": since}})
    entry = model.dead_units(X)["dense"]
    assert (entry.units, entry.died_in) == ((1, 3), (4, None))
    model.history = types.SimpleNamespace(health={"dead_since": {"dense": since[:2]}})
    assert model.dead_units(X)["dense"].died_in is None


def test_layers_show_what_comes_to_their_activation_with_the_same_bits() -> None:
    model = make(layers.Dense(6, "relu"), layers.Dense(4, "tanh", norm=layers.BatchNormalization()))
    plain = model(X).numpy().copy()
    seen: list[Any] = []
    with shown_to(None, lambda layer, z: seen.append((layer.name, z.numpy().copy()))):
        shown = model(X).numpy().copy()
    assert shown.tobytes() == plain.tobytes()
    assert [name for name, _ in seen] == ["dense", "dense_1", "dense_2"]
    np.testing.assert_array_equal(seen[-1][1], plain)


# ---- reviving


def dead_after(model: eg.Model, x: Any = X) -> int:
    return sum(len(one.units) for one in model.dead_units(x).values() if one)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad"])
def test_new_weights_for_dead_units_alone(optimizer: str) -> None:
    model = relu_net(optimizer=optimizer)
    model.fit(X, Y, epochs=2, verbose=0)
    before, found = model.get_weights(), model.dead_units(X)
    assert model.revive(X) == found
    after = model.get_weights()
    others = [0, 2, 4, 5]
    assert dead_after(model) == 0
    np.testing.assert_array_equal(after[0][:, others], before[0][:, others])
    np.testing.assert_array_equal(after[1][others], before[1][others])
    np.testing.assert_array_equal(after[2], before[2])
    assert (after[0][:, [1, 3]] != before[0][:, [1, 3]]).all()
    np.testing.assert_array_equal(after[1][[1, 3]], 0.0)
    assert model.revive(X) == {}
    model.fit(X, Y, epochs=1, verbose=0)
    moved = model.get_weights()[0][:, [1, 3]]
    assert (moved != after[0][:, [1, 3]]).all()


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.Adam(0.01),
        optimizers.Adagrad(0.01),
        optimizers.SGD(0.01, momentum=0.9, use_ema=True, gradient_accumulation_steps=2),
    ],
)
def test_the_state_of_new_weights_is_that_of_a_beginning(optimizer: Any) -> None:
    model = relu_net(optimizer=optimizer)
    model.fit(X, Y, epochs=3, batch_size=16, verbose=0)
    kernel = model.layers[0].kernel
    before = {name: slot.numpy().copy() for name, slot in optimizer.slots(kernel).items()}
    model.revive(X)
    new = type(optimizer)(**optimizer.get_config())
    begun = new.slots(kernel)
    for name, slot in optimizer.slots(kernel).items():
        values = slot.numpy()
        np.testing.assert_array_equal(values[:, [1, 3]], begun[name].numpy()[:, [1, 3]])
        np.testing.assert_array_equal(values[:, [0, 2]], before[name][:, [0, 2]])
    assert optimizer.iterations == (6 if optimizer.gradient_accumulation_steps else 12)


def test_draws_follow_from_the_seed_and_differ_from_one_revival_to_the_next() -> None:
    values = []
    for epochs in (1, 1, 2):
        model = relu_net()
        model.fit(X, Y, epochs=epochs, verbose=0)
        with_dead(model.layers[0])
        model.revive(X)
        values.append(model.get_weights()[0][:, 1])
    np.testing.assert_array_equal(values[0], values[1])
    assert (values[0] != values[2]).all()


def test_units_behind_a_rectifier_that_die_again_and_again_get_a_bias() -> None:
    # All inputs are positive, and all draws of weights negative.
    negative = initializers.RandomUniform(-2.0, -1.0)
    layer = layers.Dense(6, "relu", kernel_initializer=negative)
    model = make(layers.Rescaling(0.1, 5.0), layer)
    found = model.dead_units(X)["dense"]
    assert found.share == 1.0
    assert set(model.revive(X)) == {"dense"}
    outputs = model.features(X, "dense")
    np.testing.assert_allclose((outputs > 0).mean(axis=0), 0.5)
    same = make(layers.Rescaling(0.0, 5.0), layers.Dense(6, "relu", kernel_initializer=negative))
    same.revive(X)
    assert dead_after(same) == 0


def deep_normalized() -> eg.Model:
    norm = layers.BatchNormalization()
    model = make(layers.Dense(6, "relu", norm=norm))
    beta = norm.beta.numpy().copy()
    beta[[1, 3]] = -50.0
    norm.beta.copy_(beta)
    return model


def apart() -> eg.Model:
    norm = layers.BatchNormalization()
    model = make(layers.Dense(6), norm, layers.Dropout(0.1), layers.Activation("relu"))
    beta = norm.beta.numpy().copy()
    beta[[1, 3]] = -50.0
    norm.beta.copy_(beta)
    return model


@pytest.mark.parametrize("build", [deep_normalized, apart])
def test_a_normalization_in_front_begins_anew_with_the_statistics_of_the_rows(build: Any) -> None:
    model = build()
    model.revive(X)
    assert dead_after(model) == 0
    dense = model.layers[0]
    norm = dense.norm or model.layers[1]
    sums = X @ dense.kernel.numpy()
    if dense.bias is not None:
        sums = sums + dense.bias.numpy()
    for unit in (1, 3):
        np.testing.assert_allclose(norm.moving_mean.numpy()[unit], sums[:, unit].mean(), atol=1e-5)
        variance = norm.moving_variance.numpy()[unit]
        np.testing.assert_allclose(variance, sums[:, unit].var(), rtol=1e-4)
        assert (norm.gamma.numpy()[unit], norm.beta.numpy()[unit]) == (1.0, 0.0)
    assert norm.moving_variance.numpy()[0] == 1.0


KINDS: dict[str, Any] = {
    "own activation": lambda: make(layers.Dense(6), layers.Activation("relu")),
    "own layer": lambda: make(layers.Dense(6), layers.ReLU()),
    "inner layer": lambda: make(layers.Dense(6, layers.ReLU())),
    "normalized behind": lambda: make(
        layers.Dense(6, "relu", norm=layers.LayerNormalization(), norm_position="after")
    ),
    "relu6": lambda: make(layers.Dense(6, "relu6")),
    "inside": lambda: make(eg.Sequential([eg.Input((5,)), layers.Dense(6, "relu")], seed=2)),
}


def first_dense(model: eg.Model) -> Any:
    layer = model.layers[0]
    return layer.layers[0] if isinstance(layer, eg.Sequential) else layer


@pytest.mark.parametrize("how", ["reinit", "leaky"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_learns_again(kind: str, how: str, tmp_path: Any) -> None:
    model = KINDS[kind]()
    with_dead(first_dense(model))
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    revived = model.revive(X, how)
    assert [one.units for one in revived.values()] == [(1, 3)]
    assert dead_after(model) == 0
    if how == "leaky":
        for left, right in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)
    kernel = first_dense(model).kernel.numpy().copy()
    model.fit(X, Y, epochs=1, verbose=0)
    assert (first_dense(model).kernel.numpy()[:, [1, 3]] != kernel[:, [1, 3]]).all()
    model.save(tmp_path / "model.safetensors")
    loaded = eg.load_model(tmp_path / "model.safetensors")
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()


def test_recurrent_units_learn_again() -> None:
    for how in ("reinit", "leaky"):
        rnn = layers.SimpleRNN(6, "relu", return_sequences=True)
        model = make(rnn, layers.SimpleRNN(3), rows=STEPS)
        with_dead(rnn, (0, 2))
        assert model.revive(STEPS, how)["simple_rnn"].units == (0, 2)
        assert dead_after(model, STEPS) == 0


def test_a_running_training_sees_the_leak() -> None:
    model = relu_net()

    class Leak(eg.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                model.revive(X, "leaky")

    kernel = model.get_weights()[0][:, 1].copy()
    model.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0][:, 1], kernel)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[Leak()])
    assert (model.get_weights()[0][:, 1] != kernel).all()


def test_a_running_training_goes_on_with_new_weights() -> None:
    model = relu_net(optimizer="adam")
    revived: list[Any] = []

    class Revive(eg.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                revived.append(model.revive(X)["dense"].units)
                revived.append(model.get_weights()[0][:, 1].copy())

    model.fit(X, Y, epochs=4, verbose=0, callbacks=[Revive()])
    assert revived[0] == (1, 3)
    assert (model.get_weights()[0][:, 1] != revived[1]).all()
    assert dead_after(model) == 0


def test_frozen_layers_are_passed_over() -> None:
    model = relu_net()
    model.layers[0].trainable = False
    assert model.revive(X) == {}
    assert dead_after(model) == 2
    assert set(model.revive(X, "leaky")) == {"dense"}


def test_what_cannot_be_revived_is_said_and_nothing_is_changed() -> None:
    hard = make(layers.Dense(4, "relu"), layers.Dense(6, "hard_tanh"))
    with_dead(hard.layers[0], (2,))
    with_dead(hard.layers[1], (1,))
    far = layers.Dense(5, bias_initializer=initializers.Constant(-50.0))
    block = make(layers.Dense(5), layers.Residual(far, activation="relu"))
    unbiased = make(
        layers.Rescaling(0.1, 5.0),
        layers.Dense(3, "relu", use_bias=False, kernel_initializer=initializers.Constant(-1.0)),
    )
    cases = [
        (hard, "leaky", r"dense_1: expected an activation that a leak .* got hard_tanh"),
        (block, "reinit", 'residual: expected a Dense layer without .* use how="leaky"'),
        (unbiased, "reinit", "dense: expected new weights that make unit 0 active"),
        (hard, "leak", "how: unknown 'leak'; did you mean 'leaky'"),
    ]
    for model, how, said in cases:
        before = repr(model), [w.tobytes() for w in model.get_weights()]
        with pytest.raises(ValueError, match=said):
            model.revive(X, how)
        assert (repr(model), [w.tobytes() for w in model.get_weights()]) == before


def test_a_model_that_is_not_compiled_is_revived_too() -> None:
    model = eg.Sequential([eg.Input((5,)), layers.Dense(6, "relu"), layers.Dense(1)], seed=1)
    with_dead(model.layers[0])
    assert model.revive(X)["dense"].share == 2 / 6
    assert dead_after(model) == 0
