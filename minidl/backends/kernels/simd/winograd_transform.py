"""The three transforms of Winograd convolution F(2×2, 3×3), LANES tiles at a time.

    U = G g Gᵀ        V = Bᵀ d B        Y = Aᵀ M A

of the filters g (3 × 3), the tiles d of the input (4 × 4) and the products M (4 × 4), with

         ⎡  1    0    0 ⎤        ⎡ 1   0  −1   0 ⎤
    G =  ⎢ 1/2  1/2  1/2⎥   Bᵀ = ⎢ 0   1   1   0 ⎥   Aᵀ = ⎡ 1   1   1   0 ⎤
         ⎢ 1/2 −1/2  1/2⎥        ⎢ 0  −1   1   0 ⎥        ⎣ 0   1  −1  −1 ⎦
         ⎣  0    0    1 ⎦        ⎣ 0   1   0  −1 ⎦

A. Lavin, S. Gray.  Fast algorithms for convolutional neural networks.  2015, arXiv:1509.09308.
Each transform is one of vectors, applied to the rows and then to the columns.
"""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import intrinsic
from minidl.backends.kernels.simd.intrinsics import (
    EVEN_LANES,
    INT,
    INTERLEAVED,
    LANES,
    ODD_LANES,
    VECTOR,
    load,
    multiply_add,
    shuffle,
    store,
)


@intrinsic("f32* f32* i64")
def transform_filters(builder: Any, filters: Any, u: Any, stride: Any) -> None:
    """U = G g Gᵀ of LANES filters, whose nine taps are vectors one after the other."""

    def times_g(g: list[Any]) -> list[Any]:
        half = ir.Constant(VECTOR, [0.5] * LANES)
        outer = builder.fmul(builder.fadd(g[0], g[2]), half)
        inner = builder.fmul(g[1], half)
        return [g[0], builder.fadd(outer, inner), builder.fsub(outer, inner), g[2]]

    g = [load(builder, builder.gep(filters, [INT(i * LANES)])) for i in range(9)]
    rows = [times_g(g[3 * i : 3 * i + 3]) for i in range(3)]
    columns = [times_g(list(column)) for column in zip(*rows, strict=True)]
    _store_all(builder, zip(*columns, strict=True), u, stride)


@intrinsic("f32* i64 i64 f32* i64")
def transform_inputs(
    builder: Any, planes: Any, row_stride: Any, plane: Any, v: Any, stride: Any
) -> None:
    """V = Bᵀ d B of LANES tiles, two columns apart.

    The rows of the tiles alternate between two phase planes, `plane` elements apart.
    """

    def times_b(d: list[Any]) -> list[Any]:
        outer = builder.fsub(d[0], d[2]), builder.fsub(d[1], d[3])
        return [outer[0], builder.fadd(d[1], d[2]), builder.fsub(d[2], d[1]), outer[1]]

    upper = planes, builder.gep(planes, [plane])
    rows = []
    for row in (*upper, *(builder.gep(address, [row_stride]) for address in upper)):
        d = []
        for start in (0, 2):
            low = load(builder, builder.gep(row, [INT(start)]))
            high = load(builder, builder.gep(row, [INT(start + LANES)]))
            d += [shuffle(builder, low, high, lanes) for lanes in (EVEN_LANES, ODD_LANES)]
        rows.append(times_b(d))
    columns = [times_b(list(column)) for column in zip(*rows, strict=True)]
    _store_all(builder, zip(*columns, strict=True), v, stride)


@intrinsic("f32* i64 f32* f32* f32*")
def transform_outputs(
    builder: Any, m: Any, stride: Any, upper: Any, lower: Any, finite: Any
) -> None:
    """The two rows of Y = Aᵀ M A of LANES tiles.

    `finite`, a vector of zeros, becomes NaN where an element is not finite: 0·y is added to it.
    """

    def times_a(m: list[Any]) -> list[Any]:
        first = builder.fadd(builder.fadd(m[0], m[1]), m[2])
        return [first, builder.fsub(builder.fsub(m[1], m[2]), m[3])]

    m = [load(builder, builder.gep(m, [builder.mul(stride, INT(i))])) for i in range(16)]
    columns = [times_a(m[j::4]) for j in range(4)]
    check, zero = load(builder, finite), ir.Constant(VECTOR, [0.0] * LANES)
    for row, target in zip(zip(*columns, strict=True), (upper, lower), strict=True):
        left, right = times_a(list(row))
        for element in (left, right):
            check = builder.call(multiply_add(builder.module), [element, zero, check])
        store(builder, shuffle(builder, left, right, INTERLEAVED[:LANES]), target)
        rest = builder.gep(target, [INT(LANES)])
        store(builder, shuffle(builder, left, right, INTERLEAVED[LANES:]), rest)
    store(builder, check, finite)


def _store_all(builder: Any, rows: Iterable[Iterable[Any]], target: Any, stride: Any) -> None:
    """The vectors of all rows one after the other, `stride` apart."""
    for i, vector in enumerate(vector for row in rows for vector in row):
        store(builder, vector, builder.gep(target, [builder.mul(stride, INT(i))]))
