"""safetensors, the file format of weights: named arrays of numbers, and nothing that could run.

    8 bytes    n, the length of the header
    n bytes    the header: JSON, perhaps with spaces after it
    the rest   the arrays end to end, in C order

    header     {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}, and under
               "__metadata__" an object of texts; offsets count from the end of the header

Every number is little-endian.  Hugging Face: safetensors, the section Format of its README.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from minidl.io.errors import CheckpointError

METADATA = "__metadata__"  # the one name that no array can have

_DTYPES = {
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "BOOL": "|b1"},
    **{f"{kind}{8 * n}": f"<{kind.lower()}{n}" for kind in "IU" for n in (1, 2, 4, 8)},
    "BF16": "<u2",  # the upper half of a float32, which it becomes
}
DTYPES = tuple(np.dtype(code) for name, code in _DTYPES.items() if name != "BF16")

_LONGEST_HEADER = 100_000_000  # bytes; the same limit as in the safetensors package
_MOST_AXES = 64  # that a NumPy array can have

# What is handed in by mistake: how such a file begins, and what it is.
_OTHERS = {
    b"PK\x03\x04": "a zip archive, as torch.save and numpy.savez write",
    b"\x89HDF": "an HDF5 file, as Keras writes",
    b"\x93NUMPY": "a .npy file, as numpy.save writes",
    b"\x1f\x8b": "a gzip file",
    b"GGUF": "a GGUF file",
    **dict.fromkeys((b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"), "a Python pickle"),
}


class _Entry(NamedTuple):
    """Where an array lies, and what it is."""

    begin: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def in_file_order(array: np.ndarray) -> np.ndarray:
    """The array as its bytes are in a file, without a copy where they are so in memory."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays of DTYPES into a new file."""
    from safetensors import SafetensorError  # here, so that importing minidl does not load it
    from safetensors.numpy import save_file

    try:
        save_file({name: in_file_order(x) for name, x in arrays.items()}, path, dict(metadata))
    except SafetensorError as error:  # of the disk, too
        raise CheckpointError(str(error)) from None


def read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the arrays of a file; bfloat16 becomes float32.

    A file that does not follow the format in every point is a CheckpointError.  Memory is taken for
    what the file really holds, whatever its header says.
    """
    if not path.is_file():
        raise CheckpointError(
            "is no file (but a folder, or a device)" if path.exists() else "there is no such file"
        )
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(file, size)
        metadata = header.pop(METADATA, {})
        if not isinstance(metadata, dict) or not all(type(x) is str for x in metadata.values()):
            raise CheckpointError(f"its header is damaged ({METADATA} is to be an object of texts)")
        entries = sorted(_entry(name, fields) for name, fields in header.items())
        _check_places(entries, size - file.tell())
        return metadata, {entry.name: _read_array(file, entry) for entry in entries}


def _read_header(file: BinaryIO, size: int) -> dict[str, Any]:
    """The header as a dict; the file is left at its end."""
    head = file.read(9)
    if len(head) < 8:
        what = f"ends after {len(head)} bytes" if head else "is empty"
        raise CheckpointError(f"is no safetensors file: it {what}")
    length = int.from_bytes(head[:8], "little")
    if length > min(_LONGEST_HEADER, size - 8) or head[8:] != b"{":
        other = [what for beginning, what in _OTHERS.items() if head.startswith(beginning)]
        if other:
            raise CheckpointError(f"is no safetensors file but {other[0]}")
        if length > _LONGEST_HEADER or head[8:] not in (b"{", b""):
            raise CheckpointError(
                f"is no safetensors file: a header of {length} bytes that begins with {head[8:]}"
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
    """The dict of a JSON object, in which no name may come twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _entry(name: str, fields: Any) -> _Entry:
    """What the header says of an array, checked."""
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
    return _Entry(*offsets, name, dtype, tuple(shape))


def _are_sizes(values: Any) -> bool:
    """Whether this is a list of whole numbers from 0 on."""
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)


def _check_places(entries: list[_Entry], room: int) -> None:
    """The arrays must lie end to end, from the header to the end of the file."""
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


def _read_array(file: BinaryIO, entry: _Entry) -> np.ndarray:
    """The next array of the file, in memory of its own."""
    try:
        array = np.empty(entry.shape, _DTYPES[entry.dtype])
    except ValueError as error:  # lengths beyond NumPy's, beside one of 0
        raise CheckpointError(f"{entry.name!r} has shape {entry.shape}: {error}") from None
    if file.readinto(array.reshape(-1).view(np.uint8)) < array.nbytes:
        raise CheckpointError("ends early: it was changed while it was read")
    if entry.dtype == "BOOL" and (array.view(np.uint8) > 1).any():
        raise CheckpointError(f"{entry.name!r} has bools other than 0 and 1")
    if entry.dtype == "BF16":
        array = np.left_shift(array, 16, dtype="<u4").view("<f4")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
