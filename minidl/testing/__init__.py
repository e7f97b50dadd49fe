"""Testing your own code: gradients against differences, and functions against minidl's.

`gradcheck` and `gradgradcheck` need nothing else; `check_against` and the Hypothesis strategies in
`minidl.testing.strategies`, loaded when they are first named, need `pip install "minidl[testing]"`.
"""

from importlib import import_module
from types import ModuleType

from minidl.testing.against import Settings, check_against
from minidl.testing.differences import gradcheck, gradgradcheck

__all__ = ["Settings", "check_against", "gradcheck", "gradgradcheck"]


def __getattr__(name: str) -> ModuleType:
    """Hypothesis is loaded when the strategies are first named (PEP 562)."""
    if name == "strategies":
        return import_module("minidl.testing.strategies")
    raise AttributeError(f"module 'minidl.testing' has no attribute {name!r}")
