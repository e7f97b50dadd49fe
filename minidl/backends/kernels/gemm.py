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

Cost: 2·m·n·k flops, at about 100 a nanosecond and core; b is read once (once for each part of the
rows, where there are fewer slices than threads), a ⌈n / NR⌉ times, from the second-level cache.

Why not BLAS: its own threads compete with Numba's for the cores.  For small products, which BLAS
computes in the calling thread, NumPy has less to prepare.
"""

from typing import NamedTuple

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.runtime.compile import (
    as_contiguous,
    chunk_bounds,
    compiled,
    inner,
    parallel,
    prange,
)
from minidl.backends.kernels.runtime.plans import planned
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import LANES, copy_vector, pointer, zero_vector
from minidl.backends.kernels.simd.micro_kernel import (
    MR,
    MULTIPLY_ADDS_PER_NS,
    NR,
    MachineCode,
    machine_code,
    micro_kernel,
    pad_to_tiles,
    tile_count,
    transpose_panel,
)

_SMALL = 2**18  # multiply-adds; for more, OpenBLAS wakes its threads
_FEW = 8192  # elements that NumPy adds up in less time than a kernel is called in
_DEPTH = 1024  # KC, the rows of a packed slice
_TRANSPOSE_COST = 20  # multiply-adds that take as long as packing an element transposed
_PACKED_ROWS = np.arange(_DEPTH, dtype=np.int64) * NR  # offsets of the rows of a packed slice


class Gemm(NamedTuple):
    """The factors and the result of one product, as the loops inside its kernel pass them on."""

    machine_code: MachineCode
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
    b_transposed = not b.flags.c_contiguous
    if b_transposed and a.flags.c_contiguous and _cost(n, m) < _cost(m, n):
        return _epilogue(np.ascontiguousarray(product(b.T, a.T).T), bias, clamp_min)
    chunks = threads.chunks(m * n * k / MULTIPLY_ADDS_PER_NS)
    a, row_stride = (as_contiguous(a), k) if a.flags.c_contiguous else _row_major(a)
    b = as_contiguous(b.T if b_transposed else b)
    if bias is None:
        bias = np.zeros(0 if clamp_min == -np.inf else n, np.float32)
    out = np.empty((m, n), np.float32)
    _product(
        machine_code(),
        a,
        b,
        b_transposed,
        as_contiguous(bias),
        np.float32(clamp_min),
        out,
        _offsets(m, row_stride),
        _offsets(k, 1),
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


def _row_major(a: np.ndarray) -> tuple[np.ndarray, int]:
    """A row-major copy of a, whose columns are contiguous; and its row stride."""
    m, k = a.shape
    row_stride = -(-k // LANES) * LANES
    copy = np.empty((m, row_stride), np.float32)
    _transpose(machine_code(), as_contiguous(a.T), copy, threads.chunks(m * k / 4))
    return copy, row_stride


@parallel
def _transpose(machine_code, columns, rows, chunks):
    """rows = columnsᵀ, in bands of LANES rows."""
    height, width = columns.shape
    for chunk in prange(chunks):
        start, stop = chunk_bounds(-(-width // LANES), chunk, chunks)
        first, last = start * LANES, min(stop * LANES, width)
        source, target = pointer(columns, first), pointer(rows, first * rows.shape[1])
        transpose_panel(machine_code, source, width, height, last - first, target, rows.shape[1])


@parallel
def _product(
    machine_code, a, b, b_transposed, bias, clamp_min, out, rows, columns, workspace, chunks
):
    """Every slice of b with all rows of a; in parts, where slices alone do not occupy the threads.

    bias       empty: there is no epilogue
    workspace  for each chunk, a packed slice, and a tile for the edges of the result
    """
    m, n = out.shape
    vectors = -(-n // LANES)
    slices = tile_count(vectors)
    parts = 1 if slices % chunks == 0 else chunks
    for chunk in prange(chunks):
        gemm = Gemm(machine_code, a, b, b_transposed, out, rows, columns)
        start, stop = chunk_bounds(slices * parts, chunk, chunks)
        for unit in range(start, stop):
            top, bottom = chunk_bounds(-(-m // MR), unit % parts, parts)
            top, bottom = top * MR, min(bottom * MR, m)
            left, right = chunk_bounds(vectors, unit // parts, slices)
            left, right = left * LANES, min(right * LANES, n)
            _multiply_slice(gemm, top, bottom, left, right, workspace[chunk])
            if bias.size:
                _add_bias_clamp(out, bias, clamp_min, top, bottom, left, right)


@inner
def _multiply_slice(gemm, top, bottom, left, right, workspace):
    """Rows top … bottom − 1 of a, times a slice of b: columns left … right − 1."""
    a, rows, columns, out = gemm.a, gemm.rows, gemm.columns, gemm.out
    n = out.shape[1]
    k = gemm.b.shape[1] if gemm.b_transposed else gemm.b.shape[0]
    width = right - left
    vectors = (width + LANES - 1) // LANES
    edge = workspace[-MR * NR :]
    for begin in range(0, k, _DEPTH):
        depth = min(_DEPTH, k - begin)
        _pack(gemm, begin, depth, left, width, workspace)
        for row in range(top, bottom, MR):
            height = min(MR, bottom - row)
            full = height == MR and width == vectors * LANES
            micro_kernel(
                gemm.machine_code,
                vectors,
                depth,
                pointer(a, 0),
                pointer(rows, row),
                pointer(columns, begin),
                pointer(workspace, 0),
                pointer(_PACKED_ROWS, 0),
                pointer(out, row * n + left) if full else pointer(edge, 0),
                n if full else NR,
                full and begin > 0,
            )
            if not full:
                for i in range(height):
                    for j in range(width):
                        before = out[row + i, left + j] if begin else np.float32(0)
                        out[row + i, left + j] = before + edge[i * NR + j]


@inner
def _pack(gemm, begin, depth, left, width, packed):
    """Pack rows of a slice of b into rows of NR elements, padded with zeros to full vectors."""
    b = gemm.b
    if gemm.b_transposed:
        source, target = pointer(b, left * b.shape[1] + begin), pointer(packed, 0)
        transpose_panel(gemm.machine_code, source, b.shape[1], width, depth, target, NR)
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


def sum_rows(x: np.ndarray) -> np.ndarray:
    """Σᵢ xᵢⱼ, row after row, as NumPy adds them, but in vectors."""
    if x.size < _FEW or x.dtype != np.float32:
        return np.add.reduce(x, axis=0)
    total = np.zeros(x.shape[1], np.float32)
    _sum_rows(as_contiguous(x), total)
    return total


@compiled
def _sum_rows(x, total):
    for i in range(x.shape[0]):
        row = x[i]
        for j in range(total.size):
            total[j] += row[j]
