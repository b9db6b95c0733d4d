"""`evengrad.compile`: recording once, replaying, and what it refuses."""

# ruff: noqa: ARG005 - functions have the signatures that they are called with

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import evengrad as eg


@pytest.fixture
def problem():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(64, 10)).astype("float32")
    y = (x @ rng.normal(size=(10, 1))).astype("float32")
    w = eg.tensor(np.zeros((10, 1), "float32"), requires_grad=True)
    return x, y, w


def test_replay_gives_the_bits_of_eager(problem):
    x, y, w = problem
    other = eg.tensor(np.zeros((10, 1), "float32"), requires_grad=True)

    def make(weights):
        optimizer = eg.optimizers.Adam(0.05)

        def step(a, b):
            loss = eg.functional.mse_loss(eg.tanh(a @ weights), b)
            optimizer.minimize(loss, [weights])
            return loss

        return step

    eager, compiled = make(w), eg.compile(make(other))
    for i in range(20):
        rows = slice(i, i + 16)
        left = eager(eg.tensor(x[rows]), eg.tensor(y[rows]))
        right = compiled(x[rows], y[rows])
        assert left.item() == right.item()
    np.testing.assert_array_equal(w.detach().numpy(), other.detach().numpy())
    assert compiled.signatures == 1


def test_results_are_fresh(problem):
    x, _, _ = problem
    double = eg.compile(lambda a: a * 2.0)
    first = double(x)
    second = double(x + 1)
    np.testing.assert_array_equal(first.numpy(), x * 2)
    np.testing.assert_array_equal(second.numpy(), (x + 1) * 2)


def test_each_signature_is_recorded(problem):
    x, _, _ = problem

    @eg.compile
    def scale(a, factor, *, training=False):
        return a * factor if training else a

    for rows in (3, 5, 3, 5):
        assert scale(x[:rows], 2.0).shape == (rows, 10)
    assert scale.signatures == 2
    np.testing.assert_array_equal(scale(x[:3], 2.0, training=True).numpy(), x[:3] * 2)
    np.testing.assert_array_equal(scale(x[:3], 3.0, training=True).numpy(), x[:3] * 3)
    assert scale(x[:3].astype("float64"), 2.0).dtype == "float64"
    assert scale.signatures == 5
    assert scale.plans()[0]["launches"] >= 1
    scale.clear()
    assert scale.signatures == 0


def test_nested_arguments_and_results(problem):
    x, _, _ = problem

    @eg.compile
    def parts(batch, scale):
        return {"sum": batch["a"] + batch["b"][0] * scale, "rest": (batch["a"], None, 3)}

    for i in range(3):
        out = parts({"a": x + i, "b": [x]}, 2.0)
        np.testing.assert_allclose(out["sum"].numpy(), x + i + 2 * x, rtol=1e-6)
        np.testing.assert_array_equal(out["rest"][0].numpy(), x + i)
        assert out["rest"][1:] == (None, 3)
    assert parts.signatures == 1


def test_parameters_may_be_arguments(problem):
    x, y, w = problem
    optimizer = eg.optimizers.SGD(0.1)

    @eg.compile
    def step(weights, a, b):
        loss = eg.functional.mse_loss(a @ weights, b)
        optimizer.minimize(loss, [weights])
        return loss

    losses = [step(w, x, y).item() for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_random_numbers_are_drawn_anew():
    drop = eg.layers.Dropout(0.5)
    drop(np.ones((2, 50)))

    @eg.compile
    def step(x):
        return drop(x, training=True)

    x = np.ones((2, 50), "float32")
    masks = [step(x).numpy().copy() for _ in range(3)]
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[1], masks[2])


def test_schedules_advance(problem):
    x, y, w = problem
    optimizer = eg.optimizers.SGD(lambda step: 0.1 / (1 + step))
    reference = eg.tensor(np.zeros((10, 1), "float32"), requires_grad=True)

    @eg.compile
    def step(a, b):
        optimizer.minimize(eg.functional.mse_loss(a @ w, b), [w])

    for i in range(6):
        assert step(x, y) is None
        loss = eg.functional.mse_loss(eg.tensor(x) @ reference, y)
        eg.optimizers.SGD(0.1 / (1 + i)).minimize(loss, [reference])
    np.testing.assert_array_equal(w.detach().numpy(), reference.detach().numpy())


@pytest.mark.parametrize(
    "read",
    [
        lambda t: t.item(),
        lambda t: t.numpy(),
        float,
        lambda t: bool(t > 0),
        lambda t: t.tolist(),
    ],
)
def test_reading_values_is_refused_and_aborts_cleanly(problem, read):
    x, _, _ = problem

    @eg.compile
    def step(a):
        total = a.sum()
        read(total)
        return total

    with pytest.raises(RuntimeError, match="cannot be read while a step is being captured") as info:
        step(x)
    if hasattr(info.value, "__notes__"):
        assert "evengrad.where" in info.value.__notes__[0]
    assert step.signatures == 0
    assert eg.compile(lambda a: a + 1.0)(x).shape == x.shape


def test_gradients_left_behind_are_refused(problem):
    x, y, w = problem

    @eg.compile
    def step(a, b):
        loss = eg.functional.mse_loss(a @ w, b)
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match=r"leaves a gradient in w\.grad.*optimizer\.minimize"):
        step(x, y)
    assert w.grad is None

    (w * 1.0).sum().backward()
    kept = w.grad.numpy().copy()

    @eg.compile
    def fine(a, b):
        loss = eg.functional.mse_loss(a @ w, b)
        return eg.autograd.grad(loss, [w])

    (gradient,) = fine(x, y)
    again = fine(x, y)[0]
    expected = 2 * x.T @ (x @ w.detach().numpy() - y) / len(x)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-4)
    np.testing.assert_array_equal(gradient.numpy(), again.numpy())
    np.testing.assert_array_equal(w.grad.numpy(), kept)


def test_exceptions_pass_through(problem):
    x, _, _ = problem

    @eg.compile
    def step(a, fail):
        if fail:
            raise KeyError("mine")
        return a + 1.0

    with pytest.raises(KeyError, match="mine"):
        step(x, fail=True)
    assert step(x, fail=False).shape == x.shape


def test_unhashable_arguments_are_refused(problem):
    x, _, _ = problem
    with pytest.raises(TypeError, match="neither an array nor hashable"):
        eg.compile(lambda a, b: a)(x, {1, 2})


def test_many_signatures_are_told(problem, advice):
    x, _, _ = problem
    scale = eg.compile(lambda a, factor: a * factor)
    with advice.heard():
        for i in range(40):
            scale(x, float(i))
    assert advice.text.count("different signatures") == 1


def test_compiled_inside_compiled(problem):
    x, _, _ = problem
    inner = eg.compile(lambda a: a * 2.0)
    outer = eg.compile(lambda a: inner(a) + 1.0)
    for i in range(3):
        np.testing.assert_array_equal(outer(x + i).numpy(), (x + i) * 2 + 1)
    assert inner.signatures == 0


def test_name_and_repr():
    @eg.compile
    def step(a):
        """Say what it does."""
        return a

    assert step.__doc__ == "Say what it does."
    assert "step, 0 captured" in repr(step)


def test_autograd_helpers():
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    with eg.no_grad():
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad
    gradient, none = eg.autograd.grad((x**2).sum(), [x, eg.tensor([1.0], requires_grad=True)])
    assert gradient.tolist() == [2.0, 4.0]
    assert none is None
    assert eg.autograd.gradcheck(lambda a, b: a @ b, (np.ones((2, 3)), np.ones((3, 2))))
    wrong = eg.autograd.gradcheck
    with pytest.raises(ValueError, match="input 0, element"):
        wrong(lambda a: (a.detach() * a).sum(), [0.5, 1.5])


def test_gradients_left_in_a_model_are_refused(problem):
    x, y, _ = problem
    model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    model.build((None, 10))

    @eg.compile
    def step(a, b):
        eg.functional.mse_loss(model(a, training=True), b).backward()

    with pytest.raises(RuntimeError, match=r"leaves a gradient in model\.grad"):
        step(x, y)
    assert all(weight.grad is None for weight in model.weights)


def test_a_model_in_a_compiled_step(problem):
    x, y, _ = problem
    optimizer = eg.optimizers.Adam(0.01)
    model = eg.Sequential([eg.layers.Dense(8, "tanh"), eg.layers.Dense(1)], seed=1)
    model.build((None, 10))

    @eg.compile
    def step(a, b, training):
        loss = eg.functional.mse_loss(model(a, training=training), b)
        if training:
            optimizer.minimize(loss, model.trainable_weights)
        return loss

    before = step(x, y, training=False).item()
    for _ in range(50):
        step(x, y, training=True)
    assert step(x, y, training=False).item() < before
    assert step.signatures == 2


# ---- settings of what the function names


def compiled_with_settings():
    """Return what sets a setting, and a compiled function of it, for each kind of thing."""
    dropout, huber = eg.layers.Dropout(0.5), eg.losses.Huber(1.0)
    penalty = eg.regularizers.L2(0.5)
    several = [eg.losses.Huber(1.0)]
    dropout.build((None, 50))

    class Trainer:
        def __init__(self):
            self.loss = huber
            self.steps = 0

        def step(self, x):
            return self.loss(x, 3.0 * x)

    trainer = Trainer()
    return {
        "a layer": (dropout, "rate", eg.compile(lambda x: dropout(x, training=True).abs().amin())),
        "a loss": (huber, "delta", eg.compile(lambda x: huber(x, 3.0 * x))),
        "a penalty": (penalty, "l2", eg.compile(lambda x: penalty(x) * 2.0)),
        "a list": (several[0], "delta", eg.compile(lambda x: several[0](x, 3.0 * x))),
        "a method": (huber, "delta", eg.compile(trainer.step)),
    }


@pytest.mark.parametrize("kind", ["a layer", "a loss", "a penalty", "a list", "a method"])
def test_settings_of_what_is_named_are_recorded_anew(kind):
    thing, name, step = compiled_with_settings()[kind]
    x = eg.ones((4, 50))
    for value in (0.25, 0.0, 0.25):
        setattr(thing, name, value)
        expected = step.function(x)
        found = [step(x).item() for _ in range(3)]
        assert step.signatures == 1
        assert found == [expected.item()] * 3
    if kind == "a method":
        captured = dict(step._captured)
        step.function.__self__.steps += 1
        step(x)
        assert step._captured == captured


def test_threads_share_a_compiled_function():
    w = eg.tensor([0.0], requires_grad=True)
    optimizer = eg.optimizers.SGD(1.0)
    recorded = []

    @eg.compile
    def step(x):
        recorded.append(threading.get_ident())
        optimizer.minimize((w * (x.mean() * 0.0 + 1.0)).sum(), [w])
        return x * 2.0

    def work(number):
        x = np.full((100, 300), float(number), np.float32)
        return [bool((step(x).numpy() == 2 * x).all()) for _ in range(50)]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(before)
    assert results == [[True] * 50] * 4
    assert len(recorded) == 1
    assert (optimizer.iterations, w.item()) == (200, -200.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_records_for_itself():
    step = eg.compile(lambda x: x * 2.0)
    x = np.ones(3, np.float32)
    step(x)
    child = os.fork()
    if child == 0:
        known = step.signatures
        found = [step(x).tolist() for _ in range(2)]
        os._exit(0 if known == 0 and found == [[2.0] * 3] * 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert step.signatures == 1
