"""Compiled code: where it is cached."""

import subprocess
import sys


def test_compiled_code_is_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    code = (
        "import minidl, numba; p = minidl.nn.Parameter([1.0]); p.grad = minidl.ones(1);"
        "minidl.optim.SGD([p]).step(); print(numba.config.CACHE_DIR)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert printed.strip() == b"", "the setting of the process is as it was"
    assert [path for path in tmp_path.rglob("*.nbi") if "_descend" in path.name]
