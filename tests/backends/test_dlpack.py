"""Memory that libraries share, through DLPack: both ways, every dtype, old and new protocol."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, DTypeError, GradientError, InterchangeError
from tests.helpers import assert_close
from tests.oracle import torch

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
VIEWS = {
    "whole": lambda x: x,
    "transposed": lambda x: x.mT,
    "with steps": lambda x: x[::2, 1::2],
    "backwards": lambda x: x[::-1, ::-2],
    "broadcast": lambda x: minidl.broadcast_to(x[0], (2, 4)),
    "empty": lambda x: x[:0],
    "without axes": lambda x: x[1, 2],
}
LIBRARIES = {
    "numpy": (np.from_dlpack, np.asarray),
    "torch": (lambda x: torch.from_dlpack(x), lambda x: x.numpy()),
    "minidl": (minidl.from_dlpack, lambda x: x.numpy()),
}


def numbers(dtype):
    """The numbers from 0 to 11, or bools."""
    return np.arange(12).reshape(3, 4).astype(dtype)


class Old:
    """An array of the protocol before version 1.0, as JAX's: `__dlpack__` takes nothing."""

    def __init__(self, array):
        self.array, self.dtype, self.shape = array, array.dtype, array.shape

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return 1, 0


class Refusing(Old):
    """An array whose library does not give it."""

    def __init__(self, error):
        super().__init__(np.zeros(3))
        self.error = error

    def __dlpack__(self, **settings):
        raise self.error


# To other libraries.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_other_libraries_read_the_values(library, dtype):
    load, read = LIBRARIES[library]
    for name, view in VIEWS.items():
        ours = view(minidl.asarray(numbers(dtype)))
        theirs = load(ours)
        assert_close(read(theirs), ours.numpy(), 0)
        assert read(theirs).dtype == dtype
        if name != "backwards" and ours.size:
            assert np.shares_memory(read(theirs), ours.data)
        again = minidl.from_dlpack(theirs)
        assert again.dtype == dtype
        assert_close(again, ours.numpy(), 0)


@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (1, 2), (9, 0)])
def test_the_requested_version_is_given(version):
    capsule = repr(minidl.ones(3).__dlpack__(max_version=version))
    assert ('"dltensor_versioned"' in capsule) == (version is not None and version >= (1, 0))
    assert '"dltensor' in capsule


@pytest.mark.parametrize("view", VIEWS)
def test_the_old_protocol_gives_the_values(view):
    ours = VIEWS[view](minidl.asarray(numbers("float32")))
    assert_close(np.from_dlpack(Old(ours)), ours.numpy(), 0)


def test_copies_are_made_as_the_argument_says():
    x = minidl.asarray(numbers("float64"))
    for library in (np, minidl, torch):
        copied = library.from_dlpack(x, copy=True)
        assert not np.shares_memory(np.asarray(copied), x.data)
    copied = np.from_dlpack(x, copy=True)
    copied[0, 0] = 7  # its own, to be written
    assert x[0, 0].item() == 0
    assert np.shares_memory(np.from_dlpack(x, copy=False), x.data)
    assert np.shares_memory(minidl.from_dlpack(x, copy=False).data, x.data)


def test_strides_below_zero_are_copied():
    x = minidl.asarray(numbers("int32"))[::-1]
    theirs = np.from_dlpack(x)
    assert min(theirs.strides) > 0
    assert not np.shares_memory(theirs, x.data)
    with pytest.raises(BufferError, match=r"dlpack: strides below 0 need a copy.*copy=False"):
        np.from_dlpack(x, copy=False)


def test_memory_not_to_be_written_is_copied_for_the_old_protocol():
    x = minidl.broadcast_to(minidl.arange(3), (2, 3))
    assert np.from_dlpack(Old(x)).tolist() == [[0, 1, 2], [0, 1, 2]]
    with pytest.raises(InterchangeError, match=r"read-only memory before DLPack 1.0 need a copy"):
        x.__dlpack__(copy=False)


def test_devices():
    x = minidl.ones(3)
    assert x.__dlpack_device__() == (1, 0)
    assert "dltensor" in repr(x.__dlpack__(dl_device=(1, 0)))
    with pytest.raises(BufferError, match=r"dlpack: .*device"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(ArgumentError, match="a CPU has no streams; got stream=1"):
        x.__dlpack__(stream=1)
    with pytest.raises(ArgumentError, match=r"max_version is a pair of integers; got str '1\.0'"):
        x.__dlpack__(max_version="1.0")


def test_other_libraries_cannot_write_unnoticed():
    x = minidl.tensor([1.0, 2.0])
    theirs = np.from_dlpack(x)
    with pytest.raises(ValueError, match="read-only"):
        theirs[0] = 5
    # PyTorch has no arrays that are read-only, and ignores the mark, as the standard allows.
    torch.from_dlpack(x)[0] = 5
    assert x.tolist() == [5, 2]


def test_tensors_that_require_gradients_are_refused():
    leaf = minidl.ones(3, requires_grad=True)
    for x in (leaf, leaf * 2):
        for load in (np.from_dlpack, torch.from_dlpack, minidl.from_dlpack):
            with pytest.raises(BufferError, match=r"float32 \(3,\) requires a gradient.*detach"):
                load(x)
        assert np.from_dlpack(x.detach()).tolist() == x.tolist()
    with minidl.no_grad():
        assert np.from_dlpack(leaf * 2).tolist() == [2, 2, 2]


def test_views_of_what_was_then_written_are_refused():
    x, y = minidl.zeros(3) + 0, minidl.tensor(1.0, requires_grad=True)
    view = x[:2]
    x[0] = y
    for load in (np.from_dlpack, minidl.from_dlpack):
        with pytest.raises(GradientError, match="shares memory with one that was then written"):
            load(view)


# From other libraries.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("protocol", ["old", "new"])
def test_arrays_of_others_share_their_memory(protocol, dtype):
    for theirs in (numbers(dtype), numbers(dtype).T, numbers(dtype)[::-2], numbers(dtype)[:0]):
        for copy in (None, False, True):
            ours = minidl.from_dlpack(Old(theirs) if protocol == "old" else theirs, copy=copy)
            assert ours.dtype == dtype
            assert_close(ours, theirs, 0)
            shared = np.shares_memory(ours.data, theirs)
            assert shared == (copy is not True and theirs.size > 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_of_torch_share_their_memory(dtype):
    theirs = torch.from_numpy(numbers(dtype))
    for view in (
        theirs,
        theirs.T,
        theirs[::2, 1:],
        theirs[:0],
        theirs[1, 2],
        theirs[:1].expand(3, 4),
    ):
        ours = minidl.from_dlpack(view)
        assert ours.dtype == dtype
        assert_close(ours, view.numpy(), 0)
        assert not ours.size or np.shares_memory(ours.data, view.numpy())
        assert not np.shares_memory(minidl.from_dlpack(view, copy=True).data, view.numpy())


def test_writes_show_on_both_sides():
    theirs = torch.zeros(2)
    ours = minidl.from_dlpack(theirs)
    theirs[0] = 1
    ours[1] = 2
    assert ours.tolist() == theirs.tolist() == [1, 2]
    x = minidl.zeros(2)
    minidl.from_dlpack(x)[0] = 3
    assert x.tolist() == [3, 0]


def test_writes_through_an_import_of_a_tensor_are_seen_by_in_place_safety():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    z = (y * y).sum()
    minidl.from_dlpack(y.detach())[0] = 100
    with pytest.raises(GradientError, match="written in place before backward"):
        z.backward()


def test_memory_not_to_be_written_is_not_written():
    theirs = np.arange(3.0)
    theirs.flags.writeable = False
    ours = minidl.from_dlpack(theirs)
    with pytest.raises(ValueError, match="read-only"):
        ours[0] = 9
    assert (ours * 2).tolist() == [0, 2, 4]
    ours = minidl.from_dlpack(theirs, copy=True)
    ours[0] = 9
    assert theirs[0] == 0


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda: torch.ones(3, requires_grad=True), "require gradient.*detach"),
        (lambda: torch.ones(3, dtype=torch.bfloat16), "dtype"),
        (lambda: torch.tensor([1j]).conj(), "conjugate bit"),
        (lambda: torch.eye(2).to_sparse(), "layout"),
        (lambda: torch.ones(3, device="meta"), "meta"),
        (lambda: Refusing(BufferError("not on Sundays")), "Sundays"),
        (lambda: Refusing(RuntimeError("not on Sundays")), "Sundays"),
    ],
)
def test_what_is_not_given_is_named(give, message):
    for copy in (None, False, True):
        with pytest.raises(InterchangeError, match=f"from_dlpack: .*cannot be shared: .*{message}"):
            minidl.from_dlpack(give(), copy=copy)


def test_what_has_no_memory_to_share_is_refused():
    for value in ([1.0], "text", None, SimpleNamespace()):
        with pytest.raises(DTypeError, match="from_dlpack: needs an array that has __dlpack__"):
            minidl.from_dlpack(value)
        with pytest.raises(AttributeError, match="__dlpack__"):
            minidl.from_dlpack(value)
    with pytest.raises(minidl.errors.DeviceError, match=r"from_dlpack.*no device 'abacus'"):
        minidl.from_dlpack(np.ones(3), device="abacus")
    with pytest.raises(ArgumentError, match="copy is True or False; got 3"):
        minidl.from_dlpack(np.ones(3), copy=3)
    assert minidl.from_dlpack(np.ones(3), device="cpu").device == "cpu"


# How long memory lives.


@pytest.mark.parametrize("load", ["numpy", "torch"])
def test_memory_lives_as_long_as_it_is_referenced(load):
    x = minidl.asarray(numbers("float64"))
    memory = weakref.ref(x.data)
    theirs = LIBRARIES[load][0](x)
    del x
    gc.collect()
    assert memory() is not None
    assert float(theirs[2, 3]) == 11
    del theirs
    gc.collect()
    assert memory() is None


def test_memory_of_others_lives_as_long_as_it_is_referenced():
    theirs = numbers("float64")
    memory = weakref.ref(theirs)
    ours = minidl.from_dlpack(theirs)[1:]
    del theirs
    gc.collect()
    assert memory() is not None
    assert ours[1, 3].item() == 11
    del ours
    gc.collect()
    assert memory() is None
    capsule = minidl.asarray(owner := numbers("int8")).__dlpack__(max_version=(1, 0))
    memory = weakref.ref(owner)
    del owner
    assert memory() is not None
    del capsule  # never taken up
    gc.collect()
    assert memory() is None
