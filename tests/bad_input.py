"""Bad input, generated: a right call of a public function, spoilt one argument at a time.

    CALLS = [call(minidl.sum, real(3, 4), axis=0), call(nn.Conv2d(3, 4, 3), real(2, 3, 8, 8)), …]

    @every_spoilt(CALLS)
    def test_bad_input(spoilt):
        spoilt.check()

How an argument is spoilt follows from its kind.  Some values can never be right (None instead of
an array, an axis that does not exist): they must be refused.  Some may be right (one more axis,
another dtype): they must be refused, or give a result without a warning of NumPy's.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.errors import MinidlError, MinidlWarning


def real(*shape, dtype="float32"):
    """Numbers between 0.1 and 0.9, inside the domain of most functions."""
    return minidl.asarray(np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(dtype))


def whole(*shape, dtype="int64", below=3):
    """Non-negative integers."""
    return minidl.asarray(np.random.default_rng(0).integers(0, below, shape).astype(dtype))


class _Thing:
    """An object that is no argument of anything."""

    def __repr__(self):
        return "<a thing>"


THING = _Thing()
NEVER_ARRAYS = {"None": None, "text": "text", "thing": _Thing(), "ragged": [[1.0], [2.0, 3.0]]}
NEVER_AXES = {"axis 99": 99, "axis -99": -99, "axis 1.5": 1.5, "axis text": "a"}
NEVER_NUMBERS = {"text": "text", "thing": _Thing(), "list": [[1]]}
NEVER_DTYPES = {"float31": "float31", "thing": _Thing(), "number": 3}
NEVER_DEVICES = {"abacus": "abacus", "gpu:7": "gpu:7", "number": 3}
NEVER_SHAPES = {"text": "text", "fraction": (1.5,), "thing": _Thing(), "words": ("a", "b")}
MAYBE_NUMBERS = {"None": None, "NaN": float("nan"), "-1000": -1000, "0": 0, "fraction": 0.5}
MAYBE_SHAPES = {"None": None, "negative": (-3,), "empty": (), "long": (1,) * 9, "zero": (0,)}


def maybe_arrays(x):
    """Arrays that may or may not be right where x is."""
    shaped = {
        "0-d": (),
        "one axis": (7,),
        "one axis more": (1, *x.shape),
        "other sizes": tuple(n + 1 for n in x.shape),
        "one axis less": x.shape[1:],
        "empty": (0,),
        "empty of the same rank": (0,) * x.ndim,
    }
    for label, shape in shaped.items():
        yield label, minidl.zeros(shape, dtype=x.dtype)
    for dtype in ("bool", "uint8", "int64", "float16", "float64", "complex64"):
        if dtype != x.dtype.name:
            yield dtype, minidl.ones(x.shape, dtype=dtype)
    if x.dtype.kind == "f":
        yield "NaN", x * float("nan")
    if x.dtype.kind == "i":
        yield "out of bounds", x + 10**6
        yield "negative", x - 10**6


@dataclass(frozen=True)
class Call:
    """A right call of a function, and the names by which errors may call it."""

    function: Callable
    args: tuple
    kwargs: dict
    names: tuple[str, ...]
    allowed: frozenset[str] = field(default_factory=frozenset)

    def run(self) -> Any:
        return self.function(*self.args, **self.kwargs)

    def with_argument(self, key: int | str, value: Any) -> "Call":
        args, kwargs = list(self.args), dict(self.kwargs)
        (args if isinstance(key, int) else kwargs)[key] = value
        return Call(self.function, tuple(args), kwargs, self.names, self.allowed)


def call(function, *args, names=(), allowed=(), **kwargs) -> Call:
    """A right call.

    names     what errors may call the function, besides its own name
    allowed   labels of what is right here though it seldom is, as "0: None" or "axis: axis 1.5"
    """
    own = getattr(function, "__name__", type(function).__name__)
    return Call(function, args, kwargs, (own, *names), frozenset(allowed))


@dataclass(frozen=True)
class Spoilt:
    """A call with one argument replaced."""

    call: Call
    label: str
    never: bool  # whether it cannot be right

    def check(self) -> None:
        """It is refused by an error of minidl's that names the function; or it may be right."""
        refusal = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MinidlWarning)  # as of a wider dtype
                self.call.run()
        except MinidlError as error:
            refusal = str(error)
        if refusal is None:
            assert not self.never or self.label in self.call.allowed, "not refused"
        else:
            named = any(_plain(name) in _plain(refusal) for name in self.call.names)
            assert named, f"the error does not name {self.call.names}: {refusal}"

    def __repr__(self):
        return f"{self.call.names[0]} {self.label}"


def _plain(text: str) -> str:
    """Letters and digits alone, so that `Conv2d` is found in `conv2d(…)`."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _replacements(key, value) -> Iterator[tuple[str, Any, bool]]:
    """The values that replace an argument, each with a label and whether it is never right."""
    if key in ("axis", "axes", "dim"):
        never, maybe = NEVER_AXES, {"repeated": (0, 0), "None": None}
    elif key == "dtype":
        never, maybe = NEVER_DTYPES, {"complex64": "complex64", "bool": "bool"}
    elif key == "device":
        never, maybe = NEVER_DEVICES, {}
    elif isinstance(value, minidl.Tensor):
        never, maybe = NEVER_ARRAYS, dict(maybe_arrays(value))
    elif isinstance(value, bool) or value is None or isinstance(value, str):
        never, maybe = {"thing": _Thing()}, {}
    elif isinstance(value, int | float):
        never, maybe = NEVER_NUMBERS, MAYBE_NUMBERS
    elif isinstance(value, tuple | list) and all(isinstance(n, int) for n in value):
        never, maybe = NEVER_SHAPES, MAYBE_SHAPES
    elif isinstance(value, tuple | list) and value and isinstance(value[0], minidl.Tensor):
        never = {"None": None, "None inside": [None, *value], "empty": [], "thing": _Thing()}
        maybe = {"other shapes": [*value, minidl.zeros((7, 7, 7))], "a tensor": value[0]}
    else:
        never, maybe = {"thing": _Thing()}, {}
    yield from ((label, new, True) for label, new in never.items())
    yield from ((label, new, False) for label, new in maybe.items())


def spoil(right: Call) -> Iterator[Spoilt]:
    """The call, spoilt in every way."""
    right.run()
    for key, value in [*enumerate(right.args), *right.kwargs.items()]:
        for label, new, never in _replacements(key, value):
            yield Spoilt(right.with_argument(key, new), f"{key}: {label}", never)


@dataclass(frozen=True)
class EverySpoilt:
    """A right call, to be spoilt in every way."""

    right: Call

    def check(self) -> None:
        """Each spoilt call is refused, or may be right."""
        failures = []
        for spoilt in spoil(self.right):
            try:
                spoilt.check()
            except Exception as error:
                failures.append(f"{spoilt!r}: {type(error).__name__}: {error}")
        assert not failures, "\n".join(failures)


def every_spoilt(calls):
    """A decorator: the test runs once for each call, which it checks spoilt in every way."""
    names = [right.names[0] for right in calls]
    return pytest.mark.parametrize("spoilt", [EverySpoilt(right) for right in calls], ids=names)


def refused(name, function):
    """What a function does is refused by an error of minidl's that names `name`."""
    with pytest.raises(MinidlError) as caught:
        function()
    assert name.lower() in str(caught.value).lower()
