"""The site's pages: each has a place in the navigation, which the build asks for too."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
if not DOCS.is_dir():
    pytest.skip("a packaged copy of the sources has no pages", allow_module_level=True)

TREE = re.compile(r"^```\{toctree\}\n(?P<lines>.*?)^```", re.MULTILINE | re.DOTALL)
# A template, which is no page.
NO_PAGES = {DOCS / "adr" / "0000-template.md"}


def listed(page):
    """Yield the pages that a page's trees name."""
    for tree in TREE.finditer(page.read_text(encoding="utf-8")):
        for line in tree["lines"].splitlines():
            if line and not line.startswith(":"):
                name = re.sub(r".*<(.*)>", r"\1", line)
                for found in page.parent.glob(f"{name}.md"):
                    yield found.resolve()


def test_every_page_has_a_place_in_the_navigation():
    pages = set(DOCS.rglob("*.md")) - NO_PAGES
    placed = {found for page in pages for found in listed(page)} - NO_PAGES
    missing = pages - placed - {DOCS / "index.md"}
    assert not missing, "name these in the toctree of an index.md"
    assert len(placed) > 60
