"""What a function gave beside what minidl gives: the first difference, in words."""

from collections.abc import Sequence

import numpy as np

from minidl.testing.cases import Answer, Case

TOLERANCES = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-2}


def difference(
    case: Case, yours: Answer, ours: Answer, dtypes: Sequence[np.dtype], tolerance: float | None
) -> str | None:
    """What the user's function does otherwise; None if nothing.

    dtypes   those that the outputs should have
    """
    if len(yours.outputs) != len(ours.outputs):
        return f"gave {len(yours.outputs)} outputs; minidl gives {len(ours.outputs)}"
    for i, (mine, right, dtype) in enumerate(zip(yours.outputs, ours.outputs, dtypes, strict=True)):
        what = "value" if len(dtypes) == 1 else f"output {i}"
        if found := of_arrays(what, mine, right, dtype, tolerance or _tolerance(case)):
            return found
    return _of_gradients(case, yours, ours, tolerance or _tolerance(case))


def _of_gradients(case: Case, yours: Answer, ours: Answer, tolerance: float) -> str | None:
    for name, mine in yours.gradients.items():
        right = ours.gradients.get(name)
        what = f"gradient by {name}"
        if right is None:
            continue
        if mine is None:
            if right.any():
                return f"gave no {what}; minidl's is\n{shown(right)}"
            continue
        if found := of_arrays(what, mine, right, case.arrays[name].dtype, tolerance):
            return f"{found}\n{_seeds(ours.seeds)}"
    return None


def _seeds(seeds: Sequence[np.ndarray | None]) -> str:
    carried = [shown(dy) for dy in seeds if dy is not None]
    return "the gradient of the value, which is carried back, is\n" + "\n".join(carried)


def _tolerance(case: Case) -> float:
    """That of the coarsest dtype among the arrays."""
    dtypes = [case.arrays[name].dtype.name for name in case.floats]
    return max((TOLERANCES[d] for d in dtypes), default=0.0)


def of_arrays(
    what: str, mine: np.ndarray, right: np.ndarray, dtype: np.dtype, tolerance: float
) -> str | None:
    """The first of shape, dtype and numbers that is wrong.

    No element may be further off than tolerance · the largest magnitude, or · 1 if that is more.
    """
    if mine.shape != right.shape:
        return f"gave a {what} of shape {mine.shape}; minidl's has {right.shape}"
    if mine.dtype != dtype:
        return f"gave a {what} of dtype {mine.dtype}; minidl's is {dtype}"
    numbers, exact = mine.astype("float64"), right.astype("float64")
    scale = max(1.0, np.abs(exact[np.isfinite(exact)]).max(initial=0))
    with np.errstate(invalid="ignore"):
        same = (numbers == exact) | (np.isnan(numbers) & np.isnan(exact))
        errors = np.where(same, 0.0, np.abs(numbers - exact))
    errors[np.isnan(errors)] = np.inf
    if errors.max(initial=0) <= tolerance * scale:
        return None
    worst = tuple(int(i) for i in np.unravel_index(errors.argmax(), errors.shape))
    many = np.count_nonzero(errors > tolerance * scale)
    return (
        f"gave another {what}; yours is\n{shown(mine)}\nand minidl's\n{shown(right)}\n"
        f"the largest error is {errors[worst]:.6g}, at {list(worst)}: yours {mine[worst]:.10g}, "
        f"minidl's {right[worst]:.10g}; {many} of {mine.size} are off by more than "
        f"{tolerance:g} · {scale:g}"
    )


def shown(array: np.ndarray) -> str:
    """The array as text, indented; the middle of a large one is left out."""
    text = np.array2string(array, threshold=200, precision=8, max_line_width=96)
    return "    " + text.replace("\n", "\n    ")


def call(function: str, case: Case, settings: dict) -> str:
    """The call as the user would write it, and its arrays below."""
    names = [n for n, _ in zip(case.arrays, case.inputs(), strict=False)]
    arguments = ["None" if case.arrays[n] is None else n for n in names]
    arguments += [f"{n}={v!r}" for n, v in settings.items()]
    lines = [f"    {function}({', '.join(arguments)})"]
    for name in names:
        array = case.arrays[name]
        if array is not None:
            lines += [f"{name} is {array.dtype} {array.shape}", shown(array)]
    return "\n".join(lines)
