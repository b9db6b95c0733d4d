"""What layers, initializers, losses, metrics, optimizers and callbacks have in common: arguments.

An object keeps each argument of its constructor under an attribute of the same name. From that
alone follow its `repr`, which can be pasted, and its description in a saved file; no class repeats
its list of arguments. A class that keeps an argument elsewhere falls back on what it was made with.

Objects are made by their class's call, where `default_arguments` adds what the caller left out.
What is made inside a constructor, inside `build`, or from a description gets nothing of that: an
object follows from its own arguments, whenever and wherever it is made again.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import inspect
from contextvars import ContextVar
from dataclasses import dataclass
from types import BuiltinFunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from evengrad import _core
from evengrad._common.checks import plural
from evengrad._common.code_variables import methods_of, variables_of
from evengrad._common.names import PACKAGE, public_path, snake_case, unknown_keyword
from evengrad._common.serialized import revived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from typing_extensions import Self

Constructor = TypeVar("Constructor", bound="Callable[..., None]")
Function = TypeVar("Function", bound="Callable[..., Any]")
Made = TypeVar("Made")
# Values with nothing inside, as most are.
ATOMS = frozenset([str, bool, int, float, type(None), _core.Tensor])
# Lists of more items are data.
MOST_SETTINGS = 1000


@dataclass(eq=False)
class Scope:
    """Default arguments for objects of some classes; `default_arguments` puts it in force."""

    classes: tuple[type, ...]
    arguments: dict[str, Any]

    def added(self, cls: type, args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
        """Return keyword arguments, with those defaults that a class takes and nobody has given."""
        if not issubclass(cls, self.classes):
            return given
        names = accepted_names(cls)
        written = {*positional_names(cls)[: len(args)], *given}
        return {
            **{
                name: remade(value)
                for name, value in self.arguments.items()
                if name not in written and (names is None or name in names)
            },
            **given,
        }


# The scopes around the running code, the outermost first: for each thread and asynchronous task.
scopes: ContextVar[tuple[Scope, ...]] = ContextVar("evengrad.scopes", default=())


@contextlib.contextmanager
def outside_scopes() -> Iterator[None]:
    """Run what must not depend on the scopes around it."""
    token = scopes.set(())
    try:
        yield
    finally:
        scopes.reset(token)


def _signature(of: object) -> inspect.Signature:
    """Return the signature of an object's constructor, without `self`."""
    return _signatures(type(of).__init__)


@functools.cache
def _signatures(constructor: Callable[..., None]) -> inspect.Signature:
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    return inspect.Signature(parameters)


def _names(of: inspect.Signature, *kinds: Any) -> list[str]:
    return [name for name, parameter in of.parameters.items() if parameter.kind in kinds]


def _written_names(of: inspect.Signature) -> list[str]:
    """Return the names of the parameters that can be given as keywords."""
    return _names(of, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def keyword_names(of: inspect.Signature) -> list[str] | None:
    """Return the names that may be given as keywords; None where any may."""
    return None if _names(of, inspect.Parameter.VAR_KEYWORD) else _written_names(of)


def _constructors(cls: type) -> Iterator[inspect.Signature]:
    """Yield the signatures of the constructors of a class and its bases."""
    for base in cls.__mro__:
        if "__init__" in vars(base) and base is not object:
            yield _signatures(vars(base)["__init__"])


def accepted_names(cls: type) -> list[str] | None:
    """Return the arguments that a class can be made with, those that it passes on included.

    A constructor that gathers others with ``**`` passes them on to the next class. None where that
    ends nowhere: any name may be given.
    """
    names: list[str] = []
    for known in _constructors(cls):
        names += _written_names(known)
        if keyword_names(known) is not None:
            return names
    return None


def positional_names(cls: type) -> list[str]:
    """Return the arguments that positions stand for; ``*args`` are those of the next class."""
    for known in _constructors(cls):
        if not _names(known, inspect.Parameter.VAR_POSITIONAL):
            return _names(known, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return []


def spelled_out(
    kind: type, defaults: Mapping[str, Any], own_defaults: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[Constructor], Constructor]:
    """Decorate an ``__init__`` that ends in ``**``: its signature names what a `TypedDict` has.

    The defaults are in the order of the signature. Those of its own take the place of None.
    """

    def with_signature(constructor: Constructor) -> Constructor:
        signature = inspect.signature(constructor)
        own = [
            p.replace(default=own_defaults.get(p.name)) if p.default is None else p
            for p in signature.parameters.values()
            if p.kind is not p.VAR_KEYWORD
        ]
        gathered = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                # As its source has it.
                annotation=getattr(annotation, "__forward_arg__", annotation),
            )
            for name, default in defaults.items()
            if (annotation := kind.__annotations__.get(name)) is not None
        ]
        constructor.__signature__ = signature.replace(parameters=[*own, *gathered])  # type: ignore[attr-defined]  # inspect reads it
        return constructor

    return with_signature


def suggests_keywords(function: Function) -> Function:
    """Have a function or method answer a misspelt keyword with the nearest valid one."""
    names = keyword_names(inspect.signature(function))
    valid = [] if names is None else [name for name in names if name != "self"]
    of_method = names is not None and names[:1] == ["self"]

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            if names is None:
                raise
            # The user's class, not the one here that a method happens to stand in.
            owner = f"{type(args[0]).__name__}." if of_method and args else ""
            error = unknown_keyword(kwargs, valid, owner + function.__name__)
            if error is None:
                raise
        raise error

    return checked  # type: ignore[return-value]  # it is called as `function` is


class ConfiguredType(abc.ABCMeta):
    """The type of `Configured` classes: adds default arguments to the calls that make objects.

    It is an `abc.ABCMeta` so that classes of users may be abstract too.
    """

    # What `abc` does here in place of Python costs several times as much.
    __instancecheck__ = type.__instancecheck__
    __subclasscheck__ = type.__subclasscheck__

    def __call__(cls: type[Made], *args: Any, **kwargs: Any) -> Made:
        """Make an object; arguments that the caller leaves out may come from scopes.

        A misspelt keyword is answered with the nearest valid one.
        """
        active = scopes.get()
        # A scope further in is found first.
        for scope in reversed(active):
            kwargs = scope.added(cls, args, kwargs)
        silent = cls._without_effect  # type: ignore[attr-defined]  # `Configured` has it
        if silent is not None and silent in kwargs:
            names = accepted_names(cls)
            if names is not None and silent not in names:
                kwargs = {name: value for name, value in kwargs.items() if name != silent}
        around = scopes.set(()) if active else None
        try:
            return super().__call__(*args, **kwargs)  # type: ignore[misc,no-any-return]  # a type
        except TypeError:
            names = keyword_names(_signatures(cls.__init__))
            error = None if names is None else unknown_keyword(kwargs, names, cls.__name__)
            if error is None:
                error = _too_many(cls, args)
            # What a class knows of better.
            error = cls._misused(args) or error  # type: ignore[attr-defined]  # `Configured` has it
            if error is None:
                raise
        finally:
            if around is not None:
                scopes.reset(around)
        raise error

    def __repr__(cls) -> str:
        """Return what messages call the class: by where users find it, not where it is defined."""
        return f"<class '{public_path(cls)}'>"

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's signature, for help and editors."""
        return _signatures(cls.__init__)  # type: ignore[misc]  # the class's own


def _too_many(cls: Any, args: tuple[Any, ...]) -> TypeError | None:
    """Return the error for more arguments without a name than a class can be made with."""
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    constructor = _signatures(cls.__init__)
    names = _names(constructor, positional, inspect.Parameter.POSITIONAL_ONLY)
    if len(args) <= len(names) or _names(constructor, inspect.Parameter.VAR_POSITIONAL):
        return None
    fix = "put them into a list" if names == ["layers"] else "give the others by their names"
    return TypeError(
        f"{cls.__name__}: expected {plural(len(names), 'argument')} without a name at most "
        f"({', '.join(names)}), got {len(args)}; {fix}"
    )


class Configured(metaclass=ConfiguredType):
    """Base of everything whose constructor's arguments describe it."""

    # Whether its attributes are numbers that captured steps compute with; see `settings_of`.
    _is_read: ClassVar[bool] = False
    # An argument of Keras' that is taken and says nothing here.
    _without_effect: ClassVar[str | None] = None
    # Returns what stands for these, where they are not all.
    _read_by_steps: ClassVar[Any] = None
    # The constructor's arguments as it got them, by position and by name.
    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the object, with a note of what it was made with."""
        self = object.__new__(cls)
        vars(self)["_made_with"] = (args, kwargs)
        return self

    @classmethod
    def _misused(cls, args: tuple[Any, ...]) -> TypeError | None:
        """Return the error for arguments that are meant as another library takes them."""
        del args
        return None

    def _bound(self) -> inspect.BoundArguments:
        """Return the constructor's arguments as it got them, by their names."""
        args, kwargs = self._made_with
        return _signature(self).bind_partial(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as they stand now.

        Returns
        -------
        dict
            Argument names and values; ``type(self)(**self.get_config())`` makes an equal object.

        Examples
        --------
        >>> eg.layers.Dropout(0.3).get_config()["rate"]
        0.3
        """
        config = {}
        arguments = self._bound().arguments
        for name, parameter in _signature(self).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                config.update(arguments.get(name, {}))
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                made_with = arguments.get(name, parameter.default)
                config[name] = getattr(self, name, made_with)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return an object made with the arguments that `get_config` returned.

        A class whose `get_config` returns something else than arguments writes this too.

        Parameters
        ----------
        config
            Argument names and values; initializers, layers and their like also as ``serialize``
            describes them.

        Raises
        ------
        TypeError
            An argument that the class does not take.

        Examples
        --------
        >>> config = eg.layers.Dropout(0.3, name="drop").get_config()
        >>> eg.layers.Dropout.from_config(config)
        Dropout(0.3, name='drop')
        """
        return cls(**{name: revived(value) for name, value in config.items()})

    def _arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments, whatever the class's configuration has."""
        return self.get_config()

    def _shown(self) -> dict[str, Any]:
        """Return the arguments that differ from their defaults."""
        parameters = _signature(self).parameters
        return {
            name: value
            for name, value in self._arguments().items()
            if name not in parameters or not same(value, parameters[name].default)
        }

    def __repr__(self) -> str:
        parts = []
        positional = True
        parameters, shown = _signature(self).parameters, self._shown()
        for name, parameter in parameters.items():
            if name not in shown:
                positional = False
            elif parameter.default is parameter.empty and positional:
                parts.append(show(shown[name]))
            else:
                parts.append(f"{name}={show(shown[name])}")
        # What the constructor passes on.
        parts += [
            f"{name}={show(value)}" for name, value in shown.items() if name not in parameters
        ]
        return f"{type(self).__name__}({', '.join(parts)})"


class Named(Configured):
    """What reports call by its class, unless it has a name of its own."""

    name: str

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; see `Configured.get_config`."""
        config = super().get_config()
        if config.get("name") == snake_case(type(self).__name__):
            config["name"] = None
        return config


def settings_of(things: Iterable[Any]) -> list[Any]:
    """Return all that objects and functions compute by, to be compared by identity later.

    Attributes of what is configured, and what functions find under names around them; also in
    lists, tuples and dicts.
    """
    found: list[Any] = []
    stack = list(things)
    seen: set[int] = set()
    while stack:
        one = stack.pop()
        if type(one) in ATOMS or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Configured):
            if not one._is_read:  # noqa: SLF001 - of this file
                continue
            known = one._read_by_steps  # noqa: SLF001 - as above
            # In front stands what it was made with.
            values = list(vars(one).values())[1:] if known is None else known()
            if not type(one).__module__.startswith(PACKAGE):
                values += methods_of(one)
        elif isinstance(one, (list, tuple, dict)):
            values = list(one.values()) if isinstance(one, dict) else list(one)
        elif callable(one) and not isinstance(one, (type, BuiltinFunctionType)):
            own = str(getattr(one, "__module__", "")).startswith(PACKAGE)
            values = [] if own else variables_of(one)
        else:
            continue
        if len(values) <= MOST_SETTINGS:
            found += values
            stack += values
    return found


def arguments_as_they_are(thing: Configured) -> dict[str, Any]:
    """Return the arguments of an object's constructor as they stand now, objects as such."""
    return thing._arguments()  # noqa: SLF001 - of this file


def remade(value: Any) -> Any:
    """Return what describes itself made anew, with all such things inside; the rest as it is."""
    if isinstance(value, Configured):
        config = {name: remade(item) for name, item in arguments_as_they_are(value).items()}
        with outside_scopes():
            return type(value)(**config)
    if isinstance(value, (list, tuple)):
        return type(value)(remade(item) for item in value)
    if isinstance(value, dict):
        return {name: remade(item) for name, item in value.items()}
    return value


def same(value: Any, default: Any) -> bool:
    """Tell whether an argument has its default value, whose short form may be a string."""
    if value is default:
        return True
    if default is None:
        # `activation=None` is kept as the function that it stands for.
        return getattr(value, "__name__", None) == "linear"
    if isinstance(default, str) and not isinstance(value, str):
        if isinstance(value, Configured):
            plain = type(value).__name__.lower() == default.replace("_", "")
            return plain and not value._shown()  # noqa: SLF001 - of this file
        return callable(value) and getattr(value, "__name__", None) == default
    return (
        type(value) is type(default)
        and isinstance(value, (bool, int, float, str))
        and bool(value == default)
    )


def by_convention(given: Any, convention: str, **defaults: Any) -> Any:
    """Return an argument, or where it was not given, the convention's default."""
    return defaults[convention] if given is None else given


def beyond(shown: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that differ from what a convention sets where nothing is passed."""
    return {
        name: value
        for name, value in shown.items()
        if name not in defaults or repr(value) != repr(defaults[name])
    }


# Names of functions of this package, by identity: what messages and files call them. With the
# functions, so that their identities stay theirs; a user's function may not be hashable.
_function_names: dict[int, tuple[Any, str]] = {}


def enter_names(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Enter functions; of several names of one, the first counts."""
    for name, function in functions.items():
        _function_names.setdefault(id(function), (function, name))


def name_of(function: Any) -> str | None:
    """Return the name of a function that was entered; None for a function of the user's."""
    return _function_names.get(id(function), (None, None))[1]


def show(value: Any) -> str:
    """Return an argument's value as one would write it."""
    if callable(value) and not isinstance(value, (type, Configured)):
        # `activations.exponential` is `exp` under the name that arguments take.
        return repr(name_of(value) or getattr(value, "__name__", value))
    return repr(value)
