"""A pytest plugin: which kernels each test launched, what they did, and whether the test passed.

    MINIDL_PROOFS_OUT=out.json python -m pytest -p tests.cuda.proofs.collect tests/cuda/kernels

The kernels are those of $MINIDL_PROOFS_KERNELS, a folder, if it is set.

Only the tests named in $MINIDL_PROOFS_TESTS, a file with a line for each, are run, if it is set;
and of each function only $MINIDL_PROOFS_THIN tests, evenly spaced.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

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


def _thinned(names: list[str], most: int) -> list[str]:
    functions: dict[str, list[str]] = {}
    for name in names:
        functions.setdefault(name.split("[")[0], []).append(name)
    return [n for own in functions.values() for n in own[:: max(1, -(-len(own) // most))]]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to the launches of the stand-in, and of the executor of PTX."""
    _use_other_kernels()
    from tests.cuda.ptx.executor import settings
    from tests.cuda.stand_in.counters import counters

    plain = counters.launch

    def launch(name: str) -> None:
        _state["now"][name] += 1
        plain(name)

    counters.launch = launch  # type: ignore[method-assign]
    settings.watch.append(_note)


def _use_other_kernels() -> None:
    folder = os.environ.get("MINIDL_PROOFS_KERNELS")
    if folder:
        from tests.cuda import stand_in

        stand_in.install()
        from minidl_cuda import launch

        old = f"-I{launch.FOLDER}"
        launch.OPTIONS = tuple(f"-I{folder}" if o == old else o for o in launch.OPTIONS)
        launch.FOLDER = Path(folder)


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
