"""Users' own kernels, as `examples/own_gpu_kernels.py` shows them, over the stand-in."""

import os
import subprocess
import sys
from pathlib import Path

import cupy
import numpy as np
import pytest

import minidl
from minidl.testing import gradcheck
from tests.cuda import stand_in

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "own_gpu_kernels.py"


@pytest.mark.parametrize("which", ["cupy", "numba"])
def test_the_example_runs(which):
    """Numba's own simulator takes the place of its compiler."""
    code = (
        "import runpy, sys; from tests.cuda import stand_in; stand_in.install();"
        f"sys.argv[1:] = [{which!r}]; runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    )
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    errors = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(errors) == 2
    assert max(errors) < 1e-5


def test_a_raw_kernel_is_an_operation_with_all_derivatives():
    import runpy

    example = runpy.run_path(str(EXAMPLE))
    squareplus = example["operation"](example["by_cupy"])
    stand_in.counters.reset()
    x = minidl.tensor(np.float32([[-1, 0], [2, 3]]), device="cuda:1", requires_grad=True)
    squareplus(x).sum().backward()
    assert stand_in.counters.launches["squareplus"] == 1
    assert x.grad.device == "cuda:1"
    np.testing.assert_allclose(
        x.grad.numpy(), (1 + x.numpy() / np.sqrt(x.numpy() ** 2 + 4)) / 2, 1e-6
    )
    gradcheck(squareplus, [minidl.tensor(np.random.default_rng(0).standard_normal((3, 2)))])
    assert squareplus(minidl.asarray(cupy.zeros((0, 2), "float32"))).shape == (0, 2)
