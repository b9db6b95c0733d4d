"""Steps by the gradients in `.grad`, in PyTorch's form: as `minimize`, and errors."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import optimizers

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


def network():
    return eg.Sequential([eg.Input((3,)), eg.layers.Dense(2, "tanh"), eg.layers.Dense(1)], seed=1)


def loss_of(model):
    return (model(X, training=True) ** 2).mean()


@pytest.mark.parametrize(
    "make",
    [lambda: optimizers.SGD(0.1, momentum=0.9), lambda: optimizers.AdamW(0.01, clipnorm=0.1)],
)
def test_steps_are_those_of_minimize(make):
    one, other = network(), network()
    first, second = make(), make()
    for _ in range(4):
        first.minimize(loss_of(one), one.trainable_weights)
        second.zero_grad(other)
        loss_of(other).backward()
        second.step()
    for x, y in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_gradients_add_up_until_they_are_forgotten():
    w, unused = eg.tensor([2.0], requires_grad=True), eg.tensor([5.0], requires_grad=True)
    optimizer = optimizers.SGD(0.25)
    for _ in range(2):
        (w**2).sum().backward()
    # Without a gradient, a parameter stays.
    optimizer.step(iter([w, unused]))
    assert (w.tolist(), unused.tolist()) == ([0.0], [5.0])
    optimizer.zero_grad()
    assert w.grad is None


def test_captured_steps_that_leave_no_gradient():
    one, other = network(), network()
    optimizer, again = optimizers.Adam(0.01), optimizers.Adam(0.01)

    def step():
        loss = loss_of(one)
        loss.backward()
        optimizer.step(one)
        optimizer.zero_grad()
        return loss

    captured = eg.compile(step)
    for _ in range(3):
        captured()
        again.minimize(loss_of(other), other.trainable_weights)
    for x, y in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda w: optimizers.SGD([w]), TypeError, r"optimizer\.step\(parameters\)"),
        (lambda w: optimizers.SGD([w], lr=0.1), TypeError, r"optimizer\.step\(parameters\)"),
        (lambda w: optimizers.Adam(iter([w]), learning_rate=0.1), TypeError, "Adam: expected a l"),
        (lambda w: optimizers.SGD(0.1).step([w]), ValueError, r"call loss\.backward\(\) before it"),
        (lambda w: optimizers.SGD(0.1).step(w), TypeError, r"pass \[tensor\]"),
        (lambda w: optimizers.SGD(0.1).step([w, "b"]), TypeError, "got str at position 1"),
    ],
)
def test_errors_name_the_cure(make, error, message):
    with pytest.raises(error, match=message):
        make(eg.tensor([1.0], requires_grad=True))


def test_parameters_are_given_once():
    for method in ("step", "zero_grad"):
        with pytest.raises(ValueError, match=rf"SGD\.{method}: .*optimizer\.{method}\(model\."):
            getattr(optimizers.SGD(0.1), method)()
    with pytest.raises(TypeError, match='convention="torch"'):
        optimizers.Adam(network(), lr=0.1)
