"""Gradients of any output with respect to any inputs, their check, and functions with your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._core import Tensor
from evengrad._tensor.conversion import as_tensor as _as_tensor
from evengrad._tensor.function import Context, Function
from evengrad._tensor.grad_mode import no_grad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Context", "Function", "grad", "gradcheck", "no_grad"]


def grad(
    outputs: Tensor,
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | None = None,
    retain_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of an output with respect to inputs, and leave no `.grad` anywhere.

    Parameters
    ----------
    outputs
        What to differentiate: one element, or any shape together with `grad_outputs`.
    inputs
        One tensor or several, leaves or results, that require a gradient.
    grad_outputs
        The vector of the vector-Jacobian product, in the shape of `outputs`; 1 by default.
    retain_graph
        Whether the graph can be walked again.

    Returns
    -------
    tuple
        A gradient for each input, None where the output does not depend on it.

    Raises
    ------
    RuntimeError
        The graph has been freed by an earlier backward pass.
    ValueError
        The output has several elements and there is no `grad_outputs`.

    Examples
    --------
    >>> x = eg.tensor([1.0, 2.0], requires_grad=True)
    >>> (g,) = eg.autograd.grad((x**2).sum(), x)
    >>> g.tolist()
    [2.0, 4.0]
    """
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    return tuple(_core.gradients(outputs, wanted, grad_outputs, retain_graph))


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
) -> bool:
    """Check a function's gradients against central differences in float64.

    Each column of the Jacobian of a random combination of the outputs is compared with
    (f(x + eps) − f(x − eps)) / (2 · eps).

    Parameters
    ----------
    function
        Takes tensors and returns a tensor.
    inputs
        One array or tensor, or a sequence of them: the point. Floating-point inputs are taken in
        float64 and differentiated; others are passed as they are.
    eps
        The step of the difference.
    atol, rtol
        Absolute and relative tolerance of each element.

    Returns
    -------
    bool
        True; a disagreement is an error.

    Raises
    ------
    ValueError
        A gradient differs from the difference; the message names the input, the element and both
        values.

    Examples
    --------
    >>> eg.autograd.gradcheck(lambda x: (x * eg.tanh(x)).sum(), [0.3, -1.2])
    True
    """
    several = isinstance(inputs, (tuple, list)) and not all(
        isinstance(value, (int, float)) for value in inputs
    )
    arrays = [np.array(value) for value in (inputs if several else [inputs])]
    arrays = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    leaves = [_core.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    output = function(*leaves)
    weights = np.random.default_rng(0).normal(size=output.shape)
    floats = [leaf for leaf in leaves if leaf.requires_grad]
    found = iter(_core.gradients(output, floats, _as_tensor(weights).astype(output.dtype)))

    def combined(position: int, changed: np.ndarray[Any, Any]) -> float:
        point = [changed if i == position else a for i, a in enumerate(arrays)]
        with no_grad():
            value = function(*[_core.tensor(a) for a in point]).numpy()
        return float((weights * value).sum())

    for position, array in enumerate(arrays):
        if array.dtype.kind != "f":
            continue
        gradient = next(found)
        analytic = np.zeros(array.shape) if gradient is None else gradient.numpy()
        for index in np.ndindex(array.shape):
            up, down = array.copy(), array.copy()
            up[index] += eps
            down[index] -= eps
            numeric = (combined(position, up) - combined(position, down)) / (2 * eps)
            if not np.isclose(analytic[index], numeric, atol=atol, rtol=rtol):
                raise ValueError(
                    f"gradcheck: input {position}, element {index}: the gradient is "
                    f"{analytic[index]:.9g}, the central difference {numeric:.9g}"
                )
    return True
