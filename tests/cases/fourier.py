"""Rows of the Fourier transforms: of real numbers, both parts of the result."""

import numpy as np

from minidl.ops import fourier, short_time_fourier
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


WINDOW = np.array([0.2, 0.9, 1.0, 0.5])
STFTS = {
    "": {"n_fft": 4},
    "with a window": {"n_fft": 5, "hop_length": 2, "window": WINDOW, "normalized": True},
    "of all frequencies": {"n_fft": 4, "onesided": False, "pad_mode": "constant"},
}


def _stft_settings(library, x, settings):
    """The settings for a library, with the window in the dtype of x."""
    settings = dict(settings)
    if (window := settings.get("window")) is None:
        settings["window"] = np.ones(settings["n_fft"])  # PyTorch warns without
    window = library.asarray(np.asarray(settings["window"]))
    settings["window"] = window.type(x.dtype) if library is torch else window
    if library is torch:
        settings |= {"win_length": len(window), "return_complex": True}
    return settings


def _stft(library, x, **settings):
    """The stft of either library."""
    function = torch.stft if library is torch else short_time_fourier.stft
    return function(x, **_stft_settings(library, x, settings))


def of_stft(library, **settings):
    """Re y + 2·Im y of the stft."""

    def function(x):
        y = _stft(library, x, **settings)
        y = library.real(y) + 2 * library.imag(y)
        return y.type(x.dtype) if library is torch else y.astype(x.dtype)

    return function


def of_istft(library, **settings):
    """The istft of the weighted stft, from which no signal comes out as it went in."""
    inverse = torch.istft if library is torch else short_time_fourier.istft

    def function(x):
        y = _stft(library, x, **settings)
        y = y * library.abs(y)
        own = {k: v for k, v in _stft_settings(library, x, settings).items() if k != "pad_mode"}
        own["return_complex"] = not settings.get("onesided", True)
        own = own if library is torch else {k: v for k, v in own.items() if k != "return_complex"}
        z = inverse(y, length=11, **own)
        z = library.real(z) + 2 * library.imag(z) if not settings.get("onesided", True) else z
        return z.type(x.dtype) if library is torch else z.astype(x.dtype)

    return function


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
    *(
        Case(f"stft {name}", of_stft(ops, **settings), of_stft(torch, **settings), real(2, 12))
        for name, settings in STFTS.items()
    ),
    *(
        Case(f"istft {name}", of_istft(ops, **settings), of_istft(torch, **settings), real(2, 12))
        for name, settings in STFTS.items()
    ),
]
