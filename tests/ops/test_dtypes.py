"""Mathematical functions of every dtype: the value of NumPy, in the dtype of the promotion table.

The extremes of integers are among the numbers: what a function computes in must hold them.
"""

import numpy as np
import pytest
from scipy import special

import minidl
from minidl import linalg
from minidl.errors import DTypeError
from tests.helpers import assert_close

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
EVERY = ("bool", *INTEGERS, *FLOATS, *COMPLEX)
TOLERANCE = {"float16": 3e-3, "float32": 1e-5, "complex64": 1e-5, "float64": 1e-13}


def numbers(dtype, low=-3.0, high=3.0):
    """Numbers of a dtype between two bounds, or its extremes and what is near 0."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.array([False, True, True, False])
    if kind in "iu":
        limits = np.iinfo(dtype)
        few = [n for n in (limits.min, limits.max, 0, 1, 2, 3) if low <= n <= high]
        return np.array(few, dtype)
    x = np.linspace(low, high, 6)
    return (x * (0.6 + 0.8j) if kind == "c" else x).astype(dtype)


def wide(x):
    """The numbers in double precision."""
    return x.astype("complex128" if x.dtype.kind == "c" else "float64")


def float_of(dtype):
    """The dtype that functions which yield reals compute in."""
    return "float32" if np.dtype(dtype).kind in "biu" else dtype


def assert_equal(ours, expected, dtype):
    """The same values, in a dtype."""
    assert ours.dtype == dtype
    assert_close(
        ours.astype("complex128" if ours.dtype.kind == "c" else "float64"),
        np.asarray(expected),
        TOLERANCE.get(str(dtype), 1e-13),
    )


# Functions that yield reals of integers: name, in NumPy, where it is defined, whether of complex.
WIDE = {"low": -1e4, "high": 1e4}
# fmt: off
REAL_FUNCTIONS = {
    "sqrt": (np.sqrt, {"low": 0, "high": 1e4}, True),
    "exp": (np.exp, {}, True),
    "expm1": (np.expm1, {}, True),
    "log": (np.log, {"low": 1, "high": 1e4}, True),
    "log1p": (np.log1p, {"low": 0, "high": 1e4}, True),
    "log2": (np.log2, {"low": 1, "high": 1e4}, True),
    "log10": (np.log10, {"low": 1, "high": 1e4}, True),
    "sin": (np.sin, {}, True),
    "cos": (np.cos, {}, True),
    "tan": (np.tan, {"low": -1, "high": 1}, True),
    "asin": (np.arcsin, {"low": -0.9, "high": 1}, True),
    "acos": (np.arccos, {"low": -0.9, "high": 0.9}, True),
    "atan": (np.arctan, WIDE, True),
    "sinh": (np.sinh, {}, True),
    "cosh": (np.cosh, {}, True),
    "tanh": (np.tanh, {}, True),
    "asinh": (np.arcsinh, WIDE, True),
    "acosh": (np.arccosh, {"low": 1, "high": 1e4}, True),
    "atanh": (np.arctanh, {"low": -0.9, "high": 0.9}, True),
    "erf": (special.erf, {"low": -1, "high": 1}, True),
    "relu": (lambda x: np.maximum(x, 0), WIDE, False),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), WIDE, False),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), WIDE, False),
    "celu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), WIDE, False),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), {}, True),
    "silu": (lambda x: x / (1 + np.exp(-x)), {}, True),
    "softplus": (lambda x: np.logaddexp(x, 0), WIDE, False),
    "logsigmoid": (lambda x: -np.logaddexp(-x, 0), WIDE, False),
    "mish": (lambda x: x * np.tanh(np.logaddexp(x, 0)), WIDE, False),
    "gelu": (lambda x: 0.5 * x * (1 + special.erf(x * 0.5**0.5)), {"low": -1, "high": 1}, True),
    "softsign": (lambda x: x / (1 + np.abs(x)), WIDE, True),
    "tanhshrink": (lambda x: x - np.tanh(x), {"low": 1, "high": 1e4}, True),
    "hardsigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, WIDE, False),
    "hardswish": (lambda x: x * np.clip(x + 3, 0, 6) / 6, WIDE, False),
    "relu6": (lambda x: np.clip(x, 0, 6), WIDE, False),
    "hardtanh": (lambda x: np.clip(x, -1, 1), WIDE, False),
    "hardshrink": (lambda x: np.where(np.abs(x) > 0.5, x, 0), WIDE, True),
    "softshrink": (lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), WIDE, True),
    "softmax": (special.softmax, {}, True),
    "log_softmax": (lambda x: x - np.log(np.exp(x).sum()), {}, True),
    "softmin": (lambda x: special.softmax(-x), WIDE, True),
}
# fmt: on


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("name", REAL_FUNCTIONS)
def test_function_that_yields_reals(name, dtype):
    theirs, bounds, of_complex = REAL_FUNCTIONS[name]
    function, x = getattr(minidl, name), numbers(dtype, **bounds)
    if dtype == "bool":  # only what is in the domain
        x = x[(x >= bounds.get("low", 0)) & (x <= bounds.get("high", 1))]
    if np.dtype(dtype).kind == "c" and not of_complex:
        with pytest.raises(DTypeError, match=f"^{name}.*real numbers"):
            function(x)
        return
    assert_equal(function(x), theirs(wide(x)), float_of(dtype))


# Functions that keep the dtype, whose integers wrap around as NumPy's do.
# fmt: off
KEEPING = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "negative": np.negative,
    "floor_divide": np.floor_divide, "remainder": np.remainder, "square": np.square,
    "maximum": np.maximum, "minimum": np.minimum, "sign": np.sign, "floor": np.floor,
    "ceil": np.ceil, "round": np.round,
}
# fmt: on
UNORDERED = ("maximum", "minimum", "floor", "ceil", "floor_divide", "remainder")


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("name", KEEPING)
def test_function_that_keeps_the_dtype(name, dtype):
    theirs, function = KEEPING[name], getattr(minidl, name)
    x = numbers(dtype)
    xs = (x, x[::-1] + np.ones((), dtype) if x.dtype != bool else x)[: getattr(theirs, "nin", 1)]
    if dtype == "bool" or dtype in COMPLEX and name in UNORDERED:
        with pytest.raises(DTypeError, match=f"^{name}"):
            function(*xs)
        return
    with np.errstate(all="ignore"):
        expected = theirs(*xs)
    assert_equal(function(*xs), wide(expected), dtype)


@pytest.mark.parametrize("dtype", EVERY)
def test_absolute_values(dtype):
    if dtype == "bool":
        with pytest.raises(DTypeError, match=r"^abs"):
            minidl.abs(numbers(dtype))
        return
    expected = np.abs(numbers(dtype))
    assert_equal(minidl.abs(numbers(dtype)), wide(expected), expected.dtype)


COMPARISONS = {
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}  # fmt: skip


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison(name, dtype):
    x, function = numbers(dtype), getattr(minidl, name)
    if dtype in COMPLEX and name.startswith(("less", "greater")):
        with pytest.raises(DTypeError, match=f"^{name}.*no order"):
            function(x, x[::-1])
        return
    ours = function(x, x[::-1])
    assert ours.dtype == bool
    assert ours.numpy().tolist() == COMPARISONS[name](x, x[::-1]).tolist()


# Functions of vectors, of which sums of squares must not wrap around.


def normal(x, axis=-1):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-5)


def unit(x):
    return x / np.sqrt((np.abs(x) ** 2).sum(-1, keepdims=True))


# fmt: off
OF_VECTORS = {
    "normalize": (lambda x: minidl.normalize(x, axis=-1), unit, True),
    "cosine_similarity": (lambda x: minidl.cosine_similarity(x, x[:, ::-1], axis=-1),
                          lambda x: (unit(x) * unit(x[:, ::-1])).sum(-1), False),
    "pairwise_distance": (lambda x: minidl.pairwise_distance(x, x[::-1], eps=0),
                          lambda x: np.sqrt((np.abs(x - x[::-1]) ** 2).sum(-1)), True),
    "layer_norm": (lambda x: minidl.layer_norm(x, normalized_shape=3), normal, False),
    "group_norm": (lambda x: minidl.group_norm(x, num_groups=1), normal, False),
    "batch_norm": (lambda x: minidl.batch_norm(x)[0], lambda x: normal(x, 0), False),
    "batch_norm_inference": (
        lambda x: minidl.batch_norm_inference(x, x[0], abs(x[2]), eps=1.0),
        lambda x: (x - x[0]) / np.sqrt(np.abs(x[2]) + 1), False),
    "instance_norm": (lambda x: minidl.instance_norm(x[:, :, None].repeat(2, -1)),
                      lambda x: np.zeros((3, 3, 2)), False),
    "rms_norm": (lambda x: minidl.rms_norm(x, normalized_shape=3, eps=0.0),
                 lambda x: x / np.sqrt((x * x).mean(-1, keepdims=True)), False),
    "local_response_norm": (lambda x: minidl.local_response_norm(x[..., None], 1)[..., 0],
                            lambda x: x / (1 + 1e-4 * x * x) ** 0.75, False),
}
# fmt: on


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", *FLOATS, *COMPLEX])
@pytest.mark.parametrize("name", OF_VECTORS)
def test_function_of_vectors(name, dtype):
    ours, theirs, of_complex = OF_VECTORS[name]
    x = np.array([[100, 3, 127], [1, 90, 5], [7, 120, 30]]).astype(dtype)
    if dtype in COMPLEX and not of_complex:
        with pytest.raises(DTypeError, match=f"^{name}.*real numbers"):
            ours(x)
        return
    real = dtype in COMPLEX and name == "pairwise_distance"
    assert_equal(
        ours(x),
        theirs(wide(x)),
        "float32" if real and dtype == "complex64" else "float64" if real else float_of(dtype),
    )


# Products keep their dtype; linear algebra computes in floats, and refuses integers.

PRODUCTS = {
    "matmul": (minidl.matmul, np.matmul),
    "linear": (minidl.linear, lambda x, y: x @ y.T),
    "tensordot": (lambda x, y: minidl.tensordot(x, y, axes=1), np.matmul),
    "vecdot": (minidl.vecdot, np.vecdot),
    "outer": (lambda x, y: linalg.outer(x[0], y[0]), lambda x, y: np.outer(x[0], y[0])),
    "cross": (linalg.cross, np.linalg.cross),
    "bilinear": (
        lambda x, y: minidl.bilinear(x, y, np.stack([x, y])),
        lambda x, y: np.einsum("ni,kij,nj->nk", x, np.stack([x, y]), y),
    ),
}


@pytest.mark.parametrize("dtype", [d for d in EVERY if d != "bool"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_product_keeps_the_dtype(name, dtype):
    ours, theirs = PRODUCTS[name]
    x = np.arange(9).reshape(3, 3).astype(dtype)
    if dtype in COMPLEX:
        x = x * np.array(1 + 0.5j, dtype)
    with np.errstate(all="ignore"):
        expected = theirs(x, x.T).astype(dtype)
    assert_equal(ours(x, x.T), wide(expected), dtype)


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize(
    "name", ["inv", "det", "adjugate", "pinv", "svdvals", "eigvalsh", "cholesky", "matrix_rank"]
)
def test_linear_algebra_of_every_dtype(name, dtype):
    x = np.array([[4, 1, 0], [1, 3, 1], [0, 1, 2]]).astype(dtype)
    function = getattr(linalg, name)
    if np.dtype(dtype).kind in "biu":
        with pytest.raises(DTypeError, match=f"^{name}.*floating-point"):
            function(x)
        return
    values = wide(x)
    if name == "adjugate":
        expected = np.linalg.det(values) * np.linalg.inv(values)
    else:
        expected = 1.0 * getattr(np.linalg, name)(values)
    narrow = {"complex64": "float32", "complex128": "float64"}
    of_values = narrow.get(dtype, dtype) if name in ("svdvals", "eigvalsh") else dtype
    assert_equal(function(x), expected, "int64" if name == "matrix_rank" else of_values)


@pytest.mark.parametrize("batch", [(), (2,), (3, 2), (4,)])
@pytest.mark.parametrize("columns", [(), (1,), (4,)])
def test_least_squares_of_batches(batch, columns):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(*batch, 4, 4)), rng.normal(size=(4, *columns))
    x[..., 3] = x[..., 2]  # a rank of 3
    result = linalg.lstsq(x, y)
    for index in np.ndindex(batch):
        solution, _, rank, values = np.linalg.lstsq(x[index], y)
        assert_equal(result.solution[index], solution, "float64")
        assert_equal(result.residuals[index], ((x[index] @ solution - y) ** 2).sum(0), "float64")
        assert result.rank[index].item() == rank == 3
        assert_close(result.singular_values[index], values, 1e-12)


def test_residuals_of_complex_least_squares_are_real():
    x, y = np.array([[1.0], [1j]], "complex128"), np.array([1.0 + 1j, 0])
    result = linalg.lstsq(x, y)
    expected = np.linalg.lstsq(x, y)
    assert_equal(result.solution, expected[0], "complex128")
    assert_equal(result.residuals, expected[1][0], "float64")
