"""Long sums of products, in gradients of weights and biases: the error does not grow with them."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl.backends.kernels.simd.micro_kernel import MR
from minidl.backends.products import precise_matmul
from tests.backends.kernels.conv.test_conv2d import split_into

EPS = {"float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}

# Rounding of constants goes in the same direction at each addition: the worst of usual data.
DATA = {
    "tenths": lambda rng, shape: np.full(shape, 0.1),
    "constant": lambda rng, shape: np.full(shape, rng.uniform(0.5, 1)),
    "ones": lambda rng, shape: np.ones(shape),
    "alternating": lambda rng, shape: np.resize([0.1, -0.1], shape),
    "decades": lambda rng, shape: 10.0 ** rng.uniform(-4, 4, shape),
    "normal": lambda rng, shape: rng.normal(size=shape),
}
kinds = st.sampled_from(list(DATA))


def drawn(kind, shape, dtype="float32", seed=0):
    return DATA[kind](np.random.default_rng([seed, *shape]), shape).astype(dtype)


def wide(*arrays):
    """In a dtype that is exact enough to compare with."""
    dtype = np.longdouble if arrays[0].dtype == np.float64 else np.float64
    return [x.astype(dtype) for x in arrays]


def assert_within_bound(found, exact, magnitude, terms):
    """|found − exact| ≤ max(1, log₂ terms)·ε·Σ|terms|, for each element."""
    found = np.asarray(found)
    bound = max(1, np.log2(max(terms, 1))) * EPS[found.dtype.name] * magnitude
    assert found.shape == exact.shape
    excess = np.abs(found.astype(exact.dtype) - exact) - bound
    assert (excess <= 0).all(), f"{np.max(np.abs(found - exact) / bound):.3g} times the bound"


def assert_product_within_bound(found, a, b):
    a, b = wide(a, b)
    assert_within_bound(found, a @ b, np.abs(a) @ np.abs(b), a.shape[-1])


@given(
    m=st.sampled_from([1, 2, MR, 17, 60]),
    k=st.one_of(st.integers(1, 200), st.integers(201, 20_000)),
    n=st.sampled_from([1, 3, 17, 70]),
    kind=kinds,
    dtype=st.sampled_from(["float32", "float64", "float16"]),
    transposed=st.booleans(),
    seed=st.integers(0, 99),
)
@example(m=60, k=43, n=70, kind="constant", dtype="float32", transposed=True, seed=0)
@example(m=60, k=1024, n=70, kind="constant", dtype="float32", transposed=False, seed=1)
@example(m=17, k=1024, n=17, kind="constant", dtype="float64", transposed=True, seed=2)
def test_precise_matmul(m, k, n, kind, dtype, transposed, seed):
    if m * k * n > 2**24 or dtype == "float64":
        m, n = min(m, 17), min(n, 17)  # NumPy's long doubles are slow
    kind = "tenths" if dtype == "float16" and kind == "decades" else kind
    a, b = drawn(kind, (m, k), dtype, seed), drawn(kind, (k, n), dtype, seed + 1)
    a = np.asfortranarray(a) if transposed else a
    assert_product_within_bound(precise_matmul(a, b), a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize(
    "shapes",
    [
        ((100,), (100,)), ((100,), (100, 3)), ((3, 100), (100,)), ((100,), (4, 100, 3)),
        ((4, 20, 100), (100,)), ((4, 20, 100), (100, 30)), ((5, 1, 20, 100), (4, 100, 30)),
        ((20, 100), (4, 100, 30)), ((2, 0, 100), (100, 3)), ((0, 2, 100), (0, 100, 3)),
        ((40, 60, 70), (40, 70, 50)), ((1, 9, 0), (2, 0, 3)),
    ],
)  # fmt: skip
def test_precise_matmul_broadcasts_as_matmul_does(shapes, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype(dtype) for shape in shapes)
    for x in (a, a.swapaxes(-1, -2).copy().swapaxes(-1, -2) if a.ndim > 1 else a[::-1]):
        for y in (b, b.swapaxes(-1, -2).copy().swapaxes(-1, -2) if b.ndim > 1 else b[::-1]):
            found, needed = precise_matmul(x, y), x @ y
            assert found.dtype == needed.dtype
            assert np.shape(found) == needed.shape
            np.testing.assert_allclose(found, needed, rtol=0, atol=1e-4)


def test_any_number_of_threads_gives_the_same_bits():
    for shapes in (((60, 5000), (5000, 70)), ((6, 40, 90), (6, 90, 50)), ((3, 9000), (9000, 2))):
        a, b = (drawn("normal", shape) for shape in shapes)
        found = []
        for chunks in (1, 2, 3):
            with split_into(chunks):
                found.append(precise_matmul(a, b))
        np.testing.assert_array_equal(found[1], found[0])
        np.testing.assert_array_equal(found[2], found[0])


def check_linear(rows, ins, outs, kind, dtype="float32", create_graph=False):
    """dW and db of a linear layer, over so many rows."""
    x, dy = drawn(kind, (rows, ins), dtype), drawn(kind, (rows, outs), dtype, 1)
    weight, bias = np.ones((outs, ins), dtype), np.zeros(outs, dtype)
    weight, bias = (minidl.tensor(p, requires_grad=True) for p in (weight, bias))
    with minidl.higher_order() if create_graph else nullcontext():
        y = minidl.linear(minidl.asarray(x), weight, bias)
    y.backward(minidl.asarray(dy), create_graph=create_graph)
    assert_product_within_bound(weight.grad.detach(), dy.T, x)
    (dy,) = wide(dy)
    assert_within_bound(bias.grad.detach(), dy.sum(axis=0), np.abs(dy).sum(axis=0), rows)


@given(
    rows=st.integers(1, 20_000),
    ins=st.sampled_from([1, 3, 20, 70]),
    outs=st.sampled_from([1, 4, 33]),
    kind=kinds,
    create_graph=st.booleans(),
)
def test_gradients_of_linear(rows, ins, outs, kind, create_graph):
    check_linear(rows, ins, outs, kind, create_graph=create_graph)


@pytest.mark.full
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("rows", [10**5, 10**6, 10**7])
def test_gradients_of_linear_over_many_rows(rows, kind):
    check_linear(rows, 3, 2, kind)
    if rows < 10**7:
        check_linear(rows, 20, 50, kind)


@given(rows=st.integers(1, 5000), kind=kinds, shared=st.booleans())
def test_gradients_of_the_factors_of_a_product(rows, kind, shared):
    """Of einsum, tensordot and bilinear too, which are products."""
    x, dy = drawn(kind, (2, rows, 5)), drawn(kind, (2, rows, 4), seed=1)
    weight = minidl.ones((5, 4), requires_grad=True)
    for product in (
        lambda: minidl.asarray(x) @ weight,
        lambda: minidl.einsum("bri,io->bro", minidl.asarray(x), weight),
        lambda: minidl.tensordot(minidl.asarray(x), weight, axes=1),
    ):
        (dw,) = minidl.gradients(product(), [weight], [minidl.asarray(dy)])
        assert_product_within_bound(dw, x.reshape(-1, 5).T, dy.reshape(-1, 4))
    weight = minidl.ones((4, 5, 1), requires_grad=True)
    y = minidl.bilinear(minidl.asarray(x), minidl.ones((2, rows, 1)), weight)
    (dw,) = minidl.gradients(y, [weight], [minidl.asarray(dy)])
    assert_product_within_bound(dw[..., 0], dy.reshape(-1, 4).T, x.reshape(-1, 5))


# name: (images, channels, outputs, side, window, settings); which algorithm is meant
CONVOLUTIONS = {
    "GEMM": (3, 8, 16, 20, 3, {"padding": 1}),
    "GEMM, many runs": (6, 6, 16, 40, 3, {}),
    "GEMM, images together": (150, 16, 32, 4, 3, {}),
    "GEMM, in place": (8, 64, 64, 13, 1, {}),
    "groups": (4, 16, 32, 24, 3, {"groups": 2}),
    "dot products": (9, 1, 8, 50, 3, {}),
    "dot products, a wide image": (1, 1, 2, 190, 3, {}),
    "dot products, small images": (400, 2, 4, 5, 3, {"padding": 1}),
    "depthwise": (9, 8, 8, 40, 3, {"groups": 8, "padding": 1}),
    "stride": (6, 8, 16, 41, 3, {"stride": 2}),
}


def check_convolution(name, kind, transposed=False, relu=False):
    images, channels, outputs, side, window, settings = CONVOLUTIONS[name]
    groups = settings.get("groups", 1)
    shape = (channels, outputs // groups) if transposed else (outputs, channels // groups)
    x = drawn(kind, (images, channels, side, side))
    operation = minidl.conv_transpose2d if transposed else minidl.conv2d
    weight = np.ones((*shape, window, window))

    def gradients(x, dtype, take=lambda x: x):
        tensors = [minidl.tensor(p.astype(dtype)) for p in (weight, np.zeros(outputs))]
        for p in tensors:
            p.requires_grad = True
        y = operation(minidl.asarray(take(x).astype(dtype)), *tensors, **settings)
        dy = take(drawn(kind, y.shape, seed=1)).astype(dtype)
        return y.shape, minidl.gradients(y, tensors, [minidl.asarray(dy)])

    shape, found = gradients(x, "float32")
    _, exact = gradients(x, "float64")
    _, magnitude = gradients(x, "float64", np.abs)
    terms = images * (side**2 if transposed else np.prod(shape[2:]))
    for one, other, size, count in zip(
        found, exact, magnitude, (terms, images * np.prod(shape[2:])), strict=True
    ):
        assert_within_bound(one, np.asarray(other), np.asarray(size), count)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("kind", ["tenths", "constant", "decades"])
@pytest.mark.parametrize("chunks", [1, 2])
def test_gradients_of_convolutions(name, kind, chunks):
    with split_into(chunks):
        check_convolution(name, kind)


@pytest.mark.parametrize("name", ["GEMM", "groups", "stride", "dot products"])
@pytest.mark.parametrize("kind", ["tenths", "constant"])
def test_gradients_of_transposed_convolutions(name, kind):
    check_convolution(name, kind, transposed=True)


@pytest.mark.parametrize("value", [0.1, 0.7])
@pytest.mark.parametrize("side", [30, 142])
def test_gradients_of_pooled_convolutions(value, side):
    """Each window has its maximum at one position: of equal ones, the first."""
    x = np.full((5, 1, side, side), value, "float32")
    weight = minidl.ones((8, 1, 3, 3), requires_grad=True)
    bias = minidl.zeros(8, requires_grad=True)
    model = minidl.nn.Sequential(
        minidl.nn.Conv2d(1, 8, 3), minidl.nn.ReLU(), minidl.nn.MaxPool2d(2)
    )
    model[0].weight, model[0].bias = (minidl.nn.Parameter(p.detach()) for p in (weight, bias))
    y = model(minidl.asarray(x))
    y.backward(minidl.full(y.shape, value))
    terms = 5 * (side // 2 - 1) ** 2
    dy = np.float64(np.float32(value))
    for found, each in ((model[0].weight.grad, dy * dy), (model[0].bias.grad, dy)):
        exact = np.full(found.shape, terms * each)
        assert_within_bound(found, exact, exact, terms)


@pytest.mark.full
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("size", [(1, 16, 4), (1, 8, 40), (40, 8, 40), (400, 8, 40)])
def test_gradients_of_convolutions_over_many_positions(size, kind):
    images, outputs, channels = size
    CONVOLUTIONS["large"] = images, channels, outputs, 130, 3, {}
    check_convolution("large", kind)


@given(
    k=st.one_of(st.integers(1, 200), st.integers(201, 20_000)),
    kind=kinds,
    dtype=st.sampled_from(["float32", "float64"]),
    shape=st.sampled_from([(1, 1), (7, 1), (9, 20)]),
)
def test_products_are_within_the_componentwise_bound(k, kind, dtype, shape):
    """|error| ≤ k·u·Σ|x||w|, where u = ε / 2, of matmul, linear and einsum."""
    a, b = drawn(kind, (shape[0], k), dtype), drawn(kind, (k, shape[1]), dtype, 1)
    exact, magnitude = (f(wide(a)[0]) @ f(wide(b)[0]) for f in (lambda x: x, np.abs))
    x, w = minidl.asarray(a), minidl.asarray(b)
    for found in (x @ w, minidl.linear(x, w.T), minidl.einsum("ik,kj->ij", x, w)):
        error = np.abs(np.asarray(found).astype(exact.dtype) - exact)
        assert (error <= k * EPS[dtype] / 2 * magnitude).all()
