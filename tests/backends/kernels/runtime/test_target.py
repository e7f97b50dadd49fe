"""Vectors are those of the processor that Numba compiles for, whichever machine this is."""

import os
import platform
import subprocess
import sys

import pytest

from minidl.backends.kernels.runtime.target import target, vector_registers
from minidl.backends.kernels.simd import intrinsics

PROCESSORS = {
    "generic": ({"NUMBA_CPU_NAME": "generic"}, 4),
    "SSE 4": ({"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": ""}, 4),
    "AVX 2": ({"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""}, 8),
    "AVX off": ({"NUMBA_ENABLE_AVX": "0"}, (4, 8)),  # other features may imply it
    "AVX-512": ({"NUMBA_CPU_NAME": "x86-64-v4", "NUMBA_CPU_FEATURES": ""}, 16),
}
INTEL = platform.machine() in ("x86_64", "AMD64")
HERE = vector_registers().lanes

_PROGRAM = """
import sys, numpy as np, minidl
from minidl.backends.kernels.simd.intrinsics import LANES
generator = np.random.default_rng(0)

def results(with_convolution):
    x = minidl.asarray(np.linspace(-4, 4, 40_000, dtype="f4")).requires_grad_()
    for name in "exp tanh erf gelu".split():
        y = getattr(minidl, name)(x)
        yield from (y, *minidl.gradients(y.sum(), [x]))
    rows = x.detach().reshape(100, 400)
    weight = minidl.asarray(np.linspace(-1, 1, 70 * 400, dtype="f4").reshape(70, 400))
    yield from (minidl.linear(rows, weight), minidl.softmax(rows))
    if with_convolution:
        image = minidl.asarray(np.linspace(-1, 1, 2 * 5 * 19 * 21, dtype="f4"))
        image = minidl.reshape(image, (2, 5, 19, 21)).detach().requires_grad_()
        weight = minidl.asarray(np.linspace(-1, 1, 9 * 5 * 9, dtype="f4"))
        weight = minidl.reshape(weight, (9, 5, 3, 3)).detach().requires_grad_()
        for padding in (0, 1):
            y = minidl.conv2d(image, weight, padding=padding)
            yield from (y, *minidl.gradients((y * y).sum(), [image, weight]))

with_convolution = len(sys.argv) > 1
fast = [y.numpy() for y in results(with_convolution)]
with minidl.kernels("reference"):
    reference = [y.numpy() for y in results(with_convolution)]
for y, expected in zip(fast, reference, strict=True):
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5 * abs(expected).max())
print(LANES)
"""


def _lanes(environment, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_lanes_are_those_of_the_target():
    assert vector_registers().lanes == intrinsics.LANES
    assert len(target()) == 3


@pytest.mark.skipif(not INTEL, reason="names processors of the x86-64 architecture")
def test_kernels_for_a_generic_processor():
    assert _lanes(PROCESSORS["generic"][0]) == 4


@pytest.mark.full
@pytest.mark.skipif(not INTEL, reason="names processors of the x86-64 architecture")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_kernels_for_other_processors(processor):
    environment, lanes = PROCESSORS[processor]
    if max(lanes if isinstance(lanes, tuple) else (lanes,)) > HERE:
        pytest.skip(f"this processor has {HERE} lanes")
    assert _lanes(environment, "with convolution") in (
        lanes if isinstance(lanes, tuple) else (lanes,)
    )
