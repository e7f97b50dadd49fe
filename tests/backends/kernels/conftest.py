"""Fixtures of the kernels' tests."""

import pytest

import minidl
from minidl.backends.kernels import elementwise


@pytest.fixture
def device():
    """Whose kernels the tests of all backends, in tests/every_backend, test here."""
    return "cpu"


@pytest.fixture(scope="module")
def of_any_size():
    """Kernels do small arrays, too, that they would leave to the bodies."""
    with pytest.MonkeyPatch.context() as patch:
        for count in ("ONE", "TWO", "MANY"):
            patch.setattr(elementwise, f"_FEWEST_FOR_{count}", 1)
        yield


@pytest.fixture
def in_pieces():
    """A function that computes something in one, two and three chunks; the number is restored."""
    before = minidl.get_num_threads()

    def results(compute):
        for threads in (1, 2, 3):
            minidl.set_num_threads(threads)
            yield compute()

    yield results
    minidl.set_num_threads(before)
