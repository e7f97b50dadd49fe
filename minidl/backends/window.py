"""Sliding-window geometry of convolution: stride, padding, dilation, output length.

Along each axis, tap a of window i reads index  i·stride − padding + a·dilation,  which is in the
padding if it is outside 0 … length − 1.  Bodies and kernels share these functions.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, NamedTuple

from minidl.checks import is_integer, lengths
from minidl.errors import ArgumentError, ShapeError

Pair = tuple[int, int]
Lengths = tuple[int, ...]

# The spatial axes of inputs and windows, by their number.
IMAGES = {1: "L", 2: "H, W", 3: "D, H, W"}
WINDOWS = {1: "K", 2: "KH, KW", 3: "KD, KH, KW"}


def memoized(function: Callable[..., Any]) -> Callable[..., Any]:
    """Memoize a function, for arguments that are hashable."""
    cached = lru_cache(maxsize=512, typed=True)(function)

    @wraps(function)
    def memoized(*arguments: Any) -> Any:
        try:
            return cached(*arguments)
        except TypeError:  # an unhashable list
            pass
        return function(*arguments)

    return memoized


def output_length(
    name: str,
    length: int,
    window: int,
    stride: int,
    padding: int,
    dilation: int,
    ceil_mode: bool = False,
) -> int:
    """The number of windows along an axis: ⌊(length + 2·padding − span) / stride⌋ + 1.

    span = dilation·(window − 1) + 1 is the receptive field.  With `ceil_mode` the quotient is
    rounded up, if the last window still starts inside the input or the padding before it.
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
    """The geometry of a convolution; each tuple has one length for each spatial axis."""

    image: Lengths
    window: Lengths
    stride: Lengths
    padding: Lengths
    dilation: Lengths
    groups: int
    output: Lengths  # the number of windows


@memoized
def convolution(
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    axes: int = 2,
) -> Convolution:
    """The geometry for x (…, C, H, W) and weight (O, C / groups, KH, KW), or other spatial axes."""
    _check_shapes(name, x, weight, f"O, C / groups, {WINDOWS[axes]}", axes)
    channels, outputs = x[-1 - axes], weight[0]
    if not is_integer(groups) or groups < 1 or channels % groups or outputs % groups:
        raise ArgumentError(
            f"{name}: groups is a number ≥ 1 that divides the {channels} channels and the "
            f"{outputs} outputs; got {groups!r}"
        )
    if channels != weight[1] * groups:
        raise ShapeError(
            f"{name}: weight {weight} with groups={groups} needs {weight[1] * groups} channels; "
            f"x has shape {x}"
        )
    stride = lengths(name, "stride", stride, 1, axes)
    padding = lengths(name, "padding", padding, 0, axes)
    dilation = lengths(name, "dilation", dilation, 1, axes)
    each = zip(x[-axes:], weight[-axes:], stride, padding, dilation, strict=True)
    output = tuple(output_length(name, *axis) for axis in each)
    return Convolution(x[-axes:], weight[-axes:], stride, padding, dilation, groups, output)


@memoized
def transposed(
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    axes: int = 2,
) -> Convolution:
    """The convolution of which a transposed convolution of x (…, C, H, W) is the input gradient.

    x is its dy, weight is (C, O / groups, KH, KW), and the result has the lengths of its input:

        (length − 1)·stride − 2·padding + dilation·(window − 1) + 1 + output_padding
    """
    _check_shapes(name, x, weight, f"C, O / groups, {WINDOWS[axes]}", axes)
    channels = x[-1 - axes]
    if not is_integer(groups) or groups < 1 or channels % groups:
        raise ArgumentError(
            f"{name}: groups is a number ≥ 1 that divides the {channels} channels; got {groups!r}"
        )
    if channels != weight[0]:
        raise ShapeError(f"{name}: weight {weight} needs {weight[0]} channels; x has shape {x}")
    stride = lengths(name, "stride", stride, 1, axes)
    padding = lengths(name, "padding", padding, 0, axes)
    dilation = lengths(name, "dilation", dilation, 1, axes)
    more = lengths(name, "output_padding", output_padding, 0, axes)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{name}: output_padding is less than the stride {stride} or the dilation {dilation}; "
            f"got {more}"
        )
    window, output = weight[-axes:], x[-axes:]
    each = zip(output, window, stride, padding, dilation, more, strict=True)
    image = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + m for n, k, s, p, d, m in each)
    if min(image) < 1 or min(output) < 1:
        raise ShapeError(f"{name}: nothing would come out of images of {output}: {image}")
    return Convolution(image, window, stride, padding, dilation, groups, output)


def _check_shapes(name: str, x: Lengths, weight: Lengths, weights: str, axes: int) -> None:
    """Raise unless inputs and weights have the right number of axes."""
    if len(x) not in (axes + 1, axes + 2) or len(weight) != axes + 2:
        image = IMAGES[axes]
        raise ShapeError(
            f"{name}: needs x of shape (N, C, {image}) or (C, {image}) and weight ({weights})"
            f"; got {x} and {weight}"
        )
