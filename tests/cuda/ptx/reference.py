"""PTX's arithmetic by Python's integers, fractions and NumPy: independent of the tested C."""

from fractions import Fraction

import numpy as np

from .one_instruction import DTYPES

EDGES = {
    "f": [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -1.5,
        2.5,
        3.5,
        np.inf,
        -np.inf,
        np.nan,
        0.99999,
        3e4,
        -7e4,
        2e9,
    ],
    "i": [0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 255],
}


def values(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of a type: edges first, then drawn over many magnitudes."""
    dtype = DTYPES[kind]
    if kind == "pred":
        return rng.integers(0, 2, count).astype("u4")
    if dtype.kind == "f":
        info = np.finfo(dtype)
        edges = [*EDGES["f"], info.tiny, -info.tiny / 2, info.smallest_subnormal, info.max]
        scale = np.exp2(rng.uniform(-info.nmant, info.nmant, count))
        drawn = rng.standard_normal(count) * np.where(rng.random(count) < 0.5, 1, scale)
    else:
        info = np.iinfo(dtype)
        edges = [*(e for e in EDGES["i"] if e <= info.max), info.min, info.max, info.max // 2]
        bits = rng.integers(0, 8 * dtype.itemsize, count)
        drawn = rng.integers(0, 2**64, count, np.uint64) >> np.uint64(64 - 8 * dtype.itemsize)
        drawn = drawn >> bits.astype(np.uint64) if dtype.kind == "u" else drawn
    with np.errstate(all="ignore"):
        made = np.asarray(drawn).astype(dtype)
        positions = rng.choice(count, min(len(edges) * 6, count // 2), replace=False)
        made[positions] = np.resize(np.array(edges, object), len(positions)).astype(dtype)
    return made


def flushed(x: np.ndarray) -> np.ndarray:
    """Subnormal float32 as zeros of the same sign."""
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x)


def saturated(x: np.ndarray) -> np.ndarray:
    """Clamped to [0, 1]; a NaN is 0."""
    return np.where(x > 0, np.minimum(x, x.dtype.type(1)), x.dtype.type(0))


def round_exactly(exact: Fraction, mode: str, dtype: np.dtype) -> np.floating:
    """A fraction as the number of a type that a rounding mode gives."""
    kind = dtype.type
    with np.errstate(all="ignore"):
        most = Fraction(float(np.finfo(dtype).max))
        infinity = np.inf if exact > 0 else -np.inf
        near = kind(infinity if abs(exact) > most else float(exact))
        below = above = near
        while (
            np.isinf(below) and below > 0 or np.isfinite(below) and Fraction(float(below)) > exact
        ):
            below = np.nextafter(below, kind(-np.inf))
        while (
            np.isinf(above) and above < 0 or np.isfinite(above) and Fraction(float(above)) < exact
        ):
            above = np.nextafter(above, kind(np.inf))
        if np.isfinite(below) and Fraction(float(below)) == exact:
            return below
        if np.isfinite(above) and Fraction(float(above)) == exact:
            return above
        up = np.nextafter(below, kind(np.inf))
        above = up if np.isfinite(below) else above
        below = np.nextafter(above, kind(-np.inf)) if not np.isfinite(below) else below
    if mode == "rn":
        return _nearest(exact, below, above, dtype)
    if mode == "rz":
        return below if exact > 0 else above
    return below if mode == "rm" else above


def _nearest(
    exact: Fraction, below: np.floating, above: np.floating, dtype: np.dtype
) -> np.floating:
    step = Fraction(float(np.finfo(dtype).max)) - Fraction(
        float(np.nextafter(np.finfo(dtype).max, dtype.type(0)))
    )
    low = (
        Fraction(float(below))
        if np.isfinite(below)
        else -Fraction(float(np.finfo(dtype).max)) - step
    )
    high = (
        Fraction(float(above))
        if np.isfinite(above)
        else Fraction(float(np.finfo(dtype).max)) + step
    )
    if exact - low != high - exact:
        return below if exact - low < high - exact else above
    word = np.dtype(f"u{dtype.itemsize}")
    return below if not int(np.array(below).view(word)) & 1 else above


def exact_operation(name: str, operands: list[np.ndarray], mode: str) -> np.ndarray:
    """add, sub, mul, div, fma, sqrt, rcp of floats, correctly rounded in a mode."""
    dtype = operands[0].dtype
    plain = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "fma": lambda a, b, c: a * b + c,
        "rcp": lambda a: 1 / a,
    }[name]
    with np.errstate(all="ignore"):
        wide = np.longdouble if name == "fma" else dtype  # a·b alone does not overflow
        result = np.asarray(plain(*(x.astype(wide) for x in operands)), dtype)
    for i, row in enumerate(zip(*operands, strict=True)):
        if not all(np.isfinite(x) for x in row):
            continue
        numbers = [Fraction(float(x)) for x in row]
        if name in ("div", "rcp") and numbers[-1] == 0:
            continue
        exact = plain(*numbers)
        if exact == 0:
            result[i] = _zero(name, row, mode, dtype)
        else:
            result[i] = round_exactly(exact, mode, dtype)
            if result[i] == 0:
                result[i] = np.copysign(dtype.type(0), -1.0 if exact < 0 else 1.0)
    return result


def _zero(name: str, row: tuple, mode: str, dtype: np.dtype) -> np.floating:
    """The sign of an exact zero: a cancelled sum is −0 only when rounded down."""
    if name in ("mul", "div"):
        return np.copysign(dtype.type(0), np.copysign(1, row[0]) * np.copysign(1, row[1]))
    terms = {
        "add": lambda: (np.copysign(1, row[0]), np.copysign(1, row[1])),
        "sub": lambda: (np.copysign(1, row[0]), -np.copysign(1, row[1])),
        "fma": lambda: (np.copysign(1, row[0]) * np.copysign(1, row[1]), np.copysign(1, row[2])),
    }[name]()
    both_zero_or_cancelled = terms[0] if terms[0] == terms[1] else (-1 if mode == "rm" else 1)
    return np.copysign(dtype.type(0), both_zero_or_cancelled)


def square_root(x: np.ndarray, mode: str) -> np.ndarray:
    """√x, correctly rounded in a mode: the nearest, moved by its square's error."""
    with np.errstate(all="ignore"):
        near = np.sqrt(x)
    for i, (value, root) in enumerate(zip(x, near, strict=True)):
        if not np.isfinite(value) or value <= 0:
            continue
        error = Fraction(float(root)) ** 2 - Fraction(float(value))
        if error > 0 and mode in ("rz", "rm"):
            near[i] = np.nextafter(root, x.dtype.type(0))
        if error < 0 and mode == "rp":
            near[i] = np.nextafter(root, x.dtype.type(np.inf))
    return near


def same(got: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where two arrays have the same bits, or are both NaN."""
    wanted = np.asarray(wanted).astype(got.dtype)
    if got.dtype.kind == "f":
        word = f"u{got.dtype.itemsize}"
        return (got.view(word) == wanted.view(word)) | (np.isnan(got) & np.isnan(wanted))
    return got == wanted
