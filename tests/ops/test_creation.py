"""Creation functions: exact integers, or float64, rounded once; beside NumPy and PyTorch."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minidl
from minidl.errors import ArgumentError, DTypeError, MinidlError
from tests.oracle import torch

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint64")
each_float = pytest.mark.parametrize("dtype", FLOATS)
TINY = {"int8": 7, "uint8": 8, "int16": 15, "int32": 31, "int64": 63, "uint64": 64}

moderate = st.floats(-1e3, 1e3, allow_subnormal=False)
step_sizes = st.floats(1e-2, 1e2) | st.floats(-1e2, -1e-2)
ranges = st.builds(  # of up to sixty numbers, or of none
    lambda start, step, length: (start, start + step * length, step),
    *(moderate, step_sizes, st.floats(-2, 60)),
)
int64 = st.integers(-(2**63), 2**63 - 1)
whole = st.integers(-(2**62), 2**62)


def rounded(values, dtype):
    """Numbers of float64, each rounded once."""
    with np.errstate(over="ignore"):
        return np.array(values, "float64").astype(dtype)


def bits(x):
    """The dtype and the bytes, so that −0.0 is not 0.0."""
    x = np.asarray(x)
    return x.dtype, x.shape, x.tobytes()


def assert_same_bits(x, expected):
    assert bits(x) == bits(expected), (x, expected)


# arange.


def test_a_small_step_far_from_zero():
    x = minidl.arange(1000.0, 1001.0, 0.001)
    assert x.shape == (1000,)
    assert x[-1].item() == pytest.approx(1000.999, abs=1e-4)
    np.testing.assert_array_equal(x, np.arange(1000.0, 1001.0, 0.001).astype("float32"))


@each_float
@given(ranges)
def test_arange_of_floats_is_computed_in_float64_and_rounded_once(dtype, numbers):
    start, stop, step = numbers
    x = minidl.arange(start, stop, step, dtype=dtype)
    count = max(math.ceil((stop - start) / step), 0)
    exact = (Fraction(start) + i * Fraction(step) for i in range(count))
    assert_same_bits(x, rounded([float(number) for number in exact], dtype))


@given(ranges)
def test_arange_of_float64_is_pytorchs(numbers):
    start, stop, step = numbers
    assume((stop - start) * step >= 0)  # else an error of PyTorch's
    theirs = torch.arange(start, stop, step, dtype=torch.float64).numpy()
    ours = minidl.arange(start, stop, step, dtype="float64").numpy()
    assert ours.shape == theirs.shape
    # PyTorch rounds the first number of each vector, and then each sum; we round once.
    last_place = np.spacing(max(abs(start), abs(stop)))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1.5 * last_place)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e150, 1e290, 1e305])
def test_arange_of_extreme_floats(scale):
    start, step = 0.1 * scale, 0.7 * scale
    x = minidl.arange(start, 50 * scale, step, dtype="float64").tolist()
    exact = [float(Fraction(start) + i * Fraction(step)) for i in range(len(x))]
    np.testing.assert_allclose(x, exact, rtol=3e-16, atol=0)


@given(ranges)
def test_arange_of_float32_is_no_further_from_the_truth_than_pytorchs(numbers):
    start, stop, step = numbers
    assume((stop - start) * step >= 0)
    theirs = torch.arange(start, stop, step).tolist()
    ours = minidl.arange(start, stop, step).tolist()
    for i, pair in enumerate(zip(ours, theirs, strict=True)):
        exact = Fraction(start) + i * Fraction(step)
        mine, other = (abs(Fraction(x) - exact) for x in pair)
        assert mine <= other


@given(whole, st.integers(0, 50), st.integers(-(2**55), 2**55).filter(bool), st.integers(-1, 1))
def test_arange_of_integers_is_exact(start, count, step, beyond):
    stop = start + count * step + beyond
    expected = list(range(start, stop, step))
    assume(all(-(2**63) <= n < 2**63 for n in expected))
    x = minidl.arange(start, stop, step)
    assert x.dtype == "int64"
    assert x.tolist() == expected
    for dtype in FLOATS:
        with np.errstate(over="ignore"):
            once = np.array(expected, "int64").astype(dtype)
        assert_same_bits(minidl.arange(start, stop, step, dtype=dtype), once)


@pytest.mark.parametrize("dtype", INTEGERS)
@given(st.data())
def test_arange_fills_integer_dtypes_to_their_ends(dtype, data):
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    step = data.draw(st.integers(1, 2 ** (TINY[dtype] - 3)))
    start = data.draw(st.integers(int(most) - 5 * step, int(most)).filter(lambda n: n >= least))
    up = minidl.arange(start, int(most) + 1, step, dtype=dtype)
    assert (up.dtype, up.tolist()) == (dtype, list(range(start, int(most) + 1, step)))
    down = minidl.arange(int(least) + 4 * step, int(least) - 1, -step, dtype=dtype)
    assert down.tolist() == [int(least) + i * step for i in (4, 3, 2, 1, 0)]
    with pytest.raises(DTypeError, match=f"do not fit into {dtype}"):
        minidl.arange(int(most) - 1, int(most) + 2, dtype=dtype)


@pytest.mark.parametrize(
    "numbers",
    [(0,), (5,), (-3,), (2, 2), (5, 2), (2, 5, -1), (5, 2, -1), (0, 7, 3), (1.5,), (0.5, 0.5)],
)
def test_arange_is_numpys(numbers):
    x, expected = minidl.arange(*numbers), np.arange(*numbers)
    assert x.dtype == ("int64" if expected.dtype.kind == "i" else "float32")
    np.testing.assert_array_equal(x, expected)


def test_arange_between_integers_that_only_floats_hold():
    assert minidl.arange(2**64, 2**66, 2**64, dtype="float64").tolist() == [
        2.0**64,
        2.0**65,
        3 * 2.0**64,
    ]
    with pytest.raises(DTypeError, match="do not fit into int64"):
        minidl.arange(2**64, 2**66, 2**64)


MISUSES = {
    "no step": (lambda: minidl.arange(0, 1, 0), ArgumentError, "arange.*step"),
    "infinite": (lambda: minidl.arange(0, float("inf")), ArgumentError, "arange.*finite"),
    "bools": (lambda: minidl.arange(3, dtype="bool"), DTypeError, "arange.*bool"),
    "too small": (lambda: minidl.arange(300, dtype="uint8"), DTypeError, "arange.*299.*uint8"),
    "too long": (lambda: minidl.arange(0, 1, 1e-300), MinidlError, "arange"),
    "linspace too small": (
        lambda: minidl.linspace(0, 300, 3, dtype="uint8"), DTypeError, "linspace.*300.*uint8"),
    "linspace below": (
        lambda: minidl.linspace(-0.5, 3.0, 3, dtype="uint8"), DTypeError, "linspace.*-1.*uint8"),
    "lengths of zeros": (lambda: minidl.zeros(2, 3), DTypeError, r"zeros\(\(2, 3\)\).*dtype"),
    "lengths of ones": (lambda: minidl.ones(2, 3), DTypeError, r"ones\(\(2, 3\)\)"),
    "lengths of empty": (lambda: minidl.empty(2, 3), DTypeError, r"empty\(\(2, 3\)\)"),
    "lengths of normal": (
        lambda: minidl.random.normal(64, 20), DTypeError, r"normal\(\(64, 20\)\).*mean, std"),
    "lengths of uniform": (
        lambda: minidl.random.uniform(3, 5, 2), DTypeError, r"uniform\(\(3, 5, 2\)\).*low, high"),
    "bounds of uniform": (
        lambda: minidl.random.uniform((3,), 5), DTypeError, r"takes one shape, and .* name: low"),
}  # fmt: skip


@pytest.mark.parametrize(("misuse", "kind", "message"), MISUSES.values(), ids=MISUSES)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=message):
        misuse()


# linspace.


@each_float
@given(moderate, moderate, st.integers(0, 40), st.booleans())
def test_linspace_is_numpys_rounded_once(dtype, start, stop, num, endpoint):
    x = minidl.linspace(start, stop, num, dtype=dtype, endpoint=endpoint)
    assert_same_bits(x, rounded(np.linspace(start, stop, num, endpoint=endpoint), dtype))


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 20),
    st.booleans(),
)
def test_linspace_of_integers_is_exact_and_rounded_down(start, stop, num, endpoint):
    x = minidl.linspace(start, stop, num, dtype="int64", endpoint=endpoint)
    intervals = max(num - 1 if endpoint else num, 1)
    exact = [start + Fraction(i * (stop - start), intervals) for i in range(num)]
    assert x.tolist() == [math.floor(value) for value in exact]
    if max(abs(start), abs(stop)) < 2**20:
        theirs = np.linspace(start, stop, num, dtype="int64", endpoint=endpoint)
        np.testing.assert_array_equal(x, theirs)


def test_linspace_between_floats_of_integers_is_numpys():
    for ends in ((-1.0, 1.0), (0.5, 2.5), (-3.7, 9.1)):
        expected = np.linspace(*ends, 7, dtype="int64")
        np.testing.assert_array_equal(minidl.linspace(*ends, 7, dtype="int64"), expected)


def test_linspace_spans_the_largest_numbers():
    x = minidl.linspace(-1.7e308, 1.7e308, 3, dtype="float64")
    assert x.tolist() == [-1.7e308, 0, 1.7e308]


# The others.

numbers = int64 | st.floats(allow_nan=False, allow_subnormal=False)


@given(numbers, st.sampled_from(FLOATS))
def test_full_rounds_once(value, dtype):
    with np.errstate(over="ignore"):
        expected = np.full((2, 1), np.asarray(value)).astype(dtype)
    assert_same_bits(minidl.full((2, 1), value, dtype=dtype), expected)
    assert_same_bits(minidl.full_like(minidl.zeros((2, 1), dtype=dtype), value), expected)
    assert_same_bits(minidl.tensor([[value], [value]], dtype=dtype), expected)
    theirs = torch.full((2, 1), value, dtype=torch.float64).to(getattr(torch, dtype))
    if isinstance(value, float):
        assert_same_bits(expected, theirs.numpy())


def test_full_of_an_integer_has_no_rounding_in_between():
    value = 2**60 + 2**36 + 1  # in float64 halfway between two of float32
    assert minidl.full((), value, dtype="float32").item() == 2**60 + 2**37
    assert minidl.full((), value).item() == value
    assert minidl.full((), 2**64 - 1, dtype="uint64").item() == 2**64 - 1
    assert minidl.tensor(value, dtype="float32").item() == 2**60 + 2**37
    assert minidl.arange(value, value + 1, dtype="float32").item() == 2**60 + 2**37


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "bool", "complex64"])
@given(st.integers(0, 5), st.none() | st.integers(0, 5), st.integers(-6, 6))
def test_eye_is_numpys(dtype, rows, columns, k):
    assert_same_bits(minidl.eye(rows, columns, k=k, dtype=dtype), np.eye(rows, columns, k, dtype))


@each_float
@given(st.integers(1, 9000), st.floats(0.01, 100))
def test_frequencies_round_once(dtype, n, d):
    whole = [*range((n + 1) // 2), *range(-(n // 2), 0)]
    expected = rounded(np.array(whole) / (n * d), dtype)
    assert_same_bits(minidl.fft.fftfreq(n, d=d, dtype=dtype), expected)
    expected = rounded(np.arange(n // 2 + 1) / (n * d), dtype)
    assert_same_bits(minidl.fft.rfftfreq(n, d=d, dtype=dtype), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64"])
def test_counts_and_classes_may_be_more_than_their_dtype_holds(dtype):
    ids = minidl.tensor([0, 1], dtype=dtype)
    np.testing.assert_array_equal(minidl.one_hot(ids, 70_000), np.eye(2, 70_000))
    counts = minidl.tensor([100, 120], dtype=dtype)
    expected = np.repeat([5, 6], [100, 120])
    np.testing.assert_array_equal(minidl.repeat(minidl.tensor([5, 6]), counts), expected)


def test_leaves_and_devices():
    import tests.toy_backend  # noqa: F401

    for make in (lambda **s: minidl.arange(3.0, **s), lambda **s: minidl.linspace(0, 1, 3, **s)):
        assert make(requires_grad=True).is_leaf
        assert make(device="toy").device == "toy"
