"""Hypothesis strategies for tests of code that computes with arrays.

    from hypothesis import given
    from minidl.testing import strategies

    @given(strategies.calls("conv2d", fix={"groups": 1}))
    def test_my_convolution(case):
        x, weight, bias = case.arrays.values()
        …my_convolution(x, weight, bias, **case.settings)…

All shrink towards small examples: few and short axes, settings of 1, elements 0 and 1.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from hypothesis import strategies as st

from minidl.errors import ArgumentError
from minidl.testing import (
    elementwise_cases,
    indexing_cases,
    layer_cases,
    linear_algebra_cases,
    loss_cases,
    recurrent_cases,
)
from minidl.testing.case_builder import cases
from minidl.testing.cases import Case
from minidl.testing.excluded import EXCLUDED
from minidl.testing.values import arrays, axes, broadcastable_shapes, dtypes, shapes

__all__ = ["arrays", "axes", "broadcastable_shapes", "calls", "dtypes", "names", "shapes"]

_RECIPES = {
    **elementwise_cases.RECIPES,
    **indexing_cases.RECIPES,
    **layer_cases.RECIPES,
    **linear_algebra_cases.RECIPES,
    **loss_cases.RECIPES,
    **recurrent_cases.RECIPES,
}


def names() -> list[str]:
    """The names of the operations that there are cases for.

    >>> from minidl.testing import strategies
    >>> [name for name in strategies.names() if "conv1d" in name]
    ['conv1d']
    """
    return sorted(_RECIPES)


def calls(
    name: str, *, dtypes: Sequence[Any] = ("float64",), fix: Mapping[str, Any] | None = None
) -> st.SearchStrategy[Case]:
    """Valid calls of an operation of minidl: arguments that fit each other.

    A case has `arrays`, under the names that minidl's documentation gives them, and `settings`.
    The operation is differentiable at the values of the arrays, if it is differentiable at all.

    dtypes   the dtypes of the float arrays
    fix      arguments that are not drawn: {"stride": 2, "bias": None}, or drawn from a strategy of
             yours: {"stride": hypothesis.strategies.integers(1, 2)}

    ArgumentError: there are no cases for this operation, or it has no such argument.

    >>> from hypothesis import find
    >>> from minidl.testing import strategies
    >>> case = find(strategies.calls("conv1d"), lambda case: case.settings["stride"] == 2)
    >>> case.settings
    {'stride': 2, 'padding': 0, 'dilation': 1, 'groups': 1}
    >>> {name: x if x is None else x.shape for name, x in case.arrays.items()}
    {'x': (1, 1, 1), 'weight': (1, 1, 1), 'bias': None}
    """
    short = name.removeprefix("linalg.") if isinstance(name, str) else name
    if isinstance(short, str) and short in EXCLUDED:
        raise ArgumentError(f"check_against: no cases are drawn of {name!r}, for {EXCLUDED[short]}")
    if short not in _RECIPES:
        close = get_close_matches(str(short), _RECIPES, 3)
        meant = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        raise ArgumentError(
            f"check_against: no cases are drawn of {name!r}; {meant}The names are "
            f"{', '.join(names())}"
        )
    return cases(short, _RECIPES[short], tuple(dtypes), fix or {})
