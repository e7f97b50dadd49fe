"""minidl's own tests with the default device "cuda", over the stand-in; a slice of them here."""

import pytest

from tests.cuda import suite

SLICE = [
    "tests/autograd/test_complex.py",
    "tests/ops/test_indexing.py",
    "tests/ops/test_scatter.py",
    "tests/ops/test_sorting.py",
    "tests/ops/test_cumulative.py",
    "tests/ops/test_segments.py",
    "tests/autograd/test_tensor.py",
]


@pytest.mark.parametrize("file", SLICE)
def test_the_slice_passes_on_the_gpu(file):
    line, unexplained = suite.summary(file, suite.run(file))
    assert not unexplained, line


@pytest.mark.full
@pytest.mark.parametrize("file", sorted(set(suite.files()) - set(SLICE)))
def test_the_suite_passes_on_the_gpu(file):
    line, unexplained = suite.summary(file, suite.run(file))
    assert not unexplained, line


def test_failures_are_explained_by_what_they_say():
    assert suite.why("test_x", "TypeError: Unsupported type <class 'numpy.ndarray'>")
    assert suite.why("test_x", "assert 1 == 2") is None
