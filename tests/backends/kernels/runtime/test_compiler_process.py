"""Compiler processes: what surrounds a program changes nothing of what they compile."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minidl
from minidl.backends.kernels.runtime import cache

PACKAGE = Path(minidl.__file__).parent
_SOFTMAX = "print(float(minidl.softmax(minidl.ones((2, 100)), axis=1).sum().item()))"


def _printed(program, tmp_path, *arguments, **settings):
    environment = {**os.environ, "MINIDL_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(PACKAGE.parent), **settings.pop("env", {})}
    done = subprocess.run(
        [sys.executable, *arguments, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        **settings,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_minidl_in_the_folder_is_not_compiled(tmp_path):
    other = tmp_path / "other"
    ignored = shutil.ignore_patterns("__pycache__", "native")
    shutil.copytree(PACKAGE, other / "minidl", ignore=ignored)
    math = other / "minidl" / "backends" / "kernels" / "simd" / "math.py"
    math.write_text(math.read_text().replace("_ONE, _HALF = _F(1)", "_ONE, _HALF = _F(2)"))
    program = (
        f"import minidl, os, sys; os.chdir({str(other)!r}); sys.path.insert(0, ''); {_SOFTMAX}"
    )
    for _ in range(2):
        assert float(_printed(program, tmp_path)) == pytest.approx(2)


SURROUNDINGS = {
    "a configuration of Numba's": lambda folder: (folder / ".numba_config.yaml").write_text(
        "boundscheck: 1\nopt: 0\n"
    ),
    "a module of the same name as one of Python's": lambda folder: (folder / "json.py").write_text(
        "raise SystemExit('not this one')"
    ),
    "a module of the same name as Numba": lambda folder: (folder / "numba.py").write_text(
        "raise SystemExit('not this one')"
    ),
}


@pytest.mark.sampled(0.4)
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_what_lies_in_the_current_folder_does_not_matter(tmp_path, name):
    SURROUNDINGS[name](tmp_path)
    assert float(_printed(f"import minidl; {_SOFTMAX}", tmp_path, "-P", cwd=tmp_path)) == 2


def test_what_others_print_is_no_answer(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('hello'); print('{}')")
    path = os.pathsep.join([str(tmp_path / "site"), str(PACKAGE.parent)])
    printed = _printed(f"import minidl; {_SOFTMAX}", tmp_path, env={"PYTHONPATH": path})
    assert printed.split() == ["hello", "{}", "2.0"]


@pytest.mark.sampled(0.4)
@pytest.mark.parametrize(
    "before",
    [
        "sys.executable = None; multiprocessing.spawn.set_executable(None)",
        "sys.frozen = True",
        "sys.stderr.close()",
        "sys.stderr = None",
        "sys.path.append(__import__('pathlib').Path('/nowhere'))",
    ],
)
def test_where_a_process_cannot_be_started_or_watched(tmp_path, before):
    program = f"import multiprocessing.spawn, sys, minidl; {before}; {_SOFTMAX}"
    assert float(_printed(program, tmp_path)) == 2


def test_a_handler_of_a_signal_may_compute_while_a_kernel_is_compiled(tmp_path):
    program = f"""
import signal, minidl
def handler(*_):
    print(minidl.exp(minidl.zeros(20_000)).sum().item())
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.5)
{_SOFTMAX}
while signal.getitimer(signal.ITIMER_REAL)[0]:
    pass
"""
    assert sorted(map(float, _printed(program, tmp_path, timeout=120).split())) == [2, 20_000]


@pytest.mark.parametrize("put", ["a link", "a pipe", "a folder"])
def test_what_lies_at_the_place_of_a_lock_is_left_alone(tmp_path, monkeypatch, put):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    cache._environment_folder.cache_clear()
    path = cache._path("kernel").with_suffix(".lock")
    path.parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    if put == "a link":
        path.symlink_to(victim)
    elif put == "a pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with cache.lock("kernel"):
        pass
    assert victim.read_text() == "precious"
    cache._environment_folder.cache_clear()
