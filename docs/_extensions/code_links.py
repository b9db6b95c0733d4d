"""Link names in code to the reference, ``layers.Dense`` or ``model.fit(x, y)``.

This holds for pages and docstrings, so that the sources stay plain Markdown, which reads well
anywhere.
A full name that begins with ``evengrad.`` and leads nowhere is reported.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from docutils import nodes
from public_names import spellings
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# A name, and what it is called with.
CODE = re.compile(r"(?P<name>[A-Za-z_][\w.]*)(?:\(.*\))?", re.DOTALL)
# What the pages' programs call such things.
VARIABLES = {
    "model": "Model",
    "history": "History",
    "diagnosis": "Diagnosis",
    "optimizer": "Optimizer",
    "layer": "Layer",
}
LOG = logging.getLogger(__name__)


def target(code: str) -> str | None:
    """Return the full name that a piece of code means, or None."""
    match = CODE.fullmatch(code)
    if match is None:
        return None
    name = match["name"]
    known = spellings()
    if name in known:
        return known[name]
    first, _, member = name.partition(".")
    return known.get(f"{VARIABLES[first]}.{member}") if member and first in VARIABLES else None


def exists(name: str) -> bool:
    """Tell whether a full name leads to something, be it private."""
    module, *rest = name.split(".")
    thing: Any = import_module(module)
    for part in rest:
        if not hasattr(thing, part):
            try:
                import_module(f"{thing.__name__}.{part}")
            except (ImportError, AttributeError):
                return False
        thing = getattr(thing, part)
    return True


class CodeLinks(SphinxTransform):
    """Make references of literals that name something public."""

    # After the parser's own, before references are resolved.
    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Go through the page."""
        outside = (nodes.reference, nodes.title, addnodes.pending_xref, addnodes.desc_signature)
        for literal in list(self.document.findall(nodes.literal)):
            if any(isinstance(above, outside) for above in ancestors(literal)):
                continue
            full = target(literal.astext())
            if full is None:
                self.report(literal)
                continue
            reference = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=full, refexplicit=True, refwarn=True
            )
            reference["refdoc"] = self.env.docname
            literal.replace_self(reference)
            reference += literal

    def report(self, literal: nodes.literal) -> None:
        """Warn of a full name that leads nowhere."""
        match = re.fullmatch(r"evengrad(\.\w+)+", literal.astext())
        if match and not exists(match[0]):
            LOG.warning("%s is no name of evengrad", match[0], location=literal)


def ancestors(node: nodes.Node) -> Any:
    """Yield what a node lies in, from the inside."""
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


def setup(app: Sphinx) -> dict[str, bool]:
    """Enter the transform."""
    app.add_transform(CodeLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
