"""What the tables share: settings for both libraries, inputs, and PyTorch's side written out."""

from functools import partial

import numpy as np

from tests.cases.registry import ops
from tests.helpers import Input
from tests.oracle import functional, torch

MASK = np.array([[True, False, True], [False, False, True]])
IDS = np.array([2, 0, 2, 1, 0])
KEY = 2026, 7


def both(name, *arguments, **settings):
    """minidl's and PyTorch's operation of a name, with these settings after the arrays."""
    return tuple(
        lambda *xs, library=library: getattr(library, name)(*xs, *arguments, **settings)
        for library in (ops, functional)
    )


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


def uniforms(shape, dtype=None):
    """The random numbers of KEY, for PyTorch, in a dtype of its."""
    dtype = str(dtype or torch.float64).removeprefix("torch.")
    uniform = ops.uniform_like(ops.zeros(tuple(shape), dtype=dtype), KEY)
    return torch.from_numpy(np.array(uniform))


def of_signs(signs, *shape):
    """Numbers of these signs along the first axis: sums of their products are far from 0."""
    signs = np.reshape(signs, (-1, *[1] * (len(shape) - 1)))
    return Input(lambda rng: rng.uniform(0.3, 2, shape) * signs)


def written(x, index, values):
    """PyTorch's x with x[index] = values."""
    x = x.clone()
    x[index] = values
    return x
