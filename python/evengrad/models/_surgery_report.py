"""What an operation on a model's layers has kept, added and dropped."""

from __future__ import annotations

from dataclasses import dataclass

from evengrad._common.checks import plural
from evengrad._common.names import printable


@dataclass(frozen=True)
class SurgeryReport:
    """What `Model.drop_top`, `with_head`, `insert` or `replace` did: a model's `surgery_report`.

    Prints as a few lines. Layers stand there by their paths; those that hold others, such as models
    inside the model, by the layers inside them.

    Attributes
    ----------
    operation
        The call.
    kept
        Layers that are copies of the source's, with their values, streams and names.
    added
        Layers that the call has put in.
    dropped
        Layers of the source that are not in the new model.
    slots_carried
        Variables whose optimizer state is a copy of the source's.
    slots_begun
        Variables that train and whose optimizer state begins anew.
    compiled
        Whether the new model is compiled, with the source's settings.
    notes
        What else there is to know, in sentences.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
    >>> print(model.replace("dense_1", eg.layers.Dense(5)).surgery_report)
    replace('dense_1', Dense(5))
      kept      dense
      added     dense_1
      dropped   dense_1
      not compiled: the source is not
    """

    operation: str
    kept: tuple[str, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    slots_carried: tuple[str, ...]
    slots_begun: tuple[str, ...]
    compiled: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lists = (("kept", self.kept), ("added", self.added), ("dropped", self.dropped))
        lines = [f"  {label:<8}  {', '.join(paths)}" for label, paths in lists if paths]
        if self.slots_carried or self.slots_begun:
            begun = f" ({', '.join(self.slots_begun)})" if self.slots_begun else ""
            carried = plural(len(self.slots_carried), "variable")
            lines.append(
                f"  optimizer state of {carried} carried, of {len(self.slots_begun)} begun{begun}"
            )
        return "\n".join(map(printable, [self.operation, *lines, *(f"  {x}" for x in self.notes)]))
