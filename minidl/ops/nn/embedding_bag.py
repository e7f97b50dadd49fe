"""Embedding bags: the sum, mean or maximum of the embeddings of each bag of ids."""

from minidl.autograd.primitive import composite
from minidl.checks import check_flags, is_integer
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError, describe
from minidl.ops.creation import ones_like
from minidl.ops.searching import nonzero


@composite(wide=True, by_name=["offsets", "per_sample_weights"])
def embedding_bag(
    xp,
    weight,
    ids,
    /,
    offsets=None,
    per_sample_weights=None,
    *,
    mode="mean",
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    include_last_offset=False,
    scale_grad_by_freq=False,
    sparse=False,
):
    """y[b] = the mean, the sum or the maximum of the rows weight[i] over the ids i in bag b.

    weight                 (n, d); the result is (B, d), zeros for an empty bag
    ids                    (B, m), bags of m ids; or (k,), with the offsets (B,) at which bags start
    per_sample_weights     of the shape of ids: factors of the rows, with mode="sum"
    mode                   "mean", "sum" or "max"
    padding_idx            an id that is left out; negative: counted from the end
    max_norm               used rows of a larger norm (Σ |w|ᵖ)^(1/p), p = norm_type, are first
                           rescaled to it, in place
    include_last_offset    whether the last offset is the end of the last bag
    scale_grad_by_freq     divide a row's gradient by the count of its id in the batch
    sparse                 let the gradient of weight be a RowGradient, of the used rows only

    Raises BoundsError for an id outside 0 … n − 1, ShapeError and ArgumentError for invalid
    bags.

    >>> table = minidl.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 8.0]])
    >>> minidl.embedding_bag(table, minidl.tensor([[0, 1], [2, 2]]))
    Tensor([[2., 0.],
            [0., 8.]], shape=(2, 2), float32)
    >>> minidl.embedding_bag(table, minidl.tensor([0, 1, 2]), minidl.tensor([0, 1]), mode="sum")
    Tensor([[1., 0.],
            [3., 8.]], shape=(2, 2), float32)
    """
    _check(weight, mode, padding_idx)
    flags = {"scale_grad_by_freq": scale_grad_by_freq, "include_last_offset": include_last_offset}
    check_flags("embedding_bag", **flags)
    ids, bag_of, count = _bags(xp, ids, offsets, include_last_offset)
    if ids.size and not bool(xp.all(xp.logical_and(ids >= 0, ids < weight.shape[0]))):
        found = f"{xp.min(ids).item()} to {xp.max(ids).item()}"
        raise BoundsError(f"ids are rows of the {weight.shape[0]}; got {found}")
    limits = {"max_norm": max_norm, "norm_type": norm_type}
    options = {"scale_grad_by_freq": scale_grad_by_freq, "sparse": sparse}
    rows = xp.embedding(weight, ids, padding_idx=padding_idx, **limits, **options)
    if per_sample_weights is not None:
        rows = rows * _column(xp, per_sample_weights, ids, mode)
    if padding_idx is not None:
        words = nonzero(ids != padding_idx % weight.shape[0])[0]
        rows, bag_of = rows[words], bag_of[words]
    if mode == "sum":
        return xp.segment_sum(rows, bag_of, count)
    if mode == "mean":
        return xp.segment_mean(rows, bag_of, count)
    sizes = xp.segment_sum(ones_like(bag_of), bag_of, count)
    return xp.where(xp.expand_dims(sizes == 0, axis=-1), 0, xp.segment_max(rows, bag_of, count))


def _check(weight, mode, padding_idx):
    """Raise unless weight is a table of floats and the settings are valid."""
    if getattr(weight, "ndim", None) != 2:
        raise ShapeError(f"weight is a table, (n, d); got {describe(weight)}")
    if weight.dtype.kind != "f":
        raise DTypeError(f"weight has floating-point numbers; got {weight.dtype}")
    if mode not in ("mean", "sum", "max"):
        raise ArgumentError(f'mode is "mean", "sum" or "max"; got {describe(mode)}')
    n = weight.shape[0]
    if padding_idx is not None and not (is_integer(padding_idx) and -n <= padding_idx < n):
        raise ArgumentError(f"padding_idx is a row of the {n}; got {describe(padding_idx)}")


def _bags(xp, ids, offsets, include_last_offset):
    """The flattened ids, the bag of each, and the number of bags."""
    if getattr(getattr(ids, "dtype", None), "kind", "") not in tuple("iu"):
        raise DTypeError(f"needs a tensor of integers as ids; got {describe(ids)}")
    if ids.ndim == 2 and offsets is None:
        bag_of = xp.repeat(xp.arange(ids.shape[0], device=ids.device), ids.shape[1])
        return xp.reshape(ids, (ids.size,)), bag_of, ids.shape[0]
    if ids.ndim != 1 or getattr(offsets, "ndim", None) != 1:
        raise ShapeError(
            "needs ids (B, n) alone, or ids (n,) with offsets (B,); got "
            f"{describe(ids)} and {describe(offsets)}"
        )
    starts = xp.asarray(offsets)
    if starts.dtype.kind not in "iu":
        raise DTypeError(f"offsets are integers; got {describe(offsets)}")
    firsts = starts.tolist()
    no_bags = not firsts and not ids.size and not include_last_offset
    starts_right = firsts[:1] == [0] or no_bags
    ends_right = firsts[-1:] == [ids.size] if include_last_offset else firsts[-1:] <= [ids.size]
    if not starts_right or firsts != sorted(firsts) or not ends_right:
        raise ArgumentError(
            f"offsets ascend from 0 to at most {ids.size}, the number of ids, which is the last "
            f"with include_last_offset; got {firsts!r:.60}"
        )
    starts = starts[:-1] if include_last_offset else starts
    bag_of = xp.searchsorted(starts, xp.arange(ids.size, device=ids.device), side="right") - 1
    return ids, bag_of, starts.shape[0]


def _column(xp, weights, ids, mode):
    """The weights of the rows, (n, 1)."""
    if mode != "sum":
        raise ArgumentError(f'per_sample_weights need mode="sum"; mode is {mode!r}')
    size = getattr(weights, "size", None)
    if not is_integer(size) or size != ids.size:
        raise ShapeError(f"needs a weight for each of {ids.size} ids; got {describe(weights)}")
    return xp.reshape(xp.asarray(weights), (ids.size, 1))
