"""Pickles that hold data, read without running anything.

A pickle is a program for a machine with a stack. This machine knows the instructions that build
numbers, texts, tuples, lists and dicts, and nothing else: what a pickle names by module and name
stays a name, and what it applies such a name to is left to whoever reads it. See Python's
``pickletools``, whose names of instructions are used here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# A whole number of more bytes is no size.
MOST_LONG = 16


class Named(NamedTuple):
    """What a pickle names by module and name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class DamagedPickleError(ValueError):
    """A pickle that ends too early, or uses its stack in a way that no writer does."""


class ForeignPickleError(ValueError):
    """A pickle that holds something else than data."""


class _Mark:
    """Where the items of a tuple, list or dict begin on the stack."""


MARK = _Mark()
ATOMS = (str, int, float, bool, type(None))


class DataPickle:
    """One pickle being read.

    Parameters
    ----------
    data
        Its bytes.
    call
        Returns what a name applied to arguments stands for, or raises a `ForeignPickleError`.
    find
        Returns what an object kept outside of the pickle stands for, from its identification.
    """

    def __init__(
        self,
        data: bytes,
        call: Callable[[Named, tuple[Any, ...]], Any],
        find: Callable[[Any], Any],
    ) -> None:
        self._data = data
        self._place = 0
        self._call = call
        self._find = find
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Return the object."""
        while True:
            code = self._take(1)
            if code == b".":
                return self._pop()
            instruction = INSTRUCTIONS.get(code)
            if instruction is None:
                raise ForeignPickleError(f"instruction {code!r}")
            instruction(self)

    # ---- bytes

    def _take(self, count: int) -> bytes:
        taken = self._data[self._place : self._place + count]
        if len(taken) < count:
            raise DamagedPickleError(f"it ends at byte {len(self._data)}")
        self._place += count
        return taken

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        end = self._data.find(b"\n", self._place)
        if end < 0:
            raise DamagedPickleError("a line has no end")
        line = self._take(end + 1 - self._place)[:-1]
        return self._text(line)

    @staticmethod
    def _text(data: bytes) -> str:
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise DamagedPickleError(str(error)) from error

    # ---- the stack

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def _pop(self, kind: Any = object) -> Any:
        if not self._stack or self._stack[-1] is MARK:
            raise DamagedPickleError("its stack is empty")
        value = self._stack.pop()
        if not isinstance(value, kind):
            raise DamagedPickleError(f"{type(value).__name__} in a place for something else")
        return value

    def _top(self, kind: type) -> Any:
        value = self._pop(kind)
        self._stack.append(value)
        return value

    def _items(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            value = self._stack.pop()
            if value is MARK:
                return items[::-1]
            items.append(value)
        raise DamagedPickleError("a mark is missing")

    # ---- instructions

    def skip(self, count: int) -> None:
        """Pass over bytes that say nothing here."""
        self._take(count)

    def text(self, form: str) -> None:
        """Follow BINUNICODE and its kin."""
        self.push(self._text(self._take(self._number(form))))

    def number(self, form: str) -> None:
        """Follow BININT, BINFLOAT and their kin."""
        self.push(self._number(form))

    def long(self) -> None:
        """Follow LONG1."""
        count = self._number("<B")
        if count > MOST_LONG:
            raise DamagedPickleError(f"a whole number of {count} bytes")
        self.push(int.from_bytes(self._take(count), "little", signed=True))

    def put(self, form: str) -> None:
        """Follow BINPUT, LONG_BINPUT."""
        self._memo[self._number(form)] = self._top(object)

    def memoize(self) -> None:
        """Follow MEMOIZE."""
        self._memo[len(self._memo)] = self._top(object)

    def get(self, form: str) -> None:
        """Follow BINGET, LONG_BINGET."""
        number = self._number(form)
        if number not in self._memo:
            raise DamagedPickleError(f"it refers to {number}, which is not there")
        self.push(self._memo[number])

    def tuple_of(self, count: int) -> None:
        """Follow TUPLE1 to TUPLE3."""
        self.push(tuple([self._pop() for _ in range(count)][::-1]))

    def marked_tuple(self) -> None:
        """Follow TUPLE."""
        self.push(tuple(self._items()))

    def append(self) -> None:
        """Follow APPEND."""
        value = self._pop()
        self._top(list).append(value)

    def appends(self) -> None:
        """Follow APPENDS."""
        items = self._items()
        self._top(list).extend(items)

    def set_item(self) -> None:
        """Follow SETITEM."""
        value, key = self._pop(), self._pop()
        self._enter([key, value])

    def set_items(self) -> None:
        """Follow SETITEMS."""
        self._enter(self._items())

    def _enter(self, items: list[Any]) -> None:
        table = self._top(dict)
        if len(items) % 2:
            raise DamagedPickleError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, ATOMS):
                raise ForeignPickleError(f"a key of type {type(key).__name__}")
            table[key] = value

    def named(self) -> None:
        """Follow GLOBAL."""
        module = self._line()
        self.push(Named(module, self._line()))

    def stack_named(self) -> None:
        """Follow STACK_GLOBAL."""
        name, module = self._pop(str), self._pop(str)
        self.push(Named(module, name))

    def reduce(self) -> None:
        """Follow REDUCE."""
        arguments, name = self._pop(tuple), self._pop()
        if not isinstance(name, Named):
            raise ForeignPickleError(f"a call of {type(name).__name__}")
        self.push(self._call(name, arguments))

    def make(self) -> None:
        """Follow NEWOBJ, which no data needs."""
        self._pop(tuple)
        raise ForeignPickleError(str(self._pop()))

    def build(self) -> None:
        """Follow BUILD: attributes of a dict say nothing of its items; other objects have none."""
        self._pop()
        self._top(dict)

    def find(self) -> None:
        """Follow BINPERSID."""
        self.push(self._find(self._pop()))


INSTRUCTIONS: dict[bytes, Callable[[DataPickle], None]] = {
    b"\x80": lambda machine: machine.skip(1),
    b"\x95": lambda machine: machine.skip(8),
    b"(": lambda machine: machine.push(MARK),
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),
    b"\x89": lambda machine: machine.push(False),
    b"J": lambda machine: machine.number("<i"),
    b"K": lambda machine: machine.number("<B"),
    b"M": lambda machine: machine.number("<H"),
    b"G": lambda machine: machine.number(">d"),
    b"\x8a": DataPickle.long,
    b"X": lambda machine: machine.text("<I"),
    b"\x8c": lambda machine: machine.text("<B"),
    b"\x8d": lambda machine: machine.text("<Q"),
    b")": lambda machine: machine.push(()),
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"t": DataPickle.marked_tuple,
    b"]": lambda machine: machine.push([]),
    b"a": DataPickle.append,
    b"e": DataPickle.appends,
    b"}": lambda machine: machine.push({}),
    b"s": DataPickle.set_item,
    b"u": DataPickle.set_items,
    b"q": lambda machine: machine.put("<B"),
    b"r": lambda machine: machine.put("<I"),
    b"\x94": DataPickle.memoize,
    b"h": lambda machine: machine.get("<B"),
    b"j": lambda machine: machine.get("<I"),
    b"c": DataPickle.named,
    b"\x93": DataPickle.stack_named,
    b"R": DataPickle.reduce,
    b"\x81": DataPickle.make,
    b"b": DataPickle.build,
    b"Q": DataPickle.find,
}
