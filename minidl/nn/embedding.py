"""Embedding: a table of learned vectors, one for each id."""

from typing import Any, Self

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_numbers
from minidl.errors import (
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
    raise_explained,
)
from minidl.nn import init
from minidl.nn.module import Module, Parameter, other_than
from minidl.nn.parameter import empty
from minidl.nn.precision import beside
from minidl.ops.nn.embedding import padding_row


class Embedding(Module):
    """Row ids[…] of weight (num_embeddings, embedding_dim), which starts normal: N(0, 1).

    padding_idx           the id of padding: its row starts as zeros and gets no gradient
    max_norm              used rows of a larger norm (Σ |w|ᵖ)^(1/p), p = norm_type, are first
                          rescaled to it, in place
    scale_grad_by_freq    divide a row's gradient by the count of its id in the batch
    sparse                the gradient of weight is a RowGradient, of the used rows only: a step of
                          optim.SparseAdam, Adam and AdamW with lazy=True, Adagrad or SGD then takes
                          as long for a large table as for a small one

    >>> layer = nn.Embedding(num_embeddings=10, embedding_dim=4, padding_idx=0)
    >>> layer(minidl.tensor([[1, 2, 0], [3, 0, 0]])).shape
    (2, 3, 4)
    >>> layer(minidl.tensor(0)).detach()
    Tensor([0., 0., 0., 0.], float32)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_integers(self, 0, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        check_flags(self, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse, _freeze=_freeze)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        if padding_idx is not None:
            self.padding_idx = padding_row(type(self).__name__, padding_idx, num_embeddings)
        if max_norm is not None:
            check_numbers(self, above=0, max_norm=max_norm, norm_type=norm_type)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        shape = num_embeddings, embedding_dim
        if _weight is None:
            table = init.normal_(empty(self, shape, dtype, device))
            if self.padding_idx is not None:
                table[self.padding_idx] = 0
        elif tuple(_weight.shape) == shape:
            table = _weight
        else:
            raise ShapeError(f"Embedding: needs a weight of shape {shape}; got {_weight.shape}")
        self.weight = Parameter(table, requires_grad=not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """Return a layer with this table, which is not trained unless `freeze` is False."""
        try:
            table = ops.asarray(embeddings)
        except MinidlError as error:
            raise_explained("from_pretrained", (), error)
        if table.ndim != 2:
            raise ShapeError(
                f"from_pretrained: needs a table of shape (num_embeddings, embedding_dim); "
                f"got {table.shape}"
            )
        check_flags("from_pretrained", freeze=freeze)
        num_embeddings, embedding_dim = table.shape
        return cls(
            num_embeddings,
            embedding_dim,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
            _weight=table,
            _freeze=freeze,
        )

    def forward(self, ids: Tensor) -> Tensor:
        """(…) → (…, embedding_dim)."""
        if getattr(getattr(ids, "dtype", None), "kind", "") not in tuple("iu"):
            raise DTypeError(
                f"Embedding({self.num_embeddings}, {self.embedding_dim}) needs a tensor of "
                f"integers; got {describe(ids)}"
            )
        return ops.embedding(
            self.weight,
            beside(self.weight, ids),
            padding_idx=self.padding_idx,
            max_norm=self.max_norm,
            norm_type=self.norm_type,
            scale_grad_by_freq=self.scale_grad_by_freq,
            sparse=self.sparse,
        )

    def extra_repr(self) -> str:
        sizes = f"{self.num_embeddings}, {self.embedding_dim}"
        return ", ".join([sizes, *other_than(_DEFAULTS, self)])


_DEFAULTS = {
    "padding_idx": None,
    "max_norm": None,
    "norm_type": 2,
    "scale_grad_by_freq": False,
    "sparse": False,
}
