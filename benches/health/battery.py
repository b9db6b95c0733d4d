"""What the doctor says of many nets, healthy and sick, and whether its first remedy cures them.

    make battery                                         # all nets, three seeds each
    .venv/bin/python benches/health/battery.py --nets 'relu-*' --seeds 7
    .venv/bin/python benches/health/battery.py --drawn 190 --seeds 0

Each net is diagnosed for each seed. The first finding of a sick one must have the kind, the cause
and the layer that its definition names; a healthy one must have no warning and no error. Then the
first automatic remedy is applied: it cures if the changed net's diagnosis has no alarm and its
validation loss after a short training is below that of the net as it was. Ends with 1 where an aim
is missed. `--drawn` takes so many nets of these and of other families instead, with widths, depths,
rates and data drawn at random; `--first` says from which number on.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
import warnings
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import healthy as _healthy  # noqa: F401 - registers nets
import sick_signals as _sick_signals  # noqa: F401 - registers nets
import sick_training as _sick_training  # noqa: F401 - registers nets
from drawn import FAMILIES, drawn
from drawn_structures import STRUCTURES
from nets import NETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nets import Case, Net

    import evengrad as eg
    from evengrad.health import Finding

# Shares that count: sick nets recognized, healthy ones with an alarm, curable ones cured.
RIGHT, FALSE_ALARMS, CURED = 0.95, 0.02, 0.80
ALARMS = ("error", "warning")
# The short training before losses are compared: so many epochs, and steps at least.
EPOCHS, STEPS = 4, 150


@dataclass(frozen=True)
class Outcome:
    """What came of one net with one seed."""

    net: Net
    seed: int
    findings: tuple[Finding, ...]
    seconds: float
    # None where nothing was to be cured; else whether it was, and what was measured.
    cured: bool | None = None
    remark: str = ""

    @property
    def alarms(self) -> list[Finding]:
        """Return the findings that are no notes."""
        return alarms(self.findings)

    @property
    def right(self) -> bool:
        """Whether the doctor said what it should."""
        if self.net.healthy:
            return not self.alarms and not self.remark
        first = self.findings[:1]
        return any(want.allows(found) for found in first for want in self.net.expected)

    def row(self) -> str:
        """Return a line of the table."""
        said = ", ".join(brief(found) for found in (self.alarms or self.findings)[:1]) or "nothing"
        line = f"{'ok ' if self.right else 'NO '} {self.net.name:<38} {self.seed:>3}  {said:<66}"
        return f"{line} {self.remark}".rstrip()


def alarms(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are no notes."""
    return [found for found in findings if found.severity in ALARMS]


def brief(finding: Finding) -> str:
    """Return kind, layer and cause."""
    return f"{finding.kind} at {finding.layer} by {finding.cause}"


def examine(net: Net, seed: int, *, cure: bool) -> Outcome:
    """Diagnose a net, and apply the first automatic remedy if `cure` says so."""
    started = time.perf_counter()
    case = net.build(seed)
    try:
        diagnosis = case.model.diagnose(case.data.x, case.data.y, **case.diagnose_options())
    except (ValueError, TypeError, RuntimeError) as error:
        # It never refuses: what `fit` refuses is a finding.
        return Outcome(net, seed, (), time.perf_counter() - started, remark=f"raised: {error}")
    seconds = time.perf_counter() - started
    cured, remark = None, ""
    if cure and net.curable and not net.healthy:
        cured, remark = try_cure(net, case, diagnosis, seed)
    return Outcome(net, seed, diagnosis.findings, seconds, cured, remark)


def try_cure(net: Net, case: Case, diagnosis: Any, seed: int) -> tuple[bool, str]:
    """Apply the first automatic remedy; return whether it cured, and what was measured."""
    try:
        treated = diagnosis.apply()
    except ValueError as error:
        return False, f"no remedy: {str(error)[:60]}"
    again = treated.diagnose(case.data.x, case.data.y, **case.diagnose_options())
    left = alarms(again.findings)
    before, after = trained_loss(net.build(seed).model, case), trained_loss(treated, case)
    remark = f"loss {before:.3g} -> {after:.3g}"
    if left:
        remark += f", left: {brief(left[0])}"
    return not left and after < before, remark


def trained_loss(model: eg.Model, case: Case) -> float:
    """Return the validation loss after a short training; infinite where it is no number."""
    batch = case.options.get("batch_size", 32)
    rows = case.data
    steps = math.ceil(len(rows.y[0] if isinstance(rows.y, list) else rows.y) / batch)
    steps_in_all = case.options.get("steps", STEPS)
    epochs = max(EPOCHS, math.ceil(max(steps_in_all, STEPS) / steps))
    try:
        model.fit(
            rows.x,
            rows.y,
            batch_size=batch,
            epochs=epochs,
            verbose=0,
            sample_weight=case.options.get("sample_weight"),
        )
        loss = model.evaluate(rows.validation_x, rows.validation_y, verbose=0)
    except ValueError:
        # `fit` refuses it, or its outputs are no numbers.
        return math.inf
    first = float(loss[0] if isinstance(loss, (list, tuple)) else loss)
    return first if math.isfinite(first) else math.inf


def share(values: Sequence[bool]) -> float:
    """Return the share of True; 1 of none."""
    return sum(values) / len(values) if values else 1.0


def summary(outcomes: Sequence[Outcome]) -> tuple[str, bool]:
    """Return the shares as text, and whether all aims are reached."""
    healthy = [outcome for outcome in outcomes if outcome.net.healthy]
    sick = [outcome for outcome in outcomes if not outcome.net.healthy]
    right = share([outcome.right for outcome in sick])
    false = 1.0 - share([outcome.right for outcome in healthy])
    treated = [outcome.cured for outcome in sick if outcome.cured is not None]
    cured = share(treated)
    text = (
        f"{len(sick)} sick: {right:.1%} right (aim {RIGHT:.0%}). "
        f"{len(healthy)} healthy: {false:.1%} false alarms (aim {FALSE_ALARMS:.0%}). "
        f"{len(treated)} treated: {cured:.1%} cured (aim {CURED:.0%})."
    )
    return text, right >= RIGHT and false <= FALSE_ALARMS and cured >= CURED


def main() -> None:
    """Diagnose the nets that were asked for, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nets", default="*", help="names, with * and ?")
    parser.add_argument("--drawn", type=int, help="so many nets drawn at random instead")
    parser.add_argument("--first", type=int, default=0, help="number of the first of those")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--no-cures", action="store_true", help="diagnose only")
    parser.add_argument("--only-wrong", action="store_true", help="no rows of what is right")
    arguments = parser.parse_args()
    # Sick nets are meant to overflow, and their training to be reported as such.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    started = time.perf_counter()
    outcomes = []
    nets = list(NETS.values())
    if arguments.drawn is not None:
        nets = drawn(arguments.drawn, arguments.first, (*FAMILIES, *STRUCTURES))
    for net in nets:
        if not fnmatch(net.name, arguments.nets):
            continue
        for seed in arguments.seeds:
            outcome = examine(net, seed, cure=not arguments.no_cures)
            outcomes.append(outcome)
            if not (arguments.only_wrong and outcome.right and outcome.cured is not False):
                print(outcome.row(), flush=True)
                if not outcome.right and not net.healthy:
                    print(f"    expected {' or '.join(map(str, net.expected))}", flush=True)
    text, reached = summary(outcomes)
    print(f"\n{text} {time.perf_counter() - started:.0f} s")
    if not reached:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
