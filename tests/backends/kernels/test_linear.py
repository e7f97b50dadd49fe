"""GEMM and the linear operations, around the edges of tiles and slices."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minidl
from minidl.backends.kernels import gemm
from minidl.backends.kernels import linear as kernels
from minidl.backends.kernels.runtime import workspace
from minidl.backends.kernels.simd.micro_kernel import MR, NR
from minidl.errors import MinidlError, ShapeError
from tests.backends.kernels.conv.test_conv2d import assert_equal, outcome, split_into
from tests.helpers import assert_close
from tests.ops.nn import fused
from tests.oracle import torch

LAYOUTS = {
    "rows": lambda x: x,
    "columns": np.asfortranarray,
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every other column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "one row": lambda x: np.broadcast_to(x[:1], x.shape),
    "one column": lambda x: np.broadcast_to(x[:, :1], x.shape),
}
layouts = st.sampled_from(list(LAYOUTS))


def random(*shape, seed=0, dtype="float32"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def laid_out(x, layout):
    """In another order of memory, and writable, as most arrays are."""
    x = LAYOUTS[layout](x)
    return x if x.flags.writeable or not x.flags.forc else x.copy()


def needed(a, b, bias=None, least=-np.inf):
    """max(a·b + bias, least) in float64, and how large an error of float32 may be."""
    a, b = a.astype("float64"), b.astype("float64")
    exact = np.maximum(a @ b + (0 if bias is None else bias), least)
    return exact, 1e-6 * (np.abs(a) @ np.abs(b)).max(initial=1)


def assert_product_is_right(a, b, bias=None, least=-np.inf):
    found = gemm.product(a, b, bias, least)
    exact, error = needed(a, b, bias, least)
    assert found.dtype == a.dtype
    assert found.shape == exact.shape
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, exact, rtol=0, atol=error)


def around(*edges):
    """Numbers next to multiples of these."""
    near = [k * edge + d for edge in edges for k in (0, 1, 2, 3) for d in (-1, 0, 1)]
    return st.sampled_from(sorted({n for n in near if n > 0}))


def made_by_tiles(m, k, n):
    return m * k * n > gemm._SMALL and m >= MR


@given(
    m=around(MR, 16, 64),
    k=st.one_of(around(16, 64), st.sampled_from([1023, 1024, 1025, 2049])),
    n=around(16, NR),
    lay=st.tuples(layouts, layouts),
    biased=st.booleans(),
    least=st.sampled_from([-np.inf, 0.0, 0.5]),
    chunks=st.integers(1, 3),
)
def test_product(m, k, n, lay, biased, least, chunks):
    if not made_by_tiles(m, k, n):
        k = gemm._SMALL // (max(m, MR) * n) + k
        m = max(m, MR)
    assert made_by_tiles(m, k, n)
    assume(m * k * n < 2**25)
    a, b = laid_out(random(m, k), lay[0]), laid_out(random(k, n, seed=1), lay[1])
    with split_into(chunks):
        assert_product_is_right(a, b, random(n, seed=2) if biased else None, least)


EDGES = [
    *((m, 300, 200) for m in (MR, MR + 1, 2 * MR - 1, 2 * MR, 2 * MR + 1, 3 * MR - 1)),
    *((70, k, 65) for k in (1023, 1024, 1025, 2048, 2049, 3000)),
    *((100, 90, n) for n in (47, 48, 49, 63, 64, 65, 79, 80, 81, 95, 96, 97, 127, 128, 129)),
    (MR, 50_000, 1),
    (3000, 100, 1),
    (3000, 1, 100),
    (MR, 2, 30_000),
    (257, 257, 257),
]


@pytest.mark.parametrize("chunks", [1, 2, 3])
@pytest.mark.parametrize(("m", "k", "n"), EDGES)
def test_product_at_the_edges(m, k, n, chunks):
    assert made_by_tiles(m, k, n)
    with split_into(chunks):
        for turn_a, turn_b in ((False, False), (True, False), (False, True), (True, True)):
            a = random(k, m).T if turn_a else random(m, k)
            b = random(n, k, seed=1).T if turn_b else random(k, n, seed=1)
            assert_product_is_right(a, b, random(n, seed=2), 0.0)
            assert_product_is_right(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(1, 1, 1), (5, 400, 300), (1, 1000, 1000), (3, 0, 2), (0, 3, 2), (2, 3, 0), (0, 0, 0),
     (64, 64, 64), (300, 0, 300)],
)  # fmt: skip
def test_small_product(m, k, n, dtype):
    assert dtype == "float64" or not made_by_tiles(m, k, n)
    a, b = random(m, k, dtype=dtype), random(k, n, seed=1, dtype=dtype)
    assert_product_is_right(a, b)
    assert_product_is_right(a, b, random(n, seed=2, dtype=dtype), 0.0)


def test_product_of_float64_is_as_exact_as_float64_is():
    a, b = random(150, 130, dtype="float64"), random(130, 140, dtype="float64", seed=1)
    bias = random(140, dtype="float64")
    np.testing.assert_array_equal(gemm.product(a, b, bias, 0.0), np.maximum(a @ b + bias, 0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("least", [-np.inf, 0.0])
@pytest.mark.parametrize(("m", "k", "n"), [(70, 90, 65), (13, 1500, 17), (67, 70, 130)])
def test_a_bad_number_stays_in_its_row_and_column(m, k, n, least, bad):
    for turned in (False, True):
        a, b, bias = random(m, k), random(k, n, seed=1), random(n, seed=2)
        if turned:
            a, b = np.asfortranarray(a), np.asfortranarray(b)
        for row, column in ((m - 1, k - 1), (0, 0), (m // 2, k // 2)):
            spoiled = a.copy(order="K")
            spoiled[row, column] = bad
            found, clean = (gemm.product(x, b, bias, least) for x in (spoiled, a))
            assert_equal([np.delete(found, row, 0)], [np.delete(clean, row, 0)])
            exact = np.maximum(bad * np.sign(b[column]), least)
            np.testing.assert_array_equal(found[row], exact.astype("float32"))
        for row, column in ((k - 1, n - 1), (0, 0), (k // 2, n // 2)):
            spoiled = b.copy(order="K")
            spoiled[row, column] = bad
            found, clean = (gemm.product(a, x, bias, least) for x in (spoiled, b))
            assert_equal([np.delete(found, column, 1)], [np.delete(clean, column, 1)])
            exact = np.maximum(bad * np.sign(a[:, row]), least)
            np.testing.assert_array_equal(found[:, column], exact.astype("float32"))


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize(("m", "k", "n"), [(70, 90, 65), (13, 1500, 17), (67, 70, 130)])
def test_what_is_in_the_workspace_does_not_show(m, k, n, chunks):
    a, b, bias = random(m, k), random(k, n, seed=1), random(n, seed=2)
    for x in (a, np.asfortranarray(a)):
        for y in (b, np.asfortranarray(b)):
            found = []
            for content in (0, np.nan, np.inf):
                workspace.scratch(3, 2 * gemm.DEPTH * NR)[:] = content
                with split_into(chunks):
                    found.append(gemm.product(x, y, bias, 0.0))
            assert_equal(found[1:], found[:1] * 2)


@pytest.mark.parametrize(("m", "k", "n"), [(70, 90, 65), (601, 130, 70), (67, 70, 530)])
def test_any_number_of_threads_gives_the_same_bits(m, k, n):
    a, b = random(m, k), random(k, n, seed=1)
    found = []
    for chunks in (1, 2, 3, 3):
        with split_into(chunks):
            found.append(gemm.product(a, b))
    assert_equal(found[1:], found[:1] * 3)


def test_product_leaves_its_inputs_alone():
    arrays = [random(70, 90), np.asfortranarray(random(90, 65)), random(65)]
    copies = [x.copy() for x in arrays]
    gemm.product(*arrays, 0.0)
    assert_equal(arrays, copies)


# The layers.

OPERATIONS = {"linear": minidl.linear, "linear_relu": fused.linear_relu}
each_operation = pytest.mark.parametrize("name", OPERATIONS)
WISHES = ["x", "w", "b", "xw", "xb", "wb", "xwb"]


def layer_inputs(rows, ins, outs, biased=True):
    shapes = [(rows, ins), (outs, ins), (outs,)][: 2 + biased]
    return [random(*shape, seed=i) for i, shape in enumerate(shapes)]


@given(
    rows=st.one_of(st.integers(0, 9), around(MR, 64)),
    ins=st.one_of(st.integers(0, 9), around(16, 64)),
    outs=st.one_of(st.integers(0, 9), around(16, 64)),
    lay=st.tuples(layouts, layouts, layouts),
    biased=st.booleans(),
    name=st.sampled_from(list(OPERATIONS)),
    chunks=st.integers(1, 3),
)
def test_linear_computes_what_its_body_does(rows, ins, outs, lay, biased, name, chunks):
    arrays = layer_inputs(rows, ins, outs, biased)
    arrays[:2] = [laid_out(x, how) for x, how in zip(arrays[:2], lay[:2], strict=True)]
    dy = laid_out(random(rows, outs, seed=9), lay[2])
    operation = OPERATIONS[name]
    exact = outcome(arrays, {}, dy, kernels="reference", dtype="float64", operation=operation)
    if name == "linear_relu":  # no value so near 0 that float32 may see another sign
        z = arrays[0].astype("float64") @ arrays[1].T.astype("float64")
        z = z + arrays[2] if biased else z
        assume(not z.size or np.abs(z).min() > 1e-5)
    with split_into(chunks):
        for kernel in ("fast", "reference"):
            found = outcome(arrays, {}, dy, kernels=kernel, operation=operation)
            for one, other in zip(found, exact, strict=True):
                assert_close(one, other.astype("float32"), 1e-5)


@pytest.mark.parametrize("wanted", WISHES)
@each_operation
@pytest.mark.parametrize("sizes", [(3, 4, 5), (70, 90, 65)])
def test_a_gradient_is_the_same_whichever_others_are_required(sizes, name, wanted):
    arrays, operation = layer_inputs(*sizes), OPERATIONS[name]
    together = dict(zip("xwb", outcome(arrays, {}, operation=operation)[1:], strict=True))
    found = outcome(arrays, {}, wanted=wanted, operation=operation)[1:]
    assert_equal(found, [together[letter] for letter in wanted])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_operation
@pytest.mark.parametrize(
    "shape", [(4, 25, 70), (1, 1, 100, 20), (3, 0, 7), (0, 2, 7), (6, 90, 300)]
)
def test_leading_axes_count_the_rows(shape, name, dtype):
    """Also of views; a gradient may be narrower or wider than x."""
    x, dy = random(*shape, dtype=dtype), random(*shape[:-1], 64, seed=1, dtype=dtype)
    weight, bias = random(64, shape[-1], seed=2, dtype=dtype), random(64, seed=3, dtype=dtype)
    count = int(np.prod(shape[:-1]))
    results = []
    for values, gradient in (
        (x, dy),
        (x.swapaxes(0, 1).copy().swapaxes(0, 1), np.asfortranarray(dy)),
        (x.reshape(count, shape[-1]), dy.reshape(count, 64)),
    ):
        leaves = [minidl.asarray(array.copy()).requires_grad_() for array in (weight, bias)]
        leaves.insert(0, minidl.asarray(values).requires_grad_())
        y = OPERATIONS[name](*leaves)
        y.backward(minidl.asarray(gradient))
        results.append([y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)])
    *ranks, rows = results
    for found in ranks:
        for one, other in zip(found, rows, strict=True):
            assert_close(one.reshape(other.shape), other, 1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(3, 4, 5), (70, 90, 65), (601, 30, 17)])
def test_linear_relu_is_relu_of_linear(sizes, dtype):
    arrays = layer_inputs(*sizes)
    arrays[0][1, 2] = np.nan

    def apart(*tensors):
        return minidl.relu(minidl.linear(*tensors))

    for wanted in WISHES:
        joined = outcome(arrays, {}, dtype=dtype, wanted=wanted, operation=fused.linear_relu)
        assert np.isnan(joined[0][1]).all()
        assert_equal(joined, outcome(arrays, {}, dtype=dtype, wanted=wanted, operation=apart))


@each_operation
@pytest.mark.parametrize("sizes", [(3, 4, 5), (70, 90, 65)])
def test_linear_equals_pytorch(sizes, name):
    arrays, dy = layer_inputs(*sizes), random(sizes[0], sizes[2], seed=9)
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-10)):
        theirs = [torch.tensor(x.astype(dtype), requires_grad=True) for x in arrays]
        y = torch.nn.functional.linear(*theirs)
        y = y.relu() if name == "linear_relu" else y
        needed = torch.autograd.grad(y, theirs, torch.tensor(dy.astype(dtype)))
        found = outcome(arrays, {}, dy, dtype=dtype, operation=OPERATIONS[name])
        for one, other in zip(found, [y.detach(), *needed], strict=True):
            assert_close(one, other.numpy(), tolerance)


@each_operation
@pytest.mark.parametrize("rows", [4, 100])
@pytest.mark.parametrize(
    ("dtypes", "result"),
    [
        (("float32", "float64", "float64"), "float64"),
        (("float32", "float64", "float32"), "float64"),
        (("float64", "float32", "float32"), "float64"),
        (("float32", "float32", "float64"), "float64"),
        (("float32", "int64", "float32"), "float32"),
        (("int64", "float32", "float32"), "float32"),
        (("float32", "float32", "int64"), "float32"),
        (("float16", "float32", "float32"), "float32"),
        (("float16", "float16", "float16"), "float16"),
    ],
)
def test_dtypes_are_promoted(dtypes, result, rows, name):
    arrays = [(x * 3).round() for x in layer_inputs(rows, 100, 100)]
    tensors = [
        minidl.asarray(x.astype(d), requires_grad=d != "int64")
        for x, d in zip(arrays, dtypes, strict=True)
    ]
    y = OPERATIONS[name](*tensors)
    needed = OPERATIONS[name](*(minidl.asarray(x.astype("float64")) for x in arrays))
    assert y.dtype == result
    assert_close(np.asarray(y, "float64"), needed, {"float16": 2e-3}.get(result, 1e-6))
    learning = [x for x in tensors if x.requires_grad]
    found = minidl.gradients(y, learning, [minidl.ones(y.shape, dtype=result)])
    assert [g.dtype for g in found] == [x.dtype for x in learning]


X, WEIGHT = minidl.ones((100, 80)), minidl.ones((90, 80))
FAULTS = {
    "columns": ((X[:, 1:], WEIGHT), ShapeError, r"\(…, in\).*\(100, 79\) and \(90, 80\)"),
    "weight": ((X, WEIGHT[0]), ShapeError, r"\(80,\)"),
    "bias": ((X, WEIGHT, minidl.ones(89)), ShapeError, r"\(89,\)"),
    "a list": (([[1.0]], WEIGHT), MinidlError, "list"),
    "None": ((X, None), MinidlError, "None"),
}


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@each_operation
@pytest.mark.parametrize("fault", FAULTS)
def test_misuse_is_explained(fault, name, kernels):
    arrays, kind, message = FAULTS[fault]
    call = "linear" if name == "linear" else "fused: "
    with minidl.kernels(kernels), pytest.raises(kind, match=f"(?s)^{call}.*{message}"):
        OPERATIONS[name](*arrays)


@each_operation
def test_a_number_is_a_bias_too(name):
    y = OPERATIONS[name](X, -WEIGHT, 79.0)
    needed = 0 if name == "linear_relu" else -1
    np.testing.assert_array_equal(y, np.full((100, 90), needed, "float32"))


def test_the_kernels_are_what_runs():
    arrays = layer_inputs(70, 90, 65)
    for kernel in (kernels.linear, kernels.linear_relu):
        assert kernel(*arrays) is not NotImplemented
        assert kernel(*arrays[:2]) is not NotImplemented
        assert kernel(*(x.astype("float64") for x in arrays)) is not NotImplemented
        assert kernel(arrays[0], arrays[1].astype("float64")) is NotImplemented
