"""The gradient of a mask that is added to the logits, where it is trained.

A mask, such as a bias that depends on the distance of query and key, is mostly the same for all
samples and perhaps heads, so the gradients of the logits are summed over these: in float64, as the
sum may be long.  A thread takes blocks of queries, of all samples and heads, so that no two threads
add to the same element; if the mask is the same for all queries, there is one thread.

Cost: 2·(E + Ev) flops, an exp and an addition for each query and key.
"""

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.attention.blocks import (
    KEYS,
    PROBLEM,
    Problem,
    chunk_offsets,
    masking,
    masking_size,
    named,
    queries_of_block,
    query_blocks,
)
from minidl.backends.kernels.attention.masks import keys_of_block
from minidl.backends.kernels.attention.weights import (
    pack,
    weights_and_gradients,
    workspace,
    workspace_size,
)
from minidl.backends.kernels.runtime.kernel import chunk_bounds, inner, parallel
from minidl.backends.kernels.runtime.workspace import scratch

_NANOSECONDS = 5  # of a query and a key on one thread


def mask_gradient(
    problem: Problem,
    y: np.ndarray,
    statistics: np.ndarray,
    dy: np.ndarray,
    shape: tuple[int, ...],
) -> np.ndarray:
    """The sum of the gradients of the logits over the axes along which the mask is broadcast.

    shape   that of the mask, with four axes
    """
    result = np.zeros(shape)
    blocks = query_blocks(y.shape[2])
    chunks = min(threads.chunks(_NANOSECONDS * problem.bias.size), blocks) if shape[2] > 1 else 1
    sizes, offsets = (problem.query.shape[3], y.shape[3]), chunk_offsets(problem, chunks)
    memory = scratch(chunks, workspace_size(sizes, 0) + masking_size(sizes))
    _sum_logit_gradients(problem, y, dy, statistics, result, memory, offsets, chunks)
    return result.astype(np.float32)


@parallel(
    f"{PROBLEM} f32[~b,h,l,v] f32[~b,h,l,v] f32[b,h,two,l] f64[b,h,l,s] f32[chunk,size]"
    " i64[chunk,two,k]"
)
def _sum_logit_gradients(problem, y, dy, statistics, result, memory, offsets, chunk, chunks):
    """The sum for some blocks of queries, of all samples and heads."""
    problem = named(problem)
    batch, heads, length, size = problem.query.shape
    value_size = problem.value.shape[3]
    own = workspace(memory[chunk], size, value_size, 0)
    masks = masking(memory[chunk], offsets[chunk], max(size, value_size))
    start, stop = chunk_bounds(query_blocks(length), chunk, chunks)
    for block in range(start, stop):
        for i in range(batch * heads):
            queries = queries_of_block(problem, i // heads, i % heads, block)
            pack(problem, y, dy, statistics, queries, own)
            _add_keys(problem, queries, own, masks, result)


@inner
def _add_keys(problem, queries, own, masks, result):
    """Add the gradients of a block of queries and all keys."""
    target = result[queries.batch % result.shape[0], queries.head % result.shape[1]]
    length = problem.key.shape[2]
    if problem.is_causal:
        length = min(length, queries.first + queries.length)
    for begin in range(0, length, KEYS):
        keys = keys_of_block(problem, queries, begin, min(begin + KEYS, length), masks)
        if keys.length == 0:
            continue
        weights_and_gradients(problem, queries, keys, own, masks)
        for q in range(queries.length):
            row = target[(queries.first + q) % target.shape[0]]
            for i in range(keys.length):
                row[(keys.first + i) % row.size] += own.dp[i, q]
