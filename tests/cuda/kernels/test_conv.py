"""Convolution on the GPU: its kernels against the bodies on the CPU in float64.

Values and gradients obey the bounds that convolution promises, with n terms and u = 2⁻²⁴:
|error| ≤ n·u·Σ|x||w| for y and dx, and 2·log₂ n·u·Σ|x||dy| for the long sums of dw and db.
"""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minidl
from minidl_cuda.kernels import conv2d, implicit_gemm, weight_gradient
from tests.backends.kernels.conv.test_conv2d import SMALL, convolutions, laid_out, layouts
from tests.cuda.stand_in import counters
from tests.exactness import KINDS, excess, hostile
from tests.ops.nn import fused

U = {"float32": 2.0**-24, "float16": 2.0**-11}
OURS = (
    "conv2d_", "depthwise_", "sum_", "max_pool2d_", "im2col_", "col2im_", "bias_relu_",
    "channels_last_", "pack_weights_", "matmul", "ascontiguousarray", "transpose",
)  # fmt: skip
each_dtype = pytest.mark.parametrize("dtype", U)
few = settings(max_examples=20)


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def inputs(x, weight, bias=True, dtype="float32"):
    shapes = [x, weight, weight[:1]] if bias else [x, weight]
    return [random(*shape, seed=i).astype(dtype) for i, shape in enumerate(shapes)]


def outcome(operation, arrays, settings, dy=None, *, device="cuda", wanted="xwb"):
    """y, and the gradients of the inputs that are wanted, for dy."""
    tensors = [
        minidl.tensor(array, device=device, requires_grad=letter in wanted)
        for array, letter in zip(arrays, "xwb", strict=False)
    ]
    learning = [x for x in tensors if x.requires_grad]
    y = operation(*tensors, **settings)
    if dy is None:
        dy = random(*y.shape, seed=9).astype(arrays[0].dtype)
    dy = minidl.tensor(dy, device=device)
    before = counters.h2d, counters.d2h, counters.sync
    found = minidl.gradients(y, learning, [dy]) if learning else []
    assert (counters.h2d, counters.d2h, counters.sync) == before, "a transfer in a pullback"
    return [x.numpy() for x in (y, *found)]


def on_gpu(operation, arrays, settings, dy=None, **how):
    """The outcome of the kernels, which must be what runs."""
    counters.reset()
    found = outcome(operation, arrays, settings, dy, **how)
    others = {name for name in counters.launches if not name.startswith(OURS)}
    assert not others, f"a composite ran: {others}"
    assert counters.launches
    return found


def reference(operation, arrays, settings, dy):
    """The outcome in float64, the sums of absolute terms, and their numbers."""
    ones = lambda x: np.ones(x.shape)
    with minidl.kernels("reference"):
        return [
            outcome(operation, [f(x) for x in arrays], settings, f(dy), device="cpu")
            for f in (np.float64, lambda x: np.abs(np.float64(x)), ones)
        ]


def assert_is_right(operation, arrays, settings, dy=None, *, bias_terms=0, **how):
    """Kernels obey the bounds."""
    dtype = arrays[0].dtype.name
    if dy is None:
        shape = outcome(operation, arrays, settings, wanted="", device="cpu")[0].shape
        dy = random(*shape, seed=9).astype(dtype)
    found = on_gpu(operation, arrays, settings, dy, **how)
    exact, sums, counts = reference(operation, arrays, settings, dy)
    for name, ours, value, total, n in zip(
        "y x w b".split(), found, exact, sums, counts, strict=True
    ):
        assert ours.dtype == dtype
        n = n + bias_terms
        factor = n if name in "yx" else np.minimum(n, 2 * np.maximum(np.log2(np.maximum(n, 1)), 1))
        bound = factor * U["float32"] * total
        if dtype == "float16":
            bound = bound + U[dtype] * np.abs(value) * 1.001 + 2.0**-25
        error = np.abs(ours - value) - bound - 1e-13 * total
        worst = np.unravel_index(np.argmax(error), error.shape)
        assert error[worst] <= 0, f"{name}{worst}: {ours[worst]} for {value[worst]}"


@contextmanager
def tiles(which):
    """Small problems are computed as large ones are: by tall tiles, or in many parts."""
    names = {
        "usual": {},
        "tall": {(implicit_gemm, "_FEW_OUTPUTS"): 0, (implicit_gemm, "_FEW_TILES"): 0,
                 (weight_gradient, "_FEW_OUTPUTS"): 0},
        "many parts": {(weight_gradient, "_SHORTEST"): 1},
        "long parts": {(weight_gradient, "_TILES_OF_A_GPU"): 1},
    }[which]  # fmt: skip
    before = {key: getattr(*key) for key in names}
    try:
        for (module, name), value in names.items():
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


@contextmanager
def algorithm(name):
    before = conv2d._Choice.algorithm
    conv2d.use_algorithm(name)
    try:
        yield
    finally:
        conv2d.use_algorithm(before)


# y, dx, dw and db.


@few
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


LARGE = {
    "several tiles": ((2, 5, 9, 11), (70, 5, 3, 3), {"padding": 1}),
    "many channels": ((1, 70, 9, 7), (20, 70, 3, 2), {"stride": 2}),
    "short outputs, many terms": ((2, 40, 6, 7), (40, 40, 3, 3), {"padding": 1}),
    "wide groups": ((2, 18, 8, 9), (80, 9, 2, 3), {"groups": 2, "dilation": (2, 1)}),
    "points": ((3, 33, 6, 7), (70, 33, 1, 1), {}),
    "wide stride": ((2, 3, 21, 23), (8, 3, 2, 2), {"stride": (7, 3)}),
    "each channel, large windows": (
        (2, 5, 30, 21),
        (10, 1, 7, 5),
        {"groups": 5, "padding": (3, 2)},
    ),
    "each channel, strided": (
        (2, 4, 15, 13),
        (4, 1, 3, 3),
        {"groups": 4, "stride": 2, "padding": 1},
    ),
    "more dilation than stride": (
        (2, 2, 17, 19),
        (5, 2, 3, 3),
        {"stride": (4, 2), "dilation": (2, 3)},
    ),
}
CASES = SMALL | LARGE


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
    from minidl_cuda.kernels import im2col

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
    for operation, x, weight, settings in (
        (minidl.conv1d, (2, 3, 20), (5, 3, 4), {"padding": 2, "stride": 3}),
        (minidl.conv1d, (3, 20), (5, 3, 4), {"dilation": 2}),
        (minidl.conv3d, (2, 3, 5, 6, 7), (4, 3, 2, 3, 3), {"padding": 1}),
    ):
        arrays = inputs(x, weight, dtype=dtype)
        counters.reset()
        found = outcome(operation, arrays, settings)
        assert counters.launches["conv2d_short_f32"] == 2  # float16 is computed in float32
        wide = outcome(operation, [np.float64(x) for x in arrays], settings, device="cpu")
        for one, other in zip(found, wide, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=20 * U[dtype] * np.abs(other).max())


TRANSPOSED = {
    "plain": ((2, 3, 5, 6), (3, 4, 3, 3), {}),
    "strided": (
        (2, 4, 5, 4),
        (4, 3, 3, 2),
        {"stride": (2, 3), "padding": 1, "output_padding": (1, 0)},
    ),
    "in groups": ((2, 4, 5, 4), (4, 3, 3, 3), {"stride": 2, "groups": 2}),
    "each channel": ((2, 4, 5, 4), (4, 1, 3, 3), {"stride": 2, "groups": 4}),
    "two of each": ((2, 4, 5, 4), (4, 2, 3, 3), {"stride": 2, "groups": 4}),
    "no window there": ((1, 2, 3, 3), (2, 2, 1, 2), {"stride": 4, "output_padding": 3}),
    "dilated": ((1, 2, 4, 5), (2, 3, 3, 3), {"dilation": (2, 3), "padding": (1, 2)}),
}


@each_dtype
@pytest.mark.parametrize("which", ["usual", "tall"])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolution(case, which, dtype):
    x, weight, settings = TRANSPOSED[case]
    outputs = weight[1] * settings.get("groups", 1)
    arrays = [random(*s, seed=i).astype(dtype) for i, s in enumerate((x, weight, (outputs,)))]
    with tiles(which):
        assert_is_right(minidl.conv_transpose2d, arrays, settings, bias_terms=1)
    if dtype == "float32":
        with algorithm("im2col"):
            assert_is_right(minidl.conv_transpose2d, arrays, settings, bias_terms=1)


# Epilogues.


EPILOGUES = {"conv2d_relu": fused.conv2d_relu, "conv2d_pool_relu": fused.conv2d_pool_relu}


def away_from_zero(arrays):
    """Values of y on whose sign float32 and float64 agree: those of an output have one sign."""
    arrays = [np.abs(array) + np.asarray(0.1, array.dtype) for array in arrays]
    for each in arrays[1:]:
        each[::2] *= -1
    return arrays


@each_dtype
@pytest.mark.parametrize("which", ["usual", "tall"])
@pytest.mark.parametrize("case", ["plain", "in groups", "each channel", "strided", "several tiles"])
@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogues(name, case, which, dtype):
    x, weight, settings = CASES[case]
    arrays = away_from_zero(inputs(x, weight, dtype=dtype))
    operation = EPILOGUES[name]
    apart = lambda *tensors, **settings: parts_of(name, minidl.conv2d(*tensors, **settings))
    with tiles(which):
        joined = on_gpu(operation, arrays, settings)
        assert (joined[0] == 0).any() and (joined[0] > 0).any()
        for one, other in zip(joined, outcome(apart, arrays, settings), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=4 * U[dtype] * np.abs(other).max())


def parts_of(name, y):
    return minidl.relu(minidl.max_pool2d(y, 2) if "pool" in name else y)


@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogues_of_numbers_that_are_not_finite(name):
    arrays = inputs(*SMALL["plain"][:2])
    arrays[0][0, 0, 2, 3], arrays[0][1, 1, 0, 0] = np.nan, np.inf
    apart = lambda *tensors: parts_of(name, minidl.conv2d(*tensors))
    joined, needed = (outcome(f, arrays, {}) for f in (EPILOGUES[name], apart))
    assert np.isnan(joined[0]).any() and np.isinf(joined[0]).any()
    for one, other in zip(joined, needed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_a_pooling_of_other_windows_is_no_epilogue():
    arrays = inputs(*SMALL["plain"][:2])
    found = outcome(fused.conv2d_pool_relu, arrays, {"pool": (3, 1)})
    needed = outcome(fused.conv2d_pool_relu, arrays, {"pool": (3, 1)}, device="cpu")
    for one, other in zip(found, needed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


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
        assert y.shape == (len(x), 2, 3, 3) and dx.shape == x.shape and dw.shape == (2, 3, 3, 3)


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
