"""The inner loops of depthwise convolution: stencils over the rows of one feature map.

    y[i, j] = Σ w[a, b] · x[i + a − top, j + b·step − left]

A strip of ROWS rows and LANES columns of y is computed together, its accumulators in registers: a
vector of x that is loaded for column b of the window serves up to ROWS rows of y, which is what
these loops gain over a product of matrices, whose loads they are bound by.  Lanes outside x are
masked, and rows outside are read from a row of zeros: nothing is packed.

The gradient of the weights runs over the same strips, with a vector accumulator for each weight of
a column of the window:

    dw[a, b] = Σ dy[i, j] · x[i + a − top, j + b·step − left]

Both loops are compiled once (`outlined`), and hold code for each height of a window.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import intrinsic, outlined
from minidl.backends.kernels.simd.intrinsics import (
    INT,
    LANES,
    VECTOR,
    broadcast,
    load,
    loop,
    multiply_add,
    shuffle,
    store,
)

WINDOWS = 3, 5, 7  # their heights and widths
ROWS = 4  # of a strip

_LANE = ir.IntType(32)
_INDICES = ir.VectorType(_LANE, LANES)
_MASK = ir.VectorType(ir.IntType(1), LANES)
_ZEROS = ir.Constant(VECTOR, [0.0] * LANES)


# Lanes.


def _lanes_between(builder: Any, first: Any, limit: Any) -> Any:
    """The mask of the lanes l with 0 ≤ first + l < limit."""
    numbers = ir.Constant(_INDICES, list(range(LANES)))
    indices = builder.add(_everywhere(builder, builder.trunc(first, _LANE)), numbers)
    # As unsigned numbers, negative indices are beyond every limit.
    return builder.icmp_unsigned("<", indices, _everywhere(builder, builder.trunc(limit, _LANE)))


def _everywhere(builder: Any, scalar: Any) -> Any:
    """A vector that holds a 32-bit integer in every lane."""
    undefined = ir.Constant(_INDICES, ir.Undefined)
    vector = builder.insert_element(undefined, scalar, _LANE(0))
    return builder.shuffle_vector(vector, undefined, ir.Constant(_INDICES, [0] * LANES))


def _masked(module: Any, kind: str, result: Any, arguments: list[Any]) -> Any:
    """LLVM's masked load or store."""
    name = f"llvm.masked.{kind}.v{LANES}f32.p0"
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)


def _load_lanes(builder: Any, address: Any, mask: Any) -> Any:
    """The vector at an address, 0 in the lanes outside the mask, which are not read."""
    pointer = VECTOR.as_pointer()
    function = _masked(builder.module, "load", VECTOR, [pointer, _LANE, _MASK, VECTOR])
    return builder.call(function, [builder.bitcast(address, pointer), _LANE(4), mask, _ZEROS])


def _store_lanes(builder: Any, vector: Any, address: Any, mask: Any) -> None:
    """Store the lanes of a mask at an address; the others are not written."""
    pointer = VECTOR.as_pointer()
    kinds = [VECTOR, pointer, _LANE, _MASK]
    function = _masked(builder.module, "store", ir.VoidType(), kinds)
    builder.call(function, [vector, builder.bitcast(address, pointer), _LANE(4), mask])


# Rows.


def _row(builder: Any, plane: Any, index: Any, height: Any, width: Any, zeros: Any) -> Any:
    """The address of a row of a plane; that of the zeros if the plane has no such row."""
    inside = builder.icmp_unsigned("<", index, height)
    row = builder.gep(plane, [builder.mul(index, width)])
    return builder.select(inside, row, zeros)


# Strips.

_PLANE = "f32* i64 i64 f32*"  # x, height, width, zeros
_WINDOW = "i64 i64 f32* i64"  # top, left, weight, step


def _for_window(builder: Any, window: Any, generate: Callable[[int], None]) -> None:
    """Code for each height of a window, of which the one for this `window` runs."""
    end = builder.function.append_basic_block("end")
    switch = builder.switch(window, end)
    for height in WINDOWS:
        block = builder.function.append_basic_block(f"window_{height}")
        switch.add_case(INT(height), block)
        builder.position_at_end(block)
        generate(height)
        builder.branch(end)
    builder.position_at_end(end)


@intrinsic(f"i64 {_PLANE} {_WINDOW} f32* i64 i64 i64 i64 f32 f32")
def _strip(
    builder, window, x, height, width, zeros, top, left, weight, step, y, y_height, y_width, i, j,
    bias, clamp_min,
):  # fmt: skip
    """A strip of y, of which (i, j) is the upper left corner."""

    def generate(window: int) -> None:
        fused = multiply_add(builder.module)
        first = builder.sub(i, top)
        rows = [
            _row(builder, x, builder.add(first, INT(r)), height, width, zeros)
            for r in range(ROWS + window - 1)
        ]
        sums: list[Any] = [_ZEROS] * ROWS
        for b in range(window):
            position = builder.add(builder.sub(j, left), builder.mul(step, INT(b)))
            inside = _lanes_between(builder, position, width)
            factors = [
                broadcast(builder, builder.load(builder.gep(weight, [INT(a * window + b)])))
                for a in range(window)
            ]
            for r, row in enumerate(rows):
                vector = _load_lanes(builder, builder.gep(row, [position]), inside)
                for a in range(window):
                    if 0 <= r - a < ROWS:
                        summands = [factors[a], vector, sums[r - a]]
                        sums[r - a] = builder.call(fused, summands)
        _store_strip(builder, sums, bias, clamp_min, y, y_height, y_width, i, j)

    _for_window(builder, window, generate)


def _store_strip(
    builder: Any, sums: list[Any], bias: Any, clamp_min: Any, y: Any, height: Any, width: Any,
    i: Any, j: Any,
) -> None:  # fmt: skip
    """Sums plus a bias, at least clamp_min, as far as they are inside y."""
    clamp_min, bias = broadcast(builder, clamp_min), broadcast(builder, bias)
    nothing = ir.Constant(_MASK, [0] * LANES)
    lanes = _lanes_between(builder, j, width)
    for r in range(ROWS):
        row = builder.add(i, INT(r))
        total = builder.fadd(sums[r], bias)
        below = builder.fcmp_ordered("<", total, clamp_min)
        total = builder.select(below, clamp_min, total)
        target = builder.gep(y, [builder.add(builder.mul(row, width), j)])
        mask = builder.select(builder.icmp_signed("<", row, height), lanes, nothing)
        _store_lanes(builder, total, target, mask)


def _gradient_strips(rows: int) -> Any:
    """The intrinsic that sums a column of weights over strips of so many rows."""

    @intrinsic(f"i64 {_PLANE} i64 f32* i64 i64 i64 i64 i64 f32*")
    def add_strips(
        builder, window, x, height, width, zeros, shift, dy, dy_width, i, j, strips, top, sums
    ):
        fused, position = multiply_add(builder.module), builder.add(j, shift)
        lanes = _lanes_between(builder, j, dy_width)
        # A masked lane of dy must meet no element of x, which might be infinite.
        inside = builder.and_(lanes, _lanes_between(builder, position, width))

        def row_of_dy(index: Any) -> Any:
            start = builder.add(builder.mul(index, dy_width), j)
            return _load_lanes(builder, builder.gep(dy, [start]), lanes)

        def row_of_x(index: Any) -> Any:
            row = _row(builder, x, builder.sub(index, top), height, width, zeros)
            return _load_lanes(builder, builder.gep(row, [position]), inside)

        def generate(window: int) -> None:
            def add(k: Any, totals: list[Any]) -> list[Any]:
                totals, first = list(totals), builder.add(i, builder.mul(k, INT(rows)))
                gradients = [row_of_dy(builder.add(first, INT(r))) for r in range(rows)]
                for r in range(rows + window - 1):
                    vector = row_of_x(builder.add(first, INT(r)))
                    for a in range(window):
                        if 0 <= r - a < rows:
                            totals[a] = builder.call(fused, [gradients[r - a], vector, totals[a]])
                for gradient in gradients:
                    totals[window] = builder.fadd(totals[window], gradient)
                return totals

            totals = loop(builder, strips, [_ZEROS] * (window + 1), add)
            for a, total in enumerate(totals):
                target = builder.gep(sums, [INT(a * LANES)])
                store(builder, builder.fadd(load(builder, target), total), target)

        _for_window(builder, window, generate)

    return add_strips


_strips, _rows = _gradient_strips(ROWS), _gradient_strips(1)


# What kernels call.


@outlined(f"i64 {_PLANE} {_WINDOW} f32* i64 i64 f32 f32")
def stencil(
    window, x, height, width, zeros, top, left, weight, step, y, y_height, y_width, bias, clamp_min
):
    """y[i, j] = max(Σ w[a, b] · x[i + a − top, j + b·step − left] + bias, clamp_min).

    The height and width of the window is one of WINDOWS; `zeros` is a row of the width of x.
    """
    for i in range(0, y_height, ROWS):
        for j in range(0, y_width, LANES):
            _strip(
                window, x, height, width, zeros, top, left, weight, step, y, y_height, y_width, i,
                j, bias, clamp_min,
            )  # fmt: skip


@outlined(f"i64 {_PLANE} i64 i64 f32* i64 i64 i64 f32*")
def stencil_gradient(window, x, height, width, zeros, top, shift, dy, dy_width, first, last, sums):
    """sums[a] += Σ dy[i, j] · x[i + a − top, j + shift], and after them Σ dy[i, j], lane by lane.

    The sums are over rows first … last − 1 of dy; each is a vector.
    """
    strips, rest = (last - first) // ROWS, last - (last - first) % ROWS
    for j in range(0, dy_width, LANES):
        if strips:
            _strips(
                window, x, height, width, zeros, shift, dy, dy_width, first, j, strips, top, sums
            )
        if rest < last:
            _rows(
                window, x, height, width, zeros, shift, dy, dy_width, rest, j, last - rest, top,
                sums,
            )  # fmt: skip


@intrinsic("f32* -> f32")
def sum_of_lanes(builder: Any, address: Any) -> Any:
    """The sum of a vector, pairwise."""
    vector, half = load(builder, address), LANES // 2
    while half:
        lanes = [lane ^ half for lane in range(LANES)]
        vector = builder.fadd(vector, shuffle(builder, vector, vector, lanes))
        half //= 2
    return builder.extract_element(vector, _LANE(0))
