"""A pytest plugin: which kernels each test launched, what they did, and whether the test passed.

    MINIDL_PROOFS_OUT=out.json python -m pytest -p tests.cuda.proofs.collect tests/cuda/kernels

Sources are those of $MINIDL_PROOFS_KERNELS, a folder, where they are different there, if it is set.

Only the tests named in $MINIDL_PROOFS_TESTS, a file with a line for each, are run, if it is set;
and of each function only $MINIDL_PROOFS_THIN tests, evenly spaced.
"""

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

_state: dict[str, Any] = {"tests": {}, "kernels": {}, "now": Counter()}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that were asked for."""
    wanted, thin = os.environ.get("MINIDL_PROOFS_TESTS"), os.environ.get("MINIDL_PROOFS_THIN")
    names = {item.nodeid for item in items}
    if wanted:
        names = set(Path(wanted).read_text().splitlines())
    if thin:
        names = set(_thinned(sorted(names, key=[i.nodeid for i in items].index), int(thin)))
    config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in names])
    items[:] = [item for item in items if item.nodeid in names]
    if os.environ.get("MINIDL_PROOFS_KERNELS"):
        for item in items:
            _fail_at_once(getattr(item, "obj", None))


def _fail_at_once(test: Any) -> None:
    """Whether a test of a fault fails is all that matters, not by which smallest example."""
    own = getattr(test, "_hypothesis_internal_use_settings", None)
    if own is not None:
        phases = Phase.explicit, Phase.generate
        test._hypothesis_internal_use_settings = settings(own, phases=phases)


def _thinned(names: list[str], most: int) -> list[str]:
    functions: dict[str, list[str]] = {}
    for name in names:
        functions.setdefault(name.split("[")[0], []).append(name)
    return [n for own in functions.values() for n in own[:: max(1, -(-len(own) // most))]]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to the launches of the stand-in, and of the executor of PTX."""
    _use_other_kernels()
    from tests.cuda.ptx import executor
    from tests.cuda.stand_in.counters import counters

    plain = counters.launch

    def launch(name: str) -> None:
        _state["now"][name] += 1
        plain(name)

    counters.launch = launch  # type: ignore[method-assign]
    executor.settings.watch.append(_note)


def _use_other_kernels() -> None:
    """Take the sources that are different in the other folder from there."""
    named = os.environ.get("MINIDL_PROOFS_KERNELS")
    if not named:
        return
    from tests.cuda import stand_in

    stand_in.install()
    import cupy

    from minidl_cuda import launch

    from . import sources

    folder, plain = Path(named), launch._module
    paths = [path for path in folder.iterdir() if path.is_file()]
    changed = {p for p in paths if p.read_bytes() != (launch.FOLDER / p.name).read_bytes()}

    @cache
    def module(file: str, device: int) -> Any:
        path = folder / file
        if changed.isdisjoint({path, *sources.headers(path)}):
            return plain(file, device)
        code = path.read_bytes().decode("ascii", "replace").replace("\ufffd", "~")
        return cupy.RawModule(code=code, options=("-std=c++17", f"-I{folder}"))

    launch._module = module


def _note(launched: Any) -> None:
    kernel = _state["kernels"].setdefault(
        launched.kernel,
        {"launches": 0, "fault": "", "fault_kind": "", "order_dependent": 0, "largest": {}},
    )
    kernel["launches"] += 1
    kernel["order_dependent"] += not launched.same_bits
    if launched.fault is not None and not kernel["fault"]:
        kernel["fault"] = str(launched.fault)
        kernel["fault_kind"] = getattr(launched.fault, "kind", "launch")
    if launched.outcome is not None:
        done = {name: getattr(launched.outcome, name) for name, _ in launched.outcome._fields_}
        bytes_now = done["unique_read"] + done["unique_written"]
        largest = kernel["largest"]
        if bytes_now > largest.get("unique_read", 0) + largest.get("unique_written", 0):
            kernel["largest"] = {
                **done,
                "threads": _product(launched.grid) * _product(launched.block),
            }


def _product(numbers: Any) -> int:
    result = 1
    for number in numbers:
        result *= int(number)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Any:
    """Forget the launches of the test before."""
    _state["now"] = Counter()
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what this test launched, and how it ended."""
    row = _state["tests"].setdefault(report.nodeid, {"outcome": "passed", "message": ""})
    if report.failed and row["outcome"] == "passed":
        crash = getattr(report.longrepr, "reprcrash", None)
        row["outcome"] = "failed"
        row["message"] = str(crash.message if crash else report.longrepr)[:600]
    elif report.skipped:
        row["outcome"] = "skipped"
    row["seconds"] = row.get("seconds", 0) + report.duration
    row["kernels"] = dict(_state["now"])
    if report.when == "teardown":
        _write()


def pytest_sessionfinish() -> None:
    """Add what the tests depend on: they have run to the end."""
    from .kept import dependencies

    launched = {name for row in _state["tests"].values() for name in row["kernels"]}
    _write(depends=dependencies(sorted(launched)))


def _write(**more: Any) -> None:
    out = os.environ.get("MINIDL_PROOFS_OUT")
    if out:
        found = {key: _state[key] for key in ("tests", "kernels")}
        Path(out).write_text(json.dumps(found | more))
