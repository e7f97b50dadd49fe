"""Every operation of the table is given complex numbers.

It refuses them, or its first and second derivatives are those of differences over real and
imaginary parts, and PyTorch's, whose convention is ∂L/∂Re + i·∂L/∂Im.
"""

import numpy as np
import pytest

import minidl
from minidl.errors import MinidlError
from tests.cases import CASES
from tests.helpers import assert_all_close, explained_by_gradcheck
from tests.oracle import INSTALLED, torch

STEP = 1e-6


def patterns(case):
    """Which of the inputs are complex: all, or one of several."""
    count = len(case.arrays())
    yield (True,) * count
    if count > 1:
        yield from (tuple(i == j for j in range(count)) for i in range(count))


def drawn(case, pattern):
    """The inputs of a case; complex ones have an imaginary part of the same domain."""
    rng = case.random("imaginary parts")
    arrays = case.arrays()
    return [
        np.asarray(
            x + 0.4j * rng.uniform(0.7, 1, x.shape) * rng.permutation(x.ravel()).reshape(x.shape)
        )
        if chosen
        else x
        for x, chosen in zip(arrays, pattern, strict=True)
    ]


def directions(case, arrays, purpose):
    """Random directions, complex where the inputs are."""
    rng = case.random(purpose)
    return [
        np.asarray(
            rng.normal(size=x.shape) + (1j * rng.normal(size=x.shape) if np.iscomplexobj(x) else 0)
        )
        for x in arrays
    ]


def is_complex(library, x):
    return x.dtype.kind == "c" if library is minidl else x.is_complex()


def loss_of(library, case, y):
    """Σ Re(w·(y + y²/2 + y³/6)), with complex w for complex y."""
    rng = case.random("weights")
    weights = rng.uniform(0.5, 1.5, tuple(y.shape))
    if is_complex(library, y):
        weights = weights + 1j * rng.uniform(0.5, 1.5, tuple(y.shape))
    total = (library.asarray(np.asarray(weights)) * y * (1 + y * (1 / 2 + y / 6))).sum()
    return library.real(total) if is_complex(library, total) else total


def along(library, gradients, vectors):
    """Σ Re(g*·v): how fast a function grows along v."""
    products = [
        library.conj(g) * library.asarray(v) for g, v in zip(gradients, vectors, strict=True)
    ]
    return sum((library.real(p) if is_complex(library, p) else p).sum() for p in products)


def two_derivatives(library, case, function, arrays):
    """The value, its gradients, and the gradients of the growth along a direction."""
    leaves = [library.asarray(x.copy()).requires_grad_() for x in arrays]
    y = function(*leaves)
    settings = {"allow_unused": True} if library is minidl else {"materialize_grads": True}
    find = minidl.gradients if library is minidl else torch.autograd.grad
    first = find(loss_of(library, case, y), leaves, create_graph=True, **settings)
    first = [library.zeros_like(x) if g is None else g for g, x in zip(first, leaves, strict=True)]
    growth = along(library, first, directions(case, arrays, "direction 1"))
    second = [library.zeros_like(x) for x in leaves]
    if growth.requires_grad:
        found = find(growth, leaves, **settings)
        second = [s if g is None else g for s, g in zip(second, found, strict=True)]
    values = [t.detach() for t in (y, *first, *second)]
    return [t.numpy() if library is minidl else t.resolve_conj().numpy() for t in values]


def first_derivatives(case, function, arrays):
    """The gradients as training computes them."""
    leaves = [minidl.asarray(x.copy(), requires_grad=True) for x in arrays]
    found = minidl.gradients(loss_of(minidl, case, function(*leaves)), leaves, allow_unused=True)
    return [
        np.zeros_like(x) if g is None else g.numpy() for g, x in zip(found, arrays, strict=True)
    ]


def check_growth(name, function, arrays, exact, vectors):
    """The gradients `exact` of a number say how fast differences grow."""
    ahead, behind = (
        function([np.asarray(x + sign * STEP * v) for x, v in zip(arrays, vectors, strict=True)])
        for sign in (1, -1)
    )
    needed = (ahead - behind) / (2 * STEP)
    found = sum(np.real(np.conj(g) * v).sum() for g, v in zip(exact, vectors, strict=True))
    size = max(1, abs(needed), *(np.abs(g).max(initial=0) for g in exact))
    assert abs(found - needed) <= 1e-6 * size, f"{name}: got {found}, differences {needed}"


ROWS = [(case, pattern) for case in CASES for pattern in patterns(case)]


def row_name(row):
    case, pattern = row
    return f"{case!r} {''.join('zx'[not p] for p in pattern)}"


def torch_takes(case, arrays):
    """What PyTorch finds for a row; None if it refuses complex numbers."""
    if not INSTALLED or case.torch_function is None:
        return None
    try:
        return two_derivatives(torch, case, case.in_torch(), arrays)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, UserWarning):
        return None


def check_differences(case, arrays, first, second):
    """Gradients, and their gradients, are as fast as differences grow."""
    function = case.in_minidl()
    along_1, along_2 = (directions(case, arrays, f"direction {i}") for i in (1, 2))

    def loss(xs):
        return loss_of(minidl, case, function(*map(minidl.asarray, xs))).item()

    def growth(xs):
        found = first_derivatives(case, function, xs)
        return sum(np.real(np.conj(g) * v).sum() for g, v in zip(found, along_1, strict=True))

    check_growth("gradient", loss, arrays, first, along_2)
    check_growth("gradient of the gradient", growth, arrays, second, along_2)


def inputs_of(pattern):
    """The inputs that `by_parts` makes of those of a pattern, as x₀ or Re z₀, Im z₀."""
    names = [f"Re z{i}, Im z{i}" if z else f"x{i}" for i, z in enumerate(pattern)]
    return f"({', '.join(names)})"


def by_parts(case, arrays):
    """A case as a function of real numbers, and its inputs: the real and imaginary parts."""
    parts = [p for x in arrays for p in ((x.real, x.imag) if np.iscomplexobj(x) else (x,))]

    def function(*reals):
        rest = iter(reals)
        inputs = [
            next(rest) + 1j * next(rest) if np.iscomplexobj(x) else next(rest) for x in arrays
        ]
        y = case.in_minidl()(*inputs)
        return (minidl.real(y), minidl.imag(y)) if is_complex(minidl, y) else y

    return function, [np.ascontiguousarray(p) for p in parts]


@pytest.mark.parametrize("row", ROWS, ids=row_name)
def test_every_operation_refuses_complex_numbers_or_is_right(row):
    case, pattern = row
    arrays, n = drawn(case, pattern), len(pattern)
    try:
        with minidl.higher_order():
            ours = two_derivatives(minidl, case, case.in_minidl(), arrays)
        simple = first_derivatives(case, case.in_minidl(), arrays)
    except MinidlError:
        assert case.operation not in DIFFERENTIABLE
        return
    first, second = ours[1 : n + 1], ours[n + 1 :]
    assert [g.dtype for g in (*first, *second)] == [x.dtype for x in arrays] * 2
    with explained_by_gradcheck(f"{case} of {inputs_of(pattern)}", *by_parts(case, arrays), 2):
        assert_all_close(simple, first, 1e-10)
        check_differences(case, arrays, first, second)
        theirs = torch_takes(case, arrays)
        if theirs is not None and (all(pattern) or case.operation not in DROPS_IMAGINARY_PARTS):
            assert_all_close(ours, theirs, 1e-10)


# In PyTorch, where a real input meets complex ones: with a warning, the first time.
DROPS_IMAGINARY_PARTS = {"put_at", "rms_norm", "solve_triangular"}

DIFFERENTIABLE = {
    *("add", "subtract", "multiply", "divide", "pow", "negative", "square", "sqrt", "reciprocal"),
    *("xdivy", "xmuly", "xlogy", "exp", "expm1", "log", "log1p", "log2", "log10"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh"),
    *("atanh", "sinc", "abs", "real", "conj", "positive", "where", "sum", "mean", "var", "std"),
    *("prod", "cumulative_sum", "cumulative_prod", "diff", "vector_norm"),
    *("reshape", "permute_dims", "matrix_transpose", "expand_dims", "squeeze", "broadcast_to"),
    *("flip", "roll", "tile", "repeat", "copy", "concat", "stack", "unstack", "to_device"),
    *("getitem", "take", "take_along_axis", "put_at", "scatter_at", "scatter_add", "pad"),
    *("matmul", "linear", "vecdot", "tensordot", "outer", "cross", "kron", "einsum", "trace"),
    *("tril", "triu", "diagonal", "inv", "solve", "solve_triangular", "det", "adjugate"),
    *("fft", "ifft", "irfft", "hfft", "fftn", "ifftn", "irfftn", "fftshift", "ifftshift"),
    "matrix_power",
}
