"""The error of damaged files."""

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
