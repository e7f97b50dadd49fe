"""Cases of cvt, of moves and of address windows."""

from fractions import Fraction
from typing import Any

import numpy as np

from .elementwise import Call, Case, case, each
from .one_instruction import DTYPES
from .reference import flushed, round_exactly, saturated
from .syntax import SIZES

_WHOLE = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


@case("cvt")
def _conversion(call: Call) -> Case:
    to = call["to"] or "tf32"
    source = call["from"] or ("f32" if call.opcode.endswith("f32") else call.parts[-1])
    if to in ("f16x2", "bf16x2"):
        return _pair(call, to)
    if to in ("bf16", "tf32") or call.has("relu"):
        return Case(("f32",), (to if to != "tf32" else "b32",), lambda x: _short(call, to, x))
    floats = to[0] == "f", source[0] == "f"
    if floats == (False, False):
        return Case((source,), (to,), each(lambda a: _clamped(a, to) if call.has("sat") else a))
    if floats == (True, True):
        return Case((source,), (to,), lambda x: _float_to_float(call, to, x))
    if floats == (True, False):
        return Case((source,), (to,), lambda x: _from_integer(call, to, x))
    return Case((source,), (to,), lambda x: _to_integer(call, to, x))


def _clamped(a: int, to: str) -> int:
    info = np.iinfo(DTYPES[to])
    return max(int(info.min), min(int(info.max), a))


def _to_integer(call: Call, to: str, x: np.ndarray) -> np.ndarray:
    if call.has("ftz") and x.dtype == np.float32:
        x = flushed(x)
    bits = 8 * SIZES[to]
    of_nan = 0
    if x.dtype == np.float64 or bits == 64:
        of_nan = -(2 ** (bits - 1)) if to[0] == "s" else 2 ** (bits - 1)
    info = np.iinfo(DTYPES[to])
    results = []
    for value in x:
        if np.isnan(value):
            results.append(of_nan)
        elif np.isinf(value):
            results.append(int(info.max if value > 0 else info.min))
        else:
            results.append(_clamped(int(_WHOLE[call["round"]](np.float64(value))), to))
    return np.array(results, object)


def _from_integer(call: Call, to: str, x: np.ndarray) -> np.ndarray:
    dtype = DTYPES[to]
    rounded = [round_exactly(Fraction(int(a)), call.mode, dtype) for a in x]
    result = np.array(rounded, dtype)
    return saturated(result) if call.has("sat") else result


def _float_to_float(call: Call, to: str, x: np.ndarray) -> np.ndarray:
    if call.has("ftz") and x.dtype == np.float32:
        x = flushed(x)
    dtype = DTYPES[to]
    if call["round"] in _WHOLE:
        result = _WHOLE[call["round"]](x)
    elif dtype.itemsize >= x.dtype.itemsize:
        result = x.astype(dtype)
    else:
        result = _narrowed(x, call.mode, dtype)
    if call.has("ftz") and dtype == np.float32:
        result = flushed(result)
    return saturated(result) if call.has("sat") else result


def _narrowed(x: np.ndarray, mode: str, dtype: np.dtype) -> np.ndarray:
    result = x.astype(dtype)
    for i, value in enumerate(x):
        if np.isfinite(value) and value:
            result[i] = np.copysign(round_exactly(Fraction(float(value)), mode, dtype), value)
    return result


def _short(call: Call, to: str, x: np.ndarray) -> np.ndarray:
    """float32 → bfloat16, half or tf32, as bits."""
    if call.has("relu"):
        x = np.where((x > 0) | np.isnan(x), x, np.float32(0)).astype("f4")
    if to == "f16":
        return _narrowed(x, call.mode, np.dtype("f2"))
    words = x.view("u4").astype("u8")
    drop = 13 if to == "tf32" else 16
    below = words & ((1 << drop) - 1)
    half = 1 << (drop - 1)
    kept = words >> drop
    if to == "tf32":
        up = below >= half
    elif call.mode == "rz":
        up = np.zeros(len(x), bool)
    else:
        up = (below > half) | ((below == half) & (kept & 1 == 1))
    kept = np.where(np.isnan(x), 0x7FFF if to != "tf32" else 0x7FFFFFFF >> drop, kept + up)
    kept = np.where(np.isinf(x), words >> drop, kept)
    if to == "tf32":
        return np.where(np.isnan(x), 0x7FFFFFFF, kept << drop).astype("u4")
    return kept.astype("u2")


def _pair(call: Call, to: str) -> Case:
    def reference(high: np.ndarray, low: np.ndarray) -> np.ndarray:
        parts: list[Any] = [_short(call, to[:-2], x).view("u2").astype("u4") for x in (high, low)]
        return parts[0] << 16 | parts[1]

    return Case(("f32", "f32"), ("b32",), reference)


@case("mov")
def _move(call: Call) -> Case:
    kind, size = call.type, SIZES[call.type]
    if kind not in ("b32", "b64"):
        return Case((kind,), (kind,), lambda a: a)
    half = 4 * size
    names = f".reg .b{half} l, h; "
    text = f"{names}mov.{kind} {{l, h}}, a0; mov.{kind} d0, {{h, l}}; mov.{kind} d1, a0;"
    swapped = each(lambda a: a >> half | (a & (2**half - 1)) << half)
    return Case((kind,), (kind, kind), lambda a: (swapped(a), a), text)
