"""Max pooling of squares of two by two: the everyday case, a vector of squares at a time.

With a ReLU behind it, a square whose largest number is not positive gives 0 and takes no place.

Rows are written in whole vectors, in order, so that what is too much is overwritten by what
follows; only at the end of a piece is the rest done number by number.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, prange, types
from numba.extending import intrinsic

from minidl.backends import threads
from minidl.backends.kernels.runtime.compile import as_contiguous, chunk_bounds, inner, parallel
from minidl.backends.kernels.simd.intrinsics import (
    EVEN_LANES,
    INT,
    INTERLEAVED,
    LANES,
    ODD_LANES,
    VECTOR,
    advance,
    broadcast,
    float_pointer,
    load,
    pointer,
    shuffle,
    store,
)

_BYTES = ir.VectorType(ir.IntType(8), LANES)
_LANE = ir.IntType(32)
_MASK = ir.VectorType(_LANE, LANES)
_ZEROS = ir.Constant(VECTOR, [0.0] * LANES)
_bytes = types.CPointer(types.uint8)

NO_ARGMAX_TAP = np.uint8(255)  # in `taken`: no place of the window
_NO_BIAS = np.float32(-0.0)  # added to a number, it changes not even the sign of a zero


def largest_by_twos(x: np.ndarray, y: np.ndarray, taken: np.ndarray, relu: bool) -> None:
    """y, the largest of each square of the pictures x (…, H, W), and which of its four it is.

    With relu y is at least 0, and only what is positive was taken.
    """
    _largest(in_planes(x), in_planes(y), in_planes(taken), relu, threads.pieces(x.size * 0.4))


def largest_by_twos_back(dy: np.ndarray, taken: np.ndarray, dx: np.ndarray) -> None:
    """dx: dy at the place of each square that was taken, and 0 elsewhere."""
    _back(in_planes(dy), in_planes(taken), in_planes(dx), threads.pieces(dx.size * 0.4))


def in_planes(x: np.ndarray) -> np.ndarray:
    """All planes (H, W) of a batch one after the other, in contiguous memory."""
    return as_contiguous(x).reshape(-1, *x.shape[-2:])


@intrinsic
def _largest_of_four(
    _: Any, top: Any, bottom: Any, y: Any, taken: Any, bias: Any, relu: Any
) -> Any:
    """For a vector of squares, the largest number and its place; a NaN is larger than anything."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        top, bottom, y, taken, bias, relu = arguments
        best, place, bias = None, None, broadcast(builder, bias)
        for row in (top, bottom):
            halves = load(builder, row), load(builder, builder.gep(row, [INT(LANES)]))
            for chosen in (EVEN_LANES, ODD_LANES):
                number = builder.fadd(shuffle(builder, *halves, chosen), bias)
                if best is None:
                    best, place, count = number, ir.Constant(_BYTES, [0] * LANES), 0
                    continue
                count += 1
                larger = builder.fcmp_ordered(">", number, best)
                better = builder.or_(larger, builder.fcmp_unordered("uno", number, number))
                best = builder.select(better, number, best)
                place = builder.select(better, ir.Constant(_BYTES, [count] * LANES), place)
        nowhere = ir.Constant(_BYTES, [int(NO_ARGMAX_TAP)] * LANES)
        taking = builder.select(builder.fcmp_ordered(">", best, _ZEROS), place, nowhere)
        rectified = builder.select(builder.fcmp_ordered("<=", best, _ZEROS), _ZEROS, best)
        best, place = builder.select(relu, rectified, best), builder.select(relu, taking, place)
        store(builder, best, y)
        builder.store(place, builder.bitcast(taken, _BYTES.as_pointer())).align = 1
        return context.get_dummy_value()

    return types.void(
        float_pointer, float_pointer, float_pointer, _bytes, types.float32, types.boolean
    ), generate


@intrinsic
def _spread_row(_: Any, dy: Any, taken: Any, first: Any, row: Any) -> Any:
    """For a vector of squares, one row of them: dy at the place that was taken, 0 elsewhere.

    first    the number of the row's first place: 0 for the upper, 2 for the lower row
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        dy, taken, first, row = arguments
        dy = load(builder, dy)
        places = builder.load(builder.bitcast(taken, _BYTES.as_pointer()))
        places.align = 1
        first = builder.trunc(first, ir.IntType(8))
        halves = []
        for place in (first, builder.add(first, ir.IntType(8)(1))):
            wanted = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), place, _LANE(0))
            wanted = builder.shuffle_vector(wanted, wanted, ir.Constant(_MASK, [0] * LANES))
            here = builder.icmp_unsigned("==", places, wanted)
            halves.append(builder.select(here, dy, _ZEROS))
        store(builder, shuffle(builder, *halves, INTERLEAVED[:LANES]), row)
        rest = builder.gep(row, [INT(LANES)])
        store(builder, shuffle(builder, *halves, INTERLEAVED[LANES:]), rest)
        return context.get_dummy_value()

    return types.void(float_pointer, _bytes, types.int64, float_pointer), generate


@parallel
def _largest(x, y, taken, relu, pieces):
    """The planes of each piece."""
    _, height, width = y.shape
    line = x.shape[2]
    for piece in prange(pieces):
        start, stop = chunk_bounds(y.shape[0], piece, pieces)
        for p in range(start, stop):
            begin, at = p * x.shape[1] * line, p * height * width
            pool_rows(
                pointer(x, begin), line, 2 * line, pointer(y, at), pointer(taken, at), width,
                height, stop * height * width - at, _NO_BIAS, relu,
            )  # fmt: skip


@inner
def pool_rows(source, down, line, y, taken, width, height, room, bias, relu):
    """Rows of y, each from two rows that lie so far `down` from each other; pairs a `line` apart.

    They are written in whole vectors as long as what is too much lies in the `room` numbers that y
    has; so what is read too much lies in the pairs of later rows.
    """
    whole = (width + LANES - 1) // LANES * LANES
    for i in range(height):
        top, row, places = (
            advance(source, i * line),
            advance(y, i * width),
            advance(taken, i * width),
        )
        if i * width + whole <= room:
            for j in range(0, width, LANES):
                above = advance(top, 2 * j)
                to, place = advance(row, j), advance(places, j)
                _largest_of_four(above, advance(above, down), to, place, bias, relu)
        else:
            _pool_row(carray(top, down + 2 * width), down, carray(row, width), places, bias, relu)


@inner
def _pool_row(x, down, y, taken, bias, relu):
    """One row, number by number."""
    taken = carray(taken, y.size)
    for j in range(y.size):
        best, place = x[2 * j] + bias, np.uint8(0)
        for tap in range(1, 4):
            number = x[tap // 2 * down + 2 * j + tap % 2] + bias
            if number > best or number != number:
                best, place = number, np.uint8(tap)
        if relu and not best > 0:
            best, place = best if best != best else np.float32(0), NO_ARGMAX_TAP
        y[j], taken[j] = best, place


@parallel
def _back(dy, taken, dx, pieces):
    """The planes of each piece."""
    for piece in prange(pieces):
        start, stop = chunk_bounds(dy.shape[0], piece, pieces)
        for p in range(start, stop):
            _back_in_plane(dy, taken, dx, p, stop)


@inner
def _back_in_plane(dy, taken, dx, p, stop):
    """One plane, of a piece that ends before plane `stop`."""
    _, height, width = dy.shape
    line = dx.shape[2]
    end = stop * dx.shape[1] * line
    whole = (width + LANES - 1) // LANES * LANES
    for i in range(height):
        at, upper = (p * height + i) * width, (p * dx.shape[1] + 2 * i) * line
        if at + whole <= dy.size and upper + line + 2 * whole <= end:
            for below in range(2):
                for j in range(0, width, LANES):
                    row = pointer(dx, upper + below * line + 2 * j)
                    _spread_row(pointer(dy, at + j), pointer(taken, at + j), 2 * below, row)
                if 2 * width < line:
                    dx[p, 2 * i + below, 2 * width] = 0
        else:
            dx[p, 2 * i : 2 * i + 2] = 0
            for j in range(width):
                tap = taken[p, i, j]
                if tap != NO_ARGMAX_TAP:
                    dx[p, 2 * i + tap // 2, 2 * j + tap % 2] = dy[p, i, j]
    dx[p, 2 * height :] = 0
