"""The componentwise error bound of convolution: |error| ≤ n·u·Σ|x||w| for each element, u = 2⁻²⁴.

n is the number of terms of that element, which is smaller at the edges.  It holds for y, dx and dw,
by each algorithm but Winograd's, which has a bound of its own.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn
from tests.backends.kernels.conv.algorithms import WAYS, computed_by, split_into
from tests.ops.nn import fused

U = 2.0**-24
EXACT = [way for way in WAYS if way != "squares"]


def outcome(operation, arrays, settings, dy, *, kernels="fast"):
    """y, and the gradients of all inputs for dy."""
    tensors = [minidl.asarray(array, requires_grad=True) for array in arrays]
    with minidl.kernels(kernels):
        y = operation(*tensors, **settings)
        found = minidl.gradients(y, tensors, [minidl.asarray(dy)])
    return [np.asarray(x) for x in (y, *found)]


def assert_bounded(operation, arrays, settings, dy, found):
    """Each element of y, dx, dw is as near to the exact one as its own terms allow.

    Σ|terms| and n are convolutions, too: of absolute values, and of ones.
    """
    exact, sums, counts = (
        outcome(operation, [f(x) for x in arrays], settings, f(dy), kernels="reference")
        for f in (np.float64, lambda x: np.abs(np.float64(x)), lambda x: np.ones(x.shape))
    )
    names = "y", "dx", "dw"
    for name, ours, value, total, n in zip(names, found, exact, sums, counts, strict=False):
        excess = np.abs(ours - value) - n * U * total
        rounding = 1e-13 * total  # of float64
        worst = np.unravel_index(np.argmax(excess - rounding), excess.shape)
        assert np.all(excess <= rounding), f"{name}{worst}: {ours[worst]} for {value[worst]}"


# Values of many decades.


def spread(rng, shape, decades):
    """Numbers of either sign, from 10^-decades to 10^decades."""
    signs = rng.choice([-1, 1], shape)
    return (signs * 10.0 ** rng.uniform(-decades, decades, shape)).astype("float32")


def sparse(rng, shape, decades):
    return spread(rng, shape, decades) * (rng.random(shape) < 0.2)


def identity(_rng, shape, _decades):
    """Weights that pick the element in the middle of the window, of one channel."""
    weight = np.zeros(shape, "float32")
    middle = tuple(n // 2 for n in shape[2:])
    for o in range(shape[0]):
        weight[(o, o % shape[1], *middle)] = 1
    return weight


def one_peak(rng, shape, decades):
    x = spread(rng, shape, 0)
    x.flat[rng.integers(x.size)] = 10.0**decades
    return x


VALUES = {"spread": spread, "sparse": sparse, "one peak": one_peak}
CASES = {
    "conv1d": (minidl.conv1d, (2, 3, 40), (17, 3, 5), {"padding": 2}),
    "conv1d of one output": (minidl.conv1d, (1, 2, 90), (1, 2, 3), {"dilation": 2}),
    "conv2d": (minidl.conv2d, (2, 5, 9, 11), (18, 5, 3, 3), {"padding": 1}),
    "conv2d of many channels": (minidl.conv2d, (3, 48, 7, 7), (40, 48, 3, 3), {"padding": 1}),
    "conv2d, strided": (minidl.conv2d, (2, 3, 21, 18), (7, 3, 3, 2), {"stride": (2, 3)}),
    "conv2d, dilated": (minidl.conv2d, (2, 3, 19, 15), (20, 3, 3, 3), {"dilation": (2, 3)}),
    "conv2d, 1x1": (minidl.conv2d, (2, 33, 8, 9), (24, 33, 1, 1), {}),
    "conv2d in groups": (minidl.conv2d, (2, 6, 9, 9), (36, 3, 3, 3), {"groups": 2}),
    "depthwise": (minidl.conv2d, (2, 9, 20, 28), (9, 1, 3, 3), {"groups": 9, "padding": 1}),
    "depthwise, 5x5": (minidl.conv2d, (1, 3, 17, 40), (6, 1, 5, 5), {"groups": 3, "padding": 2}),
    "depthwise, strided": (minidl.conv2d, (1, 4, 35, 33), (4, 1, 3, 3), {"groups": 4, "stride": 2}),
    "conv3d": (minidl.conv3d, (1, 3, 5, 6, 7), (17, 3, 3, 3, 3), {"padding": 1}),
    "conv_transpose1d": (minidl.conv_transpose1d, (2, 5, 13), (5, 9, 4), {"stride": 2}),
    "conv_transpose2d": (minidl.conv_transpose2d, (2, 20, 7, 6), (20, 17, 3, 3), {"padding": 1}),
    "conv_transpose2d, strided": (
        minidl.conv_transpose2d,
        (2, 4, 7, 8),
        (4, 3, 3, 3),
        {"stride": 2, "groups": 2},
    ),
    "conv_transpose3d": (minidl.conv_transpose3d, (1, 3, 3, 4, 5), (3, 4, 2, 2, 2), {"stride": 2}),
}


def drawn(case, pictures, weights, gradients, seed):
    """The operation, arrays of these kinds of values, and dy."""
    operation, x, weight, settings = CASES[case]
    rng = np.random.default_rng(seed)
    weight_values = identity if weights == "identity" else VALUES[weights]
    arrays = [VALUES[pictures](rng, x, 8), weight_values(rng, weight, 8)]
    with minidl.no_grad():
        shape = operation(*map(minidl.asarray, arrays), **settings).shape
    return operation, arrays, settings, VALUES[gradients](rng, shape, 8)


@given(
    case=st.sampled_from(list(CASES)),
    pictures=st.sampled_from(list(VALUES)),
    weights=st.sampled_from([*VALUES, "identity"]),
    gradients=st.sampled_from(list(VALUES)),
    way=st.sampled_from(EXACT),
    chunks=st.integers(1, 2),
    seed=st.integers(0, 1 << 32),
)
def test_each_element_obeys_the_bound(case, pictures, weights, gradients, way, chunks, seed):
    operation, arrays, settings, dy = drawn(case, pictures, weights, gradients, seed)
    with computed_by(way), split_into(chunks):
        found = outcome(operation, arrays, settings, dy)
    assert_bounded(operation, arrays, settings, dy, found)


@pytest.mark.parametrize("way", EXACT)
@pytest.mark.parametrize("case", CASES)
def test_each_algorithm_obeys_the_bound(case, way):
    operation, arrays, settings, dy = drawn(case, "spread", "spread", "spread", 0)
    with computed_by(way):
        found = outcome(operation, arrays, settings, dy)
    assert_bounded(operation, arrays, settings, dy, found)
    slow = outcome(operation, arrays, settings, dy, kernels="reference")
    assert_bounded(operation, arrays, settings, dy, slow)


@pytest.mark.full
@pytest.mark.parametrize("way", EXACT)
@pytest.mark.parametrize("pictures", VALUES)
@pytest.mark.parametrize("weights", [*VALUES, "identity"])
@pytest.mark.parametrize("case", CASES)
def test_each_algorithm_obeys_the_bound_for_all_values(case, weights, pictures, way):
    for seed in range(20):
        operation, arrays, settings, dy = drawn(case, pictures, weights, "sparse", seed)
        with computed_by(way):
            found = outcome(operation, arrays, settings, dy)
        assert_bounded(operation, arrays, settings, dy, found)


@pytest.mark.parametrize("way", EXACT)
def test_a_bias_is_one_term_more(way):
    rng = np.random.default_rng(0)
    x, weight = spread(rng, (2, 5, 12, 14), 8), spread(rng, (20, 5, 3, 3), 8)
    bias = spread(rng, (20,), 12)
    exact, total, n = (
        np.asarray(minidl.conv2d(*map(minidl.asarray, map(f, (x, weight, bias))), padding=1))
        for f in (np.float64, lambda a: np.abs(np.float64(a)), lambda a: np.ones(a.shape))
    )
    with computed_by(way):
        y = np.asarray(fused.conv2d_relu(*map(minidl.asarray, (x, weight, bias)), padding=1))
    assert np.all(np.abs(y - np.maximum(exact, 0)) <= n * U * total)


# Winograd's algorithm.


def eight_decades():
    """Filters that leave an image as it is, and an image of eight decades, with 64 channels."""
    rng = np.random.default_rng(0)
    x = 10.0 ** rng.uniform(-4, 4, (4, 64, 56, 56))
    return minidl.asarray(x.astype("float32")), minidl.asarray(identity(rng, (64, 64, 3, 3), 0))


def test_identity_filters_leave_an_image_as_it_is():
    x, weight = eight_decades()
    leaf = minidl.asarray(x, requires_grad=True)
    y = minidl.conv2d(leaf, weight, padding=1)
    (dx,) = minidl.gradients(y, [leaf], [x])
    assert (y == x).all()
    assert (dx == x).all()


def relative_error(y, x):
    return float((minidl.abs(y - x) / x).max())


def test_winograd_is_opt_in():
    x, weight = eight_decades()
    with minidl.allow_winograd():
        inside = minidl.conv2d(x, weight, padding=1)
        with minidl.allow_winograd(False):
            exact = minidl.conv2d(x, weight, padding=1)
    assert relative_error(inside, x) > 0.1
    assert (exact == x).all()
    allowed = minidl.allow_winograd()(minidl.conv2d)
    assert relative_error(allowed(x, weight, padding=1), x) > 0.1
    assert (minidl.conv2d(x, weight, padding=1) == x).all()


@pytest.mark.parametrize("allowed", [False, True])
def test_the_gradient_is_computed_as_the_convolution_was(allowed):
    x, weight = eight_decades()
    leaf = minidl.asarray(x, requires_grad=True)
    with minidl.allow_winograd(allowed):
        y = minidl.conv2d(leaf, weight, padding=1)
        again = minidl.checkpoint(minidl.conv2d, leaf, weight, None, 1, 1)
    with minidl.allow_winograd(not allowed):
        for value in (y, again):
            (dx,) = minidl.gradients(value, [leaf], [x])
            assert (relative_error(dx, x) > 0.1) is allowed


def test_layers_and_fusions_do_not_use_winograd_either():
    x, weight = eight_decades()
    layer = nn.Conv2d(64, 64, 3, padding=1, bias=False)
    layer.load_state_dict({"weight": weight})
    for network in (layer, nn.Sequential(layer, nn.ReLU())):
        assert (network(x) == x).all()


def test_the_switch_takes_nothing_else():
    for wrong in (1, None, "yes"):
        with pytest.raises(minidl.errors.ArgumentError, match="allow_winograd: takes True or"):
            minidl.allow_winograd(wrong)


@given(
    shapes=st.sampled_from([((2, 5, 9, 11), (18, 5, 3, 3)), ((1, 40, 14, 14), (20, 40, 3, 3))]),
    pictures=st.sampled_from(list(VALUES)),
    weights=st.sampled_from([*VALUES, "identity"]),
    seed=st.integers(0, 1 << 32),
)
def test_winograd_obeys_a_normwise_bound(shapes, pictures, weights, seed):
    """|error| ≤ 81·(C + 11)·u·Σ over the channels of max|x|·max|w|.

    y = Aᵀ(Σ U⊙V)A with U = G·w·Gᵀ and V = Bᵀ·x·B.  |U| ≤ (3/2)²·max|w|, |V| ≤ 2²·max|x|, and an
    element of y is the sum of 3² products.  Each goes through at most 4 roundings of U (its halves
    are exact), 2 of V, 1 of the product, C of the sum, and 4 of the sums of y.
    """
    x_shape, w_shape = shapes
    rng = np.random.default_rng(seed)
    x = VALUES[pictures](rng, x_shape, 8)
    w = (identity if weights == "identity" else VALUES[weights])(rng, w_shape, 8)
    dy = VALUES[pictures](rng, (x_shape[0], w_shape[0], *x_shape[2:]), 8)
    operation, settings = minidl.conv2d, {"padding": 1}
    with computed_by("squares"):
        y, dx, _ = outcome(operation, [x, w], settings, dy)
    in_float64 = [np.float64(x), np.float64(w)]
    exact = outcome(operation, in_float64, settings, np.float64(dy), kernels="reference")
    for ours, value, image, filters in (
        (y, exact[0], x, w),
        (dx, exact[1], dy, w.swapaxes(0, 1)),
    ):
        norms = np.abs(np.float64(image)).max((2, 3)) @ np.abs(np.float64(filters)).max((2, 3)).T
        bound = 81 * (image.shape[1] + 11) * U * norms
        assert np.all(np.abs(ours - value) <= bound[:, :, None, None])
