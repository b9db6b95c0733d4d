"""The errors of files: damaged, or of classes and functions that were not given."""

from __future__ import annotations

from evengrad._common.names import printable


class FileFormatError(ValueError):
    """A file is damaged, or is not what it should be; the message names the file and the fault.

    Examples
    --------
    >>> with open("notes.txt", "w") as file:
    ...     file.write("no model")
    8
    >>> try:
    ...     eg.load_model("notes.txt")
    ... except eg.FileFormatError as error:
    ...     print(error)
    notes.txt: ...
    """

    def __init__(self, message: str) -> None:
        # Paths and names out of a file may hold anything.
        super().__init__(printable(message))


class NotGivenError(ValueError):
    """A file names a class or function that this package has not and the caller did not give."""
