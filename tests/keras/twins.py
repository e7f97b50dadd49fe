"""Keras itself, where it is installed, and layers and models of both with equal weights."""

import os
from importlib import import_module

import numpy as np
import pytest

from tests.helpers import assert_close
from tests.oracle import KERAS_INSTALLED


class _Missing:
    """Stands for Keras in tables; a test that calls it is skipped."""

    def __getattr__(self, name):
        return self

    def __call__(self, *_, **__):
        pytest.skip("compares with Keras: pip install torch==2.13.0 keras==3.15.1")


os.environ.setdefault("KERAS_BACKEND", "torch")
theirs = import_module("keras") if KERAS_INSTALLED else _Missing()

# What Keras does with PyTorch's arrays NumPy 2 warns of; and Keras itself, of what no loss trains.
keras_is_quiet = pytest.mark.filterwarnings(
    "ignore:__array__ implementation", "ignore:Gradients do not exist"
)


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def numpy(x):
    """The arrays of a structure of either library, as a flat list."""
    if x is None:
        return []
    if isinstance(x, dict):
        return [a for key in sorted(x) for a in numpy(x[key])]
    if isinstance(x, list | tuple):
        return [a for part in x for a in numpy(part)]
    return [np.asarray(x.detach() if hasattr(x, "detach") else x)]


def varied(layer, seed=0):
    """Give a layer or model of Keras weights that are not as they began."""
    shapes = [w.shape for w in layer.get_weights()]
    layer.set_weights([random(*s, seed=seed + i) / 2 for i, s in enumerate(shapes)])


def assert_equal_outputs(mine, keras_layer, *inputs, tolerance=1e-5, **settings):
    """Both compute the same with equal weights, which can be copied both ways."""
    keras_layer(*inputs, **settings)
    mine(*inputs, **settings)
    varied(keras_layer)
    mine.set_weights(keras_layer.get_weights())
    keras_layer.set_weights(mine.get_weights())
    needed, found = numpy(keras_layer(*inputs, **settings)), numpy(mine(*inputs, **settings))
    assert len(needed) == len(found)
    for a, b in zip(found, needed, strict=True):
        assert a.shape == b.shape
        assert_close(a, b, tolerance)
