"""Infinities, NaNs and signed zeros: what the Python array API standard, 2024.12, says of them.

The expected values are the standard's own, not NumPy's; the sign of every zero counts.
"""

import cmath
import math

import numpy as np
import pytest

import minidl
from tests.helpers import assert_close
from tests.oracle import torch

INF, NAN, PI = math.inf, math.nan, math.pi
FLOATS, COMPLEX = ("float32", "float64"), ("complex64", "complex128")

# Of x in the first row, function by function; 2 and −2 stand for finite numbers.
UNARY = {
    "x": (NAN, 0.0, -0.0, INF, -INF, 2.0, -2.0, 1.0, -1.0),
    "acos": (NAN, PI / 2, PI / 2, NAN, NAN, NAN, NAN, 0.0, PI),
    "acosh": (NAN, NAN, NAN, INF, NAN, math.acosh(2), NAN, 0.0, NAN),
    "asin": (NAN, 0.0, -0.0, NAN, NAN, NAN, NAN, PI / 2, -PI / 2),
    "asinh": (
        NAN,
        0.0,
        -0.0,
        INF,
        -INF,
        math.asinh(2),
        -math.asinh(2),
        *(math.asinh(1), -math.asinh(1)),
    ),
    "atan": (NAN, 0.0, -0.0, PI / 2, -PI / 2, math.atan(2), -math.atan(2), PI / 4, -PI / 4),
    "atanh": (NAN, 0.0, -0.0, NAN, NAN, NAN, NAN, INF, -INF),
    "abs": (NAN, 0.0, 0.0, INF, INF, 2.0, 2.0, 1.0, 1.0),
    "ceil": (NAN, 0.0, -0.0, INF, -INF, 2.0, -2.0, 1.0, -1.0),
    "cos": (NAN, 1.0, 1.0, NAN, NAN, math.cos(2), math.cos(2), math.cos(1), math.cos(1)),
    "cosh": (NAN, 1.0, 1.0, INF, INF, math.cosh(2), math.cosh(2), math.cosh(1), math.cosh(1)),
    "exp": (NAN, 1.0, 1.0, INF, 0.0, math.exp(2), math.exp(-2), math.e, 1 / math.e),
    "expm1": (NAN, 0.0, -0.0, INF, -1.0, math.expm1(2), math.expm1(-2), *map(math.expm1, (1, -1))),
    "floor": (NAN, 0.0, -0.0, INF, -INF, 2.0, -2.0, 1.0, -1.0),
    "log": (NAN, -INF, -INF, INF, NAN, math.log(2), NAN, 0.0, NAN),
    "log10": (NAN, -INF, -INF, INF, NAN, math.log10(2), NAN, 0.0, NAN),
    "log1p": (NAN, 0.0, -0.0, INF, NAN, math.log(3), NAN, math.log(2), -INF),
    "log2": (NAN, -INF, -INF, INF, NAN, 1.0, NAN, 0.0, NAN),
    "reciprocal": (NAN, INF, -INF, 0.0, -0.0, 0.5, -0.5, 1.0, -1.0),
    "round": (NAN, 0.0, -0.0, INF, -INF, 2.0, -2.0, 1.0, -1.0),
    "sign": (NAN, 0.0, 0.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0),
    "sin": (NAN, 0.0, -0.0, NAN, NAN, math.sin(2), -math.sin(2), math.sin(1), -math.sin(1)),
    "sinh": (NAN, 0.0, -0.0, INF, -INF, math.sinh(2), -math.sinh(2), *map(math.sinh, (1, -1))),
    "sqrt": (NAN, 0.0, -0.0, INF, NAN, math.sqrt(2), NAN, 1.0, NAN),
    "square": (NAN, 0.0, 0.0, INF, INF, 4.0, 4.0, 1.0, 1.0),
    "tan": (NAN, 0.0, -0.0, NAN, NAN, math.tan(2), -math.tan(2), math.tan(1), -math.tan(1)),
    "tanh": (NAN, 0.0, -0.0, 1.0, -1.0, math.tanh(2), -math.tanh(2), math.tanh(1), -math.tanh(1)),
    "trunc": (NAN, 0.0, -0.0, INF, -INF, 2.0, -2.0, 1.0, -1.0),
}

# (x₁, x₂) → z.  ⌊x₁ / x₂⌋ is the quotient's floor, in every case with an infinity.
QUOTIENTS = [
    *((x, y, NAN) for x in (INF, -INF) for y in (INF, -INF)),
    *((x, y, NAN) for x in (0.0, -0.0) for y in (0.0, -0.0)),
    *((0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (0.0, -2.0, -0.0), (-0.0, -2.0, 0.0)),
    *((3.0, 0.0, INF), (3.0, -0.0, -INF), (-3.0, 0.0, -INF), (-3.0, -0.0, INF)),
    *((INF, 0.0, INF), (INF, -0.0, -INF), (-INF, 0.0, -INF), (-INF, -0.0, INF)),
    *((INF, 2.0, INF), (INF, -2.0, -INF), (-INF, 2.0, -INF), (-INF, -2.0, INF)),
    *((3.0, INF, 0.0), (3.0, -INF, -0.0), (-3.0, INF, -0.0), (-3.0, -INF, 0.0)),
    *((x, NAN, NAN) for x in (1.0, INF, 0.0, NAN)),
    *((NAN, y, NAN) for y in (1.0, INF, 0.0)),
]
BINARY = {
    "divide": [*QUOTIENTS, (3.0, 2.0, 1.5)],
    "floor_divide": [*QUOTIENTS, (3.0, 2.0, 1.0), (-3.0, 2.0, -2.0), (3.0, -2.0, -2.0)],
    "remainder": [
        *((x, y, NAN) for x in (INF, -INF) for y in (INF, -INF, 2.0, -2.0, NAN)),
        *((x, y, NAN) for x in (0.0, -0.0, 3.0, -3.0, NAN) for y in (0.0, -0.0)),
        *((0.0, 2.0, 0.0), (-0.0, 2.0, 0.0), (0.0, -2.0, -0.0), (-0.0, -2.0, -0.0)),
        *((3.0, INF, 3.0), (3.0, -INF, -INF), (-3.0, INF, INF), (-3.0, -INF, -3.0)),
        *((3.0, 2.0, 1.0), (-3.0, 2.0, 1.0), (3.0, -2.0, -1.0), (-3.0, -2.0, -1.0)),
    ],
    "pow": [
        *((x, y, 1.0) for x in (NAN, INF, -INF, 0.0, -3.0) for y in (0.0, -0.0)),
        *((1.0, y, 1.0) for y in (NAN, INF, -INF, -2.0)),
        *((NAN, 2.0, NAN), (2.0, NAN, NAN), (-8.0, 0.5, NAN)),
        *((2.0, INF, INF), (-2.0, INF, INF), (2.0, -INF, 0.0), (0.5, INF, 0.0), (0.5, -INF, INF)),
        *((-1.0, INF, 1.0), (-1.0, -INF, 1.0), (INF, 2.0, INF), (INF, -2.0, 0.0)),
        *((-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, -3.0, -0.0), (-INF, -2.0, 0.0)),
        *((0.0, 2.0, 0.0), (0.0, -2.0, INF), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0)),
        *((-0.0, -3.0, -INF), (-0.0, -2.0, INF)),
    ],
    "atan2": [
        *((3.0, y, PI / 2) for y in (0.0, -0.0)),
        *((-3.0, y, -PI / 2) for y in (0.0, -0.0)),
        *((0.0, 3.0, 0.0), (0.0, 0.0, 0.0), (0.0, -0.0, PI), (0.0, -3.0, PI)),
        *((-0.0, 3.0, -0.0), (-0.0, 0.0, -0.0), (-0.0, -0.0, -PI), (-0.0, -3.0, -PI)),
        *((3.0, INF, 0.0), (3.0, -INF, PI), (-3.0, INF, -0.0), (-3.0, -INF, -PI)),
        *((INF, 3.0, PI / 2), (-INF, 3.0, -PI / 2), (INF, INF, PI / 4), (-INF, INF, -PI / 4)),
        *((INF, -INF, 3 * PI / 4), (-INF, -INF, -3 * PI / 4), (NAN, 1.0, NAN), (1.0, NAN, NAN)),
    ],
    "add": [
        *((INF, -INF, NAN), (-INF, INF, NAN), (INF, INF, INF), (-INF, -INF, -INF)),
        *((-0.0, -0.0, -0.0), (-0.0, 0.0, 0.0), (0.0, -0.0, 0.0), (3.0, -3.0, 0.0)),
    ],
    "multiply": [
        *((x, y, NAN) for x in (INF, -INF) for y in (0.0, -0.0)),
        *((INF, -2.0, -INF), (-INF, -INF, INF), (-0.0, 2.0, -0.0), (-0.0, -2.0, 0.0)),
    ],
    "hypot": [*((x, NAN, INF) for x in (INF, -INF)), (NAN, -INF, INF), (-0.0, -2.0, 2.0)],
    "logaddexp": [(NAN, 0.0, NAN), (INF, -INF, INF), (-INF, INF, INF), (-INF, -INF, -INF)],
    "copysign": [(3.0, -0.0, -3.0), (-3.0, 0.0, 3.0), (INF, -2.0, -INF), (0.0, -1.0, -0.0)],
    "nextafter": [(NAN, 1.0, NAN), (1.0, NAN, NAN), (-0.0, 0.0, 0.0), (0.0, -0.0, -0.0)],
    "maximum": [(NAN, 1.0, NAN), (1.0, NAN, NAN), (-INF, 1.0, 1.0), (INF, 1.0, INF)],
    "minimum": [(NAN, 1.0, NAN), (1.0, NAN, NAN), (-INF, 1.0, -INF), (INF, 1.0, 1.0)],
}
OPERATORS = {"divide": "truediv", "floor_divide": "floordiv", "remainder": "mod", "pow": "pow"}

# Of complex x = a + bi with b ≥ 0: of its conjugate comes the conjugate.  None: of any sign.
EXPM1 = [
    ((0.0, 0.0), (0.0, 0.0)),
    ((-0.0, 0.0), (0.0, 0.0)),
    ((2.0, INF), (NAN, NAN)),
    ((2.0, NAN), (NAN, NAN)),
    ((INF, 0.0), (INF, 0.0)),
    ((-INF, 2.0), (-1.0, 0.0)),
    ((-INF, 4.0), (-1.0, -0.0)),
    ((INF, 1.0), (INF, INF)),
    ((INF, 2.0), (-INF, INF)),
    ((INF, 4.0), (-INF, -INF)),
    ((-INF, INF), (-1.0, None)),
    ((-INF, NAN), (-1.0, None)),
    ((INF, INF), (None, NAN)),
    ((INF, NAN), (None, NAN)),
    ((NAN, 0.0), (NAN, 0.0)),
    ((NAN, 2.0), (NAN, NAN)),
    ((NAN, INF), (NAN, NAN)),
    ((NAN, NAN), (NAN, NAN)),
    ((1000.0, 0.0), (INF, 0.0)),
]


def assert_same(actual, expected, dtype):
    """Equal numbers, and zeros of equal signs."""
    assert actual.dtype == dtype
    found, expected = actual.numpy(), np.array(expected, dtype)
    assert_close(found, expected, 1e-6 if dtype == "float32" else 1e-14)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", list(UNARY)[1:])
def test_functions_of_one_number(name, dtype):
    x = minidl.tensor(UNARY["x"], dtype=dtype)
    assert_same(getattr(minidl, name)(x), UNARY[name], dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY)
@np.errstate(invalid="ignore")  # of ∞ − ∞ and 0·∞ NumPy warns
def test_functions_of_two_numbers(name, dtype):
    *inputs, expected = (
        minidl.tensor(column, dtype=dtype) for column in zip(*BINARY[name], strict=True)
    )
    assert_same(getattr(minidl, name)(*inputs), expected.numpy(), dtype)
    if name in OPERATORS:
        x1, x2 = inputs
        assert_same(getattr(x1, f"__{OPERATORS[name]}__")(x2), expected.numpy(), dtype)
        assert_same(getattr(x2, f"__r{OPERATORS[name]}__")(x1), expected.numpy(), dtype)
        assert_same(getattr(x1, f"__i{OPERATORS[name]}__")(x2), expected.numpy(), dtype)


def test_quotients_of_numbers_and_infinities():
    x = minidl.tensor([INF, -1.0])
    assert (x // 2).tolist() == [INF, -1]
    assert_same(-1.0 // x, [-0.0, 1.0], "float32")


def is_part(found, expected):
    """Whether a part of a complex number is as expected, the sign of a zero included."""
    if expected is None:  # a zero or an infinity of any sign
        return found == 0 or math.isinf(found)
    if expected != expected:
        return found != found
    return (found, math.copysign(1, found)) == (expected, math.copysign(1, expected))


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize(("parts", "expected"), EXPM1)
def test_complex_expm1(parts, expected, dtype):
    y = minidl.expm1(minidl.tensor(complex(*parts), dtype=dtype)).item()
    assert is_part(y.real, expected[0])
    assert is_part(y.imag, expected[1])
    if parts[1] >= 0:
        y = minidl.expm1(minidl.tensor(complex(parts[0], -parts[1]), dtype=dtype)).item()
        assert is_part(y.real, expected[0])
        assert is_part(-y.imag, expected[1])


@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_expm1_is_exact_near_zero(dtype):
    x = np.array([1e-6 + 1e-7j, -1e-9j, 1e-20, 1 + 2j, -3 - 1j], dtype)
    exact = [v + v * v / 2 if abs(v) < 1e-3 else cmath.exp(v) - 1 for v in x.tolist()]
    assert_close(minidl.expm1(minidl.asarray(x)), np.array(exact, dtype), 1e-6)


def test_slope_of_a_remainder_is_that_of_its_value():
    pairs = [(1, INF), (-1, INF), (1, -INF), (-1, -INF), (-1e-30, 1), (7, -2), (-7, 2)]
    ours = [minidl.tensor(v, dtype="float64", requires_grad=True) for v in zip(*pairs, strict=True)]
    theirs = [
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in zip(*pairs, strict=True)
    ]
    minidl.remainder(*ours).backward(minidl.ones(len(pairs), dtype="float64"))
    torch.remainder(*theirs).backward(torch.ones(len(pairs), dtype=torch.float64))
    for x, y in zip(ours, theirs, strict=True):
        assert_close(x.grad, y.grad.numpy(), 0)


# Dtypes.

# fmt: off
SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
MIXED = {  # rows: signed, columns: unsigned up to 32 bits
    "int8": ("int16", "int32", "int64"),
    "int16": ("int16", "int32", "int64"),
    "int32": ("int32", "int32", "int64"),
    "int64": ("int64", "int64", "int64"),
}
FLOATING = {  # columns: float32, float64, complex64, complex128
    "float32": ("float32", "float64", "complex64", "complex128"),
    "float64": ("float64", "float64", "complex128", "complex128"),
    "complex64": ("complex64", "complex128", "complex64", "complex128"),
    "complex128": ("complex128",) * 4,
}
# fmt: on
PROMOTION = {
    ("bool", "bool"): "bool",
    **{
        (a, b): max(a, b, key=kind.index) for kind in (SIGNED, UNSIGNED) for a in kind for b in kind
    },
    **{
        (a, b): joint
        for a, row in MIXED.items()
        for b, joint in zip(UNSIGNED[:3], row, strict=True)
    },
    **{
        (b, a): joint
        for a, row in MIXED.items()
        for b, joint in zip(UNSIGNED[:3], row, strict=True)
    },
    **{
        (a, b): joint for a, row in FLOATING.items() for b, joint in zip(FLOATING, row, strict=True)
    },
}


@pytest.mark.parametrize("pair", PROMOTION)
def test_promotion_is_that_of_the_tables(pair):
    joint = PROMOTION[pair]
    first, second = (minidl.zeros((), dtype=name) for name in pair)
    assert minidl.result_type(*pair) == minidl.result_type(first, pair[1]) == joint
    assert minidl.result_type(first, second) == minidl.where(first == 0, first, second).dtype
    assert minidl.can_cast(*pair) == minidl.can_cast(first, pair[1]) == (joint == pair[1])


@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED, *FLOATING, "bool"])
def test_python_numbers_take_the_dtype_of_the_array(dtype):
    numbers = {
        "bool": (True,),
        **dict.fromkeys((*SIGNED, *UNSIGNED), (1,)),
        **dict.fromkeys(("float32", "float64"), (1, 1.0)),
        **dict.fromkeys(COMPLEX, (1, 1.0, 1j)),
    }
    for number in numbers[dtype]:
        assert minidl.result_type(dtype, number) == minidl.result_type(number, dtype) == dtype
    if dtype in FLOATS:
        assert minidl.result_type(dtype, 1j) == FLOATING[dtype][2]


def test_as_many_axes_as_promised():
    most = minidl.__array_namespace_info__().capabilities()["max dimensions"]
    assert minidl.zeros((1,) * most).ndim == most
    with pytest.raises(ValueError, match=str(most)):
        minidl.zeros((1,) * (most + 1))


def test_integers_beyond_int64_keep_their_digits():
    large = 2**63 + 1
    for numbers in ([large, 0], [[large], [True]], [np.uint64(large), 1]):
        for dtype in (None, "uint64"):
            x = minidl.asarray(numbers, dtype=dtype)
            assert x.dtype == minidl.uint64
            assert int(x.max()) == large
    assert minidl.asarray([large, 0.5]).dtype == minidl.asarray([1e30, 0]).dtype == "float32"
    assert minidl.asarray([large, -1], dtype="float64").tolist() == [float(large), -1.0]
    with pytest.raises(TypeError, match=r"no integer dtype holds both -1 and 9223372036854775809"):
        minidl.asarray([large, -1])
    with pytest.raises(TypeError, match="do not fit into int64"):
        minidl.asarray([large - 1, 0.5], dtype="int64")


@pytest.mark.parametrize(
    ("dtype", "big"), [("float16", 6e4), ("float32", 3e38), ("float64", 1e308)]
)
def test_lerp_between_far_numbers_is_finite(dtype, big):
    ends = [minidl.tensor(np.array(x, dtype), requires_grad=True) for x in (big, -big)]
    big = ends[0].item()
    for weight, needed in ((0, big), (0.25, big / 2), (0.5, 0), (0.75, -big / 2), (1, -big)):
        found = minidl.lerp(*ends, weight)
        assert found.item() == needed
        assert found.dtype == dtype
    minidl.lerp(*ends, 0.25).backward()
    assert [x.grad.item() for x in ends] == [0.75, 0.25]
    assert minidl.lerp(ends[0], ends[0], 0.3).item() == big


def test_lerp_between_integers_does_not_wrap_around():
    found = minidl.lerp(np.array([200], "uint8"), np.array([100], "uint8"), 0.25)
    assert found.tolist() == [175]
    assert found.dtype == "float32"
