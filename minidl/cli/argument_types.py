"""Argument types for argparse that several commands use."""

import argparse
from collections.abc import Callable
from typing import Any

from minidl.backends import device
from minidl.backends.registry import find
from minidl.errors import DeviceError


def positive(kind: type) -> Callable[[str], Any]:
    """A positive, finite number."""
    return _number(kind, "above 0", lambda value: 0 < value < float("inf"))


def not_negative(kind: type) -> Callable[[str], Any]:
    """A finite number that is 0 or above."""
    return _number(kind, "≥ 0", lambda value: 0 <= value < float("inf"))


def fraction(text: str) -> float:
    """A number of [0, 1)."""
    return _number(float, "≥ 0 and below 1", lambda value: 0 <= value < 1)(text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where to compute."""
    parser.add_argument(
        "--device",
        type=_device,
        metavar="NAME",
        help="where to compute: cpu (default), cuda or cuda:1; `minidl info` shows what there is",
    )


def _device(name: str) -> device:
    """The name of a device that there is."""
    try:
        return find(name)[1]
    except DeviceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(kind: type, required: str, is_valid: Callable[[Any], bool]) -> Callable[[str], Any]:
    """An argument type that rejects invalid numbers."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not is_valid(value):
            raise argparse.ArgumentTypeError(f"must be a number {required}; got {text}")
        return value

    parse.__name__ = kind.__name__
    return parse
