"""The Python array API standard, 2024.12: what it names is there, and does what NumPy does."""

import inspect
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.errors import ArgumentError, DTypeError, ShapeError
from tests.helpers import HERE, assert_close, share_memory
from tests.ops.standard import FFT, INFORMATION, LINALG, METHODS, STANDARD, TO_DEVICE

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS, COMPLEX = ("float32", "float64"), ("complex64", "complex128")
NUMBERS = (*INTEGERS, *FLOATS, *COMPLEX)
EVERY = ("bool", *NUMBERS)
SHAPES = ((), (0,), (3, 0), (1,), (7,), (3, 4), (2, 1, 3))


def sample(dtype, shape, seed=0):
    """Numbers of a dtype, many of them equal."""
    rng = np.random.default_rng([seed, *shape])
    low = 0 if np.dtype(dtype).kind in "bu" else -3
    values = rng.integers(low, 4, shape) / (2 if np.dtype(dtype).kind in "fc" else 1)
    return np.asarray(values * (1 + 0.5j) if dtype in COMPLEX else values).astype(dtype)


def assert_equal(actual, expected):
    """The same dtype, shape and values."""
    assert isinstance(actual, minidl.Tensor)
    assert_close(actual, np.asarray(expected), 0)


# It is there.


def parameters(signature):
    """The parameters of a signature written out."""
    return inspect.signature(eval(f"lambda {signature}: 0")).parameters.values()


def unlike(function, signature):
    """The arguments that a function does not take as the signature has them.

    Where the standard wants an argument by its place, it may have another name and be taken by
    name as well; more arguments with defaults may follow, and what needs no default may have one;
    ** takes any name.
    """
    own = inspect.signature(function).parameters
    by_place = [p for p in own.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = {p.kind for p in own.values()}
    wrong = set()
    for place, wanted in enumerate(parameters(signature)):
        found = own.get(wanted.name)
        if wanted.kind is wanted.POSITIONAL_ONLY:
            found = by_place[place] if place < len(by_place) else None
        elif wanted.kind is wanted.VAR_POSITIONAL:
            found = wanted if wanted.kind in rest else None
        elif wanted.kind is wanted.KEYWORD_ONLY and wanted.VAR_KEYWORD in rest:
            found = found or wanted
        same = found and wanted.default in (found.default, wanted.empty)
        if not same or wanted.kind is not wanted.POSITIONAL_ONLY and found.kind != wanted.kind:
            wrong.add(wanted.name)
    return wrong


@pytest.mark.parametrize("name", STANDARD)
def test_function_takes_the_arguments_of_the_standard(name):
    assert unlike(getattr(minidl, name), STANDARD[name]) == set()


@pytest.mark.parametrize("name", LINALG)
def test_function_of_linalg_takes_the_arguments_of_the_standard(name):
    assert unlike(getattr(minidl.linalg, name), LINALG[name]) == set()
    if name in STANDARD:
        assert getattr(minidl, name) is getattr(minidl.linalg, name)


@pytest.mark.parametrize("name", FFT)
def test_function_of_fft_takes_the_arguments_of_the_standard(name):
    assert unlike(getattr(minidl.fft, name), FFT[name]) == set()


@pytest.mark.parametrize("name", INFORMATION)
def test_information_takes_the_arguments_of_the_standard(name):
    info = minidl.__array_namespace_info__()
    assert unlike(getattr(info, name), INFORMATION[name]) == set()


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (lambda x, /, k, *, axis=None, more=1: 0, set()),
        (lambda x, k, *, axis=None: 0, set()),
        (lambda x, k, **settings: 0, set()),
        (lambda x, /, *, k, axis=None: 0, {"k"}),
        (lambda x, k, /, *, axis=None: 0, {"k"}),
        (lambda x, k, axis=None: 0, {"axis"}),
        (lambda x, k, *, dim=None: 0, {"axis"}),
        (lambda x, k, *, axis=0: 0, {"axis"}),
        (lambda *, k, axis=None: 0, {"x", "k"}),
    ],
)
def test_comparison_of_signatures_sees_what_is_wrong(function, wrong):
    assert unlike(function, "x, /, k, *, axis=None") == wrong


@pytest.mark.parametrize("name", METHODS)
def test_tensor_has_the_methods_of_the_standard(name):
    assert unlike(getattr(minidl.Tensor, f"__{name}__"), METHODS[name]) == set()
    if name in ("add", "and", "floordiv", "lshift", "matmul", "mod", "mul", "or", "pow", "rshift",
                "sub", "truediv", "xor"):  # fmt: skip
        for variant in "ri":
            method = getattr(minidl.Tensor, f"__{variant}{name}__")
            assert unlike(method, METHODS[name]) == set()


def test_tensor_goes_to_a_device_as_the_standard_has_it():
    assert unlike(minidl.Tensor.to_device, TO_DEVICE) == set()


def test_attributes_and_constants():
    x = minidl.zeros((2, 3), dtype="int16")
    facts = x.dtype, x.device, x.ndim, x.shape, x.size, x.T.shape, x.mT.shape
    assert facts == (minidl.int16, HERE, 2, (2, 3), 6, (3, 2), (3, 2))
    assert (minidl.e, minidl.pi, minidl.inf, minidl.newaxis) == (np.e, np.pi, np.inf, None)
    assert minidl.nan != minidl.nan
    assert all(getattr(minidl, name) == np.dtype(name) for name in EVERY)
    assert x.to_device(HERE, stream=None) is x
    with pytest.raises(ArgumentError, match="no streams"):
        x.to_device("cpu", stream=1)


def test_namespace_of_tensors():
    x = minidl.zeros(2)
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is minidl
    assert minidl.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match=r"2024.12.*'1999.12'"):
        x.__array_namespace__(api_version="1999.12")


def test_information():
    info = minidl.__array_namespace_info__()
    assert info.capabilities()["boolean indexing"] is True
    assert info.default_device() in info.devices()
    assert info.default_dtypes(device="cpu") == {
        "real floating": minidl.asarray(0.5).dtype,
        "complex floating": minidl.asarray(0.5j).dtype,
        "integral": minidl.asarray(1).dtype,
        "indexing": minidl.argmax(minidl.zeros(2)).dtype,
    }
    assert info.dtypes() == {name: np.dtype(name) for name in EVERY}
    assert list(info.dtypes(kind=("bool", "unsigned integer"))) == ["bool", *INTEGERS[4:]]
    with pytest.raises(minidl.errors.DeviceError, match="no device"):
        info.dtypes(device="abacus")


# Element by element.

# fmt: off
OF_FLOATS = {
    "log2": np.log2, "log10": np.log10, "acosh": np.acosh, "asinh": np.asinh, "atanh": np.atanh,
    "signbit": np.signbit, "atan2": np.atan2, "hypot": np.hypot, "copysign": np.copysign,
    "logaddexp": np.logaddexp, "nextafter": np.nextafter,
}
OF_COMPLEX = ("log2", "log10", "acosh", "asinh", "atanh")
OF_NUMBERS = {"positive": np.positive, "trunc": np.trunc, "conj": np.conj, "real": np.real,
              "imag": np.imag, "square": np.square, "sign": np.sign, "negative": np.negative}
# fmt: on


def binary(function):
    """Whether a function of NumPy takes two arrays."""
    return getattr(function, "nin", 1) == 2


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("name", [*OF_FLOATS, *OF_NUMBERS])
def test_element_by_element_equals_numpy(name, dtype):
    theirs = {**OF_FLOATS, **OF_NUMBERS}[name]
    if dtype in COMPLEX and (name in OF_FLOATS and name not in OF_COMPLEX or name == "trunc"):
        with pytest.raises(DTypeError, match=name):
            getattr(minidl, name)(*[sample(dtype, (3,))] * (1 + binary(theirs)))
        return
    for shape in SHAPES:
        xs = [sample(dtype, shape, seed) for seed in range(1 + binary(theirs))]
        ours = getattr(minidl, name)(*map(minidl.asarray, xs))
        if name in OF_FLOATS and dtype in INTEGERS:
            xs = [x.astype("float32") for x in xs]  # as all functions that yield reals
        with np.errstate(all="ignore"):
            assert_close(ours, np.asarray(theirs(*xs)), 1e-6 if dtype != "float64" else 1e-15)


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS])
@pytest.mark.parametrize(
    "name", ["and_", "or_", "xor", "lshift", "rshift", "invert"], ids=lambda n: n.rstrip("_")
)
def test_bits_equal_numpy(name, dtype):
    if dtype == "bool" and name.endswith("shift"):
        with pytest.raises(DTypeError, match=r"shift.*needs integers alone"):
            getattr(operator, name)(minidl.asarray([True]), True)
        return
    function = getattr(operator, name)
    full = {"invert": "bitwise_invert", "lshift": "bitwise_left_shift"}
    named = getattr(minidl, full.get(name, f"bitwise_{name.rstrip('_')}").replace("rs", "right_s"))
    for shape in SHAPES:
        x, y = sample(dtype, shape), abs(sample(dtype, shape[1:], 1))
        if name == "invert":
            assert_equal(~minidl.asarray(x), ~x)
            assert_equal(named(minidl.asarray(x)), ~x)
            continue
        expected = function(x, y)
        for ours in (function, named):
            assert_equal(ours(minidl.asarray(x), minidl.asarray(y)), expected)
        assert_equal(function(x, minidl.asarray(y)), expected)  # answered by the one on the right
        z = minidl.asarray(x.copy())
        assert getattr(operator, f"i{name.rstrip('_')}")(z, minidl.asarray(y)) is z
        assert_equal(z, expected)


def test_bits_and_numbers():
    x = minidl.asarray([5, 6], dtype="uint8")
    assert_equal(x & 3, np.array([1, 2], dtype="uint8"))
    assert_equal(1 << x, np.array([32, 64], dtype="uint8"))
    assert_equal(minidl.asarray([5], dtype="int8") | x, np.array([5, 7], dtype="int16"))
    for wrong in (
        lambda: x & True,
        lambda: x ^ minidl.asarray([True, False]),
        lambda: x | 1.5,
        lambda: ~minidl.ones(2),
        lambda: x & [1, 2],
    ):
        with pytest.raises(DTypeError, match=r"bitwise_\w+\(.*needs bools or integers alone"):
            wrong()
    with pytest.raises(DTypeError, match="300 does not fit into uint8"):
        x & 300


def test_gradients_at_special_points():
    def slopes(function, *points):
        return [g.item() for g in minidl.grad(function, argnums=(0, 1))(*points)]

    inf = np.inf
    assert slopes(minidl.atan2, 0.0, 0.0) == slopes(minidl.hypot, 0.0, 0.0) == [0, 0]
    assert slopes(minidl.logaddexp, -inf, -inf) == [0, 0]
    assert slopes(minidl.logaddexp, inf, 3.0) == slopes(minidl.logaddexp, 3.0, -inf) == [1, 0]
    assert minidl.grad(lambda x: minidl.copysign(x, -1.0))(0.0).item() == 0
    assert minidl.prod(minidl.zeros(0)).item() == 1
    assert minidl.grad(minidl.prod)(minidl.zeros(0)).shape == (0,)
    assert minidl.grad(lambda x: minidl.cumulative_prod(x).sum())(minidl.zeros(0)).shape == (0,)


# Sums and products.


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_running_sums_and_products_equal_numpy(name, dtype):
    theirs = {"cumulative_sum": np.cumsum, "cumulative_prod": np.cumprod}[name]
    for shape in ((0,), (3, 0), (7,), (3, 4)):
        x = sample(dtype, shape)
        for axis in range(-len(shape), len(shape)):
            expected = theirs(x, axis=axis)
            assert_equal(getattr(minidl, name)(minidl.asarray(x), axis=axis), expected)
            first = np.take(expected, [], axis=axis).sum(axis, keepdims=True)
            first = (first + (name == "cumulative_prod")).astype(expected.dtype)
            found = getattr(minidl, name)(minidl.asarray(x), axis=axis, include_initial=True)
            assert_equal(found, np.concatenate([first, expected], axis=axis))
    small = getattr(minidl, name)(minidl.asarray(sample(dtype, (4,))), dtype="complex64")
    assert small.dtype == minidl.complex64


@pytest.mark.parametrize("dtype", EVERY)
def test_products_equal_numpy(dtype):
    for shape in SHAPES:
        x = sample(dtype, shape)
        for axis in (None, (), *range(len(shape)), tuple(range(len(shape)))):
            for keepdims in (False, True):
                expected = np.multiply.reduce(x, axis=axis, keepdims=keepdims)
                ours = minidl.prod(minidl.asarray(x), axis=axis, keepdims=keepdims)
                assert_close(ours, np.asarray(expected), 1e-6)
    assert minidl.prod(minidl.asarray([100, 3], dtype="int8"), dtype="int8").item() == 44


@pytest.mark.parametrize("dtype", NUMBERS)
def test_diff_equals_numpy(dtype):
    for shape in ((0,), (1,), (5,), (3, 4)):
        x, y = sample(dtype, shape), sample(dtype, shape, 1)
        for n in range(3):
            assert_equal(minidl.diff(minidl.asarray(x), n=n), np.diff(x, n=n))
        ours = minidl.diff(minidl.asarray(x), axis=0, prepend=minidl.asarray(y))
        assert_equal(ours, np.diff(x, axis=0, prepend=y))


# In order.


@pytest.mark.parametrize("dtype", NUMBERS)
def test_sorting_is_stable_in_both_directions(dtype):
    x = sample(dtype, (500,))  # 7 different numbers
    up = np.argsort(x, stable=True)
    ranks = np.unique_inverse(x).inverse_indices
    down = np.array(sorted(range(500), key=lambda i: -ranks[i]))
    for order, descending in ((up, False), (down, True)):
        assert_equal(minidl.argsort(minidl.asarray(x), descending=descending), order)
        assert_equal(minidl.sort(minidl.asarray(x), descending=descending), x[order])


@pytest.mark.parametrize("dtype", EVERY)
def test_unique_equals_numpy(dtype):
    for shape in SHAPES:
        x = sample(dtype, shape)
        ours, theirs = minidl.unique_all(minidl.asarray(x)), np.unique_all(x)
        assert ours._fields == theirs._fields
        for mine, other in zip(ours, theirs, strict=True):
            assert_equal(mine, other)
        assert_equal(minidl.unique_values(minidl.asarray(x)), theirs.values)
        counted, inverse = (
            f(minidl.asarray(x)) for f in (minidl.unique_counts, minidl.unique_inverse)
        )
        assert_equal(counted.counts, theirs.counts)
        assert_equal(inverse.inverse_indices, theirs.inverse_indices)


def test_unique_keeps_every_nan_and_one_zero():
    values, _, inverse, counts = minidl.unique_all(minidl.asarray([np.nan, 0.0, -0.0, np.nan, 1]))
    np.testing.assert_array_equal(values, [0, 1, np.nan, np.nan])
    assert counts.tolist() == [2, 1, 1, 1]
    assert inverse.tolist() == [2, 0, 0, 3, 1]
    assert not minidl.unique_values(minidl.ones(3, requires_grad=True)).requires_grad


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_searchsorted_equals_numpy(dtype):
    x, wanted = sample(dtype, (9,)), sample(dtype, (2, 3), 1)
    order = np.argsort(x)
    for side in ("left", "right"):
        expected = np.searchsorted(x[order], wanted, side=side)
        tensors = minidl.asarray(x[order]), minidl.asarray(wanted)
        assert_equal(minidl.searchsorted(*tensors, side=side), expected)
        for sorter in (order, minidl.asarray(order)):
            found = minidl.searchsorted(minidl.asarray(x), tensors[1], side=side, sorter=sorter)
            assert_equal(found, expected)
    assert minidl.searchsorted(minidl.asarray(x[order]), 1).shape == ()


@pytest.mark.parametrize("dtype", EVERY)
def test_nonzero_and_counts_equal_numpy(dtype):
    for shape in SHAPES:
        x = sample(dtype, shape)
        assert_equal(minidl.count_nonzero(minidl.asarray(x)), np.count_nonzero(x))
        assert_equal(minidl.argwhere(minidl.asarray(x)), np.argwhere(x))
        if shape:
            found = minidl.nonzero(minidl.asarray(x))
            for mine, other in zip(found, np.nonzero(x), strict=True):
                assert_equal(mine, other)
            assert_equal(minidl.asarray(x)[found], x[np.nonzero(x)])
            expected = np.asarray(np.count_nonzero(x, axis=-1, keepdims=True))
            counted = minidl.count_nonzero(minidl.asarray(x), axis=-1, keepdims=True)
            assert_equal(counted, expected)


# Elsewhere.


@given(data=st.data(), dtype=st.sampled_from(EVERY), shape=st.sampled_from(SHAPES))
def test_arrangements_equal_numpy(data, dtype, shape):
    x = sample(dtype, shape)
    ours = minidl.asarray(x)
    times = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    assert_equal(minidl.tile(ours, times), np.tile(x, times))
    shift, n = data.draw(st.integers(-9, 9)), data.draw(st.integers(0, 3))
    assert_equal(minidl.roll(ours, shift), np.roll(x, shift))
    assert_equal(minidl.repeat(ours, n), np.repeat(x, n))
    if shape:
        axes = st.integers(-len(shape), len(shape) - 1)
        axis, other = data.draw(axes), data.draw(axes)
        each = np.arange(shape[axis]) % 3
        assert_equal(
            minidl.roll(ours, (shift, n), axis=(axis, other)),
            np.roll(x, (shift, n), axis=(axis, other)),
        )
        assert_equal(minidl.repeat(ours, minidl.asarray(each), axis=axis), np.repeat(x, each, axis))
        assert_equal(minidl.moveaxis(ours, axis, other), np.moveaxis(x, axis, other))
        for mine, theirs in zip(
            minidl.unstack(ours, axis=axis), np.unstack(x, axis=axis), strict=True
        ):
            assert_equal(mine, theirs)


def test_moveaxis_of_several_axes():
    x = np.zeros((2, 3, 4, 5))
    for source, destination in [((0, 1), (-1, 0)), ((3, 0), (0, 2)), ((), ())]:
        expected = np.moveaxis(x, source, destination).shape
        assert minidl.moveaxis(minidl.asarray(x), source, destination).shape == expected


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("lengths", [(), (3,), (2, 3), (2, 0, 4)])
def test_meshgrid_equals_numpy(lengths, indexing):
    xs = [sample("int16", (n,), n) for n in lengths]
    ours = minidl.meshgrid(*map(minidl.asarray, xs), indexing=indexing)
    assert isinstance(ours, list)
    for mine, other in zip(ours, np.meshgrid(*xs, indexing=indexing), strict=True):
        assert_equal(mine, other)


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("name", ["tril", "triu"])
def test_triangles_equal_numpy(name, dtype):
    for shape in ((3, 4), (2, 4, 3), (0, 2), (1, 1)):
        x = sample(dtype, shape)
        for k in (-5, -1, 0, 2):
            expected = getattr(np, name)(x, k=k)
            assert_equal(getattr(minidl, name)(minidl.asarray(x), k=k), expected)


def test_broadcast_arrays():
    ours = minidl.broadcast_arrays(minidl.zeros((3, 1)), minidl.ones(4, dtype="int8"))
    assert [(x.shape, x.dtype) for x in ours] == [((3, 4), "float32"), ((3, 4), "int8")]
    assert minidl.broadcast_arrays() == []


# Creation, dtypes, other libraries.


def test_like():
    x = minidl.ones((2, 3), dtype="int8")
    for function in (minidl.empty_like, minidl.zeros_like, minidl.ones_like):
        assert (function(x).shape, function(x).dtype) == ((2, 3), "int8")
        assert function(x, dtype=minidl.float64, device="cpu").dtype == "float64"
    assert minidl.empty_like(x, dtype="float32", requires_grad=True).requires_grad


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
def test_limits_of_floats(dtype):
    info, expected = minidl.finfo(minidl.dtypes.dtype_of(dtype)), np.finfo(dtype)
    for name in ("bits", "eps", "max", "min", "smallest_normal", "dtype"):
        assert getattr(info, name) == getattr(expected, name)
    assert type(info.eps) is float
    assert minidl.finfo(minidl.zeros(2, dtype=dtype)) == info


@pytest.mark.parametrize("dtype", INTEGERS)
def test_limits_of_integers(dtype):
    info, expected = minidl.iinfo(dtype), np.iinfo(dtype)
    assert (info.bits, info.max, info.min) == (expected.bits, expected.max, expected.min)
    assert info.dtype == dtype


def test_kinds_of_dtypes():
    kinds = {
        "bool": ["bool"],
        "signed integer": INTEGERS[:4],
        "unsigned integer": INTEGERS[4:],
        "integral": INTEGERS,
        "real floating": FLOATS,
        "complex floating": COMPLEX,
        "numeric": NUMBERS,
        ("bool", minidl.int8): ["bool", "int8"],
        minidl.float32: ["float32"],
    }
    for kind, members in kinds.items():
        assert [name for name in EVERY if minidl.isdtype(np.dtype(name), kind)] == list(members)


def test_casting_follows_promotion():
    assert minidl.can_cast(minidl.int8, minidl.int16)
    assert minidl.can_cast(minidl.zeros(2), minidl.float64)
    assert not minidl.can_cast(minidl.float64, minidl.float32)
    assert not minidl.can_cast(minidl.int64, minidl.uint64)  # no integer holds both
    assert not minidl.can_cast(minidl.float32, minidl.int64)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("other", NUMBERS)
def test_kinds_meet_as_published(dtype, other):
    x, y = minidl.ones(2, dtype=dtype), minidl.ones(2, dtype=other)
    kinds = {np.dtype(dtype).kind, np.dtype(other).kind}
    if kinds <= {"i", "u"} or not kinds & {"i", "u"}:
        joint = np.result_type(np.dtype(dtype), np.dtype(other))
        if joint.kind == "f" and kinds == {"i", "u"}:
            with pytest.raises(DTypeError, match="no integer dtype holds both"):
                minidl.add(x, y)
            return
    else:
        joint = np.dtype(dtype if np.dtype(other).kind in "iu" else other)
    assert minidl.add(x, y).dtype == minidl.result_type(x, y) == joint


def test_asarray_copies_as_its_argument_says():
    x = np.arange(3.0)
    assert np.shares_memory(minidl.asarray(x, copy=False, device="cpu").data, x)
    assert not share_memory(minidl.asarray(x, copy=True).data, x)
    with pytest.raises(ValueError, match="copy=False"):
        minidl.asarray(minidl.asarray(x), dtype="float32", copy=False)

    for needs_a_copy in (2.0, [1, 2], np.float64(3)):
        with pytest.raises(ValueError, match="needs a copy, which copy=False forbids"):
            minidl.asarray(needs_a_copy, copy=False)


def test_reshape_and_astype_copy_as_their_argument_says():
    x = minidl.asarray(np.arange(6.0).reshape(2, 3))
    assert share_memory(minidl.reshape(x, (3, 2), copy=False).data, x.data)
    assert not share_memory(minidl.reshape(x, (3, 2), copy=True).data, x.data)
    with pytest.raises(ArgumentError, match=r"reshape.*\(3, 2\) as \(6,\) needs a copy"):
        minidl.reshape(x.T, (6,), copy=False)
    assert share_memory(minidl.astype(x, "float64", copy=False, device=HERE).data, x.data)
    assert not share_memory(minidl.astype(x, "float64").data, x.data)
    assert minidl.astype(x, "int8", copy=False).dtype == "int8"
    assert minidl.expand_dims(x, 1).shape == (2, 1, 3)


@pytest.mark.parametrize("dtype", EVERY)
def test_sum_in_a_dtype_equals_numpy(dtype):
    x = sample(dtype, (3, 4))
    for other in EVERY[1:]:
        if dtype not in COMPLEX or other in COMPLEX:
            ours = minidl.sum(minidl.asarray(x), axis=0, dtype=other)
            assert_equal(ours, x.astype(other).sum(0, dtype=other))


def test_numbers_from_tensors():
    x = minidl.asarray(3)
    assert (complex(x), float(x), int(x), [4, 5, 6, 7][x]) == (3 + 0j, 3.0, 3, 7)
    with pytest.raises(TypeError, match="index"):
        operator.index(minidl.asarray(3.0))


# Errors.


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: minidl.cumulative_sum(x), ShapeError, r"cumulative_sum.*which axis.*\(2, 3\)"),
        (lambda x: minidl.cumulative_prod(x, axis=2), ShapeError, "cumulative_prod: axis 2"),
        (
            lambda x: minidl.prod(x, axis=2),
            ShapeError,
            r"prod: axis 2 is not one of shape \(2, 3\)",
        ),
        (lambda x: minidl.prod(x, dtype="text"), DTypeError, "not a dtype"),
        (lambda x: minidl.diff(x, n=-1), ArgumentError, "diff.*negative.*-1"),
        (lambda x: minidl.diff(x > 0), DTypeError, "bool"),
        (lambda x: minidl.roll(x, (1, 2, 3), axis=(0, 1)), ShapeError, "roll: 3 shifts.*2 axes"),
        (lambda x: minidl.roll(x, 1, axis=5), ShapeError, "roll: axis 5"),
        (lambda x: minidl.tile(x, (2, -1)), ArgumentError, r"tile.*\(2, -1\)"),
        (lambda x: minidl.repeat(x, -1), ArgumentError, "repeat: needs repeats ≥ 0; got -1"),
        (lambda x: minidl.repeat(x, 1.5), DTypeError, "repeat: needs integers.*float32"),
        (
            lambda x: minidl.repeat(x, minidl.asarray([1, 2]), axis=1),
            ShapeError,
            r"repeat: needs repeats for each of 3 slices; got shape \(2,\)",
        ),
        (lambda x: minidl.unstack(x, axis=2), ShapeError, "unstack: axis 2"),
        (lambda x: minidl.moveaxis(x, 0, 7), ShapeError, "axis 7"),
        (lambda x: minidl.moveaxis(x, (0, 0), (0, 1)), ShapeError, "moveaxis.*twice"),
        (lambda x: minidl.moveaxis(x, (0, 1), 0), ShapeError, "2 axes do not go to 1 positions"),
        (lambda x: minidl.meshgrid(x), ShapeError, r"meshgrid: needs vectors; got.*\(2, 3\)"),
        (lambda x: minidl.meshgrid(indexing="yx"), ArgumentError, "meshgrid: indexing.*'yx'"),
        (
            lambda x: minidl.broadcast_arrays(x, minidl.zeros(4)),
            ShapeError,
            r"broadcast_arrays: the shapes \(2, 3\), \(4,\) do not broadcast",
        ),
        (lambda x: minidl.searchsorted(x, 1), ShapeError, "searchsorted: needs a sorted vector"),
        (lambda x: minidl.searchsorted(x[0], 1, side="up"), ArgumentError, "searchsorted.*'up'"),
        (lambda x: minidl.nonzero(x[0, 0]), ShapeError, "nonzero.*at least one axis"),
        (lambda x: minidl.finfo("int8"), DTypeError, "finfo: needs a float.*int8"),
        (lambda x: minidl.iinfo(x), DTypeError, "iinfo: needs an integer.*float32"),
        (lambda x: minidl.isdtype("int8", "whole"), ArgumentError, "isdtype: no kind 'whole'"),
    ],
)
def test_errors_say_what_was_given_and_what_is_needed(call, error, message):
    with pytest.raises(error, match=message):
        call(minidl.ones((2, 3)))


def test_complex_scalars_alone_take_the_default_dtype():
    assert minidl.full((2,), 1j).dtype == minidl.complex64
    assert minidl.result_type(1j) == minidl.complex64
    assert minidl.result_type(minidl.float64, 1j) == minidl.complex128


def test_products_of_integer_vectors_keep_their_dtype():
    x = minidl.asarray([100, 100], dtype="uint8")
    found = minidl.vecdot(x, x)
    assert found.dtype == minidl.uint8
    assert int(found) == 20000 % 256
