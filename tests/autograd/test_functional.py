"""Products with Jacobians and Hessians, and these themselves, beside torch.func; own operations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.errors import ArgumentError, DTypeError, GradientError, ShapeError
from minidl.testing import gradcheck
from tests.helpers import assert_close
from tests.oracle import torch

# What torch.func imports when it is first used.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.3, 2, shape) for shape in shapes]


def leaves(nested):
    """The arrays in nested tuples, of either library."""
    if isinstance(nested, tuple):
        return [x for part in nested for x in leaves(part)]
    return [nested.detach().numpy()]


def shape_of(nested):
    """How tuples are nested."""
    return tuple(map(shape_of, nested)) if isinstance(nested, tuple) else None


def assert_same(ours, theirs):
    assert shape_of(ours) == shape_of(theirs)
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        assert_close(a, b, 1e-10)


# Functions of (3, 2), (2,) and (), written for both libraries.
FUNCTIONS = {
    "a tensor": lambda m: lambda x, y, z: m.sin(x) * y / z,
    "a number": lambda m: lambda x, y, z: (m.exp(x @ y) * z * z).sum(),
    "a tuple": lambda m: lambda x, y, z: (x * y * z, m.log(x @ y).sum()),
    "nested": lambda m: lambda x, y, z: ((x * x, m.sqrt(y)), (m.tanh(x @ y) * z,)),
    "without y": lambda m: lambda x, y, z: x * x * z,
    "linear": lambda m: lambda x, y, z: x @ y,
    "constant": lambda m: lambda x, y, z: (x.sum() * z, y.detach() * 2.0),
    "a product with itself": lambda m: lambda x, y, z: (x - x) * x * y + z,
}
SHAPES = (3, 2), (2,), ()
ARGNUMS = 0, 1, -1, (0,), (0, 1), (2, 0), (0, 1, 2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jvp_is_that_of_torch(name):
    primals, tangents = arrays(*SHAPES), arrays(*SHAPES, seed=1)
    ours = minidl.jvp(FUNCTIONS[name](minidl), tuple(map(minidl.asarray, primals)), tangents)
    theirs = torch.func.jvp(
        FUNCTIONS[name](torch),
        tuple(map(torch.tensor, primals)),
        tuple(map(torch.tensor, tangents)),
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize("argnums", ARGNUMS, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("order", [1, 2])
def test_matrices_are_those_of_torch(order, name, argnums):
    """Hessians are jacrev of jacrev: torch.func.hessian of 2.13 gives zeros for argnums=-1."""
    inputs = arrays(*SHAPES)
    ours = minidl.jacobian if order == 1 else minidl.hessian
    theirs = torch.func.jacrev(FUNCTIONS[name](torch), argnums)
    theirs = theirs if order == 1 else torch.func.jacrev(theirs, argnums)
    found = ours(FUNCTIONS[name](minidl), argnums)(*map(minidl.asarray, inputs))
    assert_same(found, theirs(*map(torch.tensor, inputs)))


def test_hvp_is_that_of_torch():
    primals, vectors = arrays(*SHAPES), arrays(*SHAPES, seed=1)
    value, products = minidl.hvp(FUNCTIONS["a number"](minidl), primals, vectors)
    theirs = torch.autograd.functional.hvp(
        FUNCTIONS["a number"](torch),
        tuple(map(torch.tensor, primals)),
        tuple(map(torch.tensor, vectors)),
    )
    assert_same((value, products), theirs)
    assert not value.requires_grad


@given(st.lists(st.integers(0, 3), max_size=2), st.integers(0, 5))
def test_jvp_and_vjp_are_transposes(shape, seed):
    x, t, dy = map(minidl.asarray, arrays(shape, shape, shape, seed=seed))
    f = lambda x: minidl.tanh(x * x) + minidl.sin(x).sum() * x
    (transposed,) = minidl.vjp(f, x)[1](dy)
    moved = minidl.jvp(f, (x,), (t,))[1]
    assert (moved * dy).sum().item() == pytest.approx((transposed * t).sum().item(), rel=1e-10)


def test_a_jvp_is_differentiated_again():
    x, t = arrays((3,), (3,))
    along = lambda x, t: minidl.jvp(lambda x: minidl.exp(x) * x[0], (x,), (t,))[1]
    assert gradcheck(along, minidl.asarray(x), minidl.asarray(t), order=2)
    w = minidl.tensor(2.0, dtype="float64", requires_grad=True)
    value, moved = minidl.jvp(lambda x: w * x * x, (x,), (t,))
    assert value.requires_grad
    moved.sum().backward()
    assert w.grad.item() == pytest.approx((2 * x * t).sum())
    tracked = minidl.tensor(t, requires_grad=True)
    value, moved = minidl.jvp(minidl.sin, (x,), (tracked,))
    assert not value.requires_grad
    moved.sum().backward()
    np.testing.assert_allclose(tracked.grad.numpy(), np.cos(x))
    with minidl.no_grad():
        assert not minidl.jvp(lambda x: w * x, (x,), (tracked,))[1].requires_grad


def test_jvp_of_jvp_is_the_second_derivative():
    x, t = map(minidl.asarray, arrays((4,), (4,)))
    first = lambda x: minidl.jvp(minidl.sin, (x,), (t,))[1]
    second = minidl.jvp(first, (x,), (t,))[1]
    np.testing.assert_allclose(second.numpy(), -np.sin(x.numpy()) * t.numpy() ** 2, rtol=1e-12)


def test_a_hessian_and_an_hvp_are_differentiated_again():
    x, v = arrays((2,), (2,))
    f = lambda x: (x**4).sum() * x[0]
    assert gradcheck(minidl.hessian(f), minidl.asarray(x), order=1)
    product = lambda x, v: minidl.hvp(f, (x,), (v,))[1][0]
    assert gradcheck(product, minidl.asarray(x), minidl.asarray(v), order=1)
    h = minidl.hessian(f)(minidl.asarray(x)).numpy()
    np.testing.assert_allclose(product(x, v).numpy(), h @ v, rtol=1e-12)


def test_what_is_empty_has_empty_jacobians():
    x = minidl.asarray(np.zeros((0, 3)))
    assert minidl.jacobian(lambda x: x * x)(x).shape == (0, 3, 0, 3)
    assert minidl.jacobian(lambda x: x.sum())(x).shape == (0, 3)
    assert minidl.jvp(lambda x: x.sum(), (x,), (x,))[1].item() == 0


def test_kinks_and_gathered_rows_pass_through_jvp():
    x, t = arrays((4, 3), (4, 3))
    index = np.array([2, 0, 2])
    f = lambda x: minidl.relu(x - 1.0)[index].max(axis=1)
    g = lambda x: torch.relu(x - 1.0)[torch.tensor(index)].amax(1)
    theirs = torch.func.jvp(g, (torch.tensor(x),), (torch.tensor(t),))
    assert_same(minidl.jvp(f, (x,), (t,)), theirs)
    table = lambda w: minidl.embedding(w, minidl.asarray(index), sparse=True) * 2.0
    np.testing.assert_allclose(minidl.jvp(table, (x,), (t,))[1].numpy(), 2 * t[index])
    (dense,) = minidl.vjp(lambda w: minidl.embedding(w, minidl.asarray(index), sparse=True), x)[1](
        np.ones((3, 3))
    )
    np.testing.assert_array_equal(dense.numpy()[2], np.full(3, 2.0))


X = np.ones(3)
BAD = [
    (lambda: minidl.jvp(lambda x: 2.0, (X,), (X,)), DTypeError, "jvp: f gave 2.0"),
    (lambda: minidl.vjp(lambda x: [x], X), DTypeError, "vjp: f gave list"),
    (lambda: minidl.jacobian(lambda x: (x, None))(X), DTypeError, "jacobian: f gave None"),
    (lambda: minidl.jvp(minidl.sin, X, X), DTypeError, "primals is a tuple"),
    (lambda: minidl.jvp(minidl.sin, (X,), X), DTypeError, "tangents is a tuple"),
    (lambda: minidl.jvp(minidl.sin, (X,), (X, X)), ArgumentError, "1 primals, but 2 tangents"),
    (lambda: minidl.jvp(minidl.sin, (X,), (X[:2],)), ShapeError, r"tangents\[0\] must be float64"),
    (lambda: minidl.hvp(minidl.sum, (X,), (X[:2],)), ShapeError, r"vectors\[0\] must be float64"),
    (lambda: minidl.hvp(minidl.sin, (X,), (X,)), GradientError, "gives one number; got"),
    (lambda: minidl.grad(lambda x: (x, x))(X), GradientError, "one number; got a tuple of 2"),
    (lambda: minidl.jacobian(minidl.sin)(np.arange(3)), GradientError, "argument 0 is int64"),
    (
        lambda: minidl.grad(minidl.sum)(3),
        GradientError,
        "grad: gradients are of float and complex tensors",
    ),
    (lambda: minidl.jacobian(minidl.sin, 1)(X), ArgumentError, "argnums=1, and f was given 1"),
    (lambda: minidl.hessian(minidl.sum, (0, 0))(X), ArgumentError, r"argnums=\(0, 0\)"),
    (lambda: minidl.grad(minidl.sum, ())(X), ArgumentError, r"argnums=\(\)"),
    (lambda: minidl.vjp(minidl.sin, X)[1](X, X), GradientError, "1 outputs, but 2 gradients"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=[m for *_, m in BAD])
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


# Operations of one's own.


@minidl.primitive(constants=(2,))
def polar(xp, x, y, /, *, scale=1.0):
    """r = scale·√(x² + y²), φ = atan(y/x), and which half-plane, a constant."""
    r2 = x * x + y * y
    r = xp.sqrt(r2)

    def pullback(dr, dphi, dhalf):
        dr = scale * dr / r
        return dr * x - dphi * y / r2, dr * y + dphi * x / r2

    return (scale * r, xp.atan(y / x), xp.sign(x)), pullback


def test_several_outputs_a_constant_a_joint_pullback_and_a_setting():
    x, y = map(minidl.asarray, arrays((4,), (4,)))
    both = lambda x, y: polar(x, y, scale=3.0)[0] * polar(x, y)[1]
    assert gradcheck(both, x, y, order=3)
    tracked = minidl.tensor(x, requires_grad=True)
    r, phi, half = polar(tracked, y, scale=2.0)
    assert r.requires_grad
    assert phi.requires_grad
    assert not half.requires_grad
    np.testing.assert_allclose(r.numpy(), 2 * np.hypot(x.numpy(), y.numpy()))
    value, moved = minidl.jvp(polar, (x, y), (x, y))
    np.testing.assert_allclose(moved[0].numpy(), value[0].numpy(), rtol=1e-12)
    np.testing.assert_allclose(moved[1].numpy(), 0, atol=1e-12)
    with pytest.raises(TypeError, match=r"polar\(.*scale"):
        polar(x, y, size=1.0)


def broken(body, inputs=2):
    """Run an operation with this body, and backward through it."""
    operation = minidl.primitive(body)
    xs = [minidl.tensor(X, requires_grad=True) for _ in range(inputs)]
    value = operation(*xs)
    (value[0] if isinstance(value, tuple) else value).sum().backward()


def joint(*given):
    def body(xp, x, y, /):
        return x * y, lambda dz: given

    return body


def test_the_errors_of_own_operations():
    def apart(xp, x, y, /):
        return x * y, (lambda dz: dz * y,)

    def valueless(xp, x, y, /):
        return x * y

    def nothing(xp, x, y, /):
        pass

    def none(xp, x, y, /):
        return x * y, (lambda dz: None, lambda dz: dz)

    cases = [
        (apart, "apart: the body gave 1 pullbacks for 2 arrays"),
        (valueless, "valueless: the body gave float64"),
        (nothing, "nothing: the body gave None; needs a value and its pullback"),
        (none, r"gave None for an input float64 \(3,\); needs an array"),
        (joint(X), "gave 1 gradients for 2 inputs"),
        (joint(X, X, X), "gave 3 gradients for 2 inputs"),
        (joint(X, None), "gave None for an input"),
        (joint(X, 0.0), "gave 0.0 for an input"),
        (joint(X, np.ones(2)), r"gave shape \(2,\) for an input of shape \(3,\)"),
        (joint(X, np.ones((2, 2))), "for an input of shape"),
    ]
    for body, message in cases:
        with pytest.raises(GradientError, match=message) as caught:
            broken(body)
        notes = getattr(caught.value, "__notes__", [])
        assert body.__name__ in str(caught.value) or f"pullback of {body.__name__}" in notes[0]


def test_a_pullback_may_be_missing_for_an_input_without_derivative():
    @minidl.primitive
    def scaled(xp, x, y, /):
        return x * y, (lambda dz: dz * y, None)

    x, y = (minidl.tensor(X * k, requires_grad=True) for k in (2, 3))
    scaled(x, y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), X * 3)
    assert y.grad is None
