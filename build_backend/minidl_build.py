"""How minidl is built for pip (PEP 517, PEP 660): by setuptools, with machine code if asked for.

    pip wheel . --no-deps                      source alone, for any machine
    pip wheel . --no-deps -C kernels=host      with the kernels for this machine's level
    … -C kernels=all                           for all levels of its architecture
    … -C kernels=x86-64-v3,x86-64-v2           for some
    … -C kernels=aarch64                       for another architecture

The same settings go with `pip install .`, `pip install -e .` and `python -m build`.

Source alone needs neither Numba nor a C compiler.  Libraries of kernels are made by
`minidl.backends.kernels.compiler.build`, in a process of its own, and put into the wheel that
setuptools made; an editable installation finds them in the source tree.
"""

import base64
import csv
import hashlib
import io
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

# The architectures of levels.
LEVELS = {
    **dict.fromkeys(("x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64"), "x86_64"),
    "aarch64": "aarch64",
}
NATIVE = "minidl/backends/kernels/native"  # where libraries lie

Settings: TypeAlias = Mapping[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """What setuptools needs, and the compiler if there are kernels to compile."""
    own = build_meta.get_requires_for_build_wheel(config_settings)
    return [*own, *_requirements(_words(config_settings))]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """The same for an editable installation."""
    own = build_meta.get_requires_for_build_editable(config_settings)
    return [*own, *_requirements(_words(config_settings))]


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel; its name."""
    words = _words(config_settings)
    with tempfile.TemporaryDirectory(dir=wheel_directory) as folder, _build_folder(folder):
        libraries = _compiled(words, Path(folder, "native"))
        name = build_meta.build_wheel(folder, config_settings, metadata_directory)
        wheel = Path(folder, name)
        if libraries:
            wheel = with_files(wheel, NATIVE, libraries, platform_tag(words))
            print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB", flush=True)
        os.replace(wheel, Path(wheel_directory, wheel.name))
    return wheel.name


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel that refers to the source tree; libraries are put there."""
    _compiled(_words(config_settings), Path(NATIVE))
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


# What is asked for.


def _words(settings: Settings) -> list[str]:
    """The words after `-C kernels=`, of one architecture."""
    given = (settings or {}).get("kernels", [])
    words = re.findall(r"[^,\s]+", given if isinstance(given, str) else ",".join(given))
    unknown = [word for word in words if word not in {"host", "all", *LEVELS}]
    if unknown:
        sys.exit(f"kernels={unknown[0]}: there are host, all, {', '.join(LEVELS)}")
    if len(set(map(_architecture, words))) > 1:
        sys.exit(f"kernels={','.join(words)}: a wheel is for one architecture")
    return words


def _architecture(word: str) -> str:
    return LEVELS.get(word) or _here()


def _here() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def _obstacle(words: list[str]) -> str | None:
    """Why kernels cannot be built here; None if they can, or if there are none."""
    if not words or _architecture(words[0]) != _here():  # pip installs what links for others
        return None
    if _here() not in LEVELS.values():
        return f"there is no level for {_here()}"
    compiler = (shlex.split(os.environ.get("CC", "")) or ["cc"])[0]
    return None if shutil.which(compiler) else f"no C compiler, {compiler} (CC names another)"


def _requirements(words: list[str]) -> list[str]:
    """What compiling needs: the versions in the extra `wheels`, and what minidl imports."""
    if not words or _obstacle(words):
        return []
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    stated = [*project["optional-dependencies"]["wheels"], *project["dependencies"]]
    versions = {re.match(r"[\w-]+", line)[0]: line for line in reversed(stated)}
    architecture = _architecture(words[0])
    foreign = architecture != _here() and not shutil.which(f"{architecture}-linux-gnu-gcc")
    names = ["numba", "numpy", "rich", *(["ziglang"] if foreign else [])]
    return [versions[name] for name in names]


# Libraries.


def _compiled(words: list[str], folder: Path) -> list[Path]:
    """Compile kernels into a folder: the libraries, with their lists of contents."""
    if not words:
        return []
    obstacle, asked = _obstacle(words), f"kernels={','.join(words)}"
    if obstacle and words != ["host"]:
        sys.exit(f"{asked}: {obstacle}")
    if obstacle:
        _tell(f"{asked}: {obstacle}. minidl will compile kernels when they are first used.")
        return []
    path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "minidl.backends.kernels.compiler.build", *words]
    done = subprocess.run([*command, "--folder", folder], env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        sys.exit(f"{asked}: the kernels were not built")
    return sorted(folder.iterdir())


def _tell(message: str) -> None:
    """Print a message; on the terminal, too, if there is one: pip hides what a build prints."""
    print(message, file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        with suppress(OSError), open("/dev/tty", "w") as terminal:
            print(f"\n{message}", file=terminal)


def platform_tag(words: list[str]) -> str:
    """The platform that a wheel with these kernels is for.

    The libraries refer to no version of the C library, so they would do for any Linux; but what was
    compiled for the machine it was built on is not to be handed on.
    """
    architecture = _architecture(words[0])
    if "host" in words or (architecture == _here() and sys.platform != "linux"):
        return re.sub(r"[-.]", "_", sysconfig.get_platform())
    return f"manylinux_2_17_{architecture}"


@contextmanager
def _build_folder(folder: str) -> Iterator[None]:
    """Let setuptools copy files to an empty folder.

    In `build/`, its own choice, are those of earlier builds; deleted files would come back, and a
    library would not belong to these sources.
    """
    before = os.environ.get("DIST_EXTRA_CONFIG")
    if before is None:
        settings = Path(folder, "setup.cfg")
        settings.write_text(f"[build]\nbuild_base = {folder}/build\n")
        os.environ["DIST_EXTRA_CONFIG"] = str(settings)
    try:
        yield
    finally:
        if before is None:
            del os.environ["DIST_EXTRA_CONFIG"]


# Wheels.


def with_files(plain: Path, folder: str, files: Iterable[Path], tag: str) -> Path:
    """A wheel with the files of another one, and more, for a platform; beside the other."""
    made = plain.with_name(plain.name.replace("-any.whl", f"-{tag}.whl"))
    with ZipFile(plain) as wheel:
        contents = {name: wheel.read(name) for name in wheel.namelist()}
        date = wheel.infolist()[0].date_time
    (record,) = (name for name in contents if name.endswith(".dist-info/RECORD"))
    about = record.replace("RECORD", "WHEEL")
    contents[about] = _for_platform(contents[about].decode(), tag).encode()
    contents |= {f"{folder}/{file.name}": file.read_bytes() for file in files}
    del contents[record]  # it is the last one
    contents[record] = _record(contents, record)
    with ZipFile(made, "w", ZIP_DEFLATED) as wheel:
        for name, content in contents.items():
            info = ZipInfo(name, date)
            info.external_attr = 0o100644 << 16
            wheel.writestr(info, content, ZIP_DEFLATED)
    return made


def _for_platform(about: str, tag: str) -> str:
    """The file WHEEL, of a wheel for one platform."""
    about = about.replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
    return about.replace("-none-any\n", f"-none-{tag}\n")


def _record(contents: Mapping[str, bytes], own: str) -> bytes:
    """The file RECORD: the digest and the size of each file, but for its own."""
    rows = [(name, _digest(content), len(content)) for name, content in contents.items()]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*rows, (own, "", "")])
    return text.getvalue().encode()


def _digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={digest.rstrip(b'=').decode()}"
