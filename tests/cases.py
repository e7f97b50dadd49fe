"""The table of the operations that have a derivative; a new one gets its tests by a new row.

    Case("softsign", ops.softsign, functional.softsign, real(3, 4))

The name is the operation's, with what is particular about the row after a space; then come the
operation on minidl's tensors, PyTorch's counterpart (None if it has none), and the inputs: each a
domain and a shape, within which the operation is three times differentiable.  Inputs that are
`fixed` are not differentiated.
"""

import numpy as np
import torch
from torch.nn import functional

import minidl
from minidl import ops
from tests.helpers import Case, away_from, distinct, fixed, given, positive, real, unit

ROWS, COLUMNS = np.array([[0, 2], [1, 1]]), np.array([3, 0])
MASK = np.array([[True, False, True], [False, False, True]])
PLACES = [[0, 2, 2, 1], [1, 1, 1, 0]]  # along axis 0 of three rows; some are named twice
KEY = 2026, 7


def written(x, index, values):
    """PyTorch's x with x[index] = values."""
    x = x.clone()
    x[index] = values
    return x


def added_at(values, index, shape):
    """PyTorch's zeros with values added at index."""
    return torch.zeros(shape, dtype=values.dtype).index_put(index, values, accumulate=True)


def dropped(x, p):
    """PyTorch's x·m / (1 − p), with the mask of KEY."""
    uniform = np.asarray(ops.uniform_like(ops.zeros(x.shape, dtype="float64"), KEY))
    return x * torch.from_numpy(uniform >= p) / (1 - p)


ELEMENTWISE = [
    Case("add", ops.add, torch.add, real(3, 4), real(3, 4)),
    Case("add broadcast", ops.add, torch.add, real(3, 1), real(2, 1, 4)),
    Case("add to itself", lambda x: x + x, lambda x: x + x, real(3)),
    Case("subtract", ops.subtract, torch.subtract, real(3, 4), real(4)),
    Case("subtract from a number", lambda x: 2 - x, lambda x: 2 - x, real(3, 4)),
    Case("multiply", ops.multiply, torch.multiply, real(3, 4), real(3, 4)),
    Case("multiply broadcast", ops.multiply, torch.multiply, real(2, 1, 4), real(3, 1)),
    Case("multiply by a number", lambda x: 1.5 * x, lambda x: 1.5 * x, real()),
    Case("divide", ops.divide, torch.divide, real(3, 4), away_from([0], 3, 4)),
    Case("divide broadcast", ops.divide, torch.divide, real(4), away_from([0], 3, 1)),
    Case("divide a number", lambda x: 2 / x, lambda x: 2 / x, away_from([0], 3, 4)),
    Case("pow", ops.pow, torch.pow, positive(3, 4), real(3, 4)),
    Case("pow broadcast", ops.pow, torch.pow, positive(2, 1, 4), real(3, 1)),
    Case("pow squared", lambda x: x**2, lambda x: x**2, real(3, 4)),
    Case("pow cubed, array", ops.pow, torch.pow, real(3, 4), fixed(np.full((3, 4), 3.0))),
    Case("pow inverse", lambda x: x**-1, lambda x: x**-1, away_from([0], 3, 4)),
    Case("pow root", lambda x: x**0.5, lambda x: x**0.5, positive(3, 4)),
    Case("pow of a number", lambda x: 2**x, lambda x: 2**x, real(3, 4)),
    Case("negative", ops.negative, torch.negative, real(3, 4)),
    Case(
        "remainder",
        ops.remainder,
        torch.remainder,
        given([5.3, -5.3, 5.3, -5.3, 0.7]),
        given([2.0, 2.0, -2.0, -2.0, 3.1]),
    ),
    Case("xdivy", ops.xdivy, torch.divide, away_from([0], 3, 4), away_from([0], 4)),
    Case("xlogy", ops.xlogy, torch.xlogy, away_from([0], 3, 4), positive(4)),
    Case("abs", ops.abs, torch.abs, away_from([0], 3, 4)),
    Case("square", ops.square, torch.square, real(3, 4)),
    Case("sqrt", ops.sqrt, torch.sqrt, positive(3, 4)),
    Case("exp", ops.exp, torch.exp, real(3, 4)),
    Case("expm1", ops.expm1, torch.expm1, real(3, 4)),
    Case("log", ops.log, torch.log, positive(3, 4)),
    Case("log1p", ops.log1p, torch.log1p, unit(3, 4)),
    Case("sin", ops.sin, torch.sin, real(3, 4)),
    Case("cos", ops.cos, torch.cos, real(3, 4)),
    Case("tan", ops.tan, torch.tan, unit(3, 4)),
    Case("asin", ops.asin, torch.asin, unit(3, 4)),
    Case("acos", ops.acos, torch.acos, unit(3, 4)),
    Case("atan", ops.atan, torch.atan, real(3, 4)),
    Case("sinh", ops.sinh, torch.sinh, real(3, 4)),
    Case("cosh", ops.cosh, torch.cosh, real(3, 4)),
    Case("tanh", ops.tanh, torch.tanh, real(3, 4)),
    Case("tanh of one number", ops.tanh, torch.tanh, real()),
    Case("erf", ops.erf, torch.erf, real(3, 4)),
    Case("maximum", ops.maximum, torch.maximum, distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("maximum broadcast", ops.maximum, torch.maximum, distinct(3, 1), distinct(4, shift=0.25)),
    Case("minimum", ops.minimum, torch.minimum, distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("minimum broadcast", ops.minimum, torch.minimum, distinct(3, 1), distinct(4, shift=0.25)),
    Case("where", ops.where, torch.where, fixed(MASK), real(2, 3), real(2, 3)),
    Case("where broadcast", ops.where, torch.where, fixed(MASK), real(4, 2, 1), real()),
    Case(
        "where with a number",
        lambda m, x: ops.where(m, x, 0.5),
        lambda m, x: torch.where(m, x, 0.5),
        fixed(MASK),
        real(2, 3),
    ),
    Case(
        "clip",
        lambda x: ops.clip(x, -1, 1),
        lambda x: torch.clip(x, -1, 1),
        away_from([-1, 1], 3, 4),
    ),
    Case("clip below", lambda x: ops.clip(x, min=0), lambda x: x.clip(min=0), away_from([0], 3, 4)),
    Case("clip above", lambda x: ops.clip(x, max=0), lambda x: x.clip(max=0), away_from([0], 3, 4)),
    Case(
        "clip between tensors", ops.clip, torch.clip, distinct(8), given([-0.3] * 8), given([0.8])
    ),
]

REDUCTIONS = [
    Case("sum", ops.sum, torch.sum, real(3, 4)),
    Case("sum of one number", ops.sum, torch.sum, real()),
    Case("sum axis", lambda x: ops.sum(x, axis=1), lambda x: x.sum(1), real(2, 3, 4)),
    Case("sum axis keepdims", lambda x: x.sum(axis=-2, keepdims=True),
         lambda x: x.sum(-2, keepdim=True), real(2, 3, 4)),
    Case("sum axes", lambda x: x.sum(axis=(2, 0)), lambda x: x.sum((2, 0)), real(2, 3, 4)),
    Case("sum axes keepdims", lambda x: x.sum(axis=(0, -1), keepdims=True),
         lambda x: x.sum((0, -1), keepdim=True), real(2, 3, 4)),
    Case("sum no axis", lambda x: x.sum(axis=()), lambda x: x * 1, real(2, 3)),
    Case("mean", ops.mean, torch.mean, real(3, 4)),
    Case("mean axis", lambda x: ops.mean(x, axis=0), lambda x: x.mean(0), real(3, 4)),
    Case("mean axes", lambda x: x.mean(axis=(0, -1)), lambda x: x.mean((0, -1)), real(2, 3, 4)),
    Case("mean keepdims", lambda x: x.mean(axis=-1, keepdims=True),
         lambda x: x.mean(-1, keepdim=True), real(2, 3, 4)),
    Case("var", ops.var, lambda x: torch.var(x, correction=0), real(3, 4)),
    Case("var axis", lambda x: ops.var(x, axis=1), lambda x: x.var(1, correction=0), real(3, 4)),
    Case("var correction", lambda x: x.var(axis=(0, 2), correction=1, keepdims=True),
         lambda x: x.var((0, 2), correction=1, keepdim=True), real(2, 3, 4)),
    Case("std", ops.std, lambda x: torch.std(x, correction=0), real(3, 4)),
    Case("std correction", lambda x: x.std(axis=-1, correction=1),
         lambda x: x.std(-1, correction=1), real(3, 4)),
    Case("std keepdims", lambda x: x.std(axis=0, keepdims=True),
         lambda x: x.std(0, correction=0, keepdim=True), real(3, 4)),
    Case("max", ops.max, torch.amax, distinct(3, 4)),
    Case("max axis", lambda x: ops.max(x, axis=1), lambda x: x.amax(1), distinct(2, 3, 4)),
    Case("max axes", lambda x: x.max(axis=(0, -1)), lambda x: x.amax((0, -1)), distinct(2, 3, 4)),
    Case("max keepdims", lambda x: x.max(axis=0, keepdims=True),
         lambda x: x.amax(0, keepdim=True), distinct(3, 4)),
    Case("min", ops.min, torch.amin, distinct(3, 4)),
    Case("min axis", lambda x: ops.min(x, axis=-1), lambda x: x.amin(-1), distinct(2, 3, 4)),
    Case("min axes keepdims", lambda x: x.min(axis=(0, 2), keepdims=True),
         lambda x: x.amin((0, 2), keepdim=True), distinct(2, 3, 4)),
    Case("logsumexp", ops.logsumexp, lambda x: torch.logsumexp(x, (0, 1)), real(3, 4)),
    Case("logsumexp axis", lambda x: x.logsumexp(axis=1), lambda x: x.logsumexp(1), real(3, 4)),
    Case("logsumexp axes keepdims", lambda x: x.logsumexp(axis=(0, -1), keepdims=True),
         lambda x: x.logsumexp((0, -1), keepdim=True), real(2, 3, 4)),
]  # fmt: skip
