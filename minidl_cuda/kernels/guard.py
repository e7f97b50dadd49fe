"""What all wrappers of kernels share: which arrays they take, and how many blocks there are."""

from typing import Any

import cupy

SUFFIX = {"f": "f32", "e": "f16"}  # of the kernels' names, by the character of a dtype


def are_arrays(dtypes: str, array: Any, *others: Any) -> bool:
    """Whether these are arrays on a GPU, of one dtype, whose `char` is in `dtypes`; or None."""
    if type(array) is not cupy.ndarray or array.dtype.char not in dtypes:
        return False
    return all(x is None or type(x) is cupy.ndarray and x.dtype == array.dtype for x in others)


def contiguous(x: Any) -> Any:
    """The array in C-contiguous memory: itself, if it is, or a copy.  None stays None."""
    return x if x is None or x.flags.c_contiguous else cupy.ascontiguousarray(x)


def blocks(count: int, size: int) -> int:
    """How many blocks of that size there are in so many: ⌈count / size⌉."""
    return -(-count // size)


def split(elements: int, most: int = 256) -> tuple[int, int]:
    """The threads of a block, in whole warps, and how many blocks a row of elements takes."""
    threads = min(most, blocks(elements, 32) * 32)
    return threads, blocks(elements, threads)
