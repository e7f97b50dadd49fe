"""Memory that was freed is kept for the next step.

A training step frees what it allocated, and the next one asks for the same again.  The GNU C
library gives large blocks back to the system at once, and takes new ones page by page, which the
system fills with zeros first: a quarter of the time that a small convolutional network takes.  So
it is told to keep them.  What a process has freed, up to a gigabyte of it, stays with it.
"""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT = 2**30
_LARGEST = 2**25  # the largest block that may be kept; the library allows no more


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
        return bool(
            library.mallopt(_TRIM_THRESHOLD, _KEPT) and library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        )
    except (AttributeError, OSError, TypeError):
        return False
