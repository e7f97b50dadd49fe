"""PyTorch's files: what torch.save wrote comes back, and nothing in a file is ever run."""

import collections
import io
import math
import os
import pickle
import random
import struct
import subprocess
import sys
import tarfile
import textwrap
import zipfile

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.io import CheckpointError, load_torch, load_weights, save
from tests.helpers import HERE_ARRAY
from tests.oracle import torch

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {  # PyTorch's, and what they become
    **{name: name for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64")},
    **{name: name for name in ("uint8", "bool", "complex64", "complex128")},
    "bfloat16": "float32",
}
UNSIGNED = ("uint16", "uint32", "uint64")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


@pytest.fixture(params=["zip", "legacy"])
def new(request):
    """Whether the file is to be of the newer format."""
    return request.param == "zip"


def round_trip(path, tree, new=True, **settings):
    torch.save(tree, path, _use_new_zipfile_serialization=new, **settings)
    return load_torch(path)


def as_numpy(x):
    x = x.detach().resolve_conj().resolve_neg()
    return (x.float() if x.dtype is torch.bfloat16 else x).numpy()


def assert_same(found, expected):
    """Equal in structure, dtypes and bits."""
    if isinstance(expected, torch.Tensor):
        assert type(found) is Tensor
        assert not found.requires_grad
        assert type(found.data) is (np.ndarray if found.device == "cpu" else HERE_ARRAY)
        expected = as_numpy(expected)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert np.asarray(found).tobytes() == expected.tobytes()
    elif isinstance(expected, dict):
        assert type(found) is dict
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(found) is (list if isinstance(expected, list) else tuple)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert type(found) is type(expected)
        assert found == expected or found != found


# What PyTorch wrote comes back.


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(path, new, dtype):
    x = torch.tensor([[0, 1, 2.5], [-3, 100, 7]]).abs().to(getattr(torch, dtype))
    tree = {"x": x, "part": x[1:, 1:], "0-d": x[1, 1].clone(), "empty": x[:0], "t": x.T}
    found = round_trip(path, tree, new)
    assert_same(found, tree)
    assert found["x"].dtype == DTYPES[dtype]


@pytest.mark.parametrize("dtype", UNSIGNED)
def test_dtypes_that_have_no_class_of_storages(path, dtype):
    x = torch.arange(6).to(getattr(torch, dtype)).reshape(2, 3)
    assert_same(round_trip(path, [x, x[:, 1:], x.view(3, 2)]), [x, x[:, 1:], x.view(3, 2)])


def test_special_floats_keep_their_bits(path, new):
    x = torch.tensor([math.inf, -math.inf, -0.0, math.nan, 1e-45, 3.14159])
    assert_same(round_trip(path, [x, x.bfloat16(), x.half()], new), [x, x.bfloat16(), x.half()])


VIEWS = {
    "transposed": lambda x: x.transpose(0, 2),
    "every second": lambda x: x[:, ::2, 1:],
    "one": lambda x: x[1, 2, 3],
    "broadcast": lambda x: x[:, :1].expand(2, 50, 4),
    "diagonal": lambda x: x[0].diagonal(),
    "overlapping": lambda x: x.as_strided((4, 5), (2, 1), 3),
    "channels last": lambda x: x[None].to(memory_format=torch.channels_last),
    "empty": lambda x: x[:, 3:],
    "no axes of length": lambda x: x.new_empty((0, 2**40, 3)),
    "length 1": lambda x: x.as_strided((1, 2), (2**40, 1)),
    "whole": lambda x: x,
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_every_view(path, new, view):
    x = torch.arange(24.0).reshape(2, 3, 4)
    for whole in (x, x.bfloat16()):
        assert_same(round_trip(path, [whole, view(whole)], new), [whole, view(whole)])
        assert_same(round_trip(path, view(whole), new), view(whole))


def test_conjugates_and_negatives_that_were_not_worked_out(path, new):
    x = torch.tensor([1 + 2j, 3 - 1j])
    for tree in ([x, x.conj(), x[0].conj()], [x.conj().imag, x.conj().imag[0], x.imag]):
        assert_same(round_trip(path, tree, new), tree)


def test_the_same_view_is_the_same_tensor_and_others_share_nothing(path, new):
    x = torch.arange(6.0).reshape(2, 3)
    p = torch.nn.Parameter(x)
    tree = {"x": x, "tied": x.view(2, 3), "parameter": p, "flat": x.view(6), "row": x[1], "u": x[1]}
    found = round_trip(path, tree, new)
    assert_same(found, tree)
    assert found["x"] is found["tied"] is found["parameter"]
    assert found["row"] is found["u"]
    arrays = [found[name].data for name in ("x", "flat", "row")]
    for i in range(3):
        assert arrays[i].flags.writeable
        assert not any(np.shares_memory(arrays[i], other) for other in arrays[:i])


def test_plain_data_of_every_kind(path, new):
    shared = [1, 2]
    tree = {
        **{"a": {"b": [{"c": (1, (2.5, "x"))}], 3: None}, "bools": [True, False], "": []},
        **{"int": [0, -1, 255, 65536, -(2**31), 2**70, -(2**3000)], "float": [0.1, math.inf]},
        **{"text": ["α\ud800\n", "x" * 300], "bytes": [b"", b"\0\xff" * 200], "complex": 1 - 2j},
        **{"array": bytearray(b"ab"), "set": {1, "a"}, "frozen": frozenset([(1, 2)]), "e": set()},
        **{"ordered": collections.OrderedDict(z=1, a=2), "counter": collections.Counter("aab")},
        **{"default": collections.defaultdict(list, {1: [2]}), "shared": [shared, shared]},
        **{"float64": np.float64(0.1), "int16": np.int16(-3), "bool": np.bool_(True)},
        **{"tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), (1, "k"): 0, 1.5: 1},
    }
    found = round_trip(path, tree, new)
    assert_same(found, tree)
    assert found["shared"][0] is found["shared"][1]
    for protocol in (3, 4, 5):
        assert_same(round_trip(path, tree, new, pickle_protocol=protocol), tree)


def test_values_of_pytorch(path, new):
    tree = [torch.Size([2, 3]), torch.device("cuda:1"), torch.device("cpu")]
    tree += [torch.int8, torch.bfloat16]
    found = round_trip(path, tree, new)
    assert found == [(2, 3), "cuda:1", "cpu", np.dtype("int8"), np.dtype("float32")]


def test_parameters_and_tensors_with_attributes_are_tensors(path, new):
    p, q, x = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(1)), torch.ones(3)
    q.tag, x.tag = "a", "b"
    assert_same(round_trip(path, [p, q, x], new), [p, q, x])


def test_the_state_of_an_optimizer(path, new):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), amsgrad=True)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    tree = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    assert_same(round_trip(path, tree, new), tree)


def test_files_without_checksums_and_of_any_name(path):
    path = path.with_name("α β")
    torch.serialization.set_crc32_options(False)
    try:
        assert round_trip(path, [torch.ones(3)])[0].tolist() == [1, 1, 1]
    finally:
        torch.serialization.set_crc32_options(True)
    assert round_trip(path.with_name("x.y.pth"), 1) == 1


# Weights for models.


def conv_nets():
    """A network as torchvision has them, in both libraries."""

    def make(nn):
        return nn.Sequential(
            *(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5), nn.ReLU())),
            *(nn.Flatten(), nn.Linear(5 * 16, 10)),
        )

    return make(nn), make(torch.nn)


def test_weights_of_a_conv_net_load_into_a_model(path, new):
    model, theirs = conv_nets()
    x = torch.randn(6, 3, 8, 8)
    theirs(x)  # moves the statistics
    torch.save(theirs.eval().state_dict(), path, _use_new_zipfile_serialization=new)
    assert load_weights(path, model) == ([], [])
    found = model.eval()(minidl.asarray(x.numpy()))
    np.testing.assert_allclose(found, theirs(x).detach().numpy(), rtol=0, atol=1e-5)
    other = conv_nets()[0]
    other.load_state_dict(load_torch(path))
    assert_same(other.state_dict(), theirs.state_dict())


def test_weights_are_recognised_by_content_not_by_name(tmp_path):
    model, theirs = conv_nets()
    torch.save(theirs.state_dict(), tmp_path / "a.safetensors")
    assert load_weights(tmp_path / "a.safetensors", model) == ([], [])
    for count in range(1, 40):  # headers of many lengths; one begins as a pickle does
        save(tmp_path / "b.pt", {f"{i:03}": minidl.ones(1) for i in range(count)})
        model = nn.Linear(1, 1)
        with pytest.raises(CheckpointError, match="does not fit Linear"):
            load_weights(tmp_path / "b.pt", model)


def test_wrapped_weights_are_not_guessed_at(path, new):
    model, theirs = nn.Linear(2, 1), torch.nn.Linear(2, 1)
    before = model.weight.tolist()
    wrapped = {"epoch": 3, "state_dict": theirs.state_dict(), "loss": 0.5}
    torch.save(wrapped, path, _use_new_zipfile_serialization=new)
    needs = r"model.pt: .*epoch, state_dict, loss; load_torch\(path\)\['state_dict'\] has weights"
    with pytest.raises(CheckpointError, match=needs):
        load_weights(path, model)
    torch.save({"x": torch.ones(1), "epoch": 3}, path)
    with pytest.raises(CheckpointError, match=r"more than weights \(epoch\); load_torch\(path\)"):
        load_weights(path, model)
    torch.save([torch.ones(1)], path)
    with pytest.raises(CheckpointError, match="no weights by name but a list"):
        load_weights(path, model)
    with pytest.raises(CheckpointError, match=r"gone: .*no such file"):
        load_weights(path.with_name("gone"), model)
    assert model.weight.tolist() == before


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_whole_model_is_refused_with_its_class(path, new):
    class Net(torch.nn.Linear):
        pass

    Net.__qualname__ = "Net"
    globals()["Net"] = Net
    for model, name in (
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (Net(1, 1), "N"),
    ):
        with pytest.raises(CheckpointError, match=rf"whole model, .*{name}.*model\.state_dict\(\)"):
            round_trip(path, {"net": model}, new)
    del globals()["Net"]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: torch.ones(2).to_sparse(), "_rebuild_sparse_tensor"),
        (lambda: range(3), "xrange"),
        (lambda: np.ones(3), "_reconstruct"),
        (lambda: torch.ones(2, dtype=torch.float8_e4m3fn), "float8_e4m3fn"),
        (lambda: torch.ones(2).untyped_storage(), "a storage that is no tensor's"),
        (lambda: list, "builtins.list"),
        (lambda: torch.FloatStorage, "torch.FloatStorage"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8), "_rebuild_qtensor"),
    ],
    ids=lambda x: x if type(x) is str else "",
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_is_more_than_plain_data_is_named(path, make, name):
    with pytest.raises(CheckpointError, match=f"model.pt: holds more than tensors.*{name}"):
        round_trip(path, {"a": [make()]})


# Files made by hand: what PyTorch never writes.


def ops(value):
    """The instructions that push a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def name_of(name):
    module, _, name = name.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def call(name, *arguments):
    return name_of(name) + b"(" + b"".join(arguments) + b"tR"


def storage(count=4, kind="torch.FloatStorage", key="0", more=b""):
    parts = [ops("storage"), name_of(kind), ops(key), ops("cpu"), ops(count), more]
    return b"(" + b"".join(parts) + b"tQ"


def tensor(offset=0, sizes=(4,), strides=(1,), own=None, *more):
    own = storage() if own is None else own
    parts = [own, *map(ops, (offset, sizes, strides, False, None)), *more]
    return call("torch._utils._rebuild_tensor_v2", *parts)


FOUR = np.arange(4, dtype="float32").tobytes()


def zipped(content, storages=None, **more):
    """An archive as torch.save writes them, around the instructions of a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", more.pop("compression", zipfile.ZIP_STORED)) as archive:
        archive.writestr("a/data.pkl", b"\x80\2" + content + b".")
        for name, member in {**more, **(storages or {"data/0": FOUR})}.items():
            archive.writestr(f"a/{name}", member)
    return file.getvalue()


def legacy(content, counts=None, keys=None):
    if counts is None:
        counts = {"0": 4} if b"Storage" in content else {}
    parts = [pickle.dumps(x, 2) for x in (MAGIC, 1001, {"little_endian": True})]
    parts += [b"\x80\2" + content + b".", pickle.dumps(list(counts) if keys is None else keys, 2)]
    parts += [struct.pack("<q", n) + bytes(4 * n) for n in counts.values()]
    return b"".join(parts)


def test_texts_of_python_2_are_texts(path):
    path.write_bytes(zipped(b"(U\x03abcT\x03\0\0\0abct"))
    assert load_torch(path) == ("abc", "abc")


def test_bytes_of_another_dtype_may_not_come_out_even(path):
    own = storage(7, "torch.storage.UntypedStorage")
    for count, refused in ((1, None), (2, "to element 1 of 1")):
        parts = [own, *map(ops, (0, (count,), (1,), False, None)), name_of("torch.int32"), b"N"]
        content = call("torch._utils._rebuild_tensor_v3", *parts)
        path.write_bytes(zipped(content, {"data/0": b"\1\0\0\0\1\0\0"}))
        if refused:
            with pytest.raises(CheckpointError, match=f"beyond its storage.*{refused}"):
                load_torch(path)
        else:
            assert load_torch(path).tolist() == [1]


def test_files_made_by_hand_are_read(path):
    for content in (zipped(tensor()), legacy(tensor())):
        path.write_bytes(content)
        assert load_torch(path).shape == (4,)
    path.write_bytes(zipped(tensor(), byteorder=b"big"))
    assert load_torch(path).tolist() == np.frombuffer(FOUR, ">f4").tolist()
    view = storage(more=ops(("1", 1, 2)))  # as PyTorch wrote before 0.4
    path.write_bytes(legacy(tensor(0, (2,), (1,), view)))
    assert load_torch(path).shape == (2,)


HOSTILE = {
    "offset": (tensor(1), "beyond its storage"),
    "size": (tensor(0, (5,)), "beyond its storage"),
    "stride": (tensor(0, (2, 2), (3, 1)), "beyond its storage"),
    "huge stride": (tensor(0, (2,), (2**62,)), "beyond its storage"),
    "negative offset": (tensor(-1, (1,)), "integers"),
    "negative stride": (tensor(3, (4,), (-1,)), "integers"),
    "negative size": (tensor(0, (-1,)), "integers"),
    "integers beyond 64 bits": (tensor(0, (2**64,), (0,)), "integers"),
    "a giant integer": (tensor(0, (1 << 40000,), (0,)), "integers"),
    "huge broadcast": (tensor(0, (10**6, 10**6), (0, 0)), "more memory"),
    "many broadcasts": (
        b"(" + b"".join(tensor(0, (4, i), (1, 0)) for i in range(6000, 8000)) + b"t",
        "memory",
    ),
    "sizes and strides": (tensor(0, (2, 2), (1,)), "integers"),
    "too many axes": (tensor(0, (1,) * 65, (1,) * 65), "65 axes"),
    "empty and huge": (tensor(0, (0, 2**62, 2**62), (1, 1, 1)), "damaged"),
    "size is a float": (tensor(0, (4.0,)), "integers"),
    "size is a list": (tensor(0, [4]), "no tuples"),
    "size is a bool": (tensor(0, (True,)), "integers"),
    "storage is text": (tensor(own=ops("a")), "no storage"),
    "storage is huge": (tensor(own=storage(2**60)), "bytes|needed|not there"),
    "storage is negative": (tensor(own=storage(-4)), "without a key or a size"),
    "storage is too short": (tensor(own=storage(5)), "20 bytes|ends early|5 are needed"),
    "wider elements": (tensor(own=storage(4, "torch.DoubleStorage")), "bytes|not there"),
    "storage without a class": (tensor(own=storage(4, "torch.Size")), "no storage's"),
    "key is a number": (tensor(own=storage(4, key=0)), "without a key"),
    "view beyond": (tensor(own=storage(more=ops(("1", 2, 3)))), "beyond its storage"),
    "view is damaged": (tensor(own=storage(more=ops([1]))), "damaged view"),
    "identifier": (ops(("a", 1)) + b"Q", "persistent identifier"),
    "identifier is text": (ops("a") + b"Q", "persistent identifier"),
    "empty identifier": (ops(()) + b"Q", "damaged"),
    "deep lists": (b"]" * 200 + b"a" * 199, "nested more than 100"),
    "very deep lists": (b"]" * 100_000 + b"a" * 99_999, "nested more than 100"),
    "very deep tuples": (b")" + b"\x85" * 100_000, "nested more than 100"),
    "deep through what is shared": (
        b"]" * 60 + b"a" * 59 + b"q\1" + b"]" * 60 + b"h\1" + b"a" * 60,
        "nested",
    ),
    "a list in itself": (b"]q\0h\0a", "contains itself"),
    "a wide list in itself": (b"]q\0(" + b"N" * 200_000 + b"h\0e", "contains itself"),
    "a dict in itself": (b"}q\0K\1h\0s", "contains itself"),
    "deep key": (b"}" + b")" + b"\x85" * 100_000 + b"Ns", "key that is a tuple"),
    "key is a list": (b"}]Ns", "key that is a list"),
    "key is a tensor": (b"}" + tensor() + b"Ns", "key that is a Tensor"),
    "no memo": (b"h\7", "damaged"),
    "no mark": (b"t", "damaged"),
    "nothing on the stack": (b"a", "damaged"),
    "nothing at all": (b"", "damaged"),
    "odd items": (b"}(Nu", "damaged"),
    "items of a list": (b"]NNs", "list instead of a dict"),
    "append to a dict": (b"}Na", "dict instead of a list"),
    "newer protocol": (b"\x80\xff", "protocol 255"),
    "unknown instruction": (b"\xff", "instruction"),
    "text goes on": (b"X\xff\xff\xff\xff", "ends early"),
    "text goes on and on": (b"\x8d" + b"\xff" * 8, "ends early"),
    "bytes go on and on": (b"\x8e" + b"\xff" * 7 + b"\x7f", "ends early"),
    "number goes on": (b"\x8b\xff\xff\xff\x7f", "ends early"),
    "no text": (b"X\1\0\0\0\xff", "damaged"),
    "name without end": (b"c" + b"a" * 5000, "too long"),
    "name of numbers": (b"K\1K\1\x93", "no text"),
    **{
        f"identifier is {kind}": (identifier + b"Q", "persistent identifier")
        for kind, identifier in {
            **{"None": b"N", "a number": b"K\1", "a list": b"]", "a dict": b"}", "a set": b"\x8f"},
            **{"bytes": ops(b"storage"), "a list of its parts": ops(["storage", 1, "0", "cpu", 4])},
            **{
                "a tensor": tensor(),
                "a tuple of a tensor": tensor() + b"\x85",
                "a storage": storage(),
            },
        }.items()
    },
    "identifier of four": (ops(("storage", 1, "0", "cpu")) + b"Q", "persistent identifier"),
    "identifier of seven": (storage(more=b"NN"), "persistent identifier"),
    "call of a tensor": (tensor() + b")R", "calls a Tensor"),
    "call of a dtype": (name_of("torch.float32") + b")R", "no function"),
    "call of a list": (name_of("builtins.list") + b")R", "calls builtins.list"),
    "arguments are a list": (name_of("torch.Size") + b"]R", "no function"),
    "too many arguments": (call("torch.Size", b"NNN"), "torch.Size is damaged"),
    "sizes below 0": (call("torch.Size", ops((-1,))), "torch.Size is damaged"),
    "sizes that are text": (call("torch.Size", ops(("a",))), "torch.Size is damaged"),
    "many bytes": (call("builtins.bytearray", ops(10**15)), "bytearray is damaged"),
    "much text": (call("_codecs.encode", ops("a"), ops("zip")), "encode is damaged"),
    "scalar": (call("numpy._core.multiarray.scalar", ops(1), ops(1)), "scalar is damaged"),
    "dtype": (call("numpy.dtype", ops("O8")), "dtype is damaged"),
    "parameter": (call("torch._utils._rebuild_parameter", ops(1)), "no tensor"),
    "state of a list": (b"]}b", "state for a list"),
    "set of lists": (call("builtins.set", ops([[1]])), "key that is a list"),
    "conjugate of text": (tensor(0, (4,), (1,), None, ops("conj")), "damaged"),
    "subclass": (
        call("torch._tensor._rebuild_from_type_v2", ops(1), ops(1), ops(1), ops(1)),
        "no way to make a tensor",
    ),
}


@pytest.mark.parametrize("make", [zipped, legacy])
@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_what_pytorch_never_writes_is_refused_with_the_reason(path, make, content, message):
    path.write_bytes(make(content))
    with pytest.raises(CheckpointError, match=f"model.pt: .*({message})"):
        load_torch(path)


MEMORY = {  # what is made of one long value, a thousand times
    "text": ("_codecs.encode", ops("a" * 10**6), b"\x85"),
    "names": ("torch.device", ops("a" * 10**6), b"K\1\x86"),
    "bytes": ("builtins.bytearray", b"B" + struct.pack("<I", 10**6) + bytes(10**6), b"\x85"),
    "dicts": ("collections.OrderedDict", ops(dict.fromkeys(range(10**4))), b"\x85"),
    "sets": ("builtins.frozenset", ops(list(range(10**4))), b"\x85"),
    "sets of one": ("builtins.set", b"(" + b"N" * 10**5 + b"t", b"\x85"),
}


@pytest.mark.parametrize("make", [zipped, legacy])
@pytest.mark.parametrize(("function", "value", "arguments"), MEMORY.values(), ids=MEMORY)
def test_one_long_value_is_not_copied_a_thousand_times(path, make, function, value, arguments):
    first = name_of(function) + b"q\xfe" + value + b"q\xff" + arguments + b"R"
    another = b"h\xfeh\xff" + arguments + b"R"
    path.write_bytes(make(b"(" + first + another * 1000 + b"t"))
    with pytest.raises(CheckpointError, match=r"model\.pt: .*copies of far more"):
        load_torch(path)
    path.write_bytes(make(b"(" + first + another + b"t"))
    assert len(load_torch(path)) == 2


def test_a_tree_of_few_bytes_that_is_shared_a_lot_is_quick(path):
    """Each list has the one before it twice: 2⁹⁰ paths."""
    path.write_bytes(zipped(b"]q\0" + b"](h\0h\0eq\0" * 90))
    found = load_torch(path)
    for _ in range(90):
        found = found[1]
    assert found == []


def twice():
    """An archive whose member is there under two names of one place, and then under one name."""
    content = zipped(tensor(), {"data/0": FOUR * 100, "data/1": FOUR * 100})
    return content.replace(b"a/data/1", b"a/data/0")


def overlapping():
    """All members but the first are said to have 1,000 bytes."""
    content = zipped(tensor(), {f"data/{i}": FOUR * 50 for i in range(10)})
    first, *entries = content.split(b"PK\1\2")
    entries[1:] = [
        entry[:16] + struct.pack("<II", 1000, 1000) + entry[24:] for entry in entries[1:]
    ]
    return b"PK\1\2".join([first, *entries])


def far_away():
    """The place of a member is said to be beyond what 64 bits with a sign hold."""
    content = zipped(tensor())
    first, entry, *others = content.split(b"PK\1\2")
    far = struct.pack("<HHQ", 1, 8, 2**64 - 1)  # Zip64: PKWARE, APPNOTE.TXT, 4.5.3
    name = entry[42:]
    entry = entry[:26] + struct.pack("<H", len(far)) + entry[28:38] + b"\xff" * 4 + name + far
    content = b"PK\1\2".join([first, entry, *others])
    at = content.rindex(b"PK\5\6") + 12
    (size,) = struct.unpack("<I", content[at : at + 4])
    return content[:at] + struct.pack("<I", size + len(far)) + content[at + 4 :]


def other_zip(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return file.getvalue()


def saved_by_numpy(function, *arguments):
    file = io.BytesIO()
    function(file, *arguments)
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return file.getvalue()


FILES = {
    "empty": (b"", "no file of torch.save"),
    "text": (b"hello, world", "begins with b'hello"),
    "npz": (saved_by_numpy(np.savez, FOUR), "npz.*numpy.load"),
    "npz compressed": (saved_by_numpy(np.savez_compressed, FOUR), "npz.*numpy.load"),
    "npy": (saved_by_numpy(np.save, FOUR), "npy"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "gzip": (b"\x1f\x8b\x08", "gzip"),
    "tar": (tarred(), "tar archive"),
    "Keras": (other_zip(**{"config.json": "", "model.weights.h5": ""}), "Keras"),
    "another zip": (other_zip(a="1"), "no data.pkl"),
    "TorchScript": (zipped(tensor(), **{"constants.pkl": b""}), "TorchScript.*state_dict"),
    "pickle": (pickle.dumps({"a": 1}), "another Python pickle"),
    "pickle of NumPy": (pickle.dumps(np.ones(2)), "another Python pickle"),
    "compressed": (zipped(tensor(), compression=zipfile.ZIP_DEFLATED), "is compressed"),
    "bomb": (
        zipped(tensor(), {"data/0": bytes(10**7)}, compression=zipfile.ZIP_DEFLATED),
        "is compressed",
    ),
    "twice": (twice(), "a name twice"),
    "overlapping": (overlapping(), "overlap"),
    "far away": (far_away(), "damaged, or encrypted"),
    "archive in an archive": (other_zip(**{"a/b.pt": zipped(tensor())}), "no data.pkl"),
    "archive as a pickle": (other_zip(**{"a/data.pkl": zipped(tensor())}), "instruction b'P'"),
    "no storage": (zipped(tensor(), {"data/1": FOUR}), "a/data/0' is not in the archive"),
    "byteorder": (zipped(tensor(), byteorder=b"middle"), "byteorder"),
    "checksum": (zipped(tensor()).replace(FOUR, FOUR[::-1]), "another checksum"),
    "no bools": (
        zipped(tensor(own=storage(4, "torch.BoolStorage")), {"data/0": b"\0\1\2\3"}),
        "bools other than",
    ),
    "magic": (pickle.dumps(MAGIC + 1, 2) + legacy(b"N")[15:], "another Python pickle"),
    "version": (pickle.dumps(MAGIC, 2) + pickle.dumps(1002, 2), "version 1001"),
    "count": (legacy(tensor(), {"0": 3}), "3 elements where 4"),
    "keys": (legacy(tensor(), {"1": 4}), "list of storages"),
    "keys twice": (legacy(tensor(), {"0": 4}, ["0", "0"]), "list of storages"),
    "keys are lists": (legacy(tensor(), {"0": 4}, [["0"]]), "list of storages is damaged"),
    "keys are missing": (legacy(tensor(), {}), "list of storages"),
    "cut in a storage": (legacy(tensor())[:-1], "ends early"),
    "cut before a storage": (legacy(tensor())[:-20], "ends early"),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_other_and_damaged_files_are_refused_with_the_reason(path, content, message):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"(?s)model.pt: .*{message}"):
        load_torch(path)


def test_a_pickle_that_would_fill_the_memory_is_not_begun(path, monkeypatch):
    monkeypatch.setattr("minidl.io.torch_file._LONGEST_PICKLE", 100)
    path.write_bytes(zipped(ops("a" * 100)))
    with pytest.raises(CheckpointError, match=r"data\.pkl has .* bytes, over 100"):
        load_torch(path)


def test_safetensors_are_sent_to_load(path):
    save(path, {"a": minidl.ones(3)})
    with pytest.raises(CheckpointError, match=r"safetensors file; minidl\.io\.load reads it"):
        load_torch(path)


def test_what_is_no_file_is_refused(tmp_path):
    for name, reason in (("gone", "no such file"), ("", "is no file")):
        with pytest.raises(CheckpointError, match=reason):
            load_torch(tmp_path / name)


# Nothing in a file is run.


class Attack:
    """What any program makes that pickles a way to run a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def attacks(command):
    """Pickles that run a command, in every way that pickles have, and some that only try."""
    system, text = name_of("os.system"), ops(command)
    evaluated = ops(f"__import__('os').system({command!r})")
    state = b"}" + ops("__setstate__") + system + b"sb"
    inner = zipped(system + text + b"\x85R")
    from_type = "torch._tensor._rebuild_from_type_v2"
    return {
        "REDUCE": system + text + b"\x85R",
        "REDUCE posix": name_of(f"{os.name}.system") + text + b"\x85R",
        "STACK_GLOBAL": ops("os") + ops("system") + b"\x93" + text + b"\x85R",
        "eval": name_of("builtins.eval") + evaluated + b"\x85R",
        "exec": name_of("__builtin__.exec") + evaluated + b"\x85R",
        "INST": b"(" + text + b"ios\nsystem\n",
        "OBJ": b"(" + system + text + b"o",
        "NEWOBJ": name_of("subprocess.Popen") + text + b"\x85\x81",
        "NEWOBJ_EX": name_of("subprocess.Popen") + b")}\x92",
        "BUILD": call("collections.OrderedDict") + state + text + b"b",
        "BUILD a function": name_of("torch.Size") + state + text + b"\x85R",
        "attribute": ops("torch._utils") + ops("_rebuild_tensor_v2.__globals__") + b"\x93",
        "getattr": call("builtins.getattr", name_of("os.path"), ops("os")),
        "map": call("builtins.list", call("builtins.map", system, ops([command]))),
        **{"EXT1": b"\x82\1", "EXT2": b"\x83\1\0", "EXT4": b"\x84\1\0\0\0"},
        **{"PERSID": b"Pos.system\n", "BINPERSID": system + b"Q"},
        "BINPERSID of a tuple": b"(" + ops("storage") + system + text + ops("cpu") + b"K\4tQ",
        **{f"protocol-{n}": pickle.dumps(Attack(command), n)[:-1] for n in range(6)},
        "archive in an archive": b"B" + struct.pack("<I", len(inner)) + inner + system + b"\x86R",
        "key": b"}" + system + text + b"\x85RNs",
        "default": call("collections.defaultdict", system),
        "hooks": tensor(0, (4,), (1,), None, system),
        "from_type": call(from_type, system, name_of("torch.Tensor"), text + b"\x85", b"}"),
        "load": call("torch.load", ops("x")),
        "load_from_bytes": call("torch.storage._load_from_bytes", ops("x")),
        "runpy": call("runpy.run_path", ops("x.py")),
        "import": name_of("antigravity.fly"),
    }


def test_nothing_is_imported_or_called(tmp_path, path):
    """An audit hook watches one process while it reads every attack, alone and after a tensor."""
    canary = tmp_path / "canary"
    command = f"touch {canary}"
    (tmp_path / "files").mkdir()
    path.write_bytes(zipped(tensor()))  # reading it imports what zip archives need
    for name, attack in attacks(command).items():
        for how, make in (("zip", zipped), ("legacy", legacy)):
            (tmp_path / "files" / f"{name} {how}").write_bytes(make(attack))
            (tmp_path / "files" / f"{name} {how} +").write_bytes(
                make(b"(" + tensor() + attack + b"t")
            )
    done = run(
        """
        import sys
        from pathlib import Path
        from minidl.io import CheckpointError, load_torch
        try:
            load_torch(sys.argv[2])
            load_torch("gone")
        except CheckpointError:
            pass
        seen = []
        watched = ("import", "exec", "compile", "pickle", "os.system", "subprocess", "ctypes")
        paths = sorted(Path(sys.argv[1]).iterdir())

        def hook(event, arguments):
            if event.startswith(watched):
                seen.append((event, arguments))

        sys.addaudithook(hook)
        refused = 0
        for path in paths:
            try:
                load_torch(path)
                print("loaded", path)
            except CheckpointError as error:
                refused += str(path) in str(error)
        print(refused == len(paths), seen)
        """,
        tmp_path / "files",
        path,
    )
    assert done.stdout.split("\n") == ["True []", ""], done
    assert not canary.exists()


def run(code, *arguments):
    code = textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )


@pytest.mark.skipif(os.name != "posix", reason="the attacks are for a POSIX shell")
def test_the_attacks_are_real(tmp_path):
    protocols = (f"protocol-{n}" for n in range(6))
    for name in ("REDUCE", "STACK_GLOBAL", "eval", "exec", "INST", "OBJ", *protocols):
        canary = tmp_path / name
        pickle.loads(b"\x80\2" + attacks(f"touch {canary}")[name] + b".")
        assert canary.exists()


def mutations(content, rng, attack):
    """The file with one thing changed."""
    at = rng.randrange(len(content))
    changed = bytearray(content)
    changed[at] ^= 1 << rng.randrange(8)
    end = rng.randrange(at, min(at + 30, len(content)) + 1)
    return [
        content[:at],
        bytes(changed),
        content[:at] + attack + content[at:],
        content[:at] + attack + content[end:],
        content[:at] + content[end:],
        content[:at] + content[at:end] * 2 + content[end:],
    ]


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle in zip"])
def test_200_changed_files_are_read_or_refused(tmp_path, path, kind):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    tree = {"model": model.state_dict(), "epoch": 3, "list": [(1.5, "a"), None, {1}]}
    torch.save(tree, path, _use_new_zipfile_serialization=kind != "legacy")
    content = path.read_bytes()
    members = {}
    if kind == "pickle in zip":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members = {name.split("/", 1)[1]: member for name, member in members.items()}
        content = members.pop("data.pkl")[2:-1]
    canary = tmp_path / "canary"
    choices = list(attacks(f"touch {canary}").values())
    rng = random.Random(kind)
    count = refused = read = 0
    while count < 200:
        for changed in mutations(content, rng, rng.choice(choices)):
            path.write_bytes(zipped(changed, members) if members else changed)
            count += 1
            try:
                load_torch(path)
            except CheckpointError as error:
                refused += str(error).startswith(f"{path}: ")
            else:
                read += 1
    assert refused > 100
    assert refused + read == count
    assert not canary.exists()


def test_a_file_cut_anywhere_is_refused(path, new):
    torch.save([torch.arange(5.0), "x"], path, _use_new_zipfile_serialization=new)
    content = path.read_bytes()
    for end in range(0, len(content), 1 if len(content) < 1000 else 7):
        path.write_bytes(content[:end])
        with pytest.raises(CheckpointError):
            load_torch(path)


def test_memory_is_allocated_for_what_is_there(path):
    pytest.importorskip("resource")
    claims = {
        "storage": tensor(0, (2**36,), (1,), storage(2**36)),
        "text": b"\x8d" + struct.pack("<Q", 2**38),
        "memo": b"Nr\xff\xff\xff\xff",
        "broadcast": tensor(0, (2**36,), (0,)),
    }
    for make in (zipped, legacy):
        for name, content in claims.items():
            path.with_name(f"{name} {make.__name__}").write_bytes(make(content))
    done = run(
        """
        import resource, sys
        from pathlib import Path
        from minidl.io import CheckpointError, load_torch
        paths = sorted(Path(sys.argv[1]).iterdir())
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 2**28, now + 2**28))
        for path in paths:
            try:
                print(load_torch(path))
            except CheckpointError:
                pass
        """,
        path.parent,
    )
    assert (done.stdout, done.returncode) == ("None\nNone\n", 0), done  # the memo's are fine


def test_importing_minidl_does_not_load_what_files_need():
    done = run("import sys, minidl; print({'zipfile', 'minidl.io.torch_file'} & {*sys.modules})")
    assert done.stdout == "set()\n", done
