"""A callback from functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import check_keywords
from evengrad.callbacks._callback import Callback

if TYPE_CHECKING:
    from collections.abc import Callable


class LambdaCallback(Callback):
    """Call functions where a subclass would have methods.

    Parameters
    ----------
    **hooks
        Functions by the name of the method: ``on_epoch_end=lambda epoch, logs: …``.

    Raises
    ------
    TypeError
        No method has that name.

    Examples
    --------
    >>> tell = eg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print("epoch", epoch))
    >>> tell.on_epoch_end(3, {})
    epoch 3
    """

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        valid = [name for name in dir(Callback) if name.startswith("on_")]
        check_keywords(hooks, valid, "LambdaCallback")
        for name, hook in hooks.items():
            setattr(self, name, hook)
