"""The native half of evengrad: tensors, the tape and captured plans."""

__version__: str
