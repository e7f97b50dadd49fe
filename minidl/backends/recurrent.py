"""What the recurrent kernels of all backends share: shapes, states of layers, cells.

Layers have states with an axis of layers, (1, N, H), where they have one direction.  These are
passed on as (N, H) and given back with the axis: views, which cost nothing beside the four
operations that a layer would need for them, half of the time of a single step.

A cell is a sequence of one step.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from minidl.backends.joint import Joint


def shapes_fit(
    gates: int,
    x: Any,
    h: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    mask: Any,
    c: Any = None,
    weight_hr: Any = None,
) -> bool:
    """Whether these arrays are those of a sequence, x (T, N, in) and h (N, H), not empty."""
    if x.ndim != 3 or h.ndim != 2 or not x.size or not h.size:
        return False
    (steps, rows, inputs), outputs = x.shape, h.shape[1]
    hidden = outputs if weight_hr is None else weight_hr.shape[-1]
    size = gates * hidden
    return (
        size > 0
        and h.shape[0] == rows
        and weight_ih.shape == (size, inputs)
        and weight_hh.shape == (size, outputs)
        and (bias_ih is None or bias_ih.shape == (size,))
        and (bias_hh is None or bias_hh.shape == (size,))
        and (c is None or c.shape == (rows, hidden))
        and (weight_hr is None or weight_hr.shape == (outputs, hidden))
        and (mask is None or mask.shape == (steps, rows))
    )


def with_layer_axis(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a kernel, whose states are the `count` arrays after x, take them as (1, N, H), too."""

    def decorate(kernel: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(kernel)
        def entry(x: Any, *arrays: Any, **settings: Any) -> Any:
            states = arrays[:count]
            for state in states:
                if getattr(state, "ndim", 2) != 3 or len(state) != 1:
                    return kernel(x, *arrays, **settings)
            result = kernel(x, *[s[0] for s in states], *arrays[count:], **settings)
            return result if result is NotImplemented else _with_axis(count, *result)

        return entry

    return decorate


def _with_axis(count: int, value: tuple[Any, ...], joint: Joint | None) -> tuple[Any, Joint | None]:
    """The value and the pullback, with the axis of layers in the states and in their gradients."""
    value = value[0], *[s[None] for s in value[1:]]
    if joint is None:
        return value, None
    of_kernel = joint.function

    def pullback(needed: tuple[bool, ...], dy: Any, *dstates: Any) -> tuple[Any, ...]:
        dx, *others = of_kernel(needed, dy, *[d if d is None else d[0] for d in dstates])
        before = [d if d is None else d[None] for d in others[:count]]
        return dx, *before, *others[count:]

    return value, Joint(pullback)


def one_step(x: Any, states: tuple[Any, ...], sequence: Callable[..., Any]) -> Any:
    """The states after a step of x, (N, in) or (in,), and the pullback; the mask has none."""
    arrays = x, *states
    if any(getattr(array, "ndim", None) != x.ndim for array in arrays):
        return NotImplemented
    single = x.ndim == 1
    x, *rows = (array[None] for array in arrays) if single else arrays
    result = sequence(x[None], *rows)
    if result is NotImplemented:
        return NotImplemented
    (_, *after), joint = result
    shapes = [array.shape for array in arrays]
    states_after = tuple([s[0] for s in after] if single else after)
    value = states_after if len(after) > 1 else states_after[0]
    if joint is None:
        return value, None
    of_sequence, count = joint.function, len(after)

    def pullback(needed: tuple[bool, ...], *dys: Any) -> tuple[Any, ...]:
        dys = tuple([dy[None] for dy in dys]) if single else dys
        gradients = of_sequence((*needed, False), None, *dys)[:-1]
        own = [
            gradient if gradient is None else gradient.reshape(shape)
            for gradient, shape in zip(gradients, shapes, strict=False)
        ]
        return *own, *gradients[count + 1 :]

    return value, Joint(pullback)
