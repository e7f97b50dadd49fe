"""The geometry of windows that slide over pictures: what bodies and kernels agree on.

Along an axis of some length, with that many places of padding before and after it, window i begins
at i·stride − padding, and its places lie `dilation` apart.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from numbers import Integral
from typing import Any, NamedTuple

from minidl.errors import ArgumentError, ShapeError

Pair = tuple[int, int]


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what the function gave for these arguments, where they can be remembered."""
    known = lru_cache(maxsize=512, typed=True)(function)

    @wraps(function)
    def remembering(*arguments: Any) -> Any:
        try:
            hash(arguments)
        except TypeError:  # a list
            return function(*arguments)
        return known(*arguments)

    return remembering


def pair(name: str, setting: str, value: Any, least: int) -> Pair:
    """A setting of the operation `name`, one number for both axes or two, as two numbers."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(is_number(x) and x >= least for x in both):
        raise ArgumentError(
            f"{name}: {setting} is a number from {least} on, or two; got {value!r:.60}"
        )
    return int(both[0]), int(both[1])


def is_number(x: Any) -> bool:
    """Whether x is an integer, which True and False are not."""
    return type(x) is int or isinstance(x, Integral) and not isinstance(x, bool)


def output_length(
    name: str,
    length: int,
    window: int,
    stride: int,
    padding: int,
    dilation: int,
    ceil_mode: bool = False,
) -> int:
    """How many windows there are along an axis: ⌊(length + 2·padding − span) / stride⌋ + 1.

    span = dilation·(window − 1) + 1 is what a window covers.  With `ceil_mode` one more window may
    stick out at the end, if it begins inside the input or the padding before it.
    """
    span = dilation * (window - 1) + 1
    room = length + 2 * padding - span
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= length + padding:
        count -= 1
    if count < 1:
        spread = f" that covers {span}" if dilation > 1 else ""
        raise ShapeError(
            f"{name}: a window of {window}{spread} does not fit into a length of "
            f"{length + 2 * padding}{' with its padding' if padding else ''}"
        )
    return count


class Convolution(NamedTuple):
    """Where the windows of a convolution lie."""

    picture: Pair
    window: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    output: Pair  # how many windows


@remembered
def convolution(
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Convolution:
    """Where the windows lie for x (…, C, H, W) and weight (O, C / groups, KH, KW)."""
    if len(x) not in (3, 4) or len(weight) != 4:
        raise ShapeError(
            f"{name}: needs x of shape (N, C, H, W) or (C, H, W) and weight (O, C / groups, KH, KW)"
            f"; got {x} and {weight}"
        )
    if not is_number(groups) or groups < 1 or x[-3] % groups or weight[0] % groups:
        raise ArgumentError(
            f"{name}: groups is a number from 1 on that divides the {x[-3]} channels and the "
            f"{weight[0]} outputs; got {groups!r}"
        )
    if x[-3] != weight[1] * groups:
        raise ShapeError(
            f"{name}: weight {weight} with groups={groups} needs {weight[1] * groups} channels; "
            f"x has shape {x}"
        )
    stride = pair(name, "stride", stride, 1)
    padding = pair(name, "padding", padding, 0)
    dilation = pair(name, "dilation", dilation, 1)
    axes = zip(x[-2:], weight[-2:], stride, padding, dilation, strict=True)
    output = tuple(output_length(name, *axis) for axis in axes)
    return Convolution(x[-2:], weight[-2:], stride, padding, dilation, groups, output)
