"""MultiHeadAttention beside Keras's: masks of all kinds, axes, weights, dropout."""

import numpy as np
import pytest

import minidl
from minidl import keras
from minidl.errors import MinidlError
from minidl.keras import layers
from tests.helpers import assert_close, named
from tests.keras.twins import assert_equal_outputs, keras_is_quiet, random, theirs

pytestmark = keras_is_quiet

ALLOWED = np.random.default_rng(0).random((3, 4, 5)) > 0.4
ALLOWED[..., 0] = True  # what Keras gives a query that attends to nothing is no attention
SETTINGS = [
    {},
    {"value_dim": 3, "use_bias": False},
    {"output_shape": 5},
    {"output_shape": (2, 3), "value_dim": 2},
]
CALLS = [
    {},
    {"attention_mask": ALLOWED},
    {"use_causal_mask": True},
    {"use_causal_mask": True, "attention_mask": ALLOWED},
    {"return_attention_scores": True},
    {"return_attention_scores": True, "attention_mask": ALLOWED, "use_causal_mask": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=named)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: "+".join(call))
def test_attention_is_kerass(settings, call):
    query, value, key = random(3, 4, 6), random(3, 5, 7), random(3, 5, 8)
    for inputs in ((query, value), (query, value, key)):
        pair = [k.layers.MultiHeadAttention(2, 4, **settings) for k in (keras, theirs)]
        assert_equal_outputs(*pair, *inputs, **call)


@pytest.mark.parametrize("axes", [None, 1, (2,), (1, 2), -2])
def test_attention_over_some_axes_is_kerass(axes):
    query, value = random(2, 3, 4, 6), random(2, 3, 4, 5)
    for call in ({}, {"return_attention_scores": True}):
        pair = [k.layers.MultiHeadAttention(2, 4, attention_axes=axes) for k in (keras, theirs)]
        assert_equal_outputs(*pair, query, value, **call)


def masked(x, lengths):
    """A layer's output with a mask: the steps up to these lengths."""
    there = np.arange(x.shape[1]) < np.array(lengths)[:, None]
    return layers.Masking(mask_value=9.0)(np.where(there[..., None], x, 9.0)), there


def test_masks_of_the_inputs_are_taken_into_account():
    layer = layers.MultiHeadAttention(2, 4)
    query, of_query = masked(random(3, 4, 6), [4, 2, 1])
    value, of_value = masked(random(3, 5, 6), [3, 5, 0])
    y = layer(query, value)
    np.testing.assert_array_equal(y.mask.numpy(), of_query)
    plain = minidl.asarray(query.numpy()), minidl.asarray(value.numpy())
    both = of_query[:, :, None] & of_value[:, None, :]
    assert_close(y.numpy(), layer(*plain, attention_mask=both).numpy(), 1e-6)
    alone = layer(plain[0][:1], plain[1][:1, :3])  # as if the padding had never been
    assert_close(y.numpy()[0], alone.numpy()[0], 1e-6)
    bias = layer.get_weights()[-1]
    np.testing.assert_array_equal(y.numpy()[2], np.broadcast_to(bias, (4, 6)))


def test_nothing_passes_a_mask():
    """Not even NaN, nor a gradient."""
    layer = layers.MultiHeadAttention(2, 4)
    x = random(1, 4, 6)
    x[0, 3] = np.nan
    x = minidl.asarray(np.where(np.isnan(x), 0, x), requires_grad=True)
    layer(x, x, use_causal_mask=True)[:, :2].sum().backward()
    assert not x.grad.numpy()[0, 2:].any()
    assert x.grad.numpy()[0, :2].any()


def test_dropout_leaves_out_weights_in_training():
    layer = layers.MultiHeadAttention(2, 4, dropout=0.5, seed=1)
    x = random(2, 6, 8)
    quiet = layer(x, x)
    np.testing.assert_array_equal(quiet.numpy(), layer(x, x).numpy())
    one, other = (layer(x, x, training=True).numpy() for _ in range(2))
    assert not np.array_equal(one, other)
    y, weights = layer(x, x, return_attention_scores=True, training=True)
    assert_close(weights.sum(axis=-1).numpy(), np.ones((2, 2, 6), "float32"), 1e-6)
    assert not np.allclose(y.numpy(), quiet.numpy())


def test_a_graph_of_attention():
    x, t = keras.Input((None, 6)), keras.Input((5, 3))
    y, weights = layers.MultiHeadAttention(2, 4)(x, t, return_attention_scores=True)
    assert (y.shape, weights.shape) == ((None, None, 6), (None, 2, None, 5))
    y = layers.MultiHeadAttention(2, 4, output_shape=2)(x, x, use_causal_mask=True)
    model = keras.Model(x, y)
    assert model.output_shape == (None, None, 2)
    inputs = random(2, 4, 6)
    assert_close(model(inputs).numpy()[:, :2], model(inputs[:, :2]).numpy(), 1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.MultiHeadAttention(0, 4), "num_heads"),
        (lambda: layers.MultiHeadAttention(2, 4, dropout=2), "dropout"),
        (
            lambda: layers.MultiHeadAttention(2, 4)(random(2, 3), random(2, 3)),
            r"\(N, T, features\)",
        ),
        (
            lambda: layers.MultiHeadAttention(2, 4)(
                random(2, 3, 4), random(2, 5, 4), random(2, 6, 4)
            ),
            "as many steps",
        ),
        (
            lambda: layers.MultiHeadAttention(2, 4, attention_axes=2)(*[random(2, 3, 4)] * 2),
            "attention_axes",
        ),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(MinidlError, match=message):
        call()


@pytest.mark.parametrize("x", [np.ones((2, 3, 8), "float32"), keras.Input((3, 8))])
def test_a_value_that_is_missing_is_told_of(x):
    layer = layers.MultiHeadAttention(2, 4)
    with pytest.raises(MinidlError, match=r"attention.*: its call needs value, too$"):
        layer(x)
