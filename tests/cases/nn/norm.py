"""Rows of the normalisations.

PyTorch treats the statistics of its batch_norm and layer_norm as constants from the second
derivative on, so that the third is wrong; written out, it is right.
"""

from tests.cases.registry import ops
from tests.helpers import Case, positive, real
from tests.oracle import functional


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
    """PyTorch's layer norm, over the last `ndim` axes."""
    axes = tuple(range(-ndim, 0))
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True) + eps).sqrt() * weight + bias


# fmt: off
CASES = [
    Case("batch_norm", lambda x, w, b: ops.batch_norm(x, w, b)[0],
         batch_normalised, real(4, 3), positive(3), real(3)),
    Case("batch_norm of rows", lambda x, w, b: ops.batch_norm(x, w, b)[0],
         batch_normalised, real(2, 3, 4), positive(3), real(3)),
    Case("batch_norm of images", lambda x, w, b: ops.batch_norm(x, w, b, eps=0.1)[0],
         lambda x, w, b: batch_normalised(x, w, b, eps=0.1), real(2, 2, 3, 2), real(2), real(2)),
    Case("batch_norm without a bias", lambda x, w: ops.batch_norm(x, w)[0],
         batch_normalised, real(4, 3), positive(3)),
    Case("batch_norm alone", lambda x: ops.batch_norm(x)[0], batch_normalised,
         real(3, 2, 2)),
    Case("batch_norm_inference", ops.batch_norm_inference, normalised,
         real(4, 3), real(3), positive(3), real(3), real(3)),
    Case("batch_norm_inference of images", ops.batch_norm_inference, normalised,
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
    Case("group_norm of images", lambda x, w, b: ops.group_norm(x, w, b, num_groups=2),
         lambda x, w, b: functional.group_norm(x, 2, w, b), real(2, 4, 2, 2), real(4), real(4)),
    Case("group_norm of one channel each", lambda x, w: ops.group_norm(x, w, num_groups=3),
         lambda x, w: functional.group_norm(x, 3, w), real(2, 3, 4), positive(3)),
    Case("group_norm alone", lambda x: ops.group_norm(x, num_groups=1, eps=0.1),
         lambda x: functional.group_norm(x, 1, eps=0.1), real(2, 2, 3)),
    Case("instance_norm", ops.instance_norm,
         lambda x, w, b: functional.group_norm(x, 3, w, b), real(2, 3, 4), positive(3), real(3)),
    Case("instance_norm alone", lambda x: ops.instance_norm(x, eps=0.1),
         lambda x: functional.group_norm(x, 2, eps=0.1), real(2, 2, 3, 2)),
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
]
# fmt: on
