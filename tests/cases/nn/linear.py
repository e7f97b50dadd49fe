"""Rows of linear and bilinear maps."""

from tests.cases.registry import ops
from tests.cases.support import of_signs
from tests.helpers import Case, given, real
from tests.ops.nn import fused
from tests.oracle import functional

LINEAR_RELU = fused.linear_relu, lambda *xs: functional.linear(*xs).relu()

# fmt: off
CASES = [
    Case("linear", ops.linear, functional.linear, real(2, 3), real(4, 3), real(4)),
    Case("linear without bias", ops.linear, functional.linear, real(2, 3), real(4, 3)),
    Case("linear of a vector", ops.linear, functional.linear, real(3), real(4, 3), real(4)),
    Case("linear of a batch", ops.linear, functional.linear, real(2, 5, 3), real(4, 3), real(4)),
    Case("linear of a batch without bias", ops.linear, functional.linear,
         real(2, 2, 3), real(4, 3)),
    Case("fused linear_relu", *LINEAR_RELU,
         of_signs([1, -1], 2, 3), of_signs([1, -1, -1, 1], 4, 3), given([0.1, -0.1, 0.2, -0.2])),
    Case("fused linear_relu without a bias", *LINEAR_RELU,
         of_signs([1, -1], 2, 3), of_signs([1, -1], 2, 3)),
    Case("fused linear_relu of a vector", *LINEAR_RELU,
         of_signs([1], 3), of_signs([1, -1], 2, 3), given([0.1, 0.2])),
    Case("fused linear_relu of a batch", *LINEAR_RELU,
         of_signs([1, -1], 2, 2, 3), of_signs([1, -1], 2, 3), given([0.1, 0.2])),
    Case("bilinear", ops.bilinear, functional.bilinear,
         real(2, 3), real(2, 2), real(4, 3, 2), real(4)),
    Case("bilinear without bias, of a batch", ops.bilinear, functional.bilinear,
         real(2, 2, 3), real(2, 2, 2), real(2, 3, 2)),
    Case("bilinear of vectors", ops.bilinear, lambda *xs: functional.bilinear(*xs),
         real(3), real(2), real(4, 3, 2), real(4)),
]
# fmt: on
