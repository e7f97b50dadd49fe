"""Bad input for samples of pictures, order, segments, letters, distances and special functions."""

import minidl
from minidl import nn
from tests.bad_input import call, every_spoilt, real, whole

IDS = minidl.tensor([2, 0, 2, 1])
CALLS = [
    call(minidl.grid_sample, real(2, 3, 4, 4), real(2, 2, 3, 2), mode="bicubic",
         padding_mode="border", align_corners=True),
    call(minidl.grid_sample, real(1, 1, 2, 3, 2), real(1, 2, 2, 2, 3)),
    call(minidl.affine_grid, real(2, 2, 3), (2, 1, 3, 4), align_corners=True),
    call(minidl.interpolate, real(1, 2, 4, 4), (2, 3), mode="bilinear", antialias=True),
    call(minidl.topk, real(3, 4), 2, axis=0, largest=False, sorted=True),
    call(minidl.kthvalue, real(3, 4), 2, axis=1, keepdims=True),
    call(minidl.quantile, real(3, 4), 0.3, axis=0, keepdims=True, interpolation="lower"),
    call(minidl.nanquantile, real(3, 4), real(2), axis=0),
    call(minidl.median, real(3, 4), axis=0, keepdims=False),
    call(minidl.cumulative_max, real(3, 4), axis=0),
    call(minidl.cumulative_min, real(3, 4), axis=-1),
    call(minidl.cumulative_logsumexp, real(3, 4), axis=1),
    call(minidl.segment_sum, real(4, 2), IDS, 3),
    call(minidl.segment_mean, real(4, 2), IDS, 3),
    call(minidl.segment_max, real(4, 2), IDS, num_segments=3),
    call(minidl.segment_min, real(4, 2), IDS),
    call(minidl.one_hot, IDS, 3, dtype="float32"),
    call(minidl.bincount, IDS, real(4), minlength=5, allowed=["1: None"]),
    call(minidl.histogram, real(9), 4, range=(0.0, 1.0), weights=real(9), density=True,
         allowed=["weights: None"]),
    call(minidl.einsum, "ij,jk->ik", real(2, 3), real(3, 4)),
    call(minidl.cdist, real(3, 2), real(4, 2), 1.0),
    call(minidl.pdist, real(3, 2), 1.0),
    call(minidl.diag_embed, real(3), offset=1),
    call(minidl.kron, real(2, 2), real(3, 2)),
    call(minidl.rot90, real(2, 3), 1, axes=(0, 1)),
    call(minidl.vander, real(3), 2, increasing=True),
    call(minidl.erfc, real(3)),
    call(minidl.erfinv, real(3)),
    call(minidl.lgamma, real(3)),
    call(minidl.digamma, real(3)),
    call(minidl.polygamma, real(3), 1),
    call(minidl.sinc, real(3)),
    call(minidl.lerp, real(3), real(3), real(3)),
    call(minidl.nan_to_num, real(3), 1.0, posinf=2.0, neginf=3.0),
    call(minidl.gumbel_softmax, real(2, 3), 0.5, True, axis=0, key=(0, 0)),
    call(nn.UpsamplingNearest2d, None, 2.0),
    call(nn.UpsamplingNearest2d(2), real(1, 1, 2, 2), names=["interpolate"]),
    call(nn.UpsamplingBilinear2d(2), real(1, 1, 2, 2), names=["interpolate"]),
    call(nn.BatchNorm3d, 3),
    call(nn.BatchNorm3d(3), real(2, 3, 2, 2, 2), names=["batch_norm"]),
    call(nn.EmbeddingBag, 5, 2, mode="sum", include_last_offset=True, padding_idx=1),
    call(nn.EmbeddingBag(5, 2, mode="sum"), IDS, minidl.tensor([0, 2]), real(4),
         allowed=["2: None"]),
    call(nn.EmbeddingBag(5, 2), whole(2, 3)),
    call(nn.AdaptiveLogSoftmaxWithLoss, 8, 9, [3], 2.0, True),
    call(nn.AdaptiveLogSoftmaxWithLoss(8, 9, [3]), real(4, 8), IDS),
]  # fmt: skip


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()
