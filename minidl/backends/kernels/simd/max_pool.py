"""Instructions of 2 × 2 max pooling: LANES windows at a time.

The argmax of a window is a byte, the index of its tap: 0 and 1 in the upper row, 2 and 3 in the
lower one, or NO_ARGMAX_TAP.
"""

from typing import Any

import numpy as np
from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import intrinsic
from minidl.backends.kernels.simd.intrinsics import (
    EVEN_LANES,
    INT,
    INTERLEAVED,
    LANES,
    ODD_LANES,
    VECTOR,
    broadcast,
    load,
    shuffle,
    store,
)

NO_ARGMAX_TAP = np.uint8(255)  # no tap has a gradient: the ReLU behind the pooling gave 0

_BYTE, _LANE = ir.IntType(8), ir.IntType(32)
_BYTES = ir.VectorType(_BYTE, LANES)
_MASK = ir.VectorType(_LANE, LANES)
_ZEROS = ir.Constant(VECTOR, [0.0] * LANES)


@intrinsic("f32* f32* f32* u8* f32 bool")
def max_of_four(
    builder: Any, top: Any, bottom: Any, y: Any, argmax: Any, bias: Any, relu: Any
) -> None:
    """y and argmax of LANES windows on two rows, to which a bias is added; NaN is the maximum.

    With `relu`, y is at least 0, and argmax is NO_ARGMAX_TAP where y is 0.
    """
    bias = broadcast(builder, bias)
    taps = []
    for row in (top, bottom):
        halves = load(builder, row), load(builder, builder.gep(row, [INT(LANES)]))
        columns = [shuffle(builder, *halves, lanes) for lanes in (EVEN_LANES, ODD_LANES)]
        taps += [builder.fadd(column, bias) for column in columns]
    best, index = taps[0], ir.Constant(_BYTES, [0] * LANES)
    for tap in range(1, 4):
        larger = builder.fcmp_ordered(">", taps[tap], best)
        better = builder.or_(larger, builder.fcmp_unordered("uno", taps[tap], taps[tap]))
        best = builder.select(better, taps[tap], best)
        index = builder.select(better, ir.Constant(_BYTES, [tap] * LANES), index)
    positive = builder.fcmp_ordered(">", best, _ZEROS)
    no_tap = ir.Constant(_BYTES, [int(NO_ARGMAX_TAP)] * LANES)
    relu_index = builder.select(positive, index, no_tap)
    relu_best = builder.select(builder.fcmp_ordered("<=", best, _ZEROS), _ZEROS, best)
    store(builder, builder.select(relu, relu_best, best), y)
    index = builder.select(relu, relu_index, index)
    builder.store(index, builder.bitcast(argmax, _BYTES.as_pointer())).align = 1


@intrinsic("f32* u8* i64 f32*")
def scatter_row(builder: Any, dy: Any, argmax: Any, first_tap: Any, row: Any) -> None:
    """One row of dx under LANES windows: dy at the tap that argmax names, 0 elsewhere.

    first_tap    the first tap in this row of the windows: 0 in the upper row, 2 in the lower one
    """
    dy = load(builder, dy)
    indices = builder.load(builder.bitcast(argmax, _BYTES.as_pointer()))
    indices.align = 1
    first_tap = builder.trunc(first_tap, _BYTE)
    columns = []
    for tap in (first_tap, builder.add(first_tap, _BYTE(1))):
        taps = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), tap, _LANE(0))
        taps = builder.shuffle_vector(taps, taps, ir.Constant(_MASK, [0] * LANES))
        chosen = builder.icmp_unsigned("==", indices, taps)
        columns.append(builder.select(chosen, dy, _ZEROS))
    left, right = columns
    store(builder, shuffle(builder, left, right, INTERLEAVED[:LANES]), row)
    rest = builder.gep(row, [INT(LANES)])
    store(builder, shuffle(builder, left, right, INTERLEAVED[LANES:]), rest)
