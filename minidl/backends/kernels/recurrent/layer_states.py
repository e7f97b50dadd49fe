"""States with an axis of layers, (1, N, H), as a layer with one direction has and returns them.

They are passed on as (N, H) and given back with the axis: views, which cost nothing beside the four
operations that a layer would need for them, half of the time of a single step.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from minidl.backends.joint import Joint


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
