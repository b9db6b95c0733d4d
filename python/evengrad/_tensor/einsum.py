"""Sums of products by Einstein's convention."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad._tensor.conversion import as_float

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad._tensor.conversion import TensorLike

__all__ = ["einsum"]


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """Return a sum of products: ``einsum("ij,jk->ik", x, y)`` is Σⱼ xᵢⱼ · yⱼₖ.

    Operands are joined one after the other, from the left, each time by a matrix product.

    Parameters
    ----------
    subscripts
        A letter for each dimension of each operand, with commas between them; ``->`` and the
        letters of the result, else those that occur once, in alphabetical order. ``...`` stands for
        dimensions that are broadcast. A letter twice in one operand takes its diagonal.
    *operands
        Tensors, or what converts to them.

    Returns
    -------
    Tensor
        In the dtype of the operands.

    Raises
    ------
    ValueError
        Subscripts that do not fit the operands, or sizes that differ.

    Examples
    --------
    >>> x = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> eg.einsum("ij,j->i", x, eg.tensor([1.0, -1.0])).tolist(), eg.einsum("ii", x).item()
    ([-1.0, -1.0], 5.0)
    """
    tensors = [as_float(one) for one in operands]
    terms, result = _parsed(subscripts, tensors)
    labels, found = _diagonal(terms[0], tensors[0])
    for number, (term, tensor) in enumerate(zip(terms[1:], tensors[1:], strict=True), 1):
        later = set(result).union(*terms[number + 1 :])
        labels, found = _joined((labels, found), _diagonal(term, tensor), later, subscripts)
    gone = tuple(place for place, label in enumerate(labels) if label not in result)
    if gone:
        found = found.sum(gone)
        labels = [label for label in labels if label in result]
    return found.permute(tuple(labels.index(label) for label in result)) if result else found


def _parsed(subscripts: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result; what is broadcast has letters, too."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(tensors):
        raise ValueError(
            f"einsum: {subscripts!r} has subscripts of {len(terms)} operands, got {len(tensors)}"
        )
    spare = [letter for letter in string.ascii_letters if letter not in subscripts]
    widths = [
        tensor.ndim - len(term.replace("...", ""))
        for term, tensor in zip(terms, tensors, strict=True)
    ]
    for term, tensor, width in zip(terms, tensors, widths, strict=True):
        letters = term.replace("...", "", 1)
        if (letters and not (letters.isascii() and letters.isalpha())) or (
            width < 0 or (width and "..." not in term)
        ):
            raise ValueError(
                f"einsum: the subscripts {term!r} do not fit an operand of shape {tensor.shape}"
            )
    around = "".join(spare[: max(widths)])
    full = [
        term.replace("...", around[len(around) - width :])
        for term, width in zip(terms, widths, strict=True)
    ]
    if arrow:
        result = output.replace("...", around)
    else:
        every = "".join(term.replace("...", "") for term in terms)
        result = around + "".join(sorted(one for one in set(every) if every.count(one) == 1))
    if len(set(result)) < len(result) or not set(result) <= set("".join(full)):
        raise ValueError(f"einsum: {output!r} is no result of {inputs!r}")
    return full, result


def _diagonal(term: str, x: Tensor) -> tuple[list[str], Tensor]:
    """Return an operand with each letter once: of what has it twice, the diagonal."""
    labels = list(term)
    for label in dict.fromkeys(term):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            size = x.shape[first]
            if x.shape[second] != size:
                raise ValueError(
                    f"einsum: {label!r} has sizes {size} and {x.shape[second]} in one operand"
                )
            others = [d for d in range(x.ndim) if d not in (first, second)]
            rows = x.permute((first, second, *others)).reshape(
                (size * size, *(x.shape[d] for d in others))
            )
            x = _core.take(rows, np.arange(size) * (size + 1))
            del labels[second], labels[first]
            labels.insert(0, label)
    return labels, x


def _joined(
    left: tuple[list[str], Tensor],
    right: tuple[list[str], Tensor],
    later: set[str],
    subscripts: str,
) -> tuple[list[str], Tensor]:
    """Return the product of two operands, summed over what neither the result nor others have."""
    (first, x), (second, y) = (
        _summed(*left, {*right[0], *later}),
        _summed(*right, {*left[0], *later}),
    )
    both = [label for label in first if label in second]
    for label in both:
        sizes = {x.shape[first.index(label)], y.shape[second.index(label)]} - {1}
        if len(sizes) > 1:
            raise ValueError(f"einsum: {label!r} has sizes {sorted(sizes)} in {subscripts!r}")
    size = {
        label: max(x.shape[first.index(label)], y.shape[second.index(label)])
        if 0 not in (x.shape[first.index(label)], y.shape[second.index(label)])
        else 0
        for label in both
    }
    batch = [label for label in both if label in later]
    inner = [label for label in both if label not in later]
    rows = [label for label in first if label not in second]
    columns = [label for label in second if label not in first]
    size |= {label: x.shape[first.index(label)] for label in rows}
    size |= {label: y.shape[second.index(label)] for label in columns}

    def matrices(tensor: Tensor, labels: list[str], order: list[list[str]]) -> Tensor:
        whole = [label for group in order for label in group]
        turned = tensor.permute(tuple(labels.index(label) for label in whole))
        wide = turned.expand(tuple(size[label] for label in whole))
        extents = [
            int(np.prod([size[one] for one in group], dtype=np.int64)) for group in order[1:]
        ]
        return wide.reshape((*(size[label] for label in batch), *extents))

    product = matrices(x, first, [batch, rows, inner]) @ matrices(
        y, second, [batch, inner, columns]
    )
    labels = [*batch, *rows, *columns]
    return labels, product.reshape(tuple(size[label] for label in labels))


def _summed(labels: list[str], x: Tensor, needed: set[str]) -> tuple[list[str], Tensor]:
    """Return an operand without the dimensions that nothing else has."""
    gone = tuple(place for place, label in enumerate(labels) if label not in needed)
    if not gone:
        return labels, x
    return [label for label in labels if label in needed], x.sum(gone)
