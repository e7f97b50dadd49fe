"""The safetensors file format: named arrays without executable content.

    8 bytes    n, the length of the header
    n bytes    the header: JSON, optionally padded with spaces
    the rest   the arrays, contiguous, in C order

    header     {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}, and under
               "__metadata__" an object of strings; offsets are relative to the end of the header

All values are little-endian.  Hugging Face: safetensors, README, section Format.
"""

import json
import math
import os
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.files import open_regular
from minidl.io.errors import CheckpointError

METADATA = "__metadata__"  # a reserved name

_DTYPES = {
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "BOOL": "|b1"},
    **{f"{kind}{8 * n}": f"<{kind.lower()}{n}" for kind in "IU" for n in (1, 2, 4, 8)},
    "BF16": "<u2",  # the upper half of a float32, to which it is converted
}
DTYPES = tuple(np.dtype(code) for name, code in _DTYPES.items() if name != "BF16")

_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors package
_MOST_AXES = 64  # the limit of NumPy arrays

# Magic numbers of other formats, for error messages.
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, as torch.save and numpy.savez write",
    b"\x89HDF": "an HDF5 file, as Keras writes",
    b"\x93NUMPY": "a .npy file, as numpy.save writes",
    b"\x1f\x8b": "a gzip file",
    b"GGUF": "a GGUF file",
    **dict.fromkeys((b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"), "a Python pickle"),
}


class _Entry(NamedTuple):
    """The header's entry for an array."""

    begin: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def open_file(path: Path) -> BufferedReader:
    """Open a file for reading; CheckpointError unless it is a regular file."""
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise CheckpointError("there is no such file") from None


def in_file_order(array: np.ndarray) -> np.ndarray:
    """The array in C order and little-endian, without a copy where it is so already."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays of DTYPES into a new file."""
    from safetensors import SafetensorError  # lazily, for a fast `import minidl`
    from safetensors.numpy import save_file

    try:
        save_file({name: in_file_order(x) for name, x in arrays.items()}, path, dict(metadata))
    except SafetensorError as error:  # also raised for disk errors
        raise CheckpointError(str(error)) from None


def read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the arrays of a file; bfloat16 becomes float32.

    Any deviation from the format is a CheckpointError.  No more memory is allocated than the file
    has bytes, whatever its header says.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(file, size)
        metadata = header.pop(METADATA, {})
        if not isinstance(metadata, dict) or not all(type(x) is str for x in metadata.values()):
            raise CheckpointError(f"its header is damaged ({METADATA} is to be an object of texts)")
        entries = sorted(_entry(name, fields) for name, fields in header.items())
        _check_contiguous(entries, size - file.tell())
        return metadata, {entry.name: _read_array(file, entry) for entry in entries}


def _read_header(file: BufferedReader, size: int) -> dict[str, Any]:
    """The header as a dict; the file is left at the header's end."""
    head = file.read(9)
    if len(head) < 8:
        what = f"ends after {len(head)} bytes" if head else "is empty"
        raise CheckpointError(f"is no safetensors file: it {what}")
    length = int.from_bytes(head[:8], "little")
    if length > min(_LONGEST_HEADER, size - 8) or head[8:] != b"{":
        other = [what for beginning, what in _OTHER_FORMATS.items() if head.startswith(beginning)]
        if other:
            raise CheckpointError(f"is no safetensors file but {other[0]}")
        if length > _LONGEST_HEADER or head[8:] not in (b"{", b""):
            raise CheckpointError(
                f"is no safetensors file: a header of {length} bytes that begins with {head[8:]!r}"
            )
        raise CheckpointError(f"ends early: its header takes {length} bytes, and {size - 8} follow")
    file.seek(8)
    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    except RecursionError:
        raise CheckpointError("its header is damaged (nested too deeply)") from None
    except ValueError as error:
        raise CheckpointError(f"its header is damaged ({error})") from None
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dict of a JSON object; ValueError for duplicate names."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a name comes twice")
    return unique


def _entry(name: str, fields: Any) -> _Entry:
    """The header's entry for an array, validated."""
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{name!r} needs dtype, shape and data_offsets; has {fields!r:.80}")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if type(dtype) is not str or dtype not in _DTYPES:
        raise CheckpointError(f"{name!r} has dtype {dtype!r:.40}; known: {', '.join(_DTYPES)}")
    if not _are_sizes(shape) or len(shape) > _MOST_AXES:
        raise CheckpointError(f"{name!r} has shape {shape!r:.80}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise CheckpointError(f"{name!r} has data_offsets {offsets!r:.80}")
    needs = math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
    if offsets[1] - offsets[0] != needs:
        raise CheckpointError(
            f"{name!r} of {dtype} {tuple(shape)} takes {needs} bytes; its offsets are {offsets}"
        )
    begin, end = offsets
    return _Entry(begin, end, name, dtype, tuple(shape))


def _are_sizes(values: Any) -> bool:
    """Whether this is a list of non-negative integers."""
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)


def _check_contiguous(entries: list[_Entry], room: int) -> None:
    """Raise unless the arrays are contiguous, from the header to the end of the file."""
    end = 0
    for entry in entries:
        if entry.begin != end:
            what = "overlaps the array before it" if entry.begin < end else "leaves a gap before it"
            raise CheckpointError(f"{entry.name!r} {what}: from {entry.begin}, not {end}")
        end = entry.end
    if end > room:
        raise CheckpointError(f"ends early: its arrays take {end} bytes, and {room} are there")
    if end < room:
        raise CheckpointError(f"goes on after its last array: {room - end} bytes more")


def _read_array(file: BufferedReader, entry: _Entry) -> np.ndarray:
    """Read the next array of the file into new memory."""
    try:
        array = np.empty(entry.shape, _DTYPES[entry.dtype])
    except ValueError as error:  # beyond NumPy's limits, in a shape that contains 0
        raise CheckpointError(f"{entry.name!r} has shape {entry.shape}: {error}") from None
    if file.readinto(array.reshape(-1).view(np.uint8).data) < array.nbytes:
        raise CheckpointError("ends early: it was changed while it was read")
    if entry.dtype == "BOOL" and (array.view(np.uint8) > 1).any():
        raise CheckpointError(f"{entry.name!r} has bools other than 0 and 1")
    if entry.dtype == "BF16":
        array = np.left_shift(array, 16, dtype="<u4").view("<f4")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
