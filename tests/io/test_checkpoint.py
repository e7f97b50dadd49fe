"""Checkpoints: what is saved comes back, and every other file is refused with its reason."""

import io
import json
import math
import os
import pickle
import random
import stat
import struct
import subprocess
import sys
import textwrap
import threading
import zipfile
import zlib

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minidl
from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, MinidlError
from minidl.io import CheckpointError, atomic_write, load, load_weights, save, save_weights
from tests.oracle import torch, torch_files

DTYPES = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64"),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def assert_same(found, expected):
    """Equal in structure, types, dtypes and bits."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert [(type(k), k) for k in found] == [(type(k), k) for k in expected]
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, Tensor | np.ndarray | np.generic):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()
    elif isinstance(expected, float | complex):
        assert repr(found) == repr(expected)
    else:
        assert found == expected


def round_trip(path, state):
    save(path, state)
    return load(path)


# What is saved comes back.

ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)
SCALARS = st.sampled_from([*DTYPES, "complex128"]).flatmap(
    lambda dtype: hnp.arrays(dtype, ()).map(lambda array: array[()])
)
KEYS = st.one_of(
    st.text(max_size=3),
    st.integers(-3, 3),
    st.sampled_from(["a", "b", "a.b", "0", "$dict", "__metadata__", "\ud800", "", "é\0"]),
)
LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text()),
    *(ARRAYS, ARRAYS.map(minidl.asarray), SCALARS),
)
TREES = st.recursive(
    LEAVES,
    lambda trees: st.one_of(
        st.lists(trees, max_size=4),
        st.lists(trees, max_size=4).map(tuple),
        st.dictionaries(KEYS, trees, max_size=4),
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(TREES)
@example({"a": {"b": ops.ones(1)}, "a.b": ops.ones(2), 1: ops.ones(3), "1": ops.ones(4)})
@example({"a~2": ops.ones(1), "a": {"": ops.ones(2)}, "a.": ops.ones(3)})
@example({"__metadata__": ops.ones(1), "": ops.ones(2), "\ud800": ops.ones(3), "$tensor": 1})
@example([10**5000, -(10**5000), 2**53, 2**53 + 1, -0.0, math.nan, -math.inf, 5e-324, 0.1])
@example([True, 1, 1.0, np.float64(0.1), np.float32(0.1), np.bool(True), (), {}, [], ([],)])
@example(ops.ones((0, 3)))
def test_any_tree_comes_back(path, tree):
    assert_same(round_trip(path, tree), tree)


def trained(seed=0, tied=False):
    """A model and its optimizer after two steps."""
    minidl.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 3))
    if tied:
        model[3].weight = model[0].weight
    optimizer = minidl.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        step(model, optimizer)
    return model, optimizer


def step(model, optimizer):
    optimizer.zero_grad()
    (model(minidl.random.normal((4, 3))) ** 2).sum().backward()
    optimizer.step()


def state_of(model, optimizer):
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": minidl.random.default_generator.get_state(),
        "progress": {"epoch": 3, "best": 0.1, "losses": [0.5, math.inf], "name": "α"},
    }


def test_a_run_goes_on_as_if_it_had_not_been_interrupted(path):
    model, optimizer = trained()
    save(path, state_of(model, optimizer))
    step(model, optimizer)
    other, its_optimizer = trained(1)
    state = load(path)
    other.load_state_dict(state["model"])
    its_optimizer.load_state_dict(state["optimizer"])
    minidl.random.default_generator.set_state(state["random"])
    step(other, its_optimizer)
    assert_same(state_of(other, its_optimizer), state_of(model, optimizer))


def test_arrays_are_in_the_file_under_readable_names(path):
    save(path, state_of(*trained()))
    names = safetensors.numpy.load_file(path)
    assert {"model.0.weight", "model.1.running_mean", "optimizer.state.0.exp_avg"} <= set(names)


def test_the_same_state_gives_the_same_file(tmp_path):
    state = state_of(*trained())
    save(tmp_path / "one", state)
    save(tmp_path / "two", state)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_shared_is_written_once_and_shared_again(path):
    x, array = ops.ones((500, 2)), np.ones((500, 2))
    state = round_trip(path, {"a": [x, x, x.detach()], "b": array, "c": (array,)})
    assert path.stat().st_size < 2000 + x.data.nbytes + array.nbytes
    assert state["a"][0] is state["a"][1] is state["a"][2]
    assert state["b"] is state["c"][0]
    assert state["b"] is not state["a"][0].data


ODD_ARRAYS = {
    "transposed": lambda x: x.T,
    "every second": lambda x: x[::2, ::-1],
    "broadcast": lambda x: np.broadcast_to(x[0], (5, 4)),
    "Fortran": np.asfortranarray,
    "0-d of a larger one": lambda x: x[1, 2, ...],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("odd", ODD_ARRAYS.values(), ids=ODD_ARRAYS)
def test_arrays_come_back_whatever_their_strides(path, odd, dtype):
    array = odd(np.arange(12).reshape(3, 4).astype(dtype))
    before = array.copy()
    assert_same(round_trip(path, [array, Tensor(array)]), [before, Tensor(before)])


def test_big_endian_and_read_only_arrays_come_back_native_and_writable(path):
    array = np.arange(3, dtype=">f4")
    array.flags.writeable = False
    found = round_trip(path, array)
    assert_same(found, np.arange(3, dtype="float32"))
    assert found.flags.writeable
    assert found.flags.owndata


def test_parameters_are_saved_as_constants(path):
    found = round_trip(path, nn.Linear(2, 3).weight)
    assert type(found) is Tensor
    assert not found.requires_grad


def cyclic():
    state = {}
    state["again"] = state
    return state


UNFIT = {
    "complex128": ({"a": [np.zeros(2, "complex128")]}, DTypeError, r"a\.0.*complex128"),
    "longdouble": ({"a": np.zeros(2, "longdouble")}, DTypeError, r"a.*(float128|longdouble)"),
    "object": ({"a": np.array([None])}, DTypeError, "a.*object"),
    "text array": (np.array(["a"]), DTypeError, "state.*U1"),
    "masked": (np.ma.masked_array([1], [True]), DTypeError, "state is a MaskedArray"),
    "model": ({"model": nn.Linear(1, 1)}, DTypeError, r"model is a Linear; give its state_dict"),
    "set": ({"a": {1, 2}}, DTypeError, "a is a set"),
    "bytes": ({"a": b"1"}, DTypeError, "a is a bytes"),
    "function": ({"a": {"b": print}}, DTypeError, r"a\.b is a builtin"),
    "key": ({"a": {1.5: 1}}, DTypeError, r"a has the key 1\.5"),
    "NumPy key": ({np.int64(1): 1}, DTypeError, r"state has the key np\.int64\(1\)"),
    "cycle": (cyclic(), ArgumentError, r"again\.again.*contains itself"),
}


@pytest.mark.parametrize(("state", "error", "message"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_be_saved_is_named_and_leaves_the_file(path, state, error, message):
    save(path, 1)
    with pytest.raises(error, match=f"save: .*{message}"):
        save(path, {"first": ops.ones(2), **state} if isinstance(state, dict) else state)
    assert load(path) == 1


# Weights, for others and from others.


def test_a_dict_of_tensors_is_a_file_for_the_safetensors_package(path):
    arrays = {dtype: np.ones((2, 3), dtype) for dtype in DTYPES} | {"0-d": np.array(2.5)}
    save(path, {name: Tensor(x) for name, x in arrays.items()})
    found = safetensors.numpy.load_file(path)
    assert_same({name: found[name] for name in arrays}, arrays)


def test_files_of_the_safetensors_package_are_read(path):
    arrays = {f"x.{dtype}": np.ones((2, 3), dtype) for dtype in DTYPES}
    arrays |= {"0-d": np.array(2.5), "empty": np.ones((2, 0, 3), "float32")}
    safetensors.numpy.save_file(arrays, path, {"format": "pt"})
    assert_same({k: load(path)[k] for k in arrays}, {k: Tensor(x) for k, x in arrays.items()})


def test_no_arrays_are_fine(path):
    safetensors.numpy.save_file({}, path)
    assert load(path) == {}
    assert round_trip(path, {}) == {}


def test_weights_go_to_pytorch_and_back(path):
    from_file = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    save_weights(path, model)
    from_file.load_state_dict(torch_files.load_file(path))
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, from_file.state_dict()[name].numpy())
    with torch.no_grad():
        from_file[0].weight.fill_(0.5)
    torch_files.save_file(from_file.state_dict(), path)
    assert load_weights(path, model) == ([], [])
    assert (model[0].weight == 0.5).all()


def test_tied_weights_go_to_pytorch_and_back(path):
    model, _ = trained(tied=True)
    save_weights(path, model)
    twin = torch.nn.Sequential(
        torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Tanh(), torch.nn.Linear(3, 3)
    )
    twin[3].weight = twin[0].weight
    torch_files.load_model(twin, path)
    np.testing.assert_array_equal(model[3].weight, twin[3].weight.detach().numpy())
    torch_files.save_model(twin, path)
    other, _ = trained(1, tied=True)
    assert load_weights(path, other) == ([], [])
    np.testing.assert_array_equal(other[3].weight, model[3].weight)


def test_bfloat16_becomes_float32(path):
    x = torch.tensor([[1.0, -2.5, 3.14159], [math.inf, -0.0, math.nan]])
    torch_files.save_file({"x": x.bfloat16()}, path)
    found = load(path)["x"]
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, x.bfloat16().float().numpy())


def test_weights_without_their_own_order_or_kind_of_array_are_weights(path):
    model = nn.Linear(2, 1)
    save(path, {"bias": np.array([3.0]), "weight": np.array([[1, 2]])})
    assert load_weights(str(path), model) == ([], [])
    assert (model.weight.tolist(), model.bias.tolist()) == ([[1, 2]], [3])


MODEL = {f"{i}.{name}": shape for i in (0, 1) for name, shape in (("weight", (2, 2)), ("bias", 2))}
MISFITS = {
    "missing": ({"0.weight": None}, "Sequential:\n  missing: 0.weight\nstrict=False"),
    "unexpected": ({"2.weight": 2, "x": 1}, "Sequential:\n  unexpected: 2.weight, x\nstrict"),
    "shape": ({"1.bias": 3}, r"Sequential:\n  of wrong shape: 1.bias \(is \(3,\), needs \(2,\)\)$"),
    "all": (
        {"0.bias": None, "x": 1, "1.bias": 3, "1.weight": 2},
        r"\n  missing: 0.bias\n  unexpected: x\n  of wrong shape: 1.weight .*, 1.bias .*",
    ),
}


def two_layers():
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS)
def test_weights_that_do_not_fit_are_listed_and_change_nothing(path, change, message):
    model = two_layers()
    before = {name: x.copy() for name, x in model.state_dict().items()}
    save(path, {k: ops.ones(s) for k, s in {**MODEL, **change}.items() if s is not None})
    with pytest.raises(CheckpointError, match=f"run.safetensors: does not fit (?s:.*){message}"):
        load_weights(path, model)
    assert_same(model.state_dict(), before)


def test_what_fits_is_loaded_when_not_strict(path):
    model = two_layers()
    shapes = {**MODEL, "x": 1}
    del shapes["0.bias"]
    save(path, {k: ops.full(shape, 7.0) for k, shape in shapes.items()})
    assert load_weights(path, model, strict=False) == (["0.bias"], ["x"])
    assert (model[1].weight == 7).all()
    save(path, {"0.weight": ops.ones((2, 2)), "1.bias": ops.ones(3)})
    with pytest.raises(CheckpointError, match="wrong shape"):
        load_weights(path, model, strict=False)
    assert (model[0].weight == 7).all()


OTHER_TREES = {
    "a run": ({"model": {"weight": ops.ones(1)}, "epoch": 3}, "more than weights.*model, epoch"),
    "a list": ([ops.ones(1)], "a list"),
    "complex": ({"weight": ops.ones((1, 1)) * 1j, "bias": ops.ones(1)}, "weight.*complex"),
}


@pytest.mark.parametrize(("state", "message"), OTHER_TREES.values(), ids=OTHER_TREES)
def test_a_checkpoint_of_something_else_is_no_weights(path, state, message):
    save(path, state)
    model = nn.Linear(1, 1)
    before = {name: x.copy() for name, x in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=f"run.safetensors: .*{message}"):
        load_weights(path, model)
    assert_same(model.state_dict(), before)


@pytest.mark.parametrize("function", [save_weights, load_weights])
def test_weights_are_of_a_module(path, function):
    with pytest.raises(DTypeError, match=f"{function.__name__}: needs a path and a Module; .*str"):
        function(nn.Linear(1, 1), str(path))


# Damaged and hostile files.


def refused(path, content, message=""):
    """Raise if a file with this content is loaded, or refused otherwise than it should be."""
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"run.safetensors: .*{message}") as caught:
        load(path)
    assert isinstance(caught.value, MinidlError)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, ValueError)


def with_header(header, data=b""):
    """A file with this header: its JSON, or something to be made JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def floats(shape=(2,), begin=0, end=8, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def without(name):
    return {key: value for key, value in floats().items() if key != name}


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    return file.getvalue()


def npy():
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


EIGHT = bytes(8)
HOSTILE = {
    "empty": (b"", "it is empty"),
    "short": (b"abc", "it ends after 3 bytes"),
    "text": (b"Dear reader,\n", "no safetensors file: a header of"),
    "pickle": (pickle.dumps({"a": 1}), "a Python pickle"),
    "old pickle": (pickle.dumps({"a": 1}, 2), "a Python pickle"),
    "zip": (zipped(), "a zip archive, as torch.save"),
    "npy": (npy(), "numpy.save"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
    "gzip": (b"\x1f\x8b" + bytes(99), "gzip"),
    "GGUF": (b"GGUF" + bytes(99), "GGUF"),
    "huge header": (struct.pack("<Q", 2**63) + b"{}", "a header of 9223372036854775808 bytes"),
    "long header": (struct.pack("<Q", 10**7) + b"{}", "ends early: its header takes 10000000"),
    "no header": (struct.pack("<Q", 0), "header"),
    "no JSON": (with_header(b"{nothing}"), "header is damaged"),
    "no object": (with_header([1, 2, 3]), "no safetensors file"),
    "no UTF-8": (with_header(b'{"\xff": 1}'), "header is damaged.*utf-8"),
    "deep": (with_header(b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "nested too deeply"),
    "long number": (with_header(b'{"a":' + b"9" * 10**5 + b"}"), "header is damaged"),
    "twice": (with_header(b'{"a":{},"a":{}}'), "a name comes twice"),
    "metadata": (with_header({"__metadata__": [1]}), "__metadata__"),
    "metadata of numbers": (with_header({"__metadata__": {"a": 1}}), "__metadata__"),
    "no dict": (with_header({"a": 1}), "'a' needs dtype, shape and data_offsets; has 1"),
    **{f"no {n}": (with_header({"a": without(n)}, EIGHT), "'a' needs") for n in floats()},
    "dtype": (with_header({"a": floats(dtype="F8_E4M3")}, EIGHT), "'a' has dtype 'F8_E4M3'"),
    "dtype of lists": (with_header({"a": floats(dtype=[])}, EIGHT), r"'a' has dtype \[\]"),
    "other dtype": (with_header({"a": floats(dtype="F64")}, EIGHT), r"F64 \(2,\) takes 16 bytes"),
    "shape": (with_header({"a": floats((3,))}, EIGHT), r"F32 \(3,\) takes 12 bytes"),
    "negative": (with_header({"a": floats((-1, -2))}, EIGHT), r"'a' has shape \[-1, -2\]"),
    "bool shape": (with_header({"a": floats((2, True))}, EIGHT), r"'a' has shape \[2, True\]"),
    "real shape": (with_header({"a": floats((2.0,))}, EIGHT), r"'a' has shape \[2.0\]"),
    "no list": (with_header({"a": floats("2")}, EIGHT), "'a' has shape '2'"),
    "many axes": (with_header({"a": floats([1] * 65 + [2])}, EIGHT), "'a' has shape"),
    "huge": (with_header({"a": floats((2**40,), 0, 2**42)}, EIGHT), "take 4398046511104 bytes"),
    "huge and empty": (with_header({"a": floats((2**62, 2**62, 0), 0, 0)}), "'a' has shape"),
    "overflow": (with_header({"a": floats((2**32, 2**32), 0, 0)}), "takes 73786976294838206464"),
    "one offset": (with_header({"a": {**floats(), "data_offsets": [8]}}, EIGHT), "data_offsets"),
    "backwards": (with_header({"a": floats((0,), 8, 0)}, EIGHT), "takes 0 bytes"),
    "overlap": (with_header({"a": floats(), "b": floats((2,), 4, 12)}, bytes(12)), "'b' overlaps"),
    "gap": (with_header({"a": floats(), "b": floats((0,), 9, 9)}, bytes(9)), "'b' leaves a gap"),
    "shifted": (with_header({"a": floats((2,), 4, 12)}, bytes(12)), "'a' leaves a gap"),
    "too short": (with_header({"a": floats()}, bytes(7)), "ends early: .* 8 bytes, and 7 are"),
    "too long": (with_header({"a": floats()}, bytes(9)), "goes on after its last array: 1 bytes"),
    "bools": (with_header({"a": floats(dtype="BOOL", end=2)}, b"\1\2"), "'a' has bools other"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_breaks_the_format_is_refused_with_the_reason(path, content, message):
    refused(path, content, message)


def resealed(document, array):
    """A checkpoint of an array with this document, which is given a right checksum."""
    document = {name: value for name, value in document.items() if name != "crc32"}
    text = json.dumps(document, separators=(",", ":"))
    document["crc32"] = zlib.crc32(text.encode())
    metadata = {"minidl": json.dumps(document, separators=(",", ":"))}
    return safetensors.numpy.save({"a": array}, metadata)


TREE, TWO = {"$tensor": "a"}, np.ones(2)
FORGED = {
    "newer": ({"version": 2}, r"written by a newer minidl \(version 2"),
    "no version": ({"version": None}, "damaged"),
    "another kind": ({"format": "minidl tokenizer"}, "is a 'minidl tokenizer', not a 'minidl ch"),
    "missing array": ({"tree": [TREE, {"$array": "b"}]}, "names the array 'b', which is not there"),
    "no name": ({"tree": {"$tensor": [1]}}, r"names the array \[1\]"),
    "unknown": ({"tree": {"$eval": "1"}}, r"'\$eval', which means nothing"),
    "two": ({"tree": {"$tensor": "a", "b": 1}}, r"'\$tensor', which means nothing"),
    "tuple": ({"tree": {"$tuple": 1}}, r"a wrong \$tuple"),
    "dict": ({"tree": {"$dict": [[1, 2, 3]]}}, r"a wrong \$dict"),
    "dict of lists": ({"tree": {"$dict": [[[], 2]]}}, r"a wrong \$dict"),
    "int": ({"tree": {"$int": 5}}, r"a wrong \$int"),
    "float": ({"tree": {"$float": "one"}}, r"a wrong \$float"),
    "complex": ({"tree": {"$complex": [1, 2, 3]}}, r"a wrong \$complex"),
    "scalar": ({"tree": {"$scalar": ["O", 1]}}, r"a wrong \$scalar"),
    "scalar too large": ({"tree": {"$scalar": ["int8", 300]}}, r"a wrong \$scalar"),
    "checksums": ({"arrays": {}}, "not those that were saved: a"),
    "no checksums": ({"arrays": 1}, "not those that were saved: a"),
    "checksum": ({"arrays": {"a": 1}}, "array 'a' is damaged"),
}


def forged(path, array=TWO, **changes):
    save(path, minidl.asarray(np.ones(2)))
    with safetensors.safe_open(path, "np") as file:
        document = json.loads(file.metadata()["minidl"])
    document["arrays"] = {"a": document["arrays"]["state"]}
    return resealed({**document, "tree": TREE, **changes}, array)


@pytest.mark.parametrize(("changes", "message"), FORGED.values(), ids=FORGED)
def test_a_forged_document_is_refused_with_the_reason(path, changes, message):
    path.write_bytes(forged(path))
    assert_same(load(path), minidl.asarray(np.ones(2)))
    refused(path, forged(path, **changes), message)


@pytest.mark.parametrize("array", [np.ones((1, 2)), np.ones(2).view("int64"), np.zeros(2)])
def test_another_array_instead_of_the_saved_one_is_noticed(path, array):
    refused(path, forged(path, array), "array 'a' is damaged")


def test_trees_are_as_deep_as_can_be_saved_and_not_deeper(path):
    deep, deeper = (json.loads("[" * n + "]" * n) for n in (101, 102))
    assert round_trip(path, deep) == deep
    with pytest.raises(ArgumentError, match="nested more than 100 levels"):
        save(path, deeper)
    refused(path, forged(path, tree=deeper), "nested more than 100 levels")


@pytest.mark.parametrize("text", ["[" * 10**5 + "]" * 10**5, "1", "[]", "{}", "{", '{"a":NaN}'])
def test_any_other_document_is_refused(path, text):
    refused(path, safetensors.numpy.save({}, {"minidl": text}), "damaged|is a None")


def test_a_file_cut_anywhere_is_refused(path):
    save(path, {"a": ops.ones(3), "b": {"c": 1.5}})
    whole = path.read_bytes()
    for size in range(len(whole)):
        refused(path, whole[:size])
    refused(path, whole + b" ", "goes on")


def test_a_changed_bit_anywhere_is_noticed(path):
    """Only a bit that does not matter, the case of a hexadecimal digit, may be another."""
    state = state_of(*trained(tied=True))
    save(path, state)
    whole, rng = path.read_bytes(), random.Random(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    loaded = 0
    for i in range(400):
        place = rng.randrange(header) if i % 2 else rng.randrange(header, len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = load(path)
        except CheckpointError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert place < header
            assert_same(found, state)
            loaded += 1
    assert loaded < 4


def test_a_changed_name_of_the_entry_is_noticed(path):
    save(path, {"a": ops.ones(3)})
    whole = path.read_bytes()
    assert whole.count(b'"minidl"') == 1
    refused(path, whole.replace(b'"minidl"', b'"minidm"'), "no entry 'minidl'")


@pytest.mark.parametrize("name", ["nothing", ".", "a\0b", "nothing/nothing"])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"no such file|is no file"):
        load(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_pipes_and_devices_are_left_alone(tmp_path):
    """Only a pipe of its own is written to: if this fails, no device of the machine is lost."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CheckpointError, match="is no file"):
        save(pipe, 1)
    assert pipe.is_fifo()
    for path in (pipe, "/dev/null"):
        with pytest.raises(CheckpointError, match="is no file"):
            load(path)


# Whole or not at all.


def folder_of(path):
    return sorted(entry.name for entry in path.parent.iterdir())


def test_a_file_is_replaced_and_nothing_else_is_left(path):
    for state in ({"a": ops.ones(1000)}, {"b": 1}):
        assert_same(round_trip(path, state), state)
        assert folder_of(path) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_file_has_the_permissions_of_any_new_file(path):
    save(path, 1)
    (path.parent / "other").touch()
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


def test_a_link_goes_on_pointing_to_the_file(path):
    link = path.with_name("latest")
    save(path, 1)
    try:
        link.symlink_to(path)
    except OSError:
        pytest.skip("no links here")
    save(link, 2)
    assert link.is_symlink()
    assert load(path) == 2


FAILURES = {
    "fsync": (os, "fsync", OSError(28, "No space left on device")),
    "replace": (os, "replace", PermissionError(13, "Permission denied")),
    "write": (safetensors.numpy, "save_file", safetensors.SafetensorError("no space")),
    "interrupt": (os, "replace", KeyboardInterrupt()),
    "memory": (safetensors.numpy, "save_file", MemoryError()),
}


@pytest.mark.parametrize(("module", "name", "error"), FAILURES.values(), ids=FAILURES)
def test_a_failure_leaves_the_old_file_and_nothing_else(path, monkeypatch, module, name, error):
    save(path, 1)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(module, name, fail)
    expected = CheckpointError if isinstance(error, Exception) else KeyboardInterrupt
    expected = MemoryError if isinstance(error, MemoryError) else expected
    with pytest.raises(expected):
        save(path, {"a": ops.ones(3)})
    monkeypatch.undo()
    assert load(path) == 1
    assert folder_of(path) == [path.name]


def test_a_folder_that_cannot_be_synchronised_is_no_failure(path, monkeypatch):
    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    assert round_trip(path, 3) == 3


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").touch()
    for path, reason in (("file/x", "Not a directory"), ("no/x", "No such file"), ("", "is no")):
        with pytest.raises(CheckpointError, match=f"cannot be written: .*{reason}"):
            save(tmp_path / path, 1)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write")
def test_a_read_only_folder_is_named(path):
    save(path, 1)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(CheckpointError, match="Permission denied"):
            save(path, 2)
    finally:
        path.parent.chmod(0o700)
    assert load(path) == 1


def run(code, *arguments):
    code = textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )


def test_a_full_disk_leaves_the_old_file_and_nothing_else(path):
    pytest.importorskip("resource")
    save(path, 1)
    done = run(
        """
        import resource, sys, minidl.io
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        for size in (11_000, 13_000, 10**6):
            try:
                minidl.io.save(sys.argv[1], [minidl.ones(size)])
            except minidl.io.CheckpointError as error:
                print(error)
        """,
        path,
    )
    assert done.stdout.count("File too large") == 2, done
    assert load(path)[0].shape == (11_000,)
    assert folder_of(path) == [path.name]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_run_leaves_the_old_file_or_the_new_one(path):
    """A process that does nothing but save is killed at 20 moments."""
    done = run(
        """
        import os, random, signal, sys, time
        from pathlib import Path
        import numpy as np
        import minidl.io, safetensors.numpy
        path, rng, seen, left = Path(sys.argv[1]), random.Random(0), set(), 0
        begun, begins = os.pipe()
        for turn in range(20):
            child = os.fork()
            if not child:
                n = 100 * turn
                while True:
                    minidl.io.save(path, {"n": n, "x": np.full(100_000 + n, n)})
                    os.write(begins, b".")
                    n += 1
            os.read(begun, 1000)  # it has saved once
            time.sleep(rng.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            state = minidl.io.load(path)
            assert (state["x"] == state["n"]).all() and len(state["x"]) == 100_000 + state["n"]
            seen.add(state["n"])
            left += len(list(path.parent.iterdir())) - 1
        minidl.io.save(path, 1)
        print(len(seen) > 1, left > 0, len(list(path.parent.iterdir())))
        """,
        path,
    )
    assert done.stdout.split() == ["True", "True", "1"], done


def test_folders_in_use_are_not_taken_for_leftovers(path):
    with atomic_write.atomic_write(path) as new:
        new.write_bytes(b"1")
        save(path.with_name("other"), 2)
        assert new.exists()
    assert path.read_bytes() == b"1"
    assert folder_of(path) == ["other", path.name]


def test_without_locks_only_old_folders_are_leftovers(path, monkeypatch):
    monkeypatch.setattr(atomic_write, "fcntl", None)
    old, young = (path.with_name(f".minidl-saving-{name}") for name in ("old", "young"))
    old.mkdir()
    young.mkdir()
    os.utime(old, (0, 0))
    save(path, 1)
    assert folder_of(path) == [young.name, path.name]


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_is_no_leftover(path):
    other = path.with_name("other")
    other.mkdir()
    (other / "file").touch()
    path.with_name(".minidl-saving-x").symlink_to(other)
    save(path, 1)
    assert (other / "file").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_no_leftover(path):
    os.mkfifo(path.with_name(".minidl-saving-x"))
    save(path, 1)
    assert load(path) == 1


def test_several_threads_may_save_and_load_at_once(path):
    save(path, (0, np.zeros(1000)))
    failures = []

    def work(n):
        try:
            for _ in range(10):
                save(path, (n, np.full(1000, n)))
                number, array = load(path)
                assert (array == number).all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert folder_of(path) == [path.name]
