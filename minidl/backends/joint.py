"""Joint pullbacks: the gradients of several inputs, computed together."""

from collections.abc import Callable
from typing import Any


class Joint:
    """A pullback for all inputs of an operation, with a flag for each: whether it is needed.

        Joint(lambda needed, dy: (dx, dw))        needed[i]: input i requires a gradient

    For gradients that share work, which separate functions would repeat, where computing all of
    them regardless would waste it.  A gradient that is not needed may be None.
    """

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., tuple[Any, ...]]) -> None:
        self.function = function

    def __call__(self, needed: tuple[bool, ...]) -> Callable[..., tuple[Any, ...]]:
        """The pullback for these flags."""
        function = self.function
        return lambda *dys: function(needed, *dys)
