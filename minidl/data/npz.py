"""The NPZ file format of NumPy: a ZIP archive of NPY arrays."""

import math
import os
import zipfile

import numpy as np

from minidl.data.errors import FormatError
from minidl.data.idx import MAX_DEFLATE_RATIO
from minidl.errors import path_of


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays in an NPZ file by name, as for `TensorDataset(arrays["x"], arrays["y"])`.

    Nothing in the file is executed: a file that contains Python objects, is damaged, or of another
    format, is a FormatError.  No more memory is allocated than the file has content.

    >>> np.savez("a.npz", x=np.zeros((4, 2)), y=np.arange(4))
    >>> arrays = minidl.data.read_npz("a.npz")
    >>> arrays["x"].shape, arrays["y"].tolist()
    ((4, 2), [0, 1, 2, 3])
    """
    path = path_of("read_npz", path)
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return {_name(info): _array(archive, info) for info in archive.infolist()}
        except Exception as error:  # ZIP, DEFLATE and NPY raise many types
            reason = str(error) or type(error).__name__
            raise FormatError(f"{path}: not a sound NPZ file: {reason}") from None


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.removesuffix(".npy")


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array, after checking that its header is plausible."""
    name = _name(info)
    if info.file_size > info.compress_size * MAX_DEFLATE_RATIO:
        raise FormatError(f"{name}: {info.compress_size} bytes cannot hold {info.file_size}")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise FormatError(f"{name}: NPY version {version}; needs 1.0 or 2.0")
        read = np.lib.format
        header = read.read_array_header_1_0 if version == (1, 0) else read.read_array_header_2_0
        shape, fortran_order, dtype = header(file)
        if dtype.hasobject:
            raise FormatError(f"{name}: holds Python objects, which only pickle can read")
        needs = math.prod(shape) * dtype.itemsize
        values = file.read(needs + 1) if needs <= info.file_size else b""
        if len(values) != needs:
            raise FormatError(f"{name}: {dtype} {shape} takes {needs} bytes; it has fewer or more")
    flat = np.frombuffer(bytearray(values), dtype, count=math.prod(shape))
    return flat.reshape(shape, order="F" if fortran_order else "C")
