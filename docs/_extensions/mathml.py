"""Formulas as MathML, which browsers draw without scripts: nothing is loaded from another host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

LOG = logging.getLogger(__name__)


def converted(node: nodes.math | nodes.math_block) -> str:
    """Return a formula as MathML; one that cannot be converted is reported and stays as it is."""
    text, block = node.astext().strip(), isinstance(node, nodes.math_block)
    try:
        made: str = tex2mathml(text, as_block=block)
    except MathError as error:
        LOG.warning("no MathML of the formula %r: %s", text, error, location=node)
        return f"<code>{text}</code>"
    return made


def visit(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula."""
    if isinstance(node, nodes.math_block):
        label = f' id="equation-{node["label"]}"' if node.get("label") else ""
        translator.body.append(f'<div class="formula"{label}>{converted(node)}</div>\n')
    else:
        translator.body.append(converted(node))
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Enter the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (visit, None), (visit, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
