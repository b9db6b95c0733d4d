"""Every schedule over its whole course, step by step, against formulas written another way."""

import math
from fractions import Fraction

import numpy as np
import pytest

from evengrad.optimizers import schedules


def check(schedule, expected, steps):
    """Compare at every step; `expected` is a function of the step."""
    got = [schedule(step) for step in range(steps)]
    np.testing.assert_allclose(got, [float(expected(t)) for t in range(steps)], rtol=1e-12)


def between(start, end, share):
    return start + (end - start) * share


def along_cosine(start, end, share):
    """Return PyTorch's form of half a wave: from the end."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("staircase", [False, True])
def test_exponential(size, staircase):
    def expected(t):
        exponent = t // size if staircase else t / size
        return 0.5 * math.exp(exponent * math.log(0.7))

    check(schedules.ExponentialDecay(0.5, size, 0.7, staircase), expected, 60)
    if staircase:
        check(schedules.StepDecay(0.5, size, 0.7), expected, 60)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("staircase", [False, True])
def test_inverse_time(size, staircase):
    def expected(t):
        time = Fraction(t // size) if staircase else Fraction(t, size)
        return Fraction(1, 2) / (1 + Fraction(3, 4) * time)

    check(schedules.InverseTimeDecay(0.5, size, 0.75, staircase), expected, 60)


@pytest.mark.parametrize("c", [0.0, 0.5, 1.0, 3.0])
def test_power(c):
    check(
        schedules.PowerDecay(0.5, 7, c),
        lambda t: 0.5 * math.exp(-c * math.log1p(t / 7)),
        60,
    )


@pytest.mark.parametrize("span", [1, 4, 10])
@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("cycle", [False, True])
def test_polynomial(span, power, cycle):
    def expected(t):
        if cycle:
            # The first multiple of the span that is not below t, and one span at 0.
            end = next(end for end in range(span, 10**6, span) if end >= t)
            left = 1 - Fraction(t, end)
        else:
            left = 1 - Fraction(min(t, span), span)
        return Fraction(9, 10) * left**power + Fraction(1, 10)

    check(schedules.PolynomialDecay(1.0, span, 0.1, power, cycle), expected, 45)


@pytest.mark.parametrize("alpha", [0.0, 0.25])
@pytest.mark.parametrize("warm_up", [0, 1, 6])
def test_cosine(alpha, warm_up):
    def expected(t):
        if t < warm_up:
            return Fraction(1, 5) + (Fraction(2) - Fraction(1, 5)) * Fraction(t, warm_up)
        peak = 2.0 if warm_up else 0.2
        return along_cosine(peak, alpha * peak, min(1.0, (t - warm_up) / 15))

    target = {"warmup_target": 2.0, "warmup_steps": warm_up} if warm_up else {}
    got = schedules.CosineDecay(0.2, 15, alpha, **target)
    values = [got(t) for t in range(40)]
    np.testing.assert_allclose(values, [float(expected(t)) for t in range(40)], atol=1e-15)


@pytest.mark.parametrize(("factor", "share"), [(1, 1.0), (1, 0.5), (2, 1.0), (2, 0.8), (3, 1.5)])
def test_restarts(factor, share):
    periods = [5 * factor**i for i in range(40)]

    def expected(t):
        number = 0
        while t >= periods[number]:
            t -= periods[number]
            number += 1
        peak = share**number
        return 0.3 * (0.9 * along_cosine(peak, 0.0, t / periods[number]) + 0.1)

    check(schedules.CosineDecayRestarts(0.3, 5, factor, share, 0.1), expected, 160)


@pytest.mark.parametrize("convention", ["keras", "torch", "tf1"])
def test_piecewise(convention):
    def expected(t):
        # A cut is felt at its boundary by PyTorch, after it by the others.
        passed = sum(t >= cut if convention == "torch" else t > cut for cut in (3, 4, 9))
        return (8, 4, 2, 1)[passed]

    check(schedules.PiecewiseConstantDecay([3, 4, 9], [8, 4, 2, 1], convention), expected, 15)


# ---- 1cycle


@pytest.mark.parametrize("total", [3, 5, 10, 11, 19, 20, 57, 100, 101])
def test_geron_s_cycle(total):
    """His class, in the words of the book: the rate goes through np.interp three times."""
    last = total // 10 + 1
    half = (total - last) // 2
    peak, start = 0.7, 0.07
    corners = [0, half, 2 * half, total]
    rates = [start, peak, start, start / 1000]
    cycle = schedules.OneCycle(peak, total)
    steps = np.arange(total)
    got = [cycle(int(t)) for t in steps]
    np.testing.assert_allclose(got, np.interp(steps, corners, rates), rtol=1e-12)
    momenta = np.interp(steps, corners, [0.95, 0.85, 0.95, 0.95])
    found = [cycle.momentum(int(t)) for t in steps]
    np.testing.assert_allclose(found, momenta, rtol=1e-12)
    assert cycle(total) == pytest.approx(start / 1000)
    assert cycle(total + 50) == cycle(total)


def of_pytorch(total, share, strategy, three):
    """Return rates and momenta, phase by phase, as PyTorch's documentation defines them."""
    low, peak, end = 0.7 / 25, 0.7, 0.7 / 25 / 1e4
    if three:
        ends = [share * total - 1, 2 * share * total - 2, total - 1]
        rates = [(low, peak), (peak, low), (low, end)]
        momenta = [(0.95, 0.85), (0.85, 0.95), (0.95, 0.95)]
    else:
        ends = [share * total - 1, total - 1]
        rates = [(low, peak), (peak, end)]
        momenta = [(0.95, 0.85), (0.85, 0.95)]
    anneal = along_cosine if strategy == "cos" else between
    found = []
    for t in range(total):
        start = 0.0
        for phase, end_of_phase in enumerate(ends):
            if t <= end_of_phase or phase == len(ends) - 1:
                part = (t - start) / (end_of_phase - start)
                found.append((anneal(*rates[phase], part), anneal(*momenta[phase], part)))
                break
            start = end_of_phase
    return np.array(found).T


@pytest.mark.parametrize("total", [10, 20, 33, 100])
@pytest.mark.parametrize("share", [0.2, 0.3, 0.45])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three", [False, True])
def test_pytorch_s_cycle(total, share, strategy, three):
    cycle = schedules.OneCycle(
        0.7, total, "torch", pct_start=share, anneal_strategy=strategy, three_phase=three
    )
    rates, momenta = of_pytorch(total, share, strategy, three)
    got = [cycle(t) for t in range(total)]
    np.testing.assert_allclose(got, rates, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose([cycle.momentum(t) for t in range(total)], momenta, rtol=1e-12)
    assert cycle(total - 1) == pytest.approx(0.7 / 25 / 1e4, rel=1e-9)
    assert cycle(10 * total) == cycle(total - 1)
