"""Long sequences: values, and memory."""

import tracemalloc

import numpy as np
import pytest

import minidl
from minidl import nn
from tests.every_backend.recurrent import (
    GATES,
    arrays_of,
    assert_near,
    exact,
    outcome,
)

each_name = pytest.mark.parametrize("name", GATES)


def _peak(step):
    """The most bytes that NumPy has allocated during a step, above what was there before."""
    step()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@each_name
def test_memory_of_a_long_sequence(name):
    """At most 1.3 times what must be saved, the output, and the gradient of x."""
    length, rows, inputs, hidden = 3000, 4, 16, 48
    layer = getattr(nn, name.upper())(inputs, hidden)
    x = minidl.asarray(np.ones((length, rows, inputs), "float32"), requires_grad=True)
    dy = minidl.asarray(np.ones((length, rows, hidden), "float32"))

    def step():
        x.grad = None
        layer.zero_grad()
        layer(x)[0].backward(dy)

    saved = {"rnn": 1, "lstm": 6, "gru": 5}[name] * hidden  # with the states
    assert _peak(step) <= 1.3 * 4 * length * rows * saved + 4 * x.size + 2e6


@each_name
def test_memory_without_recording(name):
    """That of the output."""
    length, rows, inputs, hidden = 3000, 4, 16, 48
    layer = getattr(nn, name.upper())(inputs, hidden)
    x = minidl.asarray(np.ones((length, rows, inputs), "float32"))

    def step():
        with minidl.no_grad():
            layer(x)

    assert _peak(step) <= 1.1 * 4 * length * rows * hidden + 1e5


@pytest.mark.full
@each_name
def test_ten_thousand_steps(name):
    size = 10_000, 3, 4, 6, 0
    arrays, dys = arrays_of(name, size)
    dys[0] /= 100
    assert_near(outcome(name, arrays, dys), exact(name, arrays, dys), 1e-4)
