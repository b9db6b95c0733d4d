"""The number of threads, for threadpoolctl. Importing this module imports that."""

from __future__ import annotations

import os
from typing import Any

from threadpoolctl import LibController, register

from evengrad import _core

_NAME = os.path.realpath(_core.__file__)


class ThreadController(LibController):  # type: ignore[misc]  # published untyped
    """What threadpoolctl asks to see and to bound this library's threads."""

    user_api = internal_api = "evengrad"
    # Found by this among the libraries that are loaded, in lower case.
    filename_prefixes = (os.path.basename(_NAME).lower(),)

    def get_num_threads(self) -> int:
        """Return the number that the next call may use."""
        return _core.get_num_threads()

    def set_num_threads(self, num_threads: Any) -> None:
        """Bound the number; what `evengrad.set_num_threads` or the environment say stays."""
        _core.limit_num_threads(int(num_threads))

    def get_version(self) -> str:
        """Return this package's version, or raise an OSError for another library of the name."""
        if os.path.realpath(self.filepath) != _NAME:
            raise OSError(f"{self.filepath}: a library of another package")
        return _core.__version__


register(ThreadController)
