"""Comparison of a function's result with the reference: the first difference, in words."""

from collections.abc import Sequence

import numpy as np

from minidl.testing.cases import Case, Result

TOLERANCES = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-2}


def difference(
    case: Case, yours: Result, ours: Result, dtypes: Sequence[np.dtype], tolerance: float | None
) -> str | None:
    """The first difference of the user's result from minidl's; None if they agree.

    dtypes   the dtypes that the outputs should have
    """
    if len(yours.outputs) != len(ours.outputs):
        return f"gave {len(yours.outputs)} outputs; minidl gives {len(ours.outputs)}"
    for i, (value, exact, dtype) in enumerate(
        zip(yours.outputs, ours.outputs, dtypes, strict=True)
    ):
        what = "value" if len(dtypes) == 1 else f"output {i}"
        if found := array_difference(what, value, exact, dtype, tolerance or _tolerance(case)):
            return found
    return _gradient_difference(case, yours, ours, tolerance or _tolerance(case))


def _gradient_difference(case: Case, yours: Result, ours: Result, tolerance: float) -> str | None:
    for name, value in yours.gradients.items():
        exact = ours.gradients.get(name)
        what = f"gradient by {name}"
        if exact is None:
            continue
        if value is None:
            if exact.any():
                return f"gave no {what}; minidl's is\n{shown(exact)}"
            continue
        if found := array_difference(what, value, exact, case.array(name).dtype, tolerance):
            return f"{found}\n{_seeds(ours.seeds)}"
    return None


def _seeds(seeds: Sequence[np.ndarray | None]) -> str:
    carried = [shown(dy) for dy in seeds if dy is not None]
    return "the gradient of the value, which is carried back, is\n" + "\n".join(carried)


def _tolerance(case: Case) -> float:
    """The tolerance of the least precise dtype among the arrays."""
    dtypes = [case.array(name).dtype.name for name in case.floats]
    return max((TOLERANCES[d] for d in dtypes), default=0.0)


def array_difference(
    what: str, value: np.ndarray, exact: np.ndarray, dtype: np.dtype, tolerance: float
) -> str | None:
    """The first of shape, dtype and elements that is wrong; None if none is.

    No element may be off by more than tolerance · max(1, the largest magnitude).
    """
    if value.shape != exact.shape:
        return f"gave a {what} of shape {value.shape}; minidl's has {exact.shape}"
    if value.dtype != dtype:
        return f"gave a {what} of dtype {value.dtype}; minidl's is {dtype}"
    a, b = value.astype("float64"), exact.astype("float64")
    scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0))
    with np.errstate(invalid="ignore"):
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        errors = np.where(equal, 0.0, np.abs(a - b))
    errors[np.isnan(errors)] = np.inf
    if errors.max(initial=0) <= tolerance * scale:
        return None
    worst = tuple(int(i) for i in np.unravel_index(errors.argmax(), errors.shape))
    count = np.count_nonzero(errors > tolerance * scale)
    return (
        f"gave another {what}; yours is\n{shown(value)}\nand minidl's\n{shown(exact)}\n"
        f"the largest error is {errors[worst]:.6g}, at {list(worst)}: yours {value[worst]:.10g}, "
        f"minidl's {exact[worst]:.10g}; {count} of {value.size} are off by more than "
        f"{tolerance:g} · {scale:g}"
    )


def shown(array: np.ndarray) -> str:
    """The array as indented text, with the middle of a large one elided."""
    text = np.array2string(array, threshold=200, precision=8, max_line_width=96)
    return "    " + text.replace("\n", "\n    ")


def call(function: str, case: Case, settings: dict) -> str:
    """The call as the user would write it, followed by its arrays."""
    names = [n for n, _ in zip(case.arrays, case.inputs(), strict=False)]
    arguments = ["None" if case.arrays[n] is None else n for n in names]
    arguments += [f"{n}={v!r}" for n, v in settings.items()]
    lines = [f"    {function}({', '.join(arguments)})"]
    for name in names:
        array = case.arrays[name]
        if array is not None:
            lines += [f"{name} is {array.dtype} {array.shape}", shown(array)]
    return "\n".join(lines)
