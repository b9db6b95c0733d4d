"""Run pages of docs/ and write what their blocks print into them.

    .venv-test/bin/python tools/run_pages.py docs/guide/activations.md ...

The blocks run in order, as the page's test runs them, in an empty directory. Text that agrees with
what is printed stays, so that an ellipsis does; other text is replaced.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PART = re.compile(
    r"^```python *(?P<option>no-run|needs \w+)?\n(?P<code>.*?)^```\n"
    r"(?:\n```text\n(?P<shown>.*?)^```\n)?"
    r"|^!\[[^\]]*\]\((?P<picture>[^)]*)\)\n",
    re.MULTILINE | re.DOTALL,
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def left_out(option: str | None) -> bool:
    """Tell whether a block is not to be run, or cannot be, for want of a package."""
    if option is None:
        return False
    return option == "no-run" or importlib.util.find_spec(option.removeprefix("needs ")) is None


def run_page(page: Path, draw: Callable[[dict[str, Any], Path], None] | None = None) -> None:
    """Run a page and write it; `draw` gets the names so far, and the place of each picture."""
    names: dict[str, Any] = {"__name__": "__main__"}

    def renewed(part: re.Match[str]) -> str:
        if part["picture"]:
            if draw is not None:
                draw(names, page.parent / part["picture"])
            return part[0]
        if left_out(part["option"]):
            return part[0]
        printed = io.StringIO()
        line = part.string.count("\n", 0, part.start("code"))
        program = compile("\n" * line + part["code"], str(page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(program, names)  # noqa: S102 - the page is ours
        text, shown = printed.getvalue(), part["shown"]
        agrees = shown is not None and doctest.OutputChecker().check_output(shown, text, FLAGS)
        if shown is None or agrees:
            if shown is None and text:
                print(f"{page.name}:{line + 1} prints what the page does not show:\n{text}")
            return part[0]
        return f"{part[0].partition('```text')[0]}```text\n{text}```\n"

    text = page.read_text(encoding="utf-8")
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as empty:
        os.environ["EVENGRAD_ZOO"] = str(Path(empty) / "zoo")
        os.chdir(empty)
        try:
            text = PART.sub(renewed, text)
        finally:
            os.chdir(before)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for given in sys.argv[1:]:
        run_page(Path(given).resolve())
