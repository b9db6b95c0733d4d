"""What stands for an object among arguments: types for signatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

# A name, a configuration, an object that can be called, or a function.
Choice: TypeAlias = str | Mapping[str, Any] | Callable[..., Any]
