"""Each operation by itself: its value and derivatives against PyTorch and central differences.

The rows come from `tests.cases`.  Everything is in float64 unless its test says otherwise.
"""

import math
import sys
from functools import wraps
from inspect import Parameter

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import engine, inplace
from minidl.ops.indexing import put_at
from tests.cases import CASES, NO_DERIVATIVE, operations, table_for
from tests.cases.support import written
from tests.helpers import (
    Case,
    Minidl,
    Torch,
    assert_all_close,
    assert_close,
    contracted,
    curved,
    derivatives,
    explained_by_gradcheck,
    fixed,
    given,
    gradients,
    higher_derivatives,
    share_memory,
)
from tests.oracle import functional, torch

each_case = pytest.mark.parametrize("case", CASES, ids=repr)
each_case_in_torch = pytest.mark.parametrize(
    "case", [case for case in CASES if case.torch_function], ids=repr
)


def read_as_gradcheck(test):
    """A decorator: if a derivative is wrong, the test of a case fails with gradcheck's report."""

    @wraps(test)
    def explained(case, **fixtures):
        __tracebackhide__ = True
        with explained_by_gradcheck(case.name, case.in_minidl(), case.arrays(), order=3):
            test(case, **fixtures)

    return explained


def setup_of(case, dtype="float64"):
    """The inputs of a case, weights of the shape of its value, and directions for two orders."""
    arrays = case.arrays(dtype)
    value = case.in_minidl()(*map(minidl.asarray, arrays))
    (weights,) = case.weights("weights", [value.shape], value.dtype)
    shapes = [x.shape for x in arrays]
    directions = [case.weights(f"direction {i}", shapes, dtype) for i in (1, 2)]
    return arrays, weights, directions


# The tables are complete.


def code_run_by(function, *args):
    """The code objects of the Python functions that ran in a call."""
    seen = set()
    sys.setprofile(lambda frame, event, arg: seen.add(frame.f_code))
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return seen


def test_every_operation_has_a_row_or_no_derivative():
    rows, constant = {case.operation for case in CASES}, set(NO_DERIVATIVE)
    missing = [
        f'{name}: no row. Add Case("{name}", ops.{name}, …) to {table_for(name)}; '
        "or, if it has no derivative, its name to tests/cases/no_derivative.py"
        for name in sorted(set(operations()) - rows - constant)
    ]
    missing += [
        f"{name}: has a row, so take its name out of tests/cases/no_derivative.py"
        for name in sorted(rows & constant)
    ]
    missing += [
        f"{name}: no operation of minidl.ops, but tests/cases/ has this name"
        for name in sorted((rows | constant) - set(operations()))
    ]
    assert not missing, "\n".join(missing)


def test_names_of_rows_are_unique():
    names = [case.name for case in CASES]
    assert sorted(names) == sorted(set(names))


@each_case
def test_row_runs_the_operation_it_is_named_after(case):
    with minidl.kernels("reference"):
        code = code_run_by(case.in_minidl(), *map(minidl.asarray, case.arrays()))
    assert operations()[case.operation].body.__code__ in code


@pytest.mark.parametrize("name", NO_DERIVATIVE)
def test_operation_without_derivative_gives_a_constant(name):
    operation = operations()[name]
    kinds = [p.kind for p in operation.__signature__.parameters.values()]
    x = minidl.tensor([0.5, 2.0], requires_grad=True)
    if name == "check_indices":
        x = minidl.tensor([0, 2])
    settings = {"uniform_like": {"key": (0, 0)}, "check_indices": {"size": 9}}.get(name, {})
    result = operation(*[x] * kinds.count(Parameter.POSITIONAL_ONLY), **settings)
    assert not result.requires_grad


# Values and derivatives.


@each_case_in_torch
def test_value_equals_pytorch(case):
    arrays = case.arrays()
    ours = case.in_minidl()(*map(minidl.asarray, arrays))
    theirs = case.in_torch()(*map(torch.from_numpy, arrays))
    assert_close(ours, theirs, 1e-12)


@each_case_in_torch
@read_as_gradcheck
def test_three_derivatives_equal_pytorch(case):
    ours = higher_derivatives(case.in_minidl(), *setup_of(case))
    theirs = derivatives(Torch, case.in_torch(), *setup_of(case))
    for order in range(3):
        assert_all_close(ours[order], theirs[order], 1e-10)


@each_case_in_torch
@read_as_gradcheck
def test_three_derivatives_by_nested_grad_equal_pytorch(case):
    arrays, weights, directions = setup_of(case)
    positions = tuple(range(len(arrays)))

    def scalar(*inputs):
        return curved(case.in_minidl()(*inputs), weights)

    theirs = derivatives(Torch, case.in_torch(), arrays, weights, directions)
    for order in range(3):
        gradient = minidl.grad(scalar, argnums=positions)
        assert_all_close(map(np.asarray, gradient(*arrays)), theirs[order], 1e-10)
        if order < 2:
            scalar = lambda *xs, g=gradient, v=directions[order]: contracted(g(*xs), v)


def moved(arrays, direction, step):
    """The arrays, one step along the direction."""
    return [np.asarray(x + step * v) for x, v in zip(arrays, direction, strict=True)]


def central_difference(function, arrays, direction, step=1e-5):
    """The change of each of the arrays that the function gives, along a direction of its inputs."""
    ahead, behind = (function(moved(arrays, direction, s)) for s in (step, -step))
    return [(np.asarray(a) - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]


@each_case
@read_as_gradcheck
def test_three_derivatives_equal_central_differences(case):
    arrays, weights, directions = setup_of(case)
    function = case.in_minidl()

    def value(xs):
        return [curved(function(*map(minidl.asarray, xs)), weights).item()]

    def first(xs):
        return gradients(function, xs, weights)

    def second(xs):
        return higher_derivatives(function, xs, weights, directions[:1])[1]

    one, two, three = higher_derivatives(function, arrays, weights, directions)
    products = [(g * v).sum() for g, v in zip(one, directions[0], strict=True)]
    (difference,) = central_difference(value, arrays, directions[0])
    assert abs(difference - sum(products)) <= 1e-6 * sum(map(abs, products))
    assert_all_close(two, central_difference(first, arrays, directions[0]), 1e-6)
    assert_all_close(three, central_difference(second, arrays, directions[1]), 1e-6)


def from_the_present(y, weights):
    """Σ w·(e²/2 + e³/6), e = y − y₀, where y₀ is what y is now: a minimum, whose gradient is 0."""
    error = y - y.detach()
    return (weights * error * error * (1 / 2 + error / 6)).sum()


@each_case_in_torch
@read_as_gradcheck
def test_second_and_third_derivatives_where_the_first_is_zero_equal_pytorch(case):
    ours = higher_derivatives(case.in_minidl(), *setup_of(case), loss=from_the_present)
    theirs = derivatives(Torch, case.in_torch(), *setup_of(case), loss=from_the_present)
    for order in range(3):
        assert_all_close(ours[order], theirs[order], 1e-10)


# The ways to the first derivative.


@each_case
@read_as_gradcheck
def test_gradients_agree_however_they_are_computed(case):
    arrays, weights, directions = setup_of(case)
    function = case.in_minidl()
    fast = gradients(function, arrays, weights)
    with minidl.kernels("reference"):
        reference = gradients(function, arrays, weights)
    (kept,) = higher_derivatives(function, arrays, weights)
    recorded = higher_derivatives(function, arrays, weights, directions[:1])[0]
    for other in (reference, kept, recorded):
        assert_all_close(other, fast, 1e-12)


@each_case
def test_values_agree_with_either_kernels(case):
    tensors, function = [minidl.asarray(x) for x in case.arrays()], case.in_minidl()
    fast = function(*tensors)
    with minidl.kernels("reference"):
        assert_close(function(*tensors), fast, 1e-12)


@each_case
@read_as_gradcheck
def test_gradient_of_each_input_alone(case):
    arrays, weights, _ = setup_of(case)
    function, tensors = case.in_minidl(), [minidl.asarray(x) for x in arrays]
    together = gradients(function, arrays, weights)
    for position, gradient in enumerate(together):

        def of_one(x, i=position):
            return function(*tensors[:i], x, *tensors[i + 1 :])

        (alone,) = gradients(of_one, [arrays[position]], weights)
        assert_close(alone, gradient, 1e-15)


# Other dtypes.


@each_case_in_torch
@read_as_gradcheck
def test_float32_equals_pytorch(case):
    arrays, weights, _ = setup_of(case, "float32")
    value = case.in_minidl()(*map(minidl.asarray, arrays))
    theirs = case.in_torch()(*map(torch.from_numpy, arrays))
    assert_close(value, theirs, 1e-5)
    ours = gradients(case.in_minidl(), arrays, weights)
    assert_all_close(ours, derivatives(Torch, case.in_torch(), arrays, weights)[0], 1e-5)
    assert all(g.dtype == "float32" for g in ours)


@each_case
def test_float16_stays_float16(case):
    arrays, weights, _ = setup_of(case, "float16")
    value = case.in_minidl()(*map(minidl.asarray, arrays))
    assert value.dtype == ("float64" if case.operation == "astype" else "float16")
    found = gradients(case.in_minidl(), arrays, weights)
    assert all(g.dtype == "float16" and np.isfinite(g).all() for g in found)


# Special values: ties, kinks, poles, infinities.

INF = np.inf


def over(points, *others):
    """Each of the points with each of the others, as one input for each."""
    return [given(grid.ravel()) for grid in np.meshgrid(points, *others, indexing="ij")]


# fmt: off
SPECIAL = [
    Case("relu at 0", ops.relu, functional.relu, given([-1, 0, 1, INF, -INF])),
    Case("leaky_relu at 0", ops.leaky_relu, functional.leaky_relu, given([-1, 0, 1])),
    Case("elu", ops.elu, functional.elu, given([-1000, 0, 1000])),
    Case("abs at 0", ops.abs, torch.abs, given([-1, 0, 1, INF, -INF])),
    Case("sqrt at 0", ops.sqrt, torch.sqrt, given([0, 1, INF])),
    Case("log at 0", ops.log, torch.log, given([0, 1, INF])),
    Case("log1p at -1", ops.log1p, torch.log1p, given([-1, 0, 1e-7])),
    Case("exp", ops.exp, torch.exp, given([-1000, 0, 1000, -INF, INF])),
    Case("expm1", ops.expm1, torch.expm1, given([-1000, 1e-7, 1000])),
    Case("asin at its ends", ops.asin, torch.asin, given([-1, 0, 1])),
    Case("acos at its ends", ops.acos, torch.acos, given([-1, 0, 1])),
    Case("tanh", ops.tanh, torch.tanh, given([-1000, -INF, 1000, INF])),
    Case("erf", ops.erf, torch.erf, given([-1000, -INF, 1000, INF])),
    Case("sigmoid", ops.sigmoid, torch.sigmoid, given([-1000, 0, 1000, -INF, INF])),
    Case("softplus", ops.softplus, functional.softplus, given([-1000, 0, 1000])),
    Case("silu", ops.silu, functional.silu, given([-1000, 0, 1000])),
    Case("gelu", ops.gelu, functional.gelu, given([-1000, 0, 1000])),
    Case("gelu tanh", lambda x: ops.gelu(x, approximate="tanh"),
         lambda x: functional.gelu(x, approximate="tanh"), given([-1000, 0, 1000])),
    Case("divide by 0", ops.divide, torch.divide, *over([-1, 1], [0, 2])),
    Case("xlogy at 0", ops.xlogy, torch.xlogy, given([0, 2]), given([2, 0])),
    Case("remainder", ops.remainder, torch.remainder, *over([-4, -1, 0, 4], [-2, 2])),
    Case("pow of 0", ops.pow, torch.pow, given([0] * 6), given([0, 0.5, 1, 2, 3, -1])),
    Case("pow to the 0", ops.pow, torch.pow, given([0.5, 2]), given([0, 0])),
    *[Case(f"pow of 0 to the {p}", lambda x, p=p: x**p, lambda x, p=p: x**p, given([-2, 0, 2]))
      for p in (0, 1, 2, 3, -1)],
    Case("pow of 0 and other numbers to x", lambda x: ops.pow(0, x),
         lambda x: torch.pow(0, x), given([0, 0.5, 2])),
    Case("maximum", ops.maximum, torch.maximum, *over([-1, 0, 1], [-1, 0, 1])),
    Case("minimum", ops.minimum, torch.minimum, *over([-1, 0, 1], [-1, 0, 1])),
    Case("maximum of itself", lambda x: ops.maximum(x, x),
         lambda x: torch.maximum(x, x), given([2])),
    Case("clip at its bounds", lambda x: ops.clip(x, -1, 1), lambda x: x.clip(-1, 1),
         given([-2, -1, 0, 1, 2])),
    Case("max with ties", ops.max, torch.amax, given([[1, 3, 3], [3, 2, 0]])),
    Case("max with ties, axis", lambda x: ops.max(x, axis=1), lambda x: x.amax(1),
         given([[1, 3, 3], [0, 0, 0]])),
    Case("min with ties, axes", lambda x: ops.min(x, axis=(0, 2)), lambda x: x.amin((0, 2)),
         given([[[1, 3, 1], [2, 2, 2]], [[1, 4, 5], [2, 0, 0]]])),
    Case("max infinite", lambda x: ops.max(x, axis=1), lambda x: x.amax(1),
         given([[-INF, -INF], [INF, 0], [INF, INF]])),
    # PyTorch's gradient, exp(x − y), has the digits of y.
    Case("logsumexp large", lambda x: ops.logsumexp(x, axis=1),
         lambda x: x.double().logsumexp(1).to(x.dtype),
         given([[1000, 999], [-1000, -1001]])),
    Case("logsumexp infinite", lambda x: ops.logsumexp(x, axis=1), lambda x: x.logsumexp(1),
         given([[-INF, 0], [1, -INF]])),
    Case("softmax large", ops.softmax, lambda x: x.softmax(-1),
         given([[1000, 999], [-1000, 1000]])),
    Case("softmax masked", ops.softmax, lambda x: x.softmax(-1), given([[-INF, 0, 1], [0, 0, 0]])),
    Case("log_softmax large", ops.log_softmax, lambda x: x.log_softmax(-1),
         given([[1000, 999], [-1000, 1000]])),
    Case("log_softmax masked", ops.log_softmax, lambda x: x.log_softmax(-1), given([[-INF, 0, 1]])),
    Case("cross_entropy large", ops.cross_entropy, functional.cross_entropy,
         given([[1000, -1000], [0, 1000]]), fixed([1, 1])),
    Case("cross_entropy masked", ops.cross_entropy, functional.cross_entropy,
         given([[-INF, 0, 1], [1, -INF, 1]]), fixed([1, 2])),
    Case("cross_entropy impossible", ops.cross_entropy, functional.cross_entropy,
         given([[-INF, 0], [1, 2]]), fixed([0, 1])),
    Case("cross_entropy of nothing", ops.cross_entropy, functional.cross_entropy,
         given(np.zeros((0, 3))), fixed(np.zeros(0, dtype=int))),
    Case("std of a constant", ops.std, lambda x: x.std(correction=0), given([2, 2, 2])),
    Case("mse_loss of nothing", ops.mse_loss, functional.mse_loss, given([]), given([])),
    Case("mean of nothing", ops.mean, torch.mean, given([])),
    # A choice passes nothing on to what it did not choose, not even an infinity times 0.
    Case("sqrt of clip", lambda x: ops.sqrt(ops.clip(x, min=0)), lambda x: x.clip(min=0).sqrt(),
         given([-1, 4])),
    Case("sqrt of relu", lambda x: ops.sqrt(ops.relu(x)),
         lambda x: x.relu().sqrt(), given([-1, 4])),
    Case("sqrt of maximum", lambda x, y: ops.sqrt(ops.maximum(x, y)),
         lambda x, y: torch.maximum(x, y).sqrt(), given([-1, 4]), given([0, 0])),
    Case("sqrt of minimum", lambda x, y: ops.sqrt(ops.minimum(x, y)),
         lambda x, y: torch.minimum(x, y).sqrt(), given([0, 4]), given([1, 5])),
    Case("sqrt of where", lambda x: ops.sqrt(ops.where(x > 0, x, 0)),
         lambda x: torch.where(x > 0, x, 0).sqrt(), given([-1, 4])),
    Case("log of put_at", lambda x: ops.log(put_at(x, 0, 0)),
         lambda x: written(x, 0, 0).log(), given([-1, 4])),
]
# fmt: on


def value_and_gradients(library, function, arrays, dy):
    """The value, and its gradients for the gradient dy of the value."""
    inputs = [library.leaf(x) for x in arrays]
    y = function(*inputs)
    found = library.gradients(y, inputs, library.constant(dy))
    return [library.numpy(x) for x in (y, *found)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", SPECIAL, ids=repr)
def test_special_values_equal_pytorch(case, dtype):
    arrays, weights, _ = setup_of(case, dtype)
    theirs = value_and_gradients(Torch, case.in_torch(), arrays, weights)
    for mode in (minidl.kernels("fast"), minidl.kernels("reference"), minidl.higher_order()):
        with mode:
            ours = value_and_gradients(Minidl, case.in_minidl(), arrays, weights)
            assert_all_close(ours, theirs, 1e-6 if dtype == "float32" else 1e-12)


# fmt: off
FAR = given([-1000, -100, 0, 1, 100, 1000])
SMOOTH = [
    Case("elu", ops.elu, functional.elu, given([-1000, -1, 1, 1000])),
    Case("tanh", ops.tanh, torch.tanh, FAR),
    Case("erf", ops.erf, torch.erf, FAR),
    Case("sigmoid", ops.sigmoid, torch.sigmoid, FAR),
    Case("softplus", ops.softplus, functional.softplus, FAR),
    Case("silu", ops.silu, functional.silu, FAR),
    Case("gelu", ops.gelu, functional.gelu, FAR),
    Case("logsumexp", ops.logsumexp, lambda x: x.logsumexp(0), given([-INF, -1000, 1, 2])),
    Case("softmax", ops.softmax, lambda x: x.softmax(-1), given([-INF, -1000, 999, 1000])),
    Case("log_softmax", lambda x: ops.log_softmax(x)[1:], lambda x: x.log_softmax(-1)[1:],
         given([-INF, -1000, 999, 1000])),
    Case("cross_entropy", ops.cross_entropy, functional.cross_entropy,
         given([[-INF, 999, 1000], [-1000, 0, 1000]]), fixed([1, 2])),
]
# fmt: on


def weighted(y, weights):
    """Σ w·y."""
    return (weights * y).sum()


@pytest.mark.parametrize("case", SMOOTH, ids=repr)
def test_three_derivatives_at_0_and_far_from_it_equal_pytorch(case):
    ours = higher_derivatives(case.in_minidl(), *setup_of(case), loss=weighted)
    theirs = derivatives(Torch, case.in_torch(), *setup_of(case), loss=weighted)
    for order in range(3):
        assert_all_close(ours[order], theirs[order], 1e-12)


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_derivatives_of_integer_powers_at_0(power):
    f = lambda x: x**power
    for order in range(1, 4):
        f = minidl.grad(f)
        assert f(minidl.tensor(0.0)).item() == (math.factorial(power) if order == power else 0)


# Where PyTorch gives NaN, the gradient of what a mask hides is 0.

HAVE_POLES = {
    "sqrt": lambda x: x.sqrt(),
    "log": lambda x: x.log(),
    "inverse": lambda x: 1 / x,
    "quotient": lambda x: x / x,
    "power": lambda x: x**-1.5,
    "root": lambda x: x**0.5,
    "entropy": lambda x: ops.xlogy(x, x),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", HAVE_POLES)
def test_masked_poles_give_no_gradient(name, order, dtype):
    def unmasked(x):
        return HAVE_POLES[name](x).sum()

    def masked(x):
        return minidl.where(x > 0, HAVE_POLES[name](x), 0).sum()

    for _ in range(order - 1):
        unmasked, masked = (lambda x, f=f: minidl.grad(f)(x).sum() for f in (unmasked, masked))
    (needed,) = np.asarray(minidl.grad(unmasked)(minidl.tensor([4], dtype=dtype)))
    found = minidl.grad(masked)(minidl.tensor([0, 4, 0], dtype=dtype))
    np.testing.assert_array_equal(found, [0, needed, 0])


def test_logsumexp_of_masked_elements_alone_has_no_gradient():
    y, dx = value_and_gradients(Minidl, ops.logsumexp, [np.array([-INF, -INF])], np.array(1.0))
    assert y == -INF
    np.testing.assert_array_equal(dx, [0, 0])


# What the engine relies on: it may add to a gradient in place.


@each_case
def test_pullbacks_give_new_arrays_or_views_of_their_argument(case, monkeypatch):
    pull = engine._pull

    def watched(node, dys, create_graph, *more):
        saved = list(inplace._arrays_in(node.pullback))
        given = []
        for edge, gradient in pull(node, dys, create_graph, *more):
            from_dy = any(share_memory(gradient, dy) for dy in dys)
            assert not any(share_memory(gradient, array) for array in saved)
            assert from_dy or not any(share_memory(gradient, other) for other in given)
            given.append(gradient)
            yield edge, gradient

    monkeypatch.setattr(engine, "_pull", watched)
    for dtype in ("float64", "float32"):
        arrays, weights, _ = setup_of(case, dtype)
        gradients(case.in_minidl(), arrays, weights)
