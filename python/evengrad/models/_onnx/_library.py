"""The package `onnx`, which is optional, and which versions of the format are written and read."""

from __future__ import annotations

from typing import Any

# ONNX Runtime takes files of these versions from 1.19 of 2024 on; what `onnx` writes by itself, a
# newer one each release, it refuses.
OPSET, IR_VERSION = 20, 10
# Files of these versions of the operators mean here what they say: `Add` broadcasts since 7, and
# none that is read changed its meaning up to 28.
OLDEST_OPSET, NEWEST_OPSET = 7, 28
# The domain of the format's own operators, under both of its names.
DOMAINS = ("", "ai.onnx")


def imported_onnx(what: str) -> Any:
    """Return the package `onnx`, or raise an error that says who needs it."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(f'{what} needs onnx: pip install "evengrad[onnx]"') from error
    return onnx
