"""Opening files that come from elsewhere."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

# A pipe without a writer would block in open().  Windows has no such flag, and opens as text.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading; OSError unless it is a regular file.

    Reading a pipe or a terminal may block for ever, and a device may have no end.
    """
    try:
        handle = os.open(path, _FLAGS)
    except ValueError:  # of a name with a zero byte
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(code, "is no file (but a folder, a pipe or a device)", str(path))
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
