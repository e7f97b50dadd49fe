"""Programs with one GPU, and with settings of the environment that minidl does not take."""

import os
import subprocess
import sys

from tests.cuda.programs.runs import ROOT, assert_same_losses, assert_steps_wait_for_nothing, run

ONE_GPU = """
import minidl
from minidl import nn, optim
from minidl.backends import registry

net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3))
net.to("cuda:0" if minidl.get_default_device().type == "cuda" else "cpu")
assert not registry.several
minidl.manual_seed(0)
x, y = minidl.random.normal((8, 4)), minidl.arange(8) % 3
optimizer = optim.AdamW(net.parameters(), 0.01)
for _ in range(20):
    optimizer.zero_grad()
    loss = minidl.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
assert {p.device for p in net.parameters()} == {x.device}
assert x.cpu().to(x.device).device == x.device
with minidl.device("cpu"):
    assert minidl.ones(2).device == "cpu"
    net.to("cpu")(x.cpu())
"""


def test_with_one_gpu_nothing_switches_between_devices(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_STAND_IN_DEVICES", "1")
    program = tmp_path / "one_gpu.py"
    program.write_text("import minidl\nminidl.manual_seed(1)\n" + ONE_GPU)
    here, there = (run([str(program)], device, tmp_path) for device in ("cpu", "cuda"))
    assert_same_losses(here, there, 20)
    assert_steps_wait_for_nothing(there, sent=0)


def test_default_streams_of_threads_are_refused():
    program = (
        "from tests.cuda import stand_in; stand_in.install(); import minidl\n"
        "assert not minidl.cuda.is_available()\n"
        "minidl.ones(2, device='cuda')"
    )
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    settings = {"CUPY_CUDA_PER_THREAD_DEFAULT_STREAM": "1", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **settings}, capture_output=True,
        text=True,
    )  # fmt: skip
    said = done.stderr.splitlines()[-1]
    assert said.startswith("minidl.errors.DeviceError: ones: CUPY_CUDA_PER_THREAD_DEFAULT_STREAM")
    assert "unset it" in said
