"""Values out of a file, for the variables of a model that is being rebuilt."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evengrad._common.arrays import Array
    from evengrad._core import Tensor


class NotInFileError(Exception):
    """A file has no such values as the description asks for."""

    def __init__(self, path: str, wanted: str, found: Any) -> None:
        super().__init__(
            f"{path}: the description asks for {wanted}, the file has "
            f"{'nothing' if found is None else found}"
        )


class Restoration:
    """What variables that are made now start with: values of a file.

    A layer inside a model inside a model is made before its path is known to the end, so that what
    it starts with may have to be corrected, by `fill`, when the whole model stands. Until then the
    file's shapes, each as often as it has it, are what may be made: no description makes variables
    of more memory than its file has.
    """

    def __init__(self, values: dict[str, Array]) -> None:
        self._values = values
        self._left = Counter(array.shape for array in values.values())
        self._given: dict[str, Tensor] = {}

    def first_values(self, path: str, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """Return the values of that path, or zeros where another variable has the path for now.

        It is an error where the file has no more of that shape.
        """
        saved = self._values.get(path)
        if self._left[shape] == 0:
            raise NotInFileError(path, f"shape {shape}", None if saved is None else saved.shape)
        self._left[shape] -= 1
        if saved is None or saved.shape != shape:
            return _core.zeros(shape, dtype=dtype)
        self._given[path] = _core.tensor(saved, dtype=dtype)
        return self._given[path]

    def fill(self, variables: Iterable[tuple[str, Tensor]], *, untouched: bool) -> None:
        """Give variables, by their final paths, the values of the file; or raise as above.

        Where no code of users has `untouched` what variables started with, some have them already.
        """
        for path, tensor in variables:
            saved = self._values.get(path)
            if saved is None or saved.shape != tuple(tensor.shape):
                found = None if saved is None else saved.shape
                raise NotInFileError(path, f"shape {tuple(tensor.shape)}", found)
            # Files of earlier releases do not tell the dtypes of all layers.
            if saved.dtype.kind != "f":
                raise NotInFileError(path, f"dtype {tensor.dtype}", saved.dtype.name)
            if not untouched or self._given.get(path) is not tensor:
                tensor.copy_(np.asarray(saved, dtype=tensor.dtype, order="C"))
