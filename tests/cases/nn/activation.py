"""Rows of activation functions."""

from tests.cases.registry import ops
from tests.cases.support import KEY, uniforms
from tests.helpers import Case, away_from, given, positive, real
from tests.oracle import functional, torch

# fmt: off
CASES = [
    Case("relu", ops.relu, functional.relu, away_from([0], 3, 4)),
    Case("leaky_relu", ops.leaky_relu, functional.leaky_relu, away_from([0], 3, 4)),
    Case("leaky_relu slope", lambda x: ops.leaky_relu(x, 0.3),
         lambda x: functional.leaky_relu(x, 0.3), away_from([0], 3, 4)),
    Case("elu", ops.elu, functional.elu, away_from([0], 3, 4)),
    Case("elu alpha", lambda x: ops.elu(x, alpha=0.7),
         lambda x: functional.elu(x, alpha=0.7), away_from([0], 3, 4)),
    Case("sigmoid", ops.sigmoid, torch.sigmoid, real(3, 4)),
    Case("softplus", ops.softplus, functional.softplus, real(3, 4)),
    Case("silu", ops.silu, functional.silu, real(3, 4)),
    Case("gelu", ops.gelu, functional.gelu, real(3, 4)),
    Case("gelu tanh", lambda x: ops.gelu(x, approximate="tanh"),
         lambda x: functional.gelu(x, approximate="tanh"), real(3, 4)),
    Case("softmax", ops.softmax, lambda x: x.softmax(-1), real(3, 4)),
    Case("softmax axis", lambda x: ops.softmax(x, axis=1), lambda x: x.softmax(1), real(2, 3, 4)),
    Case("log_softmax", ops.log_softmax, lambda x: x.log_softmax(-1), real(3, 4)),
    Case("log_softmax axis", lambda x: x.log_softmax(axis=0),
         lambda x: x.log_softmax(0), real(3, 4)),
    Case("hardtanh", ops.hardtanh, functional.hardtanh, away_from([-1, 1], 3, 4)),
    Case("hardtanh bounds", lambda x: ops.hardtanh(x, -0.5, 1.2),
         lambda x: functional.hardtanh(x, -0.5, 1.2), away_from([-0.5, 1.2], 3, 4)),
    Case("relu6", lambda x: ops.relu6(4 * x), lambda x: functional.relu6(4 * x),
         away_from([0, 1.5], 3, 4)),
    Case("hardsigmoid", lambda x: ops.hardsigmoid(2 * x),  # PyTorch's has a slope of float32
         lambda x: functional.relu6(2 * x + 3) / 6, away_from([-1.5, 1.5], 3, 4)),
    Case("hardswish", lambda x: ops.hardswish(2 * x),
         lambda x: 2 * x * functional.relu6(2 * x + 3) / 6, away_from([-1.5, 1.5], 3, 4)),
    Case("hardshrink", ops.hardshrink, functional.hardshrink, away_from([-0.5, 0.5], 3, 4)),
    Case("softshrink", ops.softshrink, functional.softshrink, away_from([-0.5, 0.5], 3, 4)),
    Case("softshrink lambd", lambda x: ops.softshrink(x, 1.1),
         lambda x: functional.softshrink(x, 1.1), away_from([-1.1, 1.1], 3, 4)),
    Case("threshold", lambda x: ops.threshold(x, 0.3, -1.5),
         lambda x: functional.threshold(x, 0.3, -1.5), away_from([0.3], 3, 4)),
    Case("prelu", ops.prelu, functional.prelu, away_from([0], 3, 4), given([0.3])),
    Case("prelu of channels", ops.prelu, functional.prelu, away_from([0], 2, 3, 4), positive(3)),
    Case("prelu of a vector", ops.prelu, functional.prelu, away_from([0], 4), positive(1)),
    Case("rrelu", ops.rrelu, functional.rrelu, away_from([0], 3, 4)),
    Case("rrelu with a key", lambda x: ops.rrelu(x, 0.2, 0.5, key=KEY),
         lambda x: torch.where(x > 0, x, x * (uniforms(x.shape) * 0.3 + 0.2).to(x.dtype)),
         away_from([0], 3, 4)),
    Case("celu", ops.celu, functional.celu, away_from([0], 3, 4)),
    Case("celu alpha", lambda x: ops.celu(x, 0.7),  # PyTorch's has a 1/α of float32
         lambda x: torch.where(x > 0, x, 0.7 * torch.expm1(x / 0.7)), away_from([0], 3, 4)),
    Case("selu", ops.selu, functional.selu, away_from([0], 3, 4)),
    Case("mish", ops.mish, functional.mish, real(3, 4)),
    Case("softsign", ops.softsign, functional.softsign, away_from([0], 3, 4)),
    Case("tanhshrink", ops.tanhshrink, functional.tanhshrink, real(3, 4)),
    Case("logsigmoid", ops.logsigmoid, functional.logsigmoid, real(3, 4)),
    Case("softmin", ops.softmin, lambda x: functional.softmin(x, -1), real(3, 4)),
    Case("softmin axis", lambda x: ops.softmin(x, axis=0), lambda x: functional.softmin(x, 0),
         real(3, 4)),
    Case("glu", ops.glu, functional.glu, real(3, 4)),
    Case("glu axis", lambda x: ops.glu(x, axis=1), lambda x: functional.glu(x, 1), real(2, 4, 3)),
    Case("gumbel_softmax", lambda x: ops.gumbel_softmax(x, 0.7, axis=0, key=KEY),
         lambda x: ((x - (-uniforms(x.shape, x.dtype).log()).log()) / 0.7).softmax(0), real(3, 4)),
]
# fmt: on
