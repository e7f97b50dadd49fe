"""Devices: their names, the default device, and what is said where one is missing."""

import copy
import pickle
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import RowGradient, nn
from minidl.backends import registry
from minidl.errors import ArgumentError, DeviceError
from tests.helpers import HERE
from tests.toy_backend import TOY, ToyArray


def test_a_name_has_parts():
    device = minidl.device("cuda:1")
    assert (device, device.type, device.index) == ("cuda:1", "cuda", 1)
    assert minidl.device("cuda", 1) == device == minidl.device(device)
    assert minidl.device("cuda").index is None
    assert minidl.device("cpu").type == "cpu"
    assert isinstance(minidl.ones(1).device, minidl.device)
    assert {device: 3}["cuda:1"] == 3
    for again in (copy.deepcopy(device), pickle.loads(pickle.dumps(device))):
        assert again == device
        assert type(again) is minidl.device


@pytest.mark.parametrize("name", ["", "CUDA", "cuda:", "cuda:01", "cuda:-1", "cuda:1:2", 3, None])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(DeviceError, match="a device is named like"):
        minidl.device(name)


def test_an_index_is_given_once():
    with pytest.raises(DeviceError, match="'cuda:0' and 1"):
        minidl.device("cuda:0", 1)


def test_the_default_device_is_where_tensors_are_created():
    made = {
        "zeros": lambda: minidl.zeros(3),
        "full": lambda: minidl.full(3, 2.0),
        "arange": lambda: minidl.arange(3),
        "floats": lambda: minidl.arange(0, 1, 0.25),
        "linspace": lambda: minidl.linspace(0, 1, 3),
        "eye": lambda: minidl.eye(3),
        "tensor": lambda: minidl.tensor([1.0, 2.0]),
        "numbers": lambda: minidl.asarray(3.0),
        "array": lambda: minidl.asarray(np.ones(3)),
        "uniform": lambda: minidl.random.uniform(3),
        "normal": lambda: minidl.random.normal(3),
        "integers": lambda: minidl.random.integers(0, 3, 4),
        "permutation": lambda: minidl.random.permutation(4),
        "parameters": lambda: nn.Linear(2, 3).weight,
        "buffers": lambda: nn.BatchNorm1d(3).running_var,
        "sum of numbers": lambda: minidl.add(1.0, 2.0),
    }
    for name, make in made.items():
        minidl.manual_seed(0)
        expected = make()
        with minidl.device(TOY):
            minidl.manual_seed(0)
            found = make()
        assert (expected.device, found.device) == (HERE, TOY), name
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_what_has_a_device_stays_there():
    x = minidl.ones(3)
    with minidl.device(TOY):
        assert minidl.asarray(x).device == HERE
        assert minidl.zeros_like(x).device == HERE
        assert minidl.from_dlpack(np.ones(3)).device == "cpu"
        assert (x + 1).device == HERE
        assert minidl.asarray(x.numpy()).device == TOY  # an array of the host has none
        assert minidl.zeros(3, device="cpu").device == "cpu"
    assert minidl.asarray(ToyArray(np.ones(3))).device == TOY


def test_blocks_end_and_nest():
    assert minidl.get_default_device() == HERE
    with minidl.device(TOY):
        with minidl.device("cpu"):
            assert minidl.get_default_device() == "cpu"
        assert minidl.get_default_device() == TOY
    with pytest.raises(ZeroDivisionError), minidl.device(TOY):
        _ = 1 / 0
    assert minidl.get_default_device() == HERE


def test_a_block_is_of_its_thread_and_the_setting_of_all():
    def seen():
        found = []
        thread = threading.Thread(target=lambda: found.append(minidl.zeros(1).device))
        thread.start()
        thread.join()
        return found[0]

    with minidl.device(TOY):
        assert seen() == HERE
    try:
        minidl.set_default_device(TOY)
        assert seen() == minidl.zeros(1).device == TOY
    finally:
        minidl.set_default_device(None)
    assert minidl.zeros(1).device == HERE
    with pytest.raises(DeviceError, match="no device 'tpu'; minidl knows 'cpu'"):
        minidl.set_default_device("tpu")
    assert minidl.zeros(1).device == HERE


@pytest.mark.parametrize(
    ("value", "said"),
    [("cpu", "cpu"), ("", "cpu"), ("Tpu 1", "MINIDL_DEVICE in the environment"), ("tpu", "no dev")],
)
def test_the_environment_sets_it(value, said):
    code = "import minidl\ntry: print(minidl.zeros(1).device)\nexcept Exception as e: print(e)"
    environment = {"MINIDL_DEVICE": value, "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert said in run.stdout.decode()


def test_to_takes_devices_dtypes_and_tensors():
    x = minidl.tensor([1.0, 2.0], device="cpu", requires_grad=True)
    like = minidl.ones(1, dtype="float64", device=TOY)
    for same in (x.to("cpu"), x.cpu(), x.to("float32"), x.to("cpu:0")):
        assert same is x
    for y in (x.to(TOY, "float64"), x.to("float64", device=TOY), x.to(like), x.to(dtype=float,
              device=TOY)):  # fmt: skip
        assert (y.device, y.dtype) == (TOY, "float64")
        x.grad = None
        (y * y).sum().backward()
        assert (x.grad.device, x.grad.tolist()) == ("cpu", [2.0, 4.0])
    assert x.to("cpu", copy=True) is not x
    assert not x.is_cuda
    for wrong in (("cpu", TOY), ("float32", "float64"), (None,), (3.5,)):
        with pytest.raises(ArgumentError, match="to: needs"):
            x.to(*wrong)
    with pytest.raises(DeviceError, match="cuda: needs an index, or a name like 'cuda:1'"):
        x.cuda("cpu")


def test_modules_move_with_their_gradients_and_buffers():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    net(minidl.ones((4, 2))).sum().backward()
    assert net.to(TOY) is net
    tensors = [*net.parameters(), *net.buffers(), *(p.grad for p in net.parameters())]
    assert {x.device for x in tensors} == {TOY}
    assert {x.device for x in net.cpu().state_dict().values()} == {"cpu"}


def test_devices_that_are_mixed_are_named():
    x, y = minidl.ones(3), minidl.ones((2, 3), device=TOY)
    here = f"'{HERE}'"
    said = rf"multiply: input 0, float32 \(3,\), is on {here} and input 1, .*toy.*x.to\({here}\)"
    with pytest.raises(DeviceError, match=said):
        _ = x * y
    with pytest.raises(DeviceError, match=rf"setitem: .* values, .*{here}; move them, as by"):
        y[0] = x
    y[0] = minidl.tensor(7.0)  # a number has a place everywhere
    y[1, 0] = 5.0
    y[1, 1:] = [1.0, 2.0]
    assert y.tolist() == [[7.0, 7.0, 7.0], [5.0, 1.0, 2.0]]


def test_a_gradient_of_another_device_is_refused():
    x = minidl.ones((3, 2), requires_grad=True)
    rows = RowGradient([1], np.ones((1, 2), "float32"), (3, 2))
    dense = minidl.ones((3, 2), device=TOY)
    for wrong in (dense, dense.data, RowGradient(*moved(rows), (3, 2))):
        with pytest.raises(DeviceError, match=rf"grad: needs .* on '{HERE}'; got .* on 'toy'"):
            x.grad = wrong
    assert x.grad is None


def moved(gradient):
    return [minidl.asarray(x, device=TOY) for x in (gradient.indices, gradient.rows)]


def test_indices_of_the_host_find_their_way():
    x = minidl.asarray(np.arange(12.0).reshape(3, 4))
    y = x.to(TOY)
    ids = np.array([2, 0])
    of_host = minidl.asarray(ids, device="cpu")
    for index in (ids, [2, 0], of_host, (slice(None), ids), (of_host, 1)):
        assert y[index].device == TOY
        np.testing.assert_array_equal(y[index].numpy(), x[index].numpy())
    mask = np.array([True, False, True])
    assert y[mask].shape == (2, 4)
    y[ids] = 0
    assert y.sum().item() == 22.0


def test_a_recorded_write_through_a_view_is_found_by_its_place():
    w = minidl.tensor([1.0, 2.0, 3.0], device=TOY, requires_grad=True)
    y = minidl.zeros(3, device=TOY)
    y[:2] += w[1:]
    (y * y).sum().backward()
    assert w.grad.tolist() == [0.0, 4.0, 6.0]


def test_weights_given_as_lists_go_to_the_device():
    logits = minidl.asarray(np.arange(6.0).reshape(2, 3), device=TOY)
    target = minidl.asarray([0, 2], device=TOY)
    there = minidl.cross_entropy(logits, target, weight=[1.0, 2.0, 3.0])
    here = minidl.cross_entropy(logits.cpu(), target.cpu(), weight=[1.0, 2.0, 3.0])
    assert there.device == TOY
    assert abs(there.item() - here.item()) < 1e-12


def test_layers_take_arrays_of_the_host():
    for layer, x in {
        nn.Linear(3, 2): np.ones((4, 3), "float32"),
        nn.Embedding(5, 2): np.array([1, 4]),
        nn.GRU(3, 2): np.ones((4, 1, 3), "float32"),
    }.items():
        y = layer.to(TOY)(x)
        assert (y[0] if isinstance(y, tuple) else y).device == TOY


PACKAGES = {
    "not installed": ({}, "the package minidl_gone is not installed; install it"),
    "no driver": ({"devices": lambda: []}, "there is none here"),
}


@pytest.mark.parametrize(("package", "said"), PACKAGES.values(), ids=PACKAGES)
def test_what_is_missing_is_said(package, said, monkeypatch):
    name = "minidl_here" if package else "minidl_gone"
    facts = (name, "install it", "there is none here")
    monkeypatch.setattr(registry, "_PACKAGES", {"gpu": facts})
    if package:
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__spec__=name, **package))
    with pytest.raises(DeviceError, match=f"zeros: no device 'gpu': {said}"):
        minidl.zeros(2, device="gpu")


def test_a_library_that_is_missing_is_said(monkeypatch, tmp_path):
    (tmp_path / "minidl_broken.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_PACKAGES", {"gpu": ("minidl_broken", "install it", "")})
    with pytest.raises(DeviceError, match="No module named 'no_such_library'; install it"):
        minidl.zeros(2, device="gpu")
