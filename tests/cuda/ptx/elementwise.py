"""What each opcode that works on registers gives, by Python and NumPy: CASES by opcode."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .one_instruction import DTYPES
from .reference import exact_operation, flushed, same, saturated
from .syntax import SIZES

CASES: dict[str, Callable[["Call"], "Case"]] = {}


@dataclass
class Case:
    """Types of operands and results, the function, and the instructions if not the plain one."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reference: Callable[..., Any]
    text: str = ""
    error: Callable[..., Any] | None = None  # how far a result may be from the exact one
    prepare: Callable[[list], list] = lambda operands: operands


def case(*opcodes: str) -> Callable:
    """Register the case of opcodes."""

    def register(function: Callable[["Call"], Case]) -> Callable[["Call"], Case]:
        for opcode in opcodes:
            CASES[opcode] = function
        return function

    return register


class Call:
    """An opcode with its modifiers, and what it is to give."""

    def __init__(self, opcode: str, modifiers: dict[str, str]) -> None:
        self.opcode, self.modifiers = opcode, modifiers
        self.name = opcode.split(".")[0]
        self.parts = opcode.split(".")[1:]
        self.type = modifiers.get("type", "")
        self.mode = modifiers.get("round") or "rn"
        self._case = CASES[self.name](self)

    def __getitem__(self, modifier: str) -> str:
        return self.modifiers.get(modifier, "")

    def has(self, part: str) -> bool:
        """Whether the opcode contains .part."""
        return part in self.parts

    is_legal = property(lambda self: not (self.has("sat") and self.has("relu")))
    inputs = property(lambda self: self._case.inputs)
    outputs = property(lambda self: self._case.outputs)
    prepare = property(lambda self: self._case.prepare)

    def text(self) -> str:
        """The instructions."""
        results = "|".join(f"d{i}" for i in range(len(self.outputs)))
        operands = ", ".join([results, *(f"a{i}" for i in range(len(self.inputs)))])
        return self._case.text or f"{self.opcode} {operands};"

    def wanted(self, operands: list[np.ndarray]) -> list[np.ndarray]:
        """The exact results."""
        with np.errstate(all="ignore"):
            results = self._case.reference(*operands)
        results = results if isinstance(results, tuple) else (results,)
        return [wrapped(r, k) for r, k in zip(results, self.outputs, strict=True)]

    def agrees(self, got: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Where a result is as near as it must be."""
        if self.type == "f16x2":
            return same(got.view("f2"), wanted.view("f2")).reshape(-1, 2).all(1)
        equal = same(got, wanted)
        if self._case.error is None:
            return equal
        with np.errstate(all="ignore"):
            return equal | (np.abs(got.astype("f8") - wanted) <= self._case.error(wanted))


def wrapped(result: Any, kind: str) -> np.ndarray:
    """Integers modulo 2^n, as an array of the type."""
    dtype, result = DTYPES[kind], np.asarray(result)
    if dtype.kind == "f" or result.dtype != object:
        return result if dtype.kind == "f" else result.astype(dtype)
    bits = 8 * dtype.itemsize
    unsigned = np.array([int(x) % 2**bits for x in result], np.uint64).astype(f"u{dtype.itemsize}")
    return unsigned.view(dtype)


def big(*arrays: np.ndarray) -> list[np.ndarray]:
    """Integers without bounds."""
    return [a.astype(object) for a in arrays]


def each(function: Callable[..., int]) -> Callable[..., np.ndarray]:
    """A function of Python integers, for each element."""

    def all_of(*arrays: np.ndarray) -> np.ndarray:
        result = np.empty(len(arrays[0]), object)
        result[:] = [function(*row) for row in zip(*big(*arrays), strict=True)]
        return result

    return all_of


def _clamp(x: int, kind: str) -> int:
    info = np.iinfo(DTYPES[kind])
    return max(int(info.min), min(int(info.max), x))


def halves(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A function of float16, for both halves of words."""

    def both(*words: np.ndarray) -> np.ndarray:
        views = [np.ascontiguousarray(w).view("f2").reshape(-1, 2) for w in words]
        parts = [np.asarray(function(*(v[:, i].copy() for v in views)), "f2") for i in (0, 1)]
        return np.stack(parts, 1).copy().view("u4").reshape(-1)

    return both


def _finish(call: Call, result: np.ndarray) -> np.ndarray:
    if call.has("ftz") and result.dtype == np.float32:
        result = flushed(result)
    if call.has("relu"):
        result = np.where((result > 0) | np.isnan(result), result, 0).astype(result.dtype)
    return saturated(result) if call.has("sat") else result


def floats(call: Call, arity: int, function: Callable[..., np.ndarray]) -> Case:
    """A case of floating-point operands: halves one by one, float32 flushed where .ftz says so."""

    def reference(*operands: np.ndarray) -> np.ndarray:
        if call.has("ftz") and operands[0].dtype == np.float32:
            operands = tuple(flushed(x) for x in operands)
        return _finish(call, np.asarray(function(*operands), operands[0].dtype))

    both = halves(reference) if call.type == "f16x2" else reference
    return Case((call.type,) * arity, (call.type,), both)


# Arithmetic

_INTEGER = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "min": min,
    "max": max,
}


@case("add", "sub", "min", "max")
def _two(call: Call) -> Case:
    if call.has("cc"):
        return _carried(call)
    if call.type.startswith("f"):
        if call.name in ("add", "sub"):
            return floats(call, 2, lambda *x: exact_operation(call.name, list(x), call.mode))
        return floats(call, 2, lambda a, b: _float_extreme(call, a, b))
    function = _INTEGER[call.name]
    if call.has("sat"):
        return Case(
            (call.type,) * 2, (call.type,), each(lambda a, b: _clamp(function(a, b), "s32"))
        )
    return Case((call.type,) * 2, (call.type,), each(function))


def _float_extreme(call: Call, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    least = call.name == "min"
    first = np.where(a == b, np.signbit(a) == least, (a < b) == least)
    result = np.where(first, a, b)
    result = np.where(np.isnan(a), b, np.where(np.isnan(b), a, result))
    return np.where(np.isnan(a) | np.isnan(b), np.nan, result) if call.has("NaN") else result


def _carried(call: Call) -> Case:
    """add.cc, sub.cc, addc, subc: the carry before is that of a2 + a3; after, it is d1."""
    kind, least = call.type, call.name[:3]
    bits = 8 * SIZES[kind]
    takes, keeps = call.name.endswith("c"), call.has("cc")
    sign = 1 if least == "add" else -1
    mask = 2**bits - 1

    def reference(*rows: np.ndarray) -> tuple:
        carry = each(lambda a, b, c, d: int((c & mask) + (d & mask) > mask))(*rows)
        total = [
            (a & mask) + sign * (b & mask) + (sign * k if takes else 0)
            for a, b, k in zip(*big(*rows[:2]), carry, strict=True)
        ]
        out = [int(not 0 <= t <= mask) * sign for t in total] if keeps else [0] * len(total)
        return np.array(total, object), np.array(out, object)

    text = (
        f".reg .b{bits} y; add.cc.u{bits} y, a2, a3; {call.opcode} d0, a0, a1; mov.b{bits} d1, 0;"
    )
    text += f"{least}c.{kind} d1, 0, 0;" if keeps else ""
    return Case((kind,) * 4, (kind, kind), reference, text)


CASES["addc"] = CASES["subc"] = _carried


@case("mul", "mad", "madc")
def _product(call: Call) -> Case:
    kind = call.type
    if kind.startswith("f"):
        if call.name == "mul":
            return floats(call, 2, lambda *x: exact_operation("mul", list(x), call.mode))
        return floats(call, 3, lambda *x: exact_operation("fma", list(x), call.mode))
    bits, part = 8 * SIZES[kind], call["part"] or "hi"
    out = f"{kind[0]}{2 * bits}" if part == "wide" else kind
    shift = bits if part == "hi" else 0
    if call.name == "madc" or call.has("cc"):
        return _product_with_carry(call, shift)
    if call.name == "mul":
        return Case((kind,) * 2, (out,), each(lambda a, b: a * b >> shift))
    total = each(lambda a, b, c: (a * b >> shift) + c)
    if call.has("sat"):
        total = each(lambda a, b, c: _clamp((a * b >> 32) + c, "s32"))
    return Case((kind, kind, out), (out,), total)


def _product_with_carry(call: Call, shift: int) -> Case:
    kind, bits = call.type, 8 * SIZES[call.type]
    mask = 2**bits - 1
    takes, keeps = call.name == "madc", call.has("cc")

    def reference(*rows: np.ndarray) -> tuple:
        totals = each(
            lambda a, b, c, d, e: (
                ((a * b >> shift) & mask)
                + (c & mask)
                + (int((d & mask) + (e & mask) > mask) if takes else 0)
            )
        )(*rows)
        return totals, np.array([int(t > mask) if keeps else 0 for t in totals], object)

    text = f".reg .b{bits} y; add.cc.u{bits} y, a3, a4; {call.opcode} d0, a0, a1, a2;"
    text += f"addc.{kind} d1, 0, 0;" if keeps else f"mov.b{bits} d1, 0;"
    return Case((kind,) * 5, (kind, kind), reference, text)


@case("mul24", "mad24")
def _product24(call: Call) -> Case:
    signed, shift = call.type == "s32", 16 if call["part"] == "hi" else 0

    def narrow(x: int) -> int:
        x &= 0xFFFFFF
        return x - 2**24 if signed and x >= 2**23 else x

    count = 3 if call.name == "mad24" else 2
    total = each(lambda a, b, c=0: (narrow(a) * narrow(b) >> shift) + c)
    return Case((call.type,) * count, (call.type,), total)


@case("fma")
def _fused(call: Call) -> Case:
    return floats(call, 3, lambda *x: exact_operation("fma", list(x), call.mode))


@case("div")
def _quotient(call: Call) -> Case:
    if call["how"]:
        made = floats(call, 2, _approximate_quotient if call["how"] == "approx" else np.divide)
        made.error = lambda wanted: np.abs(wanted) * 2.0**-22
        return made
    if call.type.startswith("f"):
        return floats(call, 2, lambda *x: exact_operation("div", list(x), call.mode))
    return _division(call, lambda a, b: (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1))


def _approximate_quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The PTX manual: for 2^126 < |b| < 2^128 the result is 0, of an infinity NaN."""
    large = (np.abs(b) > 2.0**126) & np.isfinite(b)
    zero = np.copysign(np.float32(0), np.copysign(1, a) * np.copysign(1, b))
    special = np.where(np.isinf(a) | np.isnan(a), np.float32(np.nan), zero)
    return np.where(large, special, a / b)


def _division(call: Call, function: Callable[[int, int], int]) -> Case:
    def prepare(operands: list) -> list:  # a division by zero is unspecified
        return [operands[0], np.where(operands[1] == 0, 1, operands[1]).astype(operands[1].dtype)]

    return Case((call.type,) * 2, (call.type,), each(function), prepare=prepare)


@case("rem")
def _remainder(call: Call) -> Case:
    return _division(call, lambda a, b: abs(a) % abs(b) * (-1 if a < 0 else 1))


@case("sad")
def _differences(call: Call) -> Case:
    return Case((call.type,) * 3, (call.type,), each(lambda a, b, c: abs(a - b) + c))


@case("dp4a")
def _dot(call: Call) -> Case:
    def byte(x: int, i: int, kind: str) -> int:
        value = x >> 8 * i & 255
        return value - 256 if kind == "s32" and value > 127 else value

    return Case(
        (call["a"], call["b"], "s32"),
        ("s32",),
        each(
            lambda x, y, c: sum(byte(x, i, call["a"]) * byte(y, i, call["b"]) for i in range(4)) + c
        ),
    )


@case("abs", "neg")
def _sign(call: Call) -> Case:
    negates = call.name == "neg"
    if call.type in ("f16", "f16x2", "bf16", "bf16x2"):
        bits = {2: 0x8000, 4: 0x80008000}[SIZES[call.type]]
        kind = f"b{8 * SIZES[call.type]}"
        return Case((kind,), (kind,), each(lambda a: a ^ bits if negates else a & ~bits))
    if call.type.startswith("f"):
        return floats(call, 1, lambda a: np.negative(a) if negates else np.abs(a))
    return Case((call.type,), (call.type,), each(lambda a: -a if negates else abs(a)))


@case("copysign")
def _copy_sign(call: Call) -> Case:
    return floats(call, 2, lambda a, b: np.copysign(b, a))


from . import elementwise_bits, elementwise_conversions, elementwise_functions  # noqa: E402,F401  more cases
