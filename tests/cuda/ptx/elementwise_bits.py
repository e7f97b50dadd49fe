"""Cases of logic, shifts and bit fields."""

import numpy as np

from .elementwise import Call, Case, case, each
from .syntax import SIZES


def _width(call: Call) -> int:
    return 8 * SIZES[call.type]


@case("and", "or", "xor", "not", "cnot")
def _logic(call: Call) -> Case:
    kind = call.type
    two = {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b}
    if call.name in two:
        return Case((kind, kind), (kind,), each(two[call.name]))
    if call.name == "cnot":
        return Case((kind,), (kind,), each(lambda a: int(a == 0)))
    return Case((kind,), (kind,), each(lambda a: 1 - a if kind == "pred" else ~a))


def _small_shifts(operands: list) -> list:
    shifts = operands[-1]
    return [*operands[:-1], np.where(np.arange(len(shifts)) % 4, shifts % 70, shifts)]


@case("shl", "shr")
def _shift(call: Call) -> Case:
    width = _width(call)

    def reference(a: int, by: int) -> int:
        by = min(by, width)
        return a << by if call.name == "shl" else a >> by

    return Case((call.type, "u32"), (call.type,), each(reference), prepare=_small_shifts)


@case("shf")
def _funnel(call: Call) -> Case:
    def reference(a: int, b: int, by: int) -> int:
        by = min(by, 32) if call["mode"] == "clamp" else by & 31
        both = b << 32 | a
        return (both << by) >> 32 if call["way"] == "l" else both >> by

    return Case(("b32", "b32", "b32"), ("b32",), each(reference), prepare=_small_shifts)


@case("lop3")
def _lookup(call: Call) -> Case:
    tables = (0xE8, 0x96, 0x1D, 0x40)

    def reference(a: int, b: int, c: int, table: int) -> int:
        bits = range(32)
        return sum(
            (table >> ((a >> i & 1) << 2 | (b >> i & 1) << 1 | c >> i & 1) & 1) << i for i in bits
        )

    def all_tables(*abc: np.ndarray) -> tuple:
        return tuple(each(lambda a, b, c, t=t: reference(a, b, c, t))(*abc) for t in tables)

    text = "".join(f"{call.opcode} d{i}, a0, a1, a2, {t};" for i, t in enumerate(tables))
    return Case(("b32",) * 3, ("b32",) * 4, all_tables, text)


def _small_fields(operands: list) -> list:
    *values, position, length = operands
    keep = np.arange(len(position)) % 4 == 0
    return [*values, np.where(keep, position, position % 70), np.where(keep, length, length % 70)]


@case("bfe")
def _extract(call: Call) -> Case:
    width, signed = _width(call), call.type[0] == "s"

    def reference(a: int, position: int, length: int) -> int:
        a, position, length = a & (2**width - 1), position & 255, length & 255
        if not length:
            return 0
        field = a >> position & (2**length - 1)
        top = min(position + length - 1, width - 1)
        if not signed or not a >> top & 1:
            return field
        kept = max(0, min(length, width - position))
        return field | -(2**kept)

    return Case((call.type, "u32", "u32"), (call.type,), each(reference), prepare=_small_fields)


@case("bfi")
def _insert(call: Call) -> Case:
    width = _width(call)

    def reference(a: int, b: int, position: int, length: int) -> int:
        position, length = position & 255, length & 255
        mask = ((2**length - 1) << position) & (2**width - 1)
        return b & ~mask | (a << position) & mask

    types = (call.type, call.type, "u32", "u32")
    return Case(types, (call.type,), each(reference), prepare=_small_fields)


@case("bfind")
def _find(call: Call) -> Case:
    width = _width(call)

    def reference(a: int) -> int:
        bits = (~a if a < 0 else a).bit_length()
        if not bits:
            return 2**32 - 1
        return width - bits if call.has("shiftamt") else bits - 1

    return Case((call.type,), ("u32",), each(reference))


@case("brev", "popc", "clz")
def _count(call: Call) -> Case:
    width = _width(call)
    functions = {
        "brev": lambda a: int(f"{a:0{width}b}"[::-1], 2),
        "popc": lambda a: f"{a:b}".count("1"),
        "clz": lambda a: width - a.bit_length(),
    }
    return Case(
        (call.type,), ("b32" if call.name != "brev" else call.type,), each(functions[call.name])
    )


@case("prmt")
def _permute(call: Call) -> Case:
    def chosen(mode: str, selection: int, i: int) -> tuple[int, int]:
        s = selection & 3
        if not mode:
            nibble = selection >> 4 * i & 15
            return nibble & 7, nibble >> 3
        tables = {  # the PTX manual's table of modes: bytes 0 to 3 of the result, for selection s
            "f4e": [s, s + 1, s + 2, s + 3],
            "b4e": [s, (s + 7) % 8, (s + 6) % 8, (s + 5) % 8],
            "rc8": [s] * 4,
            "ecl": [max(s, k) for k in range(4)],
            "ecr": [min(s, k) for k in range(4)],
            "rc16": [2 * (s & 1), 2 * (s & 1) + 1] * 2,
        }
        return tables[mode][i], 0

    def reference(a: int, b: int, selection: int) -> int:
        data, result = (b << 32 | a).to_bytes(8, "little"), 0
        for i in range(4):
            byte, sign = chosen(call["mode"], selection, i)
            value = data[byte]
            result |= ((255 if value > 127 else 0) if sign else value) << 8 * i
        return result

    return Case(("b32",) * 3, ("b32",), each(reference))
