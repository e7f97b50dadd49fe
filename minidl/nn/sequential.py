"""One module after another."""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from minidl.errors import DTypeError, describe
from minidl.nn.activation import ReLU
from minidl.nn.module import Module
from minidl.nn.pool import MaxPool2d


class Sequential(Module):
    """One module after another; their names are "0", "1" and so on."""

    def __init__(self, *modules: Module) -> None:
        for module in modules:
            self.append(module)

    def forward(self, x: Any) -> Any:
        """The last module's output.

        What gives the same numbers with less memory gone through is done so: a layer and the ReLU
        after it run as one operation, where the layer has one, and a ReLU before a max pooling
        runs after it, on fewer numbers, since max(relu(x)) = relu(max(x)).
        """
        for step in _steps(list(self)):
            x = step(x)
        return x

    def append(self, module: Module) -> "Sequential":
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise DTypeError(f"Sequential: is made of modules; got {describe(module)}")
        setattr(self, str(len(self)), module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return (part for part in vars(self).values() if isinstance(part, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self)[index]
        return Sequential(*modules) if isinstance(index, slice) else modules


def _steps(modules: list[Module]) -> Iterator[Callable[[Any], Any]]:
    """What to call, in order."""
    for i in range(len(modules) - 1):
        relu, pool = modules[i : i + 2]
        if _plain(relu, ReLU) and _plain(pool, MaxPool2d) and not pool.return_indices:
            modules[i : i + 2] = pool, relu
    joined = False
    for module, following in zip_longest(modules, modules[1:]):
        if not joined:  # with the layer before
            joined = _plain(following, ReLU) and _can_end_in_relu(module)
            yield module.forward_relu if joined else module
        else:
            joined = False


def _can_end_in_relu(layer: Module) -> bool:
    """Whether the class itself has a `forward_relu`, which goes with its own `forward`."""
    return "forward_relu" in vars(type(layer)) and _plain(layer, type(layer))


def _plain(module: Module | None, kind: type[Module]) -> bool:
    """Whether it is one of exactly this class, and nobody has put another `forward` into it."""
    return type(module) is kind and "forward" not in vars(module)
