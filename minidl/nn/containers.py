"""ModuleList, ModuleDict, ParameterList and ParameterDict.

A plain list or dict as an attribute of a module serves as well; these are modules themselves, which
appear in `named_modules` and in the printed network.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.checks import check_integers
from minidl.errors import BoundsError, DTypeError, MinidlError, describe, raise_explained
from minidl.nn.module import Module, PartError
from minidl.nn.parameter import Parameter


class _Container(Module):
    """The items of a container: its attributes of one kind."""

    _kind: ClassVar[type]

    def _items(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if isinstance(x, self._kind)}

    def _checked(self, value: Any) -> Any:
        """Return the value, if it is of the right kind."""
        if not isinstance(value, self._kind):
            kind = self._kind.__name__.lower()
            raise DTypeError(f"{type(self).__name__}: is made of {kind}s; got {describe(value)}")
        return value

    def _replace(self, items: Mapping[str, Any]) -> None:
        """Replace the items by these, in this order."""
        for name in self._items():
            delattr(self, name)
        for name, value in items.items():
            setattr(self, name, value)

    def __len__(self) -> int:
        return len(self._items())


class _List(_Container):
    """The behaviour of a list; the names are "0", "1" and so on."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.extend(() if values is None else values)

    def _values(self) -> list[Any]:
        return list(self._items().values())

    def _renumber(self, values: Iterable[Any]) -> None:
        self._replace({str(i): x for i, x in enumerate([self._checked(x) for x in values])})

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values())

    def __contains__(self, value: Any) -> bool:
        return any(x is value for x in self)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._values()[index])
        return self._values()[self._index(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, str(self._index(index)), self._checked(value))

    def __delitem__(self, index: int | slice) -> None:
        values = self._values()
        del values[index if isinstance(index, slice) else self._index(index)]
        self._renumber(values)

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def __add__(self, values: Iterable[Any]) -> Self:
        return type(self)(list(self)).extend(values)

    def append(self, value: Any) -> Self:
        """Add one at the end."""
        return self.extend([value])

    def extend(self, values: Iterable[Any]) -> Self:
        """Add several at the end."""
        if isinstance(values, str | Mapping | Tensor | np.ndarray) or not isinstance(
            values, Iterable
        ):
            raise DTypeError(f"{type(self).__name__}: needs a list; got {describe(values)}")
        added = [self._checked(x) for x in values]
        for i, value in enumerate(added, len(self)):
            setattr(self, str(i), value)
        return self

    def insert(self, index: int, value: Any) -> None:
        """Insert one before this index."""
        check_integers(self, index=index)
        values = self._values()
        values.insert(index, value)
        self._renumber(values)

    def pop(self, index: int | slice = -1) -> Any:
        """Remove and return one."""
        found = self[index]
        del self[index]
        return found

    def _index(self, index: int) -> int:
        """The index, counted from the beginning."""
        n = len(self)
        if not isinstance(index, int) or not -n <= index < n:
            raise BoundsError(f"{type(self).__name__}: has {n} items; got index {index!r}")
        return index % n


class _Dict(_Container):
    """The behaviour of a dict; the names are the keys."""

    def __init__(self, values: Any = None) -> None:
        self.update({} if values is None else values)

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise PartError(f"{type(self).__name__}: has no {key!r}, but {list(self.keys())}")
        return self._items()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._register(key, self._checked(value), self._kind)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __contains__(self, key: str) -> bool:
        return isinstance(key, str) and key in self._items()

    def keys(self) -> Iterable[str]:
        """The keys, in the order of insertion."""
        return self._items().keys()

    def values(self) -> Iterable[Any]:
        """The values."""
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of keys and values."""
        return self._items().items()

    def update(self, values: Any) -> None:
        """Add the entries of a dict, or pairs; they replace those with the same key."""
        try:
            entries = dict(values.items() if hasattr(values, "items") else values)
        except (TypeError, ValueError):
            raise DTypeError(
                f"{type(self).__name__}: needs a dict or pairs; got {describe(values)}"
            ) from None
        for key, value in entries.items():
            self[key] = value

    def pop(self, key: str) -> Any:
        """Remove and return one."""
        found = self[key]
        delattr(self, key)
        return found

    def clear(self) -> None:
        """Remove all."""
        self._replace({})


class ModuleList(_List):
    """Modules in a list; calling them is up to the `forward` of the module that has it.

    >>> blocks = nn.ModuleList([nn.Linear(3, 3) for _ in range(2)])
    >>> list(blocks.state_dict())
    ['0.weight', '0.bias', '1.weight', '1.bias']
    >>> blocks
    ModuleList(
      (0-1): 2 x Linear(in_features=3, out_features=3, bias=True)
    )
    """

    _kind = Module

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__(modules)

    def __repr__(self) -> str:
        """Equal neighbours in one line, as in PyTorch: (0-2): 3 x Linear(…)."""
        runs: list[tuple[str, list[int]]] = []
        for i, text in enumerate(map(repr, self)):
            if runs and runs[-1][0] == text:
                runs[-1][1].append(i)
            else:
                runs.append((text, [i]))
        lines = [
            f"({indices[0]}): {text}"
            if len(indices) == 1
            else f"({indices[0]}-{indices[-1]}): {len(indices)} x {text}"
            for text, indices in runs
        ]
        inner = "\n".join(lines).replace("\n", "\n  ")
        return f"ModuleList(\n  {inner}\n)" if lines else "ModuleList()"


class ModuleDict(_Dict):
    """Modules in a dict; calling them is up to the `forward` of the module that has it.

    A key is a name without dots that is no attribute of modules, such as "forward".

    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "even": nn.Linear(8, 1)})
    >>> heads["digit"](minidl.ones((2, 8))).shape
    (2, 10)
    >>> list(heads.state_dict())
    ['digit.weight', 'digit.bias', 'even.weight', 'even.bias']
    """

    _kind = Module

    def __init__(self, modules: Any = None) -> None:
        super().__init__(modules)


class ParameterList(_List):
    """Parameters in a list; tensors, arrays and nested lists of numbers become parameters.

    >>> scales = nn.ParameterList([[1.0, 2.0], minidl.zeros((2, 3))])
    >>> scales
    ParameterList((0): float32 (2,), (1): float32 (2, 3))
    >>> scales[0].requires_grad
    True
    """

    _kind = Parameter

    def _checked(self, value: Any) -> Parameter:
        return _parameter(self, value)

    def extra_repr(self) -> str:
        return _shapes(self._items())


class ParameterDict(_Dict):
    """Parameters in a dict; tensors, arrays and nested lists of numbers become parameters.

    >>> free = nn.ParameterDict({"scale": [1.0], "shift": [0.0]})
    >>> free["scale"]
    Parameter([1.], float32, requires_grad)
    >>> [name for name, _ in free.named_parameters()]
    ['scale', 'shift']
    """

    _kind = Parameter

    def __init__(self, parameters: Any = None) -> None:
        super().__init__(parameters)

    def update(self, values: Any) -> None:
        """Add the entries of a dict, or pairs; a plain dict's by their keys, as in PyTorch."""
        super().update(sorted(values.items(), key=_key) if type(values) is dict else values)

    def _checked(self, value: Any) -> Parameter:
        return _parameter(self, value)

    def extra_repr(self) -> str:
        return _shapes(self._items())


def _key(entry: tuple[Any, Any]) -> str:
    return str(entry[0])


def _parameter(container: Module, value: Any) -> Parameter:
    """The value as a parameter."""
    try:
        return value if isinstance(value, Parameter) else Parameter(value)
    except MinidlError as error:
        raise_explained(type(container).__name__, (), error)


def _shapes(parameters: Mapping[str, Parameter]) -> str:
    """The name, dtype and shape of each."""
    return ", ".join(f"({name}): {x.dtype} {x.shape}" for name, x in parameters.items())
