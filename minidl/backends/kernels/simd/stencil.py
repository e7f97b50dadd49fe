"""The inner loops of depthwise convolution: stencils over the rows of one feature map.

    y[i, j] = Σ w[a, b] · x[i + a − top, j + b·step − left]

A strip of ROWS rows and LANES columns of y is computed together, its accumulators in registers: a
vector of x that is loaded for column b of the window serves up to HEIGHT rows of y, which is what
these loops gain over a product of matrices, whose loads they are bound by.  Lanes outside x are
masked, and rows outside are read from a row of zeros: nothing is packed.

The gradient of the weights runs over the same strips, with a vector accumulator for each weight of
a column of the window:

    dw[a, b] = Σ dy[i, j] · x[i + a − top, j + b·step − left]

The code of each height of a window is generated when it is first needed, and called through its
address, as the micro-kernel's.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types

from minidl.backends.kernels.runtime.compile import compile_to_address, intrinsic
from minidl.backends.kernels.simd.intrinsics import (
    INT,
    LANES,
    VECTOR,
    broadcast,
    float_pointer,
    load,
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


def _loop(
    builder: Any, count: Any, start: list[Any], update: Callable[..., list[Any]]
) -> list[Any]:
    """The vectors after `for k in range(count): vectors = update(k, vectors)`, for a count ≥ 1."""
    before = builder.block
    body, end = map(builder.function.append_basic_block, ("body", "end"))
    builder.branch(body)
    builder.position_at_end(body)
    k, vectors = builder.phi(INT), [builder.phi(VECTOR) for _ in start]
    updated = update(k, vectors)
    following = builder.add(k, INT(1))
    k.add_incoming(INT(0), before)
    k.add_incoming(following, body)
    for vector, first, last in zip(vectors, start, updated, strict=True):
        vector.add_incoming(first, before)
        vector.add_incoming(last, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, end)
    builder.position_at_end(end)
    return updated


# Strips.


def _strip(window: int) -> Any:
    """The intrinsic that computes a strip of y under windows of this height."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> None:
        (
            x, height, width, zeros, top, left, weight, step, y, y_height, y_width, i, j, bias,
            clamp_min,
        ) = arguments  # fmt: skip
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
        clamp_min, bias = broadcast(builder, clamp_min), broadcast(builder, bias)
        nothing = ir.Constant(_MASK, [0] * LANES)
        lanes = _lanes_between(builder, j, y_width)
        for r in range(ROWS):
            row = builder.add(i, INT(r))
            total = builder.fadd(sums[r], bias)
            below = builder.fcmp_ordered("<", total, clamp_min)
            total = builder.select(below, clamp_min, total)
            target = builder.gep(y, [builder.add(builder.mul(row, y_width), j)])
            mask = builder.select(builder.icmp_signed("<", row, y_height), lanes, nothing)
            _store_lanes(builder, total, target, mask)

    @intrinsic
    def strip(
        _, x, height, width, zeros, top, left, weight, step, y, y_height, y_width, i, j, bias,
        clamp_min,
    ):  # fmt: skip
        return types.void(*_STRIP_ARGUMENTS), _returning_nothing(generate)

    return strip


def _gradient_strips(window: int, rows: int) -> Any:
    """The intrinsic that sums a column of weights of this height over strips of so many rows."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> None:
        x, height, width, zeros, shift, dy, dy_width, i, j, strips, top, sums = arguments
        fused = multiply_add(builder.module)
        position = builder.add(j, shift)
        lanes = _lanes_between(builder, j, dy_width)
        # A masked lane of dy must meet no element of x, which might be infinite.
        inside = builder.and_(lanes, _lanes_between(builder, position, width))

        def add(k: Any, totals: list[Any]) -> list[Any]:
            totals, first = list(totals), builder.add(i, builder.mul(k, INT(rows)))
            gradients = []
            for r in range(rows):
                row = builder.mul(builder.add(first, INT(r)), dy_width)
                gradients.append(
                    _load_lanes(builder, builder.gep(dy, [builder.add(row, j)]), lanes)
                )
            for r in range(rows + window - 1):
                index = builder.sub(builder.add(first, INT(r)), top)
                row = _row(builder, x, index, height, width, zeros)
                vector = _load_lanes(builder, builder.gep(row, [position]), inside)
                for a in range(window):
                    if 0 <= r - a < rows:
                        totals[a] = builder.call(fused, [gradients[r - a], vector, totals[a]])
            for gradient in gradients:
                totals[window] = builder.fadd(totals[window], gradient)
            return totals

        targets = [builder.gep(sums, [INT(a * LANES)]) for a in range(window + 1)]
        totals = _loop(builder, strips, [_ZEROS] * (window + 1), add)
        for total, target in zip(totals, targets, strict=True):
            store(builder, builder.fadd(load(builder, target), total), target)

    @intrinsic
    def gradient_strips(_, x, height, width, zeros, shift, dy, dy_width, i, j, strips, top, sums):
        return types.void(*_GRADIENT_ARGUMENTS), _returning_nothing(generate)

    return gradient_strips


def _returning_nothing(generate: Callable[..., None]) -> Callable[..., Any]:
    """The generator of an intrinsic that returns void."""

    def generate_void(context: Any, *rest: Any) -> Any:
        generate(context, *rest)
        return context.get_dummy_value()

    return generate_void


_PLANE = float_pointer, types.int64, types.int64, float_pointer  # x, height, width, zeros
_WINDOW = types.int64, types.int64, float_pointer, types.int64  # top, left, weight, step
_STRIP_ARGUMENTS = (
    *(*_PLANE, *_WINDOW),
    *(float_pointer, *(types.int64,) * 4, types.float32, types.float32),
)
_GRADIENT_ARGUMENTS = (
    *(*_PLANE, types.int64),
    *(float_pointer, *(types.int64,) * 5, float_pointer),
)


# The functions that are compiled to machine code: a whole plane.  There is one for each window; as
# closures of one function, Numba would not find their code in its cache.

_strip_3, _strip_5, _strip_7 = map(_strip, WINDOWS)
_strips_3, _strips_5, _strips_7 = (_gradient_strips(n, ROWS) for n in WINDOWS)
_rows_3, _rows_5, _rows_7 = (_gradient_strips(n, 1) for n in WINDOWS)


def _stencil_3(
    x, height, width, zeros, top, left, weight, step, y, y_height, y_width, bias, clamp_min
):
    for i in range(0, y_height, ROWS):
        for j in range(0, y_width, LANES):
            _strip_3(
                x, height, width, zeros, top, left, weight, step, y, y_height, y_width, i, j, bias,
                clamp_min,
            )  # fmt: skip


def _stencil_5(
    x, height, width, zeros, top, left, weight, step, y, y_height, y_width, bias, clamp_min
):
    for i in range(0, y_height, ROWS):
        for j in range(0, y_width, LANES):
            _strip_5(
                x, height, width, zeros, top, left, weight, step, y, y_height, y_width, i, j, bias,
                clamp_min,
            )  # fmt: skip


def _stencil_7(
    x, height, width, zeros, top, left, weight, step, y, y_height, y_width, bias, clamp_min
):
    for i in range(0, y_height, ROWS):
        for j in range(0, y_width, LANES):
            _strip_7(
                x, height, width, zeros, top, left, weight, step, y, y_height, y_width, i, j, bias,
                clamp_min,
            )  # fmt: skip


def _gradient_3(x, height, width, zeros, top, shift, dy, dy_width, first, last, sums):
    strips, rest = (last - first) // ROWS, last - (last - first) % ROWS
    for j in range(0, dy_width, LANES):
        if strips:
            _strips_3(x, height, width, zeros, shift, dy, dy_width, first, j, strips, top, sums)
        if rest < last:
            _rows_3(x, height, width, zeros, shift, dy, dy_width, rest, j, last - rest, top, sums)


def _gradient_5(x, height, width, zeros, top, shift, dy, dy_width, first, last, sums):
    strips, rest = (last - first) // ROWS, last - (last - first) % ROWS
    for j in range(0, dy_width, LANES):
        if strips:
            _strips_5(x, height, width, zeros, shift, dy, dy_width, first, j, strips, top, sums)
        if rest < last:
            _rows_5(x, height, width, zeros, shift, dy, dy_width, rest, j, last - rest, top, sums)


def _gradient_7(x, height, width, zeros, top, shift, dy, dy_width, first, last, sums):
    strips, rest = (last - first) // ROWS, last - (last - first) % ROWS
    for j in range(0, dy_width, LANES):
        if strips:
            _strips_7(x, height, width, zeros, shift, dy, dy_width, first, j, strips, top, sums)
        if rest < last:
            _rows_7(x, height, width, zeros, shift, dy, dy_width, rest, j, last - rest, top, sums)


_STENCIL_ARGUMENTS = (
    *(*_PLANE, *_WINDOW),
    *(float_pointer, types.int64, types.int64, types.float32, types.float32),
)
_SUM_ARGUMENTS = (
    *(*_PLANE, types.int64, types.int64),
    *(float_pointer, types.int64, types.int64, types.int64, float_pointer),
)


# What kernels call, with the address of the machine code as the first argument.


@cache
def stencil_code(window: int) -> int:
    """The address of the machine code of `stencil` for windows of this height."""
    function = {3: _stencil_3, 5: _stencil_5, 7: _stencil_7}[window]
    return compile_to_address(function, types.void(*_STENCIL_ARGUMENTS))


@cache
def gradient_code(window: int) -> int:
    """The address of the machine code of `stencil_gradient` for windows of this height."""
    function = {3: _gradient_3, 5: _gradient_5, 7: _gradient_7}[window]
    return compile_to_address(function, types.void(*_SUM_ARGUMENTS))


def _call(_context: Any, builder: Any, _signature: Any, arguments: list[Any]) -> None:
    """Call the function at an address."""
    address, *rest = arguments
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in rest])
    builder.call(builder.inttoptr(address, kind.as_pointer()), rest)


@intrinsic
def stencil(
    _, code, x, height, width, zeros, top, left, weight, step, y, y_height, y_width, bias, clamp_min
):
    """y[i, j] = max(Σ w[a, b] · x[i + a − top, j + b·step − left] + bias, …).

    … is clamp_min.  The code is that of the window's height.  `zeros` is a row of the width of x.
    """
    arguments = types.int64, *_STENCIL_ARGUMENTS
    return types.void(*arguments), _returning_nothing(_call)


@intrinsic
def stencil_gradient(_, code, x, height, width, zeros, top, shift, dy, dy_width, first, last, sums):
    """sums[a] += Σ dy[i, j] · x[i + a − top, j + shift], and after them Σ dy[i, j], lane by lane.

    The sums are over rows first … last − 1 of dy; each is a vector.
    """
    return types.void(types.int64, *_SUM_ARGUMENTS), _returning_nothing(_call)


@intrinsic
def sum_of_lanes(_: Any, address: Any) -> Any:
    """The sum of a vector, pairwise."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector, half = load(builder, arguments[0]), LANES // 2
        while half:
            lanes = [lane ^ half for lane in range(LANES)]
            vector = builder.fadd(vector, shuffle(builder, vector, vector, lanes))
            half //= 2
        return builder.extract_element(vector, _LANE(0))

    return types.float32(float_pointer), generate
