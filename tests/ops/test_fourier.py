"""Fourier transforms: values, dtypes, derivatives and errors."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import fft
from minidl.errors import MinidlError
from tests.bad_input import call, every_spoilt, real
from tests.helpers import assert_all_close, assert_close
from tests.oracle import torch

NORMS = ("backward", "ortho", "forward")
OF_REAL = ("rfft", "ihfft", "rfftn")  # take real numbers alone
TO_REAL = ("irfft", "hfft", "irfftn")
LINES = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
GRIDS = ("fftn", "ifftn", "rfftn", "irfftn")
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def numbers(*shape, dtype="float64", seed=0):
    """Normal numbers; complex ones have both parts."""
    rng = np.random.default_rng([seed, *shape])
    values = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtype)


def kinds(name):
    """The dtypes of which there are rows."""
    return ("float64", "float32") if name in OF_REAL else ("complex128", "complex64", "float64")


LINE_ROWS = [
    (name, dtype, {"n": n, "axis": axis, "norm": norm})
    for name in LINES
    for dtype in kinds(name)
    for n in (None, 1, 2, 3, 4, 5, 8, 9)
    for axis, norm in ((-1, "backward"), (0, "ortho"), (1, "forward"))
]
GRID_ROWS = [
    (name, dtype, {"s": s, "axes": axes, "norm": norm})
    for name in GRIDS
    for dtype in kinds(name)
    for s, axes in ((None, None), (None, (1,)), (None, (2, 0)), ((3, 6), (0, 1)), ((7, 2), (-1, 0)))
    for norm in NORMS
]


def row_name(row):
    return "-".join(map(str, (row[0], row[1], *row[2].values())))


def in_torch(name, x, given):
    """PyTorch's transform with the same settings."""
    renamed = {{"axis": "dim", "axes": "dim"}.get(key, key): value for key, value in given.items()}
    return getattr(torch.fft, name)(x, **renamed)


@pytest.mark.parametrize("row", LINE_ROWS + GRID_ROWS, ids=row_name)
def test_values_equal_numpy_and_scipy(row):
    name, dtype, given = row
    x = numbers(4, 5, 3, dtype=dtype)
    ours = np.asarray(getattr(fft, name)(minidl.asarray(x), **given))
    exact = getattr(scipy.fft, name)(x, **given)
    tolerance = 1e-5 if dtype in ("float32", "complex64") else 1e-12
    assert_close(ours, exact.astype(ours.dtype), tolerance)
    assert ours.dtype == exact.dtype
    if name in LINES:
        assert_close(ours, getattr(np.fft, name)(x, **given).astype(ours.dtype), tolerance)


def squared(library, y):
    """|y|², and something that tells y from its conjugate, and from −y."""
    if not y.dtype.is_complex if library is torch else y.dtype.kind != "c":
        return (y * y * y).sum()
    return library.real(y * y * y).sum() + (library.imag(y) * library.real(y)).sum()


def two_orders(library, gradients, function, x, direction):
    """Value, gradient, and the gradient of the gradient along a direction."""
    leaf = library.asarray(x.copy())
    leaf.requires_grad_()
    y = function(leaf)
    (first,) = gradients(squared(library, y), [leaf], create_graph=True)
    product = first * library.asarray(direction)
    along = (library.real(product) if np.iscomplexobj(x) else product).sum()
    (second,) = gradients(along, [leaf])
    found = [t.detach() for t in (y, first, second)]
    return [t.numpy() if library is minidl else t.resolve_conj().numpy() for t in found]


DOUBLE = [row for row in LINE_ROWS + GRID_ROWS if row[1] in ("float64", "complex128")]


@pytest.mark.parametrize("row", DOUBLE, ids=row_name)
def test_two_derivatives_equal_pytorch(row):
    name, dtype, given = row
    x, direction = (numbers(4, 5, 3, dtype=dtype, seed=seed) for seed in (0, 1))
    with minidl.higher_order():
        ours = two_orders(
            minidl, minidl.gradients, lambda x: getattr(fft, name)(x, **given), x, direction
        )
    theirs = two_orders(
        torch, torch.autograd.grad, lambda x: in_torch(name, x, given), x, direction
    )
    assert_all_close(ours, theirs, 1e-10)


@pytest.mark.parametrize("name", LINES + GRIDS)
def test_gradients_of_single_precision_are_single(name):
    x = minidl.asarray(numbers(3, 4, dtype="float32" if name in OF_REAL else "complex64"))
    x.requires_grad_()
    (gradient,) = minidl.gradients(squared(minidl, getattr(fft, name)(x)), [x])
    exact = minidl.asarray(x.numpy().astype("float64" if name in OF_REAL else "complex128"))
    exact.requires_grad_()
    (needed,) = minidl.gradients(squared(minidl, getattr(fft, name)(exact)), [exact])
    assert_close(gradient, np.asarray(needed).astype(x.dtype), 1e-5)


# Laws.


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from(NORMS), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_each_transform_has_its_inverse(rows, columns, norm, seed):
    x = minidl.asarray(numbers(rows, columns, seed=seed))
    z = minidl.asarray(numbers(rows, columns, dtype="complex128", seed=seed))
    assert_close(fft.ifft(fft.fft(z, norm=norm), norm=norm), z, 1e-12)
    assert_close(fft.ifftn(fft.fftn(z, norm=norm), norm=norm), z, 1e-12)
    assert_close(fft.irfft(fft.rfft(x, norm=norm), n=columns, norm=norm), x, 1e-12)
    assert_close(fft.hfft(fft.ihfft(x, norm=norm), n=columns, norm=norm), x, 1e-12)
    assert_close(fft.irfftn(fft.rfftn(x, norm=norm), s=x.shape, norm=norm), x, 1e-12)
    assert_close(fft.ifftshift(fft.fftshift(x)), x, 0)


@given(st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_orthonormal_transforms_keep_lengths(n, seed):
    """Parseval: Σ |x|² = Σ |y|²; and so the gradient of Σ |fft(x)|² is 2x."""
    z = minidl.asarray(numbers(n, dtype="complex128", seed=seed)).requires_grad_()
    total = minidl.square(minidl.abs(fft.fft(z, norm="ortho"))).sum()
    np.testing.assert_allclose(total.item(), np.sum(np.abs(z.numpy()) ** 2))
    (gradient,) = minidl.gradients(total, [z])
    assert_close(gradient, 2 * z.numpy(), 1e-10)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_products_of_transforms_are_convolutions(n, m, seed):
    a, b = numbers(n, seed=seed), numbers(m, seed=seed + 1)
    length = n + m - 1
    product = fft.rfft(minidl.asarray(a), n=length) * fft.rfft(minidl.asarray(b), n=length)
    assert_close(fft.irfft(product, n=length), np.convolve(a, b), 1e-12)


# Frequencies and shifts.


@pytest.mark.parametrize("n", range(1, 10))
@pytest.mark.parametrize("d", [1, 1.0, 0.25, -2.0])
def test_frequencies_equal_numpy(n, d):
    for name in ("fftfreq", "rfftfreq"):
        ours = getattr(fft, name)(n, d=d, dtype="float64", device="cpu")
        assert_close(ours, getattr(np.fft, name)(n, d), 1e-15)
        assert getattr(fft, name)(n).dtype == minidl.float32


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 1), (1,), ()])
@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_shifts_equal_numpy(name, axes):
    for shape in ((4, 5), (5, 4), (0, 3), (1, 1)):
        x = numbers(*shape)
        ours = getattr(fft, name)(minidl.asarray(x), axes=axes)
        np.testing.assert_array_equal(ours, getattr(np.fft, name)(x, axes=axes))
    leaf = minidl.asarray(numbers(4, 5), requires_grad=True)
    weights = minidl.asarray(numbers(4, 5, seed=1))
    shifted = getattr(fft, name)(leaf, axes=axes)
    (gradient,) = minidl.gradients((shifted * weights).sum(), [leaf])
    inverse = {"fftshift": "ifftshift", "ifftshift": "fftshift"}[name]
    np.testing.assert_array_equal(gradient, getattr(np.fft, inverse)(weights.numpy(), axes=axes))


# Dtypes, layouts, nothing at all.


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        *((name, "complex64") for name in ("float16", "float32", "int64", "bool", "complex64")),
        *((name, "complex128") for name in ("float64", "complex128")),
    ],
)
def test_precision_is_kept(given, needed):
    assert fft.fft(minidl.ones((4,), dtype=given)).dtype == needed
    real_part = {"complex64": "float32", "complex128": "float64"}[needed]
    assert fft.irfft(minidl.ones((4,), dtype=given)).dtype == real_part


@pytest.mark.parametrize("name", LINES + GRIDS)
def test_views_and_batches_of_nothing(name):
    dtype = "float64" if name in OF_REAL else "complex128"
    x = numbers(6, 8, dtype=dtype)
    view = minidl.asarray(x)[::-2, ::3].T
    assert_close(getattr(fft, name)(view), getattr(np.fft, name)(x[::-2, ::3].T), 1e-12)
    over = {"axes": (-1,)} if name in GRIDS else {}
    empty = minidl.zeros((0, 4), dtype=dtype, requires_grad=True)
    y = getattr(fft, name)(empty, **over)
    assert y.shape == getattr(np.fft, name)(np.zeros((0, 4), dtype), **over).shape
    (gradient,) = minidl.gradients(minidl.real(y).sum(), [empty])
    assert gradient.shape == (0, 4)
    assert gradient.dtype == dtype


def test_the_namespace_is_that_of_the_standard_and_two_more():
    names = "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift"
    assert set(fft.__all__) == {*names.split(), "ifftshift", "stft", "istft"}
    assert minidl.fft is fft


# Bad input.

WRONG = {
    "no points": (lambda: fft.fft(minidl.zeros((3, 0))), "fft.*too short"),
    "half of nothing": (lambda: fft.irfft(minidl.ones((1,))), "irfft.*too short.*n says"),
    "n 0": (lambda: fft.fft(minidl.ones(3), n=0), "fft.*≥ 1; got 0"),
    "n True": (lambda: fft.ifft(minidl.ones(3), n=True), "ifft.*integer; got True"),
    "norm": (lambda: fft.rfft(minidl.ones(3), norm="unitary"), "rfft.*'ortho'.*unitary"),
    "hfft norm": (lambda: fft.hfft(minidl.ones(3), norm=None), "hfft: norm is .*got None"),
    "complex": (lambda: fft.rfft(minidl.ones(3) * 1j), "rfft.*real.*fft takes.*complex64"),
    "complex n": (lambda: fft.rfftn(minidl.ones((3, 3)) * 1j), "rfftn?:.*real.*complex64"),
    "axis": (lambda: fft.fft(minidl.ones((3, 3)), axis=2), "fft.*axis 2 .*shape \\(3, 3\\)"),
    "axes twice": (lambda: fft.fftn(minidl.ones((3, 3)), axes=(0, -2)), "fftn.*named twice"),
    "s longer": (lambda: fft.ifftn(minidl.ones(3), s=(2, 2)), "ifftn.*more lengths"),
    "s and axes": (lambda: fft.fftn(minidl.ones((3, 3)), s=(2,), axes=(0, 1)), "fftn.*a length"),
    "no axes": (lambda: fft.fftn(minidl.ones(())), "fftn.*at least one axis"),
    "fraction": (lambda: fft.fftfreq(2.5), "fftfreq: n is a number of points.*2.5"),
    "distance": (lambda: fft.rfftfreq(4, d=0), "rfftfreq: d is the distance.*got 0"),
    "distances": (lambda: fft.fftfreq(4, d=np.inf), "fftfreq: d is the distance.*got inf"),
    "no number": (lambda: fft.fftfreq(4, d=np.nan), "fftfreq: d is the distance.*got nan"),
    "integers": (lambda: fft.fftfreq(4, dtype="int64"), "fftfreq: .*real.*int64"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_say_what_is_wrong(name):
    act, message = WRONG[name]
    with pytest.raises(MinidlError, match=message):
        act()


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize(("shape", "axis"), [((2, 0), 1), ((0, 2), 0)])
def test_an_axis_without_elements_is_one_of_zeros(name, shape, axis):
    for _ in range(3):  # what lies beyond an empty array is not always zero
        junk = np.full(64, 1e30, "complex64")
        del junk
        x = minidl.zeros(shape, requires_grad=True)
        y = getattr(fft, name)(x, n=3, axis=axis)
        assert y.shape[axis] in (2, 3)
        assert not minidl.any(y != 0)
        minidl.real(y).sum().backward()
        assert x.grad.shape == shape


CALLS = [
    *(call(getattr(fft, name), real(3, 4), n=3, axis=1, norm="ortho") for name in LINES),
    *(call(getattr(fft, name), real(3, 4)) for name in LINES),
    *(
        call(
            getattr(fft, name), real(3, 4), s=(2, 3), axes=(0, 1), norm="ortho", names=(name[:-1],)
        )
        for name in GRIDS
    ),
    *(call(getattr(fft, name), real(3, 4), names=(name[:-1],)) for name in GRIDS),
    *(call(getattr(fft, name), real(3, 4), axes=(0, 1)) for name in ("fftshift", "ifftshift")),
    call(fft.fftfreq, 4, d=0.5, dtype="float32", device="cpu"),
    call(fft.rfftfreq, 4, d=0.5, dtype="float32", device="cpu"),
]


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()
