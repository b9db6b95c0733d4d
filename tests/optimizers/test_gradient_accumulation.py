"""Accumulation of gradients over several steps."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import optimizers

RNG = np.random.default_rng(9)
X, Y = RNG.normal(size=(96, 5)), RNG.normal(size=(96, 2))


def network(optimizer, eager=False, dtype="float64", **dense):
    model = eg.Sequential(
        [eg.Input((5,)), eg.layers.Dense(6, "tanh", **dense), eg.layers.Dense(2)],
        dtype=dtype,
        seed=4,
    )
    model.compile(optimizer, "mse", run_eagerly=eager)
    return model


def equal(one, other):
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


MAKE = [
    lambda **k: optimizers.SGD(0.1, 0.9, weight_decay=0.01, **k),
    lambda **k: optimizers.Adam(0.01, clipnorm=0.05, **k),
    lambda **k: optimizers.Nadam(
        optimizers.schedules.ExponentialDecay(0.01, 3, 0.5), global_clipnorm=0.1, **k
    ),
    lambda **k: optimizers.RMSprop(0.01, convention="torch", weight_decay=0.1, **k),
]


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize(("dtype", "close"), [("float64", 1e-12), ("float32", 1e-5)])
def test_small_batches_make_the_step_of_a_large_one(make, dtype, close):
    # The constraint of Keras shrinks at each use: once too often would show.
    ball = eg.constraints.MaxNorm(0.5, convention="keras")
    small = network(make(gradient_accumulation_steps=4), dtype=dtype, kernel_constraint=ball)
    large = network(make(), dtype=dtype, kernel_constraint=ball)
    small.fit(X, Y, epochs=5, batch_size=8, shuffle=False, verbose=0)
    large.fit(X, Y, epochs=5, batch_size=32, shuffle=False, verbose=0)
    assert small.optimizer.iterations == large.optimizer.iterations == 15
    for left, right in zip(small.get_weights(), large.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=close, atol=close)


def test_by_hand():
    w = eg.tensor(np.array([1.0]), requires_grad=True)
    optimizer = optimizers.SGD(
        lambda step: [1.0, 0.5][step], clipvalue=1.0, gradient_accumulation_steps=2
    )
    path = []
    for gradient in (3.0, -2.0, 8.0, 0.0):
        optimizer.apply_gradients([(eg.tensor(np.array([gradient])), w)])
        path.append((w.item(), optimizer.iterations, optimizer._core.accumulated))
    # The means ½ and 4 are clipped, not the gradients; η falls with the updates.
    assert path == [(1.0, 0, 1), (0.5, 1, 0), (0.5, 1, 1), (0.0, 2, 0)]


def test_between_updates_nothing_moves():
    model = network(optimizers.Adam(0.1, weight_decay=0.5, gradient_accumulation_steps=3))
    before = model.get_weights()
    for step in range(1, 7):
        model.train_on_batch(X[:8], Y[:8])
        same = all(
            np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)
        )
        assert same is (step % 3 != 0)
        assert model.optimizer.iterations == step // 3
        before = model.get_weights()


@pytest.mark.parametrize("make", MAKE)
def test_eager_and_captured_are_the_same_bits(make):
    models = [
        network(make(gradient_accumulation_steps=3), eager, kernel_constraint="non_neg")
        for eager in (False, True)
    ]
    singly = network(make(gradient_accumulation_steps=3), kernel_constraint="non_neg")
    tell = eg.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)  # noqa: ARG005 - a hook
    for model in models:
        # Ten batches and a smaller one; the windows of three reach over epochs and calls.
        model.fit(X[:84], Y[:84], epochs=2, batch_size=8, verbose=0)
        model.fit(X[:84], Y[:84], epochs=2, batch_size=8, verbose=0)
    singly.fit(X[:84], Y[:84], epochs=4, batch_size=8, verbose=0, callbacks=[tell])
    assert [model.optimizer.iterations for model in (*models, singly)] == [14, 14, 14]
    assert [model.optimizer._core.accumulated for model in (*models, singly)] == [2, 2, 2]
    equal(*models)
    equal(models[0], singly)


def test_in_a_compiled_function():
    def training(compiled):
        w = eg.tensor(np.ones(3), requires_grad=True)
        optimizer = optimizers.Adam(0.1, gradient_accumulation_steps=2)

        def step(x):
            loss = (w * x).square().sum()
            optimizer.minimize(loss, [w])
            return loss

        run = eg.compile(step) if compiled else step
        for x in RNG_STEPS:
            run(eg.tensor(x))
        return w.numpy()

    RNG_STEPS = np.random.default_rng(1).normal(size=(9, 3))
    np.testing.assert_array_equal(training(True), training(False))


def test_saved_in_the_middle_of_a_window(tmp_path):
    model = network(optimizers.Adam(0.01, gradient_accumulation_steps=100))
    model.fit(X, Y, epochs=1, batch_size=8, verbose=0)
    assert (model.optimizer.iterations, model.optimizer._core.accumulated) == (0, 12)
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    for one in (model, again):
        one.fit(X, Y, epochs=9, batch_size=8, verbose=0)
        assert (one.optimizer.iterations, one.optimizer._core.accumulated) == (1, 20)
    equal(model, again)


def test_the_parameters_must_stay_the_same_within_a_window():
    a, b = (eg.tensor(np.array([1.0]), requires_grad=True) for _ in range(2))
    optimizer = optimizers.SGD(0.5, gradient_accumulation_steps=2)
    one = eg.tensor(np.array([1.0]))
    optimizer.apply_gradients([(one, a)])
    with pytest.raises(ValueError, match="same parameters in all of the 2 steps"):
        optimizer.apply_gradients([(one, a), (one, b)])
    assert optimizer._core.accumulated == 1
    optimizer.apply_gradients([(one, a)])
    assert (a.item(), b.item()) == (0.5, 1.0)
    optimizer.apply_gradients([(one, b)])
    optimizer.apply_gradients([(one, b)])
    assert (a.item(), b.item()) == (0.5, 0.5)


def test_what_is_no_number_does_not_stay_in_the_sum():
    w = eg.tensor(np.array([1.0, 1.0]), requires_grad=True)
    core = optimizers.SGD(0.5, gradient_accumulation_steps=2)._core
    for gradient in ([np.nan, 1.0], [1.0, 1.0], [2.0, 2.0], [4.0, 4.0]):
        (mean,) = core.accumulate([w], [eg.tensor(np.array(gradient))])
        core.apply([w], [mean])
    np.testing.assert_array_equal(mean.numpy(), [3.0, 3.0])


def test_one_step_is_none():
    plain, one = network(MAKE[0]()), network(MAKE[0](gradient_accumulation_steps=1))
    for model in (plain, one):
        model.fit(X, Y, epochs=2, verbose=0)
    equal(plain, one)


@pytest.mark.parametrize(("steps", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_bad_arguments(steps, error):
    with pytest.raises(error, match="gradient_accumulation_steps"):
        optimizers.Adam(gradient_accumulation_steps=steps)


def test_the_core_asks_for_its_order():
    w = eg.tensor(np.array([1.0]), requires_grad=True)
    gathering = optimizers.SGD(gradient_accumulation_steps=2)._core
    with pytest.raises(RuntimeError, match="accumulate"):
        gathering.apply([w], [w.detach()])
    with pytest.raises(RuntimeError, match="without accumulation"):
        optimizers.SGD()._core.accumulate([w], [w.detach()])
    with pytest.raises(ValueError, match="fewer than 2"):
        gathering.accumulated = 2
