"""Losses, and metrics, as functions of targets and predictions: each follows from its class."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from evengrad._common.config import outside_scopes
from evengrad._common.names import check_keywords, snake_case
from evengrad.losses._loss import value_of_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad._core import Tensor
    from evengrad._tensor.conversion import TensorLike
    from evengrad.losses._loss import Loss

Made = TypeVar("Made")
# Arguments of a class that a function has no use for: it does not reduce.
OF_CLASSES = ("reduction", "name")
DOCUMENTATION = """Return what `{family}.{kind}` is the mean of: a value for each row.

    Parameters
    ----------
    y_true
        Targets, as for the class.
    y_pred
        Predictions, as for the class.
{parameters}
    Returns
    -------
    Tensor
        {returned}

    Raises
    ------
    TypeError
        As from the class, which says more.
    ValueError
        As from the class and its calls.

    Examples
    --------
    >>> eg.{family}.{name}({arguments}).numpy().round(4).tolist()
    {values}
    """


class RowFunction(Protocol):
    """A function that computes a loss or a metric; `compile` takes it for its class."""

    __name__: str
    of_class: type

    def __call__(
        self, y_true: TensorLike, y_pred: TensorLike, *settings: Any, **named: Any
    ) -> Tensor:
        """Return a value for each row."""


def function_of(kind: type[Loss], arguments: str, values: str) -> RowFunction:
    """Return the loss as a function, whose documentation shows that it makes these values.

    Its arguments are targets, predictions and those of the class but for `reduction` and `name`;
    what stands behind these in the class goes by name alone.
    """
    returned = (
        "A value for each row, or for each step of each row: the mean over its outputs, where the\n"
        "        loss is one of single outputs."
    )
    texts = {"family": "losses", "returned": returned, "arguments": arguments, "values": values}
    return derived(kind, texts, value_of_each, {"reduction": "none"})


def derived(
    kind: type,
    texts: dict[str, str],
    values: Callable[[Any, Any, Any], Tensor],
    fixed: dict[str, Any],
) -> RowFunction:
    """Return a function that makes an object of a class and returns its values of rows.

    `texts` are parts of its documentation, `fixed` arguments of the class that it has not.
    """
    name = snake_case(kind.__name__)
    signature = _signature_of(kind)
    known = [one for one in signature.parameters if one not in ("y_true", "y_pred")]

    def function(y_true: TensorLike, y_pred: TensorLike, *settings: Any, **named: Any) -> Tensor:
        check_keywords(named, known, name)
        bound = signature.bind(y_true, y_pred, *settings, **named).arguments
        given = {one: bound[one] for one in known if one in bound}
        with outside_scopes():
            made = kind(**given, **fixed)
        return values(made, y_true, y_pred)

    made: Any = function
    made.__name__ = made.__qualname__ = name
    # Where it can be found by its name, which pickle asks for.
    made.__module__ = kind.__module__
    made.__signature__ = signature
    told = "".join(_parameters_of(kind, known))
    made.__doc__ = DOCUMENTATION.format(kind=kind.__name__, name=name, parameters=told, **texts)
    made.of_class = kind
    result: RowFunction = made
    return result


def class_of(function: Any, base: type[Made]) -> type[Made] | None:
    """Return the class below a base that was given as a function; None for any other function."""
    found = getattr(function, "of_class", None)
    return found if isinstance(found, type) and issubclass(found, base) else None


def _signature_of(kind: type) -> inspect.Signature:
    """Return the signature of a class as a function."""
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    taken = [inspect.Parameter(one, positional, annotation="Any") for one in ("y_true", "y_pred")]
    way: Any = positional
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.name in OF_CLASSES:
            way = inspect.Parameter.KEYWORD_ONLY
        else:
            taken.append(parameter.replace(kind=way))
    return inspect.Signature(taken, return_annotation="Tensor")


def _parameters_of(kind: type, known: list[str]) -> Iterator[str]:
    """Yield what a class's documentation says of the arguments that the function has too."""
    text = inspect.cleandoc(kind.__doc__ or "")
    _, _, section = text.partition("Parameters\n----------\n")
    is_told = False
    for line in section.partition("\n\n")[0].splitlines():
        if not line.startswith(" "):
            names = [name for name in line.split(", ") if name in known]
            is_told = bool(names)
            line = ", ".join(names)  # noqa: PLW2901 - what the function does not take is left out
        if is_told:
            yield f"    {line}\n"
