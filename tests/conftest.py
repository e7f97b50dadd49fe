"""Settings of every test run."""

import os
import signal

import pytest
from hypothesis import settings

from tests.oracle import INSTALLED

# The same examples in every run and on every machine, however slow it is.
settings.register_profile("minidl", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("minidl")


def pytest_configure(config):
    if os.environ.get("MINIDL_PARITY") == "required" and not INSTALLED:
        raise pytest.UsageError("MINIDL_PARITY=required, but PyTorch is not installed")
    # A shell ignores Ctrl-C for what it starts in the background; tests send it on purpose.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config):
    return f"parity tests: {'with PyTorch' if INSTALLED else 'left out, PyTorch is not installed'}"
