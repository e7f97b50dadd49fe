"""Allocator settings: freed memory is reused in the next training step.

A training step frees what it allocated, and the next one allocates the same again.  The GNU C
library returns large blocks to the operating system at once, and gets new ones page by page, which
the kernel zeroes first: a quarter of the time of a small convolutional network.  So it is set to
keep up to a gigabyte of freed memory in the process.

For the address range of these blocks, huge pages of 2 MiB, instead of 4 KiB, are requested: the
TLB caches the addresses of some thousand pages, and others are looked up in memory.  That saves a
few per cent of a step.
"""

import ctypes
import os
import sys
from itertools import pairwise

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT = 2**30  # bytes
_LARGEST = 2**25  # the largest block to keep; the library allows no more
_HUGE_PAGES = 14  # MADV_HUGEPAGE of madvise(2)
_RESERVED, _BLOCK = 2**28, 2**24  # the size of that address range, and of its blocks
_PAGE = 2**21


def keep_freed_memory() -> bool:
    """Set the C library to keep freed memory, unless the environment sets it; return whether done.

    Only the GNU C library has these settings.
    MINIDL_KEEP_MEMORY=0 in the environment leaves everything as it is.
    """
    settings = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"
    if os.environ.get("MINIDL_KEEP_MEMORY") == "0" or any(map(os.environ.get, settings)):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - only the GNU library has it
        done = library.mallopt(_TRIM_THRESHOLD, _KEPT) and library.mallopt(
            _MMAP_THRESHOLD, _LARGEST
        )
        if done and sys.platform == "linux":
            _request_huge_pages(library)
        return bool(done)
    except (AttributeError, OSError, TypeError):
        return False


def _request_huge_pages(library: ctypes.CDLL) -> None:
    """Request huge pages for blocks that are allocated and freed here, to be allocated again.

    Untouched memory is address space only, and costs nothing.
    """
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    blocks = [library.malloc(_BLOCK) for _ in range(_RESERVED // _BLOCK)]
    addresses = sorted(block for block in blocks if block)
    gaps = [after - before - _BLOCK for before, after in pairwise(addresses)]
    if len(addresses) == len(blocks) and max(gaps) < _PAGE:  # contiguous, at the end of the heap
        begin = -(-addresses[0] // _PAGE) * _PAGE
        end = (addresses[-1] + _BLOCK) // _PAGE * _PAGE
        library.madvise(begin, end - begin, _HUGE_PAGES)
    for block in blocks:
        library.free(block)
