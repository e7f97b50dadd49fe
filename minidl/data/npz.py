"""NumPy's file formats: NPY, an array, and NPZ, a ZIP archive of NPY arrays."""

import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from minidl.checks import check_integers
from minidl.data.compressed import MAX_ARRAY_BYTES, MAX_DEFLATE_RATIO, too_large
from minidl.data.errors import FormatError
from minidl.errors import path_of
from minidl.files import open_regular


def read_npz(
    path: str | os.PathLike[str], *, max_bytes: int = MAX_ARRAY_BYTES
) -> dict[str, np.ndarray]:
    """The arrays in an NPZ file by name, as for `TensorDataset(arrays["x"], arrays["y"])`.

    max_bytes   the most bytes that compressed arrays may decompress to in total, by default 1 GiB

    Nothing in the file is executed: a file that contains Python objects, is damaged, or of another
    format, is a FormatError.  No more memory is allocated than the file has content.

    >>> np.savez("a.npz", x=np.zeros((4, 2)), y=np.arange(4))
    >>> arrays = minidl.data.read_npz("a.npz")
    >>> arrays["x"].shape, arrays["y"].tolist()
    ((4, 2), [0, 1, 2, 3])
    """
    path = path_of("read_npz", path)
    check_integers("read_npz", 1, max_bytes=max_bytes)
    with (
        open_regular(path) as file,
        _format_errors(path, "NPZ"),
        zipfile.ZipFile(file) as archive,
    ):
        members = archive.infolist()
        _check_sizes(members, path, max_bytes)
        return {_name(info): _member(archive, info) for info in members}


def read_npy(path: Path) -> np.ndarray:
    """The array in an NPY file; FormatError under the same conditions as for `read_npz`."""
    with open_regular(path) as file, _format_errors(path, "NPY"):
        return _array(file, os.fstat(file.fileno()).st_size)


@contextmanager
def _format_errors(path: Path, kind: str) -> Iterator[None]:
    """Any error in the block as a FormatError: ZIP, DEFLATE and NPY raise many types."""
    try:
        yield
    except Exception as error:
        if isinstance(error, FormatError) and str(error).startswith(str(path)):
            raise
        reason = str(error) or type(error).__name__
        raise FormatError(f"{path}: not a sound {kind} file: {reason}") from None


def _check_sizes(members: list[zipfile.ZipInfo], path: Path, max_bytes: int) -> None:
    """Raise for archives that contain more than they can, or than is allowed."""
    names = [_name(info) for info in members]
    for info, name in zip(members, names, strict=True):
        if names.count(name) > 1:
            raise FormatError(f"two arrays have the name {name!r}")
        if info.file_size > info.compress_size * MAX_DEFLATE_RATIO:
            raise FormatError(f"{name}: {info.compress_size} bytes cannot hold {info.file_size}")
    if sum(info.compress_size for info in members) > path.stat().st_size:
        raise FormatError("its members overlap")
    compressed = [info.file_size for info in members if info.compress_type != zipfile.ZIP_STORED]
    if sum(compressed) > max_bytes:
        raise too_large(path, max_bytes)


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.removesuffix(".npy")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array of an archive."""
    with archive.open(info) as file:
        try:
            return _array(file, info.file_size)
        except FormatError as error:
            raise FormatError(f"{_name(info)}: {error}") from None


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """The array in NPY format that takes `size` bytes, after checking its header."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise FormatError(f"NPY version {version}; needs 1.0 or 2.0")
    read = np.lib.format
    header = read.read_array_header_1_0 if version == (1, 0) else read.read_array_header_2_0
    shape, fortran_order, dtype = header(file)
    if dtype.hasobject:
        raise FormatError("holds Python objects, which only pickle can read")
    needs = math.prod(shape) * dtype.itemsize
    values = file.read(needs + 1) if needs <= size else b""
    if len(values) != needs:
        raise FormatError(f"{dtype} {shape} takes {needs} bytes; it has fewer or more")
    flat = np.frombuffer(bytearray(values), dtype, count=math.prod(shape))
    return flat.reshape(shape, order="F" if fortran_order else "C")
