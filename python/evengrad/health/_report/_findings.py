"""Findings and their cures, root causes first, what follows from them below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.health._finding import VALUES
from evengrad.health._report._markup import (
    LONGEST_TEXT,
    Markup,
    code_lines,
    element,
    shortened,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad.health._finding import Finding, Remedy

MOST = 40
MARKS = {"error": "M6 1l5 10H1z", "warning": "M6 1l5 5-5 5-5-5z", "note": "M6 1a5 5 0 1 0 .01 0z"}
# What reads better than the words of a kind alone.
TITLES = {
    "non_finite": "Numbers that are not finite",
    "head_loss_mismatch": "Head and loss do not fit",
    "selu_conditions": "Conditions of SELU that do not hold",
}
NO_DOCTOR = "callbacks=[eg.callbacks.GradientDoctor()]"


def findings_section(findings: Sequence[Finding], is_watched: bool) -> Markup:
    """Return what is wrong and what helps; or that nobody has looked."""
    if not findings and not is_watched:
        return element(
            "div",
            element("p", "No doctor has watched this training. To have one watch the next:"),
            element("pre", element("code", f"model.fit(x, y, {NO_DOCTOR})"), tabindex=0),
            class_="card full quiet",
        )
    if not findings:
        return element(
            "div",
            element("p", _mark("well"), "Nothing is wrong: the doctor watched and found nothing."),
            class_="card full well",
        )
    roots = [one for one in findings if one.because is None or one.because not in findings]
    parts: list[Markup] = [_root(one, findings) for one in roots[:MOST]]
    if len(roots) > MOST:
        parts.append(element("p", f"{len(roots) - MOST} more are in history.findings."))
    return element("div", *parts, class_="findings")


def title_of(finding: Finding) -> str:
    """Return what a finding is, in words."""
    return TITLES.get(finding.kind, finding.kind.replace("_", " ").capitalize())


def _mark(severity: str) -> Markup:
    drawn = MARKS.get(severity, "M1 6l4 4 6-8")
    return element(
        "svg", element("path", d=drawn), viewBox="0 0 12 12", class_="mark", aria_hidden="true"
    )


def _where(finding: Finding) -> list[object]:
    if finding.layer is None:
        return []
    return [" in ", element("code", shortened(finding.layer))]


def _facts(finding: Finding) -> str:
    """Return what was measured, since when, and what it comes of."""
    if finding.tensor is not None:
        facts = [f"first in {finding.place}"]
    else:
        measured = (
            f"{shown(float(finding.value), 3)}, alarm at {shown(float(finding.threshold), 3)}"
        )
        facts = [f"{VALUES.get(finding.kind, 'measured')}: {measured}"]
    if finding.step is not None:
        facts.append(f"since step {finding.step:,}")
    facts.append(f"cause: {finding.cause.replace('_', ' ')}")
    text = " · ".join(facts)
    return text[:1].upper() + text[1:]


def _remedy(remedy: Remedy) -> Markup:
    return element(
        "li",
        shortened(remedy.text, LONGEST_TEXT),
        code_lines(remedy.code) if remedy.code else "",
    )


def _root(finding: Finding, findings: Sequence[Finding]) -> Markup:
    below = [one for one in findings if one is not finding and _root_of(one) == finding]
    cures = [_remedy(one) for one in finding.remedies[:8]]
    return element(
        "article",
        element(
            "h3",
            _mark(finding.severity),
            element("span", finding.severity, class_="severity"),
            " ",
            title_of(finding),
            *_where(finding),
        ),
        element("p", _facts(finding), class_="note"),
        element("h4", "What helps") if cures else "",
        element("ol", *cures) if cures else "",
        _consequences(below),
        class_=f"card full finding is-{finding.severity}",
    )


def _root_of(finding: Finding) -> Finding:
    seen = 0
    while finding.because is not None and seen < 100:
        finding, seen = finding.because, seen + 1
    return finding


def _consequences(below: Sequence[Finding]) -> Markup:
    if not below:
        return Markup("")
    return element(
        "div",
        element("h4", "What follows from it"),
        element(
            "ul",
            *[
                element(
                    "li",
                    title_of(one),
                    *_where(one),
                    element("span", f" ({shown(float(one.value), 3)})", class_="soft"),
                )
                for one in below[:MOST]
            ],
            element("li", f"{len(below) - MOST} more") if len(below) > MOST else "",
        ),
    )
