"""`minidl warmup`: kernels are compiled before they are needed."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from minidl import cli
from minidl.backends.kernels.compiler import declared
from minidl.backends.kernels.runtime import cache, machine_code
from minidl.backends.kernels.runtime.level import level
from tests.helpers import WITHOUT_LIBRARY

LEVEL = level().name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache, and only one kernel to compile."""
    one = [item for item in declared.declared() if item[0].name == "arithmetic:_add"]
    monkeypatch.setattr(declared, "declared", lambda: one)
    monkeypatch.setattr(machine_code, "library", lambda: machine_code.Library(None))
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path / "cache"))
    cache._environment_folder.cache_clear()
    yield tmp_path / "cache"
    cache._environment_folder.cache_clear()


def printed(capsys, *arguments):
    assert cli.main(["warmup", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.rstrip("\n")


def test_what_is_missing_is_compiled_once(folder, capsys):
    expected = rf"kernels for {LEVEL}: 1 compiled now, in \d+\.\d s"
    assert re.fullmatch(expected, printed(capsys))
    assert len(list(folder.rglob("*.code"))) == 1
    assert printed(capsys) == f"kernels for {LEVEL}: nothing to compile; 1 compiled before"
    facts = json.loads(printed(capsys, "--json"))
    assert facts.pop("seconds") >= 0
    assert facts == {"level": LEVEL, "shipped": 0, "compiled_before": 1, "compiled_now": 0}


def test_what_was_shipped_is_not_compiled(folder, capsys, monkeypatch):
    symbols = frozenset(machine_code.symbol_of(*item) for item in declared.declared())
    monkeypatch.setattr(machine_code, "library", lambda: machine_code.Library(object(), symbols))
    expected = f"kernels for {LEVEL}: nothing to compile; 1 shipped with minidl"
    assert printed(capsys) == expected
    assert not folder.exists()


def test_where_nothing_can_be_kept_it_is_an_error(folder, capsys, monkeypatch):
    monkeypatch.setattr(declared, "compile_all", lambda *_: {})
    assert cli.main(["warmup"]) == 1
    assert capsys.readouterr() == ("", f"minidl: kernels cannot be kept in {folder}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interruption_keeps_what_was_compiled(tmp_path):
    program = WITHOUT_LIBRARY + "import sys; from minidl import cli; sys.exit(cli.main(['warmup']))"
    run = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "MINIDL_CACHE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(tmp_path.rglob("*.code")):
        assert run.poll() is None
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=10)
    assert (run.returncode, out) == (130, "")
    kept = len(list(tmp_path.rglob("*.code")))
    assert err == f"interrupted; {kept} kernels were compiled, and are kept\n"
    assert not list(tmp_path.rglob("*.tmp"))
