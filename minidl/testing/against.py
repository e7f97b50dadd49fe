"""Comparing somebody's function with minidl's operation of the same meaning."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, DTypeError, MinidlError, describe
from minidl.testing import comparison
from minidl.testing.cases import Answer, Case, reference
from minidl.testing.libraries import library_of

_SIMPLIFIED = 200  # elements, at most


@dataclass(frozen=True)
class Settings:
    """How `check_against` draws its cases and compares.

    examples    how many cases are drawn
    seed        the same cases for the same seed in the same program; None: others in every run
    dtypes      of the floats: float64, float32, float16
    tolerance   how far an element may be off, relative to the largest magnitude, or to 1 if that
                is more; unless told 1e-10, 1e-5, 1e-2 for the dtypes
    fix         arguments that are not drawn, by name: {"dilation": 1, "bias": None}; or that are
                drawn otherwise: {"stride": hypothesis.strategies.integers(1, 2)}
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
            raise ArgumentError(f"Settings: seed={self.seed!r}; needs a whole number or None")
        if self.tolerance is not None and not (
            isinstance(self.tolerance, int | float) and self.tolerance > 0
        ):
            raise ArgumentError(f"Settings: tolerance={self.tolerance!r}; needs a number above 0")
        if not isinstance(self.fix, Mapping):
            raise DTypeError(f"Settings: fix is {describe(self.fix)}; needs a dict of arguments")
        if isinstance(self.dtypes, str) or not self.dtypes or not all(map(_known, self.dtypes)):
            known = ", ".join(comparison.TOLERANCES)
            raise ArgumentError(f"Settings: dtypes={self.dtypes!r}; needs a list out of {known}")


def _known(dtype: Any) -> bool:
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
    """Whether a function gives what minidl's operation of that name gives.

    Cases are drawn by Hypothesis, with arguments that fit each other; values, their shapes and
    dtypes, and gradients are compared with those that minidl computes in float64.  True, or
    AssertionError with the smallest case that Hypothesis finds: the call, the inputs, both results,
    and the largest error and its place.  Exceptions of the function are reported in the same way.

    The function is called as minidl's is: arrays by position, in minidl's order, None for those
    that a case leaves out; all else by name, `my_conv2d(x, weight, bias, stride=2, padding=0, …)`.
    What `settings.fix` fixes is passed if the function has an argument of that name.

    function   of arrays of the library
    name       "conv2d", "softmax", "linalg.solve"; `strategies.names()` lists them
    gradient   of NumPy functions: gradient(dy, x, weight, …, stride=2, …) gives those of the arrays
               of floats, or of all arrays with None for others; without it values are compared.
               PyTorch's, JAX's and minidl's functions are differentiated by their libraries
    library    "numpy", "torch", "jax", "cupy", "minidl": what arrays the function takes; without
               it, the first of torch, jax, cupy and minidl that the function is from, or that a
               global name in its code is from, else NumPy

    Needs Hypothesis:  pip install "minidl[testing]".  Claessen and Hughes 2000 (QuickCheck);
    MacIver and Donaldson 2020, on how Hypothesis shrinks.

    ArgumentError: an operation, argument or library that is not known.

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
    """Tells Hypothesis that a case is one that it should make smaller."""


class _Check:
    """The comparison of one function, and the report of the case that was compared last."""

    def __init__(
        self, function: Any, gradient: Any, library: str | None, settings: Settings
    ) -> None:
        self.function, self.gradient, self.settings = function, gradient, settings
        self.library = library_of(function, library)
        self.name = getattr(function, "__name__", type(function).__name__)
        self.report = ""
        self.cause: Exception | None = None
        self.kind = ""  # of the mistake that was found first: it is not exchanged for another
        self.worst: Case | None = None

    def run(self, hypothesis: ModuleType, cases: Any) -> bool:
        """Compare on all cases."""

        def examine(case: Case) -> None:
            kind = self.examine(case)
            self.kind = self.kind or kind
            if kind and kind == self.kind:
                self.worst = case
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
            if self.simplify(self.worst) != self.kind:
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
        """What is said of a function that Hypothesis cannot pin down."""
        return f"{self.name} gave different results for the same inputs; one of them:\n{report}"

    def simplify(self, case: Case) -> str:
        """Replace elements by simpler ones, as long as the mistake stays; give its kind."""
        places = [
            (case.arrays[name], index, values)
            for name, values in case.simplest.items()
            for index in np.ndindex(case.arrays[name].shape)
        ]
        for array, index, values in places[:_SIMPLIFIED]:
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
        """Compare on one case: write the report, and give the kind of mistake, or ""."""
        self.report, self.cause = "", None
        ours, dtypes = reference(case)
        if not self.settings.gradients or not ours.gradients:
            ours.seeds = []
        before = {n: None if a is None else a.copy() for n, a in case.arrays.items()}
        try:
            yours = self.answer(case, ours)
        except Exception as error:
            self.cause = error
            found = f"raised {type(error).__name__}: {error}{self.missing(case, error)}"
        else:
            found = comparison.difference(case, yours, ours, dtypes, self.settings.tolerance)
        for n, a in before.items():
            if a is not None and not np.array_equal(
                a, case.arrays[n], equal_nan=a.dtype.kind == "f"
            ):
                found = found or f"wrote into its argument {n}"
                case.arrays[n] = a
        if not found:
            return ""
        call = comparison.call(self.name, case, self.passed(self.function, case))
        self.report = f"{self.name} {found}\nin the call\n{call}"
        first = found.partition("\n")[0]
        return "exception" if self.cause else "gradient" if "gradient" in first else "value"

    def answer(self, case: Case, ours: Answer) -> Answer:
        """What the user's function gives, and the gradients that there are."""
        settings = self.passed(self.function, case)
        automatic = ours.seeds and self.gradient is None and self.library.differentiates
        with self.library.context(), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            seeds = ours.seeds if automatic else None
            yours = self.library.call(self.function, case, settings, seeds)
            if self.gradient is not None and ours.seeds:
                dtype = case.arrays[case.floats[0]].dtype
                dys = [None if dy is None else dy.astype(dtype) for dy in ours.seeds]
                yours.gradients = self.library.call_gradient(
                    self.gradient, case, self.passed(self.gradient, case), dys
                )
        return yours

    def passed(self, function: Any, case: Case) -> dict:
        """The settings that the function gets: fixed ones only if it has such an argument."""
        known = _keywords(function)
        return {
            name: value
            for name, value in case.settings.items()
            if known is None or name in known or name not in case.fixed
        }

    def missing(self, case: Case, error: Exception) -> str:
        """How to leave out arguments that the function does not have."""
        known = _keywords(self.function)
        absent = [n for n in case.settings if known is not None and n not in known | case.fixed]
        if not absent or isinstance(error, MinidlError):
            return ""
        fix = ", ".join(f"{n!r}: {case.settings[n]!r}" for n in absent)
        names = ", ".join(absent)
        return f"\n(it has no argument {names}: Settings(fix={{{fix}}}) leaves it out)"


def _keywords(function: Any) -> frozenset[str] | None:
    """The names that a function takes; None if it takes any, or does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return frozenset(p.name for p in parameters)
