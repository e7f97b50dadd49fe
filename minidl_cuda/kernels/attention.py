"""Scaled dot-product attention, in tiles of 64 queries by 64 keys: memory grows with the length.

Operands may have any strides but that of the last axis, as the heads of a Transformer do: views of
(batch, length, heads·size), reshaped and transposed.  Results lie in memory as the operands do, so
that what follows are views, too.  A mask is read where it lies, with stride 0 where it is
broadcast.  Three sets of kernels compute the same:

attention_decoding                       few queries: each block has some keys of one of them
attention_forward_half, …_backward_half  float16 on tensor cores: aligned heads of up to 128 numbers
attention_forward, attention_backward    all others: float32 arithmetic, heads of any size
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cupy
import numpy as np

from minidl.backends.joint import Joint
from minidl_cuda.array import Array
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks
from minidl_cuda.launch import Kernel, Module

TILE = 64  # queries, and keys, of a tile
_THREADS = 256
_LANES = 128  # threads of a block on tensor cores
_FEW = 8  # queries, for which the keys are split among blocks
_MOST = 2**31 - 1  # of an axis, and of the blocks of a grid
_SUMMED = 16 * TILE  # keys, or queries, that are added up before sums of two floats take over
_MASKS = {"?": 1, "f": 2, "e": 3}  # by the character of its dtype; 0: none

_forward_module, _backward_module = Module("attention_forward.cu"), Module("attention_backward.cu")
_decoding = Module("attention_decoding.cu")
_forward_half, _backward_half = (
    Module("attention_forward_half.cu"),
    Module("attention_backward_half.cu"),
)

_ROWS = "query", "key", "value", "y", "dy", "dquery", "dkey", "dvalue"
_STRIDES = np.dtype([(axis, np.int64) for axis in ("batch", "head", "row")])
_COUNTS = (
    *("batch", "heads", "group", "length", "keys", "size", "value_size"),
    *("is_causal", "mask_kind", "aligned"),
)
_PROBLEM = np.dtype(
    [
        *((name, _STRIDES) for name in _ROWS),
        *((f"mask_{axis}", np.int64) for axis in ("batch", "head", "row", "column")),
        ("seed", np.uint64),
        ("offset", np.uint64),
        *((name, np.int32) for name in _COUNTS),
        *((name, np.float32) for name in ("scale", "dropped", "kept")),
    ],
    align=True,
)


class Problem(NamedTuple):
    """A call: (batch, heads, length, size) of each operand, and the settings."""

    query: Array
    key: Array
    value: Array
    mask: Array | None
    is_causal: bool
    scale: float
    dropped: float
    key_of_dropout: tuple[int, int]

    def struct(self, **others: Array) -> Any:
        """The `Problem` of attention.cuh, with the strides of other operands, too."""
        result = np.zeros((), _PROBLEM)
        operands = {"query": self.query, "key": self.key, "value": self.value} | others
        for name, x in operands.items():
            result[name] = _element_strides(x)[:3]
        read = [operands[name] for name in ("query", "key", "value", "dy") if name in operands]
        batch, heads, length, size = self.query.shape
        group = heads // self.key.shape[1]
        counts = batch, heads, group, length, self.key.shape[2], size, self.value.shape[3]
        kind = 0 if self.mask is None else _MASKS[self.mask.dtype.char]
        aligned = all(map(_is_aligned, read))
        for name, n in zip(_COUNTS, (*counts, self.is_causal, kind, aligned), strict=True):
            result[name] = n
        if self.mask is not None:
            strides = zip(self.mask.shape, _element_strides(self.mask), strict=True)
            for axis, (n, stride) in zip(("batch", "head", "row", "column"), strides, strict=True):
                result[f"mask_{axis}"] = stride if n > 1 else 0
        result["scale"], result["dropped"] = self.scale, self.dropped
        result["kept"] = 1 / (1 - self.dropped)
        result["seed"], result["offset"] = self.key_of_dropout
        return result[()]

    def tiles(self) -> tuple[int, int]:
        """Of queries of all heads, and of keys of all heads."""
        batch, heads, length, _ = self.query.shape
        return (
            batch * heads * blocks(length, TILE),
            batch * self.key.shape[1] * blocks(self.key.shape[2], TILE),
        )


def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    dropout_key: tuple[int, int] | None = None,
) -> Any:
    """y = softmax(q·kᵀ·scale + mask)·v."""
    if not _suit(query, key, value, enable_gqa) or type(is_causal) is not bool:
        return NotImplemented
    if not _is_mask(attn_mask, (*query.shape[:-1], key.shape[-2])):
        return NotImplemented
    weights = math.prod(query.shape[:-1]) * key.shape[-2]
    if not _is_dropout(dropout_p, dropout_key, weights):
        return NotImplemented
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1])
    elif type(scale) not in (int, float) or not math.isfinite(scale):
        return NotImplemented
    mask = None if attn_mask is None else _with_four_axes(attn_mask)
    heads = _heads(query), _heads(key), _heads(value)
    problem = Problem(*heads, mask, is_causal, scale, dropout_p, dropout_key or (0, 0))
    y = _like(problem.query, value.shape[-1])
    statistics = _attend(problem, y)

    def pullback(needed: tuple[bool, ...], dy: Array) -> tuple[Array | None, ...]:
        gradients = _gradients(problem, y, statistics, _heads(dy), needed)
        shapes = [None if x is None else x.shape for x in (query, key, value, attn_mask)]
        pairs = zip(gradients, shapes, strict=True)
        return tuple(dx if dx is None else dx.reshape(shape) for dx, shape in pairs)

    return y.reshape((*query.shape[:-1], value.shape[-1])), Joint(pullback)


def _suit(query: Any, key: Any, value: Any, enable_gqa: Any) -> bool:
    """Whether the kernels are for these operands, whose heads match without broadcasting."""
    if not are_arrays("fe", query, key, value) or type(enable_gqa) is not bool:
        return False
    if min(query.ndim, query.size, key.size, value.size) == 0 or query.ndim < 2:
        return False
    if max(query.size, key.size, value.size) > _MOST:
        return False
    if query.ndim != key.ndim or key.shape[:-1] != value.shape[:-1]:
        return False
    if query.shape[-1] != key.shape[-1] or query.shape[:-3] != key.shape[:-3]:
        return False
    if query.ndim == 2 or query.shape[-3] == key.shape[-3]:
        return True
    return query.shape[-3] % key.shape[-3] == 0 and (enable_gqa or key.shape[-3] == 1)


def _is_mask(mask: Any, shape: tuple[int, ...]) -> bool:
    """Whether the kernels read this mask: it broadcasts to the logits with four axes or fewer."""
    if mask is None:
        return True
    if type(mask) is not cupy.ndarray or mask.dtype.char not in _MASKS:
        return False
    if mask.ndim > len(shape) or len(shape) > 4 and mask.ndim > 3:
        return False
    pairs = zip(mask.shape[::-1], shape[::-1], strict=False)
    return all(n in (1, full) for n, full in pairs)


def _is_dropout(p: Any, key: Any, weights: int) -> bool:
    """Whether the kernels draw these numbers: blocks of Philox are counted in 64 bits."""
    if type(p) not in (int, float) or not 0 <= p < 1:
        return False
    return p == 0 or key is not None and 0 <= key[0] < 2**64 and 0 <= key[1] < 2**64 - weights


def _heads(x: Array) -> Array:
    """x as (batch, heads, length, size), whose rows are contiguous."""
    x = x.reshape((-1, *x.shape[-3:])) if x.ndim > 4 else _with_four_axes(x)
    return x if x.strides[-1] == x.itemsize or x.shape[-1] == 1 else cupy.ascontiguousarray(x)


def _with_four_axes(x: Array) -> Array:
    return x.reshape((1,) * (4 - x.ndim) + x.shape)


def _element_strides(x: Array) -> tuple[int, ...]:
    return tuple([stride // x.itemsize for stride in x.strides])


def _is_aligned(x: Array, count: int = 4) -> bool:
    """Whether rows can be read as vectors of so many numbers."""
    strides = [stride for n, stride in zip(x.shape[:3], x.strides, strict=False) if n > 1]
    return not any(n % (count * x.itemsize) for n in (x.data.ptr, *strides))


def _suit_tensor_cores(*operands: Array) -> bool:
    """Whether they are float16, in aligned rows of up to 128 numbers, a multiple of 8."""
    for x in operands:
        size = x.shape[3]
        if x.dtype.char != "e" or size > 128 or size % 8 or not _is_aligned(x, 8):
            return False
    return True


def _width_of_halves(problem: Problem) -> int:
    return 64 if max(problem.query.shape[3], problem.value.shape[3]) <= 64 else 128


def _like(x: Array, size: int) -> Array:
    """A new array with rows of this size, whose axes lie in memory in the order of those of x."""
    order = sorted(range(3), key=lambda axis: -x.strides[axis])
    y = cupy.empty((*[x.shape[axis] for axis in order], size), x.dtype)
    return y.transpose([*[order.index(axis) for axis in range(3)], 3])


def _columns(size: int, most: int = 256) -> tuple[int, int]:
    """The columns of results that a block sums, 64, 128 or 256, and how many blocks have parts."""
    width = next((n for n in (64, 128, 256) if size <= n <= most), most)
    return width, blocks(size, width)


def _kernel(module: Module, name: str, width: int, x: Array) -> Kernel:
    return module.kernel(f"{name}_{width}_{SUFFIX[x.dtype.char]}")


def _totals(length: int, grid: Sequence[int], width: int) -> Array | None:
    """Memory for the sums of so many keys or queries, of two floats, where they are long."""
    if length <= _SUMMED:
        return None
    return cupy.empty((grid[0] * grid[1] * TILE * width, 2), np.float32)


def _attend(problem: Problem, y: Array) -> Array:
    """Write y; returned is what the gradients need: of each query, m and 1 / l."""
    batch, heads, length, _ = problem.query.shape
    statistics = cupy.empty((batch, heads, 2, length), np.float32)
    operands = problem.query, problem.key, problem.value, problem.mask
    width, parts = _columns(y.shape[3])
    grid = problem.tiles()[0], parts
    if length <= _FEW and max(problem.query.shape[3], y.shape[3]) <= 256:
        _decode(operands, y, statistics, problem.struct(y=y))
        return statistics
    if _suit_tensor_cores(*operands[:3]):
        kernel = _forward_half.kernel(f"attention_forward_half_{_width_of_halves(problem)}")
        kernel(grid, _LANES, (*operands, y, statistics, problem.struct(y=y)))
        return statistics
    totals = _totals(problem.key.shape[2], grid, width)
    kernel = _kernel(_forward_module, "attention_forward", width, y)
    kernel(grid, _THREADS, (*operands, y, statistics, totals, problem.struct(y=y)))
    return statistics


def _decode(operands: Sequence[Any], y: Array, statistics: Array, struct: Any) -> None:
    """The same for few queries: of each, parts of the keys, which a second kernel combines."""
    rows, suffix = math.prod(y.shape[:3]), SUFFIX[y.dtype.char]
    splits = blocks(operands[1].shape[2], _THREADS)
    parts = cupy.empty((rows * splits, y.shape[3] + 2), np.float32)
    count = np.int32(splits)
    decode = _decoding.kernel(f"attention_decode_{suffix}")
    decode(rows * splits, _THREADS, (*operands, parts, count, struct))
    combine = _decoding.kernel(f"attention_combine_{suffix}")
    combine(rows, _THREADS, (parts, y, statistics, count, struct))


def _gradients(
    problem: Problem, y: Array, saved: Array, dy: Array, needed: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    """dquery, dkey, dvalue and that of a mask of floats; None for what is not needed."""
    batch, heads, length, _ = problem.query.shape
    operands = problem.query, problem.key, problem.value
    dq, dk, dv = (_like(x, x.shape[3]) for x in operands)
    struct = problem.struct(y=y, dy=dy, dquery=dq, dkey=dk, dvalue=dv)
    statistics = cupy.empty((batch, heads, 3, length), np.float32)
    rows = blocks(32 * batch * heads * length, _THREADS)
    means = _backward_module.kernel(f"attention_means_{SUFFIX[y.dtype.char]}")
    means(rows, _THREADS, (y, dy, saved, statistics, struct))
    read = (*operands, dy, problem.mask, statistics)
    on_tensor_cores = _suit_tensor_cores(*operands, dy)
    if needed[0]:
        sum_queries = _sum_queries_of_halves if on_tensor_cores else _sum_queries
        sum_queries(problem, read, dq, struct)
    if needed[1] or needed[2]:
        sum_keys = _sum_keys_of_halves if on_tensor_cores else _sum_keys
        sum_keys(problem, read, dk, dv, struct)
    dmask = None
    if needed[3] and problem.mask is not None and problem.mask.dtype.kind == "f":
        dmask = _sum_logits(problem, problem.mask, read, struct)
    return dq if needed[0] else None, dk if needed[1] else None, dv if needed[2] else None, dmask


def _sum_queries(problem: Problem, read: Sequence[Any], dq: Array, struct: Any) -> None:
    width, parts = _columns(dq.shape[3])
    grid = problem.tiles()[0], parts
    totals = _totals(problem.key.shape[2], grid, width)
    kernel = _kernel(_backward_module, "attention_queries", width, dq)
    kernel(grid, _THREADS, (*read, dq, totals, struct))


def _sum_keys(problem: Problem, read: Sequence[Any], dk: Array, dv: Array, struct: Any) -> None:
    width, parts = _columns(max(dk.shape[3], dv.shape[3]), most=128)
    grid = problem.tiles()[1], parts
    queries = problem.query.shape[2] * problem.query.shape[1] // problem.key.shape[1]
    totals = _totals(queries, grid, 2 * width)
    kernel = _kernel(_backward_module, "attention_keys", width, dk)
    kernel(grid, _THREADS, (*read, dk, dv, totals, struct))


def _sum_queries_of_halves(problem: Problem, read: Sequence[Any], dq: Array, struct: Any) -> None:
    width = _width_of_halves(problem)
    kernel = _backward_half.kernel(f"attention_queries_half_{width}")
    kernel(problem.tiles()[0], _LANES, (*read, dq, struct), shared=_memory_of_halves(width))


def _sum_keys_of_halves(
    problem: Problem, read: Sequence[Any], dk: Array, dv: Array, struct: Any
) -> None:
    width = _width_of_halves(problem)
    kernel = _backward_half.kernel(f"attention_keys_half_{width}")
    kernel(problem.tiles()[1], _LANES, (*read, dk, dv, struct), shared=_memory_of_halves(width))


def _memory_of_halves(width: int) -> int:
    """The bytes of two operands of 64 rows, and two of a tile of 64, or 32 for wide heads."""
    other = 64 if width == 64 else 32
    return 2 * (64 + other) * (width + 8) * 2


def _sum_logits(problem: Problem, mask: Array, read: Sequence[Any], struct: Any) -> Array:
    """The gradient of the mask: the sum of those of the logits over the axes of length 1."""
    result = cupy.empty(mask.shape, np.float32)
    batches, heads, rows, columns = mask.shape
    grid = batches * heads * blocks(rows, TILE) * blocks(columns, TILE)
    kernel = _backward_module.kernel(f"attention_mask_{SUFFIX[problem.query.dtype.char]}")
    kernel(grid, _THREADS, (*read, result, *map(np.int32, mask.shape), struct))
    return result.astype(mask.dtype, copy=False)
