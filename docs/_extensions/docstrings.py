"""Docstrings in numpydoc's form become reStructuredText, by numpydoc itself.

In place of numpydoc's own extension, which makes a template engine anew for each docstring and asks
for each signature twice: that is half of the time that a reference takes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpydoc
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment
from numpydoc.docscrape import get_doc_object
from numpydoc.docscrape_sphinx import SphinxClassDoc, SphinxFunctionDoc, SphinxObjDoc

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TEMPLATES = SandboxedEnvironment(
    loader=FileSystemLoader(Path(numpydoc.__file__).parent / "templates"), autoescape=False
)
SETTINGS = {
    "template": TEMPLATES.get_template("numpydoc_docstring.rst"),
    "show_class_members": False,
}
# Code that a parenthesis follows, an unpacked argument within parentheses, and bars around what is
# absolute: all are text, while reStructuredText asks for a space, or takes them for markup.
CALLED = re.compile(r"(?<=\w`)\(")
# A name with an underscore behind it, in a description; numpydoc sees to those of parameters.
ENDING = re.compile(r"(?<=\w)_(?![\w`])")
UNPACKED = re.compile(r"(?<=[(,] )\*(?=\w)|(?<=\()\*(?=\w)")


def as_text(line: str) -> str:
    """Return a line of prose as reStructuredText means it; code stays as it is."""
    if "``" in line or line.lstrip().startswith((">>>", "...")):
        return line
    if line.startswith(" ") and "`" not in line:
        line = ENDING.sub(r"\\_", line)
    return UNPACKED.sub(r"\\*", CALLED.sub(r"\\ (", line)).replace("|", r"\|")


def process(
    _app: Sphinx, what: str, _name: str, thing: Any, _options: Any, lines: list[str]
) -> None:
    """Replace the lines of a docstring."""
    if what == "module":
        return
    document = get_doc_object(
        thing,
        what=what,
        doc="\n".join(as_text(line) for line in lines),
        config=dict(SETTINGS),
        class_doc=SphinxClassDoc,
        func_doc=SphinxFunctionDoc,
        obj_doc=SphinxObjDoc,
    )
    lines[:] = str(document).split("\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Enter the conversion."""
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
