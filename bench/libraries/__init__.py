"""The libraries, a module `with_<name>` for each; add a peer by its module and its name here.

Such a module has

    numpy(x)              the values of one of its tensors as a NumPy array
    use(device)           computes on a GPU, if the library can; synchronize() waits for it
    set_threads(n)        limits thread pools that threadpoolctl does not know
    classifier, adam, …   a function for each task of `bench.workloads` that it supports, which
                          raises MissingTaskError for arguments that it does not support

A task takes NumPy arrays and plain values, prepares what is not to be timed, and returns a step: a
function that does the work once and returns the tensors by which the sides are compared.  It is
written as a user of the library would write it.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from bench.errors import MissingTaskError

PEERS = ("torch", "jax", "tinygrad", "mygrad")


def installed(name: str) -> bool:
    """Whether the library can be imported."""
    return find_spec(name) is not None


def load(name: str) -> ModuleType:
    """The module for a library, which imports the library."""
    return import_module(f"bench.libraries.with_{name}")


def task(library: ModuleType, name: str) -> Callable[..., Any]:
    """The task of this name in a library's module; MissingTaskError if it has none."""
    if not hasattr(library, name):
        raise MissingTaskError(f"{library.__name__} has no {name}")
    return getattr(library, name)
