"""Running an operation by its kernel and by its body, on arrays of any layout."""

import numpy as np
from hypothesis import strategies as st

import minidl

rng = np.random.default_rng(0)


def run(kernels, function, x, dy=None):
    """The value of a function of an array, and its gradient for dy."""
    x = minidl.asarray(x, requires_grad=True)
    with minidl.kernels(kernels):
        y = function(x)
        (dx,) = minidl.gradients(
            y, [x], [minidl.ones_like(y) if dy is None else minidl.asarray(dy)]
        )
    return y.numpy(), dx.numpy()


def assert_same(fast, slow, ulps=8):
    """Equal but for rounding: of each element, and of numbers of size 1 that it came from."""
    assert fast.shape == slow.shape
    assert fast.dtype == slow.dtype
    tolerance = ulps * np.finfo(slow.dtype).eps
    np.testing.assert_allclose(fast, slow, rtol=tolerance, atol=tolerance, equal_nan=True)


@st.composite
def laid_out(draw, least=0):
    """A float32 array of up to three axes, and some memory between its elements."""
    shape = draw(st.lists(st.integers(least, 40), max_size=3))
    steps = [draw(st.sampled_from([1, 1, 2, -1])) for _ in shape]
    memory = rng.normal(0, 3, [n * abs(step) for n, step in zip(shape, steps, strict=True)])
    x = np.asarray(memory, np.float32)[(*(slice(None, None, step) for step in steps), ...)]
    return x.transpose(draw(st.permutations(range(x.ndim))))
