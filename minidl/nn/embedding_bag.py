"""EmbeddingBag: the reduced embeddings of bags of ids."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_flags
from minidl.errors import DTypeError, describe
from minidl.nn.embedding import Embedding
from minidl.nn.precision import in_dtype_of


class EmbeddingBag(Embedding):
    """The mean, sum or maximum of an Embedding's rows, for each bag of ids.

    mode                   "mean", "sum" or "max"; an empty bag gives zeros
    include_last_offset    whether the last offset is the end of the last bag
    padding_idx            the id of padding, which is ignored

    The other settings are those of Embedding.

    >>> table = minidl.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 8.0]])
    >>> layer = nn.EmbeddingBag(3, 2, _weight=table)
    >>> layer(minidl.tensor([[0, 1], [2, 2]])).detach()
    Tensor([[2., 0.],
            [0., 8.]], shape=(2, 2), float32)
    >>> layer(minidl.tensor([0, 1, 2]), minidl.tensor([0, 1])).detach()  # bags of one and of two
    Tensor([[1. , 0. ],
            [1.5, 4. ]], shape=(2, 2), float32)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
            _weight=_weight,
            device=device,
            dtype=dtype,
        )
        check_choice(self, ("mean", "sum", "max"), mode=mode)
        check_flags(self, include_last_offset=include_last_offset)
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(
        self, ids: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        """(B, n), or (n,) with the offsets (B,) where bags start → (B, embedding_dim).

        per_sample_weights    a factor for each row, of the shape of ids, with mode="sum"
        """
        if getattr(getattr(ids, "dtype", None), "kind", "") not in tuple("iu"):
            raise DTypeError(f"EmbeddingBag: needs a tensor of integers; got {describe(ids)}")
        return ops.embedding_bag(
            self.weight,
            ids,
            offsets,
            in_dtype_of(self.weight, self, per_sample_weights),
            mode=self.mode,
            padding_idx=self.padding_idx,
            max_norm=self.max_norm,
            norm_type=self.norm_type,
            include_last_offset=self.include_last_offset,
            scale_grad_by_freq=self.scale_grad_by_freq,
            sparse=self.sparse,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode!r}"
