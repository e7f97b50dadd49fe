"""Padding: the operation and its layers against PyTorch's and NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, ShapeError
from tests.oracle import functional, torch
from tests.parity import assert_same, random

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@each_dtype
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("shape", "widths"), [
    ((2, 3, 5), (1, 2)),
    ((3, 5), (4, 0)),
    ((2, 3, 4, 5), (1, 2, 3, 0)),
    ((3, 4, 5), (2, 2, 1, 1)),
    ((1, 2, 3, 4, 5), (1, 2, 0, 1, 2, 1)),
    ((2, 3, 4, 5), (-1, 2, 1, -2)),
    ((2, 3, 5), (0, 0)),
], ids=str)  # fmt: skip
def test_it_is_pytorchs(shape, widths, mode, dtype):
    x = random(*shape, dtype=dtype)
    ours, theirs = (
        lambda x, library=library: library.pad(x, widths, mode=mode)
        for library in (ops, functional)
    )
    assert_same(ours, theirs, x)


@each_dtype
@pytest.mark.parametrize("value", [0.5, -3, 0, None])
def test_the_value_is_pytorchs(value, dtype):
    for widths in ((1, 2), (0, -1, 2, 1), (1, 1, 1, 1, 1, 1), [0, 3]):
        ours, theirs = (
            lambda x, library=library, widths=widths: library.pad(x, widths, value=value)
            for library in (ops, functional)
        )
        assert_same(ours, theirs, random(2, 3, 4, dtype=dtype))


@given(
    shape=st.tuples(*[st.integers(2, 5)] * 3),
    widths=st.lists(st.integers(0, 1), min_size=6, max_size=6),
    mode=st.sampled_from(list(MODES)),
    dtype=st.sampled_from(["float32", "float16", "int64", "uint8"]),
)
def test_any_number_of_axes_is_padded_as_numpy_pads_them(shape, widths, mode, dtype):
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    pairs = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    y = ops.pad(x, widths, mode)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.pad(x, pairs, mode=MODES[mode]))


def test_special_values_and_nothing():
    x = np.array([[np.nan, np.inf, 1.0]])
    assert ops.pad(x, (1, 1), "reflect").numpy()[0, 0] == np.inf
    assert ops.pad(np.zeros((0, 3)), (1, 1)).shape == (0, 5)
    assert ops.pad(np.zeros((0, 3)), (1, 1), "circular").shape == (0, 5)
    assert ops.pad(np.zeros((2, 0)), (1, 1), value=2.0).numpy().tolist() == [[2, 2], [2, 2]]
    assert ops.pad(np.ones(3), ()).numpy().tolist() == [1, 1, 1]
    assert ops.pad(np.ones(3), (-2, -1)).shape == (0,)


# Layers.

LAYERS = [
    (f"{kind}Pad{axes}d", (*arguments,))
    for axes in (1, 2, 3)
    for kind, *arguments in (
        ("Zero", 1),
        ("Zero", (1, 2, 0, 1, 2, 0)[: 2 * axes]),
        ("Constant", 2, 0.5),
        ("Constant", (0, 1, 2, 1, 0, 0)[: 2 * axes], -1.0),
        ("Reflection", 1),
        ("Reflection", (0, 2, 1, 1, 2, 0)[: 2 * axes]),
        ("Replication", 3),
        ("Replication", (0, 1, 2, 1, 0, 4)[: 2 * axes]),
        ("Circular", 2),
        ("Circular", (0, 1, 2, 1, 0, 2)[: 2 * axes]),
    )
]


@pytest.mark.parametrize(("name", "arguments"), LAYERS, ids=str)
def test_layers_are_pytorchs(name, arguments):
    ours, theirs = (getattr(library, name)(*arguments) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    assert ours.padding == theirs.padding
    for batch in ((2,), ()):
        x = random(*batch, 2, *(3, 4, 5)[: int(name[-2])], dtype="float32")
        assert_same(ours, theirs, x)


# What is refused.

X = ops.ones((2, 3, 4))
WRONG = {
    "a number": (lambda: ops.pad(X, 1), ArgumentError, "widths are pairs.*got 1"),
    "half a pair": (lambda: ops.pad(X, (1, 2, 3)), ArgumentError, r"pairs.*got \(1, 2, 3\)"),
    "more axes": (lambda: ops.pad(X, (1,) * 8), ArgumentError, r"shape \(2, 3, 4\)"),
    "parts": (lambda: ops.pad(X, (1.5, 1)), ArgumentError, "pairs"),
    "mode": (lambda: ops.pad(X, (1, 1), "mirror"), ArgumentError, "one of constant.*'mirror'"),
    "value": (lambda: ops.pad(X, (1, 1), "reflect", 1.0), ArgumentError, "value=1.0.*'reflect'"),
    "reflect": (lambda: ops.pad(X, (1, 4), "reflect"), ShapeError, "at most 3 elements.*4; got 1"),
    "circular": (lambda: ops.pad(X, (5, 1), "circular"), ShapeError, "circular.*most 4 elements"),
    "nothing": (lambda: ops.pad(X[:, :, :0], (1, 0), "replicate"), ShapeError, "most 0 elements"),
    "too little": (lambda: ops.pad(X, (-3, -2)), ShapeError, "-3 and -2 on an axis of 4"),
    "layer": (lambda: nn.ReflectionPad2d((1, 2)), ArgumentError,
              r"ReflectionPad2d: padding is a number or 4.*got \(1, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_misuse_is_explained(wrong):
    misuse, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"(?s){message}"):
        misuse()


def test_padding_is_not_shared_with_its_input():
    x = minidl.asarray(np.ones((2, 2)))
    y = ops.pad(x, (0, 0))
    assert not np.shares_memory(y.numpy(), x.numpy())
