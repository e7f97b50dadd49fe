"""Wheels, as pip builds and installs them."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from base64 import urlsafe_b64encode
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

from minidl.backends.kernels.compiler.build import levels_named
from tests.packaging.support import (
    ALLOWED,
    ROOT,
    copy_of_the_sources,
    hook,
    needs_compiler,
    undefined_symbols,
)

NATIVE = "minidl/backends/kernels/native"
FIRST_STEPS = Path(__file__).with_name("first_steps.py")
LINKS_FOR_ARM = shutil.which("aarch64-linux-gnu-gcc") or find_spec("ziglang")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return copy_of_the_sources(tmp_path_factory.mktemp("sources"))


def built(done, folder):
    """The wheel or sdist that a hook built."""
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    assert done.stdout.splitlines()[-1] == made.name
    return made


def test_a_plain_wheel_is_source_alone(sources, tmp_path):
    """Whatever was built before lies around; there is no compiler."""
    library = sources / NATIVE / "x86-64-v4.so"
    stale = sources / "build" / "lib" / "minidl" / "deleted.py"
    for path in (library, stale):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from before")
    wheel = built(hook(sources, "build_wheel", tmp_path, CC="no-cc"), tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    with ZipFile(wheel) as file:
        names = set(file.namelist())
        (about,) = (name for name in names if name.endswith(".dist-info/WHEEL"))
        assert "Root-Is-Purelib: true\nTag: py3-none-any\n" in file.read(about).decode()
    package = {
        str(path.relative_to(ROOT))
        for part in ("minidl", "minidl_cuda")
        for path in (ROOT / part).rglob("*")
        if path.suffix in (".py", ".cu", ".cuh")
    }
    assert {name for name in names if name.endswith((".py", ".cu", ".cuh"))} == package
    assert not [name for name in names if "native" in name or name.startswith("build")]
    assert not list(tmp_path.glob("*tmp*"))


def test_without_a_compiler_the_wheel_for_the_host_is_plain(sources, tmp_path):
    done = hook(sources, "build_wheel", tmp_path, "host", CC="no-cc")
    assert built(done, tmp_path).name.endswith("-py3-none-any.whl")
    assert "kernels=host: no C compiler, no-cc" in done.stderr


def test_without_a_compiler_no_other_wheel_is_built(sources, tmp_path):
    done = hook(sources, "build_wheel", tmp_path, "all", CC="no-cc")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr == "kernels=all: no C compiler, no-cc (CC names another)\n"


def test_a_source_archive_can_be_built_from(sources, tmp_path):
    archive = built(hook(sources, "build_sdist", tmp_path, "all"), tmp_path)
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"build_backend/minidl_build.py", "pyproject.toml", "minidl/py.typed"} <= names
    assert not [name for name in names if name.endswith(".so")]


# With kernels: a minute or so for each level, unless they are in the cache.


@pytest.fixture(scope="module")
def wheel(sources, tmp_path_factory):
    """A wheel for all levels."""
    folder = tmp_path_factory.mktemp("wheel")
    return built(hook(sources, "build_wheel", folder, "all"), folder)


@needs_compiler
@pytest.mark.full
def test_a_wheel_for_all_levels(sources, wheel, tmp_path):
    assert "-py3-none-manylinux_2_17_" in wheel.name
    assert wheel.stat().st_size <= 3e6
    assert check_libraries(wheel, tmp_path) == set(levels_named(["all"]))


@needs_compiler
@pytest.mark.full
@pytest.mark.skipif(not LINKS_FOR_ARM, reason="needs the packages of the extra wheels")
def test_a_wheel_for_arm_can_be_built_elsewhere(sources, tmp_path):
    wheel = built(hook(sources, "build_wheel", tmp_path, "aarch64"), tmp_path)
    assert wheel.name.endswith("-py3-none-manylinux_2_17_aarch64.whl")
    assert check_libraries(wheel, tmp_path) == {"aarch64"}


def check_libraries(wheel, folder):
    """Check the libraries in a wheel; their levels."""
    with ZipFile(wheel) as file:
        file.extractall(folder)
    libraries = sorted((folder / NATIVE).glob("*.so"))
    for library in libraries:
        names, needed, versions = undefined_symbols(library)
        assert (names - ALLOWED, needed, versions) == (set(), [], False)
        functions = json.loads(library.with_suffix(".json").read_text())["functions"]
        assert len(functions) > 100
    return {library.stem for library in libraries}


@needs_compiler
@pytest.mark.full
def test_building_again_takes_seconds_and_gives_the_same(sources, wheel, tmp_path):
    begin = time.monotonic()
    again = built(hook(sources, "build_wheel", tmp_path, "all"), tmp_path)
    assert time.monotonic() - begin < 60
    with ZipFile(again) as new, ZipFile(wheel) as old:
        assert [new.read(name) for name in new.namelist()] == [
            old.read(name) for name in old.namelist()
        ]


@needs_compiler
@pytest.mark.full
def test_an_interrupted_build_leaves_nothing(sources, tmp_path):
    cache = tmp_path / "cache"
    script = "import sys, minidl_build; minidl_build.build_wheel(sys.argv[1], {'kernels': 'host'})"
    path = str(sources / "build_backend")
    build = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path],
        cwd=sources,
        env={**os.environ, "PYTHONPATH": path, "MINIDL_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not list(cache.rglob("*.code")):
        assert build.poll() is None
        time.sleep(0.1)
    os.killpg(build.pid, 2)
    build.communicate(timeout=20)
    assert build.returncode
    assert list(tmp_path.iterdir()) == [cache]
    assert not list(cache.rglob("*.tmp"))


@needs_compiler
@pytest.mark.full
def test_the_installed_wheel(wheel, tmp_path):
    """In a new environment, which has this one's packages but not its minidl."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")

    def run(*arguments):
        done = subprocess.run(
            [python, *arguments],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-m", "pip", "install", "--no-index", "--force-reinstall", "--no-deps", wheel)
    assert run("-P", FIRST_STEPS).startswith(str(site))
    listed = (next(site.glob("minidl-*.dist-info")) / "RECORD").read_text()
    checked = 0
    for name, digest, size in (line.rsplit(",", 2) for line in listed.splitlines()):
        if digest:
            content = (site / name).read_bytes()
            made = urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (f"sha256={made}", str(len(content))) == (digest, size)
            checked += 1
    assert checked > 300
