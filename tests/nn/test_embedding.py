"""Embedding: the kernel against the body, the layer against PyTorch, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import minidl
from minidl import nn, ops
from minidl.backends.kernels import embedding as kernels
from minidl.errors import ArgumentError, BoundsError, DTypeError, GradientError, ShapeError
from minidl.nn import init
from tests.helpers import assert_all_close, assert_close, on_host
from tests.oracle import functional, torch

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_kernels = pytest.mark.parametrize("how", ["fast", "reference"])


def drawn(rows, width, ids, dtype="float32", seed=0):
    """A table, and ids of its rows in that shape, some of them equal."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, width)).astype(dtype), rng.integers(0, rows, ids)


def outcome(weight, ids, how="fast", **settings):
    """The rows, and the gradient of the table as a dense array."""
    leaf = minidl.asarray(weight, requires_grad=True)
    with minidl.kernels(how):
        y = ops.embedding(leaf, minidl.asarray(ids), **settings)
        dy = np.random.default_rng(3).normal(size=y.shape).astype(y.dtype)
        (gradient,) = minidl.gradients(y, [leaf], [minidl.asarray(dy)])
    return [np.asarray(y), on_host(gradient)]


# The kernel.

shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)


@given(
    rows=st.integers(1, 9),
    width=st.integers(0, 5),
    ids=shapes,
    dtype=st.sampled_from(["float32", "float64"]),
    integer=st.sampled_from(["int64", "int32", "uint8"]),
    sparse=st.booleans(),
    padding=st.none() | st.integers(-9, 8),
    backwards=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_kernel_is_the_body(rows, width, ids, dtype, integer, sparse, padding, backwards, seed):
    weight, ids = drawn(rows, width, ids, dtype, seed)
    ids = ids.astype(integer)
    if backwards:
        weight, ids = weight[::-1, ::-1], ids.T
    padding = padding if padding is None or -rows <= padding < rows else None
    fast = outcome(weight, ids, padding_idx=padding, sparse=sparse)
    slow = outcome(weight, ids, "reference", padding_idx=padding)
    np.testing.assert_array_equal(fast[0], slow[0])
    assert_all_close(fast, slow, TOLERANCE[dtype])


@pytest.mark.parametrize("chunks", [2, 3, 7])
def test_any_number_of_threads_gives_the_same_bits(chunks, monkeypatch):
    weight, ids = drawn(50, 7, (30, 40))
    alone = outcome(weight, ids)
    monkeypatch.setattr(kernels.threads, "chunks", lambda _: chunks)
    for one, other in zip(outcome(weight, ids), alone, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("wrong", [-1, 5, 2**40])
@pytest.mark.parametrize("how", ["fast", "reference"])
def test_a_row_that_does_not_exist(wrong, how, chunks, monkeypatch):
    monkeypatch.setattr(kernels.threads, "chunks", lambda _: chunks)
    message = f"embedding: (check_indices: )?index {wrong} is outside 0 … 4"
    with minidl.kernels(how), pytest.raises(BoundsError, match=message):
        ops.embedding(ops.ones((5, 2)), minidl.asarray([0, 4, 1, wrong, 3, -7]))


def test_values_of_special_rows_are_kept():
    weight = np.array([[np.nan, 1.0], [np.inf, -0.0]], "float32")
    y, _ = outcome(weight, np.array([1, 0, 1]))
    np.testing.assert_array_equal(y, weight[[1, 0, 1]])
    assert np.signbit(y[0, 1])


# The layer and PyTorch's.

LAYERS = [
    {},
    {"padding_idx": 2},
    {"padding_idx": -1},
    {"padding_idx": 0, "scale_grad_by_freq": True},
    {"scale_grad_by_freq": True},
    {"max_norm": 1.0},
    {"max_norm": 0.5, "norm_type": 1.0, "padding_idx": 3},
    {"max_norm": 0.7, "norm_type": float("inf")},
    {"max_norm": 1.5, "norm_type": 3, "scale_grad_by_freq": True},
    {"sparse": True},
    {"sparse": True, "padding_idx": 1},
]
each_layer = pytest.mark.parametrize("settings", LAYERS, ids=str)


def twins(settings, dtype="float32", rows=6, width=4):
    """minidl's layer and PyTorch's, with the same table."""
    weight, _ = drawn(rows, width, (), dtype)
    ours = nn.Embedding(rows, width, **settings, dtype=dtype)
    theirs = torch.nn.Embedding(rows, width, **settings, dtype=getattr(torch, dtype))
    ours.load_state_dict({"weight": weight})
    theirs.load_state_dict({"weight": torch.from_numpy(weight)})
    return ours, theirs


def dense(gradient):
    """A gradient of either library as an array."""
    return gradient.to_dense().numpy() if isinstance(gradient, torch.Tensor) else on_host(gradient)


@pytest.mark.parametrize(
    "settings",
    [
        *LAYERS,
        {"sparse": True, "scale_grad_by_freq": True, "padding_idx": -2},
        {"sparse": True, "max_norm": 0.8, "scale_grad_by_freq": True},
    ],
    ids=str,
)
@each_dtype
@each_kernels
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0,)])
def test_the_layer_is_pytorchs(settings, shape, dtype, how):
    ours, _ = twins(settings, dtype)
    _, theirs = twins({**settings, "sparse": False}, dtype)
    ids = drawn(6, 4, shape)[1]
    with minidl.kernels(how):
        y = ours(minidl.asarray(ids))
        expected = theirs(torch.from_numpy(np.asarray(ids)))
        assert_close(y, expected.detach().numpy(), TOLERANCE[dtype])
        assert_close(ours.weight, theirs.weight.detach().numpy(), TOLERANCE[dtype])
        (y * y * y).sum().backward()
        (expected * expected * expected).sum().backward()
    assert_close(dense(ours.weight.grad), dense(theirs.weight.grad), TOLERANCE[dtype])


@each_layer
@each_dtype
def test_ten_steps_are_pytorchs(settings, dtype):
    ours, theirs = twins(settings, dtype)
    optimizers = (
        minidl.optim.SGD(ours.parameters(), lr=0.1),
        torch.optim.SGD(theirs.parameters(), lr=0.1),
    )
    rng = np.random.default_rng(0)
    for _ in range(10):
        ids = rng.integers(0, 6, (3, 4))
        goal = rng.normal(size=(3, 4, 4)).astype(dtype)
        losses = (
            ((ours(minidl.asarray(ids)) - minidl.asarray(goal)) ** 2).mean(),
            ((theirs(torch.from_numpy(ids)) - torch.from_numpy(goal)) ** 2).mean(),
        )
        for loss, optimizer in zip(losses, optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert_close(ours.weight, theirs.weight.detach().numpy(), TOLERANCE[dtype])


@pytest.mark.parametrize("settings", [{}, {"padding_idx": 2}], ids=str)
def test_second_derivatives_are_pytorchs(settings):
    ours, theirs = twins(settings, "float64")
    ids = drawn(6, 4, (3, 4))[1]
    with minidl.higher_order():
        y = (ours(minidl.asarray(ids)) ** 3).sum()
        (first,) = minidl.gradients(y, [ours.weight], create_graph=True)
        (second,) = minidl.gradients((first**2).sum(), [ours.weight])
    expected = (theirs(torch.from_numpy(ids)) ** 3).sum()
    (slope,) = torch.autograd.grad(expected, theirs.weight, create_graph=True)
    (curvature,) = torch.autograd.grad((slope**2).sum(), theirs.weight)
    assert_close(first.detach(), slope.detach().numpy(), 1e-10)
    assert_close(second, curvature.numpy(), 1e-10)


@each_layer
def test_repr_and_state_are_pytorchs(settings):
    ours, theirs = twins(settings)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.padding_idx == theirs.padding_idx


def test_from_pretrained_is_pytorchs():
    weight, ids = drawn(5, 3, (4,))
    for settings in ({}, {"freeze": False, "padding_idx": -2}, {"max_norm": 1.0, "sparse": True}):
        ours = nn.Embedding.from_pretrained(minidl.tensor(weight), **settings)
        theirs = torch.nn.Embedding.from_pretrained(torch.tensor(weight), **settings)
        assert repr(ours) == repr(theirs)
        assert ours.weight.requires_grad == theirs.weight.requires_grad
        y = theirs(torch.from_numpy(ids)).detach().numpy()
        assert_close(ours(minidl.asarray(ids)).detach(), y, 1e-6)


def test_functional_twin_agrees():
    weight, ids = drawn(6, 4, (3, 4))
    leaf = torch.from_numpy(weight)
    expected = functional.embedding(torch.from_numpy(ids), leaf).numpy()
    assert_close(nn.Embedding.from_pretrained(weight)(minidl.asarray(ids)), expected, 0)


# How it begins.


def test_the_table_is_initialised_normally():
    minidl.manual_seed(0)
    weight = nn.Embedding(300, 100).weight.numpy()
    assert weight.dtype == "float32"
    assert stats.kstest(weight.ravel(), "norm").pvalue > 1e-3


def test_the_row_of_the_padding_index_is_zero_and_may_be_set():
    layer = nn.Embedding(4, 3, padding_idx=-3)
    assert (layer.weight.numpy() == 0).any(axis=1).tolist() == [False, True, False, False]
    init.fill(layer.weight, 2.0)
    assert layer(minidl.asarray([1])).tolist() == [[2, 2, 2]]


def test_a_bad_gradient_of_the_padding_index_stays_out():
    layer = nn.Embedding(3, 2, padding_idx=0)
    y = layer(minidl.asarray([0, 1]))
    y.backward(minidl.asarray(np.array([[np.nan, np.inf], [1, 1]], "float32")))
    assert layer.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0]]


def test_nothing_is_recorded_where_nothing_is_learned():
    layer = nn.Embedding(3, 2, padding_idx=0, scale_grad_by_freq=True)
    with minidl.no_grad():
        assert not layer(minidl.asarray([0, 1])).requires_grad
    frozen = nn.Embedding.from_pretrained(layer.weight, padding_idx=0)
    assert not frozen(minidl.asarray([0, 1])).requires_grad


def test_shortening_touches_only_rows_that_are_used_and_too_long():
    weight = np.array([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], "float32")
    layer = nn.Embedding.from_pretrained(minidl.tensor(weight), max_norm=1.0)
    layer(minidl.asarray([0, 1, 0]))
    np.testing.assert_allclose(layer.weight, [[0.6, 0.8], [0.3, 0.4], [6, 8]], rtol=1e-6)


# What is refused.

LAYER = nn.Embedding(5, 2)
WRONG = {
    "range": (lambda: LAYER(minidl.asarray([0, 5])), BoundsError, "embedding: index 5.*0 … 4"),
    "negative": (lambda: LAYER(minidl.asarray([-1])), BoundsError, "index -1 is outside"),
    "shortened": (
        lambda: nn.Embedding(5, 2, max_norm=1.0)(minidl.asarray([7])),
        BoundsError,
        "index 7 is outside",
    ),
    "floats": (
        lambda: LAYER(ops.ones(3)),
        DTypeError,
        r"Embedding\(5, 2\) needs a tensor of integers; got float32 \(3,\)",
    ),
    "bools": (lambda: LAYER(ops.ones(5, dtype="bool")), DTypeError, r"integers; got bool \(5,\)"),
    "list": (lambda: LAYER([0, 1]), DTypeError, r"integers; got list \[0, 1\]"),
    "None": (lambda: LAYER(None), DTypeError, "integers; got None"),
    "padding": (
        lambda: nn.Embedding(5, 2, padding_idx=5),
        ArgumentError,
        "padding_idx is a row of the 5; got 5",
    ),
    "far padding": (lambda: nn.Embedding(5, 2, padding_idx=-6), ArgumentError, "got -6"),
    "half padding": (lambda: nn.Embedding(5, 2, padding_idx=1.5), ArgumentError, r"got 1\.5"),
    "norm": (lambda: nn.Embedding(5, 2, max_norm=-1.0), ArgumentError, r"max_norm.*got -1\.0"),
    "norm type": (
        lambda: nn.Embedding(5, 2, max_norm=1.0, norm_type=0),
        ArgumentError,
        "norm_type is a number above 0; got 0",
    ),
    "weight": (
        lambda: nn.Embedding(5, 2, _weight=ops.ones((2, 5))),
        ShapeError,
        r"needs a weight of shape \(5, 2\); got \(2, 5\)",
    ),
    "vector": (
        lambda: nn.Embedding.from_pretrained(ops.ones(3)),
        ShapeError,
        r"from_pretrained: needs a table.*got \(3,\)",
    ),
    "integers": (
        lambda: nn.Embedding.from_pretrained([[1, 2]], freeze=False),
        GradientError,
        "int64",
    ),
}


@pytest.mark.parametrize(("misuse", "kind", "message"), WRONG.values(), ids=WRONG)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=message):
        misuse()


def test_an_id_that_does_not_exist_changes_nothing():
    layer = nn.Embedding(3, 2, max_norm=0.1)
    before = layer.weight.numpy().copy()
    with pytest.raises(BoundsError):
        layer(minidl.asarray([0, 3]))
    np.testing.assert_array_equal(layer.weight, before)
