"""Rows of data as what trains gets them: the outputs of frozen layers, computed once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.advice import advise
from evengrad._common.memory import available_bytes, cache_memory
from evengrad.training._data import Prepared
from evengrad.training._frozen_errors import NothingToKeepError, NotToBeKeptError
from evengrad.training._frozen_file import Column, digest_of, read, write
from evengrad.training._predict import row_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.training._data import Array
    from evengrad.training._options import Options
    from evengrad.training._protocol import FrozenPart, TrainableModel
    from evengrad.training._step import ArraySource

# Rows on which the frozen part is tried.
TRIED = 3


@dataclass
class KeptRows(Prepared):
    """Rows whose inputs are the outputs of the frozen part."""

    def columns(self) -> tuple[list[Array], list[str]]:
        """Return inputs, targets and weights one after the other, and the dtypes of steps."""
        arrays, dtypes = super().columns()
        for place, x in enumerate(self.xs):
            dtypes[place] = x.dtype.name
        return arrays, dtypes


class FrozenRows:
    """The rows of one source of steps: as they were given, or what the frozen part makes of them.

    Before steps are run, they are looked at: where something below the cut has changed, or the cut
    lies elsewhere, they are computed anew.
    """

    def __init__(self, cache: FrozenCache, given: Prepared, name: str) -> None:
        self.cache, self.given, self.name = cache, given, name
        self.part: FrozenPart | None = None
        # The model's tree in which there was no frozen part.
        self._without: Any = None

    def prepared(self) -> Prepared:
        """Return the rows for the model as it stands."""
        model = self.given.objective.model
        self.part, self._without = None, model.tree
        found = self.cache.part_for(self.given)
        if found is None:
            return self.given
        arrays = self.cache.arrays_for(found, self.given, self.name)
        if arrays is None:
            return self.given
        self.part = found
        given = self.given
        around = given.weights, given.weight_places, given.names, given.row_numbers
        return KeptRows(given.objective, arrays, given.ys, *around, resume=found.resume)

    def follow(self, source: ArraySource) -> None:
        """Have a source go by other rows where these are not those of the model any more."""
        part = self.part
        if part is None:
            is_current = self._without is self.given.objective.model.tree
        else:
            is_current = part.is_current()
        if not is_current:
            prepared = self.prepared()
            if prepared is not self.given or part is not None:
                source.become(prepared)
        self.cache.begins()


class FrozenCache:
    """What one `fit` keeps of the outputs of frozen layers, and where."""

    def __init__(self, model: TrainableModel, options: Options, *, alone: bool) -> None:
        given = options.cache_frozen
        self.model, self.options = model, options
        # Whether it is an error where outputs cannot be kept; else training is plain.
        self.is_asked_for = given != "auto"
        # Whether callbacks may freeze layers before the first step.
        self._is_alone = alone
        self.folder: str | None = None
        if isinstance(given, os.PathLike) or (isinstance(given, str) and given != "auto"):
            self.folder = os.fspath(given)
            if os.path.exists(self.folder) and not os.path.isdir(self.folder):
                raise ValueError(f"cache_frozen: expected a folder, {self.folder!r} is a file")
        self._has_begun = False

    def rows(self, given: Prepared, name: str) -> FrozenRows:
        """Return the rows of a source, for training or validation as the name says."""
        return FrozenRows(self, given, name)

    def begins(self) -> None:
        """Hear that steps are run now: what cannot be kept later on is no error."""
        self._has_begun = True

    # ---- whether there is something to keep

    def part_for(self, given: Prepared) -> FrozenPart | None:
        """Return the frozen part of the model; None where the training goes on without."""
        model = given.objective.model
        dtype = given.objective.input_dtype
        first = [np.ascontiguousarray(x[: min(TRIED, given.rows)], dtype) for x in given.xs]
        try:
            part = model.frozen_part(list(map(_core.tensor, first)))
        except NothingToKeepError as error:
            if self.is_asked_for and self._is_alone and not self._has_begun:
                raise NothingToKeepError(f"cache_frozen: {error}") from None
            return None
        except NotToBeKeptError as error:
            if self.is_asked_for and not self._has_begun:
                raise NotToBeKeptError(f"cache_frozen: {error}") from None
            if self.is_asked_for:
                advise("cache_frozen: %s; from here on nothing is kept", error)
            return None
        # What callbacks do to a part that was found here is not looked for.
        return part if self.is_asked_for or self._pays(given) else None

    def _pays(self, given: Prepared) -> bool:
        """Tell whether rows come up more than once."""
        options = self.options
        epochs = options.epochs - options.initial_epoch
        rows = given.rows
        if options.steps_per_epoch is not None:
            rows = min(rows, options.steps_per_epoch * (options.batch_size or 1))
        return epochs * rows > given.rows

    # ---- the outputs

    def arrays_for(self, part: FrozenPart, given: Prepared, name: str) -> list[Array] | None:
        """Return the frozen part's outputs for all rows; None where keeping them does not pay."""
        training = name == "training"
        blocks = self._blocks(part, given, training)
        first = next(blocks)
        columns = [Column((given.rows, *x.shape[1:]), x.dtype.name) for x in first[1]]

        def every() -> Iterator[tuple[int, list[Array]]]:
            yield first
            yield from blocks

        with _core.Access(part.tensors):
            if self.folder is not None:
                return self._in_folder(part, given, name, columns, every())
            free, needed = available_bytes(), sum(column.nbytes for column in columns)
            # Where nobody says how much is free, it is tried.
            fits = needed <= cache_memory() * (free or float("inf"))
            if not fits and not self.is_asked_for:
                return None
            arrays = in_memory(columns) if fits else in_temporary_file(columns)
            for row, made in every():
                for array, rows in zip(arrays, made, strict=True):
                    array[row : row + len(rows)] = rows
            return arrays

    def _blocks(
        self, part: FrozenPart, given: Prepared, training: bool
    ) -> Iterator[tuple[int, list[Array]]]:
        """Yield the frozen part's outputs for blocks of rows, each with its first row."""
        model, dtype = given.objective.model, given.objective.input_dtype
        row = 0
        for block in row_blocks(model, given.xs, None)[1]:
            inputs = [_core.tensor(np.ascontiguousarray(x, dtype)) for x in block]
            made = [tensor.numpy() for tensor in part.compute(inputs, training)]
            for array in made:
                if len(array) != len(block[0]):
                    raise NotToBeKeptError(
                        f"cache_frozen: {model.path}: the frozen part makes of {len(block[0])} "
                        f"rows {len(array)}; train without cache_frozen"
                    )
            yield row, made
            row += len(block[0])

    def _in_folder(
        self,
        part: FrozenPart,
        given: Prepared,
        name: str,
        columns: list[Column],
        blocks: Iterator[tuple[int, list[Array]]],
    ) -> list[Array]:
        """Return the outputs that a file of the folder has, written now unless they are there."""
        assert self.folder is not None  # noqa: S101 - else nobody asks
        path = os.path.join(self.folder, f"{name}.safetensors")
        made_of = fingerprint(part, given, name)
        # Functions of users may be others under the same names.
        known = None if part.has_code_of_users else read(path, made_of)
        if part.has_code_of_users:
            read(path, "")
        if known is not None:
            return known
        os.makedirs(self.folder, exist_ok=True)
        write(path, columns, made_of, blocks)
        found = read(path, made_of)
        if found is None:
            raise OSError(f"cache_frozen: {path!r} was changed by somebody else as it was written")
        return found


def cache_for(
    model: TrainableModel, options: Options, *, rows: bool, alone: bool
) -> FrozenCache | None:
    """Return the cache that `fit` was asked for; None where it trains over batches as they come.

    The argument is checked here.
    """
    given = options.cache_frozen
    if given is not True and not (isinstance(given, (str, os.PathLike)) and os.fspath(given)):
        raise TypeError(
            f'cache_frozen: expected True, False, "auto" or the path of a folder, got {given!r}'
        )
    if rows:
        return FrozenCache(model, options, alone=alone)
    if given == "auto":
        return None
    raise ValueError(
        "cache_frozen: expected with arrays alone; an iterable may bring other batches in each "
        "epoch"
    )


def in_memory(columns: list[Column]) -> list[Array]:
    """Return arrays to be filled."""
    return [np.empty(column.shape, column.dtype) for column in columns]


def in_temporary_file(columns: list[Column]) -> list[Array]:
    """Return arrays to be filled that lie in files without a name, which go with them."""
    arrays: list[Array] = []
    for column in columns:
        with tempfile.TemporaryFile(prefix="evengrad-frozen-") as file:
            arrays.append(np.memmap(file, column.dtype, "w+", shape=column.shape))
    return arrays


def fingerprint(part: FrozenPart, given: Prepared, name: str) -> str:
    """Return a digest of all that the outputs follow from."""
    digest = hashlib.blake2b(digest_size=16)
    built = {name: str(_core.build_info()[name]) for name in ("version", "target", "isa")}
    about = {**part.described(), "for": name, **built}
    for key, value in sorted(about.items()):
        digest.update(f"{key}={value}\n".encode())
    digest_of(given.xs, digest.update)
    return digest.hexdigest()
