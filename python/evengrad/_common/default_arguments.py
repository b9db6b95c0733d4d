"""Arguments that many objects share, written once: a scope of default arguments."""

from __future__ import annotations

import contextlib
from typing import Any

from evengrad._common.config import Configured, Scope, accepted_names, scopes, show
from evengrad._common.names import check_keywords


class default_arguments(contextlib.ContextDecorator):  # noqa: N801 - read as `no_grad` is
    """Make objects of some classes with other defaults, inside a ``with``: TF1's ``arg_scope``.

    Whatever is written out at a call wins, by position or by name. Scopes nest: for each argument
    the innermost scope that has it counts. The objects keep what they got: it is in their `repr`,
    their configuration and their file, and needs no scope when they are copied or loaded.

    Parameters
    ----------
    *classes
        Classes of layers, initializers, optimizers, losses, metrics, callbacks, …: one or several,
        or a list of them. A subclass takes part with the arguments that its own constructor takes,
        or passes on by ``**kwargs``.
    **arguments
        The defaults. A value that is a layer, an initializer or the like stands for its
        configuration: each object gets an equal one of its own, never the same. Other values, as
        arrays and functions, are handed on as they are.

    Raises
    ------
    TypeError
        Before the scope begins: an argument that one of the classes does not take, something that
        is no class of this kind, or no class or no argument at all.

    Notes
    -----
    The scope reaches the objects that the code inside makes by name, also in functions that it
    calls. It does not reach what a constructor or `build` makes inside itself, nor the names of
    layers, losses, … that are loaded or copied: an object follows from its own arguments. A model
    that makes layers in its ``__init__`` opens the scope there.

    Threads and asynchronous tasks each have their scopes; a new thread begins without any. The
    scope serves as a decorator too, and may be kept and entered again.

    Examples
    --------
    >>> layers = eg.layers
    >>> norm = layers.BatchNormalization()
    >>> with eg.default_arguments(layers.Dense, kernel_initializer="he_normal", norm=norm):
    ...     hidden = [layers.Dense(30, "elu"), layers.Dense(20, "elu")]
    ...     with eg.default_arguments(layers.Dense, norm=None):
    ...         head = layers.Dense(10, "softmax", kernel_initializer="glorot_uniform")
    >>> hidden[1]
    Dense(20, activation='elu', kernel_initializer=HeNormal(), norm=BatchNormalization())
    >>> hidden[0].norm is hidden[1].norm
    False
    >>> head
    Dense(10, activation='softmax')
    >>> with eg.default_arguments(layers.Dense, kernel_initialiser="he_normal"):
    ...     pass
    Traceback (most recent call last):
        ...
    TypeError: Dense: unknown argument 'kernel_initialiser'; did you mean 'kernel_initializer'? ...
    """

    def __init__(self, *classes: Any, **arguments: Any) -> None:
        listed = [
            one for item in classes for one in (item if isinstance(item, (list, tuple)) else [item])
        ]
        for one in listed:
            if not (isinstance(one, type) and issubclass(one, Configured)):
                meant = type(one) if isinstance(one, Configured) else None
                hint = f"; did you mean {meant.__name__}?" if meant is not None else ""
                raise TypeError(
                    f"default_arguments: expected classes such as layers.Dense, got {one!r}{hint}"
                )
            names = accepted_names(one)
            if names is not None:
                check_keywords(arguments, names, one.__name__)
        if not listed or not arguments:
            missing = "class" if not listed else "argument"
            raise TypeError(
                f"default_arguments: expected at least one {missing}, as in "
                "default_arguments(layers.Dense, activation='relu')"
            )
        self._scope = Scope(tuple(listed), arguments)

    def __enter__(self) -> default_arguments:  # noqa: PYI034 - `Self` is not in Python 3.10's `typing`
        scopes.set((*scopes.get(), self._scope))
        return self

    def __exit__(self, *_: object) -> None:
        # One scope may be entered several times over; a generator may leave scopes out of order.
        active = list(scopes.get())
        last = max((place for place, one in enumerate(active) if one is self._scope), default=None)
        if last is not None:
            del active[last]
        scopes.set(tuple(active))

    def __repr__(self) -> str:
        parts = [one.__name__ for one in self._scope.classes]
        parts += [f"{name}={show(value)}" for name, value in self._scope.arguments.items()]
        return f"default_arguments({', '.join(parts)})"
