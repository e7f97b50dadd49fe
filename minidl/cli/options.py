"""Kinds of arguments that commands share."""

import argparse
from collections.abc import Callable
from typing import Any


def positive(kind: type) -> Callable[[str], Any]:
    """A number above 0."""
    return _number(kind, "above 0", lambda value: 0 < value < float("inf"))


def share(text: str) -> float:
    """A number from 0 to 1, which itself is too large."""
    return _number(float, "from 0 on and below 1", lambda value: 0 <= value < 1)(text)


def _number(kind: type, needed: str, suits: Callable[[Any], bool]) -> Callable[[str], Any]:
    """An argument type that refuses other numbers."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not suits(value):
            raise argparse.ArgumentTypeError(f"must be a number {needed}; got {text}")
        return value

    parse.__name__ = kind.__name__
    return parse
