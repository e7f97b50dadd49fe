"""Arguments of any kind: an entry takes those that are declared, and refuses all others."""

import enum
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.backends.kernels.compiler import declared
from minidl.backends.kernels.runtime import machine_code
from minidl.backends.kernels.runtime import signature as signatures
from minidl.backends.kernels.runtime.kernel import compiled, parallel
from minidl.backends.kernels.runtime.signature import Array, Scalar, Tuple

# What each kernel computes is different for different numbers, shapes and places, and exact.


@compiled("f32[m,n] i64 bool f64 f32 u64 (i64 (f32[n] bool))")
def _of_all_kinds(x, i, flag, d, f, u, nested):
    total = 3.0 * i + 5 * flag + 7 * d + 11 * f + 13.0 * (u % np.uint64(1000))
    total += 17.0 * nested[0] + 19 * nested[1][1]
    for j in range(x.shape[0]):
        for k in range(x.shape[1]):
            total += (1 + j + 10 * k) * x[j, k]
    for j in range(nested[1][0].size):
        total += (100 + j) * nested[1][0][j]
    return total


@compiled("f64[~m,n] i64[~n] u8[n] bool[n]")
def _of_any_strides(x, ids, small, mask):
    total = 0.0
    for j in range(x.shape[0]):
        for k in range(x.shape[1]):
            total += (1 + j + 10 * k) * x[j, k]
    for j in range(ids.size):
        total += (100 + j) * float(ids[j])
    for j in range(small.size):
        total += (1000 + j) * float(small[j])
    for j in range(mask.size):
        total += (10_000 + j) * mask[j]
    return total


@compiled("f32[] i32[a,b,c] ((i64 i64) (f64) ())")
def _of_few_and_many_axes(x, cube, nested):
    total = x[()] + 3.0 * nested[0][0] + 5.0 * nested[0][1] + 7.0 * nested[1][0]
    for i in range(cube.shape[0]):
        for j in range(cube.shape[1]):
            for k in range(cube.shape[2]):
                total += (1 + i + 10 * j + 100 * k) * float(cube[i, j, k])
    return total


@parallel("f32[n] f64[n] (i64 bool)")
def _in_chunks(x, y, options, chunk, chunks):
    for i in range(chunk, min(x.size, y.size), chunks):
        y[i] += (x[i] if options[1] else -x[i]) + options[0]


KERNELS = _of_all_kinds, _of_any_strides, _of_few_and_many_axes, _in_chunks


# Arguments.


class _Int(int):
    pass


class _Float32(np.float32):
    pass


class _Array(np.ndarray):
    pass


class _Enum(enum.IntEnum):
    ONE = 1


NUMBERS = (
    *(0, 1, -7, 2**62, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400),
    *(0.5, -2.0, np.float64(1), np.float16(1), np.longdouble(1), 1j, np.nan, np.inf),
    *(True, False, np.True_, np.float32(0.25), _Float32(1), np.uint64(2**63 + 5)),
    *(np.int64(1), np.int32(1), np.uint8(1), _Int(1), _Enum.ONE, np.datetime64("2020-01-01")),
)
OTHERS = None, "1", b"1", [1], {1: 2}, object(), int, np.ndarray, np.array(1), ()
RECORDS = [("a", "f4")], [("a", "u1"), ("b", "f4")]
DTYPES = (
    *("f4", "f8", "i8", "i4", "u1", "?", "f2", "u8", "c8", "i1", "q", "l", "L"),
    *(">f4", ">f8", ">i8", "O", "m8[s]", "U1", "S4", "V4", *RECORDS),
)


def _read_only(x):
    x.flags.writeable = False
    return x


def _misaligned(x):
    y = np.ndarray(x.shape, x.dtype, np.zeros(x.nbytes + 1, "u1"), 1)
    y[...] = x
    return y


LAYOUTS = (
    lambda x: x.astype(x.dtype.newbyteorder()),
    lambda x: x.T,
    np.asfortranarray,
    lambda x: np.repeat(x, 2, -1)[..., ::2] if x.ndim else x,
    lambda x: x[::-1] if x.ndim else x,
    lambda x: np.broadcast_to(x, (2, *x.shape)),
    lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim and len(x) else x,
    _read_only,
    _misaligned,
    lambda x: x.view(_Array),
    np.ma.masked_array,
    lambda x: x[()],
    lambda x: x.tolist(),
)


def array(rng, dtype, ndim):
    """A C-contiguous array of small numbers."""
    shape = [rng.choice([0, 1, 2, 3, 3]) for _ in range(ndim)]
    if np.dtype(dtype).names is not None:
        return np.zeros(shape, dtype)
    numbers = np.arange(1, 1 + np.prod(shape, dtype=int)) % 100
    return numbers.astype(dtype).reshape(shape)


def fitting(rng, kind):
    """An argument as it is declared."""
    match kind:
        case Array(dtype, ndim, _):
            return array(rng, signatures.DTYPES[dtype], ndim)
        case Tuple(kinds):
            return tuple(fitting(rng, part) for part in kinds)
        case Scalar("bool"):
            return rng.random() < 0.5
        case Scalar("i64"):
            return rng.randint(-9, 9)
        case Scalar(dtype):
            return {"f64": float, "f32": np.float32, "u64": np.uint64}[dtype](rng.randint(0, 9) / 2)


def near(rng, kind):
    """An argument that is different from these in something; some fit nevertheless."""
    if rng.random() < 0.1:
        return rng.choice(OTHERS)
    match kind:
        case Array(dtype, ndim, _):
            own, what = signatures.DTYPES[dtype], rng.random()
            if what < 0.3:
                return array(rng, rng.choice(DTYPES), ndim)
            if what < 0.4:
                return array(rng, own, rng.randint(0, 4))
            return rng.choice(LAYOUTS)(array(rng, own, ndim))
        case Tuple(kinds):
            place = rng.randint(0, len(kinds))
            parts = [(near if i == place else fitting)(rng, part) for i, part in enumerate(kinds)]
            return rng.choice([tuple, tuple, list, lambda x: tuple(x[:-1]), lambda x: (*x, 1)])(
                parts
            )
        case Scalar():
            return rng.choice(NUMBERS)


def some_arguments(rng, kinds, strange=near):
    """Arguments for these types, of which none, some or all are strange."""
    count = min(rng.choice([0, 0, 1, 1, 1, 2, 99]), len(kinds))
    places = rng.sample(range(len(kinds)), count)
    return tuple((strange if i in places else fitting)(rng, k) for i, k in enumerate(kinds))


def fits(kind, x):
    """Whether an entry is to take an argument for a declared type."""
    match kind:
        case Scalar("i64"):
            return type(x) is int and -(2**63) <= x < 2**63
        case Scalar(dtype):
            return (
                type(x) is {"bool": bool, "f64": float, "f32": np.float32, "u64": np.uint64}[dtype]
            )
        case Tuple(kinds):
            return isinstance(x, tuple) and len(x) == len(kinds) and all(map(fits, kinds, x))
        case Array(name, ndim, contiguous):
            if type(x) is not np.ndarray or x.ndim != ndim or not x.flags.aligned:
                return False
            dtype = np.dtype(signatures.DTYPES[name])
            laid_out = x.flags.c_contiguous or not contiguous
            return x.dtype.num == dtype.num and x.dtype.isnative and laid_out


def as_exact(x):
    """The argument for Python, which computes in the dtypes of NumPy's numbers: in float64."""
    if isinstance(x, tuple):
        return tuple(map(as_exact, x))
    if isinstance(x, np.ndarray):
        return x.astype(np.float64)
    return float(x) if isinstance(x, np.float32) else x


# Entries.


@pytest.fixture(scope="module")
def entries():
    """Of each kernel here."""
    for kernel in KERNELS:
        (signature,) = kernel.signatures
        kernel._entries[signature] = machine_code.entry(kernel, signature)
    return {kernel: next(iter(kernel._entries.values())) for kernel in KERNELS}


def check_an_entry(rng, entries):
    """It takes arguments that fit, and its result is right; it refuses others; it leaks nothing."""
    kernel = rng.choice(KERNELS)
    kinds = kernel.signatures[0].arguments
    arguments = some_arguments(rng, kinds)
    arguments = rng.choice([arguments] * 8 + [arguments[:-1], (*arguments, 1)])
    taken = len(arguments) == len(kinds) and all(map(fits, kinds, arguments))
    if kernel.parallel:
        chunks = rng.choice([0, 1, 1, 2, 5, -1, True, np.int64(1), 1.0, None])
        arguments, taken = (*arguments, chunks, 0), taken and type(chunks) is int
    expected = computed(kernel, arguments) if taken else None
    watched = [x for x in arguments if isinstance(x, np.ndarray | tuple)]
    before = [sys.getrefcount(x) for x in watched]
    result = entries[kernel](*arguments)
    assert [sys.getrefcount(x) for x in watched] == before
    if not taken:
        assert result is NotImplemented
    else:
        assert_right(kernel, arguments, result, expected)


def assert_right(kernel, arguments, result, expected):
    if kernel.parallel:
        assert result is None
        result = arguments[1]
    np.testing.assert_array_equal(result, expected)


def computed(kernel, arguments):
    """The result, by Python; of a parallel kernel, the array that it adds to."""
    if not kernel.parallel:
        return kernel.function(*as_exact(arguments))
    *own, chunks, _ = as_exact(arguments)
    for chunk in range(chunks):
        kernel.function(*own, chunk, chunks)
    return own[1]


# Uniform draws: Hypothesis' own ones prefer the first of each choice.
RANDOM = st.randoms(use_true_random=True)


@settings(max_examples=400)
@given(rng=RANDOM)
def test_an_entry_takes_what_fits_and_refuses_all_else(entries, rng):
    check_an_entry(rng, entries)


@pytest.mark.full
@settings(max_examples=5000)
@given(rng=RANDOM)
def test_an_entry_takes_what_fits_and_refuses_all_else_many_times(entries, rng):
    check_an_entry(rng, entries)


# Kernels, which make arguments fit if that is possible.


class _Tuple(tuple):
    pass


class _Float(float):
    pass


class _UInt64(np.uint64):
    pass


# Whose signatures are those of C-contiguous arrays, as a kernel finds them out for itself.
CONTIGUOUS = _of_all_kinds, _of_few_and_many_axes, _in_chunks
EQUIVALENT = {
    "bool": [np.bool],
    "i64": [np.int64, np.int8, _Int],
    "f64": [np.float64, np.float16, _Float],
    "f32": [_Float32],
    "u64": [_UInt64],
}


def equivalent(rng, kind):
    """An argument of another type that means the same, if there is one."""
    match kind:
        case Array():
            x = fitting(rng, kind)
            return x.view(rng.choice([name for name in "ilqfd" if np.dtype(name) == x.dtype]))
        case Tuple(kinds):
            return _Tuple(equivalent(rng, part) for part in kinds)
        case Scalar(dtype):
            return rng.choice(EQUIVALENT[dtype])(fitting(rng, kind))


@settings(max_examples=400)
@given(rng=RANDOM)
def test_a_kernel_takes_equivalent_arguments(entries, rng):
    kernel = rng.choice(CONTIGUOUS)
    arguments = some_arguments(rng, kernel.signatures[0].arguments, equivalent)
    pool = (1, 0) if kernel.parallel else ()
    expected = computed(kernel, signatures.plain((*arguments, *pool)))
    result = kernel(*arguments, *pool[:1])
    assert_right(kernel, arguments, result, expected)
    assert len(kernel._entries) == 1, "nothing was compiled for it"


IMPOSSIBLE = (
    *(None, "1", [1], 2**63, -(2**63) - 1, 10**400, 1j, np.longdouble(1), (1, None), ((), [])),
    *(np.zeros(2, ">f4"), np.zeros(2, "f2"), np.zeros(2, object), np.ma.masked_array([1.0])),
)


@settings(max_examples=400)
@given(rng=RANDOM)
def test_a_kernel_says_what_it_cannot_take(entries, rng):
    kernel = rng.choice(CONTIGUOUS)
    arguments = [*some_arguments(rng, kernel.signatures[0].arguments, equivalent)]
    arguments[rng.randrange(len(arguments))] = rng.choice(IMPOSSIBLE)
    with pytest.raises(TypeError, match=f"the kernel .*{kernel.__name__} cannot take these"):
        kernel(*arguments, *[1] * kernel.parallel)
    assert len(kernel._entries) == 1


# The kernels of minidl.


@cache
def declared_entries():
    """Each kernel, the types that it is declared for, and its entry for these."""
    return [
        (kernel, signature.arguments, machine_code.entry(kernel, signature))
        for kernel, signature in declared.declared()
        if signature is not None
    ]


@pytest.mark.full
@settings(max_examples=10_000)
@given(rng=RANDOM)
def test_the_declared_kernels_refuse_what_does_not_fit(rng):
    """What fits is tried only with no chunks to do: sizes and indices have no meaning here."""
    kernel, kinds, entry = rng.choice(declared_entries())
    arguments = some_arguments(rng, kinds)
    taken = all(map(fits, kinds, arguments))
    if kernel.parallel:
        assert entry(*arguments, 0, 0) is (None if taken else NotImplemented)
    elif not taken:
        assert entry(*arguments) is NotImplemented
