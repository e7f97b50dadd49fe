"""The bound of sums: max(1, log₂ n)·ε·Σ|terms| from the exact one."""

import numpy as np


def _sum(terms, axes):
    """Σ in long doubles, the first half plus the second, and so on; keeping the axes."""
    kept = [i for i in range(terms.ndim) if i not in axes]
    rows = terms.transpose([*axes, *kept]).reshape(-1, *(terms.shape[i] for i in kept))
    rows = rows.astype(np.longdouble)
    while len(rows) > 1:
        half = len(rows) // 2
        rows = np.concatenate([rows[:half] + rows[half : 2 * half], rows[2 * half :]])
    return rows.sum(axis=0).reshape([1 if i in axes else n for i, n in enumerate(terms.shape)])


def excess(found, terms, axis=None):
    """The largest error of sums over the axes, as a part of the bound: at most 1 is within it.

    The terms are real; what is found keeps the axes or not.
    """
    terms, dtype = np.asarray(terms), np.asarray(found).dtype
    axes = range(terms.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = [i % terms.ndim for i in axes]
    exact, size = _sum(terms, axes), _sum(np.abs(terms), axes)
    n = terms.size / max(1, exact.size)
    with np.errstate(invalid="ignore"):
        error = np.abs(np.asarray(found, np.longdouble).reshape(exact.shape) - exact)
    error = np.where(np.abs(exact) > np.finfo(dtype).max, 0, error)  # both are infinite
    bound = max(1, np.log2(max(n, 1))) * np.finfo(dtype).eps * size
    return float((error / np.where(bound == 0, 1, bound)).max(initial=0))


def hostile(kind, shape, dtype):
    """Terms with which sums go wrong: equal ones, many decades, cancellation, one large and many
    small."""
    n = int(np.prod(shape))
    rng = np.random.default_rng(n)
    terms = {
        "tenths": lambda: np.full(n, 0.1),
        "ones": lambda: np.ones(n),
        "decades": lambda: rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, size=n),
        "alternating": lambda: np.where(np.arange(n) % 2, -1.0, 1.0) * (1 + rng.random(n) / 100),
        "large first": lambda: np.where(np.arange(n) == 0, 1.0, np.finfo(dtype).eps * 0.49),
    }
    with np.errstate(over="ignore"):
        values = terms[kind]().astype(dtype)
    return np.where(np.isfinite(values), values, 1).astype(dtype).reshape(shape)


KINDS = ("tenths", "ones", "decades", "alternating", "large first")
