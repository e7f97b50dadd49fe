"""Rows of resized and resampled images."""

from tests.cases.registry import ops
from tests.cases.support import both
from tests.helpers import Case, given, real
from tests.oracle import functional, torch

GRID = given([[[[-0.83, 0.31], [0.12, -0.57], [0.93, 0.77]]]])
SPACE = given([[[[[-0.3, 0.2, 0.7], [0.4, -0.6, 1.4]]]]])


def sampled(name, x, grid, **settings):
    """A row; PyTorch differentiates samples only once."""
    return Case(f"grid_sample {name}", lambda *xs: ops.grid_sample(*xs, **settings), None, x, grid)


# fmt: off
CASES = [
    *(Case(f"interpolate {mode} antialias",
           *both("interpolate", (2, 5), mode=mode, antialias=True), real(1, 1, 4, 3))
      for mode in ("bilinear", "bicubic")),
    *(Case(f"interpolate {mode}", *both("interpolate", (5, 3), mode=mode), real(1, 2, 3, 2))
      for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")),
    Case("resample", *both("interpolate", 4, mode="linear"), real(1, 2, 3)),
    sampled("bilinear", real(1, 2, 3, 4), GRID),
    sampled("bilinear reflection", real(1, 2, 3, 4), GRID,
            padding_mode="reflection", align_corners=True),
    sampled("bicubic border", real(1, 1, 3, 4), GRID, mode="bicubic", padding_mode="border"),
    sampled("trilinear", real(1, 1, 2, 3, 2), SPACE),
    Case("grid_sample nearest",
         lambda x: ops.grid_sample(x, ops.asarray(GRID.draw(None)), mode="nearest"),
         lambda x: functional.grid_sample(x, torch.tensor(GRID.draw(None)).to(x), "nearest",
                                          align_corners=False), real(1, 2, 3, 4)),
    Case("affine_grid", lambda x: ops.affine_grid(x, (1, 1, 2, 3)),
         lambda x: functional.affine_grid(x, (1, 1, 2, 3), align_corners=False), real(1, 2, 3)),
]
# fmt: on
