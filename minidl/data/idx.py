"""The IDX file format of MNIST: an array after a short header.

    byte 0–1   0
    byte 2     the dtype: 8 uint8, 9 int8, 11 int16, 12 int32, 13 float32, 14 float64
    byte 3     the number of axes, n
    4·n bytes  the length of each axis
    the rest   the elements in C order

All values are big-endian.  Y. LeCun, C. Cortes, C. Burges: The MNIST database, 1998.
"""

import gzip
import math
import os
from io import BufferedReader
from pathlib import Path

import numpy as np

from minidl.data.errors import FormatError
from minidl.errors import path_of

_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_BLOCK = 1 << 20
# The maximum compression ratio of DEFLATE (M. Adler, zlib's technical details).
MAX_DEFLATE_RATIO = 1032


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, gzipped or not, in native byte order.

    A file of another format, truncated, or with trailing bytes, is a FormatError.  No more memory
    is allocated than the file has content, whatever its header says.

    >>> with open("a.idx", "wb") as file:
    ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    >>> minidl.data.read_idx("a.idx")
    array([7, 8, 9], dtype=uint8)
    """
    path = path_of("read_idx", path)
    with open_decompressed(path) as file:
        try:
            return _read(file, path)
        except (EOFError, OSError) as error:  # of gzip
            raise FormatError(f"{path}: {error}") from None


def open_decompressed(path: Path) -> BufferedReader | gzip.GzipFile:
    """Open a file for reading, decompressed if it is gzipped."""
    with open(path, "rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if gzipped else open(path, "rb")


def _read(file: BufferedReader | gzip.GzipFile, path: Path) -> np.ndarray:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES:
        raise FormatError(f"{path}: an IDX file begins with 0, 0, a dtype, axes; got {[*head]}")
    dtype, ndim = np.dtype(_DTYPES[head[2]]), head[3]
    lengths = file.read(4 * ndim)
    if len(lengths) < 4 * ndim:
        raise FormatError(f"{path}: ends within the lengths of its {ndim} axes")
    shape = tuple(np.frombuffer(lengths, ">u4").tolist()) if ndim else ()
    needs = math.prod(shape) * dtype.itemsize
    if needs > path.stat().st_size * MAX_DEFLATE_RATIO:
        raise FormatError(f"{path}: too short to hold the shape {shape} that its header names")
    values = _at_most(file, needs + 1)
    if len(values) != needs:
        says = f"{len(values)} bytes" if len(values) < needs else "more"
        raise FormatError(f"{path}: shape {shape} of {dtype} takes {needs} bytes; it has {says}")
    try:
        return (
            np.frombuffer(values, dtype, count=math.prod(shape))
            .reshape(shape)
            .astype(dtype.newbyteorder("="), copy=False)
        )
    except ValueError as error:  # beyond NumPy's limits
        raise FormatError(f"{path}: shape {shape}: {error}") from None


def _at_most(file: BufferedReader | gzip.GzipFile, count: int) -> bytearray:
    """Up to `count` bytes, read in blocks, so that no more is allocated than there is."""
    content = bytearray()
    while block := file.read(min(_BLOCK, count - len(content))):
        content += block
    return content
