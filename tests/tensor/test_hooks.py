"""Hooks of tensors: what they see and change, in every kind of pass, captured, failing, freed."""

# ruff: noqa: ARG001, ARG005 - hooks have the signature that they are called with

import gc
import threading
import weakref

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers


def leaf(values):
    return eg.tensor(values, dtype="float64", requires_grad=True)


def test_a_hook_sees_the_complete_gradient_and_may_replace_it():
    x, seen = leaf([1.0, 2.0]), []
    handle = x.register_hook(lambda g: seen.append(g.tolist()))
    (x * x + 3.0 * x).sum().backward()
    assert seen == [[5.0, 7.0]]
    assert x.grad.tolist() == [5.0, 7.0]
    x.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: g + 1.0)
    x.zero_grad()
    (x * x).sum().backward()
    assert x.grad.tolist() == [21.0, 41.0]
    handle.remove()
    handle.remove()
    assert len(seen) == 2
    # The sum of passes stays that of what the hooks gave.
    (x * x).sum().backward()
    assert x.grad.tolist() == [42.0, 82.0]
    assert len(seen) == 2


def test_hooks_of_results_change_what_lies_below():
    x = leaf([1.0, 2.0])
    y = x * x
    y.retain_grad()
    y.register_hook(lambda g: g.clamp(-1.0, 1.0))
    (y * eg.tensor([0.5, 5.0], dtype="float64")).sum().backward()
    assert y.grad.tolist() == [0.5, 1.0]
    assert x.grad.tolist() == [1.0, 4.0]


def test_gradients_without_grad():
    x = leaf([3.0])
    x.register_hook(lambda g: -g)
    y = x * x
    y.register_hook(lambda g: 2.0 * g)
    found = eg.autograd.grad(y * 1.0, [x, y])
    assert [g.item() for g in found] == [-12.0, 2.0]
    assert x.grad is None


@pytest.mark.parametrize("captured", [False, True])
def test_minimize(captured):
    w = leaf([1.0, 2.0])
    w.register_hook(lambda g: g.clamp(-1.0, 1.0))
    optimizer = eg.optimizers.SGD(0.5)
    (pair,) = optimizer.compute_gradients((w * w).sum(), [w])
    assert pair[0].tolist() == [1.0, 1.0]

    def step():
        optimizer.minimize((w * w).sum(), [w])
        return w * 1.0

    run = eg.compile(step) if captured else step
    values = [run().tolist() for _ in range(3)]
    # 2w is held to 1; then 0.5 · 2w takes w to 0.
    assert values == [[0.5, 1.5], [0.0, 1.0], [0.0, 0.5]]


def network():
    parts = [eg.Input((3,)), layers.Dense(4, "tanh", name="first"), layers.Dense(1)]
    model = eg.Sequential(parts, seed=5, dtype="float64")
    model.compile(eg.optimizers.SGD(0.1), "mse")
    return model


DATA = np.random.default_rng(0).normal(size=(32, 3)), np.ones(32)


def test_fit_runs_hooks_in_its_captured_steps():
    """Halved gradients are a halved rate, also in a model whose step was captured before."""
    hooked, slower = network(), network()
    for model in (hooked, slower):
        model.fit(*DATA, batch_size=8, shuffle=False, verbose=0)
    handles = [w.register_hook(lambda g: 0.5 * g) for w in hooked.trainable_weights]
    slower.optimizer.learning_rate = 0.05
    for model in (hooked, slower):
        model.fit(*DATA, batch_size=8, shuffle=False, epochs=2, verbose=0)
    for handle in handles:
        handle.remove()
    slower.optimizer.learning_rate = 0.1
    for model in (hooked, slower):
        model.fit(*DATA, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(hooked.get_weights(), slower.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_hook_that_reads_values_makes_fit_run_in_python():
    model, norms = network(), []
    kernel = model.get_layer("first").kernel
    kernel.register_hook(lambda g: norms.append(float(np.linalg.norm(g.numpy()))))
    model.fit(*DATA, batch_size=8, epochs=2, verbose=0)
    # Four steps an epoch, after the capture that failed.
    assert len(norms) == 8
    assert all(norm > 0 for norm in norms)


def test_a_hook_that_reads_values_is_an_error_in_compile():
    w = leaf([1.0])
    w.register_hook(lambda g: g * g.item())
    before = w.tolist()
    optimizer = eg.optimizers.SGD(0.1)
    step = eg.compile(lambda: optimizer.minimize((w * w).sum(), [w]))
    with pytest.raises(RuntimeError, match=r"item: .* while a step is being captured"):
        step()
    assert w.tolist() == before
    assert optimizer.iterations == 0


def test_a_hook_that_raises_leaves_everything_as_it_was():
    class Stop(Exception):  # noqa: N818 - it stops
        pass

    def stop(gradient):
        raise Stop

    w, v = leaf([1.0]), leaf([2.0])
    w.grad = eg.tensor([7.0], dtype="float64")
    handle = v.register_hook(stop)
    y = w * v
    y.retain_grad()
    with pytest.raises(Stop) as caught:
        y.backward()
    assert caught.traceback[-1].name == "stop"
    assert (w.grad.tolist(), v.grad, y.grad) == ([7.0], None, None)
    optimizer = eg.optimizers.Adam(0.1)
    with pytest.raises(Stop):
        optimizer.minimize((w * v).sum(), [w, v])
    assert (w.tolist(), v.tolist(), optimizer.iterations) == ([1.0], [2.0], 0)
    handle.remove()
    optimizer.minimize((w * v).sum(), [w, v])
    assert optimizer.iterations == 1


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (3.0, TypeError, "hook to return None or a tensor, got float"),
        (
            eg.ones((2,), dtype="float64"),
            ValueError,
            r"shape \(1,\) and dtype float64, got .*\(2,\)",
        ),
        (eg.ones((1,)), ValueError, "dtype float64, got shape .* dtype float32"),
    ],
)
def test_a_wrong_answer(answer, error, message):
    x = leaf([1.0])
    x.register_hook(lambda g: answer)
    with pytest.raises(error, match=message):
        (x * x).backward()
    assert x.grad is None


def test_what_takes_no_hook():
    with pytest.raises(RuntimeError, match="register_hook: this tensor does not require a grad"):
        eg.ones((2,)).register_hook(print)
    with pytest.raises(TypeError, match="register_hook: expected a function of a gradient, got 3"):
        leaf([1.0]).register_hook(3)


def test_a_hook_runs_off_the_tape_and_may_remove_itself():
    x, flags = leaf([2.0]), []

    def once(gradient):
        flags.append((gradient * x).requires_grad)
        handle.remove()
        # A pass within a pass.
        z = leaf([5.0])
        with eg.no_grad():
            assert not (z * z).requires_grad
        return gradient * 3.0

    handle = x.register_hook(once)
    for _ in range(2):
        (x * x).backward()
    assert flags == [False]
    assert x.grad.item() == 4.0 * 3.0 + 4.0


def test_hooks_and_other_threads_do_not_wait_for_each_other():
    """A hook that waits for a thread which computes: the engine is free meanwhile."""
    x, results = leaf(np.ones((200, 200))), []

    def wait(gradient):
        thread = threading.Thread(target=lambda: results.append((x @ x).sum().item()))
        thread.start()
        thread.join(timeout=60)
        assert not thread.is_alive()

    x.register_hook(wait)
    (x @ x).sum().backward()
    assert results == [200.0**3]


def test_a_graph_that_was_walked_is_freed_with_its_hooks():
    x = leaf([1.0])

    class Witness:
        pass

    def build():
        y, witness = x * x, Witness()
        # The hook holds the tensor that it is the hook of.
        y.register_hook(lambda g: g * (1.0 if y.shape and witness else 0.0))
        y.backward()
        return weakref.ref(y), weakref.ref(witness)

    held = build()
    eg.zeros(())
    gc.collect()
    assert [reference() for reference in held] == [None, None]


def test_unbind():
    x = leaf(np.arange(24.0).reshape(2, 3, 4))
    for dim in (0, 1, -1):
        parts = x.unbind(dim)
        assert isinstance(parts, tuple)
        expected = np.moveaxis(x.detach().numpy(), dim, 0)
        for part, other in zip(parts, expected, strict=True):
            np.testing.assert_array_equal(part.detach().numpy(), other)
        np.testing.assert_array_equal(eg.stack(parts, dim=dim).detach().numpy(), x.detach().numpy())
    x.unbind(1)[2].sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [np.repeat([[0.0], [0.0], [1.0]], 4, 1)] * 2)
    assert eg.unbind(np.zeros((0, 3))) == ()
    assert [part.item() for part in eg.unbind([1.0, 2.0])] == [1.0, 2.0]
    assert eg.autograd.gradcheck(
        lambda x: sum(i * part**2 for i, part in enumerate(x.unbind(1))), np.ones((2, 5))
    )
    with pytest.raises(IndexError, match="unbind"):
        eg.ones(()).unbind()
    with pytest.raises(IndexError, match=r"unbind.*2"):
        eg.ones((3,)).unbind(2)

    def total(x):
        first, *others = x.unbind(1)
        return first + 2.0 * sum(others[1:], others[0])

    values = np.random.default_rng(1).normal(size=(3, 6))
    np.testing.assert_array_equal(
        eg.compile(total)(values).numpy(), total(eg.tensor(values)).numpy()
    )
