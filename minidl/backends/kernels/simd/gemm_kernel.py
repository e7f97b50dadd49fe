"""The micro-kernel of matrix products: a packed panel, prefetching, a bias and a clamp.

It is that of `micro_kernel` with less to load, since the rows of a panel lie one after the other,
and more to do.  At each step a cache line of what is needed later is prefetched: a factor from
memory or the third-level cache would be waited for.  The accumulators begin with the bias, and are
clamped before they are stored, so that out is not read and written once more.
"""

from typing import Any

from minidl.backends.kernels.runtime.kernel import intrinsic, outlined
from minidl.backends.kernels.simd.intrinsics import (
    INT,
    LANES,
    advance,
    broadcast,
    load,
    multiply_add,
    order_after,
    prefetch,
)
from minidl.backends.kernels.simd.micro_kernel import MR, NR, NR_VECTORS, accumulate, positions

# depth, run, a, rows, depth_a, panel, out, row_stride, add, bias, clamp_min, ahead, lines
_TILE = "i64 i64 f32* i64* i64* f32* f32* i64 i64 f32* f32 f32* i64*"


def _tile(mr: int, vectors: int) -> Any:
    """The micro-kernel for a tile of mr rows and this many vectors, of which b is packed."""

    @intrinsic(_TILE)
    def kernel(
        builder, depth, run, a, rows, depth_a, panel, out, row_stride, add, bias, clamp_min, ahead,
        lines,
    ):  # fmt: skip
        fused = multiply_add(builder.module)
        rows = [builder.load(builder.gep(rows, [INT(i)])) for i in range(mr)]
        targets = {
            (i, v): builder.gep(out, [builder.add(builder.mul(row_stride, INT(i)), INT(v * LANES))])
            for i, v in positions(mr, vectors)
        }
        biases = [load(builder, builder.gep(bias, [INT(v * LANES)])) for v in range(vectors)]

        def outer_product(k, accumulators):
            b_row = builder.gep(panel, [builder.mul(k, INT(NR))])
            a_column = builder.gep(a, [builder.load(builder.gep(depth_a, [k]))])
            prefetch(builder, builder.gep(ahead, [builder.load(builder.gep(lines, [k]))]))
            b_vectors = [
                load(builder, builder.gep(b_row, [INT(v * LANES)])) for v in range(vectors)
            ]
            updated = {}
            for i in range(mr):
                factor = broadcast(builder, builder.load(builder.gep(a_column, [rows[i]])))
                for v in range(vectors):
                    summands = [factor, b_vectors[v], accumulators[i, v]]
                    updated[i, v] = builder.call(fused, summands)
                a_column = order_after(builder, a_column, [updated[i, v] for v in range(vectors)])
            return updated

        first = {(i, v): biases[v] for i, v in targets}
        adds = builder.icmp_signed("!=", add, INT(0))
        accumulate(builder, run, depth, targets, adds, outer_product, first, clamp_min)

    return kernel


_one, _two = _tile(MR, 1), _tile(MR, 2)
_three = _tile(MR, 3) if NR_VECTORS == 3 else _two


@outlined("i64 i64 i64 i64 f32* i64* i64* f32* f32* i64 i64 f32* f32 f32* i64 i64*")
def multiply_panel(
    count, vectors, depth, run, a, rows, depth_a, panel, out, row_stride, add, bias, clamp_min,
    ahead, step, lines,
):  # fmt: skip
    """out = max(bias + a · a packed panel, clamp_min), for `count` rows; or added to out.

    The panel has at most NR_VECTORS vectors of columns, and rows of NR elements.  With runs the
    bias has to be zero, as it is added in each.

    ahead, lines    while tile t is computed, elements ahead[t·step + lines[k]] are prefetched
    """
    if vectors == 3:
        for i in range(0, count, MR):
            _three(
                depth, run, a, advance(rows, i), depth_a, panel, advance(out, i * row_stride),
                row_stride, add, bias, clamp_min, advance(ahead, i // MR * step), lines,
            )  # fmt: skip
    elif vectors == 2:
        for i in range(0, count, MR):
            _two(
                depth, run, a, advance(rows, i), depth_a, panel, advance(out, i * row_stride),
                row_stride, add, bias, clamp_min, advance(ahead, i // MR * step), lines,
            )  # fmt: skip
    else:
        for i in range(0, count, MR):
            _one(
                depth, run, a, advance(rows, i), depth_a, panel, advance(out, i * row_stride),
                row_stride, add, bias, clamp_min, advance(ahead, i // MR * step), lines,
            )  # fmt: skip
