"""Memory that was freed is kept for the next step.

A training step frees what it allocated, and the next one asks for the same again.  The GNU C
library gives large blocks back to the system at once, and takes new ones page by page, which the
system fills with zeros first: a quarter of the time that a small convolutional network takes.  So
it is told to keep them.  What a process has freed, up to a gigabyte of it, stays with it.

Where these blocks lie, Linux is asked for large pages, of 2 MiB instead of 4 KiB: a processor knows
the places of some thousand pages, and looks others up in memory.  That is worth some hundredths of
a step.
"""

import ctypes
import os
import sys
from itertools import pairwise

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT = 2**30
_LARGEST = 2**25  # the largest block that may be kept; the library allows no more
_LARGE_PAGES = 14  # MADV_HUGEPAGE of madvise(2)
_RESERVED, _BLOCK = 2**28, 2**24  # address space in which they are asked for, and its parts
_PAGE = 2**21


def keep_freed_memory() -> bool:
    """Tell the C library, if it is GNU's and nobody has told it otherwise; whether it was told.

    MINIDL_KEEP_MEMORY=0 in the environment leaves everything as it is.
    """
    settings = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"
    if os.environ.get("MINIDL_KEEP_MEMORY") == "0" or any(map(os.environ.get, settings)):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - only the GNU library has it
        told = library.mallopt(_TRIM_THRESHOLD, _KEPT) and library.mallopt(
            _MMAP_THRESHOLD, _LARGEST
        )
        if told and sys.platform == "linux":
            _ask_for_large_pages(library)
        return bool(told)
    except (AttributeError, OSError, TypeError):
        return False


def _ask_for_large_pages(library: ctypes.CDLL) -> None:
    """For blocks that are taken and freed at once: the library will give them out again.

    Memory that nobody has touched yet is only address space.
    """
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    blocks = [library.malloc(_BLOCK) for _ in range(_RESERVED // _BLOCK)]
    found = sorted(block for block in blocks if block)
    gaps = [after - before - _BLOCK for before, after in pairwise(found)]
    if len(found) == len(blocks) and max(gaps) < _PAGE:  # they are the end of the heap
        begin, end = -(-found[0] // _PAGE) * _PAGE, (found[-1] + _BLOCK) // _PAGE * _PAGE
        library.madvise(begin, end - begin, _LARGE_PAGES)
    for block in blocks:
        library.free(block)
