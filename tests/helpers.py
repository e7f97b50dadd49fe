"""Helpers of the tests of operations: inputs, comparison, derivatives in both libraries."""

import builtins
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pytest

import minidl
from minidl import errors
from minidl.errors import MinidlError, MinidlWarning
from minidl.testing import gradcheck
from tests.oracle import torch

# Devices: the tests run on the default one, which tests/cuda/suite.py sets to a GPU.

HERE = minidl.get_default_device()
HERE_ARRAY = type(minidl.zeros(()).data)


def on_host(value):
    """An array of the default device, a RowGradient, or what NumPy takes, as NumPy's array."""
    if isinstance(value, minidl.RowGradient) or HERE != "cpu" and isinstance(value, HERE_ARRAY):
        value = minidl.asarray(value)
    return np.asarray(value)


def share_memory(one, other):
    """Whether two arrays share memory, of which either may be on a GPU."""
    on_cpu = [isinstance(array, np.ndarray) for array in (one, other)]
    return on_cpu[0] == on_cpu[1] and np.shares_memory(one, other)


# Inputs: small arrays from a stated domain, the same in every run.


@dataclass(frozen=True)
class Input:
    """One argument of an operation: how to draw it, and whether it is differentiated."""

    draw: Callable[[np.random.Generator], np.ndarray]
    differentiable: bool = True


def real(*shape):
    """Numbers between −2 and 2."""
    return Input(lambda rng: rng.uniform(-2, 2, shape))


def positive(*shape):
    """Numbers between 0.3 and 2."""
    return Input(lambda rng: rng.uniform(0.3, 2, shape))


def unit(*shape):
    """Numbers between −0.9 and 0.9."""
    return Input(lambda rng: rng.uniform(-0.9, 0.9, shape))


def away_from(points, *shape):
    """Numbers between −2 and 2, none closer than 0.1 to one of the points."""

    def draw(rng):
        candidates = rng.uniform(-2, 2, 1000)
        distance = np.abs(candidates[:, None] - np.array(points)).min(axis=1)
        return candidates[distance > 0.1][: np.prod(shape, dtype=int)].reshape(shape)

    return Input(draw)


def distinct(*shape, shift=0.0):
    """Multiples of 0.5 in a random order, plus shift: no two are equal."""

    def draw(rng):
        size = np.prod(shape, dtype=int)
        return (rng.permutation(size) - size // 2).reshape(shape) * 0.5 + shift

    return Input(draw)


def given(values):
    """These reals."""
    return Input(lambda rng: np.array(values, dtype="float64"))


def fixed(values):
    """These integers or bools, which have no derivative."""
    return Input(lambda rng: np.array(values), differentiable=False)


class Case:
    """A row of the table: an operation of minidl, PyTorch's counterpart, and inputs for both.

    The first word of the name is the operation's, the rest says what is particular.
    """

    def __init__(self, name, function, torch_function, *inputs):
        self.name, self.function, self.torch_function = name, function, torch_function
        self.inputs = inputs
        self.operation = name.split()[0]

    def random(self, purpose):
        """A generator of its own for each row and purpose."""
        return np.random.default_rng(crc32(f"{self.name}: {purpose}".encode()))

    def arrays(self, dtype="float64"):
        """The differentiable inputs, in a dtype."""
        rng = self.random("inputs")
        return [x.draw(rng).astype(dtype) for x in self.inputs if x.differentiable]

    def complete(self, function, constant):
        """`function` of the differentiable inputs alone, with the fixed ones filled in."""
        rng = self.random("fixed")
        filled = [None if x.differentiable else constant(x.draw(rng)) for x in self.inputs]

        def of_differentiable(*tensors):
            rest = iter(tensors)
            return function(*(next(rest) if x is None else x for x in filled))

        return of_differentiable

    def in_minidl(self):
        """The operation as a function of the differentiable inputs, Tensors of minidl."""
        return self.complete(self.function, minidl.asarray)

    def in_torch(self):
        """The operation as a function of the differentiable inputs, tensors of PyTorch."""
        return self.complete(self.torch_function, torch.from_numpy)

    def weights(self, purpose, shapes, dtype="float64"):
        """Random numbers of these shapes, to contract gradients with."""
        rng = self.random(purpose)
        return [rng.uniform(0.5, 1.5, shape).astype(dtype) for shape in shapes]

    def __repr__(self):
        return self.name


# Comparison.


def assert_close(actual, expected, tolerance):
    """Same shape and dtype, and no element further off than tolerance · the largest magnitude.

    Infinities and NaNs must be in the same places.
    """
    actual, expected = on_host(actual), on_host(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    assert np.isfinite(actual[finite]).all(), f"got {actual}\nneeds {expected}"
    scale = np.abs(expected[finite]).max(initial=0)
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=0, atol=tolerance * scale)


def assert_all_close(actual, expected, tolerance):
    """Each array of the list, as assert_close."""
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other, tolerance)


# Derivatives.


class Minidl:
    """The few calls in which minidl and PyTorch differ, for minidl."""

    constant = staticmethod(minidl.asarray)
    numpy = staticmethod(np.asarray)

    @staticmethod
    def leaf(array):
        return minidl.asarray(array, requires_grad=True)

    @staticmethod
    def gradients(y, inputs, dy=None, *, create_graph=False):
        dys = None if dy is None else [dy]
        return minidl.gradients(y, inputs, dys, create_graph=create_graph)


class Torch:
    """The same for PyTorch."""

    constant = staticmethod(torch.from_numpy)

    @staticmethod
    def numpy(tensor):
        return tensor.detach().numpy()

    @staticmethod
    def leaf(array):
        return torch.from_numpy(array).requires_grad_()

    @staticmethod
    def gradients(y, inputs, dy=None, *, create_graph=False):
        settings = {"create_graph": create_graph, "materialize_grads": True}
        return torch.autograd.grad(y, inputs, dy, **settings)


def curved(y, weights):
    """Σ w·(y + y²/2 + y³/6): even if y is linear, no derivative up to the third is trivial."""
    return (weights * y * (1 + y * (1 / 2 + y / 6))).sum()


def contracted(gradients, directions):
    """Σ g·v over all gradients and their directions."""
    return builtins.sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))


def derivatives(library, function, arrays, weights, directions=(), loss=curved):
    """The gradients of loss(function(…)), those of the gradients along the first direction, ….

    There are as many orders as directions and one: a list of arrays, one for each input, for each.
    """
    inputs = [library.leaf(array) for array in arrays]
    scalar = loss(function(*inputs), library.constant(weights))
    orders = []
    for order in range(len(directions) + 1):
        more = order < len(directions)
        found = library.gradients(scalar, inputs, create_graph=more)
        orders.append([library.numpy(g) for g in found])
        if more:
            scalar = contracted(found, [library.constant(v) for v in directions[order]])
    return orders


def higher_derivatives(function, arrays, weights, directions=(), loss=curved):
    """minidl's derivatives, recorded so that they can be differentiated."""
    with minidl.higher_order():
        return derivatives(Minidl, function, arrays, weights, directions, loss)


def gradients(function, arrays, weights, loss=curved):
    """minidl's first derivatives as training computes them: by kernels, if there are any."""
    return derivatives(Minidl, function, arrays, weights, loss=loss)[0]


@dataclass(frozen=True)
class explained_by_gradcheck:  # noqa: N801 (used as a function is)
    """Where derivatives compared inside turn out wrong, the failure is the report of gradcheck.

    It names the order, the input and the element; a comparison of whole arrays shows numbers only.
    """

    name: str
    function: Callable
    arrays: list[np.ndarray]
    order: int

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        __tracebackhide__ = True
        report = self.report() if kind is AssertionError else None
        if report is not None:  # else the derivatives are right, and something else is wrong
            raise AssertionError(report) from None

    def report(self):
        """What gradcheck says is wrong; None if nothing is, or if it refuses the function."""

        def checked(*inputs):
            return self.function(*inputs)

        checked.__name__ = self.name
        try:
            with np.errstate(all="ignore"):
                gradcheck(checked, *self.arrays, order=self.order)
        except AssertionError as error:
            return str(error)
        except MinidlError:
            pass
        return None


def named(value):
    """The name of a case: as it prints, without addresses, which differ among processes."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


@contextmanager
def told(match: str) -> Iterator[None]:
    """A warning of minidl's that is given once in a process is given here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errors, "_told", set())
        with pytest.warns(MinidlWarning, match=match):
            yield


# The beginning of programs that have to compile kernels, even where a library of them was built.
WITHOUT_LIBRARY = """
import pathlib
from minidl.backends.kernels.runtime import machine_code
machine_code.library_path = lambda name: pathlib.Path("none")
"""
