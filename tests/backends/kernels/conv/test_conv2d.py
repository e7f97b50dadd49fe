"""Convolution: the kernels against the bodies and PyTorch, and what they must not touch.

The yardstick is the body in float64.  What is drawn by Hypothesis is small; the large images of
`LARGE` are there for what happens only to them: blocks of rows, chunks of positions, many outputs.
"""

import re
import subprocess
import sys
from contextlib import contextmanager
from itertools import product
from threading import Barrier, Thread

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import minidl
from minidl.backends.kernels.conv import conv2d
from minidl.backends.kernels.runtime import workspace
from minidl.errors import ArgumentError, DTypeError, GradientError, MinidlError, ShapeError
from tests.backends.kernels.conv.algorithms import WAYS, computed_by, split_into
from tests.helpers import assert_all_close, assert_close
from tests.ops.nn import fused
from tests.oracle import functional, torch

OPERATIONS = {"conv2d": minidl.conv2d, "conv2d_relu": fused.conv2d_relu}
each_operation = pytest.mark.parametrize("name", OPERATIONS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


each_way = pytest.mark.parametrize("way", WAYS)


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def inputs(x, weight, bias=True, seed=0):
    """Images and weights of these shapes, and a bias."""
    shapes = [x, weight, weight[:1]] if bias else [x, weight]
    return [random(*shape, seed=seed + i) for i, shape in enumerate(shapes)]


def outcome(arrays, settings, dy=None, *, kernels="fast", dtype="float32", wanted="xwb",
            operation=minidl.conv2d):  # fmt: skip
    """y, and the gradients of the inputs that are wanted, for the gradient dy of y."""
    wanted = [letter in wanted for letter in "xwb"]
    tensors = [
        minidl.asarray(array.astype(dtype, order="K", copy=False), requires_grad=want)
        for array, want in zip(arrays, wanted, strict=False)
    ]
    with minidl.kernels(kernels):
        y = operation(*tensors, **settings)
        if dy is None:
            dy = random(*y.shape, seed=9)
        dy = minidl.asarray(dy.astype(dtype, order="K", copy=False))
        learning = [x for x in tensors if x.requires_grad]
        found = minidl.gradients(y, learning, [dy]) if learning else []
    return [np.asarray(x) for x in (y, *found)]


def assert_equal(ones, others):
    """The same bits, but for the sign of 0."""
    for one, other in zip(ones, others, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def assert_is_right(arrays, settings, dy=None, **how):
    """The kernels in float32 against the bodies, in float32 and in float64."""
    exact = outcome(arrays, settings, dy, kernels="reference", dtype="float64", **how)
    needed = [x.astype("float32") for x in exact]
    assert_all_close(outcome(arrays, settings, dy, **how), needed, 1e-5)
    assert_all_close(outcome(arrays, settings, dy, kernels="reference", **how), needed, 1e-5)


# Drawn images, windows and settings.

LAYOUTS = {
    "contiguous": lambda x: x,
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ..., ::-1])[::-1, ..., ::-1],
    "channels last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1),
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "transposed": lambda x: np.asfortranarray(x),
    "broadcast": lambda x: np.broadcast_to(x[..., :1], x.shape),
}
layouts = st.sampled_from(list(LAYOUTS))


def laid_out(x, layout):
    """In another order of memory, and writable where kernels take it as it is.

    (Numba compiles everything once more for arrays that are read-only.)
    """
    x = LAYOUTS[layout](x)
    return x.copy() if x.flags.c_contiguous else x


@st.composite
def convolutions(draw):
    """The shapes of images and weights, and settings that fit them."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, outputs = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    pairs = [draw(st.tuples(numbers, numbers)) for numbers in (
        st.integers(1, 4), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3)
    )]  # fmt: skip
    if draw(st.booleans()):  # else it is seldom that squares can be taken
        pairs[0], pairs[1], pairs[3] = (3, 3), (1, 1), (1, 1)
    (window, stride, padding, dilation), image = pairs, []
    for k, p, d in zip(window, padding, dilation, strict=True):
        least = max(d * (k - 1) + 1 - 2 * p, 1)
        image.append(least + draw(st.integers(0, 12)))
    x = (draw(st.integers(1, 4)), groups * channels, *image)
    weight = (groups * outputs, channels, *window)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return x, weight, settings


@given(
    case=convolutions(),
    lay=st.tuples(layouts, layouts, layouts),
    biased=st.booleans(),
    chunks=st.integers(1, 3),
    name=st.sampled_from(list(OPERATIONS)),
    way=st.sampled_from(list(WAYS)),
)
@example(
    case=((1, 1, 1, 1), (1, 1, 1, 1), {}),
    lay=("contiguous",) * 3,
    biased=False,
    chunks=3,
    name="conv2d_relu",
    way="classes",
)
def test_kernels_compute_what_the_bodies_do(case, lay, biased, chunks, name, way):
    x, weight, settings = case
    arrays = inputs(x, weight, biased)
    if name == "conv2d_relu":  # no value near 0, on whose sign float32 and float64 may disagree
        arrays = [np.abs(array) + 0.1 for array in arrays]
        arrays[1][::2] *= -1
        arrays[2:] = [np.where(np.arange(weight[0]) % 2, b, -b) for b in arrays[2:]]
    arrays[:2] = [laid_out(x, how) for x, how in zip(arrays[:2], lay[:2], strict=True)]
    if name == "conv2d_relu" and lay[1] == "broadcast":
        assume(not biased)
    operation = OPERATIONS[name]
    dy = laid_out(random(*outcome(arrays, settings, wanted="")[0].shape, seed=9), lay[2])
    with split_into(chunks), computed_by(way):
        assert_is_right(arrays, settings, dy, operation=operation)


LARGE = {
    "blocks of rows": ((2, 64, 60, 50), (7, 64, 3, 3), {"padding": 1}),
    "blocks of one row": ((1, 40, 6, 1700), (3, 40, 2, 2), {"padding": 1}),
    "many channels": ((3, 130, 9, 7), (70, 130, 2, 2), {}),
    "many outputs": ((2, 3, 13, 17), (131, 3, 3, 3), {"stride": 2, "padding": 1}),
    "strided": ((2, 20, 61, 67), (20, 20, 5, 3), {"stride": (2, 3), "padding": (1, 2)}),
    "each channel": ((2, 19, 53, 31), (19, 1, 3, 3), {"groups": 19, "padding": 1}),
    "each channel by large windows": ((2, 3, 70, 41), (3, 1, 7, 7), {"groups": 3, "padding": 3}),
    "two for each channel": ((1, 8, 47, 59), (16, 1, 5, 5), {"groups": 8, "dilation": 3}),
    "few outputs in groups": ((1, 6, 83, 97), (9, 2, 3, 3), {"groups": 3, "stride": (1, 2)}),
    "one output": ((3, 33, 29, 71), (1, 33, 3, 3), {"padding": 1}),
    "single points": ((2, 48, 31, 37), (40, 48, 1, 1), {}),
    "a window as large as the image": ((3, 5, 31, 29), (17, 5, 31, 29), {}),
    "a window larger than the image": ((2, 3, 5, 4), (8, 3, 9, 11), {"padding": (5, 6)}),
    "a wide stride": ((2, 3, 41, 43), (8, 3, 2, 2), {"stride": 7}),
    "a long way between places": ((1, 2, 40, 90), (3, 2, 3, 3), {"dilation": (15, 40)}),
    "squares in two blocks": ((2, 70, 41, 40), (9, 70, 3, 3), {}),
    "squares in groups, with more padding": (
        (3, 36, 17, 30),
        (40, 18, 3, 3),
        {"groups": 2, "padding": 2},
    ),
    "far more padding than image": ((1, 2, 3, 3), (8, 2, 2, 2), {"padding": 20, "stride": 3}),
}
each_large = pytest.mark.parametrize("case", LARGE)


def test_the_kernels_are_what_runs():
    """Else the tests above compare the bodies with themselves."""
    for case in LARGE.values():
        arrays = [array.astype("float32") for array in inputs(*case[:2])]
        for operation in (conv2d.conv2d, conv2d.conv2d_relu):
            assert operation(*arrays[:2], None, **case[2]) is not NotImplemented
            assert operation(*arrays, **case[2]) is not NotImplemented


SMALL = {
    "plain": ((2, 3, 6, 7), (9, 3, 3, 3), {}),
    "few outputs": ((2, 3, 6, 7), (2, 3, 3, 2), {}),
    "padded": ((2, 3, 5, 4), (9, 3, 3, 3), {"padding": 1}),
    "few outputs, padded": ((2, 3, 5, 4), (2, 3, 3, 3), {"padding": (1, 2)}),
    "one output": ((2, 3, 5, 20), (1, 3, 2, 3), {}),
    "strided": ((3, 2, 9, 8), (9, 2, 3, 2), {"stride": 2, "padding": 1}),
    "few outputs, strided": ((3, 2, 9, 8), (3, 2, 3, 2), {"stride": 3}),
    "dilated": ((2, 2, 8, 9), (9, 2, 2, 2), {"dilation": (2, 3)}),
    "few outputs, dilated": ((2, 2, 8, 9), (2, 2, 2, 2), {"dilation": (2, 3), "stride": 2}),
    "in groups": ((2, 4, 5, 6), (6, 2, 2, 3), {"groups": 2}),
    "each channel": ((2, 3, 6, 5), (3, 1, 3, 3), {"groups": 3, "padding": 1}),
    "each channel, widely padded": ((2, 3, 4, 7), (3, 1, 5, 5), {"groups": 3, "padding": (6, 3)}),
    "each channel, dilated": (
        (3, 2, 9, 19),
        (4, 1, 3, 3),
        {"groups": 2, "padding": 2, "dilation": (1, 3)},
    ),
    "large groups": ((2, 4, 5, 6), (20, 2, 2, 3), {"groups": 2, "padding": 1}),
    "single points": ((3, 3, 2, 3), (9, 3, 1, 1), {}),
    "many channels": ((3, 20, 7, 6), (18, 20, 3, 2), {"padding": 1}),
    "long way": ((1, 1, 4, 75), (1, 1, 2, 3), {"dilation": (1, 34)}),
}
each_small = pytest.mark.parametrize("case", SMALL)
SIZES = {**SMALL, **{f"large: {case}": value for case, value in LARGE.items()}}
each_size = pytest.mark.parametrize("case", SIZES)
WISHES = ["x", "w", "b", "xw", "xb", "wb", "xwb"]


@pytest.mark.parametrize("chunks", [1, 3])
@each_way
@each_size
def test_kernels_compute_what_the_bodies_do_in_each_way(case, way, chunks):
    x, weight, settings = SIZES[case]
    with split_into(chunks), computed_by(way):
        assert_is_right(inputs(x, weight), settings)


@pytest.mark.sampled(0.3)
@pytest.mark.parametrize("wanted", WISHES)
@each_operation
@each_small
def test_a_gradient_is_the_same_whichever_others_are_required(case, name, wanted):
    x, weight, settings = SMALL[case]
    arrays, operation = inputs(x, weight), OPERATIONS[name]
    together = dict(zip("xwb", outcome(arrays, settings, operation=operation)[1:], strict=True))
    found = outcome(arrays, settings, wanted=wanted, operation=operation)[1:]
    assert_equal(found, [together[letter] for letter in wanted])


# What a kernel must not see, and not touch.


@pytest.mark.sampled(0.3)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["first", "last", "end of a row", "middle"])
@each_operation
@each_small
def test_a_bad_number_in_an_image_reaches_only_the_windows_that_cover_it(case, name, place, bad):
    shape, weight, settings = SMALL[case]
    arrays = inputs(shape, weight)
    n, channel, row, column = (length // 2 for length in shape)
    place = {
        "first": (0, 0, 0, 0),
        "last": (-1, -1, -1, -1),
        "end of a row": (n, channel, row, -1),
        "middle": (n, channel, row, column),
    }[place]
    arrays[0][place] = bad
    assert_special_values_agree(arrays, settings, operation=OPERATIONS[name])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@each_operation
@each_small
def test_a_bad_gradient_reaches_only_its_receptive_field(case, name, bad):
    x, weight, settings = SMALL[case]
    arrays, operation = inputs(x, weight), OPERATIONS[name]
    y = outcome(arrays, settings, wanted="", operation=operation)[0]
    for place in ((0, 0, 0, 0), (-1, -1, -1, -1), tuple(length // 2 for length in y.shape)):
        dy = random(*y.shape, seed=9)
        dy[place] = bad
        assert_special_values_agree(arrays, settings, dy, operation=operation)


@pytest.mark.parametrize("which", [1, 2])
@each_operation
@each_small
def test_a_bad_weight_or_bias_goes_only_to_its_output(case, name, which):
    """Where a weight meets only the zeros around the image, it may be multiplied or not."""
    x, weight, settings = SMALL[case]
    arrays, operation = inputs(x, weight), OPERATIONS[name]
    good = outcome(arrays, settings, wanted="", operation=operation)[0]
    arrays[which].flat[-1] = np.nan
    y = outcome(arrays, settings, wanted="", operation=operation)[0]
    np.testing.assert_array_equal(y[:, :-1], good[:, :-1])
    alone = [np.ones(x), np.isnan(arrays[1]) * 1.0, np.isnan(arrays[2]) * 1.0]
    meets = outcome(alone, settings, wanted="")[0][:, -1] > 0
    assert meets.any()
    assert np.isnan(y[:, -1][meets]).all()
    if "padding" not in settings:
        assert_special_values_agree(arrays, settings, wanted="wb", operation=operation)


def assert_special_values_agree(arrays, settings, dy=None, **how):
    """What is not finite is in the same places as in the body; the rest is right."""
    with np.errstate(invalid="ignore"):
        needed = outcome(arrays, settings, dy, kernels="reference", dtype="float64", **how)
    for wanted in ("xwb", "w"):
        found = outcome(arrays, settings, dy, **{"wanted": wanted, **how})
        needed_now = needed if len(found) == len(needed) else [needed[0], needed[2]]
        for one, other in zip(found, needed_now, strict=True):
            np.testing.assert_array_equal(np.isfinite(one), np.isfinite(other))
            finite = np.isfinite(other)
            scale = np.abs(other[finite]).max(initial=0)
            np.testing.assert_allclose(one[finite], other[finite], rtol=0, atol=1e-5 * scale)


@pytest.mark.sampled(0.3)
@pytest.mark.parametrize("chunks", [1, 3])
@each_way
@each_operation
@each_small
def test_what_is_in_the_workspace_does_not_show(case, name, way, chunks):
    x, weight, settings = SMALL[case]
    arrays, found = inputs(x, weight), []
    with split_into(chunks), computed_by(way):
        for content in (0.0, np.nan, np.inf):
            results = []
            for wanted in ("", "x", "w", "b"):
                with filled_workspaces(content):
                    results += outcome(arrays, settings, wanted=wanted, operation=OPERATIONS[name])
            found.append(results)
    for other in found[1:]:
        assert_equal(other, found[0])


@contextmanager
def filled_workspaces(content):
    """Every workspace holds this when a kernel gets it."""
    get = workspace.scratch

    def filled(chunks, size):
        array = get(chunks, size)
        array[:] = content
        return array

    modules = [m for m in map(sys.modules.get, KERNEL_MODULES) if getattr(m, "scratch", 0) is get]
    assert modules
    for module in modules:
        module.scratch = filled
    try:
        yield
    finally:
        for module in modules:
            module.scratch = get


KERNEL_MODULES = [
    f"minidl.backends.kernels.{name}"
    for name in (
        *("conv.implicit_gemm", "conv.padding_free", "conv.winograd", "conv.depthwise"),
        *("conv.weight_gradient", "conv.weight_gradient_dot", "conv.weight_gradient_pooled"),
        "gemm",
    )
]


GUARDED = """
import ctypes, mmap
import numpy as np
import minidl
from minidl.backends import threads
from minidl.backends.kernels.conv import select
from minidl.backends.kernels.conv.conv2d import conv2d, conv2d_pool_relu, conv2d_relu
from minidl.backends.kernels.pool.max_pool import max_pool2d, max_pool2d_relu
from minidl.backends.kernels.runtime import plans

threads._WORTH = 1
library, kept = ctypes.CDLL(None), []

def at_the_end(array):
    '''A copy of the array, behind which the memory may not be touched.'''
    size, page = array.nbytes, mmap.PAGESIZE
    pages = -(-size // page)
    memory = mmap.mmap(-1, (pages + 1) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert library.mprotect(ctypes.c_void_p(start + pages * page), page, 0) == 0
    kept.append(memory)
    copy = np.frombuffer(memory, array.dtype, array.size, pages * page - size)
    copy = copy.reshape(array.shape)
    copy[...] = array
    return copy

rng = np.random.default_rng(0)
tiny = [((n, c, h, w), (o, c, 1, 1), {})
        for n in (1, 2, 3) for c in (1, 2) for h in (1, 2) for w in (1, 3) for o in (1, 2, 9)]
for chunks, worth, by_squares in [(n, *way) for n in (1, 3)
                                  for way in ((-1, False), (1 << 60, False), (-1, True))]:
    minidl.set_num_threads(chunks)
    select._padding_free_limit = lambda gemm: worth
    select._if_faster = lambda plan, exact: plan if by_squares else None
    plans.forget()
    with minidl.allow_winograd(by_squares):
        for x, weight, settings in [*sizes, *tiny]:
            arrays = [at_the_end(rng.normal(size=shape).astype("float32"))
                      for shape in (x, weight, weight[:1])]
            for operation in (conv2d, conv2d_relu, conv2d_pool_relu):
                result = operation(*arrays, **settings)
                if result is NotImplemented:
                    continue
                y, pullback = result
                dy = at_the_end(np.ones_like(y))
                for wanted in ((True, False, False), (False, True, True)):
                    pullback(wanted)(dy)
            for pool in (max_pool2d, max_pool2d_relu):
                if min(x[2:]) > 1:
                    y, pullback = pool(arrays[0], 2)
                    pullback(at_the_end(np.ones_like(y)))
print("untouched")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect(2) is of POSIX")
def test_kernels_read_nothing_behind_their_arrays():
    code = f"sizes = {[*SMALL.values(), *list(LARGE.values())[2:]]!r}\n{GUARDED}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "untouched", done.stderr or f"ended with {done.returncode}"


@each_operation
@each_small
def test_kernels_leave_their_inputs_alone(case, name):
    x, weight, settings = SMALL[case]
    arrays = [array.astype("float32") for array in inputs(x, weight)]
    before = [array.copy() for array in arrays]
    outcome(arrays, settings, operation=OPERATIONS[name])
    assert_equal(arrays, before)


# max(y, 0) in the same pass.


@each_small
def test_conv2d_relu_is_relu_of_conv2d(case):
    x, weight, settings = SMALL[case]
    arrays = inputs(x, weight)
    arrays[0][0, 0, 0, 0] = np.nan

    def apart(*tensors, **settings):
        return minidl.relu(minidl.conv2d(*tensors, **settings))

    *joined, dbias = outcome(arrays, settings, operation=fused.conv2d_relu)
    *needed, dbias_needed = outcome(arrays, settings, operation=apart)
    assert np.isnan(joined[0]).any()
    assert_equal(joined, needed)
    assert_close(dbias, dbias_needed, 1e-6)  # the same numbers, but in another order


# Pooled in the same pass.


def pooled_apart(*tensors, **settings):
    return minidl.relu(minidl.max_pool2d(minidl.conv2d(*tensors, **settings), 2))


@given(
    case=convolutions(),
    lay=st.tuples(layouts, layouts, layouts),
    biased=st.booleans(),
    bad=st.sampled_from([None, np.nan, np.inf, -np.inf, 3e38]),
    chunks=st.integers(1, 3),
    way=st.sampled_from(list(WAYS)),
)
def test_pooling_in_the_same_pass_changes_no_bit(case, lay, biased, bad, chunks, way):
    x, weight, settings = case
    arrays = [array.astype("float32") for array in inputs(x, weight, biased)]
    if bad is not None:
        arrays[0][0, -1, -1, -1] = bad
    arrays[:2] = [laid_out(x, how) for x, how in zip(arrays[:2], lay[:2], strict=True)]
    with np.errstate(all="ignore"), split_into(chunks), computed_by(way):
        try:
            needed = outcome(arrays, settings, wanted="", operation=pooled_apart)
        except ShapeError:
            with pytest.raises(ShapeError, match="fused: "):
                fused.conv2d_pool_relu(*map(minidl.asarray, arrays), **settings)
            return
        dy = laid_out(random(*needed[0].shape, seed=9).astype("float32"), lay[2])
        needed = outcome(arrays, settings, dy, operation=pooled_apart)
        with filled_workspaces(np.nan):
            found = outcome(arrays, settings, dy, operation=fused.conv2d_pool_relu)
            alone = outcome(arrays, settings, dy, wanted="wb", operation=fused.conv2d_pool_relu)
    assert_equal(found, needed)
    assert_equal(alone[:1], needed[:1])
    assert_all_close(alone[1:], needed[2:], 1e-5)  # few weights are summed in another order


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize(
    ("x", "weight", "settings"),
    [
        ((5, 1, 28, 28), (32, 1, 3, 3), {}),
        ((2, 3, 45, 40), (7, 3, 2, 2), {"padding": 1}),
        ((3, 1, 30, 33), (9, 1, 3, 5), {"stride": (2, 1), "dilation": 2}),
        ((1, 14, 5, 9), (1, 14, 1, 1), {}),
        ((3, 1, 20, 23), (5, 1, 2, 3), {}),  # few enough for vectors of eight too
    ],
)
def test_few_weights_of_pooled_images(x, weight, settings, chunks):
    arrays = [array.astype("float32") for array in inputs(x, weight)]
    exact = outcome(arrays, settings, dtype="float64", kernels="reference", operation=pooled_apart)
    with split_into(chunks):
        for content in (0.0, np.nan):
            with filled_workspaces(content):
                found = outcome(arrays, settings, wanted="wb", operation=fused.conv2d_pool_relu)
            needed = [exact[i].astype("float32") for i in (0, 2, 3)]
            assert_all_close(found, needed, 2e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_number_that_is_no_maximum_still_reaches_the_gradient(bad):
    arrays = [array.astype("float32") for array in inputs((2, 1, 9, 9), (5, 1, 3, 3))]
    arrays[0][0, 0, 4, 4] = bad
    with np.errstate(invalid="ignore"):
        needed = outcome(arrays, {}, wanted="wb", kernels="reference", operation=pooled_apart)
        found = outcome(arrays, {}, wanted="wb", operation=fused.conv2d_pool_relu)
    assert np.isnan(needed[1]).any()
    assert_all_close(found, needed, 1e-5)


@pytest.mark.parametrize("chunks", [1, 3])
@each_way
@each_large
def test_pooling_in_the_same_pass_changes_no_bit_of_large_images(case, way, chunks):
    x, weight, settings = LARGE[case]
    arrays = inputs(x, weight)
    with split_into(chunks), computed_by(way):
        if min(outcome(arrays, settings, wanted="")[0].shape[2:]) > 1:
            found = outcome(arrays, settings, operation=fused.conv2d_pool_relu)
            assert_equal(found, outcome(arrays, settings, operation=pooled_apart))


# Squares.


def test_numbers_that_are_not_finite_are_noticed(monkeypatch):
    """Then another way is taken, which the tests above do not see; else none is."""
    found = []

    def noted(*arguments):
        found.append(by_squares(*arguments))
        return found[-1]

    by_squares = conv2d.winograd
    monkeypatch.setattr(conv2d, "winograd", noted)
    squares = [case for case in SIZES.values() if case[1][2:] == (3, 3)]
    squares = [case for case in squares if not {"stride", "dilation"} & set(case[2])]
    with computed_by("squares"):
        for x, weight, settings in squares:
            arrays = inputs(x, weight)
            for content in (0.0, np.nan):
                with filled_workspaces(content):
                    outcome(arrays, settings)
            assert found
            assert all(found)
            for bad in (np.nan, np.inf, 3e38):
                arrays[0][0, 0, 1, 1] = bad
                found.clear()
                with np.errstate(all="ignore"):
                    outcome(arrays, settings, wanted="")
                assert found == [False]
                arrays[0][0, 0, 1, 1] = 0
                found.clear()


def test_winograd_is_as_exact_as_other_algorithms():
    for shift in (0, 10):
        arrays = inputs((2, 64, 20, 20), (64, 64, 3, 3))
        arrays[0] += shift
        arrays = [array.astype("float32") for array in arrays]
        exact = outcome(arrays, {}, kernels="reference", dtype="float64")[0]
        error = {}
        for way in ("planes", "squares"):
            with computed_by(way):
                error[way] = np.abs(outcome(arrays, {}, wanted="")[0] - exact).max()
        assert error["squares"] <= 1.5 * error["planes"]


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@each_small
def test_the_gradient_is_0_where_the_value_is_0(case, kernels):
    x, weight, settings = SMALL[case]
    arrays = [np.zeros(x), *inputs(x, weight)[1:]]
    arrays[2][:] = 0
    y, *gradients = outcome(arrays, settings, kernels=kernels, operation=fused.conv2d_relu)
    for array in (y, *gradients):
        np.testing.assert_array_equal(array, 0)


# Threads.


@each_operation
@each_size
def test_any_number_of_threads_computes_the_same(case, name):
    """Every number of y and dx is computed by one thread; dw and db are summed in another order."""
    x, weight, settings = SIZES[case]
    arrays, found = inputs(x, weight), []
    for chunks in (1, 2, 3):
        with split_into(chunks):
            first, again = (outcome(arrays, settings, operation=OPERATIONS[name]) for _ in range(2))
        assert_equal(again, first)
        found.append(first)
    for other in found[1:]:
        assert_equal(other[:2], found[0][:2])
        assert_all_close(other[2:], found[0][2:], 1e-6 if case in SMALL else 5e-6)


def test_python_threads_do_not_disturb_each_other():
    """Convolutions and products forward and backward, each thread with inputs of its own."""
    cases = list(SMALL.values()) * 2
    conv_arrays = [inputs(*case[:2], seed=i) for i, case in enumerate(cases)]
    linear_arrays = [inputs((70 + i, 90), (65, 90), seed=i) for i in range(len(cases))]

    def work(i):
        x, weight, bias = linear_arrays[i]
        return (
            outcome(conv_arrays[i], cases[i][2])
            + outcome(conv_arrays[i], cases[i][2], operation=fused.conv2d_relu)
            + outcome((x, weight, bias), {}, operation=fused.linear_relu)
        )

    with split_into(2):
        alone, found = [work(i) for i in range(len(cases))], {}
        together = Barrier(3)

        def run(name):
            order = np.random.default_rng(name).permutation(len(cases))
            together.wait()
            found[name] = {i: work(i) for i in order}

        running = [Thread(target=run, args=(name,)) for name in range(3)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    for of_thread in (found[name] for name in range(3)):
        for i, needed in enumerate(alone):
            assert_equal(of_thread[i], needed)


# Nothing at all, and too little.


@each_operation
@pytest.mark.parametrize(
    ("x", "weight", "settings"),
    [
        ((0, 3, 5, 4), (2, 3, 3, 3), {}),
        ((0, 4, 5, 4), (2, 2, 3, 3), {"groups": 2, "padding": 1, "stride": 2}),
        ((2, 3, 5, 4), (0, 3, 3, 3), {}),
        ((2, 0, 5, 4), (3, 0, 3, 3), {"padding": 1}),
        ((0, 5, 4), (3, 0, 3, 3), {}),
    ],
)
@each_dtype
def test_nothing_gives_nothing_and_zeros(x, weight, settings, name, dtype):
    arrays = inputs(x, weight)
    y, dx, dweight, dbias = outcome(arrays, settings, dtype=dtype, operation=OPERATIONS[name])
    channels = x[-3]
    assert y.shape[:-2] == (*x[:-3], weight[0])
    assert [a.shape for a in (dx, dweight, dbias)] == [x, weight, weight[:1]]
    assert {a.dtype.name for a in (y, dx, dweight, dbias)} == {dtype}
    if not channels and name == "conv2d":
        bias = arrays[2].astype(dtype)[:, None, None]
        np.testing.assert_array_equal(y, np.broadcast_to(bias, y.shape))
    for array in (dweight, dx):
        np.testing.assert_array_equal(array, 0)


X, WEIGHT = minidl.ones((2, 4, 5, 6)), minidl.ones((6, 4, 3, 3))
FAULTS = {
    "rank of x": ((X[0, 0], WEIGHT), {}, ShapeError, r"\(N, C, H, W\).*\(5, 6\).*\(6, 4, 3, 3\)"),
    "x of rank 5": ((X[None], WEIGHT), {}, ShapeError, r"\(1, 2, 4, 5, 6\)"),
    "rank of the weight": ((X, WEIGHT[0]), {}, ShapeError, r"\(4, 3, 3\)"),
    "channels": ((X[:, 1:], WEIGHT), {}, ShapeError, r"\(6, 4, 3, 3\).*4 channels.*\(2, 3, 5, 6\)"),
    "channels of groups": ((X, WEIGHT), {"groups": 2}, ShapeError, r"groups=2.*8 channels"),
    "groups and outputs": ((X, WEIGHT[:, :1]), {"groups": 4}, ArgumentError, "divides.*got 4"),
    "groups and channels": ((X, WEIGHT), {"groups": 3}, ArgumentError, "divides.*got 3"),
    "no groups": ((X, WEIGHT), {"groups": 0}, ArgumentError, "≥ 1.*got 0"),
    "fewer than no groups": ((X, WEIGHT), {"groups": -1}, ArgumentError, "≥ 1.*got -1"),
    "bool groups": ((X, WEIGHT), {"groups": True}, ArgumentError, "groups.*got True"),
    "float groups": ((X, WEIGHT), {"groups": 1.0}, ArgumentError, r"groups.*got 1\.0"),
    "stride 0": ((X, WEIGHT), {"stride": 0}, ArgumentError, "stride is a number ≥ 1.*got 0"),
    "a stride of 0": ((X, WEIGHT), {"stride": (1, 0)}, ArgumentError, r"stride.*got \(1, 0\)"),
    "float stride": ((X, WEIGHT), {"stride": 1.0}, ArgumentError, r"stride.*got 1\.0"),
    "bool stride": ((X, WEIGHT), {"stride": True}, ArgumentError, "stride.*got True"),
    "bool padding": ((X, WEIGHT), {"padding": (0, False)}, ArgumentError, "padding.*False"),
    "negative padding": ((X, WEIGHT), {"padding": -1}, ArgumentError, "padding.*≥ 0.*-1"),
    "padding of three": ((X, WEIGHT), {"padding": (1, 1, 1)}, ArgumentError, "padding.*two"),
    "padding by name": ((X, WEIGHT), {"padding": "some"}, ArgumentError, "padding.*'some'"),
    "no dilation": ((X, WEIGHT), {"dilation": 0}, ArgumentError, "dilation.*≥ 1"),
    "None": ((X, WEIGHT), {"stride": None}, ArgumentError, "stride.*None"),
    "window": ((X[:, :, :2], WEIGHT), {}, ShapeError, "window of 3 does not fit.*length of 2"),
    "window, dilated": ((X, WEIGHT), {"dilation": 3}, ShapeError, "3 that covers 7.*length of 5"),
    "window, padded": (
        (X[..., :1, :1], WEIGHT),
        {"padding": (1, 0)},
        ShapeError,
        "window of 3 does not fit into a length of 1",
    ),
    "bias": ((X, WEIGHT, minidl.ones(5)), {}, ShapeError, r"bias of shape \(6,\).*\(5,\)"),
    "bias of rank 2": ((X, WEIGHT, minidl.ones((6, 1))), {}, ShapeError, r"\(6,\).*\(6, 1\)"),
    "a number as bias": ((X, WEIGHT, 1.0), {}, MinidlError, "1.0"),
    "a list as x": (([[[[1.0]]]], WEIGHT), {}, DTypeError, "list"),
    "None as weight": ((X, None), {}, MinidlError, "None"),
    "x twice as many": ((X, WEIGHT, None, 1, 0, 1, 1, 1), {}, TypeError, "conv2d"),
    "an unknown setting": ((X, WEIGHT), {"strides": 2}, TypeError, "strides"),
}


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@each_operation
@pytest.mark.parametrize("fault", FAULTS)
def test_misuse_is_explained(fault, name, kernels):
    arrays, settings, kind, message = FAULTS[fault]
    with minidl.kernels(kernels), pytest.raises(kind, match=f"(?s){message}") as caught:
        OPERATIONS[name](*arrays, **settings)
    named = r"conv2d[:(]" if name == "conv2d" else r"fused: |conv2d_relu\("
    assert re.match(named, str(caught.value)), caught.value


@each_operation
def test_settings_may_be_lists_and_numpy_integers(name):
    operation = OPERATIONS[name]
    needed = operation(X, WEIGHT[:, :2], None, (2, 1), (1, 2), 1, 2)
    settings = {"stride": [np.int64(2), 1], "padding": [1, np.uint8(2)], "dilation": np.int32(1)}
    found = operation(X, WEIGHT[:, :2], **settings, groups=np.int64(2))
    np.testing.assert_array_equal(found, needed)


@each_operation
@pytest.mark.parametrize(
    ("dtypes", "result"),
    [
        (("int64", "float32", "float32"), "float32"),
        (("uint8", "float64", "float64"), "float64"),
        (("float32", "float64", "float32"), "float64"),
        (("float32", "float32", "float64"), "float64"),
        (("float32", "float32", "int64"), "float32"),
        (("float16", "float32", "float16"), "float32"),
        (("float16", "float16", "float16"), "float16"),
        (("int64", "int64", "int64"), "float32"),
    ],
)
def test_dtypes_are_promoted(dtypes, result, name):
    arrays = [np.abs(a * 2).round() for a in inputs((2, 3, 5, 5), (9, 3, 3, 3))]
    given = [minidl.asarray(a.astype(d)) for a, d in zip(arrays, dtypes, strict=True)]
    y = OPERATIONS[name](*given)
    assert y.dtype == result
    needed = OPERATIONS[name](*map(minidl.asarray, arrays))
    assert_close(np.asarray(y, "float64"), needed, {"float16": 2e-3}.get(result, 1e-6))


def test_each_gradient_has_the_dtype_of_its_input():
    arrays = inputs((2, 3, 5, 5), (9, 3, 3, 3))
    dtypes = ("float32", "float64", "float32")
    tensors = [
        minidl.asarray(a.astype(d), requires_grad=True) for a, d in zip(arrays, dtypes, strict=True)
    ]
    for operation in OPERATIONS.values():
        found = minidl.gradients(operation(*tensors).sum(), tensors)
        assert [g.dtype.name for g in found] == list(dtypes)


# PyTorch.

GRID = [
    (image, window, stride, padding, dilation, groups)
    for image, window in [((7, 9), (3, 3)), ((5, 8), (2, 4)), ((4, 4), (1, 1))]
    for stride, padding in [(1, 0), (1, 1), (2, 1), ((2, 3), (0, 2)), (3, 3)]
    for dilation, groups in [(1, 1), ((2, 1), 2), (1, 4)]
]


def in_pytorch(arrays, settings, dy, dtype, relu):
    tensors = [torch.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    y = functional.conv2d(*tensors, **settings)
    y = y.relu() if relu else y
    found = torch.autograd.grad(y, tensors, torch.tensor(dy.astype(dtype)))
    return [x.detach().numpy() for x in (y, *found)]


@each_dtype
@each_operation
@pytest.mark.parametrize(("image", "window", "stride", "padding", "dilation", "groups"), GRID)
def test_values_and_gradients_equal_pytorch(
    image, window, stride, padding, dilation, groups, name, dtype
):
    """In float32 it is the kernels that are compared, in float64 the bodies."""
    arrays = inputs((2, 4, *image), (8, 4 // groups, *window))
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    operation = OPERATIONS[name]
    dy = random(*outcome(arrays, settings, wanted="")[0].shape)
    ours = outcome(arrays, settings, dy, dtype=dtype, operation=operation)
    theirs = in_pytorch(arrays, settings, dy, dtype, name == "conv2d_relu")
    assert_all_close(ours, theirs, TOLERANCE[dtype])


@each_dtype
@each_operation
@pytest.mark.parametrize("case", SMALL)
def test_a_gradient_penalty_equals_pytorch(case, name, dtype):
    """The gradient of ‖dx‖²: second derivatives, as in the training of a critic."""
    x, weight, settings = SMALL[case]
    arrays = [array.astype(dtype) for array in inputs(x, weight)]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = functional.conv2d(*theirs, **settings)
    y = y.relu() if name == "conv2d_relu" else y
    (dx,) = torch.autograd.grad((y * y).sum(), theirs[:1], create_graph=True)
    needed = torch.autograd.grad((dx * dx).sum(), theirs)
    ours = [minidl.asarray(a, requires_grad=True) for a in arrays]
    with minidl.higher_order():
        y = OPERATIONS[name](*ours, **settings)
        (dx,) = minidl.gradients((y * y).sum(), ours[:1], create_graph=True)
        found = minidl.gradients((dx * dx).sum(), ours)
    assert_all_close(found, needed, TOLERANCE[dtype])


@each_operation
def test_without_higher_order_second_derivatives_are_refused(name):
    x = minidl.ones((1, 1, 3, 3), requires_grad=True)
    y = OPERATIONS[name](x, minidl.ones((1, 1, 2, 2)))
    with pytest.raises(GradientError, match="higher_order"):
        minidl.gradients((y * y).sum(), [x], create_graph=True)


def test_one_image_is_a_batch_of_one():
    arrays = inputs((1, 3, 6, 7), (4, 3, 3, 3))
    for name, kernels in product(OPERATIONS, ["fast", "reference"]):
        how = {"operation": OPERATIONS[name], "kernels": kernels, "dtype": "float64"}
        whole = outcome(arrays, {"padding": 1}, np.ones((1, 4, 6, 7)), **how)
        alone = outcome([arrays[0][0], *arrays[1:]], {"padding": 1}, np.ones((4, 6, 7)), **how)
        for one, other in zip(alone, whole, strict=True):
            assert_close(one, other.reshape(one.shape), 1e-14)
