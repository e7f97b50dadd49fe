"""The short-time Fourier transform and its inverse, against PyTorch's."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import fft
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError
from tests.bad_input import call, every_spoilt, real
from tests.oracle import torch

SIGNALS = np.random.default_rng(0).normal(size=(2, 40))
HANN = np.hanning(9)[:-1]
SETTINGS = [
    {"n_fft": n_fft, "hop_length": hop, "center": center, "normalized": normalized, **more}
    for n_fft, hop in ((8, None), (8, 3), (7, 2))
    for center, normalized in itertools.product((True, False), repeat=2)
    for more in ({}, {"onesided": False}, {"pad_mode": "constant"})
]


def in_torch(settings, window):
    """The settings for PyTorch."""
    window = torch.ones(settings["n_fft"], dtype=torch.float64) if window is None else window
    return settings | {"window": torch.as_tensor(window), "win_length": len(window)}


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("window", [None, HANN[:6]], ids=["ones", "hann"])
def test_spectra_are_pytorchs(settings, window):
    found = fft.stft(SIGNALS, window=window, **settings)
    theirs = in_torch(settings, window)
    needed = torch.stft(torch.tensor(SIGNALS), return_complex=True, **theirs)
    np.testing.assert_allclose(found, needed, rtol=0, atol=1e-12)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_inverse_is_pytorchs_and_gives_the_signal_back(settings):
    spectra = fft.stft(SIGNALS, **settings)
    settings = {name: value for name, value in settings.items() if name != "pad_mode"}
    bent = spectra * (1 + minidl.abs(spectra))
    found = fft.istft(bent, **settings)
    theirs = in_torch(settings, None) | {"return_complex": settings.get("onesided") is False}
    needed = torch.istft(torch.tensor(np.asarray(bent)), **theirs)
    np.testing.assert_allclose(found, needed, rtol=0, atol=1e-12)
    back = np.asarray(fft.istft(spectra, **settings))
    np.testing.assert_allclose(back, SIGNALS[:, : back.shape[-1]], rtol=0, atol=1e-12)


@given(st.integers(0, 60))
def test_a_length_cuts_or_adds_zeros(length):
    spectra = fft.stft(SIGNALS[0], 8, window=HANN)
    found = np.asarray(fft.istft(spectra, 8, window=HANN, length=length))
    padded = np.zeros(max(length, 44))
    padded[:40] = SIGNALS[0]
    assert found.shape == (length,)
    np.testing.assert_allclose(found[:40], padded[: min(length, 40)], rtol=0, atol=1e-12)


def test_complex_signals_have_all_frequencies():
    x = SIGNALS[0] + 1j * SIGNALS[1]
    spectra = fft.stft(x, 8, window=HANN)
    assert spectra.shape == (8, 21)
    found = fft.istft(spectra, 8, window=HANN, onesided=False)
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-12)
    with pytest.raises(ArgumentError, match="of complex signals all frequencies differ"):
        fft.stft(x, 8, onesided=True)


def test_dtypes_and_shapes():
    x = SIGNALS.astype("float32")
    assert fft.stft(x, 8, window=HANN).dtype == "complex64"
    assert fft.istft(fft.stft(x, 8), 8).dtype == "float32"
    assert fft.stft(x.astype("float16"), 8).dtype == "complex64"
    assert fft.stft(x.reshape(2, 5, 8), 4).shape == (2, 5, 3, 9)
    assert fft.stft(x[:0], 8).shape == (0, 5, 21)


def test_the_gradient_of_the_round_trip_is_dy():
    weights = np.random.default_rng(1).normal(size=40)

    def loss(x):
        return (fft.istft(fft.stft(x, 8, window=HANN), 8, window=HANN) * weights).sum()

    np.testing.assert_allclose(minidl.grad(loss)(SIGNALS[0]), weights, atol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: fft.stft(SIGNALS, 50, center=False), ShapeError, "of 40 is shorter than n_fft=50"),
        (lambda: fft.stft(SIGNALS, 0), ArgumentError, "n_fft is an integer ≥ 1"),
        (lambda: fft.stft(SIGNALS, 8, hop_length=0), ArgumentError, "hop_length is an integer ≥ 1"),
        (lambda: fft.stft(SIGNALS, 8, window=np.ones(9)), ShapeError, "vector of 1 to 8 numbers"),
        (lambda: fft.stft(np.arange(9), 4), DTypeError, "needs floating-point or complex numbers"),
        (lambda: fft.stft(1.5, 4), MinidlError, "stft"),
        (lambda: fft.istft(SIGNALS, 8), ShapeError, r"needs \(…, 8, frames\); got shape \(2, 40\)"),
        (
            lambda: fft.istft(fft.stft(SIGNALS, 8, window=HANN, center=False), 8, window=HANN,
                              center=False),
            ArgumentError,
            "there are samples that no window covers",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_transformed_is_refused(wrong, error, words):
    with pytest.raises(error, match=words):
        wrong()


@pytest.mark.parametrize("n_fft", [1, 2])
def test_where_one_side_is_all_the_sides_are_said(n_fft):
    for x in (SIGNALS, SIGNALS + 1j * SIGNALS[::-1]):
        spectra = fft.stft(x, n_fft)
        with pytest.raises(ArgumentError, match=f"one side of n_fft={n_fft}: say onesided=True"):
            fft.istft(spectra, n_fft)
        found = fft.istft(spectra, n_fft, onesided=x.dtype.kind != "c")
        np.testing.assert_allclose(found, x, rtol=0, atol=1e-12)


SPECTRA = fft.stft(real(2, 16), 4)
CALLS = [
    call(
        fft.stft,
        real(2, 16),
        4,
        hop_length=2,
        window=real(3),
        center=True,
        pad_mode="constant",
        normalized=True,
        onesided=True,
        allowed=("window: None",),
        names=("pad",),
    ),
    call(
        fft.istft,
        SPECTRA,
        4,
        hop_length=1,
        window=real(4),
        center=True,
        normalized=True,
        onesided=True,
        length=12,
        allowed=("window: None",),
    ),
]


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()
