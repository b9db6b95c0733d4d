"""The doctor that watches a training: findings as they arise, and series of what was measured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from evengrad._common.advice import advise
from evengrad._common.checks import check_int
from evengrad._common.names import choose
from evengrad.callbacks._callback import Callback, Logs
from evengrad.callbacks._rescue import Rescue
from evengrad.health._causality import judge
from evengrad.health._finding import KINDS, Finding, packed, unpacked
from evengrad.health._series import Series
from evengrad.health._thresholds import Thresholds
from evengrad.saving._paths import file_path, path_to_write

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from evengrad.health._examination import Observed
    from evengrad.health._non_finite import NonFinite

ACTIONS = ("record", "warn", "stop")
# Of the time of training, what judging the series may take, unless something hangs on it.
SHARE = 0.005
CURED_BY_RATE = ("non_finite", "exploding_gradients", "diverging_loss", "large_updates")
MOST_RESCUES = 10


class GradientDoctor(Callback):
    """Watch the layers while the model trains, and find out which is ill, and why.

    Every k-th step also measures each layer: gradients, updates, activations, saturated and dead
    units. The bits of the training do not change. What is wrong stands in `findings`, with the
    step at which it began, its cause and remedies; all that was measured stands in
    ``history.health``.

    Parameters
    ----------
    every
        Watch each k-th step; ``"auto"`` watches as many as should add 3 % to the time of plain
        steps, what watching takes besides the steps included.
    on_finding
        What a new finding that is no note brings about: ``"record"`` nothing more, ``"warn"`` a
        warning, ``"stop"`` also the end of the training after the epoch.
    kinds
        Only these kinds of findings; all of ``evengrad.health.KINDS`` by default.
    path
        A file that `History.report` is written to at each epoch's end, and at the end of training.
    rescue
        Whether errors that a lower rate cures (gradients or a loss that explode, updates that are
        too large, numbers that are not finite) take the training back to the last healthy state
        that the doctor has seen, with 0.3 times the rate from there on. Ten times at most. Weights,
        moving statistics, masks, the optimizer's slots and its count of updates, and the random
        streams of layers become what they were, bit by bit; a schedule goes on by that count, 0.3
        times as high. The rows, their order and the epochs go on: what iterables have yielded,
        validation has shown and checkpoints have kept cannot be taken back, and an order that led
        astray is not drawn again. So what follows is, to the bit, the training from that state with
        the lower rate over the rows that come next. Series have no samples of the way that was
        left.
    replay
        A file that what reproduces the first step with numbers that are not finite is written to;
        `evengrad.replay` makes that step. The log says where it cannot be written, which is so of
        what no file of a model can have, as a lambda for a loss: make it a class with ``call``.
    thresholds
        From where on something is wrong; by default ``evengrad.health.Thresholds()``.

    Attributes
    ----------
    findings
        A tuple of `evengrad.health.Finding`, root causes first.
    rescues
        For each time that the training was taken back: the step to which, and the new rate.

    Raises
    ------
    ValueError
        A number below 1 for `every`; an unknown action or kind.

    Notes
    -----
    With ``"auto"``, which steps are watched depends on the time that they take; pass a number to
    have the same ones watched each time. Dead units are those that were inactive in all watched
    rows of an epoch, or of so many epochs as have 256. ``history.health`` keeps up to 2,048
    samples, one for each watched step; beyond that, every second one goes.

    ``history.health["every_step"]`` has loss, learning rate, the norm of all gradients together
    (``"gradient_norm"``) and what clipping left of it (``"clipped"``) of every step, watched or
    not, up to 16,384 evenly apart. Norm and share are NaN in steps that are not watched, unless
    ``global_clipnorm`` has the optimizer compute them in every step. Where gradients are
    accumulated, what clipping leaves is not known.

    What is measured is looked at a few times a second, after each epoch where ``"stop"`` or
    `rescue` depends on it, and at the end. A checkpoint keeps findings and series; a training that
    is resumed goes on with them.

    Examples
    --------
    >>> layers = [eg.layers.Dense(30, "sigmoid") for _ in range(6)]
    >>> model = eg.Sequential([*layers, eg.layers.Dense(1)], seed=1)
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(256, 8))
    >>> doctor = eg.callbacks.GradientDoctor(every=1)
    >>> history = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[doctor])
    >>> doctor.findings[0].kind, doctor.findings[0].cause
    ('vanishing_gradients', 'activation')
    >>> history.health["speed"].shape
    (16, 7)
    """

    def __init__(
        self,
        every: int | str = "auto",
        on_finding: str = "record",
        kinds: Iterable[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        rescue: bool = False,
        replay: str | os.PathLike[str] | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.every = "auto" if every == "auto" else check_int(every, "every", at_least=1)
        self.watch_every = self.every
        self.on_finding = choose(on_finding, ACTIONS, "on_finding")
        given = [kinds] if isinstance(kinds, str) else kinds
        self.kinds = None if given is None else [choose(one, KINDS, "kinds") for one in given]
        self.path = None if path is None else file_path(path)
        self.rescue = bool(rescue)
        self.is_passive = not self.rescue
        self.acts = self.rescue or self.on_finding == "stop"
        self.replay = self.replay_file = None
        if replay is not None:
            self.replay = self.replay_file = path_to_write(replay, "GradientDoctor", "replay")
        self.thresholds = Thresholds() if thresholds is None else thresholds
        self.findings: tuple[Finding, ...] = ()
        self.rescues: list[tuple[int, float]] = []
        # What was found of numbers that are not finite, which is exact.
        self._non_finite: Finding | None = None
        self._series, self._healthy = Series(), Rescue()
        self._judged_at, self._judging = 0.0, 0.0
        self._is_judged = True
        # Numbers are not finite, and the way back is open.
        self.is_urgent = False

    # A resumed training may be watched or not.
    _joins_later = True

    def state_dict(self) -> dict[str, Any]:
        """Return what was found and measured so far."""
        exact = () if self._non_finite is None else (self._non_finite,)
        return {
            "findings": packed(self.findings),
            "non_finite": packed(exact),
            "rescues": [list(one) for one in self.rescues],
            "series": self._series.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.findings = unpacked(state["findings"])
        self._non_finite = next(iter(unpacked(state["non_finite"])), None)
        self.rescues = [(int(step), float(rate)) for step, rate in state["rescues"]]
        self._series.load_state_dict(state["series"])
        self.model.history.findings = self.findings
        self.model.history.health = self._series.as_dict()
        if self.rescue and self.model.built:
            self._healthy.keep(self.model)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget the training before."""
        del logs
        self.findings, self.rescues, self._non_finite = (), [], None
        self._series, self._healthy, self.is_urgent = Series(), Rescue(), False
        # In a short training the end alone is judged.
        self._judged_at, self._judging, self._is_judged = time.perf_counter(), SHARE, True
        if self.rescue and self.model.built:
            self._healthy.keep(self.model)

    def on_train_end(self, logs: Logs = None) -> None:
        """Judge what has not been judged yet."""
        del logs
        if not self._is_judged:
            self._judge()
        self._healthy = Rescue()
        if self.path is not None:
            self.model.history.report(self.path)

    def _on_watched(self, observed: Observed) -> None:
        self._series.add(observed)
        self._is_judged = self.is_urgent = False
        due = time.perf_counter() - self._judged_at > self._judging / SHARE
        if due or observed.is_last or self.acts:
            self._judge()

    def _on_non_finite(self, trouble: NonFinite) -> None:
        self._non_finite = finding = trouble.finding
        # Said whatever is to become of findings: what follows is lost.
        advise(
            "GradientDoctor: %s: not finite from step %s on, first in %s; cause: %s. %s",
            self.model.path,
            finding.step,
            finding.place,
            finding.cause,
            finding.remedies[0].text,
        )
        if self.rescue:
            # Once what has led there was measured.
            self.is_urgent = True
        else:
            self._judge()

    def _judge(self) -> None:
        """Find out what is wrong by now."""
        began = time.perf_counter()
        self._is_judged = True
        examination = self._series.examination()
        history = self.model.history
        history.health = self._series.as_dict()
        known = () if self._non_finite is None else (self._non_finite,)
        if examination is not None or known:
            found = known if examination is None else judge(examination, self.thresholds, known)
            if self.kinds is not None:
                found = tuple(one for one in found if one.kind in self.kinds)
            self._act(found)
        history.findings = self.findings
        if self.path is not None:
            history.report(self.path)
        self._judged_at = time.perf_counter()
        self._judging = self._judged_at - began

    def _act(self, found: tuple[Finding, ...]) -> None:
        known = {(one.kind, one.layer) for one in self.findings}
        fresh = [one for one in found if (one.kind, one.layer) not in known]
        self.findings = found
        alarms = [one for one in fresh if one.severity != "note" and one.because is None]
        if self.rescue:
            self._go_back()
        if not alarms or self.on_finding == "record":
            return
        for one in alarms:
            advise("GradientDoctor: %s: %s", self.model.path, one)
        if self.on_finding == "stop":
            self.model.stop_training = True

    def _go_back(self) -> None:
        """Take the training back where a lower rate cures what is wrong."""
        errors = [one for one in self.findings if one.severity == "error"]
        grave = [one for one in errors if one.kind in CURED_BY_RATE]
        if not errors:
            self._healthy.keep(self.model)
        if not grave or len(self.rescues) == MOST_RESCUES:
            return
        step, rate = self._healthy.step, self._healthy.restore(self.model)
        if step is None or rate is None:
            return
        self.rescues.append((step, rate))
        self._series.go_back(step)
        self.model.history.health = self._series.as_dict()
        self.findings, self._non_finite = (), None
        advise(
            "GradientDoctor: %s: %s; back to step %d, with a learning rate of %g from here on",
            self.model.path,
            grave[0].kind.replace("_", " "),
            step,
            rate,
        )
