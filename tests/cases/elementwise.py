"""Rows of elementwise functions: arithmetic, choices, exponentials, trigonometry, erf, Γ."""

from tests.cases.registry import ops
from tests.cases.support import MASK
from tests.helpers import Case, away_from, distinct, fixed, given, positive, real, unit
from tests.oracle import torch


def parts(library, z, x):
    """Re z + 2·Im z, in the dtype of x, of which z was made: complex numbers of float16 are wider."""
    y = library.real(z) + 2 * library.imag(z)
    return y.type(x.dtype) if library is torch else y.astype(x.dtype)


def of_number(library, function, x, y):
    """A function of x + i·y, in the dtype of x."""
    z = function(library.complex(x, y))
    return z.type(x.dtype) if library is torch else z.astype(x.dtype)


# fmt: off
CASES = [
    Case("add", ops.add, torch.add, real(3, 4), real(3, 4)),
    Case("add broadcast", ops.add, torch.add, real(3, 1), real(2, 1, 4)),
    Case("add to itself", lambda x: x + x, lambda x: x + x, real(3)),
    Case("subtract", ops.subtract, torch.subtract, real(3, 4), real(4)),
    Case("subtract from a number", lambda x: 2 - x, lambda x: 2 - x, real(3, 4)),
    Case("multiply", ops.multiply, torch.multiply, real(3, 4), real(3, 4)),
    Case("multiply broadcast", ops.multiply, torch.multiply, real(2, 1, 4), real(3, 1)),
    Case("multiply by a number", lambda x: 1.5 * x, lambda x: 1.5 * x, real()),
    Case("divide", ops.divide, torch.divide, real(3, 4), away_from([0], 3, 4)),
    Case("divide broadcast", ops.divide, torch.divide, real(4), away_from([0], 3, 1)),
    Case("divide a number", lambda x: 2 / x, lambda x: 2 / x, away_from([0], 3, 4)),
    Case("pow", ops.pow, torch.pow, positive(3, 4), real(3, 4)),
    Case("pow broadcast", ops.pow, torch.pow, positive(2, 1, 4), real(3, 1)),
    Case("pow squared", lambda x: x**2, lambda x: x**2, real(3, 4)),
    Case("pow cubed, array", lambda x: x ** ops.full_like(x, 3),
         lambda x: x ** torch.full_like(x, 3), real(3, 4)),
    Case("pow inverse", lambda x: x**-1, lambda x: x**-1, away_from([0], 3, 4)),
    Case("pow root", lambda x: x**0.5, lambda x: x**0.5, positive(3, 4)),
    Case("pow of a number", lambda x: 2**x, lambda x: 2**x, real(3, 4)),
    Case("negative", ops.negative, torch.negative, real(3, 4)),
    Case("positive", ops.positive, torch.positive, real(3, 4)),
    Case("reciprocal", ops.reciprocal, torch.reciprocal, away_from([0], 3, 4)),
    Case("remainder", ops.remainder, torch.remainder,
         given([5.3, -5.3, 5.3, -5.3, 0.7]), given([2.0, 2.0, -2.0, -2.0, 3.1])),
    Case("xdivy", ops.xdivy, torch.divide, away_from([0], 3, 4), away_from([0], 4)),
    Case("xmuly", ops.xmuly, torch.multiply, real(3, 4), real(4)),
    Case("xlogy", ops.xlogy, torch.xlogy, away_from([0], 3, 4), positive(4)),
    Case("abs", ops.abs, torch.abs, away_from([0], 3, 4)),
    Case("square", ops.square, torch.square, real(3, 4)),
    Case("sqrt", ops.sqrt, torch.sqrt, positive(3, 4)),
    Case("hypot", ops.hypot, torch.hypot, away_from([0], 3, 1), away_from([0], 4)),
    Case("copysign", lambda x: ops.copysign(x, ops.flip(x)),
         lambda x: torch.copysign(x, x.flip(0, 1)), away_from([0], 3, 4)),
    Case("copysign of a number", lambda x: ops.copysign(x, -1.0),
         lambda x: torch.copysign(x, -1.0), away_from([0], 3, 4)),
    Case("real", ops.real, torch.real, real(3, 4)),
    Case("conj", ops.conj, torch.conj, real(3, 4)),
    Case("maximum", ops.maximum, torch.maximum, distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("maximum broadcast", ops.maximum, torch.maximum, distinct(3, 1), distinct(4, shift=0.25)),
    Case("minimum", ops.minimum, torch.minimum, distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("minimum broadcast", ops.minimum, torch.minimum, distinct(3, 1), distinct(4, shift=0.25)),
    Case("where", ops.where, torch.where, fixed(MASK), real(2, 3), real(2, 3)),
    Case("where broadcast", ops.where, torch.where, fixed(MASK), real(4, 2, 1), real()),
    Case("where with a number", lambda m, x: ops.where(m, x, 0.5),
         lambda m, x: torch.where(m, x, 0.5), fixed(MASK), real(2, 3)),
    Case("clip", lambda x: ops.clip(x, -1, 1), lambda x: x.clip(-1, 1), away_from([-1, 1], 3, 4)),
    Case("clip below", lambda x: ops.clip(x, min=0), lambda x: x.clip(min=0), away_from([0], 3, 4)),
    Case("clip above", lambda x: ops.clip(x, max=0), lambda x: x.clip(max=0), away_from([0], 3, 4)),
    Case("clip between tensors", ops.clip, torch.clip,
         distinct(8), given([-0.3] * 8), given([0.8])),
    Case("lerp", ops.lerp, torch.lerp, real(3, 4), real(4), away_from([0.5], 3, 4)),
    Case("nan_to_num", ops.nan_to_num, torch.nan_to_num, real(3, 4)),
    Case("exp", ops.exp, torch.exp, real(3, 4)),
    Case("expm1", ops.expm1, torch.expm1, real(3, 4)),
    Case("log", ops.log, torch.log, positive(3, 4)),
    Case("log1p", ops.log1p, torch.log1p, unit(3, 4)),
    Case("log2", ops.log2, torch.log2, positive(3, 4)),
    Case("log10", ops.log10, torch.log10, positive(3, 4)),
    Case("logaddexp", ops.logaddexp, torch.logaddexp, real(3, 4), real(4)),
    Case("logaddexp of equals", ops.logaddexp, torch.logaddexp, given([1, 2]), given([1, -90])),
    Case("sin", ops.sin, torch.sin, real(3, 4)),
    Case("cos", ops.cos, torch.cos, real(3, 4)),
    Case("tan", ops.tan, torch.tan, unit(3, 4)),
    Case("asin", ops.asin, torch.asin, unit(3, 4)),
    Case("acos", ops.acos, torch.acos, unit(3, 4)),
    Case("atan", ops.atan, torch.atan, real(3, 4)),
    Case("atan2", ops.atan2, torch.atan2, away_from([0], 3, 4), away_from([0], 4)),
    Case("sinh", ops.sinh, torch.sinh, real(3, 4)),
    Case("cosh", ops.cosh, torch.cosh, real(3, 4)),
    Case("tanh", ops.tanh, torch.tanh, real(3, 4)),
    Case("tanh of one number", ops.tanh, torch.tanh, real()),
    Case("asinh", ops.asinh, torch.asinh, real(3, 4)),
    Case("acosh", lambda x: ops.acosh(x + 3), lambda x: torch.acosh(x + 3), unit(3, 4)),
    Case("atanh", ops.atanh, torch.atanh, unit(3, 4)),
    Case("erf", ops.erf, torch.erf, real(3, 4)),
    Case("erfc", ops.erfc, torch.erfc, real(3, 4)),
    Case("erfinv", ops.erfinv, torch.erfinv, unit(3, 4)),
    Case("lgamma", ops.lgamma, torch.lgamma, positive(3, 4)),
    # PyTorch's polygamma is right to ten digits, SciPy's to fifteen.
    Case("digamma", ops.digamma, None, positive(3, 4)),
    Case("polygamma", lambda x: ops.polygamma(x, 1), None, positive(3, 4)),
    Case("sinc", ops.sinc, lambda x: torch.sin(torch.pi * x) / (torch.pi * x),
         away_from([0], 3, 4)),
    Case("sinc at 0", ops.sinc, None, given([0.0, 0.01, -0.03])),
    Case("fmod", ops.fmod, torch.fmod,
         given([5.3, -5.3, 5.3, -5.3, 0.7]), given([2.0, 2.0, -2.0, -2.0, 3.1])),
    Case("fmax", ops.fmax, torch.fmax, distinct(3, 4), distinct(3, 4, shift=0.25)),
    Case("fmin", ops.fmin, torch.fmin, distinct(3, 1), distinct(4, shift=0.25)),
    Case("logit", lambda x: ops.logit(x / 2 + 0.5), lambda x: torch.logit(x / 2 + 0.5),
         unit(3, 4)),
    Case("logit eps", lambda x: ops.logit(x / 2 + 0.5, 0.2), lambda x: torch.logit(x / 2 + 0.5, 0.2),
         away_from([-0.6, 0.6], 3, 4)),
    Case("log_odds", lambda x: ops.log_odds(x / 2 + 0.5), lambda x: torch.logit(x / 2 + 0.5),
         unit(3, 4)),
    Case("complex", lambda x, y: parts(ops, ops.complex(x, y), x),
         lambda x, y: parts(torch, torch.complex(x, y), x), real(3, 4), real(3, 4)),
    Case("polar", lambda x, y: parts(ops, ops.polar(x, y), x),
         lambda x, y: parts(torch, torch.polar(x, y), x), real(3, 4), real(3, 4)),
    Case("angle", lambda x, y: of_number(ops, ops.angle, x, y),
         lambda x, y: of_number(torch, torch.angle, x, y),
         away_from([0], 3, 4), away_from([0], 3, 4)),
    Case("view_as_real", lambda x, y: of_number(ops, ops.view_as_real, x, y),
         lambda x, y: of_number(torch, torch.view_as_real, x, y), real(3, 4), real(3, 4)),
    Case("view_as_complex", lambda x: parts(ops, ops.view_as_complex(x), x),
         lambda x: parts(torch, torch.view_as_complex(x), x), real(3, 2)),
]
# fmt: on
