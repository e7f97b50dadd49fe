"""Reader of PyTorch's files (.pt, .pth), without PyTorch and without executing their content.

    zip       since PyTorch 1.6: an uncompressed archive of one folder of any name, with members
              data.pkl (a pickle), data/<key> (one per storage), byteorder ("little" or "big"), …
    legacy    before, or with _use_new_zipfile_serialization=False: five pickles (a magic number,
              the version, the machine, the object, the list of the keys of its storages), then for
              each key an int64, the number of elements, and the elements, little-endian

PyTorch: torch/serialization.py.
"""

import os
import struct
import zlib
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.data.transfer import mapped
from minidl.errors import MinidlError, path_of
from minidl.io.errors import CheckpointError
from minidl.io.pickle_reader import Source, read_pickle
from minidl.io.safetensors_file import open_file
from minidl.io.torch_objects import Survey, TorchObjects, check_tree

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_LONGEST_PICKLE = 100_000_000  # bytes; objects may take 200 times as much memory
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a member: signature, lengths of name and extras

# Magic numbers of other formats, for error messages.
_OTHER_FORMATS = {
    b"\x89HDF": "an HDF5 file, as Keras writes",
    b"\x93NUMPY": "a .npy file, as numpy.save writes; numpy.load reads it",
    b"\x1f\x8b": "a gzip file",
    b"GGUF": "a GGUF file",
    b"PK\x05\x06": "an empty zip archive",
}


def load_torch(path: str | os.PathLike[str], *, device: str | None = None) -> Any:
    """The object saved by torch.save: tensors in dicts, lists, tuples and sets, with plain values.

        model.load_state_dict(load_torch("resnet.pth"))

    Tensors and Parameters become constants on the CPU, or on a `device` that is specified, wherever
    they were when they were saved; bfloat16, which NumPy lacks, float32.  Equal views of one
    storage, such as tied weights, become one Tensor; all other views are copies.  OrderedDicts
    become dicts, sizes tuples, devices strings, and dtypes NumPy's.

    Nothing in a file is ever executed.  A file that holds more than tensors and plain data (such as
    a whole model: save its state_dict()), is damaged, of another format, or unreadable is a
    CheckpointError.

    >>> import pickle
    >>> with open("old.pth", "wb") as file:  # what torch.save([1.5], …) wrote before PyTorch 1.6
    ...     for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, [1.5], []):
    ...         pickle.dump(part, file, protocol=2)
    >>> minidl.io.load_torch("old.pth")
    [1.5]
    """
    source = path_of("load_torch", path)
    try:
        with open_file(source) as file:
            tree = check_tree(_load(file, os.fstat(file.fileno()).st_size))
    except MinidlError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from None
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"{os.fspath(path)}: cannot be read: {reason}") from None
    if device is None:
        return tree
    moved: dict[int, Tensor] = {}  # those that occur several times stay one
    return mapped(tree, Tensor, lambda x: moved.setdefault(id(x), x.to(device)))


def is_torch_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like those of torch.save, whatever its name."""
    with open_file(Path(path)) as file:
        head = file.read(9)
    return head.startswith(_ZIP) or head.startswith(_PICKLE) and not _is_safetensors(head)


def _is_safetensors(head: bytes) -> bool:
    """Whether a header length of 8 bytes is followed by JSON."""
    return len(head) == 9 and head[4:] == b"\0\0\0\0{"


def _load(file: BufferedReader, size: int) -> Any:
    """The object in a file of either format."""
    head = file.read(262)
    file.seek(0)
    if _is_safetensors(head[:9]):
        raise CheckpointError("is a safetensors file; minidl.io.load reads it")
    if head.startswith(_ZIP):
        return _load_zip(file, size)
    if head.startswith(_PICKLE):
        return _load_legacy(file, size)
    other = [what for beginning, what in _OTHER_FORMATS.items() if head.startswith(beginning)]
    if head[257:] == b"ustar":
        other = ["a tar archive, as PyTorch before version 0.2 wrote; save it again with a newer"]
    if other:
        raise CheckpointError(f"is no file of torch.save but {other[0]}")
    raise CheckpointError(f"is no file of torch.save: it begins with {head[:8]!r}")


# The zip format.


def _load_zip(file: BufferedReader, size: int) -> Any:
    members = _members(file, size)
    folder = _folder(members)
    order = b"little"
    if f"{folder}/byteorder" in members:
        order = _read_member(file, members[f"{folder}/byteorder"], size).tobytes()
    if order not in (b"little", b"big"):
        raise CheckpointError(f"its byteorder is {order!r:.40}; needs little or big")

    def read(key: str) -> np.ndarray:
        name = f"{folder}/data/{key}"
        if name not in members:
            raise CheckpointError(f"the storage {name!r:.80} is not in the archive")
        return _read_member(file, members[name], size)

    member = members[f"{folder}/data.pkl"]
    if member.file_size > _LONGEST_PICKLE:
        raise CheckpointError(f"its data.pkl has {member.file_size} bytes, over {_LONGEST_PICKLE}")
    pickle = _read_member(file, member, size).tobytes()
    objects = TorchObjects(read, size, _is_model(pickle), order == b"big")
    return read_pickle(Source(BytesIO(pickle), len(pickle)), objects)


def _members(file: BufferedReader, size: int) -> dict[str, ZipInfo]:
    """The members of an archive: uncompressed, without duplicates, no larger than the file."""
    try:
        members = ZipFile(file).infolist()
    except (BadZipFile, NotImplementedError, ValueError, LookupError, struct.error) as error:
        raise CheckpointError(f"is a zip archive that is cut off or damaged ({error})") from None
    by_name = {member.filename: member for member in members}
    if len(by_name) < len(members):
        raise CheckpointError("is a zip archive that has a name twice")
    for member in members if any(name.endswith("/data.pkl") for name in by_name) else ():
        if member.compress_type or member.compress_size != member.file_size:
            raise CheckpointError(
                f"its member {member.filename!r:.80} is compressed, as torch.save never writes; "
                "pack the archive again without compression"
            )
    if sum(member.compress_size for member in members) > size:
        raise CheckpointError("is a zip archive whose members overlap")
    return by_name


def _folder(members: dict[str, ZipInfo]) -> str:
    """The folder that contains all members."""
    folders = [name[: -len("/data.pkl")] for name in members if name.endswith("/data.pkl")]
    if not folders:
        what = (
            "an .npz file, as numpy.savez writes; numpy.load reads it"
            if all(name.endswith(".npy") for name in members)
            else "a Keras model"
            if "config.json" in members and any(name.endswith(".h5") for name in members)
            else "another zip archive: it has no data.pkl"
        )
        raise CheckpointError(f"is no file of torch.save but {what}")
    folder = min(folders, key=len)
    if f"{folder}/constants.pkl" in members:
        raise CheckpointError(
            "holds a TorchScript model, which is a program; in PyTorch, "
            "torch.save(torch.jit.load(path).state_dict(), …) makes a file of its weights"
        )
    return folder


def _read_member(file: BufferedReader, member: ZipInfo, size: int) -> np.ndarray:
    """The bytes of a member, verified by their checksum if there is one."""
    file.seek(min(member.header_offset, size))  # the offset may exceed what seek accepts
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(_ZIP) or member.flag_bits & 1:
        raise CheckpointError(f"its member {member.filename!r:.80} is damaged, or encrypted")
    _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    file.seek(name_length + extra_length, os.SEEK_CUR)
    content = _read_bytes(file, member.file_size, size)
    if member.CRC not in (0, zlib.crc32(content.data)):  # 0: saved without a checksum
        raise CheckpointError(f"its member {member.filename!r:.80} is damaged: another checksum")
    return content


def _read_bytes(file: BufferedReader, count: int, size: int) -> np.ndarray:
    """The next bytes of a file, without allocating more than there are."""
    if count > size - file.tell():
        raise CheckpointError(f"ends early: {count} bytes from {file.tell()} on are not there")
    content = np.empty(count, np.uint8)
    if file.readinto(content.data) < count:
        raise CheckpointError("ends early: it was changed while it was read")
    return content


# The legacy format.


def _load_legacy(file: BufferedReader, size: int) -> Any:
    _read_beginning(file, size)
    begin = file.tell()
    is_model = _is_model(file.read(min(size, 1_000_000)))
    # Two passes: the storages follow the object, and only it knows the width of their elements.
    file.seek(begin)
    survey = Survey(size, is_model)
    read_pickle(_source(file, size), survey)
    storages = _read_storages(file, size, survey.lengths)
    file.seek(begin)
    objects = TorchObjects(storages.__getitem__, size, is_model)
    return read_pickle(_source(file, size), objects)


def _source(file: BufferedReader, size: int) -> Source:
    return Source(file, min(size - file.tell(), _LONGEST_PICKLE))


def _read_beginning(file: BufferedReader, size: int) -> None:
    """The magic number, the version and the machine."""
    host = Survey(size)
    try:
        magic = read_pickle(_source(file, size), host)
    except CheckpointError:
        magic = None
    if type(magic) is not int or magic != _MAGIC:
        raise CheckpointError("is no file of torch.save but another Python pickle, or damaged")
    version = read_pickle(_source(file, size), host)
    if type(version) is not int or version != _VERSION:
        raise CheckpointError(f"is not of version {_VERSION} of the legacy format")
    read_pickle(_source(file, size), host)


def _read_storages(
    file: BufferedReader, size: int, lengths: dict[str, tuple[int, int]]
) -> dict[str, np.ndarray]:
    """The bytes of each storage; `lengths` has their number of elements and element width."""
    keys = read_pickle(_source(file, size), Survey(size))
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise CheckpointError("its list of storages is damaged")
    if len(set(keys)) < len(keys) or set(keys) != set(lengths):
        raise CheckpointError("its list of storages is not of those that its tensors need")
    storages = {}
    for key in keys:
        count, width = lengths[key]
        stored = int.from_bytes(_read_bytes(file, 8, size).tobytes(), "little", signed=True)
        if stored != count:
            raise CheckpointError(
                f"the storage {key!r:.40} has {stored} elements where {count} are needed"
            )
        storages[key] = _read_bytes(file, count * width, size)
    return storages


def _is_model(pickle: bytes) -> bool:
    """Whether a pickle contains the attribute names of a torch Module."""
    return b"_parameters" in pickle and b"_modules" in pickle
