"""Signatures: read, printed, and found out from arguments."""

import numpy as np
import pytest

from minidl.backends.kernels.runtime.signature import (
    DTYPES,
    Array,
    Pointer,
    Scalar,
    Signature,
    Tuple,
    of_arguments,
    parse,
    parse_all,
    plain,
    takes,
)

READ = {
    "": Signature(()),
    "f32[m,k] i64": Signature((Array("f32", 2), Scalar("i64"))),
    "f32[~m,k]": Signature((Array("f32", 2, contiguous=False),)),
    "u8[] bool f64": Signature((Array("u8", 0), Scalar("bool"), Scalar("f64"))),
    "f32* T* -> T": Signature((Pointer("f32"), Pointer("T")), Scalar("T")),
    "T[*] i64 -> T*": Signature((Array("T", -1), Scalar("i64")), Pointer("T")),
    "(i64 (f32[n] bool)) f32": Signature(
        (
            Tuple((Scalar("i64"), Tuple((Array("f32", 1), Scalar("bool"))))),
            Scalar("f32"),
        )
    ),
    "()": Signature((Tuple(()),)),
}


@pytest.mark.parametrize("text", READ)
def test_signatures_are_read(text):
    assert parse(text) == READ[text]


@pytest.mark.parametrize("text", [text for text in READ if "*]" not in text])
def test_what_is_printed_is_read_as_the_same(text):
    assert parse(str(READ[text])) == READ[text]


@pytest.mark.parametrize(
    "wrong", ["f33", "float32[n]", "f32[n", "(i64", "i64)", "f32[n] ->", "i64 -> f32 f32", "?"]
)
def test_what_cannot_be_read_is_said(wrong):
    with pytest.raises(ValueError, match="signature"):
        parse(wrong)


def test_one_text_for_two_types():
    found = parse_all(["F[n] f64 (F i64)", "i64"])
    assert list(map(str, found)) == ["f32[1] f64 (f32 i64)", "f64[1] f64 (f64 i64)", "i64"]


def test_of_arguments():
    x = np.zeros((2, 3), "f4")
    found = of_arguments([x, x.T, 1, True, 1.5, np.float32(2), np.uint64(3), (np.int64(1), x[0])])
    assert str(found) == "f32[2] f32[~2] i64 bool f64 f32 u64 (i64 f32[1])"


@pytest.mark.parametrize(
    "unknown",
    [
        None,
        "text",
        [1],
        1j,
        np.zeros(2, ">f4"),
        np.zeros(2, "f2"),
        np.zeros(2, "c8"),
        np.zeros(2, object),
        np.zeros((2, 2), "f4").view(np.recarray),
        np.frombuffer(bytes(9), "u1")[1:].view("f4"),  # not aligned
        (1, None),
        2**63,
        -(2**63) - 1,
    ],
    ids=str,
)
def test_what_no_kernel_takes(unknown):
    assert of_arguments([1, unknown]) is None


def test_plain_numbers():
    given = (np.int32(1), np.bool(True), np.float64(2), np.float32(3), np.uint64(4), (np.int8(5),))
    found = plain(given)
    assert [type(value) for value in found[:5]] == [int, bool, float, np.float32, np.uint64]
    assert found == given
    assert type(found[5][0]) is int


def test_subclasses_of_numbers_are_numbers():
    kinds = int, float, np.float32, np.uint64
    given = [type(kind.__name__, (kind,), {})(3) for kind in kinds]
    assert [type(plain(value)) for value in given] == [*kinds]
    assert list(map(plain, given)) == [3, 3, 3, 3]


@pytest.mark.parametrize("name", ["i", "l", "q", "I", "L", "Q"])
def test_the_two_names_of_a_type_in_c_are_one(name):
    """An entry compares the numbers of dtypes, and int64 has two: long and long long."""
    x = np.arange(3, dtype=name)
    (found,) = plain((x,))
    kind = of_arguments([found])
    assert found.dtype.num == np.dtype(DTYPES[kind.arguments[0].dtype]).num
    assert np.shares_memory(found, x)


def test_an_array_of_any_strides_may_be_contiguous():
    declared = parse("f32[~m,n] (i64 f32[~n]) u8[n]")
    assert takes(declared, declared)
    assert takes(declared, parse("f32[m,n] (i64 f32[n]) u8[n]"))
    for other in (
        "f64[m,n] (i64 f32[n]) u8[n]",
        "f32[n] (i64 f32[n]) u8[n]",
        "f32[m,n] (i64 f32[n]) u8[~n]",
        "f32[m,n] (i64 f32[n] i64) u8[n]",
        "f32[m,n] (i64 f32[n])",
        "f32[m,n] i64 u8[n]",
    ):
        assert not takes(declared, parse(other))
