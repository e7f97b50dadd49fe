"""Matrices that can be decomposed and inverted, made of any input."""

from tests.cases.registry import ops
from tests.helpers import Case
from tests.oracle import torch

APART = [[1.5, 0, 0], [0, -3.5, 0], [0, 0, 6]]
TWICE = [[2.0, 0, 0], [0, 2, 0], [0, 0, 2]]


def regular(function):
    """The function of x plus a diagonal matrix: invertible, its eigenvalues far apart."""
    return lambda x, *xs: function(x + _diagonal(x, APART), *xs)


def symmetric(function):
    """The function of x + xᵀ plus a diagonal matrix."""
    return lambda x: function(x + x.mT + _diagonal(x, APART))


def definite(function):
    """The function of x·xᵀ + 2."""
    return lambda x: function(x @ x.mT + _diagonal(x, TWICE))


def _diagonal(x, values):
    library = torch if type(x).__module__.startswith("torch") else ops
    return library.asarray(values, dtype=x.dtype)


def wrapped(name, ours, theirs, wrap, *inputs):
    """One row, with both functions wrapped."""
    return Case(name, wrap(ours), wrap(theirs), *inputs)
