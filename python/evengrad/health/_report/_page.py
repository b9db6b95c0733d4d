"""The report of a training as one HTML file, from what its `History` knows."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.units import show_seconds
from evengrad.health._report._chart import Page
from evengrad.health._report._curves import learning_curves, tiles
from evengrad.health._report._findings import findings_section
from evengrad.health._report._health_charts import Measurements, histograms_of
from evengrad.health._report._markup import (
    Markup,
    data_block,
    element,
    joined,
    shortened,
)
from evengrad.health._report._outcome_charts import outcome_charts
from evengrad.health._report._script import SCRIPT
from evengrad.health._report._style import style
from evengrad.health._report._tables import model_table, settings_table, versions_table

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes that a report has at most.
LARGEST = 1_000_000
# How finely it is drawn, the finest that fits.
DETAILS = (1.0, 0.5, 0.25, 0.12, 0.06)


def report_of(
    history: Any, outcomes: Mapping[str, Mapping[str, Any]], activations: Mapping[str, Any]
) -> bytes:
    """Return the page of a training.

    `outcomes` has what the model makes of data, by output, and `activations` histograms of layers.
    """
    content = b""
    for detail in DETAILS:
        content = _written(history, outcomes, activations, Page(detail)).encode()
        if len(content) <= LARGEST:
            break
    return content


def _digest(text: str) -> str:
    """Return the hash by which a page allows its own script or style, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _written(
    history: Any,
    outcomes: Mapping[str, Mapping[str, Any]],
    activations: Mapping[str, Any],
    page: Page,
) -> str:
    model = getattr(history, "model", None)
    name = "a model" if model is None else shortened(model.name)
    sections = _sections(history, outcomes, activations, page)
    links = [
        element("li", element("a", title, href=f"#{key}")) for key, (title, _) in sections.items()
    ]
    styles = style()
    policy = (
        f"default-src 'none'; style-src {_digest(styles)}; script-src "
        f"{_digest(SCRIPT)}; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"Training of {name} – evengrad"),
        element("style", Markup(styles)),
    )
    body = element(
        "body",
        element("a", "Skip to the findings", href="#findings", class_="skip"),
        element(
            "header",
            element("h1", "Training of ", name),
            element("p", _subtitle(history), class_="sub"),
            element("nav", element("ul", *links), aria_label="Sections"),
            tiles(history),
        ),
        element(
            "main",
            *[
                element(
                    "section",
                    element("h2", title, id=f"{key}-title"),
                    content,
                    id=key,
                    aria_labelledby=f"{key}-title",
                )
                for key, (title, content) in sections.items()
            ],
        ),
        element("footer", element("p", "Written by evengrad; needs no network.")),
        data_block({"charts": page.charts, "health": page.health}, "report-data"),
        element("script", Markup(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sections(
    history: Any,
    outcomes: Mapping[str, Mapping[str, Any]],
    activations: Mapping[str, Any],
    page: Page,
) -> dict[str, tuple[str, Markup]]:
    """Return headings and contents by the names that links to them have."""
    sections = {
        "findings": ("Findings", findings_section(history.findings, bool(history.health))),
        "curves": ("Learning curves", _grid(learning_curves(history, page))),
    }
    if history.health and len(history.health.get("step", ())):
        measurements = Measurements({**activations, **history.health}, page)
        page.health = measurements.data()
        sections["layers"] = ("Layers", _layers(measurements))
        sections["steps"] = ("Rate and clipping", _grid(measurements.step_charts()))
    elif activations:
        names = [shortened(path) for path in activations["layers"]]
        drawn = histograms_of(activations, names, np.arange(len(names)))
        sections["layers"] = ("Layers", _grid(drawn))
    if outcomes:
        charts = [
            outcome_charts(page, outcome, f" of {shortened(name)}" if name else "")
            for name, outcome in outcomes.items()
        ]
        sections["outcome"] = ("Predictions", _grid(joined(charts)))
    model = getattr(history, "model", None)
    sections["model"] = ("Model", model_table(_summary(model)))
    sections["settings"] = ("Settings and versions", _settings(history))
    return sections


def _grid(content: Markup) -> Markup:
    return element("div", content, class_="grid")


def _layers(measurements: Measurements) -> Markup:
    options = [element("option", name, value=at) for at, name in enumerate(measurements.names)]
    picker = element(
        "div",
        element("label", "Show one layer", for_="layer"),
        element("select", element("option", "none", value=-1), *options, id="layer"),
        element("span", "or choose a row of a map", class_="note"),
        class_="picker",
        # Without the script, it could do nothing.
        hidden="",
    )
    maps = [measurements.map_of(name) for name in ("speed", "update_ratio", "dead", "saturated")]
    return joined(
        [
            picker,
            element("div", id="layer-panel", class_="grid"),
            _grid(joined([*maps, measurements.histograms()])),
        ]
    )


def _settings(history: Any) -> Markup:
    compiled = {} if history.settings is None else history.settings.described()
    given = {name: value for name, value in history.params.items() if name != "verbose"}
    times = {"epochs": f"{len(history.epoch):,}"}
    if history.steps and history.seconds > 0:
        times["steps"] = f"{history.steps:,}"
        times["time"] = show_seconds(history.seconds)
        times["steps per second"] = f"{history.steps / history.seconds:,.0f}"
    parts = [
        settings_table(title, values)
        for title, values in (("compile", compiled), ("fit", given), ("Time", times))
        if values
    ]
    return element("div", *parts, versions_table(), class_="columns")


def _summary(model: Any) -> Any:
    """Return the summary of a model, printed nowhere."""
    return None if model is None else model.summary(print_fn=lambda _: None)


def _subtitle(history: Any) -> str:
    parts = []
    model = getattr(history, "model", None)
    if model is not None:
        parts.append(f"{_summary(model).parameters:,} parameters")
    if history.settings is not None:
        compiled = history.settings.described()
        parts += [compiled[name] for name in ("optimizer", "loss") if name in compiled]
    if history.params.get("batch_size"):
        parts.append(f"batches of {history.params['batch_size']}")
    return " · ".join(shortened(part) for part in parts)
