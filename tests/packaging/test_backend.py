"""The build backend: what the setting kernels= means, and wheels with files added to them."""

import csv
import hashlib
import subprocess
import sys
import sysconfig
from base64 import urlsafe_b64decode
from zipfile import ZipFile

import pytest

from minidl.backends.kernels.runtime import level
from tests.packaging.support import BACKEND, ROOT


@pytest.fixture(autouse=True)
def backend(monkeypatch):
    monkeypatch.syspath_prepend(BACKEND)
    monkeypatch.chdir(ROOT)
    import minidl_build

    monkeypatch.setattr(minidl_build.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(minidl_build.sys, "platform", "linux")
    monkeypatch.setattr(minidl_build.sysconfig, "get_platform", lambda: "linux-x86_64")
    monkeypatch.setattr(minidl_build.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.delenv("CC", raising=False)
    return minidl_build


def test_levels_are_those_of_the_runtime(backend):
    assert {found.name: found.architecture for found in level.LEVELS.values()} == backend.LEVELS


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (None, []),
        ({}, []),
        ({"kernels": ""}, []),
        ({"--build-option": "--verbose"}, []),
        ({"kernels": "host"}, ["host"]),
        ({"kernels": "x86-64-v3,x86-64-v2"}, ["x86-64-v3", "x86-64-v2"]),
        ({"kernels": "x86-64-v3, x86-64-v2 "}, ["x86-64-v3", "x86-64-v2"]),
        ({"kernels": ["x86-64-v3", "x86-64-v2,host"]}, ["x86-64-v3", "x86-64-v2", "host"]),
    ],
)
def test_levels_are_given_in_words(backend, settings, words):
    assert backend._words(settings) == words


@pytest.mark.parametrize(
    ("kernels", "message"),
    [
        ("x86-64-v5", "kernels=x86-64-v5: there are host, all, x86-64-v4, x86-64-v3, x86-64-v2"),
        ("x86-64-v3,aarch64", "kernels=x86-64-v3,aarch64: a wheel is for one architecture"),
        ("host,aarch64", "kernels=host,aarch64: a wheel is for one architecture"),
    ],
)
def test_other_words_are_refused_before_anything_is_installed(backend, kernels, message):
    with pytest.raises(SystemExit, match=message):
        backend.get_requires_for_build_wheel({"kernels": kernels})


@pytest.mark.parametrize(
    ("kernels", "tag"),
    [
        ("host", "linux_x86_64"),
        ("all", "manylinux_2_17_x86_64"),
        ("x86-64-v3,x86-64-v2", "manylinux_2_17_x86_64"),
        ("x86-64-v3,host", "linux_x86_64"),
        ("aarch64", "manylinux_2_17_aarch64"),
    ],
)
def test_what_is_not_for_this_machine_alone_is_for_every_linux(backend, kernels, tag):
    assert backend.platform_tag(kernels.split(",")) == tag


def test_on_a_mac_wheels_are_for_macs(backend, monkeypatch):
    monkeypatch.setattr(backend.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(backend.sys, "platform", "darwin")
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "macosx-11.0-arm64")
    assert backend.platform_tag(["host"]) == "macosx_11_0_arm64"
    assert backend.platform_tag(["aarch64"]) == "macosx_11_0_arm64"
    assert backend.platform_tag(["x86-64-v3"]) == "manylinux_2_17_x86_64"


def names(requirements):
    return [requirement.partition("=")[0].partition(">")[0] for requirement in requirements]


@pytest.mark.parametrize(
    "hook", ["get_requires_for_build_wheel", "get_requires_for_build_editable"]
)
def test_numba_is_installed_only_to_compile(backend, monkeypatch, hook):
    needed = getattr(backend, hook)
    assert needed() == needed({}) == []
    compiling = needed({"kernels": "host"})
    assert names(compiling) == ["numba", "numpy", "rich"]
    assert compiling[0].startswith("numba=="), "one version, which compiles the same everywhere"
    assert names(needed({"kernels": "aarch64"})) == ["numba", "numpy", "rich"]
    monkeypatch.setattr(backend.shutil, "which", lambda name: None if "aarch64" in name else name)
    assert names(needed({"kernels": "aarch64"})) == ["numba", "numpy", "rich", "ziglang"]
    assert names(needed({"kernels": "x86-64-v3"})) == ["numba", "numpy", "rich"]
    monkeypatch.setattr(backend.shutil, "which", lambda name: None)
    assert needed({"kernels": "host"}) == [], "nothing can be linked"


def test_without_a_compiler_host_says_so_and_others_stop(backend, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(backend.shutil, "which", lambda name: None)
    monkeypatch.setenv("CC", "some-cc -m64")
    assert backend._compiled(["host"], tmp_path) == []
    assert capsys.readouterr().err == (
        "kernels=host: no C compiler, some-cc (CC names another). "
        "minidl will compile kernels when they are first used.\n"
    )
    for words in (["all"], ["x86-64-v3", "x86-64-v2"], ["host", "x86-64-v2"]):
        with pytest.raises(SystemExit, match="no C compiler, some-cc"):
            backend._compiled(words, tmp_path)


def test_of_a_machine_without_levels_there_is_only_source(backend, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(backend.platform, "machine", lambda: "riscv64")
    assert backend._compiled(["host"], tmp_path) == []
    assert "kernels=host: there is no level for riscv64" in capsys.readouterr().err
    assert backend.get_requires_for_build_wheel({"kernels": "host"}) == []


def test_what_does_not_compile_stops_the_build(backend, monkeypatch, tmp_path):
    monkeypatch.setattr(
        backend.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1)
    )
    with pytest.raises(SystemExit, match="kernels=all: the kernels were not built"):
        backend._compiled(["all"], tmp_path)


# Wheels.

ABOUT = "Wheel-Version: 1.0\nGenerator: me\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n"


@pytest.fixture
def wheel(backend, tmp_path):
    """A small wheel with two libraries added to it."""
    plain = tmp_path / "small-1.0-py3-none-any.whl"
    with ZipFile(plain, "w") as file:
        file.writestr("small/__init__.py", "x = 1\n")
        file.writestr("small-1.0.dist-info/METADATA", "Name: small\nVersion: 1.0\n")
        file.writestr("small-1.0.dist-info/WHEEL", ABOUT)
        file.writestr("small-1.0.dist-info/RECORD", "of the plain one")
    files = []
    for name in ("a.so", "a, with a comma.json"):
        files.append(tmp_path / name)
        files[-1].write_bytes(name.encode() * 100)
    return backend.with_files(plain, "small/native", files, "linux_x86_64")


def test_a_wheel_with_libraries_is_for_one_platform(wheel):
    assert wheel.name == "small-1.0-py3-none-linux_x86_64.whl"
    with ZipFile(wheel) as file:
        assert file.read("small-1.0.dist-info/WHEEL").decode() == ABOUT.replace(
            "Purelib: true", "Purelib: false"
        ).replace("none-any", "none-linux_x86_64")
        assert file.read("small/native/a.so") == b"a.so" * 100
        assert file.namelist()[-1].endswith("RECORD")
        assert len({*file.namelist()}) == len(file.namelist()) == 6


def test_its_record_is_right(wheel):
    with ZipFile(wheel) as file:
        rows = list(csv.reader(file.read("small-1.0.dist-info/RECORD").decode().splitlines()))
        assert [row[0] for row in rows] == file.namelist()
        assert rows.pop() == ["small-1.0.dist-info/RECORD", "", ""]
        for name, digest, size in rows:
            content = file.read(name)
            assert int(size) == len(content)
            assert urlsafe_b64decode(digest.removeprefix("sha256=") + "=") == (
                hashlib.sha256(content).digest()
            )


def test_pip_installs_it(wheel, tmp_path):
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", tmp_path / "installed", wheel], check=True)
    assert (tmp_path / "installed" / "small" / "native" / "a.so").read_bytes() == b"a.so" * 100
