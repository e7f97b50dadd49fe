"""Pickles read as plain data: nothing that a file names is ever imported or called.

A pickle is a program for a machine with a stack and a memo.  Here only those instructions exist
that plain data is made of, in protocols 2 to 5 (Python's module pickletools lists them all):

    GLOBAL, STACK_GLOBAL    put what the host has for a name: a `Global`, or a value
    REDUCE                  calls the function that a `Global` brings, one of this package
    BUILD, BINPERSID        ask the host, with an object and its state, or with an identifier

Memory grows with the bytes that were read: what a call is given, it may copy, and one long text in
the memo can be given to a million calls, so all together are given a few times the pickle's length.
Keys of dicts and sets are of kinds whose hashes are cheap.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from minidl.errors import MinidlError
from minidl.io.errors import CheckpointError

WRONG_VALUES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)

_LONGEST_NAME = 1000  # bytes of one line of GLOBAL
_KEYS = (str, int, float, complex, bool, bytes, type(None))
_COPIED = (str, bytes, bytearray, list, tuple, dict, set, frozenset)  # by what calls do here
_COPIES = 8  # of each byte of a pickle, by calls


@dataclass(frozen=True, eq=False)
class Global:
    """What stands for a name that pickles use; `make`, if any, is what calling it does here."""

    name: str
    make: Callable[..., Any] | None = None


class Host(Protocol):
    """What the owner of a pickle decides."""

    def find(self, name: str) -> Any:
        """What stands for a global, such as "collections.OrderedDict"; an error if nothing does."""

    def persistent(self, identifier: Any) -> Any:
        """The object of a persistent identifier."""

    def build(self, value: Any, state: Any) -> Any:
        """The object with the state that was pickled beside it."""


class Source:
    """The bytes of a pickle: those of a file from its position on, `left` (its `size`) at most."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self.size = left
        self._file, self._left = file, left

    def take(self, count: int) -> bytes:
        """The next bytes; no memory is taken for more than there are."""
        self._left -= count
        found = self._file.read(count) if self._left >= 0 else b""
        if len(found) < count:
            raise CheckpointError("its pickle ends early")
        return found

    def line(self) -> str:
        """The text up to the next line feed."""
        found = self._file.readline(_LONGEST_NAME)
        self._left -= len(found)
        if self._left < 0 or not found.endswith(b"\n"):
            raise CheckpointError("its pickle ends early, or has a name that is too long")
        return found[:-1].decode()


def read_pickle(source: Source, host: Host) -> Any:
    """The value of the next pickle; the source is left at its end.

    What is no pickle, or has other instructions than plain data needs, is a CheckpointError.
    """
    machine = _Machine(source, host)
    try:
        while (code := source.take(1)) != b".":
            if code not in _STEPS:
                raise CheckpointError(
                    f"its pickle has the instruction {code!r}, which plain data does not need"
                )
            _STEPS[code](machine)
        return machine.stack.pop()
    except MinidlError:
        raise
    except WRONG_VALUES as error:
        raise CheckpointError(f"its pickle is damaged ({error!s:.100})") from None


def make_key(value: Any) -> Any:
    """The value, if it may be a key of a dict or a member of a set."""
    parts = value if type(value) is tuple else (value,)
    if not all(type(part) in _KEYS for part in parts):
        raise CheckpointError(f"its pickle has a key that is a {type(value).__name__}")
    return value


def make_dict(items: Any = ()) -> dict[Any, Any]:
    """A dict of another, or of pairs."""
    pairs = items.items() if type(items) is dict else items
    return {make_key(key): value for key, value in pairs}


class _Machine:
    """The stack, the stacks below its marks, and the memo."""

    def __init__(self, source: Source, host: Host) -> None:
        self.take, self.line, self.host = source.take, source.line, host
        self._room = _COPIES * source.size
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def top(self, kind: type) -> Any:
        """The top of the stack, which must be of a kind."""
        if type(self.stack[-1]) is not kind:
            raise TypeError(f"a {type(self.stack[-1]).__name__} in the place of a {kind.__name__}")
        return self.stack[-1]

    def protocol(self) -> None:
        if (version := self.number("<B")) > 5:
            raise CheckpointError(f"its pickle is of protocol {version}, newer than 5")

    def mark(self) -> None:
        self._below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self._below.pop()
        return items

    def text(self, layout: str) -> None:
        self.stack.append(self.take(self.number(layout)).decode(errors="surrogatepass"))

    def whole_number(self, layout: str) -> None:
        self.stack.append(int.from_bytes(self.take(self.number(layout)), "little", signed=True))

    def put(self, layout: str) -> None:
        self._memo[self.number(layout)] = self.stack[-1]

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def get(self, layout: str) -> None:
        self.stack.append(self._memo[self.number(layout)])

    def tuple_of(self, count: int) -> None:
        items = tuple(self.stack.pop() for _ in range(count))
        self.stack.append(items[::-1])

    def tuple_since_mark(self) -> None:
        items = self.since_mark()
        self.stack.append(tuple(items))

    def frozenset_since_mark(self) -> None:
        items = self.since_mark()
        self.stack.append(frozenset(map(make_key, items)))

    def append(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def add(self, items: list[Any]) -> None:
        self.top(set).update(map(make_key, items))

    def set_items(self, items: list[Any]) -> None:
        pairs = zip(items[::2], items[1::2], strict=True)
        self.top(dict).update(make_dict(pairs))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def find(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError("a name that is no text")
        self.stack.append(self.host.find(f"{module}.{name}"))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.find(module, name)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global or function.make is None or type(arguments) is not tuple:
            called = getattr(function, "name", f"a {type(function).__name__}")
            raise CheckpointError(f"its pickle calls {called}, which is no function here")
        self._room -= sum(len(part) for part in arguments if type(part) in _COPIED)
        if self._room < 0:
            raise CheckpointError("its pickle asks for copies of far more than it has bytes")
        try:
            self.stack.append(function.make(*arguments))
        except MinidlError:
            raise
        except WRONG_VALUES as error:
            raise CheckpointError(f"its {function.name} is damaged ({error!s:.100})") from None

    def build(self) -> None:
        state, value = self.stack.pop(), self.stack.pop()
        self.stack.append(self.host.build(value, state))


_Step = Callable[[_Machine], Any]


def _pushes_number(layout: str) -> _Step:
    return lambda machine: machine.stack.append(machine.number(layout))


def _pushes_bytes(layout: str, kind: type) -> _Step:
    return lambda machine: machine.stack.append(kind(machine.take(machine.number(layout))))


def _pushes(make: Callable[[], Any]) -> _Step:
    return lambda machine: machine.stack.append(make())


def _does(method: Callable[[_Machine, Any], None], argument: Any) -> _Step:
    return lambda machine: method(machine, argument)


_STEPS: dict[bytes, _Step] = {
    b"\x80": _Machine.protocol,
    b"\x95": lambda machine: machine.take(8),  # FRAME: how far to read ahead
    b"J": _pushes_number("<i"),
    b"K": _pushes_number("<B"),
    b"M": _pushes_number("<H"),
    b"G": _pushes_number(">d"),
    b"\x8a": _does(_Machine.whole_number, "<B"),
    b"\x8b": _does(_Machine.whole_number, "<I"),
    b"U": _does(_Machine.text, "<B"),  # the texts of Python 2
    b"T": _does(_Machine.text, "<I"),
    b"X": _does(_Machine.text, "<I"),
    b"\x8c": _does(_Machine.text, "<B"),
    b"\x8d": _does(_Machine.text, "<Q"),
    b"C": _pushes_bytes("<B", bytes),
    b"B": _pushes_bytes("<I", bytes),
    b"\x8e": _pushes_bytes("<Q", bytes),
    b"\x96": _pushes_bytes("<Q", bytearray),
    b"N": _pushes(lambda: None),
    b"\x88": _pushes(lambda: True),
    b"\x89": _pushes(lambda: False),
    b")": _pushes(tuple),
    b"]": _pushes(list),
    b"}": _pushes(dict),
    b"\x8f": _pushes(set),
    b"(": _Machine.mark,
    b"t": _Machine.tuple_since_mark,
    b"\x85": _does(_Machine.tuple_of, 1),
    b"\x86": _does(_Machine.tuple_of, 2),
    b"\x87": _does(_Machine.tuple_of, 3),
    b"\x91": _Machine.frozenset_since_mark,
    b"a": lambda machine: machine.append([machine.stack.pop()]),
    b"e": lambda machine: machine.append(machine.since_mark()),
    b"\x90": lambda machine: machine.add(machine.since_mark()),
    b"s": _Machine.set_item,
    b"u": lambda machine: machine.set_items(machine.since_mark()),
    b"q": _does(_Machine.put, "<B"),
    b"r": _does(_Machine.put, "<I"),
    b"\x94": _Machine.memoize,
    b"h": _does(_Machine.get, "<B"),
    b"j": _does(_Machine.get, "<I"),
    b"c": lambda machine: machine.find(machine.line(), machine.line()),
    b"\x93": _Machine.stack_global,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
    b"Q": lambda machine: machine.stack.append(machine.host.persistent(machine.stack.pop())),
}
