"""The short-time Fourier transform: the spectra of overlapping parts of a signal, and its inverse.

D. W. Griffin, J. S. Lim 1984, Signal estimation from modified short-time Fourier transform.
"""

from minidl.autograd.primitive import composite
from minidl.checks import check_choice, check_flags, check_integers
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops.creation import arange, ones
from minidl.ops.indexing import array_index

_MODES = ("reflect", "constant", "replicate", "circular")


@composite
def stft(
    xp,
    x,
    /,
    n_fft,
    *,
    hop_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
):
    """y[…, k, m] = Σⱼ w[j]·x[…, m·hop + j]·e^(−2πi·jk/n), j from 0 to n − 1.

    x            signals (…, length), real or complex
    n_fft        n, how many samples each spectrum is of
    hop_length   how many samples the next one begins later; default: ⌊n/4⌋
    window       w, a vector of at most n numbers, which zeros around it make n; default: ones.
                 `np.hanning(n + 1)[:-1]` is PyTorch's hann_window(n)
    center       whether x is padded by ⌊n/2⌋ samples at both ends, so that spectrum m is around
                 sample m·hop; pad_mode: how, as in `minidl.pad`
    normalized   divide by √n
    onesided     only the first ⌊n/2⌋ + 1 frequencies; default: for real x
    gives        complex (…, frequencies, frames)

    Raises ShapeError for a signal shorter than n.

    >>> wave = minidl.sin(2 * minidl.pi * minidl.arange(64) / 8)  # 8 of 64 samples is a period
    >>> spectra = minidl.fft.stft(wave, 16, center=False)
    >>> spectra.shape, minidl.abs(spectra).argmax(axis=0)[0]
    ((9, 13), Tensor(2, int64))
    """
    hop, window = _settings("stft", xp, x, n_fft, hop_length, window)
    check_flags("stft", center=center, normalized=normalized, onesided=onesided or False)
    check_choice("stft", _MODES, pad_mode=pad_mode)
    onesided = x.dtype.kind != "c" if onesided is None else onesided
    if onesided and x.dtype.kind == "c":
        raise ArgumentError("stft: of complex signals all frequencies differ: onesided=False")
    if not x.ndim:
        raise ShapeError(f"stft: needs signals, (…, length); got shape {x.shape}")
    signals = xp.reshape(x, (-1, 1, x.shape[-1]))
    if center:
        signals = xp.pad(signals, [n_fft // 2, n_fft // 2], pad_mode)
    if signals.shape[-1] < n_fft:
        raise ShapeError(f"stft: a signal of {signals.shape[-1]} is shorter than n_fft={n_fft}")
    samples = _samples(n_fft, hop, (signals.shape[-1] - n_fft) // hop + 1, x.device)
    frames = signals[:, 0, array_index(samples)] * window
    norm = "ortho" if normalized else "backward"
    y = xp.rfft(frames, norm=norm) if onesided else xp.fft(frames, norm=norm)
    return xp.matrix_transpose(xp.reshape(y, (*x.shape[:-1], *y.shape[1:])))


@composite
def istft(
    xp,
    x,
    /,
    n_fft,
    *,
    hop_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
):
    """The signal of which x is most nearly the stft: Σ of the windowed frames, over Σ w².

    x            spectra (…, frequencies, frames)
    onesided     default: whether there are ⌊n/2⌋ + 1 frequencies; else the result is complex.
                 It must be said for n = 1 and 2, where these are all
    length       how many samples to give; default: all, but for what `center` has padded
    others       as for `stft`

    Raises ArgumentError where no window covers a sample.

    >>> x = minidl.random.normal(64)
    >>> window = minidl.asarray(np.hanning(17)[:-1])
    >>> spectra = minidl.fft.stft(x, 16, window=window)
    >>> minidl.allclose(minidl.fft.istft(spectra, 16, window=window), x, atol=1e-5)
    True
    """
    hop, window = _settings("istft", xp, x, n_fft, hop_length, window)
    check_flags("istft", center=center, normalized=normalized, onesided=onesided or False)
    if length is not None:
        check_integers("istft", 0, length=length)
    half = n_fft // 2 + 1
    if onesided is None:
        if half == n_fft:
            raise ArgumentError(
                f"istft: {half} frequencies may be all or one side of n_fft={n_fft}: say "
                "onesided=True for a real signal, False for a complex one"
            )
        onesided = x.ndim > 1 and x.shape[-2] == half
    if x.ndim < 2 or x.shape[-2] != (half if onesided else n_fft) or not x.shape[-1]:
        raise ShapeError(
            f"istft: needs (…, {half if onesided else n_fft}, frames); got shape {x.shape}"
        )
    norm, spectra = "ortho" if normalized else "backward", xp.matrix_transpose(x)
    frames = xp.irfft(spectra, n=n_fft, norm=norm) if onesided else xp.ifft(spectra, norm=norm)
    count = x.shape[-1]
    total, start = n_fft + hop * (count - 1), n_fft // 2 if center else 0
    index = (..., array_index(_samples(n_fft, hop, count, x.device)))
    y = xp.scatter_at(frames * window, index, (*x.shape[:-2], total))
    weight = xp.scatter_at(xp.broadcast_to(window * window, (count, n_fft)), index, (total,))
    stop = total - start if length is None else min(start + length, total)
    y, weight = y[..., start:stop], weight[start:stop]
    if bool((weight < 1e-11).any()):
        raise ArgumentError(
            "istft: there are samples that no window covers, so that nothing is known of them: "
            "use a window without zeros at its ends, more overlap, or a smaller length"
        )
    y = y / weight
    missing = 0 if length is None else length - (stop - start)
    return xp.pad(y, [0, missing], "constant") if missing else y


def _settings(name, xp, x, n_fft, hop_length, window):
    """The hop, and the window with zeros around it, in the real dtype of x."""
    check_integers(name, 1, n_fft=n_fft)
    hop = max(n_fft // 4, 1) if hop_length is None else hop_length
    check_integers(name, 1, hop_length=hop)
    if not hasattr(x, "dtype") or x.dtype.kind not in "fc":
        raise DTypeError(f"{name}: needs floating-point or complex numbers; got {describe(x)}")
    wide = "float64" if x.dtype in ("float64", "complex128") else "float32"
    if window is None:
        return hop, ones(n_fft, dtype=wide, device=x.device)
    fits = getattr(window, "ndim", None) == 1 and 1 <= window.shape[0] <= n_fft
    if not fits or window.dtype.kind not in "fiu":
        raise ShapeError(
            f"{name}: window is a vector of 1 to {n_fft} numbers; got {describe(window)}"
        )
    before = (n_fft - window.shape[0]) // 2
    behind = n_fft - window.shape[0] - before
    return hop, xp.pad(xp.astype(window, wide), [before, behind], "constant")


def _samples(n_fft, hop, count, device):
    """The indices of the samples of each frame: (count, n_fft)."""
    starts = arange(0, count * hop, hop, device=device)
    return starts.reshape(count, 1) + arange(n_fft, device=device)
