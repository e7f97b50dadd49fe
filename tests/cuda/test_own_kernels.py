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
from tests.cuda.ptx import nvrtc
from tests.cuda.ptx.program import Program

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


@pytest.fixture
def numba_cuda(tmp_path, monkeypatch):
    """Numba's compiler for GPUs, with NVVM from the package nvidia-nvvm."""
    if not nvrtc.is_installed():
        pytest.skip("NVVM is missing: minidl[proofs]")
    package = nvrtc.package_folder()
    library = max(package.rglob("libnvvm.so*"))
    for folder, target in {
        "lib64": library,
        "libdevice": next(package.rglob("libdevice.*")),
    }.items():
        (tmp_path / "nvvm" / folder).mkdir(parents=True)
        (tmp_path / "nvvm" / folder / target.name).symlink_to(target)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    return pytest.importorskip("numba.cuda")


@pytest.mark.parametrize("order", ["forward", "reversed", "drawn"])
def test_the_machine_code_of_numba(numba_cuda, order):
    """The PTX that Numba makes, executed: an array is seven arguments to it."""
    import runpy

    from numba import float32

    function = runpy.run_path(str(EXAMPLE))["_squareplus"].py_func
    code, _ = numba_cuda.compile_ptx(function, (float32[::1],) * 3, cc=(8, 0))
    program = Program(code, checked=True)
    x = np.linspace(-3, 3, 600, dtype="float32")
    y, slope = np.full_like(x, np.nan), np.full_like(x, np.nan)
    arguments = [
        value for a in (x, y, slope)
        for value in (None, None, np.int64(a.size), np.int64(4), a, np.int64(a.size), np.int64(4))
    ]  # fmt: skip
    (kernel,) = program.kernels
    program.launch(kernel, (3,), (256,), arguments, order=order)
    root = np.sqrt(x.astype("float64") ** 2 + 4)
    np.testing.assert_allclose(y, (x + root) / 2, rtol=1e-6)
    np.testing.assert_allclose(slope, (1 + x / root) / 2, rtol=1e-6)


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
