"""Without a GPU, the stand-in takes CuPy's place; with one, `pytest -m gpu` uses the real CuPy."""

import pytest
from hypothesis import settings

from tests.cuda import stand_in
from tests.cuda.stand_in.modules import executor

stand_in.install()

# A launch under ThreadSanitizer starts hundreds of threads.
_EXAMPLES = {"asan": 12, "tsan": 3}
if executor() in _EXAMPLES:
    settings.register_profile("sanitized", max_examples=_EXAMPLES[executor()])
    settings.load_profile("sanitized")


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
