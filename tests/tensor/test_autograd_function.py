"""`autograd.Function`: gradients of one's own, with one output and several, captured, mistaken."""

# ruff: noqa: ARG004 - methods have the signatures that they are called with

import gc
import weakref

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.autograd import Function, gradcheck


class Swish(Function):
    """x · sigmoid(βx), with its derivative by hand."""

    @staticmethod
    def forward(ctx, x, beta):
        share = (beta * x).sigmoid()
        ctx.save_for_backward(x, share)
        ctx.beta = beta
        return x * share

    @staticmethod
    def backward(ctx, gradient):
        x, share = ctx.saved_tensors
        return gradient * (share + ctx.beta * x * share * (1.0 - share)), None


class Product(Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, gradient):
        x, w = ctx.saved_tensors
        needs_x, needs_w = ctx.needs_input_grad
        return gradient @ w.T if needs_x else None, x.T @ gradient if needs_w else None


class Halves(Function):
    """The rows above and below the middle, doubled and squared, and how many there are."""

    @staticmethod
    def forward(ctx, x):
        middle = x.shape[0] // 2
        ctx.save_for_backward(x[middle:])
        return 2.0 * x[:middle], x[middle:] ** 2, eg.tensor([x.shape[0]])

    @staticmethod
    def backward(ctx, above, below, count):
        assert count is None
        (rest,) = ctx.saved_tensors
        return eg.cat([2.0 * above, 2.0 * rest * below])


def test_gradients_are_true():
    x = np.random.default_rng(0).normal(size=(3, 4))
    assert gradcheck(lambda x: Swish.apply(x, 1.7), x)
    assert gradcheck(Product.apply, (x, x.T.copy()))
    assert gradcheck(lambda x: Halves.apply(x)[0] * 3.0 + Halves.apply(x)[1], x[:2])
    # One output alone: the other's gradient is zero.
    assert gradcheck(lambda x: Halves.apply(x)[1].sum(), x)


def test_a_wrong_gradient_is_found():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    with pytest.raises(ValueError, match="gradcheck: input 0, element"):
        gradcheck(Wrong.apply, np.array([3.0]))


def test_place_on_the_tape():
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    y = Swish.apply(x * 2.0, 1.0)
    assert (y.grad_fn, y.requires_grad, y.is_leaf) == ("Swish", True, False)
    above, below, count = Halves.apply(x)
    assert above.requires_grad
    assert below.requires_grad
    assert (count.requires_grad, count.item()) == (False, 2)
    for quiet in (Swish.apply(x.detach(), 1.0), *Halves.apply(x.detach())):
        assert not quiet.requires_grad
    with eg.no_grad():
        assert not Swish.apply(x, 1.0).requires_grad
        assert not any(part.requires_grad for part in Halves.apply(x))
    # What returns its argument is a result of its own.
    assert Product.apply(eg.ones((2, 2)), eg.ones((2, 2))).grad_fn is None


def test_only_what_is_asked_for():
    seen = []

    class Watched(Product):
        @staticmethod
        def backward(ctx, gradient):
            seen.append(ctx.needs_input_grad)
            return Product.backward(ctx, gradient)

    x, w = eg.ones((2, 3)), eg.ones((3, 1), requires_grad=True)
    Watched.apply(x, w).sum().backward()
    assert seen == [(False, True)]
    assert w.grad.tolist() == [[2.0], [2.0], [2.0]]


class Clipped(Function):
    """The identity; backward the gradient is held to one."""

    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clamp(-1.0, 1.0)


@pytest.mark.parametrize("captured", [False, True])
def test_eager_and_captured_steps(captured):
    w = eg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = eg.optimizers.SGD(0.5)

    def step():
        optimizer.minimize((Clipped.apply(w) ** 2).sum(), [w])
        return w * 1.0

    run = eg.compile(step) if captured else step
    assert [run().tolist() for _ in range(3)] == [[0.5, 1.5], [0.0, 1.0], [0.0, 0.5]]


def test_as_an_activation():
    x, y = np.random.default_rng(1).normal(size=(32, 3)), np.ones(32)
    weights = []
    for activation in (lambda z: Swish.apply(z, 1.0), "silu"):
        for run_eagerly in (True, False):
            parts = [eg.Input((3,)), layers.Dense(8, activation), layers.Dense(1)]
            model = eg.Sequential(parts, seed=3, dtype="float64")
            model.compile("adam", "mse", run_eagerly=run_eagerly)
            model.fit(x, y, epochs=3, verbose=0)
            weights.append(model.get_weights())
    for a, b in zip(weights[0], weights[1], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(weights[1], weights[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_numpy_inside_works_eagerly_and_is_refused_in_a_capture():
    class ByNumPy(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.cosine = np.cos(x.numpy())
            return eg.tensor(np.sin(x.numpy()))

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.cosine

    assert gradcheck(ByNumPy.apply, [0.3, 1.1])
    with pytest.raises(RuntimeError, match=r"numpy: .* while a step is being captured"):
        eg.compile(ByNumPy.apply)(np.ones(2))


def test_what_was_saved_and_then_changed_is_refused():
    x = eg.tensor([1.0], requires_grad=True)
    y = Swish.apply(x, 1.0)
    x.copy_([2.0])
    with pytest.raises(RuntimeError, match="changed in place after it was used"):
        y.backward()
    assert x.grad is None


def returning(forward=None, backward=None):
    class Given(Function):
        @staticmethod
        def forward(ctx, x, factor):
            return x * factor if forward is None else forward

        @staticmethod
        def backward(ctx, gradient):
            return backward

    return Given


@pytest.mark.parametrize(
    ("backward", "error", "message"),
    [
        (eg.ones((2,)), ValueError, "Given.backward: expected 2 gradients, .* got 1"),
        ((eg.ones((2,)),) * 3, ValueError, "expected 2 gradients, .* got 3"),
        ((eg.ones((3,)), None), ValueError, r"gradient 0: expected shape \(2,\).*got \(3,\)"),
        ((eg.ones((2,), dtype="float64"), None), ValueError, "dtype float32, .*float64"),
        ((1.0, None), TypeError, "gradient 0: expected a tensor or None, got float"),
        ((None, eg.ones((2,))), ValueError, "gradient 1: .* argument 1 is no tensor"),
    ],
)
def test_wrong_gradients(backward, error, message):
    x = eg.ones((2,), requires_grad=True)
    y = returning(backward=backward).apply(x, 2.0)
    with pytest.raises(error, match=message):
        y.sum().backward()
    assert x.grad is None


def test_no_gradient_at_all():
    x = eg.ones((2,), requires_grad=True)
    (returning(backward=(None, None)).apply(x, 2.0) + x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_wrong_results():
    x = eg.ones((2,), requires_grad=True)
    with pytest.raises(TypeError, match=r"Given.forward: expected a tensor or a tuple .* float"):
        returning(forward=3.0).apply(x, 2.0)
    with pytest.raises(TypeError, match="one floating-point dtype, got float32 and float64"):
        returning(forward=(x, eg.ones((1,), dtype="float64"))).apply(x, 2.0)
    with pytest.raises(NotImplementedError, match="static method forward"):
        Function.apply(x)
    # An error inside leaves recording on.
    assert (x * 2.0).requires_grad


def test_an_error_inside_passes_as_it_is():
    class Fails(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, gradient):
            raise KeyError("mine")

    x = eg.ones((2,), requires_grad=True)
    with pytest.raises(KeyError, match="mine"):
        Fails.apply(x).sum().backward()
    assert x.grad is None
    assert (x * 2.0).requires_grad


def test_nothing_is_left_behind():
    kept = []

    class Keeps(Swish):
        @staticmethod
        def forward(ctx, x, beta):
            y = Swish.forward(ctx, x, beta)
            # The output as an attribute, and saved: no circle.
            ctx.y = y
            ctx.save_for_backward(x, y)
            kept.append(weakref.ref(ctx))
            return y

    x = eg.ones((2,), requires_grad=True)
    y = Keeps.apply(x, 1.0)
    y.sum().backward()
    Keeps.apply(x, 1.0)
    del y
    eg.zeros(())
    gc.collect()
    assert [reference() for reference in kept] == [None, None]
