"""Every operation that a module of minidl.ops defines."""

import pkgutil
from functools import cache
from importlib import import_module
from types import SimpleNamespace

import minidl


@cache
def operations():
    """The operations by name, private ones without their underscore."""
    names = [m.name for m in pkgutil.walk_packages(minidl.ops.__path__, "minidl.ops.")]
    found = [x for name in names for x in vars(import_module(name)).values() if hasattr(x, "body")]
    return {operation.__name__: operation for operation in found}


# For rows of operations that minidl.ops does not offer: private ones, those of minidl.linalg, ….
ops = SimpleNamespace(**{**operations(), **vars(minidl.ops)})
