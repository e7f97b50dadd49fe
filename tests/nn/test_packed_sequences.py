"""nn.utils.rnn beside PyTorch's: padded and packed batches, and the ways between them."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.nn.utils import rnn
from minidl.testing import gradcheck
from tests.helpers import assert_close
from tests.oracle import torch
from tests.toy_backend import TOY

quick = settings(max_examples=60, database=None, derandomize=True, deadline=None)
their = torch.nn.utils.rnn
LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=5)
REST = st.sampled_from([(), (1,), (2,), (2, 3)])
DTYPES = st.sampled_from(["float32", "float64", "int64", "bool"])


def numbers(*shape, dtype="float64"):
    rng = np.random.default_rng(len(shape))
    return (rng.normal(size=shape) * 3).astype(dtype)


def padded(lengths, rest, batch_first, dtype):
    """A batch of at least these lengths."""
    shape = (max(lengths) + 1, len(lengths), *rest)
    x = numbers(*shape, dtype=dtype)
    return np.moveaxis(x, 0, 1) if batch_first else x


def assert_same(ours, theirs):
    """The same arrays, of the same dtypes, None in the same places."""
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            other = other.detach().numpy()
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one.detach().numpy(), other)


@quick
@given(LENGTHS, REST, st.booleans(), DTYPES, st.booleans())
def test_packing_and_padding_are_pytorchs(lengths, rest, batch_first, dtype, in_order):
    if in_order:
        lengths = sorted(lengths, reverse=True)
    x = padded(lengths, rest, batch_first, dtype)
    ours = rnn.pack_padded_sequence(minidl.asarray(x), lengths, batch_first, in_order)
    theirs = their.pack_padded_sequence(torch.tensor(x), lengths, batch_first, in_order)
    assert_same(ours, theirs)
    value = {"bool": True, "int64": 7}.get(dtype, -0.5)
    for total in (None, max(lengths), max(lengths) + 2):
        assert_same(
            rnn.pad_packed_sequence(ours, not batch_first, value, total),
            their.pad_packed_sequence(theirs, not batch_first, value, total),
        )
    assert_same(rnn.unpack_sequence(ours), their.unpack_sequence(theirs))


@quick
@given(LENGTHS, REST, st.booleans(), DTYPES, st.sampled_from(["left", "right"]))
def test_lists_of_sequences_are_padded_and_packed_as_pytorch_does(
    lengths, rest, batch_first, dtype, side
):
    arrays = [numbers(n, *rest, dtype=dtype) for n in lengths]
    ours, theirs = [minidl.asarray(x) for x in arrays], [torch.tensor(x) for x in arrays]
    value = {"bool": False, "int64": -1}.get(dtype, 0.25)
    batch = rnn.pad_sequence(ours, batch_first, value, side)
    assert_same([batch], [their.pad_sequence(theirs, batch_first, value, side)])
    if side == "right":
        parts = rnn.unpad_sequence(batch, lengths, batch_first)
        for one, other in zip(parts, arrays, strict=True):
            np.testing.assert_array_equal(one, other)
    assert_same(rnn.pack_sequence(ours, False), their.pack_sequence(theirs, False))
    assert_same(rnn.pack_sequence(arrays, False), their.pack_sequence(theirs, False))


def test_sequences_may_be_empty_or_the_rows_of_a_tensor():
    xs = [np.ones((2, 3)), np.ones((0, 3))]
    batch = rnn.pad_sequence(xs, True)
    assert_same([batch], [their.pad_sequence([torch.tensor(x) for x in xs], True)])
    assert [x.shape for x in rnn.unpad_sequence(batch, [2, 0], True)] == [(2, 3), (0, 3)]
    rows = minidl.asarray(numbers(3, 4))
    assert_same([rnn.pad_sequence(rows)], [their.pad_sequence(torch.tensor(rows.numpy()))])
    assert rnn.pad_sequence(x for x in xs).shape == (2, 2, 3)


def test_all_of_them_are_differentiable():
    """In float64, up to second derivatives; beyond the lengths the gradient is 0."""
    x, lengths = minidl.asarray(numbers(4, 3, 2)), [2, 4, 1]

    def through(x):
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, _ = rnn.pad_packed_sequence(packed.with_data(packed.data**3), padding_value=1.5)
        parts = rnn.unpad_sequence(y, lengths)
        again = rnn.pack_sequence(parts, enforce_sorted=False)
        return rnn.pad_sequence(rnn.unpack_sequence(again), padding_side="left")

    assert gradcheck(through, x, order=2)
    dx = minidl.grad(lambda x: through(x).sum())(x).numpy()
    there = np.arange(4)[:, None] < lengths
    np.testing.assert_allclose(dx[there], 3 * x.numpy()[there] ** 2, rtol=1e-12)
    assert not dx[~there].any()


def test_padding_that_is_no_number_leaves_gradients_numbers():
    x = numbers(3, 2)
    x[1:, 1] = np.nan
    x = minidl.asarray(x, requires_grad=True)
    packed = rnn.pack_padded_sequence(x, [3, 1])
    y, _ = rnn.pad_packed_sequence(packed.with_data(minidl.log(packed.data**2)))
    y.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_a_packed_batch_can_be_converted_copied_and_pickled():
    packed = rnn.pack_sequence([np.ones(2, "float32"), np.ones(3, "float32")], False)
    half = packed.astype("float16")
    assert (type(half), half.data.dtype) == (rnn.PackedSequence, "float16")
    assert half.batch_sizes is packed.batch_sizes
    assert packed.to_device("cpu").data.device == "cpu"
    for other in (copy.copy(packed), copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert type(other) is rnn.PackedSequence
        assert all((a == b).all() for a, b in zip(other, packed, strict=True))


def test_sizes_and_lengths_are_on_the_cpu():
    with minidl.device(TOY):
        packed = rnn.pack_sequence([minidl.ones(2), minidl.ones(3)], enforce_sorted=False)
        padded, lengths = rnn.pad_packed_sequence(packed)
    assert {packed.data.device, packed.sorted_indices.device, padded.device} == {TOY}
    assert {packed.batch_sizes.device, lengths.device} == {"cpu"}
    assert lengths.tolist() == [2, 3]
    elsewhere = packed.to_device("cpu").to_device(TOY)
    assert elsewhere.data.device == elsewhere.unsorted_indices.device == TOY
    assert elsewhere.batch_sizes is packed.batch_sizes


def test_the_names_are_pytorchs():
    assert sorted(rnn.__all__) == sorted(their.__all__)
    assert nn.utils.rnn is rnn
    assert rnn.invert_permutation(None) is None
    order = minidl.tensor([2, 0, 3, 1])
    expected = their.invert_permutation(torch.tensor(order.numpy()))
    assert_same([rnn.invert_permutation(order)], [expected])


X = np.ones((3, 4))
PACKED = rnn.pack_sequence([np.ones(3), np.ones(2)])
ORDER, SIZES = minidl.tensor([1, 0]), minidl.tensor([2, 2, 1])
MISUSES = {
    "zero": (
        lambda: rnn.pack_padded_sequence(X, [3, 2, 1, 0]),
        *(ArgumentError, r"lengths are from 1 to 3, the length of input; got \[3, 2, 1, 0\]"),
    ),
    "too long": (lambda: rnn.pack_padded_sequence(X, [4, 2, 1, 1]), ArgumentError, "from 1 to 3"),
    "number": (
        lambda: rnn.pack_padded_sequence(X, [3, 2]),
        *(ShapeError, r"lengths has one number for each of 4 sequences; got \(2,\)"),
    ),
    "fractions": (
        lambda: rnn.pack_padded_sequence(X, [3.0, 2.0, 1.0, 1.0]),
        *(DTypeError, "pack_padded_sequence: lengths are integers"),
    ),
    "order": (
        lambda: rnn.pack_padded_sequence(X, [1, 2, 1, 1]),
        *(ArgumentError, r"lengths are sorted, the longest first; .* enforce_sorted=False sorts"),
    ),
    "order of a list": (
        lambda: rnn.pack_sequence([np.ones(1), np.ones(2)]),
        *(ArgumentError, "^pack_sequence: lengths are sorted.*enforce_sorted=False"),
    ),
    "vector": (
        lambda: rnn.pack_padded_sequence(np.ones(3), [1], batch_first=True),
        *(ShapeError, r"pack_padded_sequence: needs input of shape \(N, T, …\); got \(3,\)"),
    ),
    "nothing": (lambda: rnn.pack_padded_sequence(X[:, :0], []), ShapeError, "needs a sequence"),
    "no steps": (lambda: rnn.pack_padded_sequence(X[:0], [0] * 4), ShapeError, "and a step"),
    "total": (
        lambda: rnn.pad_packed_sequence(PACKED, total_length=2),
        *(ArgumentError, "pad_packed_sequence: total_length is an integer ≥ 3; got 2"),
    ),
    "padding of integers": (
        lambda: rnn.pad_sequence([minidl.tensor([1]), minidl.tensor([1, 2])], padding_value=0.5),
        *(ArgumentError, "padding_value is an integer, as int64 needs it; got 0.5"),
    ),
    "no number among integers": (
        lambda: rnn.pad_sequence([minidl.tensor([1])], padding_value=float("nan")),
        *(ArgumentError, "padding_value is an integer, as int64 needs it; got nan"),
    ),
    "side": (
        lambda: rnn.pad_sequence([X], padding_side="both"),
        *(ArgumentError, 'pad_sequence: padding_side is one of "right", "left"; got'),
    ),
    "none": (lambda: rnn.pad_sequence([]), ArgumentError, "pad_sequence: needs a sequence at"),
    "unlike": (
        lambda: rnn.pad_sequence([np.ones((2, 3)), np.ones((1, 2))]),
        *(ShapeError, r"alike but for their lengths; got \(2, 3\), \(1, 2\)"),
    ),
    "scalars": (lambda: rnn.pad_sequence([minidl.tensor(1.0)]), ShapeError, r"\(L, …\)"),
    "a number": (lambda: rnn.pad_sequence(3), DTypeError, "pad_sequence.* needs sequences; got 3"),
    "unpad": (lambda: rnn.unpad_sequence(X, [4, 0, 0, 0]), ArgumentError, "from 0 to 3"),
    "padded": (
        lambda: rnn.pad_packed_sequence(X),
        *(DTypeError, "pad_packed_sequence: needs a PackedSequence; got float64"),
    ),
    "sizes": (
        lambda: rnn.PackedSequence(minidl.ones(4), SIZES),
        *(ShapeError, r"batch_sizes are above 0, do not rise, and have the sum 4 of data \(4,\)"),
    ),
    "rising": (lambda: rnn.PackedSequence(minidl.ones(5), SIZES[::-1]), ShapeError, "do not rise"),
    "permutation": (
        lambda: rnn.PackedSequence(minidl.ones(5), SIZES, minidl.tensor([1, 1])),
        *(ArgumentError, r"sorted_indices has each of 0 … 1 once; got \[1, 1\]"),
    ),
    "inverse": (
        lambda: rnn.PackedSequence(minidl.ones(5), SIZES, ORDER, minidl.tensor([0, 1])),
        *(ArgumentError, "unsorted_indices are the inverse of sorted_indices"),
    ),
}


@pytest.mark.parametrize(("misuse", "error", "says"), MISUSES.values(), ids=MISUSES)
def test_misuse_is_explained(misuse, error, says):
    with pytest.raises(error, match=says):
        misuse()


def test_the_gradient_of_a_long_batch_is_a_scatter():
    """A slice for each sequence would need 20 GB."""
    x = minidl.zeros((5000, 500), requires_grad=True)
    parts = rnn.unpad_sequence(x, [1] * 500)
    minidl.concat(parts).sum().backward()
    assert x.grad.numpy().sum() == 500
    assert_close(x.grad[0], np.ones(500, "float32"), 0)
