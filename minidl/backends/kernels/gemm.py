"""Matrix products (GEMM): Goto's blocked algorithm around the micro-kernel.

    for each slice of b, NR columns:                           the unit of work of a thread
        for each KC rows of the slice:
            pack them: KC × NR contiguous elements             stay in the first-level cache
            for each MR rows of a:
                out[MR, NR] += a[MR, KC] · packed[KC, NR]      the micro-kernel

    K. Goto, R. van de Geijn.  Anatomy of high-performance matrix multiplication.  ACM Transactions
    on Mathematical Software 34(3), 2008.

A slice is packed once, transposed if need be, and serves all rows of a.  These are not packed: the
micro-kernel finds them through offset tables.  Only where the columns of a are contiguous is a
transposed beforehand.  The bias and the clamp are an epilogue, applied to a tile's rows while they
are in the cache.

Rounding: where k is larger than KC, the sums of KC products are added in float64, so the error is
at most min(k, KC + 1)·u·Σ|a||b| (u = 2⁻²⁴).  For sums over a batch, the micro-kernel adds the KC
products in runs of 32: however long these sums are, the error is at most 64 u·Σ|a||b|, and
17 u·Σ|a||b| where the roundings of a run go in the same direction, as with constant factors.  The
order depends on k alone: any number of threads gives the same bits.

Cost: 2·m·n·k flops, at about 100 a nanosecond and core; b is read once (once for each part of the
rows, where there are fewer slices than threads), a ⌈n / NR⌉ times, from the second-level cache.

Why not BLAS: its own threads compete with ours for the cores.  For small products, which BLAS
computes in the calling thread, NumPy has less to prepare.
"""

import math
from typing import NamedTuple

import numpy as np

from minidl.backends import products, threads
from minidl.backends.kernels.runtime.kernel import as_contiguous, chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, copy_vector, pointer, zero_vector
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    RUN,
    UNBROKEN,
    micro_kernel,
    pad_to_tiles,
    tile_count,
    transpose_panel,
)

_SMALL = 2**18  # multiply-adds; for more, OpenBLAS wakes its threads
_FEW_SUMS = 1024  # elements of out for which packing takes longer than BLAS needs, run by run
_DEPTH = 32 * RUN  # KC, the rows of a packed slice
_STRIP = 1024  # rows of out whose sums in float64 stay in the second-level cache
_TRANSPOSE_COST = 20  # multiply-adds that take as long as packing an element transposed
_PACKED_ROWS = np.arange(_DEPTH, dtype=np.int64) * NR  # offsets of the rows of a packed slice
_NO_BIAS, _ONE_PAIR = np.empty(0, np.float32), np.zeros((1, 2), np.int64)


class Gemm(NamedTuple):
    """The factors and the result of one product, as the loops inside its kernel pass them on."""

    run: int  # products that are summed in registers
    a: np.ndarray  # (m, k), row-major
    b: np.ndarray  # (k, n), row-major; or bᵀ
    b_transposed: bool
    out: np.ndarray  # (m, n)
    rows: np.ndarray  # offsets of the rows of a, padded to full tiles
    columns: np.ndarray  # offsets along a row of a


def product(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None = None,
    clamp_min: float = -np.inf,
) -> np.ndarray:
    """max(a·b + bias, clamp_min) for matrices (m, k) and (k, n)."""
    (m, k), n = a.shape, b.shape[1]
    if m * n * k <= _SMALL or m < MR or a.dtype != np.float32:
        return _epilogue(a.dot(b), bias, clamp_min)
    return _in_tiles(a, b, bias, clamp_min, UNBROKEN)


def sums_of_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a·b, (…, m, k) times (…, k, n) with broadcasting, within log₂ k·ε·Σ|a||b| for each element.

    For sums over a batch, as in gradients of weights, dyᵀ·x: however long they are.
    """
    (m, k), n = a.shape[-2:], b.shape[-1]
    matrices = a.ndim == b.ndim == 2
    if matrices and k <= RUN and m * n * k <= _SMALL:
        return a.dot(b)
    stack = () if matrices else np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    few = m < MR or n < LANES or m * n <= _FEW_SUMS and not stack
    if few or a.dtype != np.float32 or math.prod(stack) * m * n * k <= _SMALL:
        return products.in_runs(a, b)
    if not stack:
        return _in_tiles(a, b, None, -np.inf, RUN)
    which = [np.arange(math.prod(x.shape[:-2])).reshape(x.shape[:-2]) for x in (a, b)]
    b_transposed = not b.flags.c_contiguous and b.swapaxes(-1, -2).flags.c_contiguous
    b = as_contiguous(b.swapaxes(-1, -2) if b_transposed else b)
    out = _multiply(
        as_contiguous(a).reshape(-1, m, k),
        b.reshape(-1, *b.shape[-2:]),
        b_transposed,
        np.stack([np.broadcast_to(x, stack).ravel() for x in which], axis=1),
        _NO_BIAS,
        -np.inf,
        RUN,
    )
    return out.reshape(*stack, m, n)


def _in_tiles(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, clamp_min: float, run: int
) -> np.ndarray:
    """The product of two float32 matrices, by the micro-kernel."""
    m, n = len(a), b.shape[1]
    b_transposed = not b.flags.c_contiguous
    if b_transposed and a.flags.c_contiguous and _cost(n, m) < _cost(m, n):
        transposed = _in_tiles(b.T, a.T, None, -np.inf, run).T
        return _epilogue(np.ascontiguousarray(transposed), bias, clamp_min)
    a = as_contiguous(a) if a.flags.c_contiguous else _row_major(a)
    b = as_contiguous(b.T if b_transposed else b)
    if bias is None:
        bias = _NO_BIAS if clamp_min == -np.inf else np.zeros(n, np.float32)
    return _multiply(a[None], b[None], b_transposed, _ONE_PAIR, bias, clamp_min, run)[0]


def _multiply(
    a: np.ndarray,
    b: np.ndarray,
    b_transposed: bool,
    pairs: np.ndarray,
    bias: np.ndarray,
    clamp_min: float,
    run: int,
) -> np.ndarray:
    """The products of pairs of matrices of two stacks, of which a may have longer rows than k."""
    m, (k, n) = a.shape[1], b.shape[:0:-1] if b_transposed else b.shape[1:]
    chunks = threads.chunks(len(pairs) * m * n * k / MULTIPLY_ADDS_PER_NS)
    out = np.empty((len(pairs), m, n), np.float32)
    _product(
        run,
        a,
        b,
        b_transposed,
        pairs,
        as_contiguous(bias),
        np.float32(clamp_min),
        out,
        _offsets(m, a.shape[2]),
        _offsets(k, 1),
        np.empty((chunks, min(m, _STRIP) if k > _DEPTH else 0, NR)),
        scratch(chunks, min(k, _DEPTH) * NR + MR * NR),
        chunks,
    )
    return out


def _cost(m: int, n: int) -> int:
    """The time of m rows and n columns, padded to full tiles, per k and in multiply-adds."""
    return -(-m // MR) * MR * -(-n // LANES) * LANES + _TRANSPOSE_COST * n


def _epilogue(out: np.ndarray, bias: np.ndarray | None, clamp_min: float) -> np.ndarray:
    if bias is not None:
        out += bias
    if clamp_min != -np.inf:
        np.maximum(out, clamp_min, out=out)
    return out


@planned
def _offsets(count: int, stride: int) -> np.ndarray:
    """0, stride, 2·stride, …; the last repeats to fill a tile."""
    return pad_to_tiles(count) * stride


def _row_major(a: np.ndarray) -> np.ndarray:
    """A row-major copy of a, whose columns are contiguous; its rows are padded to full vectors."""
    m, k = a.shape
    copy = np.empty((m, -(-k // LANES) * LANES), np.float32)
    _transpose(as_contiguous(a.T), copy, threads.chunks(m * k / 4))
    return copy


@parallel("f32[k,m] f32[m,padded]")
def _transpose(columns, rows, chunk, chunks):
    """rows = columnsᵀ, in bands of LANES rows."""
    height, width = columns.shape
    start, stop = chunk_bounds(-(-width // LANES), chunk, chunks)
    first, last = start * LANES, min(stop * LANES, width)
    source, target = pointer(columns, first), pointer(rows, first * rows.shape[1])
    transpose_panel(source, width, height, last - first, target, rows.shape[1])


@parallel(
    "i64 f32[stack,m,k] f32[stack,k,n] bool i64[pairs,two] f32[n] f32 f32[pairs,m,n] "
    "i64[m] i64[k] f64[chunks,strip,nr] f32[chunks,size]",
    then=[
        "simd.micro_kernel:micro_kernel",
        "simd.micro_kernel:transpose_panel",
        "_transpose",
        "reduction:_sum_lines",
    ],
)
def _product(
    run, a, b, b_transposed, pairs, bias, clamp_min, out, rows, columns, totals, workspace,
    chunk, chunks,
):  # fmt: skip
    """Every slice of b with all rows of a; in parts, where slices alone do not occupy the threads.

    pairs      for each matrix of out, the indices of the factors in a and b
    bias       empty: there is no epilogue
    totals     for each chunk, sums of a strip of rows in float64; or of no rows: k is one block
    workspace  for each chunk, a packed slice, and a tile
    """
    m, n = out.shape[1:]
    vectors = -(-n // LANES)
    slices = tile_count(vectors)
    parts = 1 if len(pairs) * slices % chunks == 0 else chunks
    strip = totals.shape[1] if totals.size else m
    start, stop = chunk_bounds(len(pairs) * slices * parts, chunk, chunks)
    for unit in range(start, stop):
        pair, part = unit // (slices * parts), unit % parts
        own_a, own_b, own_out = a[pairs[pair, 0]], b[pairs[pair, 1]], out[pair]
        gemm = Gemm(run, own_a, own_b, b_transposed, own_out, rows, columns)
        top, bottom = chunk_bounds(-(-m // MR), part, parts)
        top, bottom = top * MR, min(bottom * MR, m)
        left, right = chunk_bounds(vectors, unit // parts % slices, slices)
        left, right = left * LANES, min(right * LANES, n)
        for first in range(top, bottom, strip):
            last = min(first + strip, bottom)
            _multiply_slice(gemm, first, last, left, right, totals[chunk], workspace[chunk])
        if bias.size:
            _add_bias_clamp(own_out, bias, clamp_min, top, bottom, left, right)


@inner
def _multiply_slice(gemm, top, bottom, left, right, totals, workspace):
    """Rows top … bottom − 1 of a, times a slice of b: columns left … right − 1."""
    n, width = gemm.out.shape[1], right - left
    k = gemm.b.shape[1] if gemm.b_transposed else gemm.b.shape[0]
    vectors = (width + LANES - 1) // LANES
    edge = workspace[-MR * NR :]
    for begin in range(0, k, _DEPTH):
        length = min(_DEPTH, k - begin)
        _pack(gemm, begin, length, left, width, workspace)
        for row in range(top, bottom, MR):
            height = min(MR, bottom - row)
            full = height == MR and width == vectors * LANES and not totals.size
            micro_kernel(
                vectors,
                length,
                gemm.run,
                pointer(gemm.a, 0),
                pointer(gemm.rows, row),
                pointer(gemm.columns, begin),
                pointer(workspace, 0),
                pointer(_PACKED_ROWS, 0),
                pointer(gemm.out, row * n + left) if full else pointer(edge, 0),
                n if full else NR,
                False,
            )
            if not full:
                own, result = totals[row - top :], gemm.out[row : row + height, left:right]
                _store(edge, own, result, begin, begin + length < k)


@inner
def _store(tile, totals, out, begin, more):
    """out = the tile; or, where there are `more` or have been, their sum in float64."""
    height, width = out.shape
    for i in range(height):
        row, result = tile[i * NR : i * NR + width], out[i]
        if totals.size:
            total = totals[i, :width]
            for j in range(width):
                total[j] = row[j] + (total[j] if begin else 0.0)
            if more:
                continue
            for j in range(width):
                result[j] = total[j]
        else:
            for j in range(width):
                result[j] = row[j]


@inner
def _pack(gemm, begin, depth, left, width, packed):
    """Pack rows of a slice of b into rows of NR elements, padded with zeros to full vectors."""
    b = gemm.b
    if gemm.b_transposed:
        source, target = pointer(b, left * b.shape[1] + begin), pointer(packed, 0)
        transpose_panel(source, b.shape[1], width, depth, target, NR)
        return
    full = width - width % LANES
    for k in range(depth):
        source, target = (begin + k) * b.shape[1] + left, k * NR
        for j in range(0, full, LANES):
            copy_vector(pointer(b, source + j), pointer(packed, target + j))
        if full < width:
            zero_vector(pointer(packed, target + full))
            for j in range(full, width):
                packed[target + j] = b[begin + k, left + j]


@inner
def _add_bias_clamp(out, bias, clamp_min, top, bottom, left, right):
    """The epilogue of a slice: out = max(out + bias, clamp_min)."""
    bias = bias[left:right]
    for i in range(top, bottom):
        row = out[i, left:right]
        for j in range(row.size):
            value = row[j] + bias[j]
            row[j] = clamp_min if value < clamp_min else value
