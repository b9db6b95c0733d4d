"""Names of the columns that a model was trained on: remembered, and compared with others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from evengrad._common.names import listed

if TYPE_CHECKING:
    from evengrad.training._protocol import TrainableModel

    # The names of each input's columns; None where they have none.
    Columns = list[list[str] | None]


def known_names(model: TrainableModel, inputs: int) -> Columns:
    """Return the names that the model was trained on, for each of so many inputs."""
    known = model.public.feature_names_in_
    if known is None:
        return [None] * inputs
    # Users may set them, as an array or an index, too.
    several = any(not isinstance(one, str) for one in known)
    columns = [None if one is None else list(one) for one in (known if several else [known])]
    return columns if len(columns) == inputs else [None] * inputs


def remember_names(model: TrainableModel, columns: Columns) -> None:
    """Keep the names of the columns that the model is trained on, beside those of other inputs."""
    if any(columns):
        known = known_names(model, len(columns))
        kept = [now or then for now, then in zip(columns, known, strict=True)]
        model.public.feature_names_in_ = kept if len(kept) > 1 else kept[0]


def check_names(model: TrainableModel, columns: Columns) -> None:
    """Raise a ValueError where columns have other names than in training, or another order."""
    known = known_names(model, len(columns))
    for place, (now, then) in enumerate(zip(columns, known, strict=True)):
        if now is not None and then is not None and now != then:
            what = "x" if len(columns) == 1 else f"x[{place}]"
            raise ValueError(
                f"{what}: expected the columns of the training, {difference(now, then)}"
            )


def difference(now: list[str], then: list[str]) -> str:
    """Return how names of columns differ from what they were, and what to do about it."""
    missing, unknown = Counter(then) - Counter(now), Counter(now) - Counter(then)
    if not missing and not unknown:
        moved = [(a, b) for a, b in zip(now, then, strict=True) if a != b]
        got, expected = (listed("column", [*map(repr, side)]) for side in zip(*moved, strict=True))
        return f"{expected}, in their order, got {got}; order them by the model's feature_names_in_"
    ends = [
        f"{story} {listed('column', [*map(repr, names.elements())])}"
        for story, names in (("without", missing), ("with", unknown))
        if names
    ]
    return (
        f"got them {' and '.join(ends)}; choose them by the model's feature_names_in_, or pass an "
        "array, which goes by position"
    )
