"""No gradient is lost without a word.

Each float argument that requires a gradient gets one, or is refused, or is documented as constant.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl.errors import MinidlError
from minidl.testing import strategies
from minidl.testing.cases import operation
from tests.cases import NO_DERIVATIVE

# Where the derivative is 0 wherever it is defined, labels, and random numbers.
CONSTANT_OPERATIONS = {*NO_DERIVATIVE}
CONSTANT_ARGUMENTS = {
    ("copysign", "x2"),
    ("cosine_embedding_loss", "target"),
    ("fractional_max_pool2d", "samples"),
    ("fractional_max_pool3d", "samples"),
    ("hinge_embedding_loss", "target"),
}


def without_effect(case, argument):
    """Whether these settings make the result constant in an argument."""
    nearest = case.name == "grid_sample" and case.settings["mode"] == "nearest"
    power = case.name == "matrix_power" and case.settings["n"] == 0
    unpadded = case.name == "pad" and argument == "value" and not any(case.settings["widths"])
    return power or unpadded or (nearest and argument == "grid")


def leaf(value):
    """A number or an array as a tensor that requires a gradient."""
    return minidl.tensor(value, dtype="float64", requires_grad=True)


def is_real(value):
    return type(value) is float or getattr(getattr(value, "dtype", None), "kind", None) == "f"


def loses_gradient(function, arrays, options, name):
    """Whether a call accepts a tensor that requires a gradient, and yet gives none."""
    arrays, options = dict(arrays), dict(options)
    x = leaf((arrays if name in arrays else options)[name])
    (arrays if name in arrays else options)[name] = x
    try:
        outputs = function(*arrays.values(), **options)
    except (MinidlError, TypeError, ValueError):
        return False
    outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
    recorded = [y for y in outputs if getattr(y, "requires_grad", False)]
    if not recorded:
        return True
    seeds = [minidl.ones_like(y) for y in recorded]
    return minidl.gradients(recorded, [x], seeds, allow_unused=True)[0] is None


@pytest.mark.parametrize("name", strategies.names())
@settings(max_examples=5)
@given(data=st.data())
def test_a_real_argument_gets_a_gradient_or_is_refused(name, data):
    case = data.draw(strategies.calls(name))
    arrays = {key: x for key, x in case.arrays.items() if x is not None}
    if len(arrays) < len(case.arrays) or not all(np.size(x) for x in arrays.values()):
        return
    for argument, value in {**arrays, **case.settings}.items():
        if is_real(value) and name not in CONSTANT_OPERATIONS:
            lost = loses_gradient(operation(name), arrays, case.settings, argument)
            constant = (name, argument) in CONSTANT_ARGUMENTS or without_effect(case, argument)
            assert lost == constant, (argument, case)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: minidl.full(3, x),
        lambda x: minidl.full_like(minidl.ones(3), x),
        lambda x: minidl.arange(x, 9.0),
        lambda x: minidl.linspace(0.0, x, 3),
        lambda x: minidl.asarray([[x, 1.0]]),
        lambda x: minidl.pad(minidl.ones(3), (1, 1), value=x),
    ],
)
def test_what_makes_a_constant_refuses_gradients(make):
    with pytest.raises(minidl.errors.GradientError, match=r"constant.*detach\(\)"):
        make(leaf(2.0))
    make(leaf(2.0).detach())


@pytest.mark.parametrize("function", [minidl.quantile, minidl.nanquantile])
def test_quantiles_are_differentiable_in_q(function):
    x, q = minidl.tensor([1.0, 8.0, 2.0, 4.0]), leaf([0.3, 0.5, 0.0, 1 / 3, 1.0])
    function(x, q).sum().backward()
    assert q.grad.tolist() == [3.0, 6.0, 3.0, 6.0, 12.0]  # three times the gap to the next element
    q.grad = None
    function(x, q, interpolation="midpoint").sum().backward()
    assert q.grad.tolist() == [0.0] * 5
    for constant in ("lower", "higher", "nearest"):
        assert not function(x, q, interpolation=constant).requires_grad


def test_quantiles_of_one_and_of_infinite_elements():
    q = leaf([0.0, 0.5, 1.0])
    y = minidl.quantile(minidl.tensor([7.0]), q)
    y.sum().backward()
    assert y.tolist() == [7.0] * 3
    assert q.grad.tolist() == [0.0] * 3
    endless = minidl.tensor([1.0, 2.0, np.inf, np.inf])
    assert minidl.quantile(endless, [0.0, 1 / 3, 0.5, 2 / 3, 1.0]).tolist() == [1, 2, *[np.inf] * 3]
