"""The error of damaged files."""


class FileFormatError(ValueError):
    """A file is damaged, or is not what it should be; the message names the file and the fault."""
