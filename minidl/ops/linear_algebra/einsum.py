"""Einstein summation: products of tensors whose axes are named by letters.

Operands are contracted in pairs, each by one matrix product: common letters that are needed later
are batch axes, common letters that are not are summed, and the others are rows and columns.  The
pair whose product is smallest, compared with its operands, is contracted first: the "greedy" order
of NumPy's `optimize`.
"""

import math
import string
from collections import Counter
from itertools import combinations
from typing import Any

from minidl import dtypes
from minidl.autograd.primitive import composite
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """z[…] = Σ x₁[…]·x₂[…]⋯, by letters: "ij,jk->ik" is the product of matrices.

    Letters that are missing after "->" are summed.  A letter twice in one operand takes the
    diagonal; "..." is any number of axes, which broadcast.  Without "->", the letters that occur
    once remain, in alphabetical order, after those of "...".  An axis of length 1 broadcasts
    against longer ones of the same letter.  The result has the dtype that the operands promote to;
    of bools it is whether one of the products is true.

    Raises ArgumentError for subscripts that cannot be read, ShapeError where they do not fit the
    operands.  Einstein 1916.

    >>> a = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> minidl.einsum("ii->", a), minidl.einsum("ij,ij->i", a, a)
    (Tensor(5., float32), Tensor([ 5., 25.], float32))
    >>> minidl.einsum("...i,ij->...j", minidl.ones((7, 3, 2)), a).shape
    (7, 3, 2)
    """
    if not isinstance(subscripts, str):
        raise ArgumentError(f'einsum: subscripts are a text as "ij,jk->ik"; got {subscripts!r:.60}')
    for x in operands:
        if not hasattr(x, "shape") or not hasattr(x, "dtype"):
            raise DTypeError(f"einsum: operands are tensors or arrays; got {describe(x)}")
    return _einsum(*operands, subscripts=subscripts)


@composite(wide=True)
def _einsum(xp, *operands, subscripts):
    terms, output = _parsed(subscripts, [x.ndim for x in operands])
    lengths = _lengths(subscripts, terms, operands)
    dtype = dtypes.result_type(*(x.dtype for x in operands))
    if dtype.kind == "b":  # sums of products: whether one of them is true
        operands = [xp.astype(x, dtypes.int64) for x in operands]
    parts = [_single(xp, x, term, lengths) for x, term in zip(operands, terms, strict=True)]
    while len(parts) > 1:
        pairs = combinations(range(len(parts)), 2)
        first, second = min(pairs, key=lambda pair: _growth(parts, pair, output, lengths))
        right, left = parts.pop(second), parts.pop(first)
        needed = _needed_later(parts, output)
        right = _summed(xp, *right, {*needed, *left[1]})
        parts.insert(first, _contracted(xp, *left, *right, needed))
    y, letters = _summed(xp, *parts[0], {*output})
    y = xp.permute_dims(y, tuple(letters.index(letter) for letter in output))
    return y if y.dtype == dtype else xp.astype(y, dtype)


def _parsed(subscripts, ndims):
    """The letters of each operand's axes, and of the result's; axes of "..." are numbers."""
    text = subscripts.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ndims):
        raise ArgumentError(f"einsum: {subscripts!r} is for {len(terms)} tensors; got {len(ndims)}")
    for term in (*terms, output):
        rest = term.replace("...", "", 1)
        if not all(letter in string.ascii_letters for letter in rest):
            raise ArgumentError(
                f"einsum: needs letters, one '...' each, ',' and '->'; got {subscripts!r:.60}"
            )
    hidden = [ndim - len(t.replace("...", "")) for t, ndim in zip(terms, ndims, strict=True)]
    for term, more, ndim in zip(terms, hidden, ndims, strict=True):
        if more < 0 or more and "..." not in term:
            raise ShapeError(
                f"einsum: {term!r} of {subscripts!r} does not fit a tensor of {ndim} axes"
            )
    most = max((more for term, more in zip(terms, hidden, strict=True) if "..." in term), default=0)
    spelled = [_spelled(term, more) for term, more in zip(terms, hidden, strict=True)]
    if not arrow:
        counts = Counter(letter for term in terms for letter in term.replace("...", ""))
        output = "..." + "".join(sorted(letter for letter in counts if counts[letter] == 1))
    result = _spelled(output, most)
    for letter in result:
        known = isinstance(letter, int) or any(letter in term for term in spelled)
        if not known or result.count(letter) > 1:
            fault = "is there twice" if known else "is in no operand"
            raise ArgumentError(f"einsum: {letter!r} behind the arrow {fault}: {subscripts!r}")
    return spelled, result


def _spelled(term, hidden):
    """A term as a list, with hidden axes as −hidden, …, −1 instead of "..."."""
    before, dots, behind = term.partition("...")
    return [*before, *(range(-hidden, 0) if dots else ()), *behind]


def _lengths(subscripts, terms, operands):
    """The length of each letter's axes; those of length 1 broadcast."""
    lengths = {}
    for term, x in zip(terms, operands, strict=True):
        for letter, length in zip(term, x.shape, strict=True):
            known = lengths.setdefault(letter, length)
            if length != known and 1 not in (length, known):
                name = "'...'" if isinstance(letter, int) else repr(letter)
                raise ShapeError(
                    f"einsum: {name} of {subscripts!r} is {known} long, and {length}; operands "
                    f"have shapes {', '.join(str(x.shape) for x in operands)}"
                )
            lengths[letter] = length if known == 1 else known
    return lengths


def _single(xp, x, term, lengths):
    """An operand with each letter once, and without axes of length 1 that broadcast."""
    kept = [i for i, letter in enumerate(term) if x.shape[i] == lengths[letter]]
    x = xp.reshape(x, tuple(x.shape[i] for i in kept))
    letters = [term[i] for i in kept]
    while len({*letters}) < len(letters):
        twice = next(letter for letter in letters if letters.count(letter) > 1)
        first = letters.index(twice)
        second = letters.index(twice, first + 1)
        rest = [i for i in range(x.ndim) if i not in (first, second)]
        x = xp.diagonal(xp.permute_dims(x, (*rest, first, second)))
        letters = [*(letters[i] for i in rest), twice]
    return x, letters


def _needed_later(parts, output):
    """The letters that later operands or the result have."""
    return {letter for _, letters in parts for letter in letters} | {*output}


def _growth(parts, pair, output, lengths):
    """How much larger the product of two operands is than both together."""
    kept = _needed_later([part for i, part in enumerate(parts) if i not in pair], output)
    one, other = ({*parts[i][1]} for i in pair)
    size = lambda letters: math.prod(lengths[letter] for letter in letters)
    return size((one | other) & kept) - size(one) - size(other)


def _summed(xp, x, letters, needed):
    """The sum over the letters that are not needed."""
    axes = tuple(i for i, letter in enumerate(letters) if letter not in needed)
    x = xp.sum(x, axis=axes) if axes else x
    return x, [letter for letter in letters if letter in needed]


def _contracted(xp, x1, letters1, x2, letters2, needed):
    """The product of two operands, summed over the letters that are not needed."""
    letters1_only = [letter for letter in letters1 if letter not in letters2]
    both = [letter for letter in letters1 if letter in letters2]
    batch = [letter for letter in both if letter in needed]
    inner = [letter for letter in both if letter not in needed]
    rows = [letter for letter in letters1_only if letter in needed]
    x1, letters1 = _summed(xp, x1, letters1, {*needed, *both})
    columns = [letter for letter in letters2 if letter not in both]
    left = _as_matrices(xp, x1, letters1, batch, rows, inner)
    right = _as_matrices(xp, x2, letters2, batch, inner, columns)
    y = _product(xp, left, right)
    lengths = dict(zip(letters1 + letters2, x1.shape + x2.shape, strict=True))
    letters = [*batch, *rows, *columns]
    return xp.reshape(y, tuple(lengths[letter] for letter in letters)), letters


def _as_matrices(xp, x, letters, *groups):
    """x with its axes in these groups, of which the last two are one axis each."""
    x = xp.permute_dims(x, tuple(letters.index(letter) for group in groups for letter in group))
    batch, rows = len(groups[0]), len(groups[1])
    inner = x.shape[batch : batch + rows], x.shape[batch + rows :]
    return xp.reshape(x, (*x.shape[:batch], *map(math.prod, inner)))


def _product(xp, left, right):
    """Products of matrices; those with nothing to sum are products of numbers, as bools need."""
    if left.shape[-1] == 1:
        return left * right
    return xp.matmul(left, right)
