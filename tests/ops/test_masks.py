"""Gradients of 0 stay 0, and NaN stays NaN, whatever the slope is: masks are safe.

Every elementwise operation, at every kind of extreme, in every float dtype, by its body and by its
kernel, to the second order.
"""

import math

import numpy as np
import pytest

import minidl
from minidl import ops
from tests.cases import operations

INF, NAN = math.inf, math.nan
EXTREMES = (
    *(0.0, 0.5, 1.0, 2.0, 3.0, 20.0, 700.0, 1e-3, 1e4, INF),
    *(-0.0, -0.5, -1.0, -2.0, -3.0, -20.0, -700.0, -1e-3, -1e4, -INF),
    NAN,
)


def extremes(dtype):
    """Zeros, poles and edges of domains; the largest, smallest and denormal numbers; ±∞ and NaN."""
    limits = np.finfo(dtype)
    own = (limits.max, limits.tiny, limits.smallest_subnormal, 1 - limits.epsneg)
    return np.array([*EXTREMES, *own, *np.negative(own)], dtype)


# How each elementwise operation is called: the number of its arrays, and settings.
UNARY = (
    *("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "celu", "clip", "conj", "copy"),
    *("cos", "cosh", "digamma", "elu", "erf", "erfc", "erfinv", "exp", "expm1", "gelu"),
    *("log_odds", "logit"),
    *("hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "lgamma", "log"),
    *("log10", "log1p", "log2", "logsigmoid", "mish", "nan_to_num", "negative", "positive", "real"),
    *("reciprocal", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "sin", "sinc", "sinh"),
    *("softplus", "softshrink", "softsign", "sqrt", "square", "tan", "tanh", "tanhshrink"),
)
BINARY = (
    *("fmax", "fmin", "fmod"),
    *("add", "atan2", "copysign", "divide", "hypot", "logaddexp", "maximum", "minimum", "multiply"),
    *(
        "mul_zero",
        "pow",
        "prelu",
        "remainder",
        "subtract",
        "xdivy",
        "xlogy",
        "xmuly",
        "bernoulli_nll",
    ),
)
CALLS = {
    **{name: (1, operations()[name]) for name in UNARY},
    **{name: (2, operations()[name]) for name in BINARY},
    "clip": (1, lambda x: ops.clip(x, -1, 2)),
    "gelu tanh": (1, lambda x: ops.gelu(x, approximate="tanh")),
    "leaky_relu": (1, lambda x: ops.leaky_relu(x, -0.5)),
    "softplus": (1, lambda x: ops.softplus(x, 2.0, 9.0)),
    "threshold": (1, lambda x: ops.threshold(x, 0.5, 3.0)),
    "trigamma": (1, lambda x: ops.polygamma(x, 1)),
    "at_least": (1, lambda x: operations()["at_least"](x, bound=0.5)),
    "prelu": (2, lambda x, w: ops.where(x > 0, x, x * w)),
    "divide by a number": (1, lambda x: x / 3.0),
    "divide a number": (1, lambda x: 3.0 / x),
    "divide a number by itself": (1, lambda x: x / x),
    "multiply by a number": (1, lambda x: x * 3.0),
    **{f"power {n}": (1, lambda x, n=n: x**n) for n in (0, 1, 2, 3, -1, 0.5, -0.5, 2.5)},
    "power of a number": (1, lambda x: 2.0**x),
    "power of zero": (1, lambda x: 0.0**x),
    "lerp": (3, ops.lerp),
    "where": (2, lambda x, y: ops.where(x > y, x, y)),
}
# They give dy to what they select: nothing to what they do not, even of NaN.
SELECT = {
    *("clip", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "maximum", "minimum"),
    *("nan_to_num", "relu", "relu6", "softshrink", "threshold", "where", "prelu", "lerp"),
    *("fmax", "fmin"),
    *("mul_zero", "xdivy", "xlogy", "xmuly"),  # 0, where a factor or dividend is 0
}
# Elementwise, but nothing to differentiate; or another composite's, with arrays of other kinds.
CONSTANT = {
    *("equal", "floor", "floor_divide", "ceil", "greater", "greater_equal", "isfinite", "isinf"),
    *("isnan", "less", "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor"),
    *("nextafter", "not_equal", "round", "sign", "signbit", "trunc", "imag"),
    *("bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift"),
    "bitwise_xor",
}
FILES = ("arithmetic", "elementwise", "exponential", "special", "trigonometry", "nn.activation")
each_call = pytest.mark.parametrize("name", CALLS)
each_dtype = pytest.mark.parametrize(
    "dtype", ["float32", *(pytest.param(d, marks=pytest.mark.full) for d in ("float16", "float64"))]
)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # ∞·0 in a value


def test_every_elementwise_operation_is_called_here():
    defined = {
        name
        for name, operation in operations().items()
        if operation.body.__module__.removeprefix("minidl.ops.") in FILES
    }
    assert defined - CALLS.keys() - CONSTANT == {"glu", "polygamma"}  # not elementwise; trigamma


def inputs_of(count, dtype, repeated=1):
    """Every combination of extremes: a vector for each array."""
    values = extremes(dtype) if count < 3 else extremes(dtype)[::3]
    grid = np.meshgrid(*[values] * count, indexing="ij")
    return [np.repeat(x.reshape(-1), repeated) for x in grid]


def leaves(arrays):
    """The arrays as tensors that require gradients."""
    return [minidl.asarray(x, requires_grad=True) for x in arrays]


def pulled(ys, xs, gradient, **settings):
    """The gradients that reach any of xs, where ys get this one everywhere."""
    ys = [y for y in ys if y.requires_grad]
    if not ys:
        return []
    seeds = [minidl.full_like(y, gradient) for y in ys]
    dxs = minidl.gradients(ys, xs, seeds, allow_unused=True, **settings)
    return [dx for dx in dxs if dx is not None]


def assert_all(are, gradients, arrays, *context):
    """Read in a failure: the first elements of the arrays where a gradient is another one."""
    for dx in gradients:
        wrong = np.flatnonzero(~are(dx.numpy()))[:5]
        assert not wrong.size, ([tuple(float(x[i]) for x in arrays) for i in wrong], *context)


def is_zero(dx):
    return dx == 0


def is_zero_or_nan(dx):
    return (dx == 0) | np.isnan(dx)


def assert_masks(name, arrays):
    function = CALLS[name][1]
    xs = leaves(arrays)
    assert_all(is_zero, pulled([function(*xs)], xs, 0.0), arrays)
    if name not in SELECT:
        assert_all(np.isnan, pulled([function(*xs)], xs, NAN), arrays)


@each_dtype
@each_call
def test_zero_stays_zero_and_nan_nan(name, dtype):
    assert_masks(name, inputs_of(CALLS[name][0], dtype))


@each_call
def test_zero_stays_zero_and_nan_nan_in_kernels(name):
    count = CALLS[name][0]
    assert_masks(name, inputs_of(count, "float32", repeated=600 if count == 1 else 20))


@each_dtype
@each_call
def test_second_derivatives(name, dtype):
    """Of dx(x, dy): a gradient of 0 stays 0; and where dy is 0, dx does not depend on x."""
    count, function = CALLS[name]
    arrays = inputs_of(count, dtype)
    for gradient, second in ((0.0, 1.0), (1.0, 0.0), (0.0, NAN), (NAN, 0.0)):
        with minidl.higher_order():
            xs = leaves(arrays)
            y = function(*xs)
            dy = minidl.full_like(y, gradient).requires_grad_()
            dxs = minidl.gradients(y, xs, [dy], create_graph=True, allow_unused=True)
            dxs = [dx for dx in dxs if dx is not None]
            of_xs, of_dy = pulled(dxs, xs, second, retain_graph=True), pulled(dxs, [dy], second)
        may_be_nan = gradient != gradient or second != second
        assert_all(is_zero_or_nan if may_be_nan else is_zero, of_xs, arrays, gradient, second)
        if second == 0:
            assert_all(is_zero, of_dy, arrays, gradient, second)


@each_dtype
@each_call
def test_what_a_where_discards(name, dtype):
    """The derivatives of where(…, x, f(x)) are 1 and 0, and 0 of the other arguments."""
    count, function = CALLS[name]
    arrays = inputs_of(count, dtype)
    with minidl.higher_order():
        xs = leaves(arrays)
        y = minidl.where(minidl.ones_like(xs[0], dtype="bool"), xs[0], function(*xs))
        first = pulled([y], xs, 1.0, create_graph=True)
        second = pulled(first, xs, 1.0, create_graph=True)
        third = pulled(second, xs, 1.0)
    assert_all(lambda dx: dx == 1, first[:1], arrays)
    assert_all(is_zero, [*first[1:], *second, *third], arrays)


def test_the_exponential_that_overflows():
    def f(x):
        return minidl.where(x > 0, x, minidl.exp(x) - 1)

    assert minidl.grad(f)(minidl.tensor(100.0)) == 1
    assert minidl.grad(minidl.grad(f))(minidl.tensor(100.0)) == 0


@pytest.mark.parametrize("size", [3, 100_000])
@pytest.mark.parametrize("factor", [INF, -INF, NAN])
def test_products_in_place_and_broadcast(size, factor):
    x = minidl.ones((2, size), requires_grad=True)
    mask = np.zeros((2, size), np.float32)
    mask[1] = 1
    y = minidl.asarray(np.where(mask, 2, factor).astype(np.float32)) * x
    (dx,) = minidl.gradients(y, [x], [minidl.asarray(mask)])
    assert (dx == minidl.asarray(2 * mask)).all()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("kernels", ["fast", "reference"])
def test_masked_rows(name, axis, kernels):
    rows = np.array([[INF, 1], [NAN, 1], [-INF, -INF], [1, 2]], np.float32)
    x = minidl.asarray(rows if axis else rows.T.copy(), requires_grad=True)
    with minidl.kernels(kernels):
        y = getattr(minidl, name)(x, axis=axis)
        (dx,) = minidl.gradients(y, [x], [minidl.zeros_like(y)])
    assert (dx == 0).all()


@pytest.mark.parametrize("kernels", ["fast", "reference"])
def test_masked_losses(kernels):
    logits = minidl.tensor([[INF, 1.0], [NAN, 1.0]], requires_grad=True)
    with minidl.kernels(kernels):
        loss = minidl.cross_entropy(logits, minidl.tensor([0, 1]), reduction="sum")
        minidl.where(True, 0.0, loss).backward()
    assert (logits.grad == 0).all()
