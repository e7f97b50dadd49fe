"""A vector for each bag of words."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.backends.window import is_number
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError, describe
from minidl.nn.embedding import Embedding
from minidl.nn.settings import check_choice, check_flags


class EmbeddingBag(Embedding):
    """The mean, the sum or the largest of an Embedding's rows, for each bag of ids.

    mode                   "mean", "sum" or "max"; an empty bag gives zeros
    include_last_offset    whether the last offset is where the last bag ends
    padding_idx            the id of no word: it does not count

    The other settings are Embedding's.

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
        """(B, n), or (n,) with the offsets (B,) where bags begin → (B, embedding_dim).

        per_sample_weights    of the shape of ids: what rows are multiplied by, with mode="sum"
        """
        ids, bag_of, count = self._bags(ids, offsets)
        if ids.size and not ((ids >= 0) & (ids < self.num_embeddings)).all():
            raise BoundsError(
                f"EmbeddingBag: ids are rows of the {self.num_embeddings}; got "
                f"{ids.min().item()} to {ids.max().item()}"
            )
        rows = super().forward(ids)
        if per_sample_weights is not None:
            rows = rows * self._column(per_sample_weights, ids)
        if self.padding_idx is not None:
            words = ops.nonzero(ids != self.padding_idx)[0]
            rows, bag_of = rows[words], bag_of[words]
        if self.mode == "sum":
            return ops.segment_sum(rows, bag_of, count)
        if self.mode == "mean":
            return ops.segment_mean(rows, bag_of, count)
        sizes = ops.segment_sum(ops.ones_like(bag_of), bag_of, count)
        empty = ops.expand_dims(sizes == 0, axis=-1)
        return ops.where(empty, 0, ops.segment_max(rows, bag_of, count))

    def _bags(self, ids: Tensor, offsets: Tensor | None) -> tuple[Tensor, Tensor, int]:
        """The ids in a row, the bag that each is in, and how many bags there are."""
        if getattr(getattr(ids, "dtype", None), "kind", "") not in tuple("iu"):
            raise DTypeError(f"EmbeddingBag: needs a tensor of integers; got {describe(ids)}")
        ids = ops.asarray(ids)
        if ids.ndim == 2 and offsets is None:
            bags = ops.arange(ids.shape[0], device=ids.device)
            bag_of = ops.repeat(bags, ids.shape[1])
            return ops.reshape(ids, (ids.size,)), bag_of, ids.shape[0]
        if ids.ndim != 1 or getattr(offsets, "ndim", None) != 1:
            raise ShapeError(
                "EmbeddingBag: needs ids (B, n) alone, or ids (n,) with offsets (B,); got "
                f"{describe(ids)} and {describe(offsets)}"
            )
        starts = ops.asarray(offsets)
        if starts.dtype.kind not in "iu":
            raise DTypeError(f"EmbeddingBag: offsets are integers; got {describe(offsets)}")
        places = starts.tolist()
        ends_right = not self.include_last_offset or places[-1:] == [ids.size]
        if places[:1] != [0] or places != sorted(places) or places[-1] > ids.size or not ends_right:
            raise ArgumentError(
                f"EmbeddingBag: offsets ascend from 0 to at most {ids.size}, the number of ids, "
                f"which is the last with include_last_offset; got {places!r:.60}"
            )
        starts = starts[:-1] if self.include_last_offset else starts
        numbers = ops.arange(ids.size, device=ids.device)
        bag_of = ops.searchsorted(starts, numbers, side="right") - 1
        return ids, bag_of, starts.shape[0]

    def _column(self, weights: Tensor, ids: Tensor) -> Tensor:
        """The weights of the rows, (n, 1)."""
        if self.mode != "sum":
            raise ArgumentError(
                f'EmbeddingBag: per_sample_weights need mode="sum"; mode is {self.mode!r}'
            )
        size = getattr(weights, "size", None)
        if not is_number(size) or size != ids.size:
            raise ShapeError(
                f"EmbeddingBag: needs a weight for each of {ids.size} ids; got {describe(weights)}"
            )
        return ops.reshape(weights, (ids.size, 1))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode!r}"
