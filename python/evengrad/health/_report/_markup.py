"""HTML and SVG elements as text. All that comes from users is escaped here, and nowhere else."""

from __future__ import annotations

import html
import json
import math
from typing import TYPE_CHECKING, Any

from evengrad._common.names import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Characters of a name that a page shows: the rest of a longer one tells nobody more.
LONGEST_NAME, LONGEST_TEXT = 80, 600


class Markup(str):
    """Text that is HTML already; all other text is escaped where it comes into an element."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """Return text for an element or an attribute: nothing in it is obeyed."""
    return Markup(value if isinstance(value, Markup) else html.escape(printable(str(value))))


def joined(parts: Iterable[object]) -> Markup:
    """Return parts of a page one after the other."""
    return Markup("".join(map(escaped, parts)))


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Attributes are written with ``_`` for ``-``, and ``class_``; those that are None are left out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if not children and tag in {"path", "rect", "line", "circle", "meta"}:
        return Markup(f"<{tag}{written}{'' if tag == 'meta' else '/'}>")
    return Markup(f"<{tag}{written}>{joined(children)}</{tag}>")


def shortened(text: object, limit: int = LONGEST_NAME) -> str:
    """Return text of at most that many characters: of paths, beginning and end tell most."""
    whole = printable(str(text))
    if len(whole) <= limit:
        return whole
    kept = limit - 1
    return f"{whole[: kept // 2]}…{whole[len(whole) - (kept - kept // 2) :]}"


def code_lines(text: str, limit: int = 40) -> Markup:
    """Return lines of code as they are written."""
    # Line by line: the ends of lines would be escaped as well.
    lines = [escaped(shortened(line, LONGEST_TEXT)) for line in text.splitlines()[:limit]]
    return element("pre", element("code", Markup("\n".join(lines))), tabindex=0)


def table(
    heads: Sequence[object], rows: Iterable[Sequence[object]], caption: str, numbers: int = 1
) -> Markup:
    """Return a table whose first column names its rows; numbers begin in column `numbers`."""

    def cell(at: int, value: object) -> Markup:
        kind = "n" if at >= numbers else None
        if at == 0:
            return element("th", value, scope="row", class_=kind)
        return element("td", value, class_=kind)

    head = [
        element("th", one, scope="col", class_="n" if at >= numbers else None)
        for at, one in enumerate(heads)
    ]
    body = (element("tr", *[cell(at, value) for at, value in enumerate(row)]) for row in rows)
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *head)),
            element("tbody", *body),
        ),
        class_="scroll",
        # What scrolls has to be within reach of the keyboard.
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def shown(value: float, digits: int = 4) -> str:
    """Return a number for readers; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e6 else f"{value:.{digits}g}"


def place(value: float) -> str:
    """Return a coordinate, in tenths of a unit."""
    return f"{value:.1f}".removesuffix(".0")


def plain_number(value: float) -> float | int | None:
    """Return a number for JSON with four digits that count, which has no NaN and no infinity."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e6 else rounded


def data_block(data: Any, identifier: str) -> Markup:
    """Return data for the script, in which no ``</script>`` and no ``]]>`` can stand."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return element("script", Markup(text), type="application/json", id=identifier)
