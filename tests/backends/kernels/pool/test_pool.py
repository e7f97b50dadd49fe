"""Pooling: kernels against bodies, both against PyTorch, and what is refused."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minidl
from minidl import nn, ops
from minidl.backends.kernels.pool import max_pool as kernels
from minidl.errors import ArgumentError, MinidlError, ShapeError
from tests.helpers import assert_all_close, assert_close
from tests.ops.nn import fused
from tests.oracle import functional, torch
from tests.toy_backend import TOY

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
each_kernels = pytest.mark.parametrize("kernels", ["fast", "reference"])
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


# Drawn images and windows.

sizes = st.one_of(st.integers(1, 4), st.tuples(st.integers(1, 4), st.integers(1, 4)))


@st.composite
def settings_of_pooling(draw, dilations=(1, 2, 3)):
    """Settings of a pooling, and a shape that they may fit."""
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    one = draw(st.booleans())
    settings = {
        "kernel_size": window[0] if one else window,
        "stride": draw(st.none() | sizes),
        "padding": draw(st.just(0) | st.tuples(*(st.integers(0, k // 2) for k in window))),
        "ceil_mode": draw(st.booleans()),
    }
    if one:
        settings["padding"] = draw(st.integers(0, window[0] // 2))
    if dilations:
        settings["dilation"] = draw(st.sampled_from(dilations))
    batch = draw(st.sampled_from([(1,), (3,), (2, 3), (5, 1), (0, 2)]))
    return settings, (*batch, draw(st.integers(1, 9)), draw(st.integers(1, 9)))


def laid_out(x, layout):
    """The same array in another order of memory."""
    if layout == "backwards":
        return np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
    if layout == "channels last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -3, -1)), -1, -3)
    if layout == "every other":
        return np.repeat(x, 2, axis=-1)[..., ::2]
    return x


layouts = st.sampled_from(["contiguous", "backwards", "channels last", "every other"])
ORDINARY, TIES, SPECIAL = "ordinary", "ties", "special"


def image(shape, seed, kind, dtype):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) if kind == ORDINARY else rng.integers(-1, 2, shape)
    x = x.astype(dtype)
    if kind == SPECIAL:
        x = np.where(rng.random(shape) < 0.5, rng.choice([np.nan, -np.inf, np.inf], shape), x)
    return x.astype(dtype)


def outcome(operation, x, how="fast"):
    """The outputs of an operation, and its gradient for a dy that is the same each time."""
    leaf = minidl.asarray(x, requires_grad=True)
    with minidl.kernels(how), np.errstate(all="ignore"):
        outputs = operation(leaf)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        rng = np.random.default_rng(5)
        dy = rng.normal(size=outputs[0].shape).astype(outputs[0].dtype)
        (dx,) = minidl.gradients(outputs[0], [leaf], [minidl.asarray(dy)])
    return [np.asarray(each) for each in (*outputs, dx)]


def pytorchs(operation, x):
    """What PyTorch gives for the same."""
    leaf = torch.from_numpy(np.ascontiguousarray(x)).requires_grad_()
    outputs = operation(leaf)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    dy = np.random.default_rng(5).normal(size=outputs[0].shape).astype(x.dtype)
    (dx,) = torch.autograd.grad(outputs[0], leaf, torch.from_numpy(dy))
    return [each.detach().numpy() for each in (*outputs, dx)]


def assert_same(ours, theirs, dtype):
    assert_all_close(ours, theirs, TOLERANCE[dtype])


# Kernels and bodies.


@given(
    drawn=settings_of_pooling(),
    kind=st.sampled_from([ORDINARY, TIES, SPECIAL]),
    dtype=st.sampled_from(["float32", "float64"]),
    layout=layouts,
    seed=st.integers(0, 2**32 - 1),
)
def test_the_kernel_of_max_pooling_is_its_body(drawn, kind, dtype, layout, seed):
    settings, shape = drawn
    x = laid_out(image(shape, seed, kind, dtype), layout)

    def operation(t):
        return ops.max_pool2d(t, **settings, return_indices=True)

    try:
        fast = outcome(operation, x)
    except ShapeError as error:
        with pytest.raises(ShapeError, match=re.escape(str(error))):
            outcome(operation, x, "reference")
        return
    slow = outcome(operation, x, "reference")
    for one, other in zip(fast[:2], slow[:2], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert_close(fast[2], slow[2], TOLERANCE[dtype])


@given(
    drawn=settings_of_pooling(dilations=()),
    counted=st.booleans(),
    divisor=st.sampled_from([None, 3, -2]),
    special=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    layout=layouts,
    seed=st.integers(0, 2**32 - 1),
)
def test_the_kernel_of_average_pooling_is_its_body(
    drawn, counted, divisor, special, dtype, layout, seed
):
    settings, shape = drawn
    x = laid_out(image(shape, seed, SPECIAL if special else ORDINARY, dtype), layout)

    def operation(t):
        return ops.avg_pool2d(t, **settings, count_include_pad=counted, divisor_override=divisor)

    try:
        fast = outcome(operation, x)
    except ShapeError as error:
        with pytest.raises(ShapeError, match=re.escape(str(error))):
            outcome(operation, x, "reference")
        return
    assert_same(fast, outcome(operation, x, "reference"), dtype)


output_sizes = st.one_of(
    st.integers(1, 9),
    st.tuples(*[st.none() | st.integers(1, 9)] * 2),
    st.just(1),
    st.none(),
)


@given(
    size=output_sizes,
    shape=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    special=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    layout=layouts,
    seed=st.integers(0, 2**32 - 1),
)
def test_the_kernel_of_adaptive_pooling_is_its_body(size, shape, special, dtype, layout, seed):
    x = laid_out(image(shape, seed, SPECIAL if special else ORDINARY, dtype), layout)
    operation = lambda t: ops.adaptive_avg_pool2d(t, size)
    assert_same(outcome(operation, x), outcome(operation, x, "reference"), dtype)


@given(
    drawn=settings_of_pooling(),
    squares=st.booleans(),
    kind=st.sampled_from([ORDINARY, TIES, SPECIAL]),
    layout=layouts,
    seed=st.integers(0, 2**32 - 1),
)
def test_the_kernel_of_max_pooling_and_relu_is_its_body(drawn, squares, kind, layout, seed):
    settings, shape = drawn
    settings = {"kernel_size": 2} if squares else settings
    x = laid_out(image(shape, seed, kind, "float32"), layout)
    try:
        fast = outcome(lambda t: fused.max_pool2d_relu(t, **settings), x)
    except ShapeError as error:
        with pytest.raises(ShapeError, match=re.escape(str(error))):
            outcome(lambda t: fused.max_pool2d_relu(t, **settings), x, "reference")
        return
    slow = outcome(lambda t: fused.max_pool2d_relu(t, **settings), x, "reference")
    np.testing.assert_array_equal(fast[0], slow[0])
    assert_close(fast[1], slow[1], TOLERANCE["float32"])
    apart = outcome(lambda t: ops.max_pool2d(ops.relu(t), **settings), x)
    np.testing.assert_array_equal(fast[0], apart[0])


@pytest.mark.parametrize("shape", [(7, 3, 2, 2), (4, 9, 11), (3, 5, 64, 66)])
@pytest.mark.parametrize(
    "operation",
    [
        lambda x: ops.max_pool2d(x, 2, return_indices=True),
        lambda x: ops.max_pool2d(x, 2, 1, 1, return_indices=True),
        lambda x: fused.max_pool2d_relu(x, 2),
        lambda x: ops.avg_pool2d(x, 2),
        lambda x: ops.adaptive_avg_pool2d(x, 1),
        lambda x: ops.adaptive_avg_pool2d(x, 2),
    ],
)
def test_any_number_of_threads_gives_the_same_bits(operation, shape, monkeypatch):
    x = image(shape, 3, ORDINARY, "float32")
    alone = outcome(operation, x)
    monkeypatch.setattr(kernels.threads, "chunks", lambda _: 3)
    for one, other in zip(outcome(operation, x), alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_window_of_more_taps_than_a_byte_can_number():
    x = image((1, 2, 17, 18), 0, ORDINARY, "float32")
    assert kernels.max_pool2d(x, 16) is NotImplemented
    y, indices, _ = outcome(lambda t: ops.max_pool2d(t, (17, 18), return_indices=True), x)
    np.testing.assert_array_equal(y.ravel(), x.max(axis=(2, 3)).ravel())
    np.testing.assert_array_equal(indices.ravel(), x.reshape(2, -1).argmax(axis=1))


def test_max_pooling_keeps_one_byte_for_each_window():
    y = ops.max_pool2d(
        minidl.asarray(image((2, 3, 8, 8), 0, ORDINARY, "float32"), requires_grad=True), 2
    )
    captured = [c.cell_contents for c in y.edge[0].pullback.__closure__]
    arrays = [c for c in captured if isinstance(c, np.ndarray)]
    assert sum(a.nbytes for a in arrays) == y.size


# PyTorch.


@each_kernels
@each_dtype
@given(drawn=settings_of_pooling(), ties=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_max_pooling_is_pytorchs(drawn, ties, seed, dtype, kernels):
    settings, shape = drawn
    x = image(shape, seed, TIES if ties else ORDINARY, dtype)
    try:
        ours = outcome(lambda t: ops.max_pool2d(t, **settings, return_indices=True), x, kernels)
    except ShapeError:
        assume(False)
    theirs = pytorchs(lambda t: functional.max_pool2d(t, **settings, return_indices=True), x)
    assert_same(ours, theirs, dtype)


@each_kernels
@each_dtype
@given(
    drawn=settings_of_pooling(dilations=()),
    counted=st.booleans(),
    divisor=st.sampled_from([None, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_average_pooling_is_pytorchs(drawn, counted, divisor, seed, dtype, kernels):
    settings, shape = drawn
    x = image(shape, seed, ORDINARY, dtype)
    settings |= {"count_include_pad": counted, "divisor_override": divisor}
    try:
        ours = outcome(lambda t: ops.avg_pool2d(t, **settings), x, kernels)
    except ShapeError:
        assume(False)
    assert_same(ours, pytorchs(lambda t: functional.avg_pool2d(t, **settings), x), dtype)


@each_kernels
@each_dtype
@pytest.mark.parametrize("size", [1, 2, 5, 9, (3, 1), (None, 4), (2, None)])
@pytest.mark.parametrize("shape", [(2, 3, 7, 5), (3, 4, 4), (0, 2, 3, 3)])
def test_adaptive_pooling_is_pytorchs(size, shape, dtype, kernels):
    x = image(shape, 1, ORDINARY, dtype)
    ours = outcome(lambda t: ops.adaptive_avg_pool2d(t, size), x, kernels)
    assert_same(ours, pytorchs(lambda t: functional.adaptive_avg_pool2d(t, size), x), dtype)


@each_kernels
@pytest.mark.parametrize("window", [(2, 2), (3, 1, 1), (3, 2, 1), ((1, 2), 1)])
def test_not_a_number_and_infinities_go_where_pytorchs_go(window, kernels):
    for seed in range(5):
        x = image((2, 3, 6, 6), seed, SPECIAL, "float32")
        ours = outcome(lambda t: ops.max_pool2d(t, *window, return_indices=True), x, kernels)
        theirs = pytorchs(lambda t: functional.max_pool2d(t, *window, return_indices=True), x)
        assert_same(ours, theirs, "float32")


@each_kernels
def test_the_padding_is_never_chosen(kernels):
    x = np.full((1, 1, 2, 2), -np.inf, "float32")
    y, indices, dx = outcome(lambda t: ops.max_pool2d(t, 2, 1, 1, return_indices=True), x, kernels)
    assert (y == -np.inf).all()
    assert indices.tolist() == [[[[0, 0, 1], [0, 0, 1], [2, 2, 3]]]]
    assert np.isfinite(dx).all()


@each_kernels
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_integers_are_pooled_as_pytorch_pools_them(dtype, kernels):
    x = np.random.default_rng(0).integers(0, 200, (2, 3, 5, 6)).astype(dtype)
    with minidl.kernels(kernels):
        y, indices = ops.max_pool2d(minidl.asarray(x), 3, 2, 1, return_indices=True)
        mean = ops.avg_pool2d(minidl.asarray(x), 2)
        assert ops.adaptive_avg_pool2d(minidl.asarray(x), 1).dtype == mean.dtype == "float32"
    theirs = functional.max_pool2d(torch.from_numpy(x), 3, 2, 1, return_indices=True)
    assert_all_close([y, indices], [each.numpy() for each in theirs], 0)
    assert_close(mean, functional.avg_pool2d(torch.from_numpy(x).float(), 2).numpy(), 1e-6)


def test_indices_have_no_derivative():
    x = minidl.asarray(image((1, 1, 4, 4), 0, ORDINARY, "float32"), requires_grad=True)
    y, indices = ops.max_pool2d(x, 2, return_indices=True)
    assert y.requires_grad
    assert not indices.requires_grad
    assert indices.dtype == "int64"


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: ops.max_pool2d(x, 3, 2, 1),
        lambda x: ops.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        lambda x: ops.adaptive_avg_pool2d(x, (2, 3)),
    ],
)
def test_bodies_run_on_any_backend(operation):
    x = image((2, 2, 5, 5), 0, ORDINARY, "float64")
    expected = outcome(operation, x)
    leaf = ops.to_device(minidl.asarray(x), TOY).requires_grad_()
    y = operation(leaf)
    assert y.device == TOY
    assert_close(y.to_device("cpu"), expected[0], 1e-12)
    y.sum().backward()
    one = minidl.asarray(x, requires_grad=True)
    operation(one).sum().backward()
    assert_close(leaf.grad.to_device("cpu"), one.grad, 1e-12)


# Layers.

LAYERS = [
    ("MaxPool2d", {"kernel_size": 2}),
    ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("MaxPool2d", {"kernel_size": (3, 2), "stride": (2, 1), "dilation": 2, "ceil_mode": True}),
    ("AvgPool2d", {"kernel_size": 2}),
    ("AvgPool2d", {"kernel_size": (3, 2), "stride": 2, "padding": (1, 0), "ceil_mode": True}),
    ("AvgPool2d", {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
    ("AvgPool2d", {"kernel_size": 3, "divisor_override": 5}),
    ("AdaptiveAvgPool2d", {"output_size": 1}),
    ("AdaptiveAvgPool2d", {"output_size": (None, 3)}),
]
each_layer = pytest.mark.parametrize(("name", "settings"), LAYERS)


@each_layer
@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (3, 9, 8)])
def test_layers_are_pytorchs(name, settings, shape):
    ours, theirs = (getattr(library, name)(**settings) for library in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    assert not ours.state_dict()
    x = image(shape, 2, ORDINARY, "float32")
    assert_same(outcome(ours, x), pytorchs(theirs, x), "float32")


def test_a_layer_may_give_indices():
    x = image((2, 3, 8, 9), 2, ORDINARY, "float32")
    ours, theirs = (m.MaxPool2d(2, return_indices=True) for m in (nn, torch.nn))
    assert_same(outcome(ours, x), pytorchs(theirs, x), "float32")


# What is refused.

X = ops.ones((2, 3, 5, 4))
WRONG = {
    "axes": (lambda: ops.max_pool2d(X[0, 0], 2), ShapeError, r"\(N, C, H, W\).*got \(5, 4\)"),
    "one number": (lambda: ops.avg_pool2d(ops.ones(()), 2), ShapeError, r"avg_pool2d.*got \(\)"),
    "five axes": (lambda: ops.adaptive_avg_pool2d(X[None], 1), ShapeError, r"\(1, 2, 3, 5, 4\)"),
    "no window": (lambda: ops.max_pool2d(X, 0), ArgumentError, "kernel_size.*≥ 1.*got 0"),
    "half": (lambda: ops.max_pool2d(X, 1.5), ArgumentError, r"kernel_size.*got 1\.5"),
    "three": (lambda: ops.avg_pool2d(X, (1, 2, 3)), ArgumentError, r"kernel_size.*\(1, 2, 3\)"),
    "stride": (
        lambda: ops.max_pool2d(X, 2, 0),
        ArgumentError,
        "max_pool2d: stride is a number ≥ 1, or two; got 0",
    ),
    "True": (lambda: ops.max_pool2d(X, 2, True), ArgumentError, "stride.*got True"),
    "dilation": (lambda: ops.max_pool2d(X, 2, dilation=0), ArgumentError, "dilation.*got 0"),
    "negative padding": (lambda: ops.avg_pool2d(X, 2, padding=-1), ArgumentError, "got -1"),
    "padding": (
        lambda: ops.max_pool2d(X, 3, padding=2),
        ArgumentError,
        r"at most half the window, \(1, 1\).*got \(2, 2\)",
    ),
    "too large": (
        lambda: ops.max_pool2d(X, (7, 2), padding=(0, 1)),
        ShapeError,
        "max_pool2d: a window of 7 does not fit into a length of 5$",
    ),
    "too wide": (
        lambda: ops.avg_pool2d(X, 7, padding=1),
        ShapeError,
        "avg_pool2d: a window of 7 does not fit into a length of 6 with its padding",
    ),
    "dilated": (
        lambda: ops.max_pool2d(X, 2, dilation=4),
        ShapeError,
        "a window of 2 that covers 5 does not fit into a length of 4",
    ),
    "padding only": (
        lambda: ops.max_pool2d(X[:, :, :1], 2, 1, 1, (2, 1)),
        ShapeError,
        "sees nothing but padding on images of .1, 4.",
    ),
    "no pixels": (lambda: ops.max_pool2d(X[:, :, :0], 2, 1, 1), ShapeError, "nothing but padding"),
    "no mean": (lambda: ops.adaptive_avg_pool2d(X[:, :, :0], 2), ShapeError, r"\(0, 4\).*no mean"),
    "divisor": (lambda: ops.avg_pool2d(X, 2, divisor_override=0), ArgumentError, "other than 0"),
    "output": (lambda: ops.adaptive_avg_pool2d(X, 0), ArgumentError, "output_size.*≥ 1"),
    "outputs": (lambda: ops.adaptive_avg_pool2d(X, (1, 2, 3)), ArgumentError, "output_size"),
}


@each_kernels
@pytest.mark.parametrize(("misuse", "kind", "message"), WRONG.values(), ids=WRONG)
def test_misuse_is_explained(misuse, kind, message, kernels):
    with minidl.kernels(kernels), pytest.raises(kind, match=message):
        misuse()


@pytest.mark.parametrize(
    "layer", [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(2)], ids=repr
)
@pytest.mark.parametrize("x", [[1.0], None, 2.0])
def test_a_layer_says_that_it_needs_a_tensor(layer, x):
    with pytest.raises(MinidlError, match=r"(max|avg)_pool2d"):
        layer(x)
