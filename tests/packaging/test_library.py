"""The library of kernels that was shipped: when it is used, and when it is not."""

import json
import re
import shutil
import sysconfig

import numpy as np
import pytest

from minidl import cli
from minidl.backends.kernels.compiler import build, declared
from minidl.backends.kernels.runtime import compiler_process, machine_code
from minidl.backends.kernels.runtime import level as levels
from minidl.backends.kernels.runtime.kernel import find
from tests.packaging.support import ALLOWED, needs_compiler, undefined_symbols

pytestmark = needs_compiler

LEVEL = levels.level().name
KERNELS = "arithmetic:_add", "arithmetic:_scale", "softmax:_rows"


def items():
    """A few kernels, and the functions that each of them calls."""
    return [
        (item, signature)
        for item, signature in declared.declared()
        if item.name in KERNELS or item.name.startswith("runtime.scheduling:")
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build.build(LEVEL, tmp_path_factory.mktemp("native"), items())


@pytest.fixture
def shipped(built, tmp_path, monkeypatch):
    """A copy of the library, where minidl looks for it."""
    monkeypatch.setattr(
        machine_code, "library_path", lambda name: tmp_path / f"{name}{built.suffix}"
    )
    machine_code.library.cache_clear()
    shutil.copy(built.with_suffix(".json"), tmp_path)
    shutil.copy(built, tmp_path)
    yield tmp_path / built.name
    machine_code.library.cache_clear()


@pytest.fixture
def no_compiler(monkeypatch):
    """Nothing is in the cache, and nothing can be compiled."""
    monkeypatch.setattr(machine_code.object_files, "load", lambda symbol: None)
    monkeypatch.setattr(compiler_process, "compile", lambda *_: pytest.fail("was compiled"))


def added(kernel):
    """What the entry of `arithmetic:_add` makes of two arrays."""
    entry = machine_code.entry(kernel, kernel.signatures[0])
    x, y, z = np.arange(10, dtype="f4"), np.full(10, 0.1, "f4"), np.zeros(10, "f4")
    entry(x, y, z, 1, 0)
    assert (z == x + y).all()


def test_its_functions_are_called(shipped, no_compiler):
    assert machine_code.library().handle
    assert len(machine_code.library().functions) == len(items())
    added(find("arithmetic:_add"))


def test_what_it_has_not_is_compiled(shipped):
    kernel = find("arithmetic:_multiply")
    x, z = np.arange(10, dtype="f4"), np.zeros(10, "f4")
    machine_code.entry(kernel, kernel.signatures[0])(x, x, z, 1, 0)
    assert (z == x * x).all()


def test_it_refers_to_what_every_python_and_system_has(built):
    names, needed, versions = undefined_symbols(built)
    assert names
    assert (names - ALLOWED, needed, versions) == (set(), [], False)


def test_it_is_linked_from_the_object_files_that_are_in_the_cache(built, tmp_path):
    again = build.build(LEVEL, tmp_path, items())
    assert again.read_bytes() == built.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{LEVEL}.json", f"{LEVEL}.so"]


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


DAMAGE = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-1],
    "cut in the middle": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"x",
    "zeros": lambda content: bytes(len(content)),
    "a flipped bit": lambda content: flipped(content, len(content) // 2),
    "a flipped bit in the header": lambda content: flipped(content, 4),
    "a flipped bit at the end": lambda content: flipped(content, len(content) - 1),
    "text": lambda content: b"#!/bin/sh\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_library_is_not_used(shipped, damage):
    shipped.write_bytes(DAMAGE[damage](shipped.read_bytes()))
    assert machine_code.library() == (None, frozenset(), "it is damaged")
    added(find("arithmetic:_add"))


LISTS = {
    "none": None,
    "empty": "",
    "no JSON": "{",
    "bytes": b"\xff\xfe",
    "a list": "[]",
    "a number": "1",
    "other keys": '{"sources": "", "sha256": ""}',
    "no names": '{"sources": "", "sha256": "", "functions": 3}',
    "lists for names": '{"sources": "", "sha256": "", "functions": [[]]}',
}


@pytest.mark.parametrize("what", LISTS)
def test_a_library_without_its_list_is_not_used(shipped, what):
    path, content = shipped.with_suffix(".json"), LISTS[what]
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert machine_code.library() == (None, frozenset(), "it is damaged")


def test_another_file_in_its_place_is_not_loaded(shipped, tmp_path):
    """Even if a list was made for it: the system refuses what is no library."""
    shipped.write_bytes(b"no library")
    path = shipped.with_suffix(".json")
    listed = json.loads(path.read_text())
    listed["sha256"] = machine_code.hashlib.sha256(b"no library").hexdigest()
    path.write_text(json.dumps(listed))
    assert machine_code.library().handle is None
    assert machine_code.library().why_not.startswith("it cannot be loaded: ")


@pytest.mark.parametrize("target", sorted({"x86-64-v2", "aarch64"} - {LEVEL}))
def test_the_library_of_another_level_is_not_used(shipped, target):
    shipped.rename(shipped.with_stem(target))
    assert machine_code.library() == (None, frozenset(), "there is none for this level")


CHANGED = "minidl/backends has changed since it was built"


def test_after_a_change_of_the_sources_it_is_not_used(shipped, monkeypatch):
    monkeypatch.setattr(machine_code.object_files, "source_digest", lambda: "another")
    assert machine_code.library() == (None, frozenset(), CHANGED)


def test_a_free_threaded_python_does_not_use_it(shipped, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: name == "Py_GIL_DISABLED")
    expected = None, frozenset(), "it is not for free-threaded Python"
    assert machine_code.library() == expected


# What `minidl info` says.


def told(capsys):
    assert cli.main(["info"]) == 0
    return dict(re.findall(r"(\w+): +(.*)", capsys.readouterr().out))


def test_info_says_whether_it_is_used(shipped, capsys, monkeypatch):
    facts = told(capsys)
    assert facts["library"] == f"used, with {len(items())} functions"
    assert facts["level"].startswith(f"{LEVEL} (the highest); this processor has {LEVEL}")
    later = "kernels are compiled when they are first used"
    machine_code.library.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(machine_code.object_files, "source_digest", lambda: "another")
        assert told(capsys)["library"] == f"not used: {CHANGED}; {later}"
    machine_code.library.cache_clear()
    shipped.write_bytes(b"")
    assert told(capsys)["library"] == f"not used: it is damaged; {later}"
    machine_code.library.cache_clear()
    shipped.unlink()
    assert told(capsys)["library"] == f"not used: there is none for this level; {later}"


def test_info_says_what_was_compiled(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    folder = tmp_path / "kernels-0123456789abcdef"
    folder.mkdir()
    for name, size in (("a.code", 1_500_000), ("b.code", 500_000), ("c.lock", 10**6)):
        (folder / name).write_bytes(bytes(size))
    assert told(capsys)["compiled"] == f"in {tmp_path}, files 2, megabytes 2.0"
