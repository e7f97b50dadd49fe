"""The padding of a convolution that is more than zeros on both sides: "same", "valid", and modes.

What the convolution cannot do itself is padded before it, with `pad`.
"""

from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, lengths
from minidl.errors import ArgumentError
from minidl.ops.nn.padding import pad
from minidl.ops.options import extends

MODES = ("zeros", "reflect", "replicate", "circular")


def any_padding(convolution: Any) -> Any:
    """Extend a convolution by padding="same" and "valid", and by the modes of padding."""

    @extends(convolution)
    def padded_convolution(
        x: Any,
        weight: Any,
        bias: Any = None,
        /,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: Any = 1,
        *,
        padding_mode: str = "zeros",
    ) -> Tensor:
        if padding_mode != "zeros" or type(padding) is str:
            given = stride, padding, dilation, padding_mode
            x, padding = padded(convolution.__name__, x, weight, *given)
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return convolution(x, weight, bias, **settings)

    return padded_convolution


def check_padding(owner: Any, axes: int, stride: Any, padding: Any, padding_mode: Any) -> None:
    """Raise ArgumentError for an unknown mode or word, or for "same" with a stride."""
    name = owner if isinstance(owner, str) else type(owner).__name__
    check_choice(owner, MODES, padding_mode=padding_mode)
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise ArgumentError(
            f'{name}: padding is a number, one for each axis, "same" or "valid"; '
            f"got {padding!r:.60}"
        )
    steps = lengths(name, "stride", stride, 1, axes)
    if padding == "same" and steps != (1,) * axes:
        raise ArgumentError(f'{name}: padding="same" needs stride 1; got {steps}')


def padded(
    name: str,
    x: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    padding_mode: str,
) -> tuple[Any, tuple[int, ...]]:
    """x, padded as far as a convolution cannot do it, and the zero padding left to it."""
    shape, window = getattr(x, "shape", ()), getattr(weight, "shape", ())[2:]
    axes = len(window)
    none = (0,) * axes
    if not 1 <= axes <= 3 or len(shape) not in (axes + 1, axes + 2):
        return x, none  # the convolution raises for such an x or weight
    check_padding(name, axes, stride, padding, padding_mode)
    if padding == "valid":
        return x, none
    if padding == "same":
        apart = lengths(name, "dilation", dilation, 1, axes)
        spans = [d * (k - 1) for k, d in zip(window, apart, strict=True)]
        before, after = tuple(n // 2 for n in spans), tuple(n - n // 2 for n in spans)
    else:
        before = after = lengths(name, "padding", padding, 0, axes)
    if padding_mode == "zeros" and before == after:
        return x, before
    pairs = zip(reversed(before), reversed(after), strict=True)
    mode = "constant" if padding_mode == "zeros" else padding_mode
    return pad(x, [n for pair in pairs for n in pair], mode), none
