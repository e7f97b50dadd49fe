"""The builder of cases: it draws the arguments of one call with Hypothesis."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from minidl.errors import ArgumentError
from minidl.testing.cases import Case
from minidl.testing.values import LAYOUTS, REAL, from_seed, in_layout


class CaseBuilder:
    """Builds a case: first the settings, then arrays that fit them.

    draw     Hypothesis's function of that name
    dtype    the dtype of the float arrays
    fixed    the arguments that are not drawn
    """

    def __init__(self, draw: Any, name: str, dtype: np.dtype, fixed: Mapping[str, Any]) -> None:
        self.draw, self.dtype, self.fixed = draw, np.dtype(dtype), dict(fixed)
        self.case = Case(name, {}, {}, frozenset(fixed))
        self.used: set[str] = set()

    def integer(self, low: int, high: int) -> int:
        """An integer that is not itself an argument."""
        return self.draw(st.integers(low, high))

    def shape(self, ndim: int, high: int = 4) -> tuple[int, ...]:
        """A shape of `ndim` axes, with lengths from 1 to `high`."""
        return tuple(self.integer(1, high) for _ in range(ndim))

    def setting(self, name: str, strategy: Any) -> Any:
        """An argument that is not an array: the fixed value, or one drawn from the strategy."""
        self.used.add(name)
        strategy = self.fixed[name] if name in self.fixed else _strategy(strategy)
        chosen = isinstance(strategy, st.SearchStrategy)
        value = self.case.settings[name] = self.draw(strategy) if chosen else strategy
        return value

    def array(
        self,
        name: str,
        shape: Sequence[int],
        values: Sequence[float] = REAL,
        *,
        distinct: bool = False,
        optional: bool = False,
        constant: bool = False,
    ) -> None:
        """An array of the case's float dtype.

        An `optional` array may be None; a `constant` one is not differentiated.
        """
        self.used.add(name)
        if constant:
            self.case.constants.add(name)
        none = name in self.fixed or (optional and not self.draw(st.booleans()))
        if name in self.fixed and self.fixed[name] is not None:
            raise ArgumentError(
                f"check_against: fix says {name}={self.fixed[name]!r}; an array can only be None"
            )
        if name in self.fixed and not optional:
            raise ArgumentError(f"check_against: fix says {name}=None, which {name} cannot be")
        if none:
            self.case.arrays[name] = None
            return
        array = self.elements(shape, values, distinct=distinct)
        self.case.arrays[name] = in_layout(array, self.draw(st.sampled_from(LAYOUTS)))
        if not distinct:
            self.case.simplest[name] = tuple(values[:5])

    def elements(
        self,
        shape: Sequence[int],
        values: Sequence[float],
        *,
        dtype: Any = None,
        distinct: bool = False,
    ) -> np.ndarray:
        """An array of these values that is not itself an argument."""
        seed = self.draw(st.integers(0, 2**16))
        return from_seed(seed, tuple(shape), dtype or self.dtype, values, distinct)

    def indices(self, name: str, shape: Sequence[int], size: int) -> None:
        """An int64 array of values from 0 to size − 1."""
        self.argument(name, self.elements(shape, range(size), dtype="int64"))

    def argument(self, name: str, array: np.ndarray | None) -> None:
        """An argument whose array is already computed."""
        self.used.add(name)
        self.case.arrays[name] = array

    def need(self, condition: bool) -> None:
        """Reject this case unless the condition holds."""
        if not condition:
            reject()


Recipe = Callable[[CaseBuilder], None]  # builds the cases of one operation


def _strategy(choices: Any) -> st.SearchStrategy:
    return choices if isinstance(choices, st.SearchStrategy) else st.sampled_from(choices)


@st.composite
def cases(
    draw: Any, name: str, recipe: Recipe, dtypes: Sequence[Any], fixed: Mapping[str, Any]
) -> Case:
    """Cases of one operation."""
    dtype = draw(st.sampled_from([np.dtype(d) for d in dtypes]))
    builder = CaseBuilder(draw, name, dtype, fixed)
    recipe(builder)
    unknown = set(fixed) - builder.used
    if unknown:
        known = ", ".join(sorted(builder.used))
        raise ArgumentError(
            f"check_against: fix names {', '.join(sorted(unknown))}; the cases of {name} have "
            f"{known}"
        )
    return builder.case
