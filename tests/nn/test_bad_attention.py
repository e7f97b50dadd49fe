"""Bad input of attention, the Transformer, positions and the cache."""

import minidl
from minidl import nn, ops
from tests.bad_input import call, every_spoilt, real, whole
from tests.helpers import HERE

X, MEMORY = real(3, 2, 8), real(4, 2, 8)
MASK, PADDING = whole(3, 3) > 2, whole(2, 3) > 2  # which hide nothing
ATTENTION = nn.MultiheadAttention(8, 2)
LAYER = nn.TransformerEncoderLayer(8, 2, 16)
SETTINGS = {
    **{"dim_feedforward": 16, "dropout": 0.1, "activation": "relu", "layer_norm_eps": 1e-5},
    **{"batch_first": False, "norm_first": True, "bias": True, "device": HERE},
    "dtype": "float32",
}
MASKS = ("attn_mask", "key_padding_mask", "MultiheadAttention")


def appended(key, value):
    """Keys and values in a new cache."""
    return nn.KeyValueCache().of(nn.Identity()).append(key, value)


def own(layer, *args, names=(), **kwargs):
    """A right call that makes a layer; its parts may be what refuses a setting."""
    parts = ("MultiheadAttention", "Linear", "LayerNorm", "Dropout")
    return call(layer, *args, names=(*parts, *names), **kwargs)


CALLS = [
    call(
        nn.MultiheadAttention,
        *(8, 2),
        dropout=0.1,
        bias=True,
        add_bias_kv=True,
        add_zero_attn=True,
        kdim=4,
        vdim=3,
        batch_first=True,
        device=HERE,
        dtype="float32",
        generator=None,
        names=("Linear",),
        allowed=("kdim: None", "vdim: None"),
    ),
    call(
        ATTENTION,
        *(X, X, X),
        key_padding_mask=PADDING,
        need_weights=True,
        attn_mask=MASK,
        average_attn_weights=True,
        is_causal=True,
        cache=None,
        names=MASKS,
        allowed=("key_padding_mask: None", "attn_mask: None"),
    ),
    call(ATTENTION, X, MEMORY, MEMORY),
    own(nn.TransformerEncoderLayer, 8, 2, **SETTINGS),
    own(nn.TransformerDecoderLayer, 8, 2, **SETTINGS),
    call(
        LAYER,
        X,
        src_mask=MASK,
        src_key_padding_mask=PADDING,
        is_causal=False,
        names=MASKS,
        allowed=("src_mask: None", "src_key_padding_mask: None"),
    ),
    call(nn.TransformerDecoderLayer(8, 2, 16), X, MEMORY, names=MASKS),
    call(nn.TransformerEncoder, LAYER, 2, norm=None, enable_nested_tensor=True, mask_check=False),
    call(nn.TransformerDecoder, nn.TransformerDecoderLayer(8, 2, 16), 2, norm=None),
    call(nn.TransformerEncoder(LAYER, 2), X, names=MASKS),
    call(nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2), X, MEMORY, names=MASKS),
    own(
        nn.Transformer,
        *(8, 2, 1, 1),
        **SETTINGS,
        names=("TransformerEncoderLayer", "TransformerEncoder", "TransformerDecoder"),
    ),
    call(nn.Transformer(8, 2, 1, 1, 16), X, MEMORY, names=MASKS),
    call(nn.Transformer.generate_square_subsequent_mask, 3, device=HERE, dtype="float32"),
    call(nn.SinusoidalPositionalEncoding, 8, dropout=0.1, batch_first=True),
    call(nn.SinusoidalPositionalEncoding(8), X, offset=2),
    call(nn.LearnedPositionalEmbedding, 5, 8, batch_first=True, device=HERE, dtype="float32"),
    call(nn.LearnedPositionalEmbedding(5, 8), X, offset=2),
    call(nn.RotaryEmbedding, 8, theta=100.0, interleaved=True),
    call(
        nn.RotaryEmbedding(8),
        *(real(2, 3, 5, 8), real(2, 3, 5, 8)),
        offset=1,
        names=("rotary_embedding",),
        allowed=("1: None",),
    ),
    call(
        nn.RotaryEmbedding(8),
        real(2, 3, 5, 8),
        positions=whole(5),
        names=("rotary_embedding",),
        allowed=("positions: None",),
    ),
    call(appended, real(2, 3, 4, 8), real(2, 3, 4, 8), names=("KeyValueCache",)),
    call(nn.KeyValueCache),
]


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()


def test_the_masks_of_these_calls_hide_nothing():
    assert not bool(ops.any(MASK))
    assert not bool(minidl.any(PADDING))
