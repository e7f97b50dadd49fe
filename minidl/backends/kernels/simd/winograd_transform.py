"""The transforms of Winograd's F(2×2, 3×3) convolution, for LANES filters or tiles at a time.

With a filter g of 3 × 3, a tile d of 4 × 4 of the input, and ⊙ the product element by element,

    u = G·g·Gᵀ,   v = Bᵀ·d·B,   y = Aᵀ·(u ⊙ v)·A

is the tile of 2 × 2 of the output: 16 products where the definition takes 36.

        ⎡ 1   0   0 ⎤          ⎡ 1   0  −1   0 ⎤
        ⎢ ½   ½   ½ ⎥          ⎢ 0   1   1   0 ⎥          ⎡ 1   1   1   0 ⎤
    G = ⎢ ½  −½   ½ ⎥     Bᵀ = ⎢ 0  −1   1   0 ⎥     Aᵀ = ⎣ 0   1  −1  −1 ⎦
        ⎣ 0   0   1 ⎦          ⎣ 0   1   0  −1 ⎦

    A. Lavin, S. Gray.  Fast algorithms for convolutional neural networks.  CVPR 2016.

Each lane of a vector belongs to another filter or tile.  A matrix is applied to the rows first, and
then to the columns.  The 16 vectors of u, v and u ⊙ v are stored `pitch` elements apart.

Cost: 32 additions for a tile of v, 24 for a tile of y; 35 operations for a filter, once.
"""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types

from minidl.backends.kernels.runtime.compile import intrinsic
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
    """u = G·g·Gᵀ of LANES filters, from 9 vectors of their weights."""

    def apply_g(builder: Any, g: list[Any]) -> list[Any]:
        half = ir.Constant(VECTOR, [0.5] * LANES)
        outer = builder.fmul(builder.fadd(g[0], g[2]), half)
        inner = builder.fmul(g[1], half)
        return [g[0], builder.fadd(outer, inner), builder.fsub(outer, inner), g[2]]

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        weights, u, pitch = arguments
        g = [load(builder, builder.gep(weights, [INT(i * LANES)])) for i in range(9)]
        rows = [apply_g(builder, g[3 * i : 3 * i + 3]) for i in range(3)]
        columns = [apply_g(builder, list(column)) for column in zip(*rows, strict=True)]
        _store_matrix(builder, zip(*columns, strict=True), u, pitch)
        return context.get_dummy_value()

    return types.void(float_pointer, float_pointer, types.int64), generate


@intrinsic
def see_squares(_: Any, planes: Any, line: Any, plane: Any, v: Any, pitch: Any) -> Any:
    """v = Bᵀ·d·B of LANES tiles, which are neighbours: each starts two columns after the last.

    Even and odd rows of the input are stored in two planes, `plane` elements apart; a tile takes
    two rows of each, `line` elements apart.
    """

    def apply_b(builder: Any, d: list[Any]) -> list[Any]:
        first, last = builder.fsub(d[0], d[2]), builder.fsub(d[1], d[3])
        return [first, builder.fadd(d[1], d[2]), builder.fsub(d[2], d[1]), last]

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        planes, line, plane, v, pitch = arguments
        upper = planes, builder.gep(planes, [plane])
        rows = []
        for row in (*upper, *(builder.gep(address, [line]) for address in upper)):
            d = []
            for start in (0, 2):
                low = load(builder, builder.gep(row, [INT(start)]))
                high = load(builder, builder.gep(row, [INT(start + LANES)]))
                d += [shuffle(builder, low, high, lanes) for lanes in (EVEN_LANES, ODD_LANES)]
            rows.append(apply_b(builder, d))
        columns = [apply_b(builder, list(column)) for column in zip(*rows, strict=True)]
        _store_matrix(builder, zip(*columns, strict=True), v, pitch)
        return context.get_dummy_value()

    return types.void(float_pointer, types.int64, types.int64, float_pointer, types.int64), generate


@intrinsic
def finish_squares(_: Any, m: Any, pitch: Any, upper: Any, lower: Any, finite: Any) -> Any:
    """The tiles of the output Aᵀ·m·A of LANES products m, in two rows.

    The vector `finite` stays 0 as long as all elements are finite: 0·∞ and 0·NaN are NaN.
    """

    def apply_a(builder: Any, m: list[Any]) -> list[Any]:
        first = builder.fadd(builder.fadd(m[0], m[1]), m[2])
        return [first, builder.fsub(builder.fsub(m[1], m[2]), m[3])]

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        m, pitch, upper, lower, finite = arguments
        m = [load(builder, builder.gep(m, [builder.mul(pitch, INT(i))])) for i in range(16)]
        columns = [apply_a(builder, m[j::4]) for j in range(4)]
        checked, zero = load(builder, finite), ir.Constant(VECTOR, [0.0] * LANES)
        for row, target in zip(zip(*columns, strict=True), (upper, lower), strict=True):
            left, right = apply_a(builder, list(row))
            for value in (left, right):
                checked = builder.call(multiply_add(builder.module), [value, zero, checked])
            store(builder, shuffle(builder, left, right, INTERLEAVED[:LANES]), target)
            rest = builder.gep(target, [INT(LANES)])
            store(builder, shuffle(builder, left, right, INTERLEAVED[LANES:]), rest)
        store(builder, checked, finite)
        return context.get_dummy_value()

    return types.void(
        float_pointer, types.int64, float_pointer, float_pointer, float_pointer
    ), generate


def _store_matrix(builder: Any, rows: Iterable[Iterable[Any]], target: Any, pitch: Any) -> None:
    """Store the vectors of a matrix row by row, `pitch` elements apart."""
    for i, vector in enumerate(vector for row in rows for vector in row):
        store(builder, vector, builder.gep(target, [builder.mul(pitch, INT(i))]))
