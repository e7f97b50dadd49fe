"""The table of the operations that have a derivative; a new one gets its tests by a new row.

    Case("softsign", ops.softsign, functional.softsign, real(3, 4))

The name is the operation's, with what is particular about the row after a space; then come the
operation on minidl's tensors, PyTorch's counterpart (None if it has none), and the inputs: each a
domain and a shape, within which the operation is three times differentiable.  Inputs that are
`fixed` are not differentiated.
"""

from functools import partial

import numpy as np

from minidl import ops
from minidl.ops import loss_ctc, loss_probability, loss_regression
from tests import fused
from tests.cases_more import MORE
from tests.cases_windows import WINDOWS
from tests.fourier_cases import FOURIER
from tests.helpers import Case, Input, away_from, distinct, fixed, given, positive, real, unit
from tests.linalg_cases import LINALG
from tests.oracle import functional, torch
from tests.toy_backend import TOY

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


def uniforms(shape):
    """The random numbers of KEY."""
    uniform = ops.uniform_like(ops.zeros(tuple(shape), dtype="float64"), KEY)
    return torch.from_numpy(np.array(uniform))


def alpha_dropped(x, p):
    """PyTorch's alpha dropout, with the mask of KEY."""
    alpha = 1.7580993408473766
    a = ((alpha**2 * p + 1) * (1 - p)) ** -0.5
    keep = uniforms(x.shape) >= p
    return torch.where(keep, a * x, -alpha * a) + alpha * a * p


# PyTorch takes the statistics of its batch_norm and layer_norm for constants from the second
# derivative on, so that the third is wrong; written out, it is right.


def normalised(x, mean, var, weight=None, bias=None, eps=1e-5):
    """PyTorch's (x − mean) / √(var + eps) · weight + bias, of channels."""
    rest = [1] * (x.ndim - 2)
    y = (x - mean.reshape(-1, *rest)) / (var + eps).sqrt().reshape(-1, *rest)
    y = y if weight is None else y * weight.reshape(-1, *rest)
    return y if bias is None else y + bias.reshape(-1, *rest)


def batch_normalised(x, weight=None, bias=None, eps=1e-5):
    """PyTorch's batch norm."""
    axes = (0, *range(2, x.ndim))
    return normalised(x, x.mean(axes), x.var(axes, correction=0), weight, bias, eps)


def layer_normalised(x, weight=1, bias=0, ndim=1, eps=1e-5):
    """PyTorch's layer norm, over so many axes."""
    axes = tuple(range(-ndim, 0))
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True) + eps).sqrt() * weight + bias


def of_signs(signs, *shape):
    """Numbers of these signs along the first axis: sums of their products are far from 0."""
    signs = np.reshape(signs, (-1, *[1] * (len(shape) - 1)))
    return Input(lambda rng: rng.uniform(0.3, 2, shape) * signs)


def convolved(**settings):
    """minidl's and PyTorch's convolution with these settings."""
    return (
        lambda *xs: ops.conv2d(*xs, **settings),
        lambda *xs: functional.conv2d(*xs, **settings),
    )


def convolved_relu(**settings):
    """The same, and max(y, 0) of it."""
    return (
        lambda *xs: fused.conv2d_relu(*xs, **settings),
        lambda *xs: functional.conv2d(*xs, **settings).relu(),
    )


LINEAR_RELU = fused.linear_relu, lambda *xs: functional.linear(*xs).relu()


def losses(name, function, torch_function, *inputs):
    """A row for each reduction of a loss."""
    return [
        Case(
            f"{name} {reduction}",
            lambda *xs, how=reduction: function(*xs, reduction=how),
            lambda *xs, how=reduction: torch_function(*xs, reduction=how),
            *inputs,
        )
        for reduction in ("mean", "sum", "none")
    ]


def with_settings(name, *torch_function, **settings):
    """minidl's and PyTorch's function of that name with these settings; lists become tensors."""
    theirs = torch_function[0] if torch_function else getattr(functional, name)

    def in_torch(x, *rest, **more):
        tensors = {
            key: torch.tensor(value, dtype=x.dtype) if isinstance(value, list) else value
            for key, value in settings.items()
        }
        return theirs(x, *rest, **tensors, **more)

    return partial(getattr(ops, name), **settings), in_torch if theirs else None


def likelihood(emitted):
    """Of one label between blanks."""
    begin, skip, end = [[0, -np.inf, -np.inf]], [[-np.inf] * 3], [[-np.inf, 0, 0]]
    steps = (ops.asarray(x, dtype=emitted.dtype) for x in (begin, skip, end))
    running = ops.asarray(np.ones((emitted.shape[0], 1, 1), bool))
    return loss_ctc._ctc_log_likelihood(emitted, *steps, running)


# fmt: off
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
    Case("pow cubed, array", lambda x: x ** ops.full_like(x, 3),
         lambda x: x ** torch.full_like(x, 3), real(3, 4)),
    Case("pow inverse", lambda x: x**-1, lambda x: x**-1, away_from([0], 3, 4)),
    Case("pow root", lambda x: x**0.5, lambda x: x**0.5, positive(3, 4)),
    Case("pow of a number", lambda x: 2**x, lambda x: 2**x, real(3, 4)),
    Case("negative", ops.negative, torch.negative, real(3, 4)),
    Case("remainder", ops.remainder, torch.remainder,
         given([5.3, -5.3, 5.3, -5.3, 0.7]), given([2.0, 2.0, -2.0, -2.0, 3.1])),
    Case("xdivy", ops.xdivy, torch.divide, away_from([0], 3, 4), away_from([0], 4)),
    Case("xmuly", ops.xmuly, torch.multiply, real(3, 4), real(4)),
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
    Case("where with a number", lambda m, x: ops.where(m, x, 0.5),
         lambda m, x: torch.where(m, x, 0.5), fixed(MASK), real(2, 3)),
    Case("clip", lambda x: ops.clip(x, -1, 1), lambda x: x.clip(-1, 1), away_from([-1, 1], 3, 4)),
    Case("clip below", lambda x: ops.clip(x, min=0), lambda x: x.clip(min=0), away_from([0], 3, 4)),
    Case("clip above", lambda x: ops.clip(x, max=0), lambda x: x.clip(max=0), away_from([0], 3, 4)),
    Case("clip between tensors", ops.clip, torch.clip,
         distinct(8), given([-0.3] * 8), given([0.8])),
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
]

MANIPULATION = [
    Case("reshape", lambda x: ops.reshape(x, (2, 6)), lambda x: x.reshape(2, 6), real(3, 4)),
    Case("reshape the rest", lambda x: x.reshape(2, -1), lambda x: x.reshape(2, -1), real(3, 4)),
    Case("reshape to one number", lambda x: x.reshape(()), lambda x: x.reshape(()), real(1, 1)),
    Case("flatten", ops.flatten, torch.flatten, real(2, 3, 2)),
    Case("flatten axes", lambda x: ops.flatten(x, 1, -2), lambda x: x.flatten(1, -2),
         real(2, 3, 2, 2)),
    Case("flatten one number", ops.flatten, torch.flatten, real()),
    Case("permute_dims", lambda x: ops.permute_dims(x, (2, 0, 1)),
         lambda x: x.permute(2, 0, 1), real(2, 3, 4)),
    Case("permute_dims from the end", lambda x: ops.permute_dims(x, (-1, 0, -2)),
         lambda x: x.permute(-1, 0, -2), real(2, 3, 4)),
    Case("matrix_transpose", ops.matrix_transpose, lambda x: x.mT, real(2, 3, 4)),
    Case("matrix_transpose T", lambda x: x.T, lambda x: x.T, real(3, 4)),
    Case("expand_dims", ops.expand_dims, lambda x: x[None], real(3, 4)),
    Case("expand_dims axis", lambda x: ops.expand_dims(x, axis=-1),
         lambda x: x[..., None], real(3, 4)),
    Case("expand_dims axes", lambda x: ops.expand_dims(x, axis=(0, -1)),
         lambda x: x[None, ..., None], real(3, 4)),
    Case("squeeze", lambda x: ops.squeeze(x, 1), lambda x: x.squeeze(1), real(3, 1, 4)),
    Case("squeeze axes", lambda x: x.squeeze((0, -1)), lambda x: x.squeeze((0, -1)), real(1, 3, 1)),
    Case("broadcast_to", lambda x: ops.broadcast_to(x, (2, 3, 4)),
         lambda x: x.broadcast_to(2, 3, 4), real(3, 1)),
    Case("broadcast_to from one number", lambda x: ops.broadcast_to(x, (2, 3)),
         lambda x: x.broadcast_to(2, 3), real()),
    Case("flip", ops.flip, lambda x: x.flip(0, 1), real(3, 4)),
    Case("flip axis", lambda x: ops.flip(x, axis=-1), lambda x: x.flip(-1), real(3, 4)),
    Case("flip axes", lambda x: ops.flip(x, axis=(0, 2)), lambda x: x.flip(0, 2), real(2, 3, 4)),
    Case("astype", lambda x: ops.astype(x, "float64"), lambda x: x.double(), real(3, 4)),
    Case("to_device", lambda x: ops.to_device(ops.to_device(x, TOY), "cpu"),
         torch.clone, real(3, 4)),
    Case("copy", ops.copy, torch.clone, real(3, 4)),
    Case("concat", lambda *xs: ops.concat(xs), lambda *xs: torch.cat(xs), real(2, 3), real(1, 3)),
    Case("concat axis", lambda *xs: ops.concat(xs, axis=-1), lambda *xs: torch.cat(xs, -1),
         real(2, 3), real(2, 1), real(2, 2)),
    Case("concat flat", lambda *xs: ops.concat(xs, axis=None),
         lambda *xs: torch.cat([x.flatten() for x in xs]), real(2, 3), real(4)),
    Case("concat twice the same", lambda x: ops.concat([x, x]),
         lambda x: torch.cat([x, x]), real(3)),
    Case("concat of one", lambda x: ops.concat([x]), torch.clone, real(2, 3)),
    Case("stack", lambda *xs: ops.stack(xs), lambda *xs: torch.stack(xs), real(2, 3), real(2, 3)),
    Case("stack axis", lambda *xs: ops.stack(xs, axis=1), lambda *xs: torch.stack(xs, 1),
         real(2, 3), real(2, 3), real(2, 3)),
    Case("stack of one", lambda x: ops.stack([x]), lambda x: x[None], real(2, 3)),
    Case("stack last", lambda *xs: ops.stack(xs, axis=-1), lambda *xs: torch.stack(xs, -1),
         real(2, 3), real(2, 3)),
]

INDEXING = [
    Case("getitem integer", lambda x: x[1], lambda x: x[1], real(3, 4)),
    Case("getitem one number", lambda x: x[-1, 2], lambda x: x[-1, 2], real(3, 4)),
    Case("getitem slices", lambda x: x[1:, ::2], lambda x: x[1:, ::2], real(3, 4)),
    Case("getitem negative steps", lambda x: x[::-1, 2::-2],
         lambda x: x.flip(0)[:, [2, 0]], real(3, 4)),
    Case("getitem nothing", lambda x: x[2:2], lambda x: x[2:2], real(3, 4)),
    Case("getitem None", lambda x: x[:, None, 1], lambda x: x[:, None, 1], real(3, 4)),
    Case("getitem Ellipsis", lambda x: x[..., 1, None], lambda x: x[..., 1, None], real(2, 3, 4)),
    Case("getitem array, repeated", lambda x: x[ROWS], lambda x: x[ROWS], real(3, 4)),
    Case("getitem array from the end", lambda x: x[:, np.array([-1, 0, -1])],
         lambda x: x[:, [-1, 0, -1]], real(3, 4)),
    Case("getitem tensor", lambda x, i: x[i], lambda x, i: x[i], real(3, 4), fixed([2, 2, 0])),
    Case("getitem list", lambda x: x[[0, 2, 0]], lambda x: x[[0, 2, 0]], real(3, 4)),
    Case("getitem arrays together", lambda x: x[ROWS, COLUMNS],
         lambda x: x[ROWS, COLUMNS], real(3, 4)),
    Case("getitem arrays apart", lambda x: x[COLUMNS % 2, :, COLUMNS],
         lambda x: x[COLUMNS % 2, :, COLUMNS], real(2, 3, 4)),
    Case("getitem array and None", lambda x: x[None, 1:, COLUMNS],
         lambda x: x[None, 1:, COLUMNS], real(3, 4)),
    Case("getitem mask", lambda x, m: x[m], lambda x, m: x[m], real(2, 3), fixed(MASK)),
    Case("getitem mask of one axis", lambda x: x[:, MASK[0]],
         lambda x: x[:, MASK[0]], real(2, 3)),
    Case("scatter_at", lambda v: ops.scatter_at(v, (slice(1, 3), 0), (4, 2)),
         lambda v: written(torch.zeros(4, 2, dtype=v.dtype), (slice(1, 3), 0), v), real(2)),
    Case("scatter_at repeated", lambda v: ops.scatter_at(v, (np.array([2, 0, 2]),), (4, 3)),
         lambda v: added_at(v, (torch.tensor([2, 0, 2]),), (4, 3)), real(3, 3)),
    Case("put_at", lambda x, v: ops.put_at(x, v, (slice(None), 1)),
         lambda x, v: written(x, (slice(None), 1), v), real(3, 4), real(3)),
    Case("put_at broadcast", lambda x, v: ops.put_at(x, v, slice(1, 3)),
         lambda x, v: written(x, slice(1, 3), v), real(3, 4), real(4)),
    Case("put_at array", lambda x, v: ops.put_at(x, v, np.array([2, 0])),
         lambda x, v: written(x, [2, 0], v), real(3, 4), real(2, 4)),
    Case("put_at mask", lambda x, m, v: ops.put_at(x, v, m),
         lambda x, m, v: written(x, m, v), real(2, 3), fixed(MASK), real()),
    Case("take_along_axis", lambda x, i: ops.take_along_axis(x, i, axis=0),
         lambda x, i: torch.gather(x, 0, i), real(3, 4), fixed(PLACES)),
    Case("take_along_axis last", ops.take_along_axis, lambda x, i: torch.gather(x, -1, i),
         real(2, 3), fixed(PLACES)),
    Case("scatter_add", lambda x, i, v: ops.scatter_add(x, i, v, axis=0),
         lambda x, i, v: x.scatter_add(0, i, v), real(3, 4), fixed(PLACES), real(2, 4)),
    Case("scatter_add last", ops.scatter_add, lambda x, i, v: x.scatter_add(-1, i, v),
         real(2, 3), fixed(PLACES), real(2, 4)),
    Case("take", ops.take, lambda x, i: x[i], real(4), fixed([[3, 0], [0, 1]])),
    Case("take axis", lambda x, i: ops.take(x, i, axis=1), lambda x, i: x[:, i],
         real(2, 3, 4), fixed([2, 0, 0, 1])),
    Case("take last axis", lambda x, i: ops.take(x, i, axis=-1), lambda x, i: x[..., i],
         real(2, 3), fixed([2, 0, 2])),
    Case("embedding", ops.embedding, lambda w, i: functional.embedding(i, w),
         real(5, 3), fixed([[4, 0, 4], [1, 1, 2]])),
    Case("embedding of one id", ops.embedding, lambda w, i: functional.embedding(i, w),
         real(5, 3), fixed(3)),
    Case("sort", ops.sort, lambda x: x.sort().values, distinct(3, 4)),
    Case("sort axis", lambda x: ops.sort(x, axis=0), lambda x: x.sort(0).values, distinct(3, 4)),
    Case("sort descending", lambda x: ops.sort(x, descending=True),
         lambda x: x.sort(descending=True).values, distinct(3, 4)),
]

MATRICES = [
    Case("matmul", ops.matmul, torch.matmul, real(2, 3), real(3, 4)),
    Case("matmul two vectors", ops.matmul, torch.matmul, real(3), real(3)),
    Case("matmul vector and matrix", ops.matmul, torch.matmul, real(3), real(3, 4)),
    Case("matmul matrix and vector", ops.matmul, torch.matmul, real(2, 3), real(3)),
    Case("matmul vector and batch", ops.matmul, torch.matmul, real(3), real(2, 3, 4)),
    Case("matmul batch and vector", ops.matmul, torch.matmul, real(2, 4, 3), real(3)),
    Case("matmul batches", ops.matmul, torch.matmul, real(2, 4, 3), real(2, 3, 2)),
    Case("matmul batch and matrix", ops.matmul, torch.matmul, real(2, 4, 3), real(3, 2)),
    Case("matmul matrix and batch", ops.matmul, torch.matmul, real(4, 3), real(2, 3, 2)),
    Case("matmul batches broadcast", ops.matmul, torch.matmul, real(3, 1, 2, 4), real(2, 4, 3)),
    Case("matmul batches of 1", ops.matmul, torch.matmul, real(1, 2, 3), real(4, 3, 2)),
    Case("matmul with itself", lambda x: x @ x.T, lambda x: x @ x.T, real(2, 3)),
    Case("linear", ops.linear, functional.linear, real(2, 3), real(4, 3), real(4)),
    Case("linear without bias", ops.linear, functional.linear, real(2, 3), real(4, 3)),
    Case("linear of a vector", ops.linear, functional.linear, real(3), real(4, 3), real(4)),
    Case("linear of a batch", ops.linear, functional.linear, real(2, 5, 3), real(4, 3), real(4)),
    Case("linear of a batch without bias", ops.linear, functional.linear,
         real(2, 2, 3), real(4, 3)),
]

ACTIVATIONS = [
    Case("relu", ops.relu, functional.relu, away_from([0], 3, 4)),
    Case("leaky_relu", ops.leaky_relu, functional.leaky_relu, away_from([0], 3, 4)),
    Case("leaky_relu slope", lambda x: ops.leaky_relu(x, 0.3),
         lambda x: functional.leaky_relu(x, 0.3), away_from([0], 3, 4)),
    Case("elu", ops.elu, functional.elu, away_from([0], 3, 4)),
    Case("elu alpha", lambda x: ops.elu(x, alpha=0.7),
         lambda x: functional.elu(x, alpha=0.7), away_from([0], 3, 4)),
    Case("sigmoid", ops.sigmoid, torch.sigmoid, real(3, 4)),
    Case("softplus", ops.softplus, functional.softplus, real(3, 4)),
    Case("silu", ops.silu, functional.silu, real(3, 4)),
    Case("gelu", ops.gelu, functional.gelu, real(3, 4)),
    Case("gelu tanh", lambda x: ops.gelu(x, approximate="tanh"),
         lambda x: functional.gelu(x, approximate="tanh"), real(3, 4)),
    Case("softmax", ops.softmax, lambda x: x.softmax(-1), real(3, 4)),
    Case("softmax axis", lambda x: ops.softmax(x, axis=1), lambda x: x.softmax(1), real(2, 3, 4)),
    Case("log_softmax", ops.log_softmax, lambda x: x.log_softmax(-1), real(3, 4)),
    Case("log_softmax axis", lambda x: x.log_softmax(axis=0),
         lambda x: x.log_softmax(0), real(3, 4)),
    Case("dropout", lambda x: ops.dropout(x, key=KEY), lambda x: dropped(x, 0.5), real(3, 4)),
    Case("dropout p", lambda x: ops.dropout(x, 0.2, key=KEY),
         lambda x: dropped(x, 0.2), real(3, 4)),
]

CONV = [
    Case("conv2d", *convolved(), real(2, 2, 3, 4), real(3, 2, 2, 3), real(3)),
    Case("conv2d strided", *convolved(stride=(2, 3)),
         real(1, 2, 5, 7), real(2, 2, 2, 2), real(2)),
    Case("conv2d padded", *convolved(padding=(1, 2)),
         real(1, 2, 3, 2), real(2, 2, 3, 2), real(2)),
    Case("conv2d dilated", *convolved(dilation=(2, 3)),
         real(1, 2, 4, 5), real(2, 2, 2, 2), real(2)),
    Case("conv2d strided, padded, dilated", *convolved(stride=2, padding=3, dilation=2),
         real(1, 1, 4, 3), real(2, 1, 2, 3), real(2)),
    Case("conv2d in groups", *convolved(groups=2, padding=1),
         real(2, 4, 2, 3), real(6, 2, 2, 2), real(6)),
    Case("conv2d of each channel", *convolved(groups=3, stride=2),
         real(1, 3, 4, 5), real(6, 1, 2, 2), real(6)),
    Case("conv2d without a bias", *convolved(padding=1), real(2, 2, 2, 3), real(1, 2, 2, 2)),
    Case("conv2d of single points", *convolved(), real(2, 3, 2, 2), real(2, 3, 1, 1), real(2)),
    Case("conv2d of one picture", *convolved(stride=2, padding=1),
         real(2, 3, 4), real(3, 2, 2, 2), real(3)),
    Case("fused conv2d_relu", *convolved_relu(), of_signs([1, -1], 2, 2, 3, 3),
         of_signs([1, -1, 1], 3, 2, 2, 2), given([0.1, -0.1, 0.2])),
    Case("fused conv2d_relu strided, in groups", *convolved_relu(stride=2, groups=2),
         of_signs([1, -1], 2, 2, 3, 5), of_signs([1, -1], 2, 1, 2, 2), given([0.1, -0.1])),
    Case("fused conv2d_relu without a bias", *convolved_relu(padding=1),
         of_signs([-1, 1], 2, 1, 2, 3), of_signs([1, -1], 2, 1, 2, 2)),
    Case("fused conv2d_pool_relu", lambda *xs: fused.conv2d_pool_relu(*xs, padding=1),
         lambda *xs: functional.max_pool2d(functional.conv2d(*xs, padding=1), 2).relu(),
         real(2, 2, 4, 5), real(3, 2, 3, 3), given([0.1, -0.1, 0.2])),
    Case("fused conv2d_pool_relu strided, without a bias",
         lambda *xs: fused.conv2d_pool_relu(*xs, stride=2, groups=2),
         lambda *xs: functional.max_pool2d(functional.conv2d(*xs, stride=2, groups=2), 2).relu(),
         real(1, 2, 6, 6), real(2, 1, 2, 3)),
    Case("fused conv2d_relu of one picture", *convolved_relu(), of_signs([1], 2, 3, 3),
         of_signs([1, -1], 2, 2, 2, 2), given([0.1, 0.1])),
    Case("fused linear_relu", *LINEAR_RELU,
         of_signs([1, -1], 2, 3), of_signs([1, -1, -1, 1], 4, 3), given([0.1, -0.1, 0.2, -0.2])),
    Case("fused linear_relu without a bias", *LINEAR_RELU,
         of_signs([1, -1], 2, 3), of_signs([1, -1], 2, 3)),
    Case("fused linear_relu of a vector", *LINEAR_RELU,
         of_signs([1], 3), of_signs([1, -1], 2, 3), given([0.1, 0.2])),
    Case("fused linear_relu of a batch", *LINEAR_RELU,
         of_signs([1, -1], 2, 2, 3), of_signs([1, -1], 2, 3), given([0.1, 0.2])),
]

POOL = [
    Case("max_pool2d", lambda x: ops.max_pool2d(x, 2), lambda x: functional.max_pool2d(x, 2),
         distinct(2, 2, 4, 5)),
    Case("max_pool2d overlapping, padded", lambda x: ops.max_pool2d(x, 3, 2, 1),
         lambda x: functional.max_pool2d(x, 3, 2, 1), distinct(1, 2, 5, 4)),
    Case("max_pool2d dilated, of one picture",
         lambda x: ops.max_pool2d(x, (2, 3), 1, (1, 0), (2, 1), ceil_mode=True),
         lambda x: functional.max_pool2d(x, (2, 3), 1, (1, 0), (2, 1), ceil_mode=True),
         distinct(2, 4, 5)),
    Case("max_pool2d with indices", lambda x: ops.max_pool2d(x, 2, 1, return_indices=True)[0],
         lambda x: functional.max_pool2d(x, 2, 1), distinct(1, 1, 3, 4)),
    Case("fused max_pool2d_relu", lambda x: fused.max_pool2d_relu(x, 2),
         lambda x: functional.max_pool2d(x, 2).relu(), of_signs([1, -1], 2, 2, 4, 5)),
    Case("fused max_pool2d_relu overlapping, of one picture",
         lambda x: fused.max_pool2d_relu(x, 2, 1), lambda x: functional.max_pool2d(x, 2, 1).relu(),
         distinct(2, 4, 5, shift=0.25)),
    Case("avg_pool2d", lambda x: ops.avg_pool2d(x, 2), lambda x: functional.avg_pool2d(x, 2),
         real(2, 2, 4, 5)),
    Case("avg_pool2d overlapping, padded", lambda x: ops.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
         lambda x: functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True), real(1, 2, 4, 4)),
    Case("avg_pool2d without the padding, of one picture",
         lambda x: ops.avg_pool2d(x, (2, 3), 1, 1, count_include_pad=False),
         lambda x: functional.avg_pool2d(x, (2, 3), 1, 1, count_include_pad=False), real(2, 3, 4)),
    Case("avg_pool2d divisor", lambda x: ops.avg_pool2d(x, 2, divisor_override=3),
         lambda x: functional.avg_pool2d(x, 2, divisor_override=3), real(1, 2, 4, 4)),
    Case("adaptive_avg_pool2d", lambda x: ops.adaptive_avg_pool2d(x, (2, 3)),
         lambda x: functional.adaptive_avg_pool2d(x, (2, 3)), real(2, 1, 5, 4)),
    Case("adaptive_avg_pool2d to one", lambda x: ops.adaptive_avg_pool2d(x, 1),
         lambda x: functional.adaptive_avg_pool2d(x, 1), real(2, 2, 3, 4)),
    Case("adaptive_avg_pool2d to more, of one picture",
         lambda x: ops.adaptive_avg_pool2d(x, (None, 5)),
         lambda x: functional.adaptive_avg_pool2d(x, (None, 5)), real(2, 3, 2)),
]

NORM = [
    Case("batch_norm", lambda x, w, b: ops.batch_norm(x, w, b)[0],
         batch_normalised, real(4, 3), positive(3), real(3)),
    Case("batch_norm of rows", lambda x, w, b: ops.batch_norm(x, w, b)[0],
         batch_normalised, real(2, 3, 4), positive(3), real(3)),
    Case("batch_norm of pictures", lambda x, w, b: ops.batch_norm(x, w, b, eps=0.1)[0],
         lambda x, w, b: batch_normalised(x, w, b, eps=0.1), real(2, 2, 3, 2), real(2), real(2)),
    Case("batch_norm without a bias", lambda x, w: ops.batch_norm(x, w)[0],
         batch_normalised, real(4, 3), positive(3)),
    Case("batch_norm alone", lambda x: ops.batch_norm(x)[0], batch_normalised,
         real(3, 2, 2)),
    Case("batch_norm_inference", ops.batch_norm_inference, normalised,
         real(4, 3), real(3), positive(3), real(3), real(3)),
    Case("batch_norm_inference of pictures", ops.batch_norm_inference, normalised,
         real(2, 3, 2, 2), real(3), positive(3), real(3), real(3)),
    Case("batch_norm_inference alone", ops.batch_norm_inference, normalised,
         real(2, 3, 4), real(3), positive(3)),
    Case("layer_norm", lambda x, w, b: ops.layer_norm(x, w, b, normalized_shape=(4,)),
         layer_normalised, real(3, 4), positive(4), real(4)),
    Case("layer_norm of two axes", lambda x, w, b: ops.layer_norm(x, w, b, normalized_shape=(3, 2)),
         lambda x, w, b: layer_normalised(x, w, b, 2),
         real(2, 3, 2), positive(3, 2), real(3, 2)),
    Case("layer_norm without a bias", lambda x, w: ops.layer_norm(x, w, normalized_shape=(4,)),
         layer_normalised, real(2, 2, 4), real(4)),
    Case("layer_norm alone", lambda x: ops.layer_norm(x, normalized_shape=5, eps=0.1),
         lambda x: layer_normalised(x, eps=0.1), real(5)),
    Case("group_norm", lambda x, w, b: ops.group_norm(x, w, b, num_groups=2),
         lambda x, w, b: functional.group_norm(x, 2, w, b), real(2, 6), positive(6), real(6)),
    Case("group_norm of pictures", lambda x, w, b: ops.group_norm(x, w, b, num_groups=2),
         lambda x, w, b: functional.group_norm(x, 2, w, b), real(2, 4, 2, 2), real(4), real(4)),
    Case("group_norm of one channel each", lambda x, w: ops.group_norm(x, w, num_groups=3),
         lambda x, w: functional.group_norm(x, 3, w), real(2, 3, 4), positive(3)),
    Case("group_norm alone", lambda x: ops.group_norm(x, num_groups=1, eps=0.1),
         lambda x: functional.group_norm(x, 1, eps=0.1), real(2, 2, 3)),
]

LOSSES = [
    *losses("cross_entropy of a vector,", ops.cross_entropy, functional.cross_entropy,
            real(5), fixed(3)),
    *losses("cross_entropy of rows,", ops.cross_entropy, functional.cross_entropy,
            real(4, 3), fixed([2, 0, 0, 1])),
    *losses("cross_entropy of columns,", ops.cross_entropy, functional.cross_entropy,
            real(2, 3, 4), fixed([[2, 0, 0, 1], [1, 1, 2, 0]])),
    *losses("cross_entropy of probabilities,", ops.cross_entropy, functional.cross_entropy,
            real(4, 3), positive(4, 3)),
    *losses("cross_entropy of columns of probabilities,", ops.cross_entropy,
            functional.cross_entropy, real(2, 3, 4), positive(2, 3, 4)),
    *losses("mse_loss", ops.mse_loss, functional.mse_loss, real(3, 4), real(3, 4)),
    *losses("cross_entropy weighted, smoothed,",
            *with_settings("cross_entropy", weight=[0.5, 2.0, 1.5], label_smoothing=0.2,
                           ignore_index=1),
            real(4, 3), fixed([2, 0, 1, 0])),
    *losses("nll_loss", *with_settings("nll_loss", weight=[0.5, 2.0, 1.5]),
            real(4, 3), fixed([2, 0, 0, 1])),
    Case("l1_loss", ops.l1_loss, functional.l1_loss, distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("huber_loss", *with_settings("huber_loss", delta=0.8),
         distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("smooth_l1_loss", *with_settings("smooth_l1_loss", beta=0.8),
         distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("poisson_nll_loss", ops.poisson_nll_loss, functional.poisson_nll_loss,
         real(3, 4), positive(3, 4)),
    Case("poisson_nll_loss of rates", *with_settings("poisson_nll_loss", log_input=False,
                                                     full=True),
         positive(4), given([1.5, 2.5, 0.5, 4.0])),
    Case("gaussian_nll_loss", *with_settings("gaussian_nll_loss", full=True),
         real(3, 4), real(3, 4), positive(3, 4)),
    Case("at_least", lambda x: loss_regression._at_least(x, bound=0.2), torch.clone,
         positive(3, 4)),
    Case("binary_cross_entropy", ops.binary_cross_entropy, None,
         given([0.2, 0.5, 0.9]), given([0.3, 0.6, 0.2])),
    Case("bernoulli_nll", loss_probability._bernoulli_nll,
         lambda p, t: -t * p.log() - (1 - t) * (1 - p).log(),
         given([0.2, 0.5, 0.9]), given([0.3, 0.6, 0.2])),
    *losses("binary_cross_entropy_with_logits",
            *with_settings("binary_cross_entropy_with_logits", weight=[1.5, 0.5, 2.0, 1.0],
                           pos_weight=[0.5, 2.0, 3.0, 1.0]), real(3, 4), positive(3, 4)),
    Case("kl_div", *with_settings("kl_div", reduction="batchmean"), real(3, 4), positive(3, 4)),
    Case("kl_div of logarithms", *with_settings("kl_div", reduction="none", log_target=True),
         real(3, 4), real(3, 4)),
    Case("hinge_embedding_loss", ops.hinge_embedding_loss, functional.hinge_embedding_loss,
         away_from([1], 4), fixed([1, -1, -1, 1])),
    Case("soft_margin_loss", ops.soft_margin_loss, functional.soft_margin_loss,
         real(4), fixed([1, -1, -1, 1])),
    Case("multi_margin_loss", *with_settings("multi_margin_loss", None, p=2, margin=0.7),
         distinct(4, 3), fixed([2, 0, 0, 1])),
    Case("multilabel_margin_loss", ops.multilabel_margin_loss, None,
         given([[0.1, 0.4, -0.3], [0.7, -0.2, 0.3]]), fixed([[2, 0, -1], [1, -1, 0]])),
    Case("multilabel_soft_margin_loss",
         *with_settings("multilabel_soft_margin_loss", weight=[0.5, 2.0, 1.5, 1.0]),
         real(3, 4), positive(3, 4)),
    Case("margin_ranking_loss", *with_settings("margin_ranking_loss", margin=0.1),
         distinct(4), distinct(4, shift=0.25), fixed([1, -1, -1, 1])),
    Case("cosine_embedding_loss", *with_settings("cosine_embedding_loss", margin=-0.9),
         real(4, 3), real(4, 3), fixed([1, -1, -1, 1])),
    Case("triplet_margin_loss", *with_settings("triplet_margin_loss", margin=3.0),
         real(2, 3), real(2, 3), real(2, 3)),
    Case("triplet_margin_loss swapped", *with_settings("triplet_margin_loss", p=3.0, swap=True),
         real(2, 3), real(2, 3), real(2, 3)),
    Case("ctc_loss", lambda x, t: ops.ctc_loss(x, t, (4, 3), (2, 1)), None,
         real(4, 2, 3), fixed([[1, 2], [2, 0]])),
    Case("ctc_log_likelihood", likelihood, None, real(4, 1, 3)),
]

PIECEWISE = [
    Case("hardtanh", ops.hardtanh, functional.hardtanh, away_from([-1, 1], 3, 4)),
    Case("hardtanh bounds", lambda x: ops.hardtanh(x, -0.5, 1.2),
         lambda x: functional.hardtanh(x, -0.5, 1.2), away_from([-0.5, 1.2], 3, 4)),
    Case("relu6", lambda x: ops.relu6(4 * x), lambda x: functional.relu6(4 * x),
         away_from([0, 1.5], 3, 4)),
    Case("hardsigmoid", lambda x: ops.hardsigmoid(2 * x),  # PyTorch's has a slope of float32
         lambda x: functional.relu6(2 * x + 3) / 6, away_from([-1.5, 1.5], 3, 4)),
    Case("hardswish", lambda x: ops.hardswish(2 * x),
         lambda x: 2 * x * functional.relu6(2 * x + 3) / 6, away_from([-1.5, 1.5], 3, 4)),
    Case("hardshrink", ops.hardshrink, functional.hardshrink, away_from([-0.5, 0.5], 3, 4)),
    Case("softshrink", ops.softshrink, functional.softshrink, away_from([-0.5, 0.5], 3, 4)),
    Case("softshrink lambd", lambda x: ops.softshrink(x, 1.1),
         lambda x: functional.softshrink(x, 1.1), away_from([-1.1, 1.1], 3, 4)),
    Case("threshold", lambda x: ops.threshold(x, 0.3, -1.5),
         lambda x: functional.threshold(x, 0.3, -1.5), away_from([0.3], 3, 4)),
    Case("prelu", ops.prelu, functional.prelu, away_from([0], 3, 4), given([0.3])),
    Case("prelu of channels", ops.prelu, functional.prelu, away_from([0], 2, 3, 4), positive(3)),
    Case("prelu of a vector", ops.prelu, functional.prelu, away_from([0], 4), positive(1)),
    Case("rrelu", ops.rrelu, functional.rrelu, away_from([0], 3, 4)),
    Case("rrelu with a key", lambda x: ops.rrelu(x, 0.2, 0.5, key=KEY),
         lambda x: torch.where(x > 0, x, x * (uniforms(x.shape) * 0.3 + 0.2).to(x.dtype)),
         away_from([0], 3, 4)),
]

SMOOTH = [
    Case("celu", ops.celu, functional.celu, away_from([0], 3, 4)),
    Case("celu alpha", lambda x: ops.celu(x, 0.7),  # PyTorch's has a 1/α of float32
         lambda x: torch.where(x > 0, x, 0.7 * torch.expm1(x / 0.7)), away_from([0], 3, 4)),
    Case("selu", ops.selu, functional.selu, away_from([0], 3, 4)),
    Case("mish", ops.mish, functional.mish, real(3, 4)),
    Case("softsign", ops.softsign, functional.softsign, away_from([0], 3, 4)),
    Case("tanhshrink", ops.tanhshrink, functional.tanhshrink, real(3, 4)),
    Case("logsigmoid", ops.logsigmoid, functional.logsigmoid, real(3, 4)),
    Case("softmin", ops.softmin, lambda x: functional.softmin(x, -1), real(3, 4)),
    Case("softmin axis", lambda x: ops.softmin(x, axis=0), lambda x: functional.softmin(x, 0),
         real(3, 4)),
    Case("glu", ops.glu, functional.glu, real(3, 4)),
    Case("glu axis", lambda x: ops.glu(x, axis=1), lambda x: functional.glu(x, 1), real(2, 4, 3)),
]

REGROUPED = [
    Case("unflatten", lambda x: ops.unflatten(x, 1, (2, -1)),
         lambda x: x.unflatten(1, (2, -1)), real(2, 6, 2)),
    Case("unflatten last", lambda x: ops.unflatten(x, -1, (3, 2)),
         lambda x: x.unflatten(-1, (3, 2)), real(6)),
    Case("pixel_shuffle", lambda x: ops.pixel_shuffle(x, 2),
         lambda x: functional.pixel_shuffle(x, 2), real(2, 8, 2, 3)),
    Case("pixel_shuffle of one picture", lambda x: ops.pixel_shuffle(x, 3),
         lambda x: functional.pixel_shuffle(x, 3), real(9, 1, 2)),
    Case("pixel_unshuffle", lambda x: ops.pixel_unshuffle(x, 2),
         lambda x: functional.pixel_unshuffle(x, 2), real(2, 2, 4, 2)),
    Case("channel_shuffle", lambda x: ops.channel_shuffle(x, 2),
         lambda x: torch.stack(x.split(3, 1), 2).flatten(1, 2), real(2, 6, 2)),
]

DISTANCES = [
    Case("normalize", ops.normalize, functional.normalize, real(3, 4)),
    Case("normalize p, axis", lambda x: ops.normalize(x, 3, axis=0),
         lambda x: functional.normalize(x, 3, 0), away_from([0], 3, 4)),
    Case("cosine_similarity", ops.cosine_similarity, functional.cosine_similarity,
         real(3, 4), real(3, 4)),
    Case("cosine_similarity axis, broadcast", lambda *xs: ops.cosine_similarity(*xs, axis=-2),
         lambda *xs: functional.cosine_similarity(*xs, -2), real(2, 3, 4), real(3, 1)),
    Case("pairwise_distance", ops.pairwise_distance, functional.pairwise_distance,
         real(3, 4), real(3, 4)),
    *[Case(f"pairwise_distance p={p}",
           lambda *xs, p=p: ops.pairwise_distance(*xs, p, keepdims=True),
           lambda *xs, p=p: functional.pairwise_distance(*xs, p, keepdim=True),
           distinct(2, 3), distinct(3, shift=0.2)) for p in (1, 3, 0.5, float("inf"))],
    Case("bilinear", ops.bilinear, functional.bilinear,
         real(2, 3), real(2, 2), real(4, 3, 2), real(4)),
    Case("bilinear without bias, of a batch", ops.bilinear, functional.bilinear,
         real(2, 2, 3), real(2, 2, 2), real(2, 3, 2)),
    Case("bilinear of vectors", ops.bilinear, lambda *xs: functional.bilinear(*xs),
         real(3), real(2), real(4, 3, 2), real(4)),
]

SCALED = [
    Case("rms_norm", lambda x, w: ops.rms_norm(x, w, normalized_shape=(4,)),
         lambda x, w: functional.rms_norm(x, (4,), w), real(3, 4), positive(4)),
    Case("rms_norm of two axes", lambda x, w: ops.rms_norm(x, w, normalized_shape=(3, 2), eps=0.1),
         lambda x, w: functional.rms_norm(x, (3, 2), w, 0.1), real(2, 3, 2), positive(3, 2)),
    Case("rms_norm alone", lambda x: ops.rms_norm(x, normalized_shape=3),
         lambda x: functional.rms_norm(x, (3,)), real(2, 2, 3)),
    Case("local_response_norm", lambda x: ops.local_response_norm(x, 3, 0.5, 0.75, 1.5),
         lambda x: functional.local_response_norm(x, 3, 0.5, 0.75, 1.5), real(2, 4, 2, 3)),
    Case("local_response_norm of an even size", lambda x: ops.local_response_norm(x, 4, 0.3),
         lambda x: functional.local_response_norm(x, 4, 0.3), real(1, 3, 2)),
    Case("instance_norm", ops.instance_norm,
         lambda x, w, b: functional.group_norm(x, 3, w, b), real(2, 3, 4), positive(3), real(3)),
    Case("instance_norm alone", lambda x: ops.instance_norm(x, eps=0.1),
         lambda x: functional.group_norm(x, 2, eps=0.1), real(2, 2, 3, 2)),
]

NOISE = [
    Case("feature_dropout", lambda x: ops.feature_dropout(x, 0.4, key=KEY),
         lambda x: x * (uniforms((3, 2, 1)) >= 0.4) / 0.6, real(3, 2, 4)),
    Case("alpha_dropout", lambda x: ops.alpha_dropout(x, 0.3, key=KEY),
         lambda x: alpha_dropped(x, 0.3), real(3, 4)),
]
ARRAY_API = [
    Case("log2", ops.log2, torch.log2, positive(3, 4)),
    Case("log10", ops.log10, torch.log10, positive(3, 4)),
    Case("logaddexp", ops.logaddexp, torch.logaddexp, real(3, 4), real(4)),
    Case("logaddexp of equals", ops.logaddexp, torch.logaddexp, given([1, 2]), given([1, -90])),
    Case("acosh", lambda x: ops.acosh(x + 3), lambda x: torch.acosh(x + 3), unit(3, 4)),
    Case("asinh", ops.asinh, torch.asinh, real(3, 4)),
    Case("atanh", ops.atanh, torch.atanh, unit(3, 4)),
    Case("atan2", ops.atan2, torch.atan2, away_from([0], 3, 4), away_from([0], 4)),
    Case("hypot", ops.hypot, torch.hypot, away_from([0], 3, 1), away_from([0], 4)),
    Case("positive", ops.positive, torch.positive, real(3, 4)),
    Case("reciprocal", ops.reciprocal, torch.reciprocal, away_from([0], 3, 4)),
    Case("copysign", lambda x: ops.copysign(x, ops.flip(x)),
         lambda x: torch.copysign(x, x.flip(0, 1)), away_from([0], 3, 4)),
    Case("copysign of a number", lambda x: ops.copysign(x, -1.0),
         lambda x: torch.copysign(x, -1.0), away_from([0], 3, 4)),
    Case("real", ops.real, torch.real, real(3, 4)),
    Case("conj", ops.conj, torch.conj, real(3, 4)),
    Case("prod", ops.prod, torch.prod, real(2, 3)),
    Case("prod of one number", ops.prod, torch.prod, real()),
    Case("prod axis", lambda x: ops.prod(x, axis=1), lambda x: x.prod(1), real(2, 3, 4)),
    Case("prod axes", lambda x: ops.prod(x, axis=(2, 0)), lambda x: x.prod(0).prod(1),
         real(2, 2, 3)),
    Case("prod keepdims", lambda x: ops.prod(x, axis=-1, keepdims=True),
         lambda x: x.prod(-1, keepdim=True), real(3, 4)),
    Case("prod with zeros", lambda x: ops.prod(x, axis=1), lambda x: x[:, 0] * x[:, 1] * x[:, 2],
         given([[0, 2, 3], [0, 2, 0], [0, 0, 0]])),
    Case("cumulative_sum", ops.cumulative_sum, lambda x: x.cumsum(0), real(5)),
    Case("cumulative_sum axis", lambda x: ops.cumulative_sum(x, axis=-2),
         lambda x: x.cumsum(-2), real(2, 3, 4)),
    Case("cumulative_sum initial", lambda x: ops.cumulative_sum(x, axis=1, include_initial=True),
         lambda x: functional.pad(x.cumsum(1), (1, 0)), real(2, 3)),
    Case("cumulative_prod", ops.cumulative_prod, lambda x: x.cumprod(0), real(5)),
    Case("cumulative_prod axis", lambda x: ops.cumulative_prod(x, axis=-2),
         lambda x: x.cumprod(-2), real(2, 4, 3)),
    Case("cumulative_prod initial", lambda x: ops.cumulative_prod(x, axis=1, include_initial=True),
         lambda x: functional.pad(x.cumprod(1), (1, 0), value=1.0), real(2, 3)),
    Case("cumulative_prod with zeros", lambda x: ops.cumulative_prod(x, axis=0),
         lambda x: torch.stack([x[0], x[0] * x[1], x[0] * x[1] * x[2]]),
         given([[0, 2, 3], [2, 0, 0], [3, 0, 1]])),
    Case("diff", ops.diff, torch.diff, real(3, 4)),
    Case("diff twice", lambda x: ops.diff(x, axis=0, n=2), lambda x: x.diff(2, 0), real(4, 3)),
    Case("diff between", lambda x, a, b: ops.diff(x, prepend=a, append=b),
         lambda x, a, b: torch.diff(x, prepend=a, append=b), real(2, 3), real(2, 1), real(2, 2)),
    Case("broadcast_arrays", lambda x, y: ops.multiply(*ops.broadcast_arrays(x, y)),
         torch.multiply, real(3, 1), real(2, 1, 4)),
    Case("meshgrid", lambda x, y, z: ops.stack(ops.meshgrid(x, y, z)),
         lambda *xs: torch.stack(torch.meshgrid(*xs, indexing="xy")), real(2), real(3), real(4)),
    Case("meshgrid in order", lambda *xs: ops.stack(ops.meshgrid(*xs, indexing="ij")),
         lambda *xs: torch.stack(torch.meshgrid(*xs, indexing="ij")), real(2), real(3)),
    Case("roll", lambda x: ops.roll(x, 5), lambda x: x.roll(5), real(3, 4)),
    Case("roll axis", lambda x: ops.roll(x, -1, axis=1), lambda x: x.roll(-1, 1), real(3, 4)),
    Case("roll axes", lambda x: ops.roll(x, (1, -5), axis=(0, -1)),
         lambda x: x.roll((1, -5), (0, -1)), real(3, 4)),
    Case("tile", lambda x: ops.tile(x, (2, 3)), lambda x: x.tile(2, 3), real(2, 3)),
    Case("tile more axes", lambda x: ops.tile(x, (2, 1, 3)), lambda x: x.tile(2, 1, 3), real(2)),
    Case("tile fewer axes", lambda x: ops.tile(x, (2,)), lambda x: x.tile(2), real(2, 3)),
    Case("repeat", lambda x: ops.repeat(x, 2), lambda x: x.repeat_interleave(2), real(3, 2)),
    Case("repeat axis", lambda x: ops.repeat(x, 3, axis=-1),
         lambda x: x.repeat_interleave(3, -1), real(3, 2)),
    Case("repeat each", lambda x, n: ops.repeat(x, n, axis=0),
         lambda x, n: x.repeat_interleave(n, 0), real(3, 2), fixed([2, 0, 3])),
    Case("unstack", lambda x: ops.concat(ops.unstack(x)[::-1]),
         lambda x: torch.cat(x.unbind()[::-1]), real(3, 2)),
    Case("unstack axis", lambda x: ops.multiply(*ops.unstack(x, axis=-1)),
         lambda x: x[..., 0] * x[..., 1], real(2, 3, 2)),
]
# fmt: on

CASES = ELEMENTWISE + REDUCTIONS + MANIPULATION + INDEXING + MATRICES + ACTIVATIONS + LOSSES
CASES += CONV + POOL + NORM
CASES += WINDOWS
CASES += MORE
CASES += PIECEWISE + SMOOTH + REGROUPED + DISTANCES + SCALED + NOISE
CASES += ARRAY_API
CASES += LINALG + FOURIER

# The operations that have no derivative, and so no row.
NO_DERIVATIVE = (
    *("trunc", "signbit", "nextafter", "imag", "argwhere", "count_nonzero", "searchsorted"),
    *("floor_divide", "sign", "floor", "ceil", "round"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
    *("logical_and", "logical_or", "logical_xor", "logical_not", "isfinite", "isinf", "isnan"),
    *("all", "any", "argmax", "argmin", "argsort", "check_indices", "uniform_like"),
)
