"""Rows of shuffled pixels and channels."""

from tests.cases.registry import ops
from tests.helpers import Case, real
from tests.oracle import functional, torch

# fmt: off
CASES = [
    Case("pixel_shuffle", lambda x: ops.pixel_shuffle(x, 2),
         lambda x: functional.pixel_shuffle(x, 2), real(2, 8, 2, 3)),
    Case("pixel_shuffle of one image", lambda x: ops.pixel_shuffle(x, 3),
         lambda x: functional.pixel_shuffle(x, 3), real(9, 1, 2)),
    Case("pixel_unshuffle", lambda x: ops.pixel_unshuffle(x, 2),
         lambda x: functional.pixel_unshuffle(x, 2), real(2, 2, 4, 2)),
    Case("channel_shuffle", lambda x: ops.channel_shuffle(x, 2),
         lambda x: torch.stack(x.split(3, 1), 2).flatten(1, 2), real(2, 6, 2)),
]
# fmt: on
