"""What is running: for reports of faults, and beside every figure of speed."""

from __future__ import annotations

import functools
import platform
import sys

from evengrad import _core

PARTNERS = ("numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "tqdm")


@functools.cache
def installed(name: str) -> str:
    """Return the version of a distribution, or that there is none."""
    # Here, since it takes as long to import as half of evengrad.
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def versions() -> dict[str, str]:
    """Return the versions of evengrad, Python and what they run on, by name."""
    return {
        "evengrad": _core.__version__,
        **{name: str(value) for name, value in _core.build_info().items() if name != "version"},
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        **{name: installed(name) for name in PARTNERS},
    }


def show_versions() -> None:
    """Print the versions of evengrad, Python and what they run on; for reports of faults.

    Examples
    --------
    >>> eg.show_versions()
    evengrad ...
    """
    lines = versions()
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:{width}}  {value}")  # noqa: T201 - that is what it is for
