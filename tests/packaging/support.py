"""What the tests of packaging share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BACKEND = ROOT / "build_backend"

needs_compiler = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("readelf")), reason="needs a C compiler and binutils"
)

# What a library may refer to: Python's stable ABI, and what every C library has.
ALLOWED = {
    *("PyErr_Clear", "PyErr_Occurred", "PyErr_SetString", "PyExc_RuntimeError"),
    *("PyEval_RestoreThread", "PyEval_SaveThread"),
    *("PyThread_acquire_lock", "PyThread_release_lock"),
    *("PyFloat_AsDouble", "PyFloat_FromDouble", "PyFloat_Type"),
    *("PyBool_FromLong", "PyLong_AsLongLong", "PyLong_Type"),
    *("PyLong_FromLongLong", "PyLong_FromUnsignedLongLong"),
    *("PyTuple_GetItem", "PyTuple_New", "PyTuple_SetItem", "PyType_GetFlags"),
    *("Py_IncRef", "_Py_FalseStruct", "_Py_NoneStruct", "_Py_NotImplementedStruct"),
    *("_Py_TrueStruct", "memset", "memcpy", "memmove", "sched_getcpu"),
}


def copy_of_the_sources(folder):
    """What an sdist or a clone has, without anything that was built."""
    for name in ("minidl", "minidl_cuda", "build_backend"):
        ignored = shutil.ignore_patterns("__pycache__", "native")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


_HOOK = """
import sys, minidl_build
settings = {"kernels": sys.argv[3]} if sys.argv[3:] else None
print(getattr(minidl_build, sys.argv[1])(sys.argv[2], settings))
assert "numpy" not in sys.modules and "numba" not in sys.modules
"""


def hook(sources, name, target, *kernels, **environment):
    """Call a hook of the build backend as pip does, in a process of its own."""
    target.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", _HOOK, name, target, *kernels],
        cwd=sources,
        env={**os.environ, "PYTHONPATH": str(BACKEND), **environment},
        capture_output=True,
        text=True,
    )


def undefined_symbols(library):
    """What a library looks for when it is loaded: names, other libraries, and whether versions."""
    symbols = _readelf("--dyn-syms", "-W", library).splitlines()
    names = {line.split()[7] for line in symbols if " UND " in line and len(line.split()) > 7}
    needed = [line for line in _readelf("--dynamic", library).splitlines() if "NEEDED" in line]
    versions = _readelf("--version-info", library)
    return names, needed, "No version information" not in versions


def _readelf(*arguments):
    done = subprocess.run(["readelf", *arguments], capture_output=True, text=True, check=True)
    return done.stdout
