"""The kit for other people's tests: gradients against differences, functions against minidl's."""

import doctest
import functools
import inspect
import re
import subprocess
import sys
import types

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import minidl
from minidl.errors import ArgumentError, DTypeError
from minidl.testing import Settings, check_against, gradcheck, gradgradcheck, strategies
from minidl.testing.cases import reference
from minidl.testing.excluded import EXCLUDED
from minidl.testing.libraries import guess, library_of

X = np.array([[0.3, -1.2], [0.7, 1.9]])


def message(function, *args, **kwargs):
    with pytest.raises(AssertionError) as raised:
        function(*args, **kwargs)
    return str(raised.value)


# Gradients against differences.


def wrong(derivative):
    """x³ with this instead of 3x²."""

    @minidl.primitive
    def cube(xp, x, /):
        return x**3, lambda dy: dy * derivative(xp, x)

    return cube


@minidl.primitive
def off_at_one(xp, x, /):
    return x * 2, lambda dy: dy * xp.where(x > 1.5, xp.full_like(x, 2.5), xp.full_like(x, 2))


def test_right_gradients_of_any_order():
    assert gradcheck(minidl.tanh, X, order=3) is True
    assert gradgradcheck(lambda x, w: minidl.sin(x @ w), X, X.T) is True


def test_several_outputs_nested_and_of_integers():
    def f(x):
        return minidl.sin(x), (minidl.argmax(x), x**2)

    assert gradcheck(f, X)
    report = message(gradcheck, lambda x: (x, (minidl.argmax(x), wrong(lambda xp, x: x)(x))), X)
    assert "derivative 1" in report


@pytest.mark.parametrize("f", [minidl.subtract, lambda x, y: minidl.relu(x * (y - 1.0))])
def test_inputs_without_axes_stay_in_double_precision(f):
    """Sums of them are NumPy scalars, which by themselves would become float32."""
    assert gradcheck(f, X, np.array(1.0))


def test_integers_are_passed_on():
    weight = np.random.default_rng(0).normal(size=(4, 2))
    assert gradcheck(minidl.embedding, weight, np.array([3, 0, 3]))
    assert gradcheck(minidl.where, np.array([True, False]), X, X + 1)


def test_the_report_names_the_worst_element():
    report = message(gradcheck, lambda w, x: off_at_one(x) + w, np.ones(2), X)
    assert "in input 1, element [1, 1] is furthest off: the gradient says " in report
    assert "derivative 1" in report


def test_the_report_names_the_order():
    def f(x):
        return minidl.where(x > 0, x, x) * wrong(lambda xp, x: 3 * minidl.asarray(x).numpy() ** 2)(
            x
        )

    assert gradcheck(f, X, order=1)
    report = message(gradcheck, f, X, order=2)
    assert report.startswith("derivative 2 of f: the gradient says ")
    assert "input 0, element" in report
    assert "derivative 2" in message(gradgradcheck, f, X)


def test_gradgradcheck_looks_at_the_second_alone():
    f = wrong(lambda xp, x: 4 * x**2)
    assert "derivative 1" in message(gradcheck, f, X)
    assert gradgradcheck(f, X)


@pytest.mark.parametrize(
    "f",
    [
        minidl.relu,
        lambda x: minidl.abs(x) + 3 * minidl.maximum(x, 0),
        lambda x: minidl.max(x, axis=0) ** 2,
        lambda x: minidl.where(x >= 0, x + 1, x),
        lambda x: x + 1e-4 * minidl.relu(x),
    ],
    ids=["relu", "abs", "max", "jump", "faint"],
)
def test_corners_are_stepped_around(f):
    assert gradcheck(f, np.zeros((2, 3)))


def test_a_corner_may_be_nearer_than_the_step():
    """At a quarter of the step no slope feels it, and at the whole they differ."""
    x = np.array([4e-7])
    assert gradcheck(lambda x: 5 * minidl.relu(x), x, order=1)
    assert gradcheck(lambda x: 5 * minidl.relu(-x), x, order=1)


@pytest.mark.parametrize("sign", [1, -1])
def test_where_there_is_a_derivative_no_point_is_moved(sign):
    cube = wrong(lambda xp, x: 4 * x**2)
    report = message(gradcheck, lambda x: sign * cube(x), X, order=1)
    assert "the gradient says" in report
    assert "moved" not in report


def test_a_mistake_beside_a_corner_is_found_and_the_report_says_that_the_point_moved():
    @minidl.primitive
    def leaky(xp, x, /):
        return xp.maximum(x, 0.1 * x), lambda dy: dy * xp.where(x > 0, x * 0 + 1, x * 0 + 0.2)

    report = message(gradcheck, leaky, np.zeros(5), order=1)
    assert "the point was moved 1 times: f had no derivative there" in report
    worst = re.search(r"furthest off: the gradient says (.*), differences say (.*)", report)
    assert float(worst[1]) == pytest.approx(2 * float(worst[2]))


def test_a_function_without_any_derivative_is_said_to_be_one():
    def f(x):
        return (
            minidl.asarray(np.random.default_rng(int(x.numpy().sum() * 1e9) + 10**9).normal(size=3))
            + x
        )

    assert "nor at 9 points near it" in message(gradcheck, f, np.zeros(3))


def test_nan_is_said_where_it_is():
    assert "output 0 of log has nan at [0, 1]" in message(gradcheck, minidl.log, X)
    with pytest.raises(ArgumentError, match=r"input 1 has inf at \[2\]"):
        gradcheck(minidl.add, np.zeros(3), np.array([0, 1, np.inf]))
    nan = wrong(lambda xp, x: x * float("nan"))
    assert "the gradient says nan" in message(gradcheck, nan, X)


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda: gradcheck(minidl.exp, X.astype("float32")), DTypeError, "input 0 is float32"),
        (lambda: gradcheck(minidl.exp, X + 0j), DTypeError, "needs real inputs"),
        (lambda: gradcheck(minidl.exp, np.arange(3)), DTypeError, "no input is float64"),
        (lambda: gradcheck(minidl.exp), DTypeError, "no input is float64"),
        (lambda: gradcheck("exp", X), DTypeError, "needs something to call"),
        (lambda: gradcheck(lambda x: 3.0, X), DTypeError, "needs tensors"),
        (lambda: gradcheck(minidl.argmax, X), DTypeError, "no floats"),
        (lambda: gradcheck(lambda x: x * 1j, X), DTypeError, "complex"),
        (lambda: gradcheck(minidl.exp, X, order=0), ArgumentError, "order=0"),
        (lambda: gradgradcheck(minidl.exp, X, step=-1), ArgumentError, "gradgradcheck: step=-1"),
        (lambda: gradcheck(minidl.exp, X, tolerance="a"), ArgumentError, "tolerance='a'"),
    ],
)
def test_what_cannot_be_checked_is_refused(spoil, error, words):
    with pytest.raises(error, match=words):
        spoil()


def test_functions_that_do_not_depend_on_an_input_have_a_gradient_of_zero():
    assert gradcheck(lambda x, y: y**2, X, X)
    assert gradcheck(lambda x: minidl.ones(3, dtype="float64"), X)


# Functions against minidl's.


@pytest.mark.parametrize("name", strategies.names())
def test_cases_of_every_name_are_right_calls_with_minidl_s_names(name):
    function = getattr(minidl, name, None) or getattr(minidl.linalg, name)
    parameters = list(inspect.signature(function).parameters)

    @settings(max_examples=5, database=None, derandomize=True, deadline=None)
    @given(strategies.calls(name))
    def names_are_right(case):
        assert list(case.arrays) == parameters[: len(case.arrays)]
        assert set(case.settings) <= set(parameters[len(case.arrays) :])
        assert reference(case)[0].outputs

    names_are_right()


def test_every_operation_has_cases_or_a_reason_why_not():
    drawn = set(strategies.names())
    assert not drawn & EXCLUDED.keys()
    offered = {
        name
        for module in (minidl.ops, minidl.linalg, minidl.fft)
        for name in getattr(module, "__all__", dir(module))
        if inspect.isfunction(getattr(module, name))
        and not name.startswith("_")
        and getattr(module, name).__module__.startswith(
            ("minidl.ops", "minidl.linalg", "minidl.fft")
        )
    }
    of_dtypes = {"can_cast", "finfo", "iinfo", "isdtype", "result_type"}
    missing = offered - of_dtypes - drawn - EXCLUDED.keys()
    assert not missing, (
        f"check_against draws no cases of {sorted(missing)}: add them to one of the files "
        "minidl/testing/*_cases.py; or, with the reason, to minidl/testing/excluded.py"
    )
    gone = (drawn | EXCLUDED.keys()) - offered
    assert not gone, f"minidl/testing/ has cases of {sorted(gone)}, which minidl does not offer"


def test_why_no_cases_are_drawn_is_said():
    with pytest.raises(ArgumentError, match=r"no cases are drawn of 'linalg\.svd', for what it"):
        check_against(np.linalg.svd, "linalg.svd")


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax_gradient(dy, x, axis=-1):
    y = softmax(x, axis)
    return y * (dy - (dy * y).sum(axis, keepdims=True))


def test_numpy_functions_with_their_gradient():
    assert check_against(softmax, "softmax", gradient=softmax_gradient)
    wrong_gradient = lambda dy, x, axis: dy * softmax(x, axis)
    report = message(check_against, softmax, "softmax", gradient=wrong_gradient)
    assert report.startswith("softmax gave another gradient by x; yours is\n")
    assert "the gradient of the value, which is carried back, is\n" in report
    assert "the largest error is " in report


def test_the_gradients_of_some_arguments_can_be_left_out():
    product = lambda x1, x2: x1 * x2

    def summed(d, shape):
        axes = tuple(range(d.ndim - len(shape)))
        d = d.sum(axes)
        return d.sum(tuple(i for i, n in enumerate(shape) if n < d.shape[i]), keepdims=True)

    by_first = lambda dy, a, b: (summed(dy * b, a.shape), None)
    report = message(check_against, product, "multiply", gradient=by_first)
    assert "gave no gradient by x2; minidl's is" in report
    by_both = lambda dy, a, b: (summed(dy * b, a.shape), summed(dy * a, b.shape))
    assert check_against(product, "multiply", gradient=by_both)
    report = message(check_against, product, "multiply", gradient=lambda dy, a, b: dy)
    assert "gradient gave 1 results; needs one for each of x1, x2" in report


PLANTED = {
    "in place": (lambda x: np.exp(x, out=x), "exp", "wrote into its argument x"),
    "strides": (lambda x: np.exp(x.ravel("K").reshape(x.shape)), "exp", "another value"),
    "float64": (lambda x: np.exp(x.astype("float64")), "exp", "a value of dtype float64"),
    "NaN": (lambda x: np.where(x == 1.5, np.nan, np.exp(x)), "exp", "the largest error is inf"),
    "no array": (lambda x: None, "exp", "a value of"),
    "no elements": (lambda x: np.sign(x) + 0 * x.max(), "sign", "raised ValueError"),
    "ties": (lambda x1, x2: np.maximum(x1, x2) + (x1 == 1), "maximum", "another value"),
    "integers": (lambda x1, x2: np.floor_divide(x1, x2 + 0.0), "remainder", "another value"),
    "axis": (lambda x, axis, include_initial: np.cumsum(x, 0), "cumulative_sum", "gave "),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_found(kind):
    function, name, words = PLANTED[kind]
    # What Hypothesis draws depends on the modules that are loaded, too: enough of it for all.
    report = message(check_against, function, name, settings=Settings(examples=500))
    assert words in report
    assert "in the call\n    <lambda>(x" in report


def test_the_report_is_of_the_smallest_case():
    report = message(check_against, lambda x: np.where(np.abs(x) > 1, 0, np.sin(x)), "sin")
    assert report.endswith("in the call\n    <lambda>(x)\nx is float64 ()\n    2.")


def test_arguments_that_a_function_lacks_are_named():
    report = message(check_against, lambda x: softmax(x), "softmax")
    assert "raised TypeError" in report
    assert "it has no argument axis: Settings(fix={'axis': " in report


def test_fixed_arguments():
    assert check_against(lambda x: softmax(x), "softmax", settings=Settings(fix={"axis": -1}))
    seen = set()

    def spying(x, axis):
        seen.add(axis)
        return softmax(x, axis)

    check_against(spying, "softmax", settings=Settings(fix={"axis": st.sampled_from([0, -1])}))
    assert seen == {0, -1}
    two = Settings(examples=20, fix={"bias": None})
    assert check_against(lambda x, w: x @ w.T, "linear", settings=two)


def test_one_seed_draws_one_set_of_cases():
    def drawn(seed):
        seen = []
        check_against(lambda x: (seen.append(x.copy()), np.exp(x))[1], "exp",
                      settings=Settings(examples=20, seed=seed))  # fmt: skip
        return seen

    first, again, other = drawn(3), drawn(3), drawn(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert {a.tobytes() for a in first} != {a.tobytes() for a in other}


def test_the_tolerance():
    close = lambda x: np.exp(x) * (1 + 1e-7)
    assert "another value" in message(check_against, close, "exp")
    assert check_against(close, "exp", settings=Settings(tolerance=1e-6))
    assert check_against(close, "exp", settings=Settings(dtypes=["float32"]))


def test_a_function_that_gives_something_else_each_time():
    count = iter(range(10**6))
    report = message(check_against, lambda x: np.exp(x) + next(count) % 2, "exp")
    assert "<lambda> gave " in report


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: check_against(np.exp, "conv2"), ArgumentError, "did you mean 'conv2d'"),
        (lambda: check_against(np.exp, 3), ArgumentError, "no cases are drawn of 3"),
        (lambda: check_against("exp", "exp"), DTypeError, "the function is str"),
        (lambda: check_against(np.exp, "exp", gradient=1), DTypeError, "gradient is 1"),
        (lambda: check_against(np.exp, "exp", settings={}), DTypeError, "settings is dict"),
        (lambda: check_against(np.exp, "exp", library="tf"), ArgumentError, "library='tf'"),
        (
            lambda: check_against(np.exp, "exp", settings=Settings(fix={"axes": 1})),
            ArgumentError,
            "fix names axes; the cases of exp have x",
        ),
        (
            lambda: check_against(np.exp, "exp", settings=Settings(fix={"x": X})),
            ArgumentError,
            "an array can only be None",
        ),
        (lambda: Settings(examples=0), ArgumentError, "examples=0"),
        (lambda: Settings(seed=0.5), ArgumentError, "seed=0.5"),
        (lambda: Settings(dtypes="float32"), ArgumentError, "needs a list"),
        (lambda: Settings(dtypes=["int8"]), ArgumentError, "int8"),
        (lambda: Settings(tolerance=0), ArgumentError, "tolerance=0"),
        (lambda: Settings(fix=["axis"]), DTypeError, "needs a dict"),
        (lambda: strategies.shapes(min_dims=3, max_dims=1), ArgumentError, "from 3 to 1"),
        (lambda: strategies.dtypes("q"), ArgumentError, "kinds='q'"),
        (lambda: strategies.axes(0), ArgumentError, "has none to choose from"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


# Which library a function is made with.


def with_minidl(x):
    return minidl.exp(x)


def test_the_library_is_guessed_from_the_names_in_the_code():
    assert guess(with_minidl) == "minidl"
    assert guess(functools.partial(with_minidl)) == "minidl"
    assert guess(np.exp) == guess(softmax) == "numpy"
    local = minidl
    assert guess(lambda x: local.exp(x)) == "minidl"


def test_minidl_functions_are_differentiated():
    assert check_against(with_minidl, "exp")
    bad = lambda x: minidl.exp(x).detach() + 0 * x
    assert "another gradient by x" in message(check_against, bad, "exp", library="minidl")


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ArgumentError, match="library='cupy' cannot be imported"):
        library_of(np.exp, "cupy")


def test_cupy_arrays_go_there_and_come_back(monkeypatch):
    """On a stand-in: what CuPy offers, with arrays in NumPy's."""
    cupy = types.ModuleType("cupy")
    cupy.ndarray = type("ndarray", (np.ndarray,), {})
    cupy.asarray = lambda a: np.array(a).view(cupy.ndarray)
    cupy.asnumpy = lambda a: np.array(a.view(np.ndarray))
    monkeypatch.setitem(sys.modules, "cupy", cupy)

    def doubled(x):
        assert type(x) is cupy.ndarray
        return x * x

    assert check_against(doubled, "square", library="cupy", gradient=lambda dy, x: 2 * x * dy)
    report = message(
        check_against, doubled, "square", library="cupy", gradient=lambda dy, x: x * dy
    )
    assert "another gradient by x" in report


def test_jax_functions():
    jax = pytest.importorskip("jax")
    few = Settings(examples=5)
    assert check_against(jax.numpy.exp, "exp", settings=few)
    assert check_against(jax.jit(lambda x, w: x @ w), "matmul", settings=few)
    argmax = lambda x, axis, keepdims: jax.numpy.argmax(x, axis, keepdims=keepdims)
    assert check_against(argmax, "argmax", settings=few, library="jax")
    half = jax.custom_jvp(jax.numpy.sin)
    half.defjvp(lambda primals, ts: (jax.numpy.sin(*primals), ts[0] * jax.numpy.cos(*primals) / 2))
    assert "another gradient by x" in message(check_against, half, "sin", library="jax")


# Strategies.


@pytest.mark.parametrize(
    "name", ["shapes", "dtypes", "arrays", "broadcastable_shapes", "axes", "calls", "names"]
)
def test_the_examples_of_the_strategies_run(name):
    function = getattr(strategies, name)
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(function), {}, name, None, 0)
    assert test.examples
    failures = []
    doctest.DocTestRunner().run(test, out=failures.append)
    assert not failures, "".join(failures)


@settings(max_examples=50, deadline=None, database=None)
@given(strategies.broadcastable_shapes(3), st.data())
def test_shapes_broadcast_and_axes_are_there(shapes, data):
    full = np.broadcast_shapes(*shapes)
    axis = data.draw(strategies.axes(len(full), several=True, none=True))
    np.zeros(full).sum(axis)


def test_arrays_of_all_kinds_are_drawn():
    def some(condition, **kwargs):
        return find(strategies.arrays(**kwargs), condition, settings=settings(database=None))

    assert some(lambda x: x.size == 0, shape=strategies.shapes(min_side=0)).size == 0
    assert not some(lambda x: not x.flags.c_contiguous and not x.flags.f_contiguous,
                    shape=(3, 3), contiguous=False).flags.c_contiguous  # fmt: skip
    assert np.isnan(some(lambda x: np.isnan(x).any(), shape=(2,), nonfinite=True)).sum() == 1
    assert some(lambda x: x[0] > x[1], shape=(3,), distinct=True).tolist() == [0.5, 0.0, 1.0]
    assert some(lambda x: x.any(), shape=(2,), dtype=strategies.dtypes("iu")).dtype == "int64"


def test_hypothesis_is_loaded_when_strategies_are_named():
    code = (
        "import sys, minidl.testing as t; assert 'hypothesis' not in sys.modules; t.strategies;"
        "assert 'hypothesis' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_hypothesis_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match=r'pip install "minidl\[testing\]"'):
        check_against(np.exp, "exp")
    with pytest.raises(AttributeError, match="no attribute 'strategy'"):
        minidl.testing.strategy  # noqa: B018
