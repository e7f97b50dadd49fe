"""Layers that join several tensors beside Keras's, and functions as layers."""

import itertools

import numpy as np
import pytest

import minidl
from minidl import keras
from minidl.keras import Input, Model, layers
from tests.helpers import assert_close
from tests.keras.twins import assert_equal_outputs, keras_is_quiet, random, theirs

pytestmark = keras_is_quiet

MERGES = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"]


@pytest.mark.parametrize("kind", MERGES)
def test_merges_are_kerass(kind):
    for shapes in ([(3, 4)] * 2, [(3, 1), (3, 4)], [(2, 1, 4), (2, 5, 1)], [(2, 4), (2, 3, 4)]):
        inputs = [random(*s, seed=i) for i, s in enumerate(shapes)]
        pair = [getattr(k.layers, kind)() for k in (keras, theirs)]
        assert_equal_outputs(*pair, inputs)
        symbolic = getattr(layers, kind)()([Input(s[1:]) for s in shapes])
        assert symbolic.shape[1:] == pair[0](inputs).shape[1:]
    if kind != "Subtract":
        three = [random(3, 4, seed=i) for i in range(3)]
        assert_equal_outputs(*(getattr(k.layers, kind)() for k in (keras, theirs)), three)
    function = getattr(layers, kind.lower())
    assert_close(function(inputs).numpy(), pair[0](inputs).numpy(), 0)


def test_joins_and_products_are_kerass():
    for axis in (-1, 1, 2):
        pair = [k.layers.Concatenate(axis=axis) for k in (keras, theirs)]
        assert_equal_outputs(*pair, [random(2, 3, 4), random(2, 3, 4, seed=1)])
    shapes = [(2, 3), (2, 3, 4), (2, 4, 3), (2, 5, 4)]
    cases = [
        ((0, 0), 1),
        ((1, 2), (2, 1)),
        ((1, 3), 2),
        ((1, 3), (-1, -1)),
        ((0, 1), 1),
        ((1, 0), (1, 1)),
    ]
    for ((i, j), axes), normalize in itertools.product(cases, (False, True)):
        pair = [k.layers.Dot(axes, normalize) for k in (keras, theirs)]
        inputs = [random(*shapes[i]), random(*shapes[j], seed=1)]
        assert_equal_outputs(*pair, inputs)
        symbolic = layers.dot([Input(x.shape[1:]) for x in inputs], axes=axes)
        assert symbolic.shape[1:] == pair[0](inputs).shape[1:]


def test_lambdas():
    x, t = Input((3,)), Input((2, None))
    assert layers.Lambda(lambda x: minidl.concat([x, x], axis=1))(x).shape == (None, 6)
    assert layers.Lambda(lambda pair: pair[0].sum() + pair[1])([x, t]).shape == (None, 2, None)
    layer = layers.Lambda(lambda x, power: x**power, arguments={"power": 2}, output_shape=(3,))
    np.testing.assert_array_equal(Model(x, layer(x)).predict([[1.0, 2.0, 3.0]]), [[1, 4, 9]])
