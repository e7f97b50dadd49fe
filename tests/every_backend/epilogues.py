"""Operations with an epilogue, by the kernels of `device`."""

import numpy as np
import pytest

import minidl
from minidl.ops.nn.fused import fused

SHAPES = {"linear": ((9, 4), (5, 4)), "conv2d": ((2, 3, 6, 6), (4, 3, 3, 3))}
SETTINGS = {"relu": (), "max_pool2d": (2,)}


def outcome(operations, arrays, needed, device):
    """The output, and the gradients of those arrays that need one."""
    arrays = [x if x is None else minidl.asarray(x, device=device) for x in arrays]
    learning = [arrays[i].requires_grad_() for i in needed]
    settings = (), *(SETTINGS[name] for name in operations[1:])
    y = fused(*arrays, operations=operations, settings=settings)
    found = minidl.gradients(y, learning, [minidl.ones_like(y)])
    return [x.cpu().numpy() for x in (y, *found)]


@pytest.mark.parametrize("needed", [(0, 1), (0,), (1,)], ids=str)
@pytest.mark.parametrize(
    "operations", [("linear", "relu"), ("conv2d", "relu"), ("conv2d", "max_pool2d", "relu")]
)
def test_a_bias_that_is_left_out_is_none(operations, needed, device):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype("float32") for shape in SHAPES[operations[0]]]
    found = outcome(operations, arrays, needed, device)
    for one, same in zip(found, outcome(operations, [*arrays, None], needed, device), strict=True):
        np.testing.assert_array_equal(one, same)
