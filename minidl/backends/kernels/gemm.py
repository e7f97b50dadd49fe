"""Matrix products (GEMM): Goto's blocked algorithm around the micro-kernel.

    for each PANEL rows of b:                          packed as panels, one for each slice
        for each slice, NR columns:                    its panel stays in the first-level cache
            for each MR rows of a:                     PANEL columns of a, in the second-level cache
                out[MR, NR] += a[MR, PANEL] · panel[PANEL, NR]      the micro-kernel

    K. Goto, R. van de Geijn.  Anatomy of high-performance matrix multiplication.  ACM Transactions
    on Mathematical Software 34(3), 2008.

b is packed, and transposed if need be.  The rows of a are not: the micro-kernel finds them through
offset tables.  Only where the columns of a are contiguous, they are copied, too (`gemm_packing`).
The bias is what the sums begin with, and the clamp is applied before they are stored.

Out is split into parts of rows and groups of columns, whichever of the two makes the parts equal
for all threads and takes the least packing (`gemm_split`).  So much of it as is computed at a time
stays in the second-level cache.

Rounding: where k is larger than DEPTH, the sums of DEPTH products are added in float64, so the
error is at most min(k, DEPTH + 1)·u·Σ|a||b| (u = 2⁻²⁴).  For sums over a batch, the micro-kernel
adds the DEPTH products in runs of 32: however long these sums are, the error is at most
64 u·Σ|a||b|, and 17 u·Σ|a||b| where the roundings of a run go in the same direction, as with
constant factors.  The order depends on k alone: any number of threads gives the same bits.

Cost: 2·m·n·k flops, at about 180 a nanosecond and core with AVX-512; b is read once for each part
of the rows, a once for each group of columns.

Why not BLAS: its own threads compete with ours for the cores.  For small products, which BLAS
computes in the calling thread, NumPy has less to prepare.
"""

import math
from typing import NamedTuple

import numpy as np

from minidl.backends import products, threads
from minidl.backends.kernels.gemm_packing import (
    BAND_ROWS,
    IN_BANDS,
    PANEL,
    pack,
    pack_bands,
)
from minidl.backends.kernels.gemm_split import DEPTH, TRANSPOSE_COST, split_product
from minidl.backends.kernels.runtime.kernel import (
    as_contiguous,
    chunk_bounds,
    inlined,
    inner,
    parallel,
)
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.runtime.workspace import LINE, scratch
from minidl.backends.kernels.simd.gemm_kernel import multiply_panel
from minidl.backends.kernels.simd.intrinsics import LANES, pointer
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    RUN,
    UNBROKEN,
    pad_to_tiles,
    tile_count,
)

_SMALL = 2**18  # multiply-adds; for more, OpenBLAS wakes its threads
_FEW_SUMS = 1024  # elements of out for which packing takes longer than BLAS needs, run by run
# What is prefetched at the steps of a tile: a line at every second one.
_STEPS = np.arange(PANEL, dtype=np.int64) // 2
_LINES = _STEPS * LINE
_ZEROS, _LOWEST = np.zeros(NR, np.float32), np.float32(-np.inf)
_NO_BIAS, _ONE_PAIR = np.empty(0, np.float32), np.zeros((1, 2), np.int64)


class Gemm(NamedTuple):
    """The factors and the result of one product, as the loops inside its kernel pass them on."""

    run: int  # products that are summed in registers
    k: int  # columns of a, and rows of b
    a: np.ndarray  # (m, k), row-major; or aᵀ
    a_transposed: bool
    b: np.ndarray  # (k, n), row-major; or bᵀ
    b_transposed: bool
    bias: np.ndarray  # empty: there is no epilogue
    clamp_min: float
    out: np.ndarray  # (m, n)
    rows: np.ndarray  # offsets of the rows of a, padded to full tiles
    columns: np.ndarray  # offsets along a row of a
    lines: np.ndarray  # offsets of the cache lines of a tile of a


class Block(NamedTuple):
    """A block of out, rows top … bottom − 1 and columns left … left + width − 1, in one step."""

    begin: int  # of the products that are added in this step
    depth: int  # how many they are
    top: int
    bottom: int
    left: int
    width: int
    tiles: np.ndarray  # sums of the rows that tiles do not fit into
    totals: np.ndarray  # sums in float64, or none


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
    pairs = np.stack([np.broadcast_to(x, stack).ravel() for x in which], axis=1)
    return _multiply(a, b, pairs, _NO_BIAS, -np.inf, RUN).reshape(*stack, m, n)


def _in_tiles(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, clamp_min: float, run: int
) -> np.ndarray:
    """The product of two float32 matrices, by the micro-kernel."""
    m, n = len(a), b.shape[1]
    if a.flags.c_contiguous and not b.flags.c_contiguous and _cost(n, m) < _cost(m, n):
        transposed = _in_tiles(b.T, a.T, None, -np.inf, run).T
        return _epilogue(np.ascontiguousarray(transposed), bias, clamp_min)
    bias = _NO_BIAS if bias is None else _padded(bias)
    return _multiply(a, b, _ONE_PAIR, bias, clamp_min, run)[0]


def _padded(bias: np.ndarray) -> np.ndarray:
    """A bias, padded to full vectors."""
    padded = np.zeros(-(-bias.size // LANES) * LANES, np.float32)
    padded[: bias.size] = bias
    return padded


def _multiply(
    a: np.ndarray, b: np.ndarray, pairs: np.ndarray, bias: np.ndarray, clamp_min: float, run: int
) -> np.ndarray:
    """The products of pairs of matrices of two stacks."""
    (m, k), n, count = a.shape[-2:], b.shape[-1], len(pairs)
    (a, a_transposed), (b, b_transposed) = _stored(a), _stored(b)
    chunks = threads.chunks(count * m * n * k / MULTIPLY_ADDS_PER_NS)
    split = split_product(count, m, n, k, a_transposed, b_transposed, chunks)
    out = np.empty((count, m, n), np.float32)
    _product(
        run,
        a,
        a_transposed,
        b,
        b_transposed,
        pairs,
        bias,
        np.float32(clamp_min),
        out,
        (split.parts, split.groups),
        _offsets(m, k),
        _offsets(k, 1),
        _lines(a.shape[2]),
        np.empty((chunks, split.totals)),
        scratch(chunks, split.workspace),
        chunks,
    )
    return out


def _stored(x: np.ndarray) -> tuple[np.ndarray, bool]:
    """A contiguous stack of matrices, and whether they are transposed."""
    transposed = not x.flags.c_contiguous and x.swapaxes(-1, -2).flags.c_contiguous
    x = as_contiguous(x.swapaxes(-1, -2) if transposed else x)
    return x.reshape(-1, *x.shape[-2:]), transposed


def _cost(m: int, n: int) -> int:
    """The time of m rows and n columns, padded to full tiles, per k and in multiply-adds."""
    return -(-m // MR) * MR * -(-n // LANES) * LANES + TRANSPOSE_COST * n


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


@planned
def _lines(stride: int) -> np.ndarray:
    """Offsets of the cache lines of a tile of a, whose rows have this stride."""
    return _STEPS % MR * stride + _STEPS // MR * LINE


@parallel(
    "i64 f32[stack,m,k] bool f32[stack,k,n] bool i64[pairs,two] f32[n] f32 f32[pairs,m,n] "
    "(i64 i64) i64[m] i64[k] i64[k] f64[chunks,size] f32[chunks,size]",
    then=[
        "simd.gemm_kernel:multiply_panel",
        "simd.micro_kernel:transpose_panel",
        "reduction:_sum_lines",
    ],
)
def _product(
    run, a, a_transposed, b, b_transposed, pairs, bias, clamp_min, out, split, rows, columns, lines,
    totals, workspace, chunk, chunks,
):  # fmt: skip
    """Each chunk has some products, or parts of them.

    pairs      for each matrix of out, the indices of the factors in a and b
    split      the parts of the rows of each product, and those of its columns
    totals     for each chunk, its sums in float64; or none: k is at most DEPTH
    lines      offsets of the cache lines of a tile of a
    workspace  for each chunk, panels of b, tiles at the edges of out, and bands of a
    """
    (m, n), k = out.shape[1:], b.shape[2] if b_transposed else b.shape[1]
    parts, groups = split
    tiles, vectors = (m + MR - 1) // MR, (n + LANES - 1) // LANES
    start, stop = chunk_bounds(len(pairs) * parts * groups, chunk, chunks)
    for unit in range(start, stop):
        pair, part, group = unit // (parts * groups), unit // groups % parts, unit % groups
        factors = a[pairs[pair, 0]], a_transposed, b[pairs[pair, 1]], b_transposed
        gemm = Gemm(run, k, *factors, bias, clamp_min, out[pair], rows, columns, lines)
        top, bottom = chunk_bounds(tiles, part, parts)
        left, right = chunk_bounds(vectors, group, groups)
        top, bottom = top * MR, min(bottom * MR, m)
        _multiply_part(gemm, top, bottom, left, right, totals[chunk], workspace[chunk])


@inner
def _multiply_part(gemm, top, bottom, first, last, totals, workspace):
    """Rows top … bottom − 1 of out, and its columns, in vectors, first … last − 1."""
    n, k, slices = gemm.out.shape[1], gemm.k, tile_count(last - first)
    height = (bottom - top + MR - 1) // MR * MR
    panels, rest = _cut(workspace, slices * NR * PANEL)
    edges, bands = _cut(rest, (height + slices * MR) * NR)
    for begin in range(0, k, PANEL):
        depth = min(PANEL, k - begin)
        right = min(last * LANES, n)
        pack(gemm.b, gemm.b_transposed, begin, depth, first * LANES, right, panels)
        if gemm.a_transposed:
            pack_bands(gemm.a, begin, depth, top, bottom - top, bands)
        for i in range(slices):
            left, right = chunk_bounds(last - first, i, slices)
            left, right = (first + left) * LANES, min((first + right) * LANES, n)
            size, panel = (bottom - top) * NR, panels[i * NR * PANEL :]
            sums, _ = _cut(totals[i * size :], size)
            # Of the last rows, and if the last vector is larger than what is left of out, of all.
            tiles = edges if (right - left) % LANES else edges[(height + i * MR) * NR :]
            block = Block(begin, depth, top, bottom, left, right - left, tiles, sums)
            _add_products(gemm, block, panel, bands)
            if begin + depth == k or (begin + depth) % DEPTH == 0:
                _finish(gemm, block)


@inlined
def _cut(array, size):
    """The first elements of an array, and the others."""
    return array[:size], array[size:]


@inlined
def _rows_in_place(block):
    """The rows of a block of out that tiles fit into; the sums of the others are kept apart."""
    height = block.bottom - block.top
    return 0 if block.width % LANES else height - height % MR


@inner
def _add_products(gemm, block, panel, bands):
    """Add products with a panel to a block of out."""
    n, height, whole = gemm.out.shape[1], block.bottom - block.top, _rows_in_place(block)
    if whole:
        target = pointer(gemm.out, block.top * n + block.left)
        _multiply_rows(gemm, block, 0, whole, panel, bands, target, n)
    if whole < height:
        target = pointer(block.tiles, 0)
        _multiply_rows(gemm, block, whole, height, panel, bands, target, NR)


@inner
def _multiply_rows(gemm, block, first, last, panel, bands, target, row_stride):
    """Add products of rows first … last − 1 of a block to those at `target`."""
    packed, stride, row = gemm.a_transposed, gemm.a.shape[1], block.top + first
    begin, end = block.begin, block.begin + block.depth
    if packed:  # rows of aᵀ that are packed next: one for each tile
        following = min(end + block.left // NR * ((last - first) // MR), gemm.k - 1)
        ahead = pointer(gemm.a, following * stride + row)
    else:  # the next tile of a
        ahead = pointer(gemm.a, min(row + MR, gemm.a.shape[0] - 1) * stride + begin)
    multiply_panel(
        last - first,
        (block.width + LANES - 1) // LANES,
        block.depth,
        gemm.run,
        pointer(bands, 0) if packed else pointer(gemm.a, 0),
        pointer(IN_BANDS, first) if packed else pointer(gemm.rows, row),
        pointer(BAND_ROWS, 0) if packed else pointer(gemm.columns, begin),
        pointer(panel, 0),
        target,
        row_stride,
        begin % DEPTH > 0,
        pointer(gemm.bias, block.left) if gemm.bias.size and begin == 0 else pointer(_ZEROS, 0),
        gemm.clamp_min if end == gemm.k and end <= DEPTH else _LOWEST,
        ahead,
        stride if packed else MR * stride,
        pointer(_LINES, 0) if packed else pointer(gemm.lines, 0),
    )


@inner
def _finish(gemm, block):
    """What is to be done when all products, or DEPTH of them, have been added."""
    first, last = block.begin < DEPTH, block.begin + block.depth == gemm.k
    whole = _rows_in_place(block)
    for i in range(block.bottom - block.top):
        row = gemm.out[block.top + i, block.left : block.left + block.width]
        if i >= whole:
            _copy(block.tiles[(i - whole) * NR :], row)
        if block.totals.size:
            _add_double(row, block.totals[i * NR :], first, last, gemm.clamp_min)


@inner
def _copy(source, target):
    for j in range(target.size):
        target[j] = source[j]


@inner
def _add_double(row, totals, first, last, clamp_min):
    """Add a row of sums to those in float64; the last time, the row is what they amount to."""
    for j in range(row.size):
        totals[j] = row[j] + (0.0 if first else totals[j])
    if last:
        for j in range(row.size):
            value = np.float32(totals[j])
            row[j] = clamp_min if value < clamp_min else value
