"""Draw the pictures of the user guide, which are made with the site and not kept beside it.

    python docs/figures/draw.py                           all, as docs/guide/pictures/*.svg
    python docs/figures/draw.py activations schedules     those of two pages
    python docs/figures/draw.py --format png --output /tmp/pictures

Each file beside this one has the pictures of a page: `activations.py` those of
docs/guide/activations.md, where a function `shapes` draws `pictures/activations-shapes.svg`.
"""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from picture import PICTURES

import evengrad as eg

HERE = Path(__file__).resolve().parent
PAGES = sorted(
    script.stem.replace("_", "-")
    for script in HERE.glob("*.py")
    if script.stem not in ("draw", "picture")
)


def main() -> None:
    """Draw and say how long it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(PAGES)}")
    parser.add_argument("--output", type=Path, default=HERE.parent / "guide" / "pictures")
    parser.add_argument("--format", default="svg", choices=["svg", "png"])
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.pages) - set(PAGES))
    if unknown:
        parser.error(f"no pictures of {', '.join(unknown)}; there are those of {', '.join(PAGES)}")

    # Nets are small, and threads that wait for each other spin.
    eg.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    for page in arguments.pages or PAGES:
        importlib.import_module(page.replace("-", "_"))
    for name, draw in PICTURES.items():
        begun = time.process_time()
        figure = draw()
        # One salt and no date: the same picture is the same file.
        with mpl.rc_context({"svg.hashsalt": name}):
            metadata = {"Date": None} if arguments.format == "svg" else None
            figure.savefig(
                arguments.output / f"{name}.{arguments.format}", dpi=160, metadata=metadata
            )
        print(f"{time.process_time() - begun:6.2f} s  {name}")
    print(f"{len(PICTURES)} pictures, {time.process_time() - started:.1f} s of processor time")


if __name__ == "__main__":
    main()
