"""Tensors by themselves: making them, showing them, and handing them to others."""

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, DTypeError, GradientError, MinidlError, ShapeError
from tests.helpers import HERE
from tests.oracle import torch

# Making.


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (1.5, "float32"),
        ([1, 2], "int64"),
        ([[True, False]], "bool"),
        ([1.0, 2], "float32"),
        (1j, "complex64"),
        ([], "float32"),
        (np.float64(2), "float32"),
        (np.ones(2), "float64"),
        (np.ones(2, ">f4"), "float32"),
        ([np.ones(2), np.zeros(2)], "float64"),
        (range(3), "int64"),
    ],
)
def test_the_dtype_follows_from_the_values(values, dtype):
    for make in (minidl.tensor, minidl.asarray):
        x = make(values)
        assert x.dtype == dtype
        assert x.dtype is getattr(minidl, dtype)
        np.testing.assert_array_equal(x.numpy(), np.asarray(values))


def test_a_requested_dtype_is_exact():
    assert minidl.tensor(0.1, dtype="float64").item() == 0.1
    assert minidl.tensor([0.1], dtype=minidl.float64).tolist() == [0.1]
    assert minidl.asarray(np.float64(0.1), dtype=float).item() == 0.1


def test_tensor_copies_and_asarray_shares():
    a = np.ones(3)
    copied, shared = minidl.tensor(a), minidl.asarray(a, device="cpu")
    a[0] = 5
    assert copied.tolist() == [1, 1, 1]
    assert shared.tolist() == [5, 1, 1]
    assert minidl.asarray(shared) is shared
    assert minidl.asarray(a, copy=True, device="cpu").data is not a
    with pytest.raises(ArgumentError, match="copy=False"):
        minidl.asarray(a, dtype="float32", copy=False, device="cpu")


def test_a_new_tensor_of_a_tracked_one_begins_a_history_of_its_own():
    x = minidl.ones(3, requires_grad=True)
    y = x * 2
    z = minidl.tensor(y, requires_grad=True)
    assert z.is_leaf
    assert minidl.asarray(y, dtype="float64").requires_grad  # a change of dtype is differentiated
    assert minidl.asarray(y, copy=True).requires_grad


@pytest.mark.parametrize("values", ["abc", None, [1, "a"], object(), {1: 2}, [[1], [2, 3]]])
def test_what_is_no_array_of_numbers_is_refused(values):
    with pytest.raises(MinidlError, match="tensor"):
        minidl.tensor(values)


@pytest.mark.parametrize("dtype", ["str", "datetime64[s]", object, "float128", "nonsense"])
def test_what_is_no_dtype_of_numbers_is_refused(dtype):
    with pytest.raises(DTypeError, match=r"dtype|arrays"):
        minidl.zeros(3, dtype=dtype)


def test_creation_functions_are_numpys():
    x = minidl.tensor([[1.0, 2.0]], dtype="float64")
    pairs = [
        (minidl.zeros((2, 3)), np.zeros((2, 3), "f")),
        (minidl.ones(2), np.ones(2, "f")),
        (minidl.full((1, 2), 7), np.full((1, 2), 7)),
        (minidl.full(2, True), np.full(2, True)),
        (minidl.zeros_like(x), np.zeros((1, 2))),
        (minidl.full_like(x, 3, dtype="int8"), np.full((1, 2), 3, "int8")),
        (minidl.arange(5), np.arange(5)),
        (minidl.arange(1, 2, 0.25), np.arange(1, 2, 0.25, "f")),
        (minidl.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype="f")),
        (minidl.eye(2, 3, k=1), np.eye(2, 3, 1, "f")),
        (minidl.empty((0, 2)), np.empty((0, 2), "f")),
    ]
    for ours, numpys in pairs:
        assert ours.dtype == numpys.dtype
        np.testing.assert_array_equal(ours.numpy(), numpys)


@pytest.mark.parametrize("shape", [-1, (2, -3), (1.5,), "ab", None])
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(MinidlError, match="shape"):
        minidl.zeros(shape)


# Showing.


def test_the_representation_says_what_a_learner_wants_to_know():
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    rows = "Tensor([[1., 2.],\n        [3., 4.]], shape=(2, 2), float32"
    there = "" if HERE == "cpu" else f", {HERE}"
    assert repr(x) == f"{rows}{there}, requires_grad)"
    assert repr((x * 2).sum()) == f"Tensor(20., float32{there}, from sum)"
    assert repr(minidl.arange(3)) == f"Tensor([0, 1, 2], int64{there})"
    assert repr(minidl.zeros((0, 2))) == f"Tensor([], shape=(0, 2), float32{there})"
    assert repr(minidl.nn.Parameter([1.0])) == f"Parameter([1.], float32{there}, requires_grad)"
    assert f"{x.sum():.2f}" == "10.00"


# Leaving.


def test_numbers_leave_as_python_numbers():
    x = minidl.tensor([2.5])
    assert (x.item(), float(x), int(x), complex(x), bool(x)) == (2.5, 2.5, 2, 2.5 + 0j, True)
    assert minidl.arange(4).tolist() == [0, 1, 2, 3]
    assert [10, 20, 30][minidl.asarray(1)] == 20
    with pytest.raises(DTypeError, match="index"):
        [1, 2][minidl.asarray(1.0)]
    for wrong in (lambda x: x.item(), bool, float):
        with pytest.raises(ShapeError):
            wrong(minidl.ones(2))


def test_length_and_iteration():
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2
    first, second = x
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3, 4], [1, 2]]
    for refuse in (len, iter):
        with pytest.raises(DTypeError, match="without axes"):  # so NumPy knows it for a number
            refuse(x.sum())


def test_numpy_sees_the_values():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    assert np.asarray(x).dtype == np.float32
    assert np.asarray(x, dtype="float64").tolist() == [1, 2]
    assert np.add(np.asarray(x), 1).tolist() == [2, 3]
    assert x.__array_namespace__() is minidl


def test_dlpack_goes_both_ways():
    x = minidl.tensor([1.0, 2.0], device="cpu")
    assert np.shares_memory(np.from_dlpack(x), x.data)
    assert np.shares_memory(minidl.from_dlpack(np.arange(3)).data, x.data) is False
    a = np.arange(3.0)
    assert np.shares_memory(minidl.from_dlpack(a).data, a)


def test_dlpack_with_pytorch():
    x = minidl.tensor([1.0, 2.0], device="cpu")
    theirs = torch.from_dlpack(x)
    theirs[0] = 5
    assert x.tolist() == [5, 2]
    assert minidl.from_dlpack(theirs).tolist() == [5, 2]
    assert minidl.asarray(torch.ones(2, dtype=torch.float64)).dtype == minidl.float64


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(clone):
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    (x * 1).sum().backward()
    y = clone(x)
    assert y.requires_grad
    assert y.grad is None
    with minidl.no_grad():
        y[0] = 5.0
    assert x.tolist() == [1, 2]
    with pytest.raises(GradientError, match="detach"):
        clone(x * 2)


def test_transposes():
    x = minidl.tensor(np.arange(6.0).reshape(1, 2, 3))
    assert x.mT.shape == (1, 3, 2)
    assert x[0].T.tolist() == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(ShapeError, match="matrices"):
        _ = x.T


def test_logic_is_of_bools():
    x = minidl.asarray([True, False])
    mask = np.array([True, True])
    assert (x & mask).tolist() == (mask & x).tolist() == [True, False]
    assert (x | False).tolist() == (False | x).tolist() == [True, False]
    assert (x ^ mask).tolist() == (~x).tolist() == [False, True]
    x &= mask
    assert x.dtype == minidl.bool
    bits = minidl.asarray([5, 6])
    for wrong in (lambda: x & 1, lambda: x | bits, lambda: bits ^ x, lambda: ~minidl.ones(2)):
        with pytest.raises(DTypeError, match=r"needs bools or integers alone"):
            wrong()


# Errors name the operation, what it got, and what it needs.


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x + minidl.ones((3, 4)), ShapeError, r"add\(float32 \(2, 3\).*broadcast"),
        (lambda x: x @ x, ShapeError, r"matmul: inner lengths must agree.*\(2, 3\)"),
        (lambda x: x.sum(axis=2), ShapeError, r"sum: axis 2 is not one of shape \(2, 3\)"),
        (lambda x: x.reshape(4, 2), ShapeError, "reshape"),
        (lambda x: x + "a", DTypeError, r"add: input 1 is str 'a'; needs a tensor"),
        (lambda x: minidl.add(x, [1, 2, 3]), DTypeError, "add: input 1 is list"),
        (lambda x: (x > 0) + (x > 0), DTypeError, "add.*bool.*logical_or"),
        (
            lambda x: minidl.arange(3).astype("uint8") + 300,
            DTypeError,
            "300 does not fit into uint8",
        ),
        (lambda x: x[5], IndexError, "getitem.*out of bounds"),
        (
            lambda x: minidl.take_along_axis(x, minidl.asarray([[9]]), axis=1),
            IndexError,
            "take_along",
        ),
        (lambda x: minidl.concat([]), ShapeError, "concat: needs a list"),
        (lambda x: minidl.concat([x, minidl.ones(3)]), ShapeError, "concat"),
        (lambda x: minidl.sum(x, axs=1), TypeError, r"sum\(x.*axs"),
        (lambda x: minidl.exp(), TypeError, "exp"),
        (
            lambda x: minidl.linear(x, minidl.ones((4, 5))),
            ShapeError,
            r"linear: needs x.*\(…, in\)",
        ),
        (
            lambda x: x.to_device("tpu"),
            RuntimeError,
            "no device 'tpu'; minidl knows 'cpu'",
        ),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(call, error, message):
    with pytest.raises(error, match=message):
        call(minidl.ones((2, 3)))
