"""Operations on arrays of every shape and layout, against NumPy.

The numbers are small multiples of 1/4, so that sums and products have no rounding errors and
gradients must be the same to the last bit, in whatever order they are added up.
"""

import warnings
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

import minidl
from minidl import ops
from minidl.errors import MinidlError
from minidl.ops.indexing import put_at
from tests.helpers import HERE_ARRAY, assert_close

DTYPES = ("float32", "float64")


# Arrays: a shape, a dtype, a seed for the numbers, and a layout in memory.


def strided(x):
    """Every second element of a larger array, along every axis."""
    large = np.zeros([2 * n for n in x.shape], x.dtype)
    large[(slice(None, None, 2),) * x.ndim] = x
    return large[(slice(None, None, 2),) * x.ndim]


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "strided": strided,
    "reversed": lambda x: np.flip(np.flip(x).copy()),
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim and x.size else x,
}

small_shapes = shapes.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
full_shapes = shapes.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3)
dtypes = st.sampled_from(DTYPES)
layouts = st.sampled_from(list(LAYOUTS))


def quarters(rng, shape):
    """Multiples of 1/4 between −3 and 3."""
    return rng.integers(-12, 13, shape) / 4


@st.composite
def arrays(draw, shape=small_shapes, dtype=dtypes):
    """An array of small multiples of 1/4 in some layout."""
    shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    x = np.asarray(quarters(rng, shape), draw(dtype))
    return np.asarray(LAYOUTS[draw(layouts)](x))


@st.composite
def several(draw, some_shapes):
    """An array for each shape."""
    return [draw(arrays(shape)) for shape in draw(some_shapes)]


def broadcastable(count):
    """Arrays of shapes that broadcast together."""
    return several(
        shapes.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3).map(
            lambda found: found.input_shapes
        )
    )


def axes_of(ndim):
    """None, one axis, or several, counted from either end."""
    if not ndim:
        return st.just(None)
    one = st.integers(-ndim, ndim - 1)
    return st.one_of(st.none(), one, shapes.valid_tuple_axes(ndim))


# What every operation is held to.


def run(function, arrays, dy=None):
    """The value, and the gradients for dy: integers, if it is not given."""
    tensors = [minidl.asarray(x, requires_grad=True) for x in arrays]
    y = function(*tensors)
    if dy is None:
        dy = np.arange(y.size).reshape(y.shape) % 5 - 2
    return y, minidl.gradients(y, tensors, [minidl.asarray(dy, dtype=y.dtype)])


def numpy_value(reference, arrays):
    """What NumPy computes in float64, infinities and NaNs included."""
    with warnings.catch_warnings(action="ignore"):
        return np.asarray(reference(*(np.array(x, "float64") for x in arrays)))


def check(function, reference, arrays, *, exact=True):
    """Values are NumPy's; gradients fit their inputs, and are those of the contiguous copies."""
    y, gradients = run(function, arrays)
    dtype = np.result_type(*arrays)
    assert type(y.data) is HERE_ARRAY
    expected = numpy_value(reference, arrays).astype(dtype)
    assert_close(y, expected, 1e-6 if dtype == "float32" else 1e-14)
    _, plain = run(function, [x.copy() for x in arrays])
    for x, gradient, same in zip(arrays, gradients, plain, strict=True):
        assert gradient.shape == x.shape
        assert gradient.dtype == x.dtype
        if exact:
            np.testing.assert_array_equal(gradient, same)
        else:
            assert_close(gradient, same, 4 * np.finfo(x.dtype).eps)


# Element by element.

RATIONAL = {
    "negative": (ops.negative, np.negative),
    "abs": (ops.abs, np.abs),
    "square": (ops.square, np.square),
    "cube": (lambda x: x**3, lambda x: x**3),
    "clip": (lambda x: ops.clip(x, -1, 1.5), lambda x: np.clip(x, -1, 1.5)),
    "relu": (ops.relu, lambda x: np.maximum(x, 0)),
    "leaky_relu": (
        lambda x: ops.leaky_relu(x, 0.25),
        lambda x: np.where(x > 0, x, x / 4),
    ),
    "copy": (ops.copy, np.copy),
    "flip": (ops.flip, np.flip),
    "by numbers": (lambda x: 1 - 2 * x, lambda x: 1 - 2 * x),
}
# NumPy's own loops may round these differently where the elements do not lie side by side.
TRANSCENDENTAL = {
    "exp": (ops.exp, np.exp),
    "expm1": (ops.expm1, np.expm1),
    "log": (lambda x: ops.log(x * x + 1), lambda x: np.log(x * x + 1)),
    "log1p": (lambda x: ops.log1p(ops.abs(x)), lambda x: np.log1p(np.abs(x))),
    "sqrt": (lambda x: ops.sqrt(x * x + 1), lambda x: np.sqrt(x * x + 1)),
    "sin": (ops.sin, np.sin),
    "cos": (ops.cos, np.cos),
    "atan": (ops.atan, np.arctan),
    "tanh": (ops.tanh, np.tanh),
    "sigmoid": (ops.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "softplus": (ops.softplus, lambda x: np.log(1 + np.exp(x))),
    "silu": (ops.silu, lambda x: x / (1 + np.exp(-x))),
}
BINARY = {
    "add": (ops.add, np.add),
    "subtract": (ops.subtract, np.subtract),
    "multiply": (ops.multiply, np.multiply),
    "maximum": (ops.maximum, np.maximum),
    "minimum": (ops.minimum, np.minimum),
}


@pytest.mark.parametrize(("ours", "theirs"), RATIONAL.values(), ids=RATIONAL)
@given(x=arrays())
def test_rational_function(ours, theirs, x):
    check(ours, theirs, [x])


@pytest.mark.parametrize(("ours", "theirs"), TRANSCENDENTAL.values(), ids=TRANSCENDENTAL)
@given(x=arrays())
def test_transcendental_function(ours, theirs, x):
    check(ours, theirs, [x], exact=False)


@pytest.mark.parametrize(("ours", "theirs"), BINARY.values(), ids=BINARY)
@given(xs=broadcastable(2))
def test_binary_function(ours, theirs, xs):
    check(ours, theirs, xs)


@given(xs=broadcastable(2))
def test_divide(xs):
    x1, x2 = xs
    powers_of_2 = np.asarray(np.exp2(np.round(x2)), x2.dtype)
    check(ops.divide, np.divide, [x1, powers_of_2])


@given(xs=broadcastable(3))
def test_where(xs):
    condition, *xs = xs
    mask = condition > 0
    check(lambda x, y: ops.where(mask, x, y), lambda x, y: np.where(mask, x, y), xs)


CONSTANT = {
    "sign": (ops.sign, np.sign),
    "floor": (ops.floor, np.floor),
    "ceil": (ops.ceil, np.ceil),
    "round": (ops.round, np.round),
    "isnan": (lambda x: ops.isnan(x / 0), lambda x: x == 0),
    "isinf": (lambda x: ops.isinf(x / 0), lambda x: x != 0),
    "isfinite": (lambda x: ops.isfinite(1 / x), lambda x: x != 0),
    "logical_not": (ops.logical_not, np.logical_not),
}
CONSTANT_BINARY = {
    "floor_divide": (ops.floor_divide, np.floor_divide),
    "equal": (ops.equal, np.equal),
    "not_equal": (ops.not_equal, np.not_equal),
    "less": (ops.less, np.less),
    "less_equal": (ops.less_equal, np.less_equal),
    "greater": (ops.greater, np.greater),
    "greater_equal": (ops.greater_equal, np.greater_equal),
    "logical_and": (ops.logical_and, np.logical_and),
    "logical_or": (ops.logical_or, np.logical_or),
    "logical_xor": (ops.logical_xor, np.logical_xor),
}


def check_constant(y, reference, arrays):
    """Operations without a derivative give NumPy's values."""
    expected = numpy_value(reference, arrays)
    assert y.shape == expected.shape
    assert y.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("ours", "theirs"), CONSTANT.values(), ids=CONSTANT)
@given(x=arrays())
def test_constant_function(ours, theirs, x):
    check_constant(ours(minidl.asarray(x)), theirs, [x])


@pytest.mark.parametrize(("ours", "theirs"), CONSTANT_BINARY.values(), ids=CONSTANT_BINARY)
@given(xs=broadcastable(2))
def test_constant_binary_function(ours, theirs, xs):
    check_constant(ours(*map(minidl.asarray, xs)), theirs, xs)


# Reductions.

REDUCTIONS = {"sum": (ops.sum, np.sum), "mean": (ops.mean, np.mean), "var": (ops.var, np.var)}
EXTREMA = {"max": (ops.max, np.max), "min": (ops.min, np.min)}
WHETHER = {"all": (ops.all, np.all), "any": (ops.any, np.any)}
INDEX = {"argmax": (ops.argmax, np.argmax), "argmin": (ops.argmin, np.argmin)}


def with_settings(functions, **settings):
    """The functions of both libraries with these settings."""
    return [lambda x, f=f: f(x, **settings) for f in functions]


@pytest.mark.parametrize("functions", REDUCTIONS.values(), ids=REDUCTIONS)
@given(x=arrays(), keepdims=st.booleans(), data=st.data())
def test_reduction(functions, x, keepdims, data):
    axis = data.draw(axes_of(x.ndim))
    ours, theirs = with_settings(functions, axis=axis, keepdims=keepdims)
    check(ours, theirs, [x], exact=functions[0] is not ops.var)


@pytest.mark.parametrize("functions", EXTREMA.values(), ids=EXTREMA)
@given(x=arrays(full_shapes), keepdims=st.booleans(), data=st.data())
def test_extremum(functions, x, keepdims, data):
    axis = data.draw(axes_of(x.ndim))
    ours, theirs = with_settings(functions, axis=axis, keepdims=keepdims)
    check(ours, theirs, [x])


@pytest.mark.parametrize("functions", WHETHER.values(), ids=WHETHER)
@given(x=arrays(), keepdims=st.booleans(), data=st.data())
def test_whether(functions, x, keepdims, data):
    axis = data.draw(axes_of(x.ndim))
    ours, theirs = with_settings(functions, axis=axis, keepdims=keepdims)
    check_constant(ours(minidl.asarray(x)), theirs, [x])


@pytest.mark.parametrize("functions", INDEX.values(), ids=INDEX)
@given(x=arrays(full_shapes), keepdims=st.booleans(), data=st.data())
def test_index_of_extremum(functions, x, keepdims, data):
    axis = data.draw(
        st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1)) if x.ndim else st.none()
    )
    ours, theirs = with_settings(functions, axis=axis, keepdims=keepdims)
    check_constant(ours(minidl.asarray(x)), theirs, [x])


@pytest.mark.parametrize("function", [ops.max, ops.min, ops.argmax, ops.argmin])
def test_extremum_of_nothing_is_an_error(function):
    with pytest.raises(MinidlError, match=function.__name__):
        function(minidl.zeros((2, 0)), axis=1)


@given(x=arrays(full_shapes), keepdims=st.booleans(), data=st.data())
def test_logsumexp(x, keepdims, data):
    axis = data.draw(axes_of(x.ndim))
    settings = {"axis": axis, "keepdims": keepdims}
    check(
        lambda x: ops.logsumexp(x, **settings),
        lambda x: np.log(np.sum(np.exp(x), **settings)),
        [x],
        exact=False,
    )


@pytest.mark.parametrize("function", [ops.softmax, ops.log_softmax])
@given(
    x=arrays(shapes.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)), data=st.data()
)
def test_softmax(function, x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))

    def reference(x):
        y = np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)
        return y if function is ops.softmax else np.log(y)

    check(lambda x: function(x, axis=axis), reference, [x], exact=False)


# Matrices.


@given(
    xs=several(
        shapes.mutually_broadcastable_shapes(
            signature=np.matmul.signature, max_dims=2, max_side=3
        ).map(lambda found: found.input_shapes)
    )
)
def test_matmul(xs):
    check(ops.matmul, np.matmul, xs)


@given(
    lead=shapes.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3),
    sizes=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    biased=st.booleans(),
    data=st.data(),
)
def test_linear(lead, sizes, biased, data):
    ins, outs = sizes
    needed = [(*lead, ins), (outs, ins), (outs,)][: 2 + biased]
    xs = [data.draw(arrays(shape)) for shape in needed]
    check(ops.linear, lambda x, w, b=0: x @ w.T + b, xs)


# The same numbers in another shape.


@st.composite
def reshaped(draw):
    """An array, and a shape of the same size."""
    x = draw(arrays())
    if not x.size:
        lengths = draw(st.permutations([0, 2, 3]))
        return x, tuple(lengths)
    shape, rest = [], x.size
    while rest > 1:
        shape.append(draw(st.sampled_from([n for n in range(2, rest + 1) if rest % n == 0])))
        rest //= shape[-1]
    if draw(st.booleans()):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    if shape and draw(st.booleans()):
        shape[draw(st.integers(0, len(shape) - 1))] = -1
    return x, tuple(shape)


@given(reshaped())
def test_reshape(x_and_shape):
    x, shape = x_and_shape
    check(lambda x: x.reshape(shape), lambda x: x.reshape(shape), [x])


@given(x=arrays(), data=st.data())
def test_permute_dims(x, data):
    axes = data.draw(st.permutations(range(x.ndim)))
    axes = [i - x.ndim * data.draw(st.booleans()) for i in axes]
    check(lambda x: ops.permute_dims(x, tuple(axes)), lambda x: np.transpose(x, axes), [x])


@given(x=arrays(shapes.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=3)))
def test_matrix_transpose(x):
    check(ops.matrix_transpose, np.matrix_transpose, [x])


@given(x=arrays(), data=st.data())
def test_expand_dims_and_squeeze(x, data):
    axis = data.draw(st.sampled_from([0, -1, (0, -1), (1, 0), (-1, -2)]))
    longer = np.expand_dims(x, axis)
    check(lambda x: ops.expand_dims(x, axis=axis), lambda x: np.expand_dims(x, axis), [x])
    check(lambda x: ops.squeeze(x, axis), lambda x: np.squeeze(x, axis), [longer])


@given(xs=broadcastable(2))
def test_broadcast_to(xs):
    shape = np.broadcast_shapes(*(x.shape for x in xs))
    check(lambda x: ops.broadcast_to(x, shape), lambda x: np.broadcast_to(x, shape), xs[:1])


@given(x=arrays(), data=st.data())
def test_flip(x, data):
    axis = data.draw(axes_of(x.ndim))
    check(lambda x: ops.flip(x, axis=axis), lambda x: np.flip(x, axis), [x])


@given(x=arrays(), start=st.integers(0, 2))
def test_flatten(x, start):
    assume(start < x.ndim)
    shape = (*x.shape[:start], prod(x.shape[start:]))
    check(lambda x: x.flatten(start), lambda x: x.reshape(shape), [x])


@given(x=arrays(), dtype=dtypes)
def test_astype(x, dtype):
    y, (dx,) = run(lambda x: ops.astype(x, dtype), [x])
    np.testing.assert_array_equal(y, x)
    assert (y.dtype, dx.dtype, dx.shape) == (dtype, x.dtype, x.shape)


@given(data=st.data(), count=st.integers(1, 3))
def test_concat(data, count):
    shape = data.draw(shapes.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    xs = []
    for _ in range(count):
        own = list(shape)
        own[axis] = data.draw(st.integers(0, 3))
        xs.append(data.draw(arrays(tuple(own))))
    check(lambda *xs: ops.concat(xs, axis=axis), lambda *xs: np.concat(xs, axis=axis), xs)


@given(shape=small_shapes, data=st.data(), count=st.integers(1, 3))
def test_stack(shape, data, count):
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    xs = [data.draw(arrays(shape)) for _ in range(count)]
    check(lambda *xs: ops.stack(xs, axis=axis), lambda *xs: np.stack(xs, axis=axis), xs)


# Indexing.


def check_index(x, index):
    """Reading, and writing a copy, at an index."""
    check(lambda x: x[index], lambda x: x[index], [x])
    values = np.ones(x[index].shape, x.dtype)

    def put(x, values):
        result = x.copy()
        result[index] = values
        return result

    check(lambda x, v: put_at(x, v, index), put, [x, values])


@given(x=arrays(), data=st.data())
def test_getitem_basic(x, data):
    check_index(x, data.draw(shapes.basic_indices(x.shape, allow_newaxis=True)))


@given(x=arrays(shapes.array_shapes(max_dims=3, max_side=3)), data=st.data())
def test_getitem_arrays(x, data):
    index = data.draw(shapes.integer_array_indices(x.shape))
    check(lambda x: x[index], lambda x: x[index], [x])


@given(x=arrays(), data=st.data())
def test_getitem_mask(x, data):
    mask = data.draw(shapes.arrays(bool, x.shape))
    check_index(x, mask)


@given(x=arrays(shapes.array_shapes(max_dims=3, max_side=3)), data=st.data())
def test_getitem_mixed(x, data):
    after = data.draw(shapes.basic_indices(x.shape[1:], allow_ellipsis=False))
    after = after if isinstance(after, tuple) else (after,)
    first = data.draw(shapes.arrays("int64", (2,), elements=st.integers(-len(x), len(x) - 1)))
    check(lambda x: x[(first, *after)], lambda x: x[(first, *after)], [x])


@given(x=arrays(shapes.array_shapes(max_dims=3, max_side=3)), data=st.data())
def test_take_along_axis_and_scatter_add(x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    shape = list(x.shape)
    shape[axis] = data.draw(st.integers(0, 4))
    within = st.integers(0, x.shape[axis] - 1)
    indices = data.draw(shapes.arrays("int64", tuple(shape), elements=within))
    values = data.draw(arrays(tuple(shape)))

    def added(x, values):
        result = x.copy()
        places = list(np.indices(indices.shape))
        places[axis] = indices
        np.add.at(result, tuple(places), values)
        return result

    check(
        lambda x: ops.take_along_axis(x, indices, axis=axis),
        lambda x: np.take_along_axis(x, indices, axis),
        [x],
    )
    check(lambda x, v: ops.scatter_add(x, indices, v, axis=axis), added, [x, values])


@given(x=arrays(shapes.array_shapes(max_dims=3, max_side=3)), data=st.data())
def test_take(x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    within = st.integers(0, x.shape[axis] - 1)
    indices = data.draw(shapes.arrays("int64", small_shapes, elements=within))
    check(lambda x: ops.take(x, indices, axis=axis), lambda x: np.take(x, indices, axis), [x])


@given(
    x=arrays(shapes.array_shapes(max_dims=3, min_side=0, max_side=4)),
    data=st.data(),
    descending=st.booleans(),
)
def test_sort_is_stable_in_both_directions(x, data, descending):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    keys = -x if descending else x
    order = np.argsort(keys, axis=axis, stable=True)
    settings = {"axis": axis, "descending": descending}
    np.testing.assert_array_equal(ops.argsort(minidl.asarray(x), **settings), order)
    check(lambda x: ops.sort(x, **settings), lambda x: np.take_along_axis(x, order, axis), [x])
