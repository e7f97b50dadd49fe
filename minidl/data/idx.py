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

from minidl.checks import check_integers
from minidl.data.compressed import (
    DAMAGED,
    MAX_ARRAY_BYTES,
    MAX_DEFLATE_RATIO,
    open_decompressed,
    too_large,
)
from minidl.data.errors import FormatError
from minidl.errors import path_of

_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_BLOCK = 1 << 20


def read_idx(path: str | os.PathLike[str], *, max_bytes: int = MAX_ARRAY_BYTES) -> np.ndarray:
    """The array in an IDX file, gzipped or not, in native byte order.

    max_bytes   the most bytes that a gzipped file may decompress to, by default 1 GiB

    A file of another format, damaged, truncated, or with trailing bytes, is a FormatError.  No more
    memory is allocated than the file has content, whatever its header says.

    >>> with open("a.idx", "wb") as file:
    ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    >>> minidl.data.read_idx("a.idx")
    array([7, 8, 9], dtype=uint8)
    """
    path = path_of("read_idx", path)
    check_integers("read_idx", 1, max_bytes=max_bytes)
    with open_decompressed(path, max_bytes) as file:
        try:
            return _read(file, path, max_bytes)
        except DAMAGED as error:
            raise FormatError(f"{path}: damaged: {error}") from None


def _read(file: BufferedReader | gzip.GzipFile, path: Path, max_bytes: int) -> np.ndarray:
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
    if needs > max_bytes and isinstance(file, gzip.GzipFile):
        raise too_large(path, max_bytes)
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
