"""Convolution on the GPU: its kernels against the bodies on the CPU in float64."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl_cuda.kernels import conv2d, im2col
from tests.backends.kernels.conv.test_conv2d import SMALL, convolutions, laid_out, layouts
from tests.cuda.kernels.convolution import (
    CASES,
    LARGE,
    U,
    algorithm,
    assert_is_right,
    each_dtype,
    inputs,
    on_gpu,
    outcome,
    random,
    tiles,
)
from tests.cuda.kernels.examples import examples
from tests.cuda.stand_in import counters
from tests.exactness import KINDS, excess, hostile
from tests.ops.nn import fused

# y, dx, dw and db.


@examples(20)
@given(
    case=convolutions(),
    lay=st.tuples(layouts, layouts, layouts),
    biased=st.booleans(),
    dtype=st.sampled_from(list(U)),
    which=st.sampled_from(["usual", "tall", "many parts", "long parts"]),
    how=st.sampled_from(conv2d.ALGORITHMS),
)
@example(
    case=((1, 1, 1, 1), (1, 1, 1, 1), {}),
    lay=("contiguous",) * 3,
    biased=False,
    dtype="float32",
    which="tall",
    how="implicit_gemm",
)
def test_kernels_compute_what_the_bodies_do(case, lay, biased, dtype, which, how):
    x, weight, settings = case
    arrays = inputs(x, weight, biased, dtype)
    arrays[:2] = [laid_out(x, layout) for x, layout in zip(arrays[:2], lay[:2], strict=True)]
    shape = outcome(minidl.conv2d, arrays, settings, wanted="", device="cpu")[0].shape
    dy = laid_out(random(*shape, seed=9).astype(dtype), lay[2])
    with tiles(which), algorithm(how):
        assert_bounded(minidl.conv2d, arrays, settings, dy)


def assert_bounded(operation, arrays, settings, dy):
    names = len(arrays)
    if names == 3:
        assert_is_right(operation, arrays, settings, dy, bias_terms=1)
        return
    zero = np.zeros(arrays[1].shape[0], arrays[0].dtype)
    assert_is_right(operation, [*arrays, zero], settings, dy)
    found = on_gpu(operation, arrays, settings, dy)
    for one, other in zip(found, on_gpu(operation, [*arrays, zero], settings, dy), strict=False):
        np.testing.assert_array_equal(one, other)


@pytest.mark.sampled(0.5)
@each_dtype
@pytest.mark.parametrize("case", CASES)
def test_kernels_compute_what_the_bodies_do_in_each_case(case, dtype):
    x, weight, settings = CASES[case]
    assert_is_right(minidl.conv2d, inputs(x, weight, dtype=dtype), settings, bias_terms=1)


@pytest.mark.parametrize("which", ["tall", "many parts"])
@pytest.mark.parametrize("case", LARGE)
def test_tiles_of_large_problems(case, which):
    x, weight, settings = LARGE[case]
    with tiles(which):
        assert_is_right(minidl.conv2d, inputs(x, weight), settings, bias_terms=1)


@pytest.mark.parametrize("case", LARGE)
def test_im2col(case):
    x, weight, settings = LARGE[case]
    with algorithm("im2col"):
        assert_is_right(minidl.conv2d, inputs(x, weight), settings, bias_terms=1)
    if settings.get("groups", 1) < x[1]:
        assert "matmul" in counters.launches


def test_large_convolutions_by_points_are_products_of_cublas(monkeypatch):
    monkeypatch.setattr(conv2d, "_WORTH_CUBLAS", 1)
    x, weight, settings = LARGE["points"]
    assert_is_right(minidl.conv2d, inputs(x, weight), settings, bias_terms=1)
    assert counters.launches["matmul"] == 2


def test_im2col_takes_some_images_at_a_time(monkeypatch):
    x, weight, settings = LARGE["several tiles"]
    monkeypatch.setattr(im2col, "_LARGEST", 45 * 9 * 11)
    with algorithm("im2col"):
        assert_is_right(minidl.conv2d, inputs(x, weight), settings, bias_terms=1)
    assert counters.launches["im2col_f32"] == counters.launches["col2im_f32"] == 2


def test_the_choice_of_an_algorithm_is_one_of_two():
    with pytest.raises(minidl.errors.ArgumentError, match="use_algorithm: name is one of"):
        conv2d.use_algorithm("winograd")


@each_dtype
def test_one_image_convolutions_along_one_axis_and_along_three(dtype):
    image = inputs((3, 8, 7), (5, 3, 3, 3), dtype=dtype)
    assert_is_right(minidl.conv2d, image, {"padding": 1}, bias_terms=1)
    for operation, x, weight, how in (
        (minidl.conv1d, (2, 3, 20), (5, 3, 4), {"padding": 2, "stride": 3}),
        (minidl.conv1d, (3, 20), (5, 3, 4), {"dilation": 2}),
        (minidl.conv3d, (2, 3, 5, 6, 7), (4, 3, 2, 3, 3), {"padding": 1}),
    ):
        arrays = inputs(x, weight, dtype=dtype)
        counters.reset()
        found = outcome(operation, arrays, how)
        half = dtype == "float16" and operation is minidl.conv1d
        kernel = "conv2d_f16" if half else "conv2d_short_f32"  # conv3d computes in float32
        assert counters.launches[kernel] == 2
        wide = outcome(operation, [np.float64(x) for x in arrays], how, device="cpu")
        for one, other in zip(found, wide, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=20 * U[dtype] * np.abs(other).max())


# What else is promised.


@each_dtype
@pytest.mark.parametrize("wanted", ["x", "w", "b", "xw", "xb", "wb"])
@pytest.mark.parametrize("case", ["strided", "in groups", "each channel"])
def test_a_gradient_is_the_same_whichever_others_are_required(case, wanted, dtype):
    x, weight, settings = SMALL[case]
    arrays = inputs(x, weight, dtype=dtype)
    together = dict(zip("xwb", outcome(fused.conv2d_relu, arrays, settings)[1:], strict=True))
    found = outcome(fused.conv2d_relu, arrays, settings, wanted=wanted)[1:]
    for letter, one in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, together[letter])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", [1, 3])
def test_long_sums_over_a_batch(kind, groups):
    """32 × 32 × 8 positions in parts, with products that round in the same direction."""
    dy = hostile(kind, (8, 3, 32, 32), "float32")
    x = np.ones((8, groups, 32, 32), "float32")
    weight, bias = np.zeros((3, 1, 1, 1), "float32"), np.zeros(3, "float32")
    for which in ("usual", "long parts"):
        with tiles(which):
            _, dw, db = outcome(
                minidl.conv2d, [x, weight, bias], {"groups": groups}, dy, wanted="wb"
            )
        assert excess(dw.ravel(), dy, (0, 2, 3)) <= 1
        assert excess(db, dy, (0, 2, 3)) <= 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("case", ["plain", "strided", "in groups", "each channel, widely padded"])
def test_a_bad_number_reaches_only_what_depends_on_it(case, bad):
    x, weight, settings = SMALL[case]
    arrays = inputs(x, weight)
    dy = random(*outcome(minidl.conv2d, arrays, settings, wanted="")[0].shape).astype("float32")
    for target in (arrays[0], dy):
        good = target[-1, -1, 1, 1]
        target[-1, -1, 1, 1] = bad
        with np.errstate(all="ignore"):
            found = on_gpu(minidl.conv2d, arrays, settings, dy)
            with minidl.kernels("reference"):
                needed = outcome(minidl.conv2d, arrays, settings, dy, device="cpu")
        for one, other in zip(found, needed, strict=True):
            np.testing.assert_array_equal(np.isfinite(one), np.isfinite(other))
        target[-1, -1, 1, 1] = good


@each_dtype
@pytest.mark.parametrize("case", ["strided", "each channel", "several tiles"])
def test_a_pullback_may_be_called_twice_and_gives_the_same_bits(case, dtype):
    x, weight, settings = CASES[case]
    x, weight, bias = (
        minidl.tensor(a, device="cuda", requires_grad=True) for a in inputs(x, weight, dtype=dtype)
    )
    y = minidl.conv2d(x, weight, bias, **settings)
    dy = minidl.ones_like(y)
    first, again = (
        minidl.gradients(y, [x, weight, bias], [dy], retain_graph=True) for _ in range(2)
    )
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_what_kernels_do_not_take_is_computed_by_the_body():
    for x in (np.ones((0, 3, 5, 5), "float32"), np.ones((2, 3, 5, 5), "float64")):
        arrays = [x, np.ones((2, 3, 3, 3), x.dtype)]
        y, dx, dw = outcome(minidl.conv2d, arrays, {})
        assert [a.shape for a in (y, dx, dw)] == [(len(x), 2, 3, 3), x.shape, (2, 3, 3, 3)]


def test_a_step_of_a_network_launches_few_kernels():
    """Two convolutions, each with a ReLU and a pooling: 1 kernel forward, and 3 or 4 backward."""
    x, dy = random(4, 1, 12, 12).astype("float32"), random(4, 4, 3, 3).astype("float32")
    weights = [minidl.tensor(random(*s).astype("float32"), device="cuda", requires_grad=True)
               for s in ((6, 1, 3, 3), (6,), (4, 6, 3, 3), (4,))]  # fmt: skip
    x, dy = minidl.tensor(x, device="cuda"), minidl.tensor(dy, device="cuda")
    counters.reset()
    y = fused.conv2d_pool_relu(x, *weights[:2], padding=1)
    y = fused.conv2d_pool_relu(y, *weights[2:], padding=1)
    minidl.gradients(y, weights, [dy])
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)
    assert counters.launches == {
        "conv2d_short_pooled_f32": 2,
        "max_pool2d_backward_f32": 2,
        "conv2d_weights_short_f32": 2,
        "conv2d_short_f32": 1,
        "sum_parts_f32": 1,
    }
