"""Sequential: modules applied one after another."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Self, overload

from minidl.checks import check_integers
from minidl.errors import BoundsError, DTypeError, describe, listed
from minidl.nn import fusion
from minidl.nn.module import Module


class Sequential(Module):
    """Modules applied one after another; their names are "0", "1" and so on, or the keys of a dict.

    >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> net(minidl.ones((5, 3))).shape
    (5, 2)
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    >>> net[1], len(net[:2])
    (ReLU(), 2)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        first: Any = modules[0] if len(modules) == 1 else None
        if isinstance(first, Mapping):
            for name, module in first.items():
                self.add_module(name, self._checked(module))
        else:
            self.extend(modules)  # which refuses what is no module

    def forward(self, x: Any) -> Any:
        """Return the last module's output.

        Consecutive layers run as one operation where that gives the same values with fewer passes
        over memory; `minidl.nn.fusion` lists them.
        """
        modules = list(iter(self))
        for step in fusion.plan(modules):
            if isinstance(step, int):
                x = modules[step](x)
            else:
                x = step.run(modules[step.start : step.stop], x)
        return x

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        parts = self._parts()
        name = next(str(i) for i in count(len(parts)) if str(i) not in parts)
        setattr(self, name, self._checked(module))
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add several modules at the end."""
        for module in listed("Sequential", "modules", modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Insert a module before this index; the names become "0", "1" and so on."""
        check_integers(self, index=index)
        modules = list(self)
        modules.insert(index, self._checked(module))
        return self._renumber(modules)

    def pop(self, index: int | slice) -> Any:
        """Remove and return a module; the names become "0", "1" and so on."""
        found = self[index]
        del self[index]
        return found

    def __iter__(self) -> Iterator[Module]:
        return (part for part in vars(self).values() if isinstance(part, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...

    def __getitem__(self, index: int | slice) -> Any:
        """Return the module at an index; for a slice, a Sequential that keeps the names."""
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
