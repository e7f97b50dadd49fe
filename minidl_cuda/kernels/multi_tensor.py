"""Lists of arrays as arguments of a kernel, by value: see multi_tensor.cuh."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from minidl_cuda.kernels.guard import blocks

THREADS, CHUNK = 256, 2048  # as in multi_tensor.cuh

# For so many arrays of each tensor, how many tensors one launch takes: at most 4 KB, and odd, so
# that the structs end on 8 bytes.
COUNTS = {1: 195, 2: 139, 3: 107, 4: 87, 5: 75}


@cache
def _struct(arrays: int) -> np.dtype:
    count = COUNTS[arrays]
    return np.dtype(
        [
            ("address", np.uint64, (arrays, count)),
            ("size", np.int64, (count,)),
            ("first", np.int32, (count,)),
            ("count", np.int32),
        ]
    )


def launches(tensors: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, int]]:
    """For each launch that they take, the struct, and the number of chunks.

    tensors    for each tensor its arrays, contiguous and of one size
    """
    tensors = [arrays for arrays in tensors if arrays[0].size]
    if not tensors:
        return
    dtype = _struct(len(tensors[0]))
    count = COUNTS[len(tensors[0])]
    for start in range(0, len(tensors), count):
        part = tensors[start : start + count]
        struct = np.zeros((), dtype)
        used = len(part)
        sizes = [arrays[0].size for arrays in part]
        chunks = [blocks(size, CHUNK) for size in sizes]
        struct["address"][:, :used] = np.array([[x.data.ptr for x in own] for own in part], "u8").T
        struct["size"][:used] = sizes
        struct["first"][:used] = np.cumsum([0, *chunks[:-1]])
        struct["count"] = used
        yield struct[()], sum(chunks)
