"""Without a GPU, the stand-in takes CuPy's place; with one, `pytest -m gpu` uses the real CuPy."""

import pytest

from tests.cuda import stand_in

stand_in.install()


@pytest.fixture
def launches():
    """How often each kernel was launched in this test: launches["softmax_forward_f32"]."""
    stand_in.counters.reset()
    return stand_in.counters.launches


@pytest.fixture
def counters():
    """Launches, transfers (h2d, d2h) and synchronisations of this test."""
    stand_in.counters.reset()
    return stand_in.counters
