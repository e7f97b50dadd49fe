"""Conformance testing: a user's function against minidl's operation of the same meaning."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, DTypeError, MinidlError, describe
from minidl.testing import comparison
from minidl.testing.cases import Case, Result, reference
from minidl.testing.libraries import library_of

_SIMPLIFIED = 200  # the number of elements that are simplified, at most


@dataclass(frozen=True)
class Settings:
    """How `check_against` draws cases and compares results.

    examples    the number of cases
    seed        the same seed draws the same cases in the same program; None: new ones in each run
    dtypes      the dtypes of the float arrays: float64, float32, float16
    tolerance   how far an element may be off, relative to the largest magnitude or to 1, whichever
                is larger; default 1e-10, 1e-5 and 1e-2 for these dtypes
    fix         arguments that are not drawn, by name: {"dilation": 1, "bias": None}; or are drawn
                from a strategy of yours: {"stride": hypothesis.strategies.integers(1, 2)}
    gradients   whether gradients are compared

    >>> from minidl.testing import Settings, check_against
    >>> only_last = Settings(examples=20, dtypes=["float64"], fix={"axis": -1})
    >>> def softmax(x):
    ...     e = np.exp(x)
    ...     return e / e.sum(-1, keepdims=True)
    >>> check_against(softmax, "softmax", settings=only_last)
    True
    """

    examples: int = 100
    seed: int | None = 0
    dtypes: Sequence[Any] = ("float64", "float32")
    tolerance: float | None = None
    fix: Mapping[str, Any] = field(default_factory=dict)
    gradients: bool = True

    def __post_init__(self) -> None:
        if type(self.examples) is not int or self.examples < 1:
            raise ArgumentError(f"Settings: examples={self.examples!r}; needs 1 or more")
        if self.seed is not None and type(self.seed) is not int:
            raise ArgumentError(f"Settings: seed={self.seed!r}; needs an integer or None")
        if self.tolerance is not None and not (
            isinstance(self.tolerance, int | float) and self.tolerance > 0
        ):
            raise ArgumentError(f"Settings: tolerance={self.tolerance!r}; needs a number above 0")
        if not isinstance(self.fix, Mapping):
            raise DTypeError(f"Settings: fix is {describe(self.fix)}; needs a dict of arguments")
        if (
            isinstance(self.dtypes, str)
            or not self.dtypes
            or not all(map(_has_tolerance, self.dtypes))
        ):
            known = ", ".join(comparison.TOLERANCES)
            raise ArgumentError(f"Settings: dtypes={self.dtypes!r}; needs a list out of {known}")


def _has_tolerance(dtype: Any) -> bool:
    try:
        return np.dtype(dtype).name in comparison.TOLERANCES
    except TypeError:
        return False


def check_against(
    function: Callable[..., Any],
    name: str,
    *,
    settings: Settings | None = None,
    gradient: Callable[..., Any] | None = None,
    library: str | None = None,
) -> bool:
    """Check that a function returns what minidl's operation of that name returns.

    Hypothesis draws cases whose arguments fit each other.  Values, their shapes and dtypes, and
    gradients are compared with those that minidl computes in float64.  Returns True, or raises
    AssertionError with the smallest failing case that Hypothesis finds: the call, the inputs, both
    results, and the largest error with its index.  Exceptions of the function are reported
    likewise.

    The function is called as minidl's is: arrays by position, in minidl's order, None for optional
    ones that a case omits; settings by name, `my_conv2d(x, weight, bias, stride=2, padding=0, …)`.
    Settings fixed by `settings.fix` are passed only if the function has an argument of that name.

    function   a function of the library's arrays
    name       "conv2d", "softmax", "linalg.solve"; `strategies.names()` lists them
    gradient   for NumPy and CuPy functions: gradient(dy, x, weight, …, stride=2, …) returns the
               gradients of the float arrays, or of all arrays with None for the others; without it
               only values are compared.  PyTorch, JAX and minidl differentiate their own functions
    library    "numpy", "torch", "jax", "cupy", "minidl": whose arrays the function takes; default:
               the first of torch, jax, cupy and minidl that the function, or a global name in its
               code, comes from, else NumPy

    Needs Hypothesis:  pip install "minidl[testing]".  Claessen and Hughes 2000 (QuickCheck);
    MacIver and Donaldson 2020, on how Hypothesis shrinks.

    ArgumentError: an unknown operation, argument or library.

    >>> from minidl.testing import check_against
    >>> check_against(lambda x: x / (1 + np.abs(x)), "softsign")
    True
    >>> check_against(lambda x: np.where(x > 1, 1, x), "hardtanh")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: <lambda> gave another value; yours is
        -2.
    and minidl's
        -1.
    the largest error is 1, at []: yours -2, minidl's -1; 1 of 1 are off by more than 1e-10 · 1
    ...
    """
    settings = Settings() if settings is None else settings
    if not callable(function):
        raise DTypeError(f"check_against: the function is {describe(function)}; needs a function")
    if gradient is not None and not callable(gradient):
        raise DTypeError(f"check_against: gradient is {describe(gradient)}; needs a function")
    if not isinstance(settings, Settings):
        raise DTypeError(f"check_against: settings is {describe(settings)}; needs Settings(…)")
    hypothesis = _hypothesis()
    from minidl.testing import strategies

    cases = strategies.calls(name, dtypes=settings.dtypes, fix=settings.fix)
    return _Check(function, gradient, library, settings).run(hypothesis, cases)


def _hypothesis() -> ModuleType:
    try:
        import hypothesis
    except ImportError as error:
        raise ImportError(
            'check_against draws cases with Hypothesis: pip install "minidl[testing]"'
        ) from error
    return hypothesis


class _Differs(Exception):  # noqa: N818
    """Tells Hypothesis that a case fails, and is to be shrunk."""


class _Check:
    """The check of one function, and the report on the last case."""

    def __init__(
        self, function: Any, gradient: Any, library: str | None, settings: Settings
    ) -> None:
        self.function, self.gradient, self.settings = function, gradient, settings
        self.library = library_of(function, library)
        self.name = getattr(function, "__name__", type(function).__name__)
        self.report = ""
        self.cause: Exception | None = None
        self.kind = ""  # of the first failure: shrinking must not slip to another kind
        self.failing: Case

    def run(self, hypothesis: ModuleType, cases: Any) -> bool:
        """Compare the results for all cases."""

        def examine(case: Case) -> None:
            kind = self.examine(case)
            self.kind = self.kind or kind
            if kind and kind == self.kind:
                self.failing = case
                raise _Differs

        test = hypothesis.given(cases)(examine)
        if self.settings.seed is not None:
            test = hypothesis.seed(self.settings.seed)(test)
        test = hypothesis.settings(
            max_examples=self.settings.examples,
            database=None,
            deadline=None,
            print_blob=False,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
        )(test)
        try:
            test()
        except _Differs:
            report = self.report
            if self.simplify(self.failing) != self.kind:
                raise AssertionError(self.varies(report)) from self.cause
            raise AssertionError(self.report) from self.cause
        except hypothesis.errors.Flaky:
            raise AssertionError(self.varies(self.report)) from self.cause
        except hypothesis.errors.Unsatisfiable as error:
            raise ArgumentError(
                f"check_against: no case fits fix={dict(self.settings.fix)!r}"
            ) from error
        return True

    def varies(self, report: str) -> str:
        """The report on a function that is not deterministic."""
        return f"{self.name} gave different results for the same inputs; one of them:\n{report}"

    def simplify(self, case: Case) -> str:
        """Replace elements by simpler ones while the failure stays; return its kind."""
        elements = [
            (case.array(name), index, values)
            for name, values in case.simplest.items()
            for index in np.ndindex(case.array(name).shape)
        ]
        for array, index, values in elements[:_SIMPLIFIED]:
            for value in values:
                before = array[index]
                if value == before:
                    break
                array[index] = value
                if self.examine(case) == self.kind:
                    break
                array[index] = before
        return self.examine(case)

    def examine(self, case: Case) -> str:
        """Compare the results for one case: write the report; return the kind of failure, or ""."""
        self.report, self.cause = "", None
        found: str | None
        ours, dtypes = reference(case)
        if not self.settings.gradients or not ours.gradients:
            ours.seeds = []
        before = {n: a.copy() for n, a in case.arrays.items() if a is not None}
        try:
            yours = self.result(case, ours)
        except Exception as error:
            self.cause = error
            found = f"raised {type(error).__name__}: {error}{self.missing(case, error)}"
        else:
            found = comparison.difference(case, yours, ours, dtypes, self.settings.tolerance)
        for n, a in before.items():
            if not np.array_equal(a, case.array(n), equal_nan=a.dtype.kind == "f"):
                found = found or f"wrote into its argument {n}"
                case.arrays[n] = a
        if not found:
            return ""
        call = comparison.call(self.name, case, self.passed(self.function, case))
        self.report = f"{self.name} {found}\nin the call\n{call}"
        first = found.partition("\n")[0]
        return "exception" if self.cause else "gradient" if "gradient" in first else "value"

    def result(self, case: Case, ours: Result) -> Result:
        """The values of the user's function, and its gradients if there are any."""
        settings = self.passed(self.function, case)
        automatic = ours.seeds and self.gradient is None and self.library.differentiates
        with self.library.context(), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            seeds = ours.seeds if automatic else None
            yours = self.library.call(self.function, case, settings, seeds)
            if self.gradient is not None and ours.seeds:
                dtype = case.array(case.floats[0]).dtype
                dys = [None if dy is None else dy.astype(dtype) for dy in ours.seeds]
                yours.gradients = self.library.call_gradient(
                    self.gradient, case, self.passed(self.gradient, case), dys
                )
        return yours

    def passed(self, function: Any, case: Case) -> dict:
        """The settings to call the function with: fixed ones only if it has such an argument."""
        keywords = _keywords(function)
        return {
            name: value
            for name, value in case.settings.items()
            if keywords is None or name in keywords or name not in case.fixed
        }

    def missing(self, case: Case, error: Exception) -> str:
        """A hint on how to omit settings that the function has no argument for."""
        keywords = _keywords(self.function)
        if keywords is None or isinstance(error, MinidlError):
            return ""
        absent = [n for n in case.settings if n not in keywords | case.fixed]
        if not absent:
            return ""
        fix = ", ".join(f"{n!r}: {case.settings[n]!r}" for n in absent)
        names = ", ".join(absent)
        return f"\n(it has no argument {names}: Settings(fix={{{fix}}}) leaves it out)"


def _keywords(function: Any) -> frozenset[str] | None:
    """The names of a function's parameters; None if it takes any, or has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return frozenset(p.name for p in parameters)
