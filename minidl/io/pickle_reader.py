"""A restricted unpickler: pickles read as plain data, without importing or calling what they name.

A pickle is a program for a stack machine with a memo.  Only the opcodes that plain data needs are
implemented, of protocols 2 to 5 (the standard module pickletools documents all):

    GLOBAL, STACK_GLOBAL    push what the host has registered for a name: a `Global`, or a value
    REDUCE                  calls the function of a `Global`, one of this package
    BUILD, BINPERSID        delegate to the host: an object with its state, or an identifier

Memory is bounded by the bytes read.  A call may copy its arguments, and one long string in the memo
may be passed to a million calls, so the total size of arguments is limited to a few times the
pickle's length.  Keys of dicts and sets are of types whose hashes are cheap.
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
_COPIED = (str, bytes, bytearray, list, tuple, dict, set, frozenset)  # types that calls copy
_COPIES = 8  # the limit of copied bytes per byte of the pickle


@dataclass(frozen=True, eq=False)
class Global:
    """The stand-in for a global name; `make`, if any, is the function that a call runs."""

    name: str
    make: Callable[..., Any] | None = None


class Host(Protocol):
    """The resolver of names, persistent identifiers and object states."""

    def find(self, name: str) -> Any:
        """The stand-in for a global, "collections.OrderedDict" say; an error if there is none."""

    def persistent(self, identifier: Any) -> Any:
        """The object for a persistent identifier."""

    def build(self, value: Any, state: Any) -> Any:
        """The object with its pickled state applied."""


class Source:
    """The bytes of a pickle: at most `size` bytes of a file from its current position."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self._file, self._left = file, size

    def take(self, count: int) -> bytes:
        """The next bytes, without allocating more than there are."""
        self._left -= count
        content = self._file.read(count) if self._left >= 0 else b""
        if len(content) < count:
            raise CheckpointError("its pickle ends early")
        return content

    def line(self) -> str:
        """The text up to the next line feed."""
        content = self._file.readline(_LONGEST_NAME)
        self._left -= len(content)
        if self._left < 0 or not content.endswith(b"\n"):
            raise CheckpointError("its pickle ends early, or has a name that is too long")
        return content[:-1].decode()


def read_pickle(source: Source, host: Host) -> Any:
    """The value of the next pickle; the source is left at its end.

    CheckpointError for invalid pickles and for opcodes that plain data does not need.
    """
    machine = _Machine(source, host)
    try:
        while (opcode := source.take(1)) != b".":
            if opcode not in _OPCODES:
                raise CheckpointError(
                    f"its pickle has the instruction {opcode!r}, which plain data does not need"
                )
            _OPCODES[opcode](machine)
        return machine.stack.pop()
    except MinidlError:
        raise
    except WRONG_VALUES as error:
        raise CheckpointError(f"its pickle is damaged ({error!s:.100})") from None


def make_key(value: Any) -> Any:
    """The value; CheckpointError unless its type is allowed for keys and members of sets."""
    parts = value if type(value) is tuple else (value,)
    if not all(type(part) in _KEYS for part in parts):
        raise CheckpointError(f"its pickle has a key that is a {type(value).__name__}")
    return value


def make_dict(items: Any = ()) -> dict[Any, Any]:
    """A dict from another, or from pairs."""
    pairs = items.items() if type(items) is dict else items
    return {make_key(key): value for key, value in pairs}


class _Machine:
    """The stack machine: the stack, the stacks below its marks, and the memo."""

    def __init__(self, source: Source, host: Host) -> None:
        self.take, self.line, self.host = source.take, source.line, host
        self._budget = _COPIES * source.size  # of bytes that calls may copy
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def top(self, kind: type) -> Any:
        """The top of the stack, which must be of this type."""
        if type(self.stack[-1]) is not kind:
            raise TypeError(f"a {type(self.stack[-1]).__name__} instead of a {kind.__name__}")
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

    def integer(self, layout: str) -> None:
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
        self._budget -= sum(len(part) for part in arguments if type(part) in _COPIED)
        if self._budget < 0:
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


_Operation = Callable[[_Machine], Any]


def _pushes_number(layout: str) -> _Operation:
    return lambda machine: machine.stack.append(machine.number(layout))


def _pushes_bytes(layout: str, kind: type) -> _Operation:
    return lambda machine: machine.stack.append(kind(machine.take(machine.number(layout))))


def _pushes(make: Callable[[], Any]) -> _Operation:
    return lambda machine: machine.stack.append(make())


def _does(method: Callable[[_Machine, Any], None], argument: Any) -> _Operation:
    return lambda machine: method(machine, argument)


_OPCODES: dict[bytes, _Operation] = {
    b"\x80": _Machine.protocol,
    b"\x95": lambda machine: machine.take(8),  # FRAME: a size for reading ahead
    b"J": _pushes_number("<i"),
    b"K": _pushes_number("<B"),
    b"M": _pushes_number("<H"),
    b"G": _pushes_number(">d"),
    b"\x8a": _does(_Machine.integer, "<B"),
    b"\x8b": _does(_Machine.integer, "<I"),
    b"U": _does(_Machine.text, "<B"),  # strings of Python 2
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
