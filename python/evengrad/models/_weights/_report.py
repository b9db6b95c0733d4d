"""What loading weights has done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evengrad._common.checks import plural
from evengrad._common.names import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class LoadReport:
    """What `Model.load_weights` has done; its text is a table.

    Attributes
    ----------
    matched
        For each array that was used, its name in the file and that of the variable that it went to.
        It can be passed as `mapping`.
    transposed
        Variables whose values stand in the file with rows and columns exchanged.
    reshaped
        Variables that are put together otherwise: gates in another order, two biases added, slopes
        in another shape.
    missing
        Variables for which the file has no values that fit; they are as they were.
    unexpected
        Arrays of the file that were not used.
    mismatched
        For each variable among `missing` whose array has another shape, what is wrong with it.
    by_order
        Variables that were paired by order and shape, since no name fits.
    notes
        What the file cannot say and the outputs depend on.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)])
    >>> model.save_weights("net.safetensors")
    >>> model.load_weights("net.safetensors").matched
    {'dense/kernel': 'dense/kernel', 'dense/bias': 'dense/bias'}
    """

    matched: dict[str, str] = field(default_factory=dict)
    transposed: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, str] = field(default_factory=dict)
    by_order: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return a line for each variable, then what is left over."""
        return "\n".join(map(printable, self._lines()))

    def _lines(self) -> Iterator[str]:
        sources: dict[str, list[str]] = {}
        for name, variable in self.matched.items():
            sources.setdefault(variable, []).append(name)
        yield f"{plural(len(sources), 'variable')} loaded"
        rows = [
            (variable, " + ".join(names), self._how(variable))
            for variable, names in sources.items()
        ]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
        for variable, names, how in rows:
            yield f"  {variable:{widths[0]}} <- {names:{widths[1]}}  {how}".rstrip()
        for variable in self.missing:
            yield f"  {variable}: {self.mismatched.get(variable, 'no values in the file')}"
        if self.unexpected:
            yield f"not used: {', '.join(self.unexpected)}"
        yield from self.notes

    def _how(self, variable: str) -> str:
        said = {
            "transposed": self.transposed,
            "rearranged": self.reshaped,
            "by order and shape": self.by_order,
        }
        return ", ".join(word for word, names in said.items() if variable in names)
