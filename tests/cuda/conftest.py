"""Without a GPU, the stand-in takes CuPy's place; with one, `pytest -m gpu` uses the real CuPy."""

import pytest
from hypothesis import settings

from tests.cuda import on_gpu, stand_in
from tests.cuda.kernels.examples import examples

if on_gpu.ASKED and not on_gpu.missing():
    on_gpu.count_launches()
else:
    stand_in.install()

settings.register_profile("cuda", max_examples=examples(settings().max_examples).max_examples)
settings.load_profile("cuda")


@pytest.hookimpl(tryfirst=True)  # before those without the marker are left out
def pytest_collection_modifyitems(items):
    if on_gpu.ASKED:
        for item in items:
            if item.nodeid.startswith(on_gpu.FILES):
                item.add_marker("gpu")
                if on_gpu.missing():
                    item.add_marker(pytest.mark.skip(reason=on_gpu.missing()))


@pytest.fixture
def device():
    """Whose kernels the tests of all backends, in tests/every_backend, test here."""
    return "cuda"


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
