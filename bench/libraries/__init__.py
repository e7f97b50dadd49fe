"""The libraries, a file `with_<name>.py` for each; a peer is added by its file and its name here.

Such a file has

    numpy(x)              the values of one of its tensors as a NumPy array
    set_threads(n)        for thread pools of its own that threadpoolctl does not know
    classifier, adam, …   a function for each task of `bench.workloads` that it can do, which
                          raises MissingTaskError for arguments with which it cannot

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
    """The file of a library, which imports it."""
    return import_module(f"bench.libraries.with_{name}")


def task(library: ModuleType, name: str) -> Callable[..., Any]:
    """The function of that name in the file of a library, or MissingTaskError."""
    if not hasattr(library, name):
        raise MissingTaskError(f"{library.__name__} has no {name}")
    return getattr(library, name)
