"""The Transformer's layers: attention, a feed-forward network, residual connections and norms."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_flags
from minidl.errors import DTypeError, describe
from minidl.nn.activation import ReLU
from minidl.nn.attention import MultiheadAttention
from minidl.nn.dropout import Dropout
from minidl.nn.fusion import Fused, plan
from minidl.nn.kv_cache import KeyValueCache, MemoryCache
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.norm import LayerNorm
from minidl.nn.precision import tensor_in_dtype_of

_RELU = ReLU()
_ACTIVATIONS = {"relu": ops.relu, "gelu": ops.gelu}
Activation = str | Callable[[Tensor], Tensor]


class _TransformerLayer(Module):
    """What both kinds of layers have: attention of the sequence to itself, and a feed-forward net.

    A part f is x ↦ norm(x + f(x)), or x ↦ x + f(norm(x)) with norm_first.  Parts are made in the
    order of PyTorch's state dict.
    """

    _attentions: ClassVar[tuple[str, ...]]
    self_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout
    activation: Callable[[Tensor], Tensor]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = ops.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_flags(self, norm_first=norm_first)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        for name in self._attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **place
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm_first = norm_first
        numbers = range(1, len(self._attentions) + 2)
        for i in numbers:
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **place)
            setattr(self, f"norm{i}", norm)
        for i in numbers:
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _activation(self, activation)

    def _residual(self, x: Tensor, part: Callable[[Tensor], Tensor], norm: Module) -> Tensor:
        """x with what a part makes of it, normalised before the part or after the sum."""
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        """(…, d_model) → (…, dim_feedforward) → (…, d_model).

        Unless a hook is to see them, positions are the rows of a matrix, as kernels want them.
        """
        by_rows = x.ndim > 2 and not (self.linear1._hooks or self.linear2._hooks)
        rows = ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])) if by_rows else x
        y = self.linear2(self.dropout(self._hidden(rows)))
        return ops.reshape(y, (*x.shape[:-1], y.shape[-1])) if by_rows else y

    def _hidden(self, x: Tensor) -> Tensor:
        """activation(linear1(x)), as one operation if it is a ReLU."""
        if self.activation is ops.relu:
            layers = self.linear1, _RELU
            steps = plan(layers)
            if len(steps) == 1 and isinstance(steps[0], Fused):
                return steps[0].run(layers, x)
        return self.activation(self.linear1(x))


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention, then a feed-forward network, each with dropout, residual and layer norm.

    x ← norm1(x + dropout1(self_attn(x))),
    x ← norm2(x + dropout2(linear2(dropout(activation(linear1(x)))))); with norm_first the norms are
    applied to the inputs of the parts instead.  Vaswani et al. 2017, arXiv:1706.03762; norm_first:
    Xiong et al. 2020, arXiv:2002.04745.

    activation     "relu", "gelu", or a function of a tensor
    batch_first    sequences are (N, L, d_model) instead of (L, N, d_model)

    >>> layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> layer(minidl.random.normal((3, 5, 8))).shape
    (3, 5, 8)
    """

    _attentions: ClassVar = ("self_attn",)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        *,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """(L, N, d_model) → the same, or (L, d_model) for a single sequence.

        The masks and the cache are those of `MultiheadAttention`.
        """
        masks = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask}

        def attend(x: Tensor) -> Tensor:
            return self.dropout1(_attended(self.self_attn, x, x, is_causal, cache, masks))

        x = tensor_in_dtype_of(self.linear1.weight, self, src)
        x = self._residual(x, attend, self.norm1)
        return self._residual(x, lambda x: self.dropout2(self._feed_forward(x)), self.norm2)


class TransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to an encoder's memory, then a feed-forward network.

    x ← norm1(x + dropout1(self_attn(x))), x ← norm2(x + dropout2(multihead_attn(x, memory))),
    x ← norm3(x + dropout3(linear2(dropout(activation(linear1(x)))))); with norm_first the norms are
    applied to the inputs of the parts instead.  Vaswani et al. 2017, arXiv:1706.03762.

    activation     "relu", "gelu", or a function of a tensor
    batch_first    sequences are (N, L, d_model) instead of (L, N, d_model)

    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> tgt, memory = minidl.random.normal((3, 5, 8)), minidl.random.normal((3, 7, 8))
    >>> layer(tgt, memory, tgt_is_causal=True).shape
    (3, 5, 8)
    """

    _attentions: ClassVar = ("self_attn", "multihead_attn")
    multihead_attn: MultiheadAttention
    norm3: LayerNorm
    dropout3: Dropout

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """tgt (L, N, d_model), memory (S, N, d_model) → like tgt; without N for single sequences.

        The masks and the cache are those of `MultiheadAttention`.
        """
        masks = {"attn_mask": tgt_mask, "key_padding_mask": tgt_key_padding_mask}
        memory_masks = {"attn_mask": memory_mask, "key_padding_mask": memory_key_padding_mask}

        def attend(x: Tensor) -> Tensor:
            return self.dropout1(_attended(self.self_attn, x, x, tgt_is_causal, cache, masks))

        def attend_to_memory(x: Tensor) -> Tensor:
            kept = None if cache is None else cache.memory
            given = x, memory, memory_is_causal, kept, memory_masks
            return self.dropout2(_attended(self.multihead_attn, *given))

        x = tensor_in_dtype_of(self.linear1.weight, self, tgt)
        x = self._residual(x, attend, self.norm1)
        x = self._residual(x, attend_to_memory, self.norm2)
        return self._residual(x, lambda x: self.dropout3(self._feed_forward(x)), self.norm3)


def _attended(
    attention: Module,
    query: Tensor,
    source: Tensor,
    is_causal: bool,
    cache: KeyValueCache | MemoryCache | None,
    masks: dict[str, Any],
) -> Tensor:
    """What an attention makes of queries, with the same keys and values."""
    settings = masks if cache is None else {**masks, "cache": cache}
    return attention(query, source, source, need_weights=False, is_causal=is_causal, **settings)[0]


def _activation(owner: Module, activation: Any) -> Callable[[Tensor], Tensor]:
    """The activation of that name, or the function itself."""
    if isinstance(activation, str):
        check_choice(owner, _ACTIVATIONS, activation=activation)
        return _ACTIVATIONS[activation]
    if not callable(activation):
        raise DTypeError(
            f'{type(owner).__name__}: activation is "relu", "gelu" or a function; got '
            f"{describe(activation)}"
        )
    return activation
