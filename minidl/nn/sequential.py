"""One module after another."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Self

from minidl.errors import BoundsError, DTypeError, describe, listed
from minidl.nn.activation import ReLU
from minidl.nn.module import Module
from minidl.nn.pool import MaxPool2d
from minidl.nn.settings import check_whole


class Sequential(Module):
    """One module after another; their names are "0", "1" and so on, or the keys of a dict.

    >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> net(minidl.ones((5, 3))).shape
    (5, 2)
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    >>> net[1], len(net[:2])
    (ReLU(), 2)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, self._checked(module))
        else:
            self.extend(modules)

    def forward(self, x: Any) -> Any:
        """The last module's output.

        What gives the same numbers with less memory gone through is done so: a ReLU before a max
        pooling runs after it, on fewer numbers, since max(relu(x)) = relu(max(x)), and a layer and
        the ReLU after it run as one operation, where the layer has one.
        """
        for step in _steps(list(self)):
            x = step(x)
        return x

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        parts = self._parts()
        name = next(str(i) for i in count(len(parts)) if str(i) not in parts)
        setattr(self, name, self._checked(module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in listed("Sequential", "modules", modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before that of this index; the names become "0", "1" and so on."""
        check_whole(self, -math.inf, index=index)
        modules = list(self)
        modules.insert(index, self._checked(module))
        return self._renumber(modules)

    def pop(self, index: int | slice) -> Any:
        """Take out a module; the names become "0", "1" and so on."""
        found = self[index]
        del self[index]
        return found

    def __iter__(self) -> Iterator[Module]:
        return (part for part in vars(self).values() if isinstance(part, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int | slice) -> Any:
        """The module of an index; of a slice, a Sequential in which they keep their names."""
        if isinstance(index, slice):
            return Sequential(dict(list(self._parts().items())[index]))
        return getattr(self, self._name_of(index))

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name_of(index), self._checked(module))

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        if not isinstance(index, slice):
            self._name_of(index)
        del modules[index]
        self._renumber(modules)

    def __add__(self, other: "Sequential") -> "Sequential":
        return Sequential(*self).extend(other)

    def _parts(self) -> dict[str, Module]:
        return {name: part for name, part in vars(self).items() if isinstance(part, Module)}

    def _name_of(self, index: int) -> str:
        names = list(self._parts())
        if not isinstance(index, int) or not -len(names) <= index < len(names):
            raise BoundsError(f"Sequential: has {len(names)} modules; got index {index!r}")
        return names[index]

    def _renumber(self, modules: Iterable[Module]) -> Self:
        for name in self._parts():
            delattr(self, name)
        return self.extend(modules)

    def _checked(self, module: Any) -> Module:
        if not isinstance(module, Module):
            raise DTypeError(f"Sequential: is made of modules; got {describe(module)}")
        return module


def _steps(modules: list[Module]) -> list[Callable[[Any], Any]]:
    """What to call, in order."""
    steps: list[Callable[[Any], Any]] = list(modules)
    relus = [i for i, module in enumerate(modules) if type(module) is ReLU and _plain(module)]
    for i in reversed(relus):
        end = i
        while end + 1 < len(steps) and _takes_the_largest(steps[end + 1]):
            steps[end], steps[end + 1] = steps[end + 1], steps[end]
            end += 1
        if end > 1 and _by_twos(steps[end - 1]) and _has(steps[end - 2], "forward_pool_relu"):
            steps[end - 2 : end + 1] = [steps[end - 2].forward_pool_relu]
        elif end > 0 and _has(steps[end - 1], "forward_relu"):
            steps[end - 1 : end + 1] = [steps[end - 1].forward_relu]
    return steps


def _takes_the_largest(step: Any) -> bool:
    return type(step) is MaxPool2d and _has(step, "forward_relu")


def _by_twos(step: Any) -> bool:
    """Whether it takes the largest of squares of two by two, side by side."""
    return (
        _takes_the_largest(step)
        and all(side in (2, (2, 2), [2, 2]) for side in (step.kernel_size, step.stride))
        and step.padding in (0, (0, 0), [0, 0])
        and step.dilation in (1, (1, 1), [1, 1])
        and not step.ceil_mode
    )


def _has(step: Any, way: str) -> bool:
    """Whether the class itself has this way to run, which goes with its own `forward`."""
    one_output = not getattr(step, "return_indices", False)
    return one_output and way in vars(type(step)) and _plain(step)


def _plain(module: Module) -> bool:
    """Whether it has the `forward` of its class, and no hooks."""
    return "forward" not in vars(module) and not module._hooks
