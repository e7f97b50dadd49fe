"""The sums of `conv_winograd`, before its products and after them, LANES squares at a time."""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.backends.kernels.simd.intrinsics import (
    EVEN_LANES,
    INT,
    INTERLEAVED,
    LANES,
    ODD_LANES,
    VECTOR,
    float_pointer,
    load,
    multiply_add,
    shuffle,
    store,
)


@intrinsic
def transform_windows(_: Any, weights: Any, u: Any, pitch: Any) -> Any:
    """The u of LANES windows, from vectors of their weights."""

    def transformed(builder: Any, g: list[Any]) -> list[Any]:
        half = ir.Constant(VECTOR, [0.5] * LANES)
        outer = builder.fmul(builder.fadd(g[0], g[2]), half)
        inner = builder.fmul(g[1], half)
        return [g[0], builder.fadd(outer, inner), builder.fsub(outer, inner), g[2]]

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        weights, u, pitch = arguments
        g = [load(builder, builder.gep(weights, [INT(i * LANES)])) for i in range(9)]
        rows = [transformed(builder, g[3 * i : 3 * i + 3]) for i in range(3)]
        columns = [transformed(builder, list(column)) for column in zip(*rows, strict=True)]
        _store_all(builder, zip(*columns, strict=True), u, pitch)
        return context.get_dummy_value()

    return types.void(float_pointer, float_pointer, types.int64), generate


@intrinsic
def see_squares(_: Any, planes: Any, line: Any, plane: Any, v: Any, pitch: Any) -> Any:
    """The v of LANES squares, from four rows, of which every other one lies in the next plane."""

    def transformed(builder: Any, d: list[Any]) -> list[Any]:
        outer = builder.fsub(d[0], d[2]), builder.fsub(d[1], d[3])
        return [outer[0], builder.fadd(d[1], d[2]), builder.fsub(d[2], d[1]), outer[1]]

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        planes, line, plane, v, pitch = arguments
        upper = planes, builder.gep(planes, [plane])
        rows = []
        for row in (*upper, *(builder.gep(address, [line]) for address in upper)):
            d = []
            for begin in (0, 2):
                both = [load(builder, builder.gep(row, [INT(begin + n)])) for n in (0, LANES)]
                d += [shuffle(builder, *both, EVEN_LANES), shuffle(builder, *both, ODD_LANES)]
            rows.append(transformed(builder, d))
        columns = [transformed(builder, list(column)) for column in zip(*rows, strict=True)]
        _store_all(builder, zip(*columns, strict=True), v, pitch)
        return context.get_dummy_value()

    return types.void(float_pointer, types.int64, types.int64, float_pointer, types.int64), generate


@intrinsic
def finish_squares(_: Any, m: Any, pitch: Any, upper: Any, lower: Any, finite: Any) -> Any:
    """LANES squares, from their products; `finite` stays 0 as long as all numbers are finite."""

    def summed(builder: Any, m: list[Any]) -> list[Any]:
        first = builder.fadd(builder.fadd(m[0], m[1]), m[2])
        return [first, builder.fsub(builder.fsub(m[1], m[2]), m[3])]

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        m, pitch, upper, lower, finite = arguments
        m = [load(builder, builder.gep(m, [builder.mul(pitch, INT(i))])) for i in range(16)]
        columns = [summed(builder, m[j::4]) for j in range(4)]
        seen, zero = load(builder, finite), ir.Constant(VECTOR, [0.0] * LANES)
        for row, target in zip(zip(*columns, strict=True), (upper, lower), strict=True):
            pair = summed(builder, list(row))
            for number in pair:
                seen = builder.call(multiply_add(builder.module), [number, zero, seen])
            store(builder, shuffle(builder, *pair, INTERLEAVED[:LANES]), target)
            rest = builder.gep(target, [INT(LANES)])
            store(builder, shuffle(builder, *pair, INTERLEAVED[LANES:]), rest)
        store(builder, seen, finite)
        return context.get_dummy_value()

    return types.void(
        float_pointer, types.int64, float_pointer, float_pointer, float_pointer
    ), generate


def _store_all(builder: Any, rows: Iterable[Iterable[Any]], target: Any, pitch: Any) -> None:
    """The vectors of some rows one after the other, so far apart."""
    for i, vector in enumerate(vector for row in rows for vector in row):
        store(builder, vector, builder.gep(target, [builder.mul(pitch, INT(i))]))
