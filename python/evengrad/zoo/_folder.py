"""Where nets lie: those that come along in the package, one's own in a folder."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

SHIPPED = Path(__file__).parent / "nets"
SUFFIX = ".safetensors"
VARIABLE = "EVENGRAD_ZOO"
# Lower case alone: some file systems tell no other letters apart.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# Names of devices, whatever their suffix, on Windows.
DEVICES = {"con", "prn", "aux", "nul", *(f"{x}{n}" for x in ("com", "lpt") for n in range(10))}


def folder() -> str:
    r"""Return the folder of one's own nets, which need not be there yet.

    That is the variable ``EVENGRAD_ZOO`` of the environment; without it, where the system keeps the
    data of programs: ``$XDG_DATA_HOME/evengrad/zoo`` or ``~/.local/share/evengrad/zoo``,
    ``~/Library/Application Support/evengrad/zoo`` on macOS, ``%LOCALAPPDATA%\evengrad\zoo`` on
    Windows.

    Examples
    --------
    >>> isinstance(eg.zoo.folder(), str)
    True
    """
    own = os.environ.get(VARIABLE)
    if own:
        return os.path.expanduser(own)
    return os.path.join(_data_home(), "evengrad", "zoo")


def _data_home() -> str:
    """Return where the system keeps data of programs."""
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support")
    given = os.environ.get("XDG_DATA_HOME", "")
    # The specification has relative ones passed over.
    return given if os.path.isabs(given) else os.path.expanduser("~/.local/share")


def check_name(name: object) -> str:
    """Return the name of a net, or raise an error for one that might lead elsewhere."""
    if not isinstance(name, str):
        raise TypeError(f"name: expected a string, got {name!r} ({type(name).__name__})")
    if not NAME.fullmatch(name) or name in DEVICES:
        raise ValueError(
            "name: expected lower-case letters, digits, - and _, at most 64, a letter or digit "
            f"first, and no name of a device, got {name!r}"
        )
    return name


def own_path(name: str) -> str:
    """Return where one's own net of a name lies, or would lie."""
    return os.path.join(folder(), name + SUFFIX)


def shipped_path(name: str) -> str:
    """Return where a net that comes along lies, or would lie."""
    return str(SHIPPED / (name + SUFFIX))


def paths() -> dict[str, str]:
    """Return where all nets lie, by name; one's own in the place of those that come along."""
    found: dict[str, str] = {}
    for where in (str(SHIPPED), folder()):
        try:
            files = os.listdir(where)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for file in files:
            name, suffix = os.path.splitext(file)
            if suffix == SUFFIX and NAME.fullmatch(name):
                found[name] = os.path.join(where, file)
    return dict(sorted(found.items()))
