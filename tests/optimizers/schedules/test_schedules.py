"""Schedules against the values of their formulas, step by step, and on their way to the core."""

# ruff: noqa: ARG005 - functions have the signatures that they are called with

import math
import re

import numpy as np
import pytest

import evengrad as eg
from evengrad.optimizers import schedules


@pytest.mark.parametrize(
    ("schedule", "steps", "expected"),
    [
        (schedules.ExponentialDecay(0.1, 10000, 0.1), (0, 5000), (0.1, 0.0316227766)),
        (
            schedules.ExponentialDecay(0.1, 10000, 0.1, staircase=True),
            (0, 5000, 9999, 10000, 20000),
            (0.1, 0.1, 0.1, 0.01, 0.001),
        ),
        (
            schedules.PiecewiseConstantDecay([2, 4], [1, 0.1, 0.01]),
            range(6),
            (1, 1, 1, 0.1, 0.1, 0.01),
        ),
        (
            schedules.PiecewiseConstantDecay([2, 4], [1, 0.1, 0.01], "torch"),
            range(6),
            (1, 1, 0.1, 0.1, 0.01, 0.01),
        ),
        (
            schedules.PiecewiseConstantDecay([2, 4], [1, 0.1, 0.01], "tf1"),
            range(6),
            (1, 1, 1, 0.1, 0.1, 0.01),
        ),
        (schedules.StepDecay(1, 3, 0.5), range(7), (1, 1, 1, 0.5, 0.5, 0.5, 0.25)),
        (schedules.StepDecay(1, 1), range(4), (1, 0.1, 0.01, 0.001)),
        (schedules.InverseTimeDecay(0.1, 5, 0.5), (0, 10), (0.1, 0.05)),
        (
            schedules.InverseTimeDecay(0.1, 5, 1.0, staircase=True),
            (0, 4, 5, 9, 10),
            (0.1, 0.1, 0.05, 0.05, 0.1 / 3),
        ),
        (schedules.PowerDecay(0.1, 4, c=0.5), (0, 4, 12), (0.1, 0.1 / math.sqrt(2), 0.05)),
        (
            schedules.PolynomialDecay(1, 10, 0.1, power=2),
            (0, 5, 10, 20),
            (1, 0.325, 0.1, 0.1),
        ),
        (
            schedules.PolynomialDecay(1, 10, 0.1, cycle=True),
            (0, 5, 10, 11, 15, 20, 21),
            (1, 0.55, 0.1, 0.505, 0.325, 0.1, 0.37),
        ),
        (schedules.PolynomialDecay(1, 10), (10,), (1e-4,)),
        (schedules.CosineDecay(1, 10, alpha=0.1), (0, 5, 10, 11), (1, 0.55, 0.1, 0.1)),
        (
            schedules.CosineDecay(0, 100, warmup_target=1, warmup_steps=10),
            (0, 5, 10, 60, 110, 120),
            (0, 0.5, 1, 0.5, 0, 0),
        ),
        (
            schedules.CosineDecayRestarts(1, 10),
            (0, 5, 9, 10, 20, 29, 30),
            (1, 0.5, 0.02447174185, 1, 0.5, 0.00615582970, 1),
        ),
        (
            schedules.CosineDecayRestarts(1, 10, t_mul=1, m_mul=0.5, alpha=0.2),
            (0, 10, 15, 20),
            (1, 0.6, 0.4, 0.4),
        ),
        (
            schedules.OneCycle(1, 20),
            (0, 4, 8, 12, 16, 17, 18, 19),
            (0.1, 0.55, 1, 0.55, 0.1, 0.075025, 0.05005, 0.025075),
        ),
        (schedules.OneCycle(1, 20), (20, 100), (1e-4, 1e-4)),
        # The rise ends at step .3 · 20 − 1 = 5, the fall at step 19; half-way 2.5 and 12.
        (
            schedules.OneCycle(1, 20, "torch"),
            (0, 5, 12, 19, 25),
            (0.04, 1, (1 + 4e-6) / 2, 4e-6, 4e-6),
        ),
        (
            schedules.OneCycle(1, 20, "torch", anneal_strategy="linear"),
            (0, 1, 5, 12),
            (0.04, 0.04 + 0.96 / 5, 1, (1 + 4e-6) / 2),
        ),
        (
            schedules.OneCycle(1, 20, "torch", three_phase=True),
            (0, 5, 10, 19),
            (0.04, 1, 0.04, 4e-6),
        ),
        (
            schedules.OneCycle(1, 20).momentum,
            (0, 4, 8, 12, 16, 19),
            (0.95, 0.9, 0.85, 0.9, 0.95, 0.95),
        ),
        (
            schedules.OneCycle(1, 20, "torch").momentum,
            (0, 5, 12, 19),
            (0.95, 0.85, 0.9, 0.95),
        ),
        (
            schedules.Join([lambda step: step, 7, lambda step: 10 * step], [3, 5]),
            range(8),
            (0, 1, 2, 7, 7, 0, 10, 20),
        ),
    ],
    # Addresses of functions differ between the processes of one run.
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value)),
)
def test_values(schedule, steps, expected):
    got = [schedule(step) for step in steps]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-15)


def test_restarts_hit_every_boundary():
    schedule = schedules.CosineDecayRestarts(1.0, 3, t_mul=3.0)
    start = 0
    for period in (3, 9, 27, 81, 243, 729, 2187, 6561, 19683):
        assert schedule(start) == 1.0
        assert schedule(start + period - 1) < 0.5
        start += period


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.PiecewiseConstantDecay([2, 2], [1, 2, 3]), "rising order"),
        (lambda: schedules.PiecewiseConstantDecay([2], [1, 2, 3]), "values: expected one more"),
        (lambda: schedules.Join([1.0], [2]), "schedules: expected one more"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps"),
        (lambda: schedules.StepDecay(0.1, 0), "step_size"),
        (lambda: schedules.StepDecay(0.1, 3, -1.0), "gamma"),
        (lambda: schedules.PowerDecay(0.1, 3, -1.0), "^c: expected"),
        (lambda: schedules.PolynomialDecay(-1, 10), "initial_learning_rate"),
        (lambda: schedules.CosineDecay(0.1, 10, warmup_steps=3), "warmup_target"),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5), "t_mul"),
        (lambda: schedules.OneCycle(1.0, 20, "gron"), "did you mean 'geron'"),
        (lambda: schedules.OneCycle(1.0, 20, max_momentum=1.0), "max_momentum"),
        (lambda: schedules.OneCycle(1.0, 2), "total_steps"),
        (lambda: eg.optimizers.SGD(0.1, momentum=lambda step: 0.0), r"momentum\(0\)"),
        (lambda: eg.optimizers.SGD(lambda step: -1.0), r"learning_rate\(0\)"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.ExponentialDecay(0.1, 1, 10.0),
        schedules.StepDecay(0.1, 1, 10.0),
        schedules.CosineDecayRestarts(0.1, 1, t_mul=1.0, m_mul=10.0),
    ],
    ids=repr,
)
def test_a_rate_beyond_all_numbers_is_named(schedule):
    """10⁴⁰⁰ is no float64."""
    optimizer = eg.optimizers.SGD(schedule)
    optimizer.iterations = 400
    w = eg.tensor(np.ones(1), requires_grad=True)
    with pytest.raises(ValueError, match=r"learning_rate\(400\): expected a number in .*got inf"):
        optimizer.apply_gradients([(eg.tensor(np.ones(1)), w)])
    assert (w.item(), optimizer.iterations) == (1.0, 400)


def test_a_power_beyond_all_numbers_is_a_rate_of_0():
    assert schedules.PowerDecay(0.1, 1, c=400.0)(10) == 0.0


def test_both_schedules_of_a_cycle_reach_every_captured_step():
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    cycle = schedules.OneCycle(0.1, 18)

    def trained(optimizer, eager):
        model = eg.Sequential(
            [eg.Input((3,)), eg.layers.Dense(1, kernel_initializer="zeros")], dtype="float64"
        )
        model.compile(optimizer, "mse", run_eagerly=eager)
        model.fit(x, t, batch_size=10, epochs=5, shuffle=False, verbose=0)
        return model.get_weights()

    got = trained(eg.optimizers.SGD(cycle, momentum=cycle.momentum), False)
    eager = trained(eg.optimizers.SGD(cycle, momentum=cycle.momentum), True)
    w, b, mw, mb = np.zeros((3, 1)), np.zeros(1), 0.0, 0.0
    for step in range(20):
        rows = slice(10 * (step % 4), 10 * (step % 4) + 10)
        error = 2 * (x[rows] @ w + b - t[rows]) / 10
        eta, beta = cycle(step), cycle.momentum(step)
        mw = beta * mw - eta * (x[rows].T @ error)
        mb = beta * mb - eta * error.sum(axis=0)
        w, b = w + mw, b + mb
    np.testing.assert_allclose(got[0], w, rtol=1e-12)
    np.testing.assert_allclose(got[1], b, rtol=1e-11)
    for left, right in zip(got, eager, strict=True):
        np.testing.assert_array_equal(left, right)


def test_schedules_are_saved(tmp_path):
    cycle = schedules.OneCycle(0.1, 50, "torch", three_phase=True)
    rate = schedules.Join([cycle, 0.5], [30])
    model = eg.Sequential([eg.Input((2,)), eg.layers.Dense(1)])
    model.compile(eg.optimizers.Adam(rate, beta_1=cycle.momentum), "mse")
    model.fit(np.ones((4, 2)), np.ones(4), epochs=3, verbose=0)
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert repr(again.optimizer) == repr(model.optimizer)
    for step in range(40):
        assert again.optimizer.learning_rate(step) == rate(step)
        assert again.optimizer.beta_1(step) == cycle.momentum(step)
    for one in (model, again):
        one.fit(np.ones((4, 2)), np.ones(4), epochs=3, verbose=0)
    for left, right in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_number_takes_a_schedule_s_place():
    optimizer = eg.optimizers.SGD(0.1, momentum=lambda step: 0.5)
    optimizer.momentum = 0.25
    assert optimizer.momentum == 0.25
    w = eg.tensor(np.zeros(1), requires_grad=True)
    for _ in range(2):
        optimizer.apply_gradients([(eg.tensor(np.ones(1)), w)])
    assert w.item() == pytest.approx(-0.1 - 0.125)


def rates(callback, figures, start=1.0):
    """Return the learning rate after each epoch with these figures."""
    model = eg.Sequential([eg.layers.Dense(1)])
    model.compile(eg.optimizers.SGD(start), "mse")
    callback.set_model(model)
    callback.on_train_begin()
    seen = []
    for epoch, value in enumerate(figures):
        callback.on_epoch_end(epoch, {callback.monitor: value})
        seen.append(model.optimizer.learning_rate)
    return seen


@pytest.mark.parametrize(
    ("settings", "figures", "expected"),
    [
        ({"patience": 2}, [1.0] * 6, [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ({"patience": 2, "convention": "torch"}, [1.0] * 7, [1, 1, 1, 0.1, 0.1, 0.1, 0.01]),
        # A cooldown of 1 has no effect under keras; of 2 it delays by one epoch, in torch by two.
        ({"patience": 2, "cooldown": 1}, [1.0] * 6, [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ({"patience": 2, "cooldown": 2}, [1.0] * 6, [1, 1, 0.1, 0.1, 0.1, 0.01]),
        (
            {"patience": 2, "cooldown": 2, "convention": "torch"},
            [1.0] * 9,
            [1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01],
        ),
        ({"patience": 1, "min_lr": 0.05}, [1.0] * 4, [1, 0.1, 0.05, 0.05]),
        # Absolute against relative: 100 to 99.995 is an improvement of 0.005, and of 5e-5.
        ({"patience": 1}, [100.0, 99.995], [1, 1]),
        ({"patience": 0, "convention": "torch"}, [100.0, 99.995], [1, 0.1]),
        ({"patience": 1, "mode": "max"}, [0.5, 0.6, 0.6], [1, 1, 0.1]),
        ({"patience": 0, "mode": "max", "convention": "torch"}, [100.0, 100.005], [1, 0.1]),
        ({"patience": 0, "mode": "max", "convention": "torch"}, [100.0, 100.02], [1, 1]),
    ],
)
def test_plateau(settings, figures, expected):
    got = rates(eg.callbacks.ReduceLROnPlateau("loss", **settings), figures)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_plateau_reaches_the_captured_step():
    x, y = np.ones((4, 1)), np.full(4, 3.0)

    def trained(callbacks, epochs):
        model = eg.Sequential(
            [eg.Input((1,)), eg.layers.Dense(1, use_bias=False, kernel_initializer="zeros")],
            dtype="float64",
        )
        model.compile(eg.optimizers.SGD(0.01), "mse")
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=callbacks)
        return model.get_weights()[0].item()

    # Nothing counts as an improvement after the first epoch, so the rate falls by half each epoch.
    cut = eg.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    w, rate = 0.0, 0.01
    for epoch in range(4):
        w -= rate * 2 * (w - 3.0)
        rate *= 0.5 if epoch else 1.0
    assert trained([cut], 4) == pytest.approx(w, rel=1e-12)


def test_rates_that_a_schedule_owns_are_left_alone():
    model = eg.Sequential([eg.layers.Dense(1)])
    model.compile(eg.optimizers.SGD(schedules.PowerDecay(0.1, 10)), "mse")
    for callback in (
        eg.callbacks.ReduceLROnPlateau("loss"),
        eg.callbacks.LearningRateScheduler(lambda epoch: 0.1),
    ):
        with pytest.raises(TypeError, match="is the schedule PowerDecay"):
            model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[callback])


def test_learning_rate_scheduler():
    seen = []
    model = eg.Sequential([eg.layers.Dense(1)])
    model.compile(eg.optimizers.SGD(1.0), "mse")
    model.fit(
        np.zeros((4, 2)),
        np.zeros(4),
        epochs=3,
        verbose=0,
        callbacks=[
            eg.callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch),
            eg.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: seen.append(model.optimizer.learning_rate)
            ),
        ],
    )
    assert seen == [1.0, 0.5, 0.25]
