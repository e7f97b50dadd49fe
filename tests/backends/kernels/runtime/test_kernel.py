"""Entries of kernels: what they take, what they refuse, and what they return."""

import gc
import sys
import threading
from collections import namedtuple

import numpy as np
import pytest

from minidl.backends.kernels.compiler import declared
from minidl.backends.kernels.runtime import machine_code
from minidl.backends.kernels.runtime.compiler_process import CompilerError
from minidl.backends.kernels.runtime.kernel import (
    Kernel,
    carray,
    chunk_bounds,
    compiled,
    find,
    inner,
    intrinsic,
    outlined,
    parallel,
)
from minidl.backends.kernels.runtime.signature import parse
from minidl.cli.tasks import TASKS


@compiled("f32[m,n] i64 bool f64 f32 u64 (i64 (f32[n] bool))")
def _all_kinds(x, i, flag, d, f, u, nested):
    total = x.size + i + d + f + float(u) + nested[0] + nested[1][0].size
    return total if flag and nested[1][1] else -total


ARGUMENTS = (
    np.zeros((2, 3), "f4"),
    -5,
    True,
    0.5,
    np.float32(0.25),
    np.uint64(2**40),
    (7, (np.zeros(4, "f4"), True)),
)
SIGNATURE = "f32[m,n] i64 bool f64 f32 u64 (i64 (f32[n] bool))"
Pair = namedtuple("Pair", "first second")


@pytest.fixture(scope="module")
def entry():
    return machine_code.entry(_all_kinds, parse(SIGNATURE))


def test_an_entry_takes_what_is_declared(entry):
    expected = 6 - 5 + 0.5 + 0.25 + 2**40 + 7 + 4
    assert entry(*ARGUMENTS) == expected
    assert _all_kinds(*ARGUMENTS) == expected
    named = Pair(7, Pair(np.zeros(4, "f4"), False))
    assert entry(*ARGUMENTS[:-1], named) == -expected
    read_only = ARGUMENTS[0].copy()
    read_only.flags.writeable = False
    assert entry(read_only, *ARGUMENTS[1:]) == expected


x = ARGUMENTS[0]
REFUSED = {
    "too few": ARGUMENTS[:-1],
    "too many": (*ARGUMENTS, 1),
    "none": (),
    **{
        f"{name} for {place}": (*ARGUMENTS[:place], value, *ARGUMENTS[place + 1 :])
        for place, values in enumerate(
            [
                {
                    "a list": [[1.0]],
                    "None": None,
                    "another dtype": x.astype("f8"),
                    "int32 of the same size": x.view("i4"),
                    "another byte order": x.astype(">f4"),
                    "fewer axes": x[0],
                    "more axes": x[None],
                    "other strides": np.zeros((3, 2), "f4").T,
                    "every other element": np.zeros((2, 6), "f4")[:, ::2],
                    "not aligned": np.frombuffer(bytes(25), "u1")[1:].view("f4").reshape(2, 3),
                    "a record array": x.view(np.recarray),
                    "a masked array": np.ma.masked_array(x),
                },
                {
                    "a float": 1.0,
                    "a bool": True,
                    "NumPy's integer": np.int64(1),
                    "2⁶³": 2**63,
                    "−2⁶³ − 1": -(2**63) - 1,
                    "an array": np.array(1),
                    "an instance of a subclass": type("Int", (int,), {})(1),
                },
                {"an integer": 1, "NumPy's bool": np.True_, "None": None},
                {"an integer": 1, "NumPy's float": np.float64(1), "a float32": np.float32(1)},
                {"a float": 1.0, "NumPy's float": np.float64(1), "an array": np.ones((), "f4")},
                {"an integer": 1, "a signed one": np.int64(1), "a negative one": -1},
                {
                    "a list": [7, (x[0], True)],
                    "longer": (7, (x[0], True), 1),
                    "shorter": (7,),
                    "one with another dtype inside": (7, (x[0].astype("f8"), True)),
                    "one with a list inside": (7, [x[0], True]),
                },
            ]
        )
        for name, value in values.items()
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_entry_refuses_everything_else(entry, case):
    assert entry(*REFUSED[case]) is NotImplemented
    assert sys.exc_info() == (None, None, None)


def test_keyword_arguments_are_refused(entry):
    with pytest.raises(TypeError):
        entry(x=1)


def test_no_reference_is_lost_or_kept(entry):
    gc.collect()
    watched = [*ARGUMENTS, ARGUMENTS[0].dtype, np.ndarray, np.float32, ARGUMENTS[-1][1][0]]
    before = [sys.getrefcount(thing) for thing in watched]
    for _ in range(100):
        entry(*ARGUMENTS)
        for case in REFUSED.values():
            entry(*case)
    assert [sys.getrefcount(thing) for thing in watched] == before


def test_other_types_are_compiled_when_they_are_needed():
    @compiled("f32[n]")
    def total(x):
        result = 0.0
        for value in x.flat:
            result += value
        return result

    grid = np.arange(12.0).reshape(3, 4)
    for given in (grid.astype("f4")[0], grid, grid.T, grid[:, ::2], grid.astype("i4")):
        assert total(given) == given.sum()
    assert total(grid.astype("i4")) == 66


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((np.int16(3), 2.0), 6.0),
        ((3, np.float64(2)), 6.0),
        ((np.uint8(3), 2.0), 6.0),
    ],
)
def test_numbers_of_numpy_are_numbers(given, expected):
    @compiled("i64 f64")
    def product(i, x):
        return i * x

    assert product(*given) == expected
    assert len(product._entries) == 1, "nothing was compiled for it"


@pytest.mark.parametrize(
    "wrong", [None, "text", [1.0], np.zeros(2, ">f4"), np.zeros(2, object), np.zeros(2, "f2")]
)
def test_what_no_kernel_can_take_is_said(wrong):
    with pytest.raises(TypeError, match=r"the kernel .*_all_kinds cannot take these arguments: "):
        _all_kinds(wrong)


def test_results():
    @compiled("i64")
    def nothing(i):
        i += 1

    @compiled("i64")
    def several(i):
        return i, 0.5 * i, np.float32(i)

    @compiled("i32[n] u8[n] u64[n] bool[n]")
    def elements(a, b, c, d):
        return a[0], b[0], c[0], d[0], a[0] < 0

    assert nothing(1) is None
    arrays = (np.array([value], dtype) for value, dtype in [(-3, "i4"), (255, "u1"), (2**63, "u8")])
    assert elements(*arrays, np.array([True])) == (-3, 255, 2**63, True, True)
    assert several(-(2**62)) == (-(2**62), -(2.0**61), -(2.0**62))
    assert [type(value) for value in several(3)] == [int, float, float]


# Parallel kernels.


@parallel("i64[n] i64[c]")
def _count(counts, chunk_of, chunk, chunks):
    start, stop = chunk_bounds(counts.size, chunk, chunks)
    for i in range(start, stop):
        counts[i] += 1
    chunk_of[chunk] += chunks


@pytest.mark.parametrize("chunks", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 1000])
def test_every_chunk_is_done_once(chunks, n):
    counts, chunk_of = np.zeros(n, int), np.zeros(chunks, int)
    assert _count(counts, chunk_of, chunks) is None
    assert (counts == 1).all()
    assert (chunk_of == chunks).all()


def test_many_python_threads_at_once():
    wrong = []

    def work():
        for i in range(300):
            counts, chunk_of = np.zeros(100, int), np.zeros(1 + i % 5, int)
            _count(counts, chunk_of, 1 + i % 5)
            if (counts != 1).any():
                wrong.append(counts)

    running = [threading.Thread(target=work) for _ in range(6)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not wrong


def test_a_kernel_is_compiled_once_for_all_threads(monkeypatch):
    made = []
    real = machine_code.entry
    monkeypatch.setattr(machine_code, "entry", lambda *a: made.append(a) or real(*a))

    @compiled("f32[n]")
    def fill(x):
        x[:] = 1

    running = [threading.Thread(target=fill, args=(np.zeros(3, "f4"),)) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(made) == 1


# What kernels are made of.


@intrinsic("T[*] i64 -> T*")
def _address(builder, data, offset):
    return builder.gep(data, [offset])


@outlined("f32* f32* i64")
def _copy(source, target, count):
    x, y = carray(source, count), carray(target, (1, count))
    for i in range(count):
        y[0, i] = x[i]


@inner
def _copy_behind(x, y, by):
    _copy(_address(x, 0), _address(y, by), x.size)


def test_kernels_call_inner_and_outlined_functions_and_intrinsics():
    @compiled("f32[n] f32[n]")
    def kernel(x, y):
        _copy_behind(x, y, 1)

    x, y = np.arange(3, dtype="f4"), np.full(5, -1, "f4")
    kernel(x, y)
    np.testing.assert_array_equal(y, [-1, 0, 1, 2, -1])


def test_a_kernel_must_not_allocate():
    @compiled("i64")
    def kernel(n):
        return np.zeros(n).size

    with pytest.raises(CompilerError, match=r"kernel: .*kernels allocate no memory"):
        kernel(3)


def test_kernels_are_found_by_name():
    from minidl.backends.kernels.softmax import _rows

    assert find("softmax:_rows") is _rows


def test_what_follows_a_kernel_exists_and_takes_the_same_types():
    declared.declared()  # imports all kernels
    for kernel in Kernel.all.values():
        for signature in kernel.signatures:
            for follower, types in kernel._following(signature):
                assert types is None or types in follower.signatures


@pytest.mark.parametrize("name", [k for name, task in TASKS.items() for k in task.kernels(name)])
def test_the_kernels_that_training_prepares_exist(name):
    assert find(name).name == name


@pytest.mark.parametrize("call", ["print(x[0])", "np.dot(x, x)", "x.reshape(-1)[0]"])
def test_a_kernel_must_not_call_what_only_numba_has(call):
    namespace = {"np": np}
    exec(f"def kernel(x):\n    return {call}", namespace)
    namespace["kernel"].__module__ = __name__
    with pytest.raises(CompilerError):
        compiled("f32[n]")(namespace["kernel"])(np.ones(3, "f4"))
