"""Rows of the Fourier transforms: of real numbers, both parts of the result."""

from minidl.ops import fourier
from tests.cases.registry import ops
from tests.helpers import Case, real
from tests.oracle import torch


def parts(library, name, **settings):
    """Re y + 2·Im y, or y where it is real."""
    transform = getattr(torch.fft if library is torch else fourier, name)

    def function(x):
        y = transform(x, **settings)
        kind = y.is_complex() if library is torch else y.dtype.kind == "c"
        y = library.real(y) + 2 * library.imag(y) if kind else y
        return y.type(x.dtype) if library is torch else y.astype(x.dtype)  # float16 is widened

    return function


def _rows(name, label="", given=None, renamed=None):
    """A row with settings that PyTorch calls by other names."""
    given = given or {}
    theirs = {(renamed or {}).get(key, key): value for key, value in given.items()}
    ours = parts(ops, name, **given)
    return Case(f"{name} {label}".strip(), ours, parts(torch, name, **theirs), real(3, 4))


_LINES = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_GRIDS = ("fftn", "ifftn", "rfftn", "irfftn")

CASES = [
    *(_rows(name) for name in (*_LINES, *_GRIDS, "fftshift", "ifftshift")),
    *(
        _rows(name, f"of {n}", {"n": n, "axis": 0, "norm": "ortho"}, {"axis": "dim"})
        for name in _LINES
        for n in (2, 5)
    ),
    *(
        _rows(name, "cut and padded", {"s": (5, 2), "axes": (1, 0)}, {"axes": "dim"})
        for name in _GRIDS
    ),
]
