"""Rows of the dropouts."""

from tests.cases.registry import ops
from tests.cases.support import KEY, uniforms
from tests.helpers import Case, real
from tests.oracle import torch


def dropped(x, p):
    """PyTorch's x·m / (1 − p), with the mask of KEY."""
    return x * (uniforms(x.shape) >= p) / (1 - p)


def alpha_dropped(x, p, shape):
    """PyTorch's alpha dropout, with the mask of KEY, which has this shape."""
    keep = uniforms(shape) >= p
    alpha = 1.7580993408473766
    a = ((alpha**2 * p + 1) * (1 - p)) ** -0.5
    return torch.where(keep, a * x, -alpha * a) + alpha * a * p


# fmt: off
CASES = [
    Case("dropout", lambda x: ops.dropout(x, key=KEY), lambda x: dropped(x, 0.5), real(3, 4)),
    Case("dropout p", lambda x: ops.dropout(x, 0.2, key=KEY),
         lambda x: dropped(x, 0.2), real(3, 4)),
    Case("feature_dropout", lambda x: ops.feature_dropout(x, 0.4, key=KEY),
         lambda x: x * (uniforms((3, 2, 1)) >= 0.4) / 0.6, real(3, 2, 4)),
    Case("alpha_dropout", lambda x: ops.alpha_dropout(x, 0.3, key=KEY),
         lambda x: alpha_dropped(x, 0.3, x.shape), real(3, 4)),
    Case("feature_alpha_dropout", lambda x: ops.feature_alpha_dropout(x, 0.4, key=KEY),
         lambda x: alpha_dropped(x, 0.4, (2, 3, 1)), real(2, 3, 2)),
]
# fmt: on
