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


NUMBERS = st.sampled_from(
    [
        *(0, 1, -7, 2**62, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400),
        *(0.5, -2.0, np.float64(1), np.float16(1), np.longdouble(1), 1j, np.nan),
        *(True, False, np.True_, np.float32(0.25), _Float32(1), np.uint64(2**63 + 5)),
        *(np.int64(1), np.int32(1), np.uint8(1), _Int(1), _Enum.ONE, np.datetime64("2020-01-01")),
    ]
)
OTHERS = st.sampled_from([None, "1", b"1", [1], {1: 2}, object(), int, np.ndarray, np.array(1)])
RECORDS = [("a", "f4")], [("a", "u1"), ("b", "f4")]
DTYPES = (
    *("f4", "f8", "i8", "i4", "u1", "?", "f2", "u8", "c8", "i1", "q", "l", "L"),
    *(">f4", ">f8", ">i8", "O", "m8[s]", "U1", "S4", "V4", *RECORDS),
)


def _read_only(x):
    x.flags.writeable = False
    return x


def _misaligned(x):
    if x.dtype.hasobject:
        return x
    y = np.ndarray(x.shape, x.dtype, np.zeros(x.nbytes + 1, "u1"), 1)
    y[...] = x
    return y


LAYOUTS = {
    "transposed": lambda x: x.T,
    "Fortran's": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, -1)[..., ::2] if x.ndim else x,
    "reversed": lambda x: x[::-1] if x.ndim else x,
    "broadcast": lambda x: np.broadcast_to(x, (2, *x.shape)),
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim and len(x) else x,
    "read-only": _read_only,
    "misaligned": _misaligned,
    "a subclass": lambda x: x.view(_Array),
    "masked": np.ma.masked_array,
    "a scalar": lambda x: x[()],
    "a list": lambda x: x.tolist(),
}


@st.composite
def arrays(draw, dtype, ndim):
    """C-contiguous arrays of small numbers."""
    shape = draw(st.lists(st.integers(0, 3), min_size=ndim, max_size=ndim))
    if np.dtype(dtype).names is not None:
        return np.zeros(shape, dtype)
    numbers = np.arange(1, 1 + np.prod(shape, dtype=int)) % 100
    return numbers.astype(dtype).reshape(shape)


def fitting(kind):
    """Arguments as they are declared."""
    match kind:
        case Array(dtype, ndim, _):
            return arrays(signatures.DTYPES[dtype], ndim)
        case Tuple(kinds):
            return st.tuples(*map(fitting, kinds))
        case Scalar(dtype):
            return {
                "bool": st.booleans(),
                "i64": st.integers(-9, 9),
                "f64": st.sampled_from([0.5, -3.0]),
                "f32": st.sampled_from([np.float32(0.5), np.float32(-3)]),
                "u64": st.sampled_from([np.uint64(2**40), np.uint64(3)]),
            }[dtype]


def near(kind):
    """Arguments that are different from these in something; some fit nevertheless."""
    match kind:
        case Array(dtype, ndim, _):
            own = signatures.DTYPES[dtype]
            differences = (
                st.sampled_from(DTYPES).flatmap(lambda other: arrays(other, ndim)),
                st.integers(0, 4).flatmap(lambda other: arrays(own, other)),
                st.builds(
                    lambda x, layout: LAYOUTS[layout](x),
                    arrays(own, ndim),
                    st.sampled_from(sorted(LAYOUTS)),
                ),
            )
        case Tuple(kinds):
            parts = st.tuples(*map(fitting, kinds))
            one_of_them = st.integers(0, len(kinds) - 1).flatmap(
                lambda place: st.tuples(
                    *(near(k) if i == place else fitting(k) for i, k in enumerate(kinds))
                )
            )
            differences = (
                parts.map(list),
                parts.map(lambda some: some[:-1]),
                parts.map(lambda some: (*some, 1)),
                one_of_them if kinds else parts,
            )
        case Scalar():
            differences = (NUMBERS, NUMBERS, NUMBERS)
    return st.one_of(*differences, OTHERS)


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


@st.composite
def some_arguments(draw, kinds, strange=near):
    """Arguments for these types, of which none, some or all are strange."""
    most = draw(st.sampled_from([0, 1, 1, 2, len(kinds)]))
    places = draw(st.sets(st.integers(0, max(0, len(kinds) - 1)), max_size=most))
    found = [draw((strange if i in places else fitting)(kind)) for i, kind in enumerate(kinds)]
    return tuple(found)


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


def check_an_entry(data, entries):
    """It takes arguments that fit, and its result is right; it refuses others; it leaks nothing."""
    kernel = data.draw(st.sampled_from(KERNELS))
    kinds = kernel.signatures[0].arguments
    given = data.draw(some_arguments(kinds))
    given = data.draw(st.sampled_from([given] * 9 + [given[:-1], (*given, 1)]))
    taken = len(given) == len(kinds) and all(map(fits, kinds, given))
    if kernel.parallel:
        chunks = data.draw(st.sampled_from([0, 1, 2, 5, -1, True, np.int64(1), 1.0, None]))
        given, taken = (*given, chunks, 0), taken and type(chunks) is int
    expected = computed(kernel, given) if taken else NotImplemented
    watched = [x for x in given if isinstance(x, np.ndarray | tuple)]
    before = [sys.getrefcount(x) for x in watched]
    result = entries[kernel](*given)
    assert [sys.getrefcount(x) for x in watched] == before
    if kernel.parallel and taken:
        assert result is None
        np.testing.assert_array_equal(given[1], expected)
    else:
        assert result is expected if expected is NotImplemented else result == expected


def computed(kernel, given):
    """The result, by Python; of a parallel kernel, the array that it adds to."""
    if not kernel.parallel:
        return kernel.function(*as_exact(given))
    *own, chunks, _ = as_exact(given)
    for chunk in range(chunks):
        kernel.function(*own, chunk, chunks)
    return own[1]


@settings(max_examples=100)
@given(data=st.data())
def test_an_entry_takes_what_fits_and_refuses_all_else(entries, data):
    check_an_entry(data, entries)


@pytest.mark.full
@settings(max_examples=3000)
@given(data=st.data())
def test_an_entry_takes_what_fits_and_refuses_all_else_many_times(entries, data):
    check_an_entry(data, entries)


# Kernels, which make arguments fit if that is possible.


# Whose signatures are those of C-contiguous arrays, as a kernel finds them out for itself.
CONTIGUOUS = _of_all_kinds, _of_few_and_many_axes, _in_chunks


def equivalent(kind):
    """Arguments of other types that mean the same."""
    match kind:
        case Array(dtype, _, _):
            longs = {"i64": "lq", "i32": "il"}.get(dtype, "")
            same = [name for name in longs if np.dtype(name) == signatures.DTYPES[dtype]]
            return fitting(kind).flatmap(
                lambda x: st.sampled_from([x.view(name) for name in same] or [x])
            )
        case Tuple(kinds):
            return st.tuples(*map(equivalent, kinds)).map(lambda parts: _Tuple(parts))
        case Scalar(dtype):
            kinds = {
                "bool": (np.bool,),
                "i64": (np.int64, np.int8, _Int),
                "f64": (np.float64, np.float16, type("_Float", (float,), {})),
                "f32": (_Float32,),
                "u64": (type("_UInt64", (np.uint64,), {}),),
            }[dtype]
            return fitting(kind).flatmap(lambda x: st.sampled_from([own(x) for own in kinds]))


class _Tuple(tuple):
    pass


@settings(max_examples=100)
@given(data=st.data())
def test_a_kernel_takes_equivalent_arguments(entries, data):
    kernel = data.draw(st.sampled_from(CONTIGUOUS))
    given = data.draw(some_arguments(kernel.signatures[0].arguments, equivalent))
    given = (*given, 1) if kernel.parallel else given
    expected = computed(kernel, signatures.plain((*given, 0) if kernel.parallel else given))
    result = kernel(*given)
    if kernel.parallel:
        assert result is None
        np.testing.assert_array_equal(given[1], expected)
    else:
        assert result == expected
    assert len(kernel._entries) == 1, "nothing was compiled for it"


@settings(max_examples=100)
@given(data=st.data())
def test_a_kernel_says_what_it_cannot_take(entries, data):
    kernel = data.draw(st.sampled_from(CONTIGUOUS))
    kinds = kernel.signatures[0].arguments
    given = list(data.draw(some_arguments(kinds, equivalent)))
    impossible = [None, "1", [1], 2**63, 10**400, 1j, np.longdouble(1), np.zeros(2, ">f4")]
    impossible += [np.zeros(2, "f2"), np.ma.masked_array([1.0]), (1, None), ((), [])]
    given[data.draw(st.integers(0, len(kinds) - 1))] = data.draw(st.sampled_from(impossible))
    with pytest.raises(TypeError, match=f"the kernel .*{kernel.__name__} cannot take these"):
        kernel(*given, *[1] * kernel.parallel)
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
@settings(max_examples=5000)
@given(data=st.data())
def test_the_declared_kernels_refuse_what_does_not_fit(data):
    """What fits is tried only with no chunks to do: sizes and indices have no meaning here."""
    kernel, kinds, entry = data.draw(st.sampled_from(declared_entries()))
    given = data.draw(some_arguments(kinds))
    taken = all(map(fits, kinds, given))
    if kernel.parallel:
        assert entry(*given, 0, 0) is (None if taken else NotImplemented)
    elif not taken:
        assert entry(*given) is NotImplemented
