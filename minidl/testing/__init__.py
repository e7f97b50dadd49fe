"""Tools to test your own code: gradients by finite differences, functions against minidl's.

`check_against` and the Hypothesis strategies in `minidl.testing.strategies`, which are loaded when
first used, need `pip install "minidl[testing]"`; `gradcheck` and `gradgradcheck` do not.
"""

from importlib import import_module
from types import ModuleType

from minidl.testing.conformance import Settings, check_against
from minidl.testing.finite_differences import gradcheck, gradgradcheck

__all__ = ["Settings", "check_against", "gradcheck", "gradgradcheck"]


def __getattr__(name: str) -> ModuleType:
    """Load Hypothesis when the strategies are first used (PEP 562)."""
    if name == "strategies":
        return import_module("minidl.testing.strategies")
    raise AttributeError(f"module 'minidl.testing' has no attribute {name!r}")
