"""Rows of pooling and unpooling."""

import numpy as np

from tests.cases.registry import ops
from tests.cases.support import both, of_signs
from tests.helpers import Case, Input, distinct, fixed, real
from tests.ops.nn import fused
from tests.oracle import functional, torch


def small(*shape):
    """Different numbers between −2 and 2."""
    numbers = distinct(*shape)
    return Input(lambda rng: numbers.draw(rng) * 4 / np.prod(shape))


def fractional(n):
    """Both libraries' pools of windows of two, (1, 4 − n, *), that are placed by these samples."""
    samples = np.array([[[0.3, 0.8, 0.6], [0.9, 0.1, 0.5]]])[:, : 4 - n, :n]
    pool = getattr(functional, f"fractional_max_pool{n}d")
    return (
        lambda x: getattr(ops, f"fractional_max_pool{n}d")(x, ops.asarray(samples), 2, 3),
        lambda x: pool(x, 2, 3, _random_samples=torch.tensor(samples).to(x)),
    )


# fmt: off
CASES = [
    Case("max_pool1d", *both("max_pool1d", 3, 2, 1), distinct(2, 2, 6)),
    Case("max_pool2d", lambda x: ops.max_pool2d(x, 2), lambda x: functional.max_pool2d(x, 2),
         distinct(2, 2, 4, 5)),
    Case("max_pool2d overlapping, padded", lambda x: ops.max_pool2d(x, 3, 2, 1),
         lambda x: functional.max_pool2d(x, 3, 2, 1), distinct(1, 2, 5, 4)),
    Case("max_pool2d dilated, of one image",
         lambda x: ops.max_pool2d(x, (2, 3), 1, (1, 0), (2, 1), ceil_mode=True),
         lambda x: functional.max_pool2d(x, (2, 3), 1, (1, 0), (2, 1), ceil_mode=True),
         distinct(2, 4, 5)),
    Case("max_pool2d with indices", lambda x: ops.max_pool2d(x, 2, 1, return_indices=True)[0],
         lambda x: functional.max_pool2d(x, 2, 1), distinct(1, 1, 3, 4)),
    Case("max_pool3d", *both("max_pool3d", 2, 1, 1), distinct(1, 2, 2, 2, 3)),
    Case("fused max_pool2d_relu", lambda x: fused.max_pool2d_relu(x, 2),
         lambda x: functional.max_pool2d(x, 2).relu(), of_signs([1, -1], 2, 2, 4, 5)),
    Case("fused max_pool2d_relu overlapping, of one image",
         lambda x: fused.max_pool2d_relu(x, 2, 1), lambda x: functional.max_pool2d(x, 2, 1).relu(),
         distinct(2, 4, 5, shift=0.25)),
    Case("avg_pool1d", *both("avg_pool1d", 3, 2, 1, ceil_mode=True), real(2, 2, 6)),
    Case("avg_pool2d", lambda x: ops.avg_pool2d(x, 2), lambda x: functional.avg_pool2d(x, 2),
         real(2, 2, 4, 5)),
    Case("avg_pool2d overlapping, padded", lambda x: ops.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
         lambda x: functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True), real(1, 2, 4, 4)),
    Case("avg_pool2d without the padding, of one image",
         lambda x: ops.avg_pool2d(x, (2, 3), 1, 1, count_include_pad=False),
         lambda x: functional.avg_pool2d(x, (2, 3), 1, 1, count_include_pad=False), real(2, 3, 4)),
    Case("avg_pool2d divisor", lambda x: ops.avg_pool2d(x, 2, divisor_override=3),
         lambda x: functional.avg_pool2d(x, 2, divisor_override=3), real(1, 2, 4, 4)),
    Case("avg_pool3d", *both("avg_pool3d", 2, 1, 1, count_include_pad=False),
         real(1, 2, 2, 2, 2)),
    Case("adaptive_avg_pool1d", *both("adaptive_avg_pool1d", 3), real(2, 2, 5)),
    Case("adaptive_avg_pool2d", lambda x: ops.adaptive_avg_pool2d(x, (2, 3)),
         lambda x: functional.adaptive_avg_pool2d(x, (2, 3)), real(2, 1, 5, 4)),
    Case("adaptive_avg_pool2d to one", lambda x: ops.adaptive_avg_pool2d(x, 1),
         lambda x: functional.adaptive_avg_pool2d(x, 1), real(2, 2, 3, 4)),
    Case("adaptive_avg_pool2d to more, of one image",
         lambda x: ops.adaptive_avg_pool2d(x, (None, 5)),
         lambda x: functional.adaptive_avg_pool2d(x, (None, 5)), real(2, 3, 2)),
    Case("adaptive_avg_pool3d", *both("adaptive_avg_pool3d", (2, 1, 2)), real(1, 2, 3, 2, 3)),
    Case("adaptive_max_pool1d", *both("adaptive_max_pool1d", 3), distinct(2, 2, 5)),
    Case("adaptive_max_pool2d", *both("adaptive_max_pool2d", (2, 3)), distinct(1, 2, 3, 4)),
    Case("adaptive_max_pool3d", *both("adaptive_max_pool3d", (2, 1, 2)), distinct(1, 1, 3, 2, 3)),
    Case("lp_pool1d", *both("lp_pool1d", 2, 2), real(2, 2, 4)),
    Case("lp_pool2d", *both("lp_pool2d", 4, 2, 1), real(1, 2, 3, 3)),
    Case("lp_pool3d", *both("lp_pool3d", 2, 2, 1), real(1, 1, 2, 3, 2)),
    *(Case(f"fractional_max_pool{n}d", *fractional(n), small(1, 4 - n, *[5] * n))
      for n in (2, 3)),
    Case("placed",
         lambda x: ops.placed(ops.zeros(6, dtype=x.dtype), x, ops.asarray([4, 0, 1]).data),
         lambda x: torch.zeros(6, dtype=x.dtype).index_put((torch.tensor([4, 0, 1]),), x),
         real(3)),
    Case("max_unpool1d", *both("max_unpool1d", 2), real(1, 2, 2), fixed([[[1, 2], [0, 3]]])),
    Case("max_unpool2d", *both("max_unpool2d", 2), real(1, 1, 1, 2), fixed([[[[5, 2]]]])),
    Case("max_unpool3d", *both("max_unpool3d", 2), real(1, 1, 1, 1, 2), fixed([[[[[5, 2]]]]])),
]
# fmt: on
