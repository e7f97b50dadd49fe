"""Multi-head attention."""

import math
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_probability
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.nn import init
from minidl.nn.attention_masks import operation_mask
from minidl.nn.kv_cache import KeyValueCache, MemoryCache
from minidl.nn.linear import Linear
from minidl.nn.module import Module, Parameter
from minidl.nn.parameter import empty
from minidl.nn.precision import tensor_in_dtype_of
from minidl.ops import random
from minidl.ops.nn.attention import attention_weights, attention_with_weights
from minidl.ops.random import check_generator


class MultiheadAttention(Module):
    """Attention of several heads, each in a projection of its own.

    headₕ = softmax(QₕKₕᵀ/√d)·Vₕ with Q = query·W_qᵀ + b_q, K = key·W_kᵀ + b_k and
    V = value·W_vᵀ + b_v, of which each head takes d = embed_dim/num_heads columns; the result is
    the heads side by side, times W_oᵀ, plus b_o.  Vaswani et al. 2017, arXiv:1706.03762.

    dropout          the probability with which a weight becomes 0 in training
    add_bias_kv      add a learned key and value to the sequences
    add_zero_attn    add a key and a value of zeros
    kdim, vdim       features of key and value; default: embed_dim
    batch_first      sequences are (N, L, features) instead of (L, N, features)
    generator        the source of randomness; minidl's default one if left out

    Parameters and their names are PyTorch's: in_proj_weight (3·embed_dim, embed_dim) starts Xavier
    uniform, biases as zeros.

    >>> attention = nn.MultiheadAttention(embed_dim=8, num_heads=2, batch_first=True)
    >>> x = minidl.random.normal((3, 5, 8))
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape, bool(minidl.allclose(weights.sum(axis=-1), 1.0))
    ((3, 5, 8), (3, 5, 5), True)
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: random.Generator | None = None,
    ) -> None:
        check_integers(self, 1, embed_dim=embed_dim, num_heads=num_heads)
        flags = {"add_bias_kv": add_bias_kv, "add_zero_attn": add_zero_attn}
        check_flags(self, bias=bias, batch_first=batch_first, **flags)
        check_probability(self, dropout=dropout)
        check_generator(self, generator)
        if embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: embed_dim is a multiple of num_heads, as each head takes "
                f"embed_dim/num_heads features; got {embed_dim} and {num_heads}"
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        check_integers(self, 1, kdim=self.kdim, vdim=self.vdim)
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self.generator = generator

        def parameter(name: str, wanted: bool, *shape: int) -> None:
            given = Parameter(empty(self, shape, dtype, device)) if wanted else None
            self.register_parameter(name, given)

        together = self.kdim == self.vdim == embed_dim
        parameter("in_proj_weight", together, 3 * embed_dim, embed_dim)
        parameter("q_proj_weight", not together, embed_dim, embed_dim)
        parameter("k_proj_weight", not together, embed_dim, self.kdim)
        parameter("v_proj_weight", not together, embed_dim, self.vdim)
        parameter("in_proj_bias", bias, 3 * embed_dim)
        parameter("bias_k", add_bias_kv, 1, 1, embed_dim)
        parameter("bias_v", add_bias_kv, 1, 1, embed_dim)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, but for out_proj.weight."""
        own = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        for weight in (self.in_proj_weight, *own):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        cache: KeyValueCache | MemoryCache | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim) → like query, and weights.

        key_padding_mask        (N, S): bools, True where a key is ignored, or floats, which are
                                added to the logits
        need_weights            give the weights too, (N, L, S): their mean over the heads; else
                                None, which is faster
        attn_mask               (L, S) or (N·num_heads, L, S), likewise: True means ignored
        average_attn_weights    False: the weights of each head, (N, num_heads, L, S)
        is_causal               query i sees keys 0 … i only, with or without attn_mask
        cache                   a KeyValueCache: the keys of earlier calls stand before the new
                                ones, and S counts them all; attn_mask may also be that of the new
                                ones.  Or its `memory`: the projections of key and value are kept

        N is missing for single sequences.  A query all of whose keys are ignored gets zeros, not
        NaN, from its heads.
        """
        flags = {"need_weights": need_weights, "average_attn_weights": average_attn_weights}
        check_flags(self, is_causal=is_causal, **flags)
        if not isinstance(cache, KeyValueCache | MemoryCache | None):
            raise DTypeError(
                f"MultiheadAttention: cache is a KeyValueCache or its memory; got {describe(cache)}"
            )
        query, key, value = self._inputs(query, key, value)
        past = cache.of(self).length if isinstance(cache, KeyValueCache) else 0
        mask, is_causal = operation_mask(
            self._name(),
            self._shape_of_logits(query, key, past),
            key_padding_mask,
            attn_mask,
            is_causal,
            past=past,
            extra=(self.bias_k is not None) + self.add_zero_attn,
            like=query,
        )
        q, k, v = self._projected(query, key, value, cache)
        k, v = self._with_extra_keys(k, v)
        settings: dict[str, Any] = {"is_causal": is_causal}
        if self.training and self.dropout:
            drawn = random.key_of(self.generator, math.prod(q.shape[:-1]) * k.shape[-2])
            settings |= {"dropout_p": self.dropout, "dropout_key": drawn}
        heads, weights = _attended(q, k, v, mask, settings, need_weights)
        y = self.out_proj(self._joined(heads))
        if weights is not None and average_attn_weights:
            weights = weights.mean(axis=-3)
        return y, weights

    # The steps of forward.  Heads are (N, H, L, d), or (H, L, d) for a single sequence.

    def _inputs(self, query: Any, key: Any, value: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The inputs as tensors in the dtype of the layer, after checking their shapes."""
        weight = self.out_proj.weight
        # Each is converted once, so that what was the same tensor still is.
        converted = {id(x): tensor_in_dtype_of(weight, self, x) for x in (query, key, value)}
        query, key, value = (converted[id(x)] for x in (query, key, value))
        widths = self.embed_dim, self.kdim, self.vdim
        shapes = query.shape, key.shape, value.shape
        fits = len(shapes[0]) in (2, 3) and shapes[1][:-1] == shapes[2][:-1]
        fits = fits and tuple(shape[-1:] for shape in shapes) == tuple((n,) for n in widths)
        batch = 0 if self.batch_first else 1
        if fits and len(shapes[0]) == 3:
            fits = len(shapes[1]) == 3 and shapes[0][batch] == shapes[1][batch]
        if not fits or len(shapes[0]) != len(shapes[1]):
            axes = (
                ("(N, L, {})", "(N, S, {})") if self.batch_first else ("(L, N, {})", "(S, N, {})")
            )
            needs = [(axes[i > 0]).format(n) for i, n in enumerate(widths)]
            raise ShapeError(
                f"{self._name()} needs query {needs[0]}, key {needs[1]} and value {needs[2]}, or "
                f"all without N; got {shapes[0]}, {shapes[1]} and {shapes[2]}"
            )
        return query, key, value

    def _shape_of_logits(self, query: Tensor, key: Tensor, past: int) -> tuple[int, ...]:
        """(N, H, L, S), or (H, L, S), where `past` keys come before those of `key`."""
        if query.ndim == 2:
            return self.num_heads, query.shape[0], past + key.shape[0]
        batch, positions = (0, 1) if self.batch_first else (1, 0)
        lengths = query.shape[positions], past + key.shape[positions]
        return query.shape[batch], self.num_heads, *lengths

    def _projected(
        self, query: Tensor, key: Tensor, value: Tensor, cache: KeyValueCache | MemoryCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The heads of queries, keys and values, in as few products as possible."""
        packed = self.in_proj_weight is not None
        if packed and query is key is value and not isinstance(cache, MemoryCache):
            q, k, v = self._heads_of(query, self.in_proj_weight, self.in_proj_bias)
        else:
            together = packed and key is value
            of_query, *of_others = self._projections([1, 2] if together else [1, 1, 1])
            (q,) = self._heads_of(query, *of_query)

            def keys_and_values() -> list[Tensor]:
                sources = (key,) if together else (key, value)
                pairs = zip(sources, of_others, strict=True)
                return [x for source, given in pairs for x in self._heads_of(source, *given)]

            if isinstance(cache, MemoryCache):
                return q, *cache.of(self, (key, value), keys_and_values)
            k, v = keys_and_values()
        if isinstance(cache, KeyValueCache):
            k, v = cache.of(self).append(k, v)
        return q, k, v

    def _projections(self, counts: list[int]) -> list[tuple[Any, Any]]:
        """Weights and biases of so many projections each, of those of query, key and value."""
        lengths = [n * self.embed_dim for n in counts]
        weights: Any = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        if self.in_proj_weight is not None:
            weights = ops.split(self.in_proj_weight, lengths=lengths)
        biases: Any = [None] * len(counts)
        if self.in_proj_bias is not None:
            biases = ops.split(self.in_proj_bias, lengths=lengths)
        return list(zip(weights, biases, strict=True))

    def _heads_of(self, x: Tensor, weight: Any, bias: Any) -> list[Tensor]:
        """The heads of one projection or several, whose weights are one below the other."""
        y = ops.linear(x, weight, bias)
        count = weight.shape[0] // self.embed_dim
        parts = ops.split(y, sections=count, axis=-1) if count > 1 else (y,)
        return [self._heads(part) for part in parts]

    def _heads(self, x: Tensor) -> Tensor:
        """(L, N, embed_dim) → (N, H, L, d), a view."""
        x = ops.reshape(x, (*x.shape[:-1], self.num_heads, self.head_dim))
        return ops.permute_dims(x, self._axes(x.ndim)[0])

    def _joined(self, heads: Tensor) -> Tensor:
        """(N, H, L, d) → (L, N, embed_dim)."""
        x = ops.permute_dims(heads, self._axes(heads.ndim)[1])
        return ops.reshape(x, (*x.shape[:-2], self.embed_dim))

    def _axes(self, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The orders of axes that move the heads in front of the positions, and back."""
        if ndim == 3:
            return (1, 0, 2), (1, 0, 2)
        return ((0, 2, 1, 3), (0, 2, 1, 3)) if self.batch_first else ((1, 2, 0, 3), (2, 0, 1, 3))

    def _with_extra_keys(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values with the learned one, and with zeros, at their end."""
        keys, values = [k], [v]
        one = (*k.shape[:-2], 1, self.head_dim)
        if self.bias_k is not None:
            for parts, bias in ((keys, self.bias_k), (values, self.bias_v)):
                heads = ops.reshape(bias, (self.num_heads, 1, self.head_dim))
                parts.append(ops.broadcast_to(heads, one))
        if self.add_zero_attn:
            for parts in (keys, values):
                parts.append(ops.zeros(one, dtype=k.dtype, device=k.device))
        if len(keys) == 1:
            return k, v
        return ops.concat(keys, axis=-2), ops.concat(values, axis=-2)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        """Each row is projected; each query meets each key, and takes its part of each value."""
        query, key, value = inputs[:3]
        keys = key.shape[0 if key.ndim == 3 and not self.batch_first else -2]
        keys += (self.bias_k is not None) + self.add_zero_attn
        return self.embed_dim * (query.size + key.size + value.size) + 2 * query.size * keys

    def _name(self) -> str:
        return f"MultiheadAttention({self.embed_dim}, {self.num_heads})"


def _attended(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, settings: dict[str, Any], weighs: bool
) -> tuple[Tensor, Tensor | None]:
    """The heads' results, and the weights, if they are needed.

    The operation's kernels give no weights.  Where gradients are recorded, theirs save more than
    it costs to compute the logits twice.
    """
    if weighs and not (q.requires_grad or k.requires_grad or v.requires_grad):
        y, weights = attention_with_weights(q, k, v, mask, **settings)
        return y, weights
    y = ops.scaled_dot_product_attention(q, k, v, mask, **settings)
    return y, attention_weights(q, k, mask, **settings) if weighs else None
