"""Cases of functions, comparisons and selections."""

from typing import Any

import numpy as np

from .elementwise import Call, Case, case, floats
from .one_instruction import DTYPES
from .reference import exact_operation, flushed, square_root

# Functions

_EXACT = {
    "rcp": lambda x: 1 / x,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin,
    "cos": np.cos,
    "ex2": np.exp2,
    "lg2": np.log2,
    "tanh": np.tanh,
}
_ERRORS = {  # the PTX manual's bounds of approximations: relative, absolute
    "rcp": (2.0**-23, 0),
    "sqrt": (2.0**-23, 0),
    "rsqrt": (2.0**-22.9, 0),
    "sin": (0, 2.0**-20.5),
    "cos": (0, 2.0**-20.5),
    "ex2": (2.0**-22.5, 2.0**-149),
    "lg2": (2.0**-22, 2.0**-22),
    "tanh": (2.0**-11, 0),
}


@case("rcp", "sqrt", "rsqrt", "sin", "cos", "ex2", "lg2", "tanh")
def _function(call: Call) -> Case:
    if not call.has("approx"):
        if call.name == "rcp":
            return floats(call, 1, lambda x: exact_operation("rcp", [x], call.mode))
        return floats(call, 1, lambda x: square_root(x, call.mode))
    made = floats(call, 1, lambda x: _EXACT[call.name](x.astype("f8")))
    if call.type.startswith("f32"):
        relative, absolute = _ERRORS[call.name]
        made.error = lambda wanted: np.abs(wanted) * relative + absolute
    if call.type == "f64":
        made.error = lambda wanted: np.abs(wanted) * 2.0**-51
    return made


# Comparison and selection

_TESTS = {
    **{"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal},
    **{"gt": np.greater, "ge": np.greater_equal},
    **{"lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal},
}
_BOOLEANS = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _holds(call: Call, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    test = call["test"]
    if call.has("ftz") and a.dtype == np.float32:
        a, b = flushed(a), flushed(b)
    unordered = np.isnan(a) | np.isnan(b) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
    if test in ("num", "nan"):
        return unordered if test == "nan" else ~unordered
    if test in _TESTS:
        return _TESTS[test](a, b) & ~unordered
    return _TESTS[test[:-1]](a, b) | unordered


@case("setp", "set")
def _comparison(call: Call) -> Case:
    kind = call.type
    outputs = ("pred", "pred") if call.name == "setp" else (call["to"],)

    def reference(a: np.ndarray, b: np.ndarray, c: np.ndarray | None = None) -> Any:
        holds = _holds(call, a, b)
        joined = [_BOOLEANS[call["bool"]](h, c) if c is not None else h for h in (holds, ~holds)]
        if call.name == "setp":
            return tuple(j.astype("u4") for j in joined)
        ones = (
            np.float32(1)
            if call["to"] == "f32"
            else DTYPES[call["to"]].type(~0 if call["to"] == "s32" else 2**32 - 1)
        )
        return np.where(joined[0], ones, 0).astype(DTYPES[call["to"]])

    return Case((kind, kind, *(("pred",) if call["bool"] else ())), outputs, reference)


@case("selp")
def _selection(call: Call) -> Case:
    return Case(
        (call.type, call.type, "pred"), (call.type,), lambda a, b, p: np.where(p != 0, a, b)
    )


@case("slct")
def _selection_by_sign(call: Call) -> Case:
    def reference(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.where((flushed(c) if call.has("ftz") else c) >= 0, a, b)

    return Case((call.type, call.type, call["by"]), (call.type,), reference)


@case("testp")
def _property(call: Call) -> Case:
    tiny = np.finfo(DTYPES[call.type]).tiny
    tests = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda x: ~np.isnan(x),
        "notanumber": np.isnan,
        "normal": lambda x: np.isfinite(x) & (np.abs(x) >= tiny),
        "subnormal": lambda x: (np.abs(x) < tiny) & (x != 0),
    }
    return Case((call.type,), ("pred",), lambda x: tests[call["test"]](x).astype("u4"))
