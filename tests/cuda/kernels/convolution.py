"""Running convolutions by their kernels on the GPU and by the bodies on the CPU, in float64.

Values and gradients obey the bounds that convolution promises, with n terms and u = 2⁻²⁴:
|error| ≤ n·u·Σ|x||w| for y and dx, and 2·log₂ n·u·Σ|x||dy| for the long sums of dw and db.
"""

from contextlib import contextmanager

import numpy as np
import pytest

import minidl
from minidl_cuda.kernels import conv2d, implicit_gemm, weight_gradient
from tests.backends.kernels.conv.test_conv2d import SMALL
from tests.cuda.stand_in import counters

U = {"float32": 2.0**-24, "float16": 2.0**-11}
OURS = (
    "conv2d_", "depthwise_", "sum_", "max_pool2d_", "im2col_", "col2im_", "bias_relu_",
    "channels_last_", "pack_weights_", "matmul", "ascontiguousarray", "transpose",
)  # fmt: skip
each_dtype = pytest.mark.parametrize("dtype", U)


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
    for name, ours, value, total, n in zip("yxwb", found, exact, sums, counts, strict=True):
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
