"""Bad input for values put into places, bags, pools that lie at random, and triplets."""

import minidl
from minidl import nn
from tests.bad_input import call, every_spoilt, real, whole

IDS = minidl.tensor([2, 0, 2, 1])
STARTS = minidl.tensor([0, 2])
CALLS = [
    call(minidl.put_along_axis, real(3, 4), whole(3, 2), real(3, 2), axis=1),
    call(minidl.put_along_axis, real(3), whole(1), 2.0, axis=0),
    call(minidl.scatter_reduce, real(3, 4), whole(2, 4), real(2, 4), "prod", axis=0,
         include_self=False),
    call(minidl.scatter_reduce, real(3), IDS, real(4), "amax"),
    call(minidl.segment_prod, real(4, 2), IDS, 3),
    call(minidl.embedding_bag, real(3, 2), IDS, STARTS, real(4), mode="sum", padding_idx=1,
         include_last_offset=False, scale_grad_by_freq=True, sparse=False,
         allowed=["3: None"]),
    call(minidl.embedding_bag, real(3, 2), whole(2, 2), mode="max"),
    call(minidl.fractional_max_pool2d, real(2, 3, 7, 7), real(2, 3, 2), 2, (3, 4),
         return_indices=True),
    call(minidl.fractional_max_pool3d, real(3, 7, 7, 7), real(1, 3, 3), 2, 3),
    call(nn.FractionalMaxPool2d, 2, output_ratio=0.5, return_indices=True),
    call(nn.FractionalMaxPool3d, 2, (3, 3, 3)),
    call(nn.FractionalMaxPool2d(2, 3), real(2, 3, 7, 7), names=["fractional_max_pool2d"]),
    call(nn.FractionalMaxPool3d(2, output_ratio=0.5), real(3, 7, 7, 7),
         names=["fractional_max_pool3d"]),
    call(minidl.feature_alpha_dropout, real(2, 3, 4), 0.5, key=(0, 0)),
    call(nn.FeatureAlphaDropout, 0.3, False),
    call(nn.FeatureAlphaDropout(0.3), real(2, 3, 4)),
    call(minidl.triplet_margin_with_distance_loss, real(3, 4), real(3, 4), real(3, 4),
         distance_function=None, margin=0.5, swap=True, reduction="sum"),
    call(nn.TripletMarginWithDistanceLoss, distance_function=None, margin=0.5, swap=True),
    call(nn.TripletMarginWithDistanceLoss(), real(3, 4), real(3, 4), real(3, 4),
         names=["triplet_margin_with_distance_loss"]),
    call(minidl.vmap, minidl.exp),
    call(minidl.vmap(minidl.add), real(3, 4), real(3, 4), names=["vmap", "add"]),
]  # fmt: skip


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()
