"""Several gradients at once."""

from collections.abc import Callable
from typing import Any


class Joint:
    """A pullback for all inputs of an operation, which is told whose gradients are wanted.

        Joint(lambda wanted, dy: (dx, dw))        wanted[i]: input i has a gradient

    Where gradients share work, computing them apart would do it twice, and computing all of them
    would do what nobody needs.  What is not wanted may be None.
    """

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., tuple[Any, ...]]) -> None:
        self.function = function

    def __call__(self, wanted: tuple[bool, ...]) -> Callable[..., tuple[Any, ...]]:
        """The pullback for these wishes."""
        function = self.function
        return lambda *dys: function(wanted, *dys)
