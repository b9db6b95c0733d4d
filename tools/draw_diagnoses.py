"""Run docs/when-training-goes-wrong.md; write what it prints into it, and draw its pictures.

    .venv-test/bin/python tools/draw_diagnoses.py

The blocks of the page run in order, as its test runs them. What a block prints replaces the text
below it, and where the page shows a picture, the latest ``diagnosis`` and ``healed`` are drawn, one
below the other.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from evengrad.health import Diagnosis

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "when-training-goes-wrong.md"
PART = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?P<shown>\n```text\n.*?^```\n)?"
    r"|^!\[[^\]]*\]\((?P<picture>[^)]*)\)\n",
    re.MULTILINE | re.DOTALL,
)


def main() -> None:
    """Run the page and write it."""
    names: dict[str, Any] = {"__name__": "__main__"}

    def renewed(part: re.Match[str]) -> str:
        if part["picture"]:
            draw(names["diagnosis"], names["healed"], DOCS / part["picture"])
            return part[0]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(part["code"], names)  # noqa: S102 - the page is ours
        if part["shown"] is None:
            return part[0]
        return f"```python\n{part['code']}```\n\n```text\n{printed.getvalue()}```\n"

    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(PART.sub(renewed, text), encoding="utf-8")


def draw(before: Diagnosis, after: Diagnosis, path: Path) -> None:
    """Draw two diagnoses, one below the other."""
    path.parent.mkdir(exist_ok=True)
    figure = plt.figure(figsize=(11, 6), layout="constrained")
    parts: Any = figure.subfigures(2, 1)
    for part, diagnosis, title in zip(parts, (before, after), ("before", "after"), strict=True):
        diagnosis.plot(part.subplots(1, 3))
        part.suptitle(title)
    figure.savefig(path, dpi=64)
    plt.close(figure)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
