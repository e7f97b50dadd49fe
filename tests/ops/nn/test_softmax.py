"""Gumbel-softmax."""

import numpy as np

from minidl import ops


def test_gumbel_softmax_draws_by_probability():
    logits = ops.log(ops.asarray(np.tile([0.2, 0.5, 0.3], (20_000, 1))))
    y = ops.gumbel_softmax(logits, hard=True, key=(1, 0))
    np.testing.assert_allclose(y.mean(axis=0), [0.2, 0.5, 0.3], atol=0.015)
    assert set(np.unique(y)) <= {0, 1}
