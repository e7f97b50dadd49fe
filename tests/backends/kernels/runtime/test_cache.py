"""The cache of machine code: it neither stops nor misleads a program, whatever happens to it."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl.backends.kernels.runtime import cache
from minidl.errors import ArgumentError
from tests.helpers import WITHOUT_LIBRARY

PACKAGE = Path(minidl.__file__).parent
SYMBOL = "a kernel(f32[1],i64)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_warned", False)
    cache._environment_folder.cache_clear()
    yield cache._environment_folder()
    cache._environment_folder.cache_clear()


def _found(symbol=SYMBOL, content=b"machine code" * 20):
    """Whether something was in the cache; it is put there."""
    stored = cache.load(symbol)
    assert stored in (None, content)
    if stored is None:
        cache.store(symbol, content)
    return stored is not None


def _stored(folder):
    return sorted(folder.glob("*.code"))


def test_machine_code_is_kept_for_the_next_use(folder):
    assert not _found()
    assert _found()
    (path,) = _stored(folder)
    assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0
    assert not list(folder.glob("*.tmp"))


def _flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


DAMAGE = {
    "empty": lambda content: b"",
    "cut in the header": lambda content: content[:20],
    "cut": lambda content: content[:-100],
    "longer": lambda content: content + b"x",
    "zeros": lambda content: bytes(len(content)),
    "another version": lambda content: _flipped(content, 14),
    "another digest": lambda content: _flipped(content, 20),
    "a flipped bit": lambda content: _flipped(content, len(content) // 2),
    "a flipped bit at the end": lambda content: _flipped(content, len(content) - 1),
    "a pickle": lambda content: b"cos\nabort\n(tR.",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_and_stored_anew(folder, damage):
    _found()
    (path,) = _stored(folder)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert not _found()
    assert _found()


def test_files_do_not_take_each_others_places(folder):
    _found("another", b"other machine code")
    (other,) = _stored(folder)
    _found()
    (path,) = set(_stored(folder)) - {other}
    shutil.copy(other, path)
    assert not _found()


def test_symbols_that_look_alike_in_a_file_name(folder):
    for symbol in ("a(f32[1])", "a(f32[~1])", "a f32 1", "a" * 300 + "b", "a" * 300 + "c"):
        assert not _found(symbol, symbol.encode())
        assert _found(symbol, symbol.encode())


@pytest.mark.parametrize("put", ["a pipe", "a folder", "a link", "a loop of links"])
def test_what_is_no_file_is_not_read(folder, put):
    _found()
    (path,) = _stored(folder)
    path.rename(folder / "moved")
    if put == "a pipe":
        os.mkfifo(path)
    elif put == "a folder":
        path.mkdir()
    else:
        path.symlink_to(path if put == "a loop of links" else folder / "moved")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert not _found()
    assert len(caught) == (put == "a folder")
    assert _found() == (put != "a folder")


def test_code_that_others_can_write_is_not_loaded(folder):
    _found()
    (path,) = _stored(folder)
    path.chmod(0o666)
    assert not _found()
    assert _found(), "it was replaced"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owners here")
def test_trust():
    def trusted(mode, owner):
        return cache._is_trusted(os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0)))

    me = os.geteuid()
    assert trusted(stat.S_IFREG | 0o644, me)
    assert trusted(stat.S_IFREG | 0o644, 0)
    assert not trusted(stat.S_IFREG | 0o644, me + 12345)
    assert not trusted(stat.S_IFREG | 0o664, me)
    assert not trusted(stat.S_IFREG | 0o646, 0)
    assert not trusted(stat.S_IFIFO | 0o644, me)


@pytest.mark.parametrize("call", ["open", "replace"])
def test_a_full_disk_is_said_once(folder, monkeypatch, call):
    real = getattr(os, call)

    def full(*arguments, **settings):
        if call == "open" and not arguments[1] & os.O_WRONLY:
            return real(*arguments, **settings)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.warns(RuntimeWarning, match=r"No space left on device.*MINIDL_CACHE"):
        _found()
    assert not _found(), "without another warning, which would be an error here"
    assert not list(folder.glob("*"))
    monkeypatch.undo()


def test_warnings_as_errors_do_not_stop_a_kernel(folder, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not _found()


@pytest.mark.parametrize("place", ["a file", "below a file", "a loop"])
def test_a_folder_that_cannot_be(tmp_path, monkeypatch, folder, place):
    file = tmp_path / "place"
    file.symlink_to(file) if place == "a loop" else file.write_text("here")
    monkeypatch.setenv("MINIDL_CACHE", str(file / "inside" if place == "below a file" else file))
    cache._environment_folder.cache_clear()
    with pytest.warns(RuntimeWarning, match="cannot keep compiled kernels"):
        assert not _found()


def test_without_a_home(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert not _found()
    assert _found(), "MINIDL_CACHE is enough"
    monkeypatch.delenv("MINIDL_CACHE")
    with pytest.raises(ArgumentError, match="no home; set MINIDL_CACHE to a folder"):
        cache.cache_folder()
    cache._environment_folder.cache_clear()
    with pytest.warns(RuntimeWarning, match="no home"):
        assert not _found()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "minidl"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # is to be ignored
    with pytest.raises(ArgumentError):
        cache.cache_folder()


def test_nothing_is_kept_after_an_edit_while_the_process_runs(folder, monkeypatch):
    _found()
    monkeypatch.setattr(cache, "_source_status", lambda: (("edited", 0, 0),))
    assert not _found()
    assert len(_stored(folder)) == 1


def test_folders_of_old_environments_are_deleted(folder):
    for age in range(12):
        old = folder.with_name(f"kernels-{age:016x}")
        old.mkdir(parents=True)
        os.utime(old, (1e9 - age, 1e9 - age))
    kept = folder.parent / "of the user"
    kept.mkdir()
    _found()
    left = sorted(path.name for path in folder.parent.iterdir() if path != folder)
    assert left == [f"kernels-{age:016x}" for age in range(7)] + ["of the user"]


def test_a_lock_is_held_by_one_process_at_a_time(folder):
    program = (
        "import time; from minidl.backends.kernels.runtime import cache\n"
        "with cache.lock('k'):\n"
        "    with open({0!r}, 'a') as f: f.write('in ')\n"
        "    time.sleep(0.1)\n"
        "    with open({0!r}, 'a') as f: f.write('out ')\n"
    )
    log = folder.parent.parent / "log"
    processes = [_run(program.format(str(log)), folder.parent) for _ in range(4)]
    _printed(*processes)
    assert log.read_text() == "in out " * 4
    assert not list(folder.glob("*.lock"))


# Programs in processes of their own.

_PROGRAM = """
import sys, threading, numpy, minidl
x = minidl.asarray(numpy.linspace(-3, 3, 100_000, dtype="f4"))
results = []
threads = [threading.Thread(target=lambda: results.append(minidl.exp(x).numpy())) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(results) == 8 and all((r == results[0]).all() for r in results)
assert "numba" not in sys.modules
print(results[0].sum())
"""


def _run(program, folder, **environment):
    environment = {**os.environ, "MINIDL_CACHE": str(folder), **environment}
    command = [sys.executable, "-W", "error", "-c", WITHOUT_LIBRARY + program]
    return subprocess.Popen(
        command,
        env=environment,
        cwd=environment.get("PYTHONPATH", "").split(os.pathsep)[0] or None,  # it precedes the path
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _printed(*processes):
    results = []
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert not err
        results.append(out)
    assert len(set(results)) == 1
    return results[0]


def test_threads_and_processes_may_compile_the_same_at_once(tmp_path):
    run = {"OMP_NUM_THREADS": "2"}
    first = _printed(*(_run(_PROGRAM, tmp_path, **run) for _ in range(2)))
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.code")}
    assert any(path.name.startswith("elementwise-_exp_formula.unary") for path in files)
    assert _printed(_run(_PROGRAM, tmp_path, **run)) == first
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path in files}
    assert not list(tmp_path.rglob("*.tmp"))


def test_an_edited_helper_is_compiled_into_its_callers(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "minidl", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "minidl" / "backends" / "kernels" / "simd" / "math.py"
    original = file.read_text()
    run = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def result():
        program = "import minidl; print(minidl.exp(minidl.zeros(20_000)).sum().item())"
        return float(_printed(_run(program, tmp_path / "cache", **run)))

    assert result() == 20_000
    file.write_text(original + _EDIT)
    assert result() == 40_000
    file.write_text(original)
    assert result() == 20_000


_EDIT = """

_before = exp32


@inlined
def exp32(x):
    return _before(x) + np.float32(1)
"""


def test_a_quota(tmp_path):
    program = (
        "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "import minidl; print(minidl.exp(minidl.zeros(20_000)).sum().item())"
    )
    assert float(_printed(_run(program, tmp_path, PYTHONDONTWRITEBYTECODE="1"))) == 20_000
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.suffix == ".lock" and not path.stat().st_size for path in files)


_MANY = """
import sys, numpy, minidl
x = minidl.asarray(numpy.linspace(-3, 3, 40_000, dtype="f4")).requires_grad_()
results = {}
for name in "exp tanh sigmoid erf silu gelu relu elu softplus leaky_relu softmax".split():
    y = getattr(minidl, name)(x)
    results[name] = y.numpy()
    (results[name + " gradient"],) = [g.numpy() for g in minidl.gradients((y * y).sum(), [x])]
a = x.detach().reshape(200, 200)
results["product"] = minidl.linear(a, a).numpy()
numpy.savez(sys.argv[1], **results)
"""


@pytest.mark.full
def test_500_damaged_files(tmp_path):
    """Flipped, cut, zeroed, exchanged and foreign files: no crash, no wrong bit, no error."""
    generator = np.random.default_rng(0)
    folder, damaged = tmp_path / "cache", 0

    def results(name):
        program = _MANY.replace("sys.argv[1]", repr(str(tmp_path / name)))
        assert _printed(_run(program, folder, OMP_NUM_THREADS="1")) == ""
        arrays = np.load(tmp_path / name)
        return {key: arrays[key].tobytes() for key in arrays}

    right = results("right.npz")
    files = sorted(folder.rglob("*.code"))
    contents = [file.read_bytes() for file in files]
    assert len(files) > 20
    while damaged < 500:
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(_damaged(content, contents, generator))
            damaged += 1
        assert results("damaged.npz") == right
        before = {file: file.stat().st_mtime_ns for file in files}
        for file in files:
            assert cache._read(file) is not None, "stored anew"
    assert results("again.npz") == right
    assert before == {file: file.stat().st_mtime_ns for file in files}, "and loaded"


def _damaged(content, contents, generator):
    kind, at = generator.integers(7), int(generator.integers(len(content)))
    if kind == 0:
        return _flipped(content, at)
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content[:at] + bytes(len(content) - at)
    if kind == 3:
        return generator.bytes(len(content))
    if kind == 4:
        other = contents[generator.integers(len(contents))]
        return other if other != content else b""
    if kind == 5:
        return content[: cache._HEADER] + generator.bytes(at)
    return content[:at] + generator.bytes(8) + content[at + 8 :]
