"""Settings of every test run."""

import os
import signal

import pytest
from hypothesis import settings

from tests.oracle import INSTALLED, KERAS_INSTALLED
from tests.sampling import mark_what_is_left_out

if os.environ.get("MINIDL_DEVICE", "").startswith("cuda"):  # tests/cuda/test_suite.py sets it
    from tests.cuda import stand_in

    stand_in.install()

# The same examples in every run and on every machine, however slow it is.
settings.register_profile("minidl", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("minidl")


def pytest_configure(config):
    if os.environ.get("MINIDL_PARITY") == "required":
        for name, installed in (("PyTorch", INSTALLED), ("Keras", KERAS_INSTALLED)):
            if not installed:
                raise pytest.UsageError(f"MINIDL_PARITY=required, but {name} is not installed")
    # A shell ignores Ctrl-C for what it starts in the background; tests send it on purpose.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before those with the marker `full` are left out
def pytest_collection_modifyitems(config, items):
    if not config.pluginmanager.has_plugin("tests.cuda.proofs.collect"):  # the proofs run all cases
        mark_what_is_left_out(items)


def pytest_report_header(config):
    libraries = {"PyTorch": INSTALLED, "Keras": KERAS_INSTALLED}
    found = [name for name, installed in libraries.items() if installed]
    return f"parity tests: with {' and '.join(found) or 'neither PyTorch nor Keras'}"
