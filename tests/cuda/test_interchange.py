"""GPU arrays that libraries share: DLPack both ways, and `__cuda_array_interface__`."""

import cupy
import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, InterchangeError


class Other:
    """Another library's array, which has DLPack's protocol and nothing else."""

    def __init__(self, array):
        self.array, self.dtype, self.shape = array, array.dtype, array.shape
        self.streams = []

    def __dlpack__(self, *, stream=None, **settings):
        self.streams.append(stream)
        return self.array.__dlpack__(stream=stream, **settings)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def on(device, values):
    with minidl.cuda.device(device):
        return cupy.asarray(values)


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
def test_memory_of_other_libraries_is_shared_where_it_is(device):
    theirs = Other(on(device, np.arange(6.0).reshape(2, 3)))
    for make in (minidl.from_dlpack, minidl.asarray):
        x = make(theirs)
        assert x.device == device
        assert x.tolist() == theirs.array.tolist()
        with minidl.cuda.device(device):
            theirs.array[0, 0] += 1
            assert x[0, 0].item() == theirs.array[0, 0].item()
    assert None not in theirs.streams
    copied = minidl.from_dlpack(theirs, copy=True)
    with minidl.cuda.device(device):
        theirs.array[...] = 0
    assert copied.sum().item() != 0
    assert minidl.from_dlpack(theirs, device="cpu").device == "cpu"


class Older(Other):
    """The same with the protocol of before, which has no `copy`."""

    def __dlpack__(self, *, stream=None):
        return self.array.__dlpack__(stream=stream)


@pytest.mark.parametrize("copy", [None, False, True])
def test_an_older_protocol_will_do(copy):
    theirs = Older(on("cuda:1", np.arange(3.0)))
    x = minidl.from_dlpack(theirs, copy=copy)
    with minidl.cuda.device("cuda:1"):
        theirs.array[0] = 7
    assert x.tolist() == [0.0 if copy else 7.0, 1.0, 2.0]


def test_what_cannot_be_shared_says_why():
    theirs = Other(on("cuda", np.arange(3.0)))
    theirs.__class__ = type("Odd", (Other,), {"__dlpack__": lambda self, **_: _odd()})
    with pytest.raises(InterchangeError, match="cannot be shared: uint128 is not supported"):
        minidl.from_dlpack(theirs)


def _odd():
    raise TypeError("uint128 is not supported.")


def test_numbers_in_another_byte_order_keep_their_values():
    values = np.linspace(-3, 3, 6, dtype=">f4")
    with minidl.device("cuda"):
        expected = minidl.exp(minidl.asarray(values.tolist())).tolist()
        for given in (values, minidl.tensor(values), minidl.asarray(values)):
            assert minidl.exp(given).tolist() == expected


def test_cupys_arrays_are_minidls():
    theirs = on("cuda:1", np.ones(3))
    assert minidl.asarray(theirs).data is theirs
    assert minidl.asarray(theirs, copy=False).device == "cuda:1"
    assert minidl.tensor(theirs).data is not theirs
    with pytest.raises(ArgumentError, match="needs a copy"):
        minidl.asarray(theirs, device="cuda:0", copy=False)


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
def test_other_libraries_get_the_memory(device):
    x = minidl.asarray(np.arange(4.0), device=device)
    assert x.__dlpack_device__() == (2, minidl.device(device).index)
    with minidl.cuda.device(device):
        theirs = cupy.from_dlpack(x)
        theirs[0] = 7
    assert x.tolist() == [7.0, 1.0, 2.0, 3.0]
    assert x.__cuda_array_interface__["shape"] == (4,)
    assert minidl.from_dlpack(x).device == device
    w = minidl.ones(2, device=device, requires_grad=True)
    said = pytest.raises(InterchangeError, match="requires a gradient")
    with minidl.cuda.device(device), said:
        cupy.from_dlpack(w)
    with pytest.raises(InterchangeError, match="requires a gradient"):
        _ = w.__cuda_array_interface__


def test_the_cpu_has_no_such_interface():
    assert not hasattr(minidl.ones(2), "__cuda_array_interface__")
    with minidl.device("cuda"):
        assert minidl.from_dlpack(np.ones(2)).device == "cpu"


def test_a_device_that_is_not_known_is_named():
    theirs = Other(np.ones(2))
    theirs.__class__ = type("Elsewhere", (Other,), {"__dlpack_device__": lambda self: (8, 0)})
    with pytest.raises(InterchangeError, match="a device of kind 8"):
        minidl.from_dlpack(theirs)


def test_values_that_the_host_sent_are_not_read_back(counters):
    x, y = np.ones((4, 2), "float32"), np.arange(4)
    loader = minidl.data.DataLoader(minidl.data.TensorDataset(x, y), 2, device="cuda:1")
    for number, (_, labels) in enumerate(loader):
        counters.reset()
        assert labels.tolist() == [2 * number, 2 * number + 1]
        assert counters.d2h == 0
        labels += 1  # now they are others
        assert labels.tolist() == [2 * number + 1, 2 * number + 2]
        assert counters.d2h > 0
