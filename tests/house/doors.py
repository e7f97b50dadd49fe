"""Damaged files at every door: a program that `test_doors` runs, with limited memory.

python -m tests.house.doors SEED COUNT    a line of JSON for each input that is neither read
                                          nor refused by an error that says why
"""

import argparse
import gzip
import io as bytes_io
import json
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

import minidl
from minidl import io, keras, nn, optim
from minidl.cli import runs
from minidl.data import read_csv, read_idx, read_npz
from minidl.data.images import FORMATS, read_image
from minidl.data.npz import read_npy
from minidl.errors import MinidlError
from minidl.io.checkpoint import _ENTRY, _crc32_of, _json
from minidl.train import Trainer

MEMORY = 3 << 30  # bytes of address space beyond those at the start
SECONDS = 20  # that one input may take


def packed(save, *args, **kwargs):
    """What `save` writes into a file."""
    buffer = bytes_io.BytesIO()
    save(buffer, *args, **kwargs)
    return buffer.getvalue()


def image(kind, mode="L"):
    """A small image as a file of this format."""
    values = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    picture = Image.fromarray(values).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    return packed(picture.save, kind, **({"exif": exif} if kind in ("JPEG", "WEBP") else {}))


def model():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.PReLU())


def trainer():
    """A trainer that has made a few steps with everything that has a state."""
    network = model()
    optimizer = optim.SGD(network.parameters(), 0.1, momentum=0.9)
    schedule = optim.StepLR(optimizer, 2)
    return Trainer(network, optimizer, "mse", ["mae"], schedule=schedule)


def resume(path):
    """Resume a run, and make the next step, in which bad state would show."""
    resumed = trainer()
    resumed.resume(path)
    x = minidl.ones((4, 3))
    resumed.fit((x, minidl.ones((4, 2))), 3, batch_size=2)


def keras_load(path):
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    network.load_weights(path)


def file_of(write, folder):
    path = folder / "written.safetensors"
    write(path)
    return path.read_bytes()


def doors(folder):
    """Of each door: how to enter, the suffix of its files, and a sound file."""
    rng = np.random.default_rng(0)
    array = rng.random((3, 4), np.float32)
    idx = bytes([0, 0, 13, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + array.astype(">f4").tobytes()
    csv = b"a,b,kind\n1,2.5,x\n-3,?,y\n4,1e3,x\n"
    trained = trainer()
    trained.fit((minidl.ones((4, 3)), minidl.ones((4, 2))), 2, batch_size=2)
    run = file_of(trained.save, folder)
    weights = file_of(lambda path: io.save_weights(path, model()), folder)
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    settings = {
        **{"model": "mlp", "data": "digits", "shape": [1, 8, 8], "epochs": 3, "batch_size": 32},
        **{"lr": 1e-3, "seed": 0, "validation": 0.1, "save_every": None},
    }

    def table(path):
        read_csv(path, "kind", missing=0)

    def settings_of(path):
        (path.parent / "settings.json").write_bytes(path.read_bytes())
        runs.read(path.parent)

    return {
        "idx": (read_idx, ".idx", idx),
        "idx.gz": (read_idx, ".gz", gzip.compress(idx)),
        "npz": (read_npz, ".npz", packed(np.savez, x=array, y=np.arange(3))),
        "npz deflated": (read_npz, ".npz", packed(np.savez_compressed, x=array)),
        "npy": (read_npy, ".npy", packed(np.save, array)),
        "csv": (table, ".csv", csv),
        "csv.gz": (table, ".gz", gzip.compress(csv)),
        **{
            f"image {kind}": (lambda path: read_image(path, (1, 4, 4)), ".png", image(kind, "RGB"))
            for kind in FORMATS
        },
        "checkpoint": (io.load, ".safetensors", run),
        "weights": (lambda path: io.load_weights(path, model()), ".safetensors", weights),
        "weights of a run": (lambda path: runs.load_weights(path, model()), ".safetensors", run),
        "run": (resume, ".safetensors", run),
        "keras": (keras_load, ".safetensors", file_of(network.save_weights, folder)),
        "settings": (settings_of, ".txt", json.dumps(settings).encode()),
        **torch_doors(),
    }


def torch_doors():
    """The files of PyTorch, where it is installed."""
    try:
        import torch
    except ImportError:
        return {}
    state = {"a": torch.ones(2, 3), "b": [torch.arange(3), 1.5, "x"]}
    files = [
        packed(lambda file, new=new: torch.save(state, file, _use_new_zipfile_serialization=new))
        for new in (True, False)
    ]
    return {
        "torch zip": (io.load_torch, ".pt", files[0]),
        "torch legacy": (io.load_torch, ".pt", files[1]),
    }


NUMBERS = [b"\0" * 4, b"\xff" * 4, b"\xff" * 8, struct.pack("<Q", 2**40), struct.pack(">I", 2**31)]
TEXTS = [b"1" * 5000, b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'"', b"\n", b"[" * 3000]


def damaged(content, rng):
    """A file with one to three things changed."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(content) + 1)
        end = min(len(content), at + rng.randrange(30))
        kind = rng.randrange(7)
        if kind == 0:
            content = content[:at]
        elif kind == 1:
            content = content[:at] + content[end:]
        elif kind == 2:
            content = content[:end] + content[at:]
        elif kind == 3:
            content = content[:at] + rng.choice(NUMBERS + TEXTS) + content[end:]
        elif kind == 4:
            content = content[:at] + rng.randbytes(end - at) + content[end:]
        elif content[at:]:
            flipped = bytes([content[at] ^ 1 << rng.randrange(8)])
            content = content[:at] + flipped + content[at + 1 :]
    return content


VALUES = [None, True, -1, 0, 1, 2**70, 1.5, "", "x", [], {}, [1], {"a": 1}, [[]], [None] * 3]


def forged(content, rng):
    """A checkpoint in which one value is of another type, with right checksums."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header["__metadata__"]
    document = json.loads(metadata[_ENTRY])
    document.pop("crc32")
    change(document["tree"], rng)
    document["crc32"] = _crc32_of(document)
    metadata[_ENTRY] = _json(document)
    changed = json.dumps(header).encode()
    return len(changed).to_bytes(8, "little") + changed + content[8 + length :]


def change(tree, rng):
    """Replace, remove or add one item somewhere in a tree of JSON."""
    nodes = [tree]
    for node in nodes:
        children = node.values() if isinstance(node, dict) else node
        nodes += [child for child in children if isinstance(child, dict | list) and child]
    node = rng.choice(nodes)
    keys = list(node) if isinstance(node, dict) else range(len(node))
    key = rng.choice(keys)
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(VALUES)


def packed_again(content, rng):
    """A gzip file whose content is damaged, not its packing."""
    return gzip.compress(damaged(gzip.decompress(content), rng))


def changed(name, content, rng):
    """A damaged file for this door."""
    if content.startswith(b"\x1f\x8b") and rng.random() < 0.5:
        return packed_again(content, rng)
    if _ENTRY.encode() in content and rng.random() < 0.7:
        return forged(content, rng)
    return damaged(content, rng)


def fault(enter, path):
    """What is wrong about how a door takes a file: "" if it is read, or refused with a reason."""
    begin = time.perf_counter()
    try:
        enter(path)
    except MinidlError as error:
        if not str(error):
            return "an error without words"
    except Exception:
        return traceback.format_exc()
    seconds = time.perf_counter() - begin
    return f"took {seconds:.1f} s" if seconds > SECONDS else ""


def main():
    """Try every door in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--door")
    options = parser.parse_args()
    warnings.simplefilter("error")
    # A sound file may hold numbers as large as any.
    warnings.filterwarnings("ignore", "(overflow|invalid value) encountered", RuntimeWarning)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = doors(folder)
        for enter, suffix, content in every.values():
            path = folder / f"sound{suffix}"
            path.write_bytes(content)
            enter(path)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
        names = [options.door] if options.door else list(every)
        for i in range(options.count):
            door = names[i % len(names)]
            enter, suffix, content = every[door]
            rng = random.Random(f"{door} {options.seed} {i}")
            path = folder / f"damaged{suffix}"
            path.write_bytes(changed(door, content, rng))
            if wrong := fault(enter, path):
                digest = zlib.crc32(path.read_bytes())
                print(json.dumps({"door": door, "i": i, "crc32": digest, "fault": wrong}))
                sys.stdout.flush()
    print(json.dumps({"done": options.count}))


if __name__ == "__main__":
    main()
