"""Memory of every origin: it can be trained with, and what is written into it is noticed."""

import array
import ctypes
import mmap
import pickle
from multiprocessing import shared_memory

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.autograd import inplace
from minidl.data import DataLoader, TensorDataset, read_npz
from minidl.errors import ArgumentError, DTypeError, GradientError
from tests.helpers import HERE, HERE_ARRAY
from tests.oracle import torch

VALUES = np.random.default_rng(0).random((12, 5), dtype="f4")
CONTENT = VALUES.tobytes()


def _from_buffer(buffer):
    return np.frombuffer(buffer, "f4", 60).reshape(12, 5)


def _mapped():
    memory = mmap.mmap(-1, 4096)
    memory[: len(CONTENT)] = CONTENT
    return memory


def _ctypes_array():
    return (ctypes.c_float * 60)(*VALUES.ravel())


def _unpickled_out_of_band(value=VALUES):
    buffers = []
    pickled = pickle.dumps(value, 5, buffer_callback=buffers.append)
    return pickle.loads(pickled, buffers=[bytearray(buffer.raw()) for buffer in buffers])


def _field():
    records = np.zeros((12, 5), [("a", "f4"), ("b", "f8")])
    records["a"] = VALUES
    return records["a"]


def _read_only():
    values = VALUES.copy()
    values.flags.writeable = False
    return values


def _saved(tmp_path):
    np.save(tmp_path / "x.npy", VALUES)
    return tmp_path / "x.npy"


def _npz(tmp_path):
    np.savez(tmp_path / "x.npz", x=VALUES)
    return read_npz(tmp_path / "x.npz")["x"]


ENTRANCES = {
    "bytes": lambda _: _from_buffer(CONTENT),
    "bytearray": lambda _: _from_buffer(bytearray(CONTENT)),
    "memoryview": lambda _: _from_buffer(memoryview(bytearray(CONTENT))),
    "memoryview of an array": lambda _: np.asarray(memoryview(VALUES.copy())),
    "mmap": lambda _: _from_buffer(_mapped()),
    "array.array": lambda _: _from_buffer(array.array("f", VALUES.ravel().tolist())),
    "ctypes": lambda _: _from_buffer(_ctypes_array()),
    "ctypeslib": lambda _: np.ctypeslib.as_array(_ctypes_array()).reshape(12, 5),
    "memmap r": lambda tmp_path: np.load(_saved(tmp_path), mmap_mode="r"),
    "memmap r+": lambda tmp_path: np.load(_saved(tmp_path), mmap_mode="r+"),
    "memmap c": lambda tmp_path: np.load(_saved(tmp_path), mmap_mode="c"),
    "npz": _npz,
    "pickle": lambda _: pickle.loads(pickle.dumps(VALUES, 5)),
    "pickle, buffers": lambda _: _unpickled_out_of_band(),
    "a field": lambda _: _field(),
    "as_strided": lambda _: np.lib.stride_tricks.as_strided(VALUES.copy(), (12, 5), (20, 4)),
    "matrix": lambda _: VALUES.copy().view(np.matrix),
    "other byte order": lambda _: VALUES.astype(">f4"),
    "Fortran order": lambda _: np.asfortranarray(VALUES),
    "read-only": lambda _: _read_only(),
    "unaligned": lambda _: np.frombuffer(b"x" + CONTENT, "f4", offset=1).reshape(12, 5),
    "reversed": lambda _: VALUES[::-1].copy()[::-1],
}


def _network():
    generator = np.random.default_rng(1)
    network = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    for p in network.parameters():
        p.data[...] = minidl.asarray(generator.normal(size=p.shape)).data
    return network


def _trained(x):
    """The parameters after two steps, and the gradient of x."""
    network = _network()
    optimizer = optim.Adam(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (network(x) ** 2).mean().backward()
        optimizer.step()
    leaf = x.detach().requires_grad_()
    (network(leaf) ** 2).sum().backward()
    return [value.numpy() for value in network.state_dict().values()] + [leaf.grad.numpy()]


def _check_training(x):
    assert type(x.data) is HERE_ARRAY
    for got, expected in zip(_trained(x), _trained(minidl.tensor(VALUES)), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_training_on_memory_of_any_origin(entrance, tmp_path):
    given = ENTRANCES[entrance](tmp_path)
    x = minidl.asarray(given)
    if HERE == "cpu":
        assert np.shares_memory(x.data, given) or entrance == "other byte order"
    _check_training(x)
    np.testing.assert_array_equal(minidl.exp(given).numpy(), minidl.exp(VALUES).numpy())
    (batch,) = next(iter(DataLoader(TensorDataset(given), batch_size=12)))
    _check_training(batch)
    _check_writes(x)


def _check_writes(x):
    """A write between forward and backward is refused, also through another view."""
    w = minidl.ones(5, requires_grad=True)
    y = (x * w).sum()
    view = x[2:]
    if not x.data.flags.writeable:
        with pytest.raises(ArgumentError, match="read-only; write to a copy"):
            view += 1
        y.backward()
        return
    view += 1
    with pytest.raises(GradientError, match="written in place before backward"):
        y.backward()
    assert (x * w).sum().backward() is None


@pytest.mark.parametrize("door", ["numpy", "dlpack", "asarray"])
def test_training_on_pytorchs_memory(door):
    given = torch.from_numpy(VALUES.copy())
    open_door = {
        "numpy": lambda: minidl.asarray(given.numpy()),
        "dlpack": lambda: minidl.from_dlpack(given).to(HERE),
        "asarray": lambda: minidl.asarray(given),
    }[door]
    _check_training(open_door())
    _check_writes(open_door())


def test_shared_memory_of_processes():
    block = shared_memory.SharedMemory(create=True, size=len(CONTENT))
    try:
        x = np.ndarray((12, 5), "f4", block.buf)
        x[...] = VALUES
        _check_training(minidl.asarray(x))
        _check_writes(minidl.asarray(x))
        del x
        inplace._foreign_writes.clear()
    finally:
        block.unlink()


def test_a_model_unpickled_with_its_buffers_elsewhere():
    network = _unpickled_out_of_band(_network())
    optimizer = optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        (network(minidl.tensor(VALUES)) ** 2).mean().backward()
        optimizer.step()
    y = (network(minidl.tensor(VALUES)) ** 2).mean()
    optimizer.step()
    with pytest.raises(GradientError, match="written in place before backward"):
        y.backward()


def test_the_owner_of_memory():
    values = np.arange(12.0)
    handles = [values, values[1:], np.lib.stride_tricks.as_strided(values, (3,), (16,))]
    handles += [np.lib.stride_tricks.sliding_window_view(values, 3), np.asarray(memoryview(values))]
    for handle in handles:
        assert inplace.buffer_of(handle) is values
    foreign = np.frombuffer(bytearray(8))
    assert inplace.buffer_of(foreign[:0].reshape(0, 1)) is foreign


def test_arrays_that_share_memory_without_numpys_knowledge():
    with minidl.device("cpu"):
        memory = bytearray(CONTENT)
        one, other, apart = (minidl.asarray(_from_buffer(memory)) for _ in range(3))
        apart = minidl.asarray(_from_buffer(bytearray(CONTENT)))
        w = minidl.ones(5, requires_grad=True)
        y, unaffected = (one * w).sum(), (apart * w).sum()
        other += 1
        del other
        unaffected.backward()
        with pytest.raises(GradientError, match="written in place before backward"):
            y.backward()
        (one * w).sum().backward()


def test_writes_to_foreign_memory_take_bounded_room(monkeypatch):
    monkeypatch.setattr(inplace, "_MOST_FOREIGN_WRITES", 10)
    for _ in range(30):
        x = minidl.asarray(_from_buffer(bytearray(CONTENT)))
        x += 1
    assert len(inplace._foreign_writes) <= 11


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_empty_memory(shape):
    x = minidl.asarray(np.frombuffer(bytearray(8), "f4", 0).reshape(shape)).requires_grad_()
    (x * x).sum().backward()
    assert x.grad.shape == shape


MASKED = np.ma.masked_array(np.ones((2, 3), "f4"), [[0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    "convert",
    [
        minidl.asarray,
        minidl.tensor,
        minidl.from_dlpack,
        minidl.exp,
        TensorDataset,
        lambda a: minidl.asarray([a, a]),
        lambda a: minidl.stack([a, a]),
        lambda a: minidl.ones((2, 3)) * a,
        lambda a: a * minidl.ones((2, 3)),
        lambda a: minidl.ones((2, 3)).__setitem__(0, a[0]),
        nn.Linear(3, 2),
        nn.Parameter,
    ],
)
def test_masked_arrays_are_refused_with_the_way_out(convert):
    with pytest.raises(DTypeError, match=r"a\.filled\(0\), or a\.filled\(numpy\.nan\)"):
        convert(MASKED)


def test_subclasses_become_plain_arrays():
    matrix = np.ones((2, 2)).view(np.matrix)
    for result in (minidl.ones((2, 2)) * matrix, matrix * minidl.ones((2, 2)), nn.ReLU()(matrix)):
        assert type(result.data) is HERE_ARRAY
        np.testing.assert_array_equal(result.numpy(), np.ones((2, 2)))
    assert minidl.asarray(matrix, copy=False, device="cpu").shape == (2, 2)
    with pytest.raises(ArgumentError, match="needs a copy"):
        minidl.asarray(matrix.astype(">f8"), copy=False, device="cpu")


RULES = [rule for rule in vars(optim).values() if isinstance(rule, type)]
RULES = [
    rule for rule in RULES if issubclass(rule, optim.Optimizer) and rule is not optim.Optimizer
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_optimisers_refuse_read_only_memory_before_they_change_anything(rule):
    p = nn.Parameter(minidl.asarray(_read_only(), device="cpu"))
    other = nn.Parameter(minidl.ones((2, 2), device="cpu"))
    assert not p.data.flags.writeable
    optimizer = rule([other, p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum() + (other * other).sum()
        loss.backward()
        if rule is optim.SparseAdam:
            for x in (p, other):
                rows = np.arange(x.shape[0])
                x.grad = minidl.RowGradient(rows, x.grad.numpy(), x.shape)
        return loss

    with pytest.raises(ArgumentError, match="lies in read-only memory; make it of a copy"):
        optimizer.step(closure)
    np.testing.assert_array_equal(p.numpy(), VALUES)
    np.testing.assert_array_equal(other.numpy(), np.ones((2, 2)))
