"""Rows of attention and of rotary positions."""

import numpy as np

from tests.cases.registry import ops
from tests.cases.support import KEY
from tests.helpers import Case, fixed, real
from tests.oracle import torch

VISIBLE = np.array([[True, False, True, True], [False] * 4, [False, True, False, True]])
ADDED = np.where(VISIBLE, 0.5, -np.inf).astype("float16")  # which changes no dtype
HIDDEN = np.array([True, False, True, False])  # a key that no query sees
HEADS = real(2, 3, 2), real(2, 4, 2), real(2, 4, 3)
GROUPS = real(4, 2, 2), real(2, 3, 2), real(2, 3, 1)


def weights(query, key, mask=None, scale=None, causal=False):
    """PyTorch's softmax(q·kᵀ·scale + mask), with zeros where no key is seen; of any order."""
    logits = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        mask = torch.as_tensor(mask)
        logits = logits.masked_fill(~mask, -np.inf) if mask.dtype == torch.bool else logits + mask
    if causal:
        later = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
        logits = logits.masked_fill(later, -np.inf)
    nothing = (logits == -np.inf).all(-1, keepdim=True)
    return torch.softmax(logits.masked_fill(nothing, 0), -1).masked_fill(nothing, 0)


def attention(query, key, value, **settings):
    """PyTorch's weighted means of the values; grouped queries have more heads."""
    groups = query.shape[0] // key.shape[0]
    key, value = (x.repeat_interleave(groups, 0) for x in (key, value))
    return weights(query, key, **settings) @ value


def rotated(x, cos, sin, interleaved):
    """PyTorch's product of the pairs, as complex numbers, with cos + i·sin."""
    n = cos.shape[-1]
    pairs = x[..., : 2 * n].unflatten(-1, (n, 2) if interleaved else (2, n))
    first, second = pairs.unbind(-1 if interleaved else -2)
    turned = first * cos - second * sin, second * cos + first * sin
    joined = torch.stack(turned, -1 if interleaved else -2).flatten(-2)
    return torch.cat([joined, x[..., 2 * n :]], -1)


def dropped(query, key, value):
    """PyTorch's attention with the weights that KEY leaves."""
    kept = np.array(ops.uniform_like(ops.zeros((2, 3, 4), dtype="float64"), KEY)) >= 0.4
    return weights(query, key) * torch.tensor(kept) / 0.6 @ value


# fmt: off
CASES = [
    Case("scaled_dot_product_attention", ops.scaled_dot_product_attention, attention, *HEADS),
    Case("scaled_dot_product_attention of one head",
         lambda q, k, v: ops.scaled_dot_product_attention(q[0], k[0], v[0], scale=-0.3),
         lambda q, k, v: attention(q[:1], k[:1], v[:1], scale=-0.3)[0], *HEADS),
    Case("scaled_dot_product_attention is_causal",
         lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, is_causal=True),
         lambda q, k, v: attention(q, k, v, causal=True), *HEADS),
    Case("scaled_dot_product_attention bool mask", ops.scaled_dot_product_attention,
         lambda q, k, v, m: attention(q, k, v, mask=m), *HEADS, fixed(VISIBLE)),
    Case("scaled_dot_product_attention of infinities", ops.scaled_dot_product_attention,
         lambda q, k, v, m: attention(q, k, v, mask=m), *HEADS, fixed(ADDED)),
    Case("scaled_dot_product_attention float mask", ops.scaled_dot_product_attention,
         lambda q, k, v, m: attention(q, k, v, mask=m), *HEADS, real(3, 4)),
    Case("scaled_dot_product_attention mask and is_causal",
         lambda q, k, v, m: ops.scaled_dot_product_attention(q, k, v, attn_mask=m, is_causal=True),
         lambda q, k, v, m: attention(q, k, v, mask=m, causal=True), *HEADS, fixed(HIDDEN)),
    Case("scaled_dot_product_attention grouped queries",
         lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, enable_gqa=True),
         attention, *GROUPS),
    Case("scaled_dot_product_attention dropout",
         lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, None, 0.4, dropout_key=KEY),
         dropped, *HEADS),
    Case("attention_with_weights",
         lambda q, k, v: ops.concat(ops.attention_with_weights(q, k, v, is_causal=True), axis=-1),
         lambda q, k, v: torch.cat(
             [attention(q, k, v, causal=True), weights(q, k, causal=True)], -1),
         *HEADS),
    Case("attention_weights", ops.attention_weights, weights, *HEADS[:2]),
    Case("attention_weights bool mask", ops.attention_weights, weights, *HEADS[:2], fixed(VISIBLE)),
    *(Case(f"rotary_embedding {layout}",
           lambda x, c, s, i=layout == "interleaved": ops.rotary_embedding(x, c, s, interleaved=i),
           lambda x, c, s, i=layout == "interleaved": rotated(x, c, s, i),
           real(2, 3, 5), real(3, 2), real(3, 2)) for layout in ("halves", "interleaved")),
]
# fmt: on
