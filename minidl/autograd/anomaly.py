"""Anomaly detection: the operation that produced a NaN or an infinity, and the line of code."""

from typing import Any

import numpy as np

from minidl.autograd.mode import ModeChange, Observer, observed_by
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of
from minidl.backends.call_site import line_outside
from minidl.backends.rows import RowGradient
from minidl.errors import AnomalyError, describe


def detect_anomaly() -> ModeChange:
    """Raise AnomalyError where an operation or a pullback produces a NaN or an infinity.

    A `with` block, or a decorator.  The error names the operation, its inputs and whether they were
    finite, and the file and line of the call; in backward also the line that recorded the
    operation, if that ran in such a block too.  A NaN in a result is always an error; an infinity
    only if no input had one, for a mask of −∞ is intended.

    Every array is checked: for debugging, not for training.

    >>> x = minidl.tensor([0.0, 1.0])
    >>> with minidl.detect_anomaly():
    ...     y = x / x
    Traceback (most recent call last):
        ...
    minidl.errors.AnomalyError: divide(...) made NaN in its result ...; every input was finite; ...
    """
    return observed_by(_DETECTOR)


class _Recorded:
    """An operation, and the call of it that recorded a node."""

    def __init__(self, operation: Any, inputs: str, line: str) -> None:
        self.body, self.__name__ = operation.body, operation.__name__
        self.inputs, self.line = inputs, line


class _Detector(Observer):
    """Checks every result."""

    def ran(self, operation: Any, inputs: Any, outputs: list[Any], node: Any) -> None:
        """Check the outputs, and store the call in the node."""
        line = line_outside()
        given = ", ".join(map(describe, inputs))
        for i, result in enumerate(outputs):
            wrong = _produced(result, inputs)
            if wrong:
                which = f"output {i}, " if len(outputs) > 1 else ""
                raise AnomalyError(
                    f"{operation.__name__}({given}) made {wrong} in its result ({which}"
                    f"{describe(result)}); {_state('input', inputs)}; called at {line}"
                )
        if node is not None:
            node.operation = _Recorded(operation, given, line)

    def pulled(self, node: Any, dys: list[Any], edge: Any, gradient: Any) -> None:
        """Check the gradient of an input."""
        wrong = _produced(gradient, dys)
        if not wrong:
            return
        recorded = node.operation
        observed = isinstance(recorded, _Recorded)
        call = f"{node.name}({recorded.inputs})" if observed else node.name
        forward = recorded.line if observed else "a line outside detect_anomaly"
        shape, dtype = edge[0].outputs[edge[1]]
        raise AnomalyError(
            f"the pullback of {call} made {wrong} in the gradient of its input {dtype} {shape}; "
            f"{_state('gradient of output', dys)}; the operation was recorded at {forward}; "
            f"backward was called at {line_outside()}"
        )


_DETECTOR = _Detector()


def _produced(result: Any, inputs: Any) -> str:
    """The non-finite values in a result that are not propagated: "NaN", "Inf" or ""."""
    wrong = _not_finite(result)
    propagated = wrong == "Inf" and any("Inf" in _not_finite(x) for x in inputs)
    return "" if propagated else wrong


def _not_finite(x: Any) -> str:
    """Which of NaN and infinity an array, a tensor or a number contains."""
    x = x.rows if isinstance(x, RowGradient) else x.data if isinstance(x, Tensor) else x
    backend = backend_of(x)
    if backend is None:
        if not isinstance(x, float | complex):
            return ""
        x, backend = np.asarray(x), np
    if x.dtype.kind not in "fc" or bool(backend.all(backend.isfinite(x), axis=None)):
        return ""
    nan, inf = (bool(backend.any(test(x), axis=None)) for test in (backend.isnan, backend.isinf))
    return " and ".join(["NaN"] * nan + ["Inf"] * inf)


def _state(what: str, values: Any) -> str:
    """Whether the values were finite, or which were not."""
    wrong = [f"{what} {i} held {held}" for i, x in enumerate(values) if (held := _not_finite(x))]
    return " and ".join(wrong) + " already" if wrong else f"every {what} was finite"
