"""Making a step once more that a file holds, and finding where its numbers stop being finite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad.models._architecture import ArchitectureDecoder
from evengrad.models._loading import model_of
from evengrad.models._model_file import KEY as MODEL
from evengrad.saving import _safetensors
from evengrad.saving._errors import FileFormatError
from evengrad.saving._paths import file_path
from evengrad.training._objective import Objective, shapes_of
from evengrad.training._replay_file import BATCH, KEY, ROWS, VERSION
from evengrad.training._step_examination import StepExamination

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy as np

    from evengrad.health._finding import Finding
    from evengrad.models._network import ModelView

    Array = np.ndarray[Any, Any]

# Outputs that a model may have, so that a damaged number makes no long list.
MOST = 2**16


def replay(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> Finding | None:
    """Make the step once more that broke a training, and return where it did.

    ``callbacks.TerminateOnNaN(replay=path)`` and ``callbacks.GradientDoctor(replay=path)`` write
    the file once a number is NaN or infinite: the model as it was before the step, how it trains,
    and the batch. The step runs in Python, with the bits that it had, so that a debugger or `print`
    in a layer of your own sees every tensor.

    Parameters
    ----------
    path
        The file.
    custom_objects
        Your own layers, losses and functions by name, as for `load_model`.

    Returns
    -------
    Finding
        As the callback had it; None where all numbers are finite, as with other code.

    Raises
    ------
    FileFormatError
        The file is damaged, of a newer version, or holds no step.
    ValueError
        The file names a class or function that neither this package nor `custom_objects` has.
    OSError
        The file cannot be read, or the path is no file but a folder, a pipe, a socket or a device.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    >>> model.compile("sgd", loss="mse")
    >>> x, y = np.ones((8, 2)), np.ones(8)
    >>> x[5] = np.nan
    >>> stop = eg.callbacks.TerminateOnNaN(replay="bad.safetensors")
    >>> history = model.fit(
    ...     x, y, batch_size=2, shuffle=False, verbose=0, callbacks=[stop], check_finite=False
    ... )
    >>> finding = eg.replay("bad.safetensors")
    >>> finding == stop.finding, finding.step, finding.tensor, finding.rows
    (True, 2, 'input', (5,))
    """
    shown, custom = file_path(path), custom_objects or {}
    tensors, metadata = _safetensors.read(path)
    if KEY not in metadata or MODEL not in metadata:
        raise FileFormatError(
            f"{shown}: holds no step to replay; such files are written by "
            "callbacks.TerminateOnNaN(replay=...) and callbacks.GradientDoctor(replay=...)"
        )
    batch = {name: tensors.pop(name) for name in [*tensors] if name.startswith(BATCH)}
    decoder = ArchitectureDecoder(shown, custom)
    counts = _counts(metadata[KEY], decoder)
    model = model_of(shown, tensors, metadata[MODEL], custom, compile=True)
    with decoder.names_damage("the step cannot be made as described"):
        view = model._view()  # noqa: SLF001 - its class is public, this is not
        rows = batch.pop(ROWS, None)
        xs, ys, weights = (_group(batch, name, counts, decoder) for name in "xyw")
        if batch or not xs:
            raise decoder.damaged("the parts of the batch")
        if rows is not None and (rows.shape != xs[0].shape[:1] or rows.dtype != "int64"):
            raise decoder.damaged("the rows of the batch")
        view.build_for(shapes_of(xs))
        objective = _objective(view, ys, decoder)
        _check_dtypes(objective, [xs, ys, weights], decoder)
        objective.looks_for_strangers = False
        objective.has_warned_of_unreached = True
        inputs, targets, factors = (list(map(_tensor, group)) for group in (xs, ys, weights))
        return StepExamination(objective, inputs, targets, factors, rows).run()


def _counts(text: str, decoder: ArchitectureDecoder) -> dict[str, int]:
    """Return how many inputs, targets and weights there are."""
    try:
        described = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise decoder.damaged(str(error)) from error
    version = decoder.member(described, "version", int)
    if version > VERSION:
        raise FileFormatError(
            f"{decoder.shown}: version {version} of replays is newer than {VERSION}, which this "
            "release of evengrad reads; update evengrad"
        )
    counts = {name: decoder.member(described, name, int) for name in "xyw"}
    if not all(0 <= count < MOST for count in counts.values()):
        raise decoder.damaged("the numbers of inputs and outputs")
    return counts


def _group(
    batch: dict[str, Array], name: str, counts: dict[str, int], decoder: ArchitectureDecoder
) -> list[Any]:
    """Return the arrays of one kind; None in the place of weights that there are none of."""
    found = [batch.pop(f"{BATCH}{name}{number}", None) for number in range(counts[name])]
    if name != "w" and any(array is None for array in found):
        raise decoder.damaged("a part of the batch is missing")
    return found


def _objective(view: ModelView, ys: list[Array], decoder: ArchitectureDecoder) -> Objective:
    try:
        return Objective(view.config(), view, ys)
    except RuntimeError as error:
        # Not compiled, or without a loss.
        raise decoder.damaged(str(error)) from error


def _check_dtypes(
    objective: Objective, groups: list[list[Any]], decoder: ArchitectureDecoder
) -> None:
    """Raise an error for arrays in other dtypes than those of steps."""
    inputs, others = {objective.input_dtype}, {objective.dtype}
    for group, wanted in zip(groups, (inputs, {*others, "int64"}, others), strict=True):
        for array in group:
            if array is not None and array.dtype.name not in wanted:
                raise decoder.damaged(f"the batch has {array.dtype.name}")


def _tensor(array: Array | None) -> Any:
    return None if array is None else _core.tensor(array)
