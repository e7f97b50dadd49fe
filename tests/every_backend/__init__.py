"""Tests that the kernels of every backend pass: its own files of tests import them.

They ask for the fixture `device`, which says whose kernels they are; the conftest.py of a backend's
tests has it.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"tests.every_backend.{name}" for name in ("attention", "epilogues", "recurrent"))
)
