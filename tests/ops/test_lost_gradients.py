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

# Where the derivative is 0 wherever it is defined; and arguments documented as constants.
CONSTANT_OPERATIONS = {*NO_DERIVATIVE}
CONSTANT_ARGUMENTS = {("copysign", "x2")}


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
            assert lost == ((name, argument) in CONSTANT_ARGUMENTS), (argument, case)
