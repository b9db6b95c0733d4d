"""Check a built site: links within it lead somewhere, and every public name has its place.

    python tools/check_site.py site

Sphinx checks the references that it makes itself; this reads what browsers get, and the inventory
that other projects link by.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections import Counter
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "_extensions"))

from public_names import homes  # noqa: E402 - it lies beside the site's sources

LINK = re.compile(r"<(?:a|img|link|script|source)\b[^>]*?\s(?:href|src)=\"([^\"]*)\"")
ANCHOR = re.compile(r"\s(?:id|name)=\"([^\"]+)\"")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# Rustdoc's pages, which it checks itself, and templates of the theme.
FOREIGN = ("rust/", "_static/")


def main() -> int:
    """Report what is wrong and return the exit status."""
    site = Path(sys.argv[1]).resolve()
    found = [*broken_links(site), *misplaced_names(site)]
    for line in found:
        print(line, file=sys.stderr)
    return bool(found)


def broken_links(site: Path) -> list[str]:
    """Return a line for each link to a file or an anchor that is not there."""
    texts = {
        path: COMMENT.sub("", path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
        if not path.relative_to(site).as_posix().startswith(FOREIGN)
    }
    anchors = {path: set(map(unescape, ANCHOR.findall(text))) for path, text in texts.items()}
    broken = []
    for path, text in texts.items():
        for link in set(LINK.findall(text)):
            parts = urlsplit(unescape(link))
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if there.is_dir():
                there /= "index.html"
            anchor = unquote(parts.fragment)
            missing = anchor and there in anchors and anchor not in anchors[there]
            if not there.exists() or missing:
                broken.append(f"{path.relative_to(site)}: {link} leads nowhere")
    return sorted(broken)


def misplaced_names(site: Path) -> list[str]:
    """Return a line for each public name that the inventory has not, or has twice."""
    _, _, _, _, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    entries = [line.split() for line in zlib.decompress(packed).decode().splitlines()]
    listed = Counter(entry[0] for entry in entries if entry[1].startswith("py:"))
    return [
        f"{name} stands {listed[str(name)]} times in the reference, instead of once"
        for name in homes()
        if listed[str(name)] != 1
    ]


if __name__ == "__main__":
    sys.exit(main())
