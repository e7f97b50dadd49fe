"""Pooling on the GPU: its kernels against the bodies on the CPU.

The same bits where nothing is added up.
"""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.errors import ShapeError
from tests.backends.kernels.pool.test_pool import (
    ORDINARY,
    SPECIAL,
    TIES,
    image,
    laid_out,
    layouts,
    settings_of_pooling,
)
from tests.cuda.kernels.examples import examples
from tests.cuda.stand_in import counters
from tests.exactness import KINDS, excess, hostile
from tests.ops.nn import fused

UNIT = {"float32": 2.0**-24, "float16": 2.0**-11}
each_dtype = pytest.mark.parametrize("dtype", UNIT)
kinds = st.sampled_from([ORDINARY, TIES, SPECIAL])
dtypes = st.sampled_from(list(UNIT))
seeds = st.integers(0, 2**32 - 1)
few = examples(30)


def outcome(operation, x, device="cuda"):
    """The outputs, and the gradient for a dy that is the same each time."""
    leaf = minidl.tensor(x, device=device, requires_grad=True)
    with np.errstate(all="ignore"):
        outputs = operation(leaf)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        dy = np.random.default_rng(5).normal(size=outputs[0].shape).astype(x.dtype)
        dy = minidl.tensor(dy, device=device)
        before = counters.h2d, counters.d2h, counters.sync
        (dx,) = minidl.gradients(outputs[0], [leaf], [dy])
        assert (counters.h2d, counters.d2h, counters.sync) == before
    return [each.numpy() for each in (*outputs, dx)]


def on_gpu(operation, x):
    """The outcome of the kernels: a launch forward, one backward, and a copy of x and dy."""
    counters.reset()
    found = outcome(operation, x)
    ours = {name for name in counters.launches if re.search(r"^(max|avg)_pool2d_", name)}
    if x.size:
        assert set(counters.launches) - ours <= {"ascontiguousarray", "copy", "zeros"}
        assert sum(counters.launches[name] for name in ours) == 2
    return found


def in_float64(operation, x):
    with minidl.kernels("reference"):
        return outcome(operation, x.astype("float64"), "cpu")


def assert_means_are_right(operation, x):
    """y is rounded once or twice, dx once for each window that an element is in."""
    found, needed = on_gpu(operation, x), in_float64(operation, x)
    for ours, exact in zip(found, needed, strict=True):
        assert ours.dtype == x.dtype
        finite = np.isfinite(exact)
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(exact))
        np.testing.assert_array_equal(ours[~finite], exact[~finite].astype(x.dtype))
        bound = 4 * UNIT[x.dtype.name] * (np.abs(exact[finite]) + 1)
        assert (np.abs(ours[finite] - exact[finite]) <= bound).all()


@few
@given(drawn=settings_of_pooling(), kind=kinds, dtype=dtypes, layout=layouts, seed=seeds)
def test_max_pooling(drawn, kind, dtype, layout, seed):
    settings, shape = drawn
    x = laid_out(image(shape, seed, kind, dtype), layout)
    operation = lambda t: minidl.max_pool2d(t, **settings, return_indices=True)
    try:
        y, indices, dx = on_gpu(operation, x)
    except ShapeError as error:
        with pytest.raises(ShapeError, match=re.escape(str(error))):
            outcome(operation, x, "cpu")
        return
    needed = outcome(operation, x.astype("float64"), "cpu")
    assert y.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(y, needed[0].astype(dtype))
    np.testing.assert_array_equal(indices, needed[1])
    assert indices.dtype == "int64"
    exact = needed[2] if dtype == "float32" else in_float16_dy(operation, x)
    np.testing.assert_allclose(dx, exact, rtol=0, atol=16 * UNIT[dtype])


def in_float16_dy(operation, x):
    """The gradient in float64 for dy as rounded to float16."""
    leaf = minidl.tensor(x.astype("float64"), requires_grad=True)
    y = operation(leaf)[0]
    dy = np.random.default_rng(5).normal(size=y.shape).astype("float16").astype("float64")
    return minidl.gradients(y, [leaf], [minidl.tensor(dy)])[0].numpy()


@few
@given(drawn=settings_of_pooling(), squares=st.booleans(), kind=kinds, seed=seeds)
def test_max_pooling_and_relu(drawn, squares, kind, seed):
    settings, shape = drawn
    settings = {"kernel_size": 2} if squares else settings
    x = image(shape, seed, kind, "float32")
    joined = lambda t: fused.max_pool2d_relu(t, **settings)
    apart = lambda t: minidl.relu(minidl.max_pool2d(t, **settings))
    try:
        found = on_gpu(joined, x)
    except ShapeError:
        return
    for one, other in zip(found, outcome(apart, x), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found[0], outcome(joined, x, "cpu")[0])


@each_dtype
@pytest.mark.parametrize("window", [(17, 18), (16, 16), (15, 17)])
def test_windows_of_more_taps_than_a_byte_can_number(window, dtype):
    x = image((1, 2, 17, 19), 0, ORDINARY, dtype)
    for operation in (
        lambda t: minidl.max_pool2d(t, window, 1, return_indices=True),
        lambda t: fused.max_pool2d_relu(-minidl.abs(t) + 1, window, 1),
    ):
        found = outcome(operation, x)
        needed = outcome(operation, x, "cpu")
        for one, other in zip(found, needed, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=16 * UNIT[dtype])


@few
@given(
    drawn=settings_of_pooling(dilations=()),
    counted=st.booleans(),
    divisor=st.sampled_from([None, 3, -2]),
    special=st.booleans(),
    dtype=dtypes,
    layout=layouts,
    seed=seeds,
)
def test_average_pooling(drawn, counted, divisor, special, dtype, layout, seed):
    settings, shape = drawn
    x = laid_out(image(shape, seed, SPECIAL if special else ORDINARY, "float16"), layout)
    x = x.astype(dtype, order="K")

    def operation(t):
        return minidl.avg_pool2d(t, **settings, count_include_pad=counted, divisor_override=divisor)

    try:
        outcome(operation, x, "cpu")
    except ShapeError:
        with pytest.raises(ShapeError):
            outcome(operation, x)
        return
    assert_means_are_right(operation, x)


@few
@given(
    size=st.one_of(st.integers(1, 9), st.tuples(*[st.none() | st.integers(1, 9)] * 2), st.none()),
    shape=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    special=st.booleans(),
    dtype=dtypes,
    seed=seeds,
)
def test_adaptive_average_pooling(size, shape, special, dtype, seed):
    x = image(shape, seed, SPECIAL if special else ORDINARY, dtype)
    assert_means_are_right(lambda t: minidl.adaptive_avg_pool2d(t, size), x)


LARGE = {
    "the whole image": ((2, 3, 40, 37), lambda t: minidl.adaptive_avg_pool2d(t, 1)),
    "large windows": ((1, 2, 23, 31), lambda t: minidl.avg_pool2d(t, (7, 9), (3, 2), 3)),
    "blocks of windows": ((2, 2, 33, 31), lambda t: minidl.avg_pool2d(t, 2, 1)),
    "more windows than elements": ((2, 2, 5, 7), lambda t: minidl.adaptive_avg_pool2d(t, (20, 30))),
    "along three axes": ((1, 2, 6, 7, 8), lambda t: minidl.avg_pool3d(t, 2, padding=1)),
}


@each_dtype
@pytest.mark.parametrize("case", LARGE)
def test_means_of_large_images(case, dtype):
    shape, operation = LARGE[case]
    x = image(shape, 0, ORDINARY, dtype)
    found, needed = outcome(operation, x), in_float64(operation, x)
    for ours, exact in zip(found, needed, strict=True):
        np.testing.assert_allclose(ours, exact, rtol=0, atol=6 * UNIT[dtype] * np.abs(exact).max())


@pytest.mark.parametrize("shape", [(3, 2, 20, 33), (1, 1, 3, 3)])
@pytest.mark.parametrize("settings", [(2,), (3, 2, 1), (2, 1), (3, 2, 1, 2)])
def test_max_pooling_of_large_images(settings, shape):
    x = image(shape, 1, ORDINARY, "float32")
    operation = lambda t: minidl.max_pool2d(t, *settings, return_indices=True)
    try:
        needed = outcome(operation, x, "cpu")
    except ShapeError:
        return
    for one, other in zip(on_gpu(operation, x), needed, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_sums_do_not_lose_with_their_length(kind):
    x = hostile(kind, (2, 1, 60, 85), "float32")
    for operation in (
        lambda t: minidl.avg_pool2d(t, (60, 85)),
        lambda t: minidl.adaptive_avg_pool2d(t, 1),
    ):
        y = outcome(operation, x)[0]
        assert excess(y * np.float32(60 * 85), x, (2, 3)) <= 1
    few = hostile(kind, (1, 1, 21, 21), "float32")
    leaf = minidl.tensor(np.zeros((1, 1, 40, 40), "float32"), device="cuda", requires_grad=True)
    y = minidl.avg_pool2d(leaf, 20, 1)
    (dx,) = minidl.gradients(y, [leaf], [minidl.tensor(few, device="cuda")])
    assert excess(dx.numpy()[0, 0, 19, 19] * 400, few[0, 0, :20, :20]) <= 1


def test_the_padding_is_never_chosen():
    x = np.full((1, 1, 2, 2), -np.inf, "float32")
    y, indices, dx = on_gpu(lambda t: minidl.max_pool2d(t, 2, 1, 1, return_indices=True), x)
    assert (y == -np.inf).all()
    assert indices.tolist() == [[[[0, 0, 1], [0, 0, 1], [2, 2, 3]]]]
    assert np.isfinite(dx).all()


def test_what_kernels_do_not_take_is_computed_by_the_body():
    for dtype in ("float64", "int32"):
        x = np.arange(50).reshape(1, 2, 5, 5).astype(dtype)
        t = minidl.tensor(x, device="cuda")
        np.testing.assert_array_equal(
            minidl.max_pool2d(t, 2).numpy(), minidl.max_pool2d(x, 2).numpy()
        )
        mean = minidl.avg_pool2d(t, 2, divisor_override=2**25 + 1).numpy()
        np.testing.assert_allclose(
            mean, minidl.avg_pool2d(x, 2, divisor_override=2**25 + 1).numpy()
        )


def test_a_pullback_may_be_called_twice_and_gives_the_same_bits():
    x = minidl.tensor(image((2, 3, 9, 9), 0, TIES, "float32"), device="cuda", requires_grad=True)
    for y in (minidl.max_pool2d(x, 3, 1), minidl.avg_pool2d(x, 3, 1)):
        dy = minidl.ones_like(y)
        (one,), (other,) = (minidl.gradients(y, [x], [dy], retain_graph=True) for _ in range(2))
        np.testing.assert_array_equal(one.numpy(), other.numpy())
