"""Small helpers around training."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from evengrad._common import memory as _memory
from evengrad._common.arrays import as_numbers
from evengrad._common.checks import check_float, check_int
from evengrad._common.sequences import pad_sequences, timeseries_dataset
from evengrad._common.serialized import registered as _registered
from evengrad._tensor.random import set_random_seed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "pad_sequences",
    "register_keras_serializable",
    "register_threadpoolctl",
    "set_cache_memory",
    "set_random_seed",
    "timeseries_dataset",
    "timeseries_dataset_from_array",
    "to_categorical",
]

Thing = TypeVar("Thing")
# Keras' name.
timeseries_dataset_from_array = timeseries_dataset


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Thing], Thing]:
    """Decorate a class or function of your own, so that files and configurations find it by name.

    `load_model` and ``deserialize`` then take it without `custom_objects`. What a file names is
    looked up among what is registered; nothing is imported because a file says so.

    Parameters
    ----------
    package
        Whose it is; a file of Keras' that names ``package>name`` finds it too.
    name
        The name; that of the class or function by default.

    Raises
    ------
    TypeError
        Neither a class nor a function.
    ValueError
        A name that another class or function is registered by.

    Examples
    --------
    >>> @eg.utils.register_keras_serializable()
    ... def doubled(x):
    ...     return 2.0 * x
    >>> model = eg.Sequential([eg.Input((2,)), eg.layers.Lambda(doubled)])
    >>> model.save("net.safetensors")
    >>> eg.load_model("net.safetensors")([[1.0, 3.0]]).tolist()
    [[2.0, 6.0]]
    """

    def register(thing: Thing) -> Thing:
        own = getattr(thing, "__name__", None)
        if not callable(thing) or own is None:
            raise TypeError(f"expected a class or a function with a name, got {thing!r}")
        names = {own, name or own, f"{package}>{name or own}"}
        for one in names:
            known = _registered.get(one)
            # A cell of a notebook that is run again defines the same thing anew.
            same = getattr(known, "__qualname__", None) == getattr(thing, "__qualname__", None)
            if known is not None and not same:
                raise ValueError(f"name: {one!r} is registered for {known!r}; choose another name")
        _registered.update(dict.fromkeys(names, thing))
        return thing

    return register


def register_threadpoolctl() -> None:
    """Let threadpoolctl see the threads of this library, and bound them.

    ``threadpool_limits(limits=2)`` and ``limits={"evengrad": 2}`` hold for them from then on, and
    ``threadpool_info()`` lists them. That is so without this call, where threadpoolctl was imported
    before evengrad, as scikit-learn does it, and by importing `evengrad.sklearn`.

    Raises
    ------
    ImportError
        threadpoolctl is not installed, or is older than 3.2.

    Examples
    --------
    >>> from threadpoolctl import threadpool_limits
    >>> eg.utils.register_threadpoolctl()
    >>> with threadpool_limits({"evengrad": 1}):
    ...     eg.get_num_threads()
    1
    """
    try:
        importlib.import_module("evengrad._common.threads")
    except ImportError as error:
        message = "register_threadpoolctl needs threadpoolctl 3.2: pip install threadpoolctl"
        raise ImportError(message) from error


def set_cache_memory(share: float) -> float:
    """Say how much memory ``fit(cache_frozen=True)`` may keep outputs of frozen layers in.

    What is larger lies in a temporary file, which is mapped into memory and removed with the
    training; `tempfile` says where. Training is the same to the bit.

    Parameters
    ----------
    share
        In [0, 1]: of the memory that is free when they are computed, within the limit of the
        process' control group; 0.25 to begin with. 0: always in a file.

    Returns
    -------
    float
        The share before.

    Raises
    ------
    ValueError
        A share out of range.

    Examples
    --------
    >>> before = eg.utils.set_cache_memory(0.5)
    >>> before, eg.utils.set_cache_memory(before)
    (0.25, 0.5)
    """
    checked = check_float(share, "share", low=0.0, high=1.0)
    before = _memory.cache_memory()
    _memory.set_share(checked)
    return before


if "threadpoolctl" in sys.modules:
    # Its versions before 3.2 know no libraries but those that they came with.
    with contextlib.suppress(ImportError):
        register_threadpoolctl()


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Turn class numbers into one-hot rows.

    Parameters
    ----------
    x
        Integers, 0 or more, of any shape; a last dimension of 1 is dropped.
    num_classes
        Length of the rows; one more than the largest number by default.

    Returns
    -------
    numpy.ndarray
        float32, the shape of `x` and a last dimension of `num_classes`.

    Raises
    ------
    TypeError
        Numbers that are not whole, values that are missing or no numbers.
    ValueError
        A number is negative or not below `num_classes`.

    Examples
    --------
    >>> eg.utils.to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    numbers = as_numbers(x, "x", "float64")
    parts = ~np.isfinite(numbers) | (numbers != np.floor(numbers))
    if parts.any():
        raise TypeError(f"x: expected whole class numbers, got {numbers[parts][0]}")
    labels = numbers.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    needed = int(labels.max(initial=-1)) + 1
    count = needed if num_classes is None else check_int(num_classes, "num_classes", at_least=1)
    if labels.size and (labels.min() < 0 or needed > count):
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"x: expected class numbers in [0, {count}), got {worst}")
    rows = np.zeros((*labels.shape, count), np.float32)
    np.put_along_axis(rows, labels[..., None], 1.0, axis=-1)
    return rows
