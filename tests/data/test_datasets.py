"""Real data: the IDX format, and how files are found, fetched and checked."""

import contextlib
import gzip
import hashlib
import io
import multiprocessing
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minidl
from minidl.data import (
    DataError,
    FormatError,
    catalog,
    datasets,
    download,
    read_idx,
    remote_datasets,
)
from minidl.data.download import Address, AptPackage, File, NpmPackage, RemoteDataset, files_of
from minidl.errors import ArgumentError

ROOT = Path(__file__).parents[2]
CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx(array):
    """An array as an IDX file."""
    array = np.asarray(array)
    lengths = np.array(array.shape, ">u4").tobytes()
    values = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return bytes([0, 0, CODES[array.dtype.name], array.ndim]) + lengths + values


# The format.


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@given(array=hnp.arrays(st.sampled_from(sorted(CODES)), hnp.array_shapes(min_dims=0, min_side=0)))
def test_what_is_written_is_read(pack, tmp_path_factory, array):
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(pack(idx(array)))
    found = read_idx(path)
    assert found.dtype == array.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.flags.writeable


def test_an_example_written_by_hand(tmp_path):
    file = tmp_path / "two-shorts"
    file.write_bytes(b"\x00\x00\x0b\x01" + b"\x00\x00\x00\x02" + b"\x01\x02" + b"\xff\xfe")
    assert read_idx(str(file)).tolist() == [258, -2]


def header(code, *lengths):
    return bytes([0, 0, code, len(lengths)]) + np.array(lengths, ">u4").tobytes()


GOOD = idx(np.arange(300, dtype="uint8").reshape(3, 100))
DAMAGED = {
    "empty": (b"", r"begins with 0, 0, a dtype, axes; got \[\]"),
    "a page": (b"<html>", r"begins with 0, 0, .* got \[60, 104, 116, 109\]"),
    "three bytes": (b"\0\0\x08", r"begins with 0, 0, .* got \[0, 0, 8\]"),
    "little-endian": (b"\x03\x08\0\0", "begins with 0, 0"),
    "other first bytes": (b"\x01\0" + GOOD[2:], "begins with 0, 0"),
    "unknown dtype": (header(10, 0), r"begins with 0, 0, .* got \[0, 0, 10, 1\]"),
    "no lengths": (GOOD[:4], "ends within the lengths of its 2 axes"),
    "half a length": (GOOD[:11], "ends within the lengths of its 2 axes"),
    "no elements": (GOOD[:12], r"shape \(3, 100\) of uint8 takes 300 bytes; it has 0 bytes"),
    "one too few": (GOOD[:-1], "takes 300 bytes; it has 299 bytes"),
    "one too many": (GOOD + b"\0", "takes 300 bytes; it has more"),
    "a lie": (header(8, 2**32 - 1, 2**32 - 1), r"too short to hold the shape \(4294967295, "),
    "a small lie": (header(14, 1000), r"takes 8000 bytes; it has 0 bytes"),
    "65 axes": (header(8, *[1] * 65) + b"\0", "axes|dimension"),
    "too long": (header(8, 0, *[2**32 - 1] * 3), "too big|dimension"),
    "gzip's beginning": (gzip.compress(GOOD)[:15], "ended before the end"),
    "gzip's half": (gzip.compress(os.urandom(99) + GOOD)[:60], "."),
    "wrong sum": (gzip.compress(GOOD)[:-8] + bytes(8), "CRC"),
    "wrong block": (gzip.compress(GOOD)[:10] + b"\xff" * 40, "invalid block type"),
    "no gzip inside": (b"\x1f\x8b\x08" + b"\xff" * 40, "."),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_refused_with_a_reason(tmp_path, content, message):
    file = tmp_path / "damaged.idx"
    file.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_idx(file)
    assert str(caught.value).startswith(f"{file}: ")


@given(st.binary(max_size=60), st.booleans())
def test_whatever_the_bytes_there_is_an_array_or_a_reason(tmp_path_factory, content, gzipped):
    file = tmp_path_factory.mktemp("any") / "file"
    content = bytes([0, 0]) + content
    file.write_bytes(gzip.compress(content) if gzipped else content)
    with contextlib.suppress(FormatError):
        assert idx(read_idx(file)) == content


@pytest.mark.skipif(not hasattr(os, "fork"), reason="measures memory as POSIX tells it")
def test_a_lying_header_takes_no_memory(tmp_path):
    """3 GB of zeros that are not there: what 3 MB of gzip could hold."""
    file = tmp_path / "lie"
    file.write_bytes(header(8, 3 * 10**9) + bytes(3 * 10**6))
    code = f"""if True:
        import resource
        from minidl.data import FormatError, read_idx
        resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, 2 * 10**9))
        try:
            read_idx({str(file)!r})
        except FormatError:
            print("refused")"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (out.stdout, out.stderr) == ("refused\n", "")


@pytest.mark.parametrize("name", ["nothing", "zero\0byte"])
def test_a_file_that_is_not_there_is_an_ordinary_error(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is no file"):
        read_idx(tmp_path / "pipe")


def test_a_compressed_bomb_is_refused_unless_asked_for(tmp_path):
    file = tmp_path / "bomb.gz"
    file.write_bytes(gzip.compress(header(8, 10**6) + bytes(10**6)))
    with pytest.raises(FormatError, match=r"more than 999,999 bytes; .* raise `max_bytes`"):
        read_idx(file, max_bytes=999_999)
    assert read_idx(file, max_bytes=10**6 + 8).shape == (10**6,)


# Sources: a small dataset like MNIST, and places that have it, or pretend to.

rng = np.random.default_rng(0)
ARRAYS = {
    "train-images-idx3-ubyte": rng.integers(0, 256, (6, 28, 28), dtype="uint8"),
    "train-labels-idx1-ubyte": rng.integers(0, 10, 6, dtype="uint8"),
    "t10k-images-idx3-ubyte": rng.integers(0, 256, (2, 28, 28), dtype="uint8"),
    "t10k-labels-idx1-ubyte": rng.integers(0, 10, 2, dtype="uint8"),
}
CONTENT = {name: idx(array) for name, array in ARRAYS.items()}
FILES = tuple(
    File(name, len(content), hashlib.sha256(content).hexdigest())
    for name, content in CONTENT.items()
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder for data."""
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def publisher(tmp_path):
    """A folder with what is published, and its address."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def toy(*places):
    return RemoteDataset("toy", FILES, places)


class Broken:
    """A source that leaves a file half-written and fails."""

    def __init__(self, error):
        self.error = error

    def fetch(self, names, folder, on_bytes):
        (folder / names[0]).write_bytes(b"half")
        raise self.error

    def __str__(self):
        return "a broken place"


def assert_complete(found, home):
    """All files are there, as published, and nothing else."""
    assert found == [home / "toy" / file.name for file in FILES]
    assert {path.name: path.read_bytes() for path in (home / "toy").iterdir()} == CONTENT


def test_files_are_fetched_unpacked_and_kept(home, publisher):
    place = Address(publisher.as_uri())
    assert_complete(files_of(toy(place)), home)
    shutil.rmtree(publisher)
    assert_complete(files_of(toy(place)), home)


def test_a_loader_yields_images_and_labels(home, publisher, monkeypatch):
    for name, loader in [("mnist", datasets.mnist), ("fashion-mnist", datasets.fashion_mnist)]:
        dataset = RemoteDataset(name, FILES, (Address(publisher.as_uri()),))
        monkeypatch.setitem(remote_datasets.DATASETS, name, dataset)
        for part, word in zip(loader(), ("train", "t10k"), strict=True):
            images, labels = part.tensors
            pixels = ARRAYS[f"{word}-images-idx3-ubyte"]
            np.testing.assert_array_equal(
                images.numpy(), (pixels / np.float32(255))[:, None], strict=True
            )
            expected = ARRAYS[f"{word}-labels-idx1-ubyte"].astype("int64")
            np.testing.assert_array_equal(labels.numpy(), expected, strict=True)
        assert sorted(os.listdir(home / name)) == sorted(CONTENT)


def test_only_what_is_missing_is_fetched(home, publisher):
    place = Address(publisher.as_uri())
    files_of(toy(place))
    (home / "toy" / FILES[1].name).unlink()
    for file in FILES[:1] + FILES[2:]:
        (publisher / f"{file.name}.gz").unlink()
    assert_complete(files_of(toy(place)), home)


@pytest.mark.parametrize("gzipped", [False, True])
def test_files_may_be_put_there_by_hand(home, gzipped):
    (home / "toy").mkdir(parents=True)
    for name, content in CONTENT.items():
        path = home / "toy" / (f"{name}.gz" if gzipped else name)
        path.write_bytes(gzip.compress(content) if gzipped else content)
    found = files_of(toy())
    assert [read_idx(path).tolist() for path in found] == [a.tolist() for a in ARRAYS.values()]


def test_the_next_source_is_asked_when_one_fails(home, publisher, tmp_path, commands):
    failing = [
        Broken(OSError("no route")),
        Broken(KeyError("x")),
        Broken(EOFError()),
        Address((tmp_path / "nowhere").as_uri()),
        Address("http://127.0.0.1:1"),
        NpmPackage("toy-data@1.0", "x"),
    ]
    assert_complete(files_of(toy(*failing, Address(publisher.as_uri()))), home)


def test_when_all_fail_the_error_names_each_and_the_way_by_hand(home):
    places = toy(Broken(OSError("no route")), Address("http://127.0.0.1:1"))
    with pytest.raises(DataError) as caught:
        files_of(places)
    first, broken, refused, *hand = str(caught.value).splitlines()
    assert first == "toy cannot be fetched:"
    assert broken == "  a broken place: no route"
    assert refused.startswith("  http://127.0.0.1:1: ")
    assert "refused" in refused
    hand = " ".join(hand)
    assert str(home / "toy") in hand
    assert "MINIDL_DATA" in hand
    assert all(file.name in hand for file in FILES)
    assert isinstance(caught.value, OSError)
    assert list((home / "toy").iterdir()) == []


TAMPERED = {
    "other bytes": (lambda x: gzip.compress(x[:-1] + b"\xff"), "its SHA-256 is .*, needs "),
    "longer": (lambda x: gzip.compress(x + b"\0"), "more bytes, needs 4720"),
    "a bomb": (lambda x: gzip.compress(bytes(10**7)), "more bytes, needs 4720"),
    "shorter": (lambda x: gzip.compress(x[:-1]), "4719 bytes, needs 4720"),
    "interrupted": (lambda x: gzip.compress(x)[:-100], "ends early"),
    "damaged": (lambda x: gzip.compress(x)[:50] + bytes(100), "ends early, or is damaged"),
    "wrong sum": (lambda x: gzip.compress(x)[:-8] + bytes(8), "ends early, or is damaged .CRC"),
    "a page": (lambda x: b"<html>not here</html>", "21 bytes, needs 4720"),
    "nothing": (lambda x: b"", "0 bytes, needs 4720"),
}


@pytest.mark.parametrize(("tamper", "message"), TAMPERED.values(), ids=TAMPERED)
def test_what_is_not_as_published_is_refused_and_not_kept(home, publisher, tamper, message):
    name = FILES[0].name
    assert FILES[0].size == 4720
    (publisher / f"{name}.gz").write_bytes(tamper(CONTENT[name]))
    with pytest.raises(DataError, match=f"published: {name}: {message}"):
        files_of(toy(Address(publisher.as_uri())))
    assert list((home / "toy").iterdir()) == []


def test_a_bomb_is_not_unpacked(tmp_path):
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(10**7)))
    copy = io.BytesIO()
    assert download._fault(FILES[0], tmp_path / "bomb.gz", copy) == "more bytes, needs 4720"
    assert len(copy.getvalue()) < 10**6


def test_kept_files_are_checked_each_time(home, publisher):
    found = files_of(toy(Address(publisher.as_uri())))
    found[2].write_bytes(CONTENT[FILES[2].name][:-1] + b"\xff")
    with pytest.raises(DataError, match=rf"toy: {found[2]} is not the published file \(its SHA"):
        files_of(toy(Address(publisher.as_uri())))
    found[2].unlink()
    assert_complete(files_of(toy(Address(publisher.as_uri()))), home)


def test_an_interrupt_leaves_nothing_behind(home, publisher):
    with pytest.raises(KeyboardInterrupt):
        files_of(toy(Broken(KeyboardInterrupt()), Address(publisher.as_uri())))
    assert list((home / "toy").iterdir()) == []


def test_a_mistake_in_a_source_is_not_hidden(home):
    with pytest.raises(ZeroDivisionError):
        files_of(toy(Broken(ZeroDivisionError())))


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "file"))
    with pytest.raises(DataError, match=f"cannot write to {tmp_path / 'file'}.*MINIDL_DATA"):
        files_of(toy(Broken(OSError())))


def test_without_MINIDL_DATA_data_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.data_folder() == tmp_path / "minidl" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.data_folder() == tmp_path / ".cache" / "minidl" / "data"


def _fetch_at_once(address, barrier):
    barrier.wait(30)
    files_of(toy(Address(address)))


def test_two_processes_may_fetch_at_once(home, publisher):
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    arguments = publisher.as_uri(), barrier
    processes = [spawn.Process(target=_fetch_at_once, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert_complete(files_of(toy()), home)


def leave_behind(home, name, age):
    """What a fetch that was killed so many seconds ago leaves."""
    folder = home / "toy" / name
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "half").write_bytes(b"half")
    for path in (folder / "inner" / "half", folder / "inner", folder):
        os.utime(path, (time.time() - age,) * 2)
    return folder


def test_what_killed_fetches_left_behind_is_removed(home, publisher):
    old = leave_behind(home, ".fetching-old", 2 * download._STALE)
    recent = leave_behind(home, ".fetching-recent", download._STALE / 2)
    writing = leave_behind(home, ".fetching-writing", 2 * download._STALE)
    (writing / "inner" / "half").write_bytes(b"more")
    files_of(toy(Address(publisher.as_uri())))
    assert [old.exists(), recent.exists(), writing.exists()] == [False, True, True]
    leave_behind(home, ".fetching-old", 2 * download._STALE)
    files_of(toy())  # complete, and nothing is fetched
    assert not old.exists()
    assert (recent / "inner" / "half").exists()


def test_a_fetch_that_is_killed_leaves_nothing_for_long(home, publisher):
    code = (
        "import os; from tests.data import test_datasets as t; from minidl.data import download\n"
    )
    code += "class Killed:\n    def fetch(self, *_): os.kill(os.getpid(), 9)\n"
    code += "download.files_of(t.toy(Killed()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == -9
    (left,) = (home / "toy").iterdir()
    assert left.name.startswith(".fetching-")
    os.utime(left, (0, 0))
    for path in left.iterdir():
        os.utime(path, (0, 0))
    assert_complete(files_of(toy(Address(publisher.as_uri()))), home)


# Without a network.


def test_offline_nothing_is_fetched_and_the_error_says_what_to_do(home, publisher, monkeypatch):
    monkeypatch.setenv("MINIDL_OFFLINE", "1")
    place = Address(publisher.as_uri())
    with pytest.raises(DataError) as caught:
        files_of(toy(place))
    told = str(caught.value)
    assert told.startswith("toy is not here, and MINIDL_OFFLINE forbids a fetch.\n")
    assert all(file.name in told for file in FILES)
    assert str(home / "toy") in told
    assert not home.exists()
    monkeypatch.setenv("MINIDL_OFFLINE", "0")
    files_of(toy(place))
    monkeypatch.setenv("MINIDL_OFFLINE", "1")
    assert_complete(files_of(toy(place)), home)
    (home / "toy" / FILES[2].name).unlink()
    with pytest.raises(DataError, match=rf"put {FILES[2].name} \(as they"):
        files_of(toy(place))


# The catalogue.


def test_the_catalogue_tells_what_is_here(home, publisher, monkeypatch):
    place = Address(publisher.as_uri())
    listed = RemoteDataset("toy", FILES, (place,), samples=8, licence="MIT")
    monkeypatch.setattr(catalog, "DATASETS", {"toy": listed})
    size = sum(map(len, CONTENT.values()))
    here, away = catalog.catalog()
    assert (here.name, here.samples, here.licence, here.here) == ("digits", 1797, "CC BY 4.0", True)
    assert here.size == (here.folder / "digits.npz").stat().st_size
    expected = catalog.Entry("toy", 8, size, "MIT", False, home / "toy", (place.url,))
    assert away == expected
    assert not home.exists()
    assert list(catalog.fetch(["digits", "toy"])) == [here, replace(expected, here=True)]
    assert_complete(files_of(toy()), home)
    assert catalog.catalog()[1].here
    packed = home / "toy" / f"{FILES[0].name}.gz"
    packed.write_bytes(gzip.compress(CONTENT[FILES[0].name]))
    (home / "toy" / FILES[0].name).unlink()
    assert catalog.catalog()[1].size == size - FILES[0].size + packed.stat().st_size


def test_an_unknown_name_is_refused_before_anything_is_fetched(home):
    with pytest.raises(ArgumentError, match="no 'emnist'; there are digits, mnist, fashion-mnist"):
        catalog.fetch(["mnist", "emnist"])
    assert not home.exists()


def test_the_catalogue_says_what_the_real_datasets_are(home):
    listed = {entry.name: entry for entry in catalog.catalog()[1:]}
    for name in ("mnist", "fashion-mnist"):
        entry = listed.pop(name)
        assert (entry.samples, entry.kind, entry.size) == (70_000, "images", 54_950_048)
        assert entry.licence in ("CC BY-SA 3.0", "MIT")
        assert len(entry.sources) == 2
    facts = {name: (e.samples, e.kind, e.size, e.licence) for name, e in listed.items()}
    assert facts == {
        "movie-snippets": (10_605, "snippets", 1_383_098, "MIT"),
        "moby-dick": (1_190_317, "characters", 1_204_997, "CC0 1.0"),
        "movielens-100k": (100_000, "ratings", 2_068_559, "GroupLens, research only"),
        "lecturer-ratings": (73_421, "ratings", 164_268, "GPL ≥ 2"),
    }


# An address on the network.


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; a file named in `cut` ends early."""

    cut = ""

    def log_message(self, *_):
        pass

    def copyfile(self, source, outputfile):
        content = source.read()
        outputfile.write(content[:-200] if self.cut and self.cut in self.path else content)


@pytest.fixture
def server(publisher):
    """The address of a server of what is published."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=publisher)) as running:
        thread = threading.Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_files_come_over_http(home, server):
    assert_complete(files_of(toy(Address(server))), home)


def test_a_file_that_a_server_lacks_is_named_as_missing(home, server, publisher):
    (publisher / f"{FILES[3].name}.gz").unlink()
    with pytest.raises(DataError, match=f"{server}: HTTP Error 404"):
        files_of(toy(Address(server)))


def test_a_connection_that_breaks_is_a_failure(home, server, monkeypatch):
    monkeypatch.setattr(Quiet, "cut", FILES[2].name)
    with pytest.raises(DataError, match=f"{server}: {FILES[2].name}: ends early"):
        files_of(toy(Address(server)))
    assert list((home / "toy").iterdir()) == []


def test_progress_counts_the_bytes(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_BLOCK", 1000)
    told = []
    Address(server).fetch([FILES[0].name], tmp_path, lambda *numbers: told.append(numbers))
    size = (tmp_path / FILES[0].name).stat().st_size
    assert size > 3000
    assert told == [(n, size) for n in (*range(1000, size, 1000), size)]


# Packages, from clients that are stood in for by scripts.


def program(folder, name, text):
    """A command of this name, first on the search path."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder of commands; there are no others."""
    monkeypatch.setenv("PATH", str(tmp_path / "commands"))
    return tmp_path / "commands"


def test_a_package_of_npm(home, commands, tmp_path):
    archive = tmp_path / "toy-data-1.0.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        for name, content in CONTENT.items():
            (tmp_path / "one").write_bytes(content)
            packed.add(tmp_path / "one", f"package/data/{name}")
    program(
        commands,
        "npm",
        f"import shutil, sys\nassert sys.argv[1] == 'pack' and sys.argv[-1] == 'toy-data@1.0'\n"
        f"shutil.copy({str(archive)!r}, '.')",
    )
    assert_complete(files_of(toy(NpmPackage("toy-data@1.0", "package/data"))), home)
    shutil.rmtree(home)
    with pytest.raises(DataError, match=r"npm package toy-data@1\.0: .*elsewhere/train-images"):
        files_of(toy(NpmPackage("toy-data@1.0", "elsewhere")))


def test_a_package_of_debian(home, commands, publisher):
    program(
        commands,
        "apt-get",
        "import sys\nassert sys.argv[1] == 'download' and sys.argv[-1] == 'toy-data'\n"
        "open('toy-data_1.0_all.deb', 'w').close()",
    )
    program(
        commands,
        "dpkg-deb",
        "import shutil, sys\nassert sys.argv[1:3] == ['--extract', 'toy-data_1.0_all.deb']\n"
        f"shutil.copytree({str(publisher)!r}, sys.argv[3] + '/usr/share/toy')",
    )
    assert_complete(files_of(toy(AptPackage("toy-data", "usr/share/toy"))), home)


def test_a_client_that_is_missing_or_fails_is_quoted(home, commands):
    places = toy(AptPackage("toy-data", "x"), NpmPackage("toy-data@1.0", "x"))
    program(commands, "npm", "import sys\nsys.exit('E404 no such package')")
    with pytest.raises(DataError) as caught:
        files_of(places)
    _, apt, npm, *_ = str(caught.value).splitlines()
    assert apt == "  apt package toy-data: the program apt-get is not installed"
    assert npm == "  npm package toy-data@1.0: npm failed: E404 no such package"


def test_a_client_that_takes_too_long_is_stopped(home, commands, monkeypatch):
    monkeypatch.setattr(download, "_PATIENCE", 0.3)
    program(commands, "npm", "import time\ntime.sleep(60)")
    with pytest.raises(DataError, match=r"npm took more than 0\.3 seconds"):
        files_of(toy(NpmPackage("toy-data@1.0", "x")))


# The table.


def test_every_source_is_tried_through_public_names_only():
    for name, dataset in remote_datasets.DATASETS.items():
        assert dataset.name == name
        assert len({file.sha256 for file in dataset.files}) == len(dataset.files)
        assert all(len(bytes.fromhex(file.sha256)) == 32 for file in dataset.files)
        if "mnist" in name:
            assert isinstance(dataset.sources[0], Address)
            assert len(dataset.sources) > 1


@pytest.mark.full
@pytest.mark.parametrize(
    ("loader", "counts", "mean"),
    [
        (datasets.mnist, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], 0.1307),
        (datasets.fashion_mnist, [1000] * 10, 0.2860),
    ],
)
def test_the_real_data(tmp_path, monkeypatch, loader, counts, mean):
    """Fetched anew, from whichever source can be reached; counts and means as published."""
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    train, test = loader()
    assert train.tensors[0].shape == (60000, 1, 28, 28)
    assert np.bincount(test.tensors[1]).tolist() == counts
    assert minidl.mean(train.tensors[0]).item() == pytest.approx(mean, abs=1e-4)
    assert len(os.listdir(next(tmp_path.iterdir()))) == 4
