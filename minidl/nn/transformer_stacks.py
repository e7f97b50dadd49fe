"""Stacks of the Transformer's layers: encoder, decoder, and both together."""

from copy import deepcopy
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_instance, check_integers
from minidl.errors import MinidlError, ShapeError, raise_explained
from minidl.nn import init
from minidl.nn.containers import ModuleList
from minidl.nn.kv_cache import KeyValueCache
from minidl.nn.module import Module
from minidl.nn.norm import LayerNorm
from minidl.nn.transformer import Activation, TransformerDecoderLayer, TransformerEncoderLayer


class TransformerEncoder(Module):
    """num_layers copies of an encoder layer, one after the other, and a norm if there is one.

    The copies start alike, as PyTorch's do; `encoder_layer` is not one of them.

    enable_nested_tensor, mask_check    accepted as in PyTorch, and change nothing

    >>> layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> encoder = nn.TransformerEncoder(layer, num_layers=2)
    >>> encoder(minidl.random.normal((3, 5, 8))).shape
    (3, 5, 8)
    """

    norm: Module | None

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        check_instance(self, Module, encoder_layer=encoder_layer)
        check_flags(self, enable_nested_tensor=enable_nested_tensor, mask_check=mask_check)
        self.layers = _copies(self, encoder_layer, num_layers)
        self.num_layers = num_layers
        self.add_module("norm", norm)
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
        *,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """(L, N, d_model) → the same, with the masks and the cache of `MultiheadAttention`."""
        settings: dict[str, Any] = {
            "src_mask": mask,
            "src_key_padding_mask": src_key_padding_mask,
            "is_causal": bool(is_causal),
            **_with(cache),
        }
        for layer in self.layers:
            src = layer(src, **settings)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """num_layers copies of a decoder layer, one after the other, and a norm if there is one.

    The copies start alike, as PyTorch's do; `decoder_layer` is not one of them.

    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> decoder = nn.TransformerDecoder(layer, num_layers=2).eval()
    >>> tgt, memory = minidl.random.normal((3, 5, 8)), minidl.random.normal((3, 7, 8))
    >>> whole = decoder(tgt, memory, tgt_is_causal=True)

    Step by step, with a cache:

    >>> cache = nn.KeyValueCache()
    >>> with minidl.no_grad():
    ...     steps = [decoder(tgt[:, t : t + 1], memory, cache=cache) for t in range(5)]
    >>> minidl.allclose(minidl.concat(steps, axis=1), whole, atol=1e-5)
    True
    """

    norm: Module | None

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        check_instance(self, Module, decoder_layer=decoder_layer)
        self.layers = _copies(self, decoder_layer, num_layers)
        self.num_layers = num_layers
        self.add_module("norm", norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
        *,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """tgt (L, N, d_model), memory (S, N, d_model) → like tgt; masks as `MultiheadAttention`."""
        settings: dict[str, Any] = {
            "tgt_mask": tgt_mask,
            "memory_mask": memory_mask,
            "tgt_key_padding_mask": tgt_key_padding_mask,
            "memory_key_padding_mask": memory_key_padding_mask,
            "tgt_is_causal": bool(tgt_is_causal),
            "memory_is_causal": memory_is_causal,
            **_with(cache),
        }
        for layer in self.layers:
            tgt = layer(tgt, memory, **settings)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder of one sequence and a decoder of another, which attends to it.

    Vaswani et al. 2017, arXiv:1706.03762.  Weights start Xavier uniform.  Embeddings, positions and
    the last linear layer are not part of it.

    activation                        "relu", "gelu", or a function of a tensor
    custom_encoder, custom_decoder    modules to use instead
    batch_first                       sequences are (N, L, d_model) instead of (L, N, d_model)

    >>> net = nn.Transformer(8, 2, 1, 1, dim_feedforward=16, batch_first=True)
    >>> src, tgt = minidl.random.normal((3, 7, 8)), minidl.random.normal((3, 5, 8))
    >>> net(src, tgt, tgt_is_causal=True).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = ops.relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        common: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        settings = {
            "dropout": dropout,
            "activation": activation,
            "layer_norm_eps": layer_norm_eps,
            "batch_first": batch_first,
            "norm_first": norm_first,
            **common,
        }
        sizes = d_model, nhead, dim_feedforward

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, **common)

        if custom_encoder is None:
            first = TransformerEncoderLayer(*sizes, **settings)
            custom_encoder = TransformerEncoder(first, num_encoder_layers, norm())
        if custom_decoder is None:
            second = TransformerDecoderLayer(*sizes, **settings)
            custom_decoder = TransformerDecoder(second, num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew; biases and norms are left."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """src (S, N, d_model), tgt (L, N, d_model) → like tgt; masks as `MultiheadAttention`.

        To decode step by step, call `encoder` once, and `decoder` with its result and a cache.
        """
        self._check_inputs(src, tgt)
        memory = self.encoder(
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    def _check_inputs(self, src: Any, tgt: Any) -> None:
        """Raise unless both are sequences of d_model features, and as many."""
        shapes = [tuple(getattr(x, "shape", ())) for x in (src, tgt)]
        fits = len(shapes[0]) == len(shapes[1]) in (2, 3)
        fits = fits and all(shape[-1] == self.d_model for shape in shapes)
        batch = 0 if self.batch_first else 1
        if not fits or (len(shapes[0]) == 3 and shapes[0][batch] != shapes[1][batch]):
            axes = ("N, S", "N, L") if self.batch_first else ("S, N", "L, N")
            raise ShapeError(
                f"Transformer needs src ({axes[0]}, {self.d_model}) and tgt ({axes[1]}, "
                f"{self.d_model}), or both without N; got {shapes[0]} and {shapes[1]}"
            )

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: str | None = None, dtype: Any = None
    ) -> Tensor:
        """Return a causal mask (sz, sz): −inf above the diagonal, where keys come later, else 0.

        >>> nn.Transformer.generate_square_subsequent_mask(2)
        Tensor([[  0., -inf],
                [  0.,   0.]], shape=(2, 2), float32)
        """
        name = "generate_square_subsequent_mask"
        check_integers(name, 0, sz=sz)
        try:
            return ops.triu(ops.full((sz, sz), -float("inf"), dtype=dtype, device=device), k=1)
        except MinidlError as error:
            raise_explained(name, (), error)


def _copies(owner: Module, layer: Module, count: int) -> ModuleList:
    """Deep copies of a layer."""
    check_integers(owner, 0, num_layers=count)
    return ModuleList(deepcopy(layer) for _ in range(count))


def _with(cache: KeyValueCache | None) -> dict[str, Any]:
    """The setting of a cache, for layers that have one; none for others."""
    return {} if cache is None else {"cache": cache}
