"""Weights of classes: what `class_weight` makes of the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.checks import check_float
from evengrad.training._classes import classes_of, labels_by_value
from evengrad.training._weights import checked, combined, items_by_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from evengrad._common.arrays import Array
    from evengrad.training._objective import Objective, OutputHead

# What is taken in place of a dict.
BALANCED = "balanced"


def is_balanced(given: Any) -> bool:
    """Tell whether weights shall follow from how many rows the classes have."""
    return isinstance(given, str) and given == BALANCED


def classes_to_keep(objective: Objective, ys: list[Array], *, required: bool) -> Array | None:
    """Return the classes whose shares both parts of a split keep: those that the loss reads.

    Where they are asked for, whatever looks like classes counts as such.
    """
    labels = None
    if len(ys) == 1:
        loss = objective.outputs[0].loss
        labels = None if loss is None else loss.class_labels(ys[0])
        if labels is None and required:
            labels = labels_by_value(ys[0])
    if labels is not None and labels.ndim == 1:
        return labels
    if required:
        raise ValueError(
            "validation_stratify: expected targets that are classes, of a model with one output; "
            "leave it out for others"
        )
    return None


def with_class_weight(
    objective: Objective, ys: list[Array], weights: list[Array | None], class_weight: Any
) -> list[Array | None]:
    """Return the weights of each output, times those of the classes."""
    found = list(weights)
    for at, given in enumerate(by_output(class_weight, objective.names)):
        if given is None:
            continue
        several = len(objective.names) > 1
        what = f"class_weight[{objective.names[at]!r}]" if several else "class_weight"
        of_classes = class_weights(given, what, objective.outputs[at], ys[at], weights[at])
        found[at] = checked(combined(weights[at], of_classes), what, objective.dtype)
    return found


def by_output(given: Any, names: list[str]) -> list[Any]:
    """Return the class weights of each output as they were given, None for those without."""
    if isinstance(given, dict):
        # Keys that are classes are numbers, and so are their weights.
        items = given.values()
        named = any(isinstance(key, str) for key in given)
        if named and any(i is None or isinstance(i, dict) or is_balanced(i) for i in items):
            return items_by_name(given, names, "class_weight")
    elif isinstance(given, (list, tuple)) and len(given) == len(names) > 1:
        return list(given)
    if len(names) > 1 and given is not None and not is_balanced(given):
        raise ValueError(
            f"class_weight: expected weights for each of the outputs {', '.join(names)}, as a list "
            f"or as a dict by their names, got {given!r}"
        )
    return [given] * len(names)


def refuse_balanced(class_weight: Any) -> None:
    """Raise a ValueError where classes would have to be counted in batches that are to come."""
    items = class_weight.values() if isinstance(class_weight, dict) else class_weight
    several = isinstance(class_weight, (dict, list, tuple))
    if any(map(is_balanced, items if several else [class_weight])):
        raise ValueError(
            'class_weight: expected a dict for single batches, as "balanced" counts the classes of '
            "all rows; pass n / (K * n_c) for each of K classes with n_c of n rows"
        )


def class_weights(given: Any, what: str, output: OutputHead, y: Array, weight: Any) -> Array:
    """Return the weight of each target, 1 for those of classes that are not named.

    `weight` has those of samples, or is None.
    """
    by_class = None if is_balanced(given) else by_number(given, what)
    labels = None if output.loss is None else output.loss.class_labels(y)
    if labels is None:
        labels = labels_by_value(y)
    elif by_class is not None:
        check_known(by_class, known_classes(labels, output.size), what)
    if labels is None:
        raise ValueError(
            f"{what}: expected targets that are classes, got shape {y.shape} of {y.dtype}; use "
            "sample_weight, or name the outputs that have classes"
        )
    classes, codes = classes_of(labels)
    if by_class is not None:
        return np.array([by_class.get(int(label), 1.0) for label in classes])[codes]
    # What weighs nothing anyway, or is of no class, does not count.
    counts = combined(weight, np.ones(labels.shape)) > 0
    if output.ignored_class is not None:
        counts &= labels != output.ignored_class
    return balanced(codes[counts], len(classes))[codes]


def balanced(codes: Array, count: int) -> Array:
    """Return n / (K · n_c) for each of so many classes, of which K have rows; n_c of all n."""
    sizes = np.bincount(codes, minlength=count)
    weights: Array = len(codes) / (max(1, np.count_nonzero(sizes)) * np.maximum(sizes, 1))
    return weights


def by_number(given: Any, what: str) -> dict[int, float]:
    """Return weights by class, or raise an error that names what is wrong."""
    if not isinstance(given, dict):
        raise TypeError(
            f'{what}: expected a dict from class number to weight, or "{BALANCED}", got {given!r}'
        )
    return {
        class_number(key, what): check_float(weight, f"{what}[{key!r}]", low=0.0, open_high=True)
        for key, weight in given.items()
    }


def class_number(key: Any, what: str) -> int:
    """Return the key of a class, or raise a TypeError."""
    if isinstance(key, str) or not hasattr(key, "__int__") or int(key) != key:
        raise TypeError(
            f"{what}: expected class numbers as keys, as in the targets, got {key!r} "
            f"({type(key).__name__})"
        )
    return int(key)


def known_classes(labels: Array, outputs: int | None) -> Collection[int]:
    """Return the classes that targets of an output can have."""
    if outputs != 1:
        return () if outputs is None else range(outputs)
    if (labels == 0).any():
        return (0, 1)
    # A batch of one class says not whether the other one is 0 or −1.
    return (-1, 1) if (labels == -1).any() else (-1, 0, 1)


def check_known(by_class: dict[int, float], known: Collection[int], what: str) -> None:
    """Raise a ValueError for a class that no target can be of."""
    for label in by_class if known else ():
        if label not in known:
            shown = ", ".join(map(str, list(known)[:20]))
            raise ValueError(f"{what}: no class {label}; the classes are {shown}")
