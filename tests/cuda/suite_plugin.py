"""A plugin of pytest: minidl's own tests with the default device "cuda", over the stand-in.

The outcome of each test is a line of the file that MINIDL_SUITE_REPORT names, as soon as it is
known: what crashes or hangs leaves those before it.
"""

import json
import os
from pathlib import Path

from tests.cuda import stand_in

stand_in.install()

_ROOT = Path(__file__).parents[2]


def pytest_runtest_logreport(report):
    if report.when == "call" or not report.passed:
        _write(report)


def pytest_collectreport(report):
    if not report.passed:  # a module that cannot be imported, or that skips itself
        _write(report)


def pytest_sessionfinish(session):
    _append({"finished": True})


def _write(report):
    message = getattr(getattr(report.longrepr, "reprcrash", None), "message", "")
    if report.skipped and isinstance(report.longrepr, tuple):
        message = report.longrepr[2]
    said = (message or str(report.longrepr or ""))[:2000]
    outcome = {"test": report.nodeid, "outcome": report.outcome, "said": said}
    if report.failed:
        outcome["frames"] = _frames(report.longrepr)
    _append(outcome)


def _frames(longrepr):
    """The files and lines of the traceback, outermost first; ours relative to the repository."""
    entries = getattr(getattr(longrepr, "reprtraceback", None), "reprentries", [])
    places = [entry.reprfileloc for entry in entries if getattr(entry, "reprfileloc", None)]
    return [f"{place.path}:{place.lineno}".removeprefix(f"{_ROOT}/") for place in places]


def _append(line):
    path = os.environ.get("MINIDL_SUITE_REPORT")
    if path:
        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")
