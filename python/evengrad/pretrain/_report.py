"""What pre-training did, stage by stage."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from evengrad._common.names import printable
from evengrad._common.text_tables import aligned, html_table, underlined

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Stage:
    """One training of a pre-training.

    Attributes
    ----------
    name
        The path of the layer that was trained; ``"pairs"`` or ``"contrastive"`` of a whole net.
    figure
        What the loss is: ``"reconstruction"``, such as a mean of squares, or ``"pairs"`` and
        ``"contrastive"``.
    history
        Figures by name, one for each epoch, as `History` has them: ``"loss"``, and ``"val_loss"``
        with validation.
    seconds
        How long the training took, without what the layers below compute for it.
    leftovers
        Arrays that were trained and that the model has no place for: ``"kernel"`` and ``"bias"`` of
        the decoder, or a machine's ``"visible_bias"``. Empty of whole nets.

    Examples
    --------
    >>> eg.pretrain.Stage("dense", "reconstruction", {"loss": [0.5, 0.25]}, 1.5).losses
    [0.5, 0.25]
    """

    name: str
    figure: str
    history: dict[str, list[float]]
    seconds: float
    leftovers: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict, repr=False)

    @property
    def losses(self) -> list[float]:
        """The loss of each epoch."""
        return self.history["loss"]


@dataclass(frozen=True, repr=False)
class Report:
    """What the functions of `evengrad.pretrain` return; prints as a table.

    Attributes
    ----------
    stages
        A `Stage` for each training, in their order.

    Examples
    --------
    >>> stage = eg.pretrain.Stage("dense", "reconstruction", {"loss": [0.5, 0.25]}, 1.5)
    >>> eg.pretrain.Report((stage,))
    stage  epochs  first loss  last loss  seconds
    ---------------------------------------------
    dense       2         0.5       0.25      1.5
    loss: reconstruction
    """

    stages: tuple[Stage, ...]

    FIGURES: ClassVar[tuple[str, ...]] = ("val_loss", "accuracy", "val_accuracy")

    @property
    def seconds(self) -> float:
        """How long the stages took together."""
        return sum(stage.seconds for stage in self.stages)

    def _table(self) -> list[list[str]]:
        extra = [name for name in self.FIGURES if any(name in one.history for one in self.stages)]
        shown = [name.replace("_", " ").replace("val ", "validation ") for name in extra]
        lines = [["stage", "epochs", "first loss", "last loss", *shown, "seconds"]]
        for stage in self.stages:
            losses = stage.losses
            ends = [f"{losses[0]:.4g}", f"{losses[-1]:.4g}"] if losses else ["", ""]
            columns = [stage.history.get(name) for name in extra]
            others = [f"{column[-1]:.4g}" if column else "" for column in columns]
            name = printable(stage.name)
            lines.append([name, f"{len(losses)}", *ends, *others, f"{stage.seconds:.2g}"])
        return lines

    def _kinds(self) -> str:
        return "loss: " + ", ".join(dict.fromkeys(stage.figure for stage in self.stages))

    def __str__(self) -> str:
        return "\n".join([*underlined(aligned(self._table())), self._kinds()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{html_table(self._table())}<p>{html.escape(self._kinds())}</p>"
