"""Functions of tensors whose gradients users write themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import FLOATS, plural
from evengrad._core import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence


class Context:
    """What `Function.forward` leaves for `Function.backward`: tensors, and any attributes.

    Attributes
    ----------
    needs_input_grad
        For each argument of `forward`, whether its gradient is asked for.

    Examples
    --------
    >>> class Scale(eg.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x, factor):
    ...         ctx.factor = factor
    ...         return x * factor
    ...
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         assert ctx.needs_input_grad == (True, False)
    ...         return gradient * ctx.factor, None
    >>> eg.autograd.gradcheck(lambda x: Scale.apply(x, 3.0), [1.0, 2.0])
    True
    """

    needs_input_grad: tuple[bool, ...]

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: tuple[_core.Saved | None, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors, inputs, outputs or others, off the tape.

        Those that are kept as attributes are kept as well, but nobody notices when they change.

        Parameters
        ----------
        tensors
            What `saved_tensors` returns; what an earlier call kept is forgotten.
        """
        self._saved = tuple(None if one is None else _core.Saved(one) for one in tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept; RuntimeError where it was changed in place meanwhile."""
        return tuple(None if one is None else one.get() for one in self._saved)


class Function:
    """A function of tensors with a gradient of its own: subclass it, and call `apply`.

    `forward` and `backward` are static methods and run off the tape. Captured steps record what
    both compute with tensors; reading values, as NumPy does, is an error there.

    Raises
    ------
    TypeError
        From `apply`: `forward` returned no tensor. From a backward pass: `backward` returned
        something else than tensors and None.
    ValueError
        From a backward pass: `backward` returned more or fewer gradients than `forward` has
        arguments, or one of another shape or dtype than the argument's.

    Notes
    -----
    Several outputs are joined into one tensor and cut apart again, which copies them; all that are
    floating-point have one dtype. Gradients of gradients do not exist.

    Examples
    --------
    The straight-through estimator: rounded forward, the identity backward.

    >>> class Round(eg.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return (x + 0.5).astype("int64").astype(x.dtype)
    ...
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         return gradient
    >>> x = eg.tensor([0.2, 1.7], requires_grad=True)
    >>> y = Round.apply(x)
    >>> (y * y).sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([0.0, 2.0], [0.0, 4.0])

    >>> class Cube(eg.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...
    ...     @staticmethod
    ...     def backward(ctx, gradient):
    ...         (x,) = ctx.saved_tensors
    ...         return gradient * 3.0 * x * x
    >>> eg.autograd.gradcheck(Cube.apply, [0.5, -2.0])
    True
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Return a tensor, or a tuple of tensors.

        Parameters
        ----------
        ctx
            A `Context`, to keep what `backward` needs.
        args
            The arguments of `apply`.
        """
        raise NotImplementedError("a Function must define the static method forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Return the gradient of each argument of `forward`, or None for it.

        Parameters
        ----------
        ctx
            The `Context` that `forward` has seen.
        gradients
            The gradient of each output; None for one that is not floating-point.
        """
        raise NotImplementedError("a Function must define the static method backward(ctx, ...)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call `forward`, and put its result on the tape with `backward` as its rule.

        Parameters
        ----------
        args
            Tensors and anything else that `forward` takes.

        Returns
        -------
        Tensor or tuple of Tensor
            What `forward` returned.

        Raises
        ------
        TypeError
            `forward` returned something else than tensors, or outputs of two floating-point dtypes.
        """
        ctx = Context(tuple(isinstance(arg, Tensor) and arg.requires_grad for arg in args))
        recording = _core.set_recording(False)
        try:
            result = cls.forward(ctx, *args)
        finally:
            _core.set_recording(recording)
        several = isinstance(result, (tuple, list))
        outputs = list(result) if several else [result]
        for output in outputs:
            if not isinstance(output, Tensor):
                raise TypeError(
                    f"{cls.__name__}.forward: expected a tensor or a tuple of tensors to be "
                    f"returned, got {type(output).__name__}"
                )
        rule = _Rule(cls, ctx, args, outputs)
        recorded = rule.recorded(outputs, [arg for arg in args if isinstance(arg, Tensor)])
        return tuple(recorded) if several else recorded[0]


class _Rule:
    """The backward rule of one call."""

    def __init__(
        self, function: type[Function], ctx: Context, args: Sequence[Any], outputs: list[Tensor]
    ) -> None:
        self.function = function
        self.ctx = ctx
        # Shape and dtype of each argument, None for what is no tensor.
        self.expected = [(a.shape, a.dtype) if isinstance(a, Tensor) else None for a in args]
        # Of several outputs, the shapes of those that have a gradient.
        self.shapes = [out.shape if out.dtype in FLOATS else None for out in outputs]

    def recorded(self, outputs: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
        """Return the outputs on the tape."""
        name = self.function.__name__
        real = [output for output in outputs if output.dtype in FLOATS]
        if not real:
            return [output.detach() for output in outputs]
        if len(outputs) == 1:
            return [_core.record(name, real[0], inputs, self.of_one)]
        dtypes = {output.dtype for output in real}
        if len(dtypes) > 1:
            raise TypeError(
                f"{name}.forward: expected outputs of one floating-point dtype, got "
                f"{' and '.join(sorted(dtypes))}; convert them with .astype(...)"
            )
        with_gradient = any(self.ctx.needs_input_grad) and _core.is_recording()
        if not with_gradient:
            return [output.detach() for output in outputs]
        joined = _core.cat([output.detach().reshape(-1) for output in real])
        parts = iter(self.cut(_core.record(name, joined, inputs, self.of_several)))
        return [next(parts) if output.dtype in FLOATS else output.detach() for output in outputs]

    def cut(self, joined: Tensor) -> list[Tensor]:
        """Return the parts of what was joined, in their shapes."""
        parts, start = [], 0
        for shape in self.shapes:
            if shape is not None:
                size = math.prod(shape)
                parts.append(joined[start : start + size].reshape(*shape))
                start += size
        return parts

    def of_one(self, gradient: Tensor) -> list[Tensor | None]:
        """Return the gradients of the inputs."""
        return self.checked(self.function.backward(self.ctx, gradient))

    def of_several(self, gradient: Tensor) -> list[Tensor | None]:
        """Return the gradients of the inputs, given that of the joined outputs."""
        parts = iter(self.cut(gradient))
        gradients = [None if shape is None else next(parts) for shape in self.shapes]
        return self.checked(self.function.backward(self.ctx, *gradients))

    def checked(self, found: Any) -> list[Tensor | None]:
        """Return the gradients of the arguments that are tensors."""
        gradients = list(found) if isinstance(found, (tuple, list)) else [found]
        name = f"{self.function.__name__}.backward"
        if len(gradients) != len(self.expected):
            raise ValueError(
                f"{name}: expected {plural(len(self.expected), 'gradient')}, one for each argument "
                f"of forward or None for it, got {len(gradients)}"
            )
        for i, (gradient, expected) in enumerate(zip(gradients, self.expected, strict=True)):
            if gradient is None:
                continue
            if not isinstance(gradient, Tensor):
                got = type(gradient).__name__
                raise TypeError(f"{name}: gradient {i}: expected a tensor or None, got {got}")
            if expected is None:
                raise ValueError(f"{name}: gradient {i}: expected None, argument {i} is no tensor")
            if (gradient.shape, gradient.dtype) != expected:
                raise ValueError(
                    f"{name}: gradient {i}: expected shape {expected[0]} and dtype {expected[1]}, "
                    f"as argument {i} has, got {gradient.shape} and {gradient.dtype}"
                )
        pairs = zip(gradients, self.expected, strict=True)
        return [gradient for gradient, expected in pairs if expected is not None]
