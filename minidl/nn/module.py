"""Module: a Python object whose parameters are found by looking at its attributes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import DTypeError, MinidlError, ShapeError, describe
from minidl.ops import asarray


class Parameter(Tensor):
    """A tensor that an optimiser is to learn."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(asarray(data).data)
        self.requires_grad = requires_grad


class Buffer(Tensor):
    """A tensor that belongs to a module's state, but is not learned, such as a running mean."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        super().__init__(asarray(data).data)


class StateError(MinidlError, KeyError):
    """A state dict that does not belong to the module."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show its message in quotes


class Module:
    """The base of layers and networks.

    A subclass makes its parameters and parts in `__init__`, as plain attributes (lists, tuples and
    dicts of them too), and computes in `forward`.  Calling the module calls `forward`.
    """

    training = True

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        return self.forward(*inputs, **settings)

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """Compute the outputs; every subclass has its own."""
        raise TypeError(f"{type(self).__name__} has no forward method")

    # Its parts, in the order in which they were assigned.

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules directly inside this one; each once."""
        seen: set[int] = set()
        for name, child in _named(vars(self), Module):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield this module and all inside it, however deep; each once."""
        return self._named_modules(prefix, set())

    def _named_modules(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, "Module"]]:
        if id(self) not in seen:
            seen.add(id(self))
            yield prefix, self
            for name, child in self.named_children():
                yield from child._named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def _named_tensors(self, kind: type[Tensor]) -> Iterator[tuple[str, Any]]:
        """The tensors of a kind in this module and all inside it; a shared one once."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, tensor in _named(vars(module), kind):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield f"{prefix}.{name}" if prefix else name, tensor

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its path: ("fc1.weight", …)."""
        return self._named_tensors(Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Every buffer with its path."""
        return self._named_tensors(Buffer)

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter."""
        return (parameter for _, parameter in self.named_parameters())

    def buffers(self) -> Iterator[Buffer]:
        """Every buffer."""
        return (buffer for _, buffer in self.named_buffers())

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all inside it."""
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator["Module"]:
        """The modules directly inside this one."""
        return (child for _, child in self.named_children())

    def apply(self, function: Callable[["Module"], Any]) -> Self:
        """Call a function with every module inside this one, and last with this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # How it runs.

    def train(self, training: bool = True) -> Self:
        """Run as in training (dropout drops), or not; and so all modules inside."""
        for module in self.modules():
            module.training = training
        return self

    def eval(self) -> Self:
        """Run as in use: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, wanted: bool = True) -> Self:
        """Learn all parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad = wanted
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.grad = None

    # Its state.

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by path, sharing their memory; a shared tensor under each name."""
        state = {name: tensor.detach() for name, tensor in _named(vars(self), Parameter | Buffer)}
        for prefix, child in _named(vars(self), Module):
            state.update({f"{prefix}.{name}": x for name, x in child.state_dict().items()})
        return state

    def load_state_dict(
        self, state: Mapping[str, Any], strict: bool = True
    ) -> tuple[list[str], list[str]]:
        """Copy values into parameters and buffers; the names missing from `state`, and unexpected.

        With `strict`, missing and unexpected names are an error.  Wrong shapes always are.  On an
        error nothing has been changed.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        given = {name: _value(name, state[name], x) for name, x in own.items() if name in state}
        wrong = [
            f"{name} has shape {value.shape}, needs {own[name].shape}"
            for name, value in given.items()
            if value.shape != own[name].shape
        ]
        if wrong:
            raise ShapeError(f"load_state_dict into {type(self).__name__}: {'; '.join(wrong)}")
        if strict and (missing or unexpected):
            raise StateError(
                f"load_state_dict into {type(self).__name__}: missing {missing}, unexpected "
                f"{unexpected}; strict=False loads what fits"
            )
        with no_grad():
            for name, value in given.items():
                own[name][...] = value
        return missing, unexpected

    # How it looks.

    def extra_repr(self) -> str:
        """What stands between the brackets of a layer: its settings."""
        return ""

    def __repr__(self) -> str:
        parts = [f"({name}): {child!r}" for name, child in _named(vars(self), Module)]
        if not parts:
            return f"{type(self).__name__}({self.extra_repr()})"
        inner = "\n".join(parts).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inner}\n)"


def _named(attributes: Mapping[str, Any], kind: Any) -> Iterator[tuple[str, Any]]:
    """The values of a kind among attributes, and in lists, tuples and dicts, with their path."""
    for name, value in attributes.items():
        if isinstance(value, kind):
            yield str(name), value
        elif isinstance(value, dict | list | tuple):
            inside = value if isinstance(value, dict) else dict(enumerate(value))
            for path, found in _named(inside, kind):
                yield f"{name}.{path}", found


def _value(name: str, value: Any, own: Tensor) -> Tensor:
    """An entry of a state dict as a tensor that can be written into `own`."""
    try:
        return asarray(value).astype(own.dtype).to_device(own.device)
    except MinidlError as error:
        raise DTypeError(f"load_state_dict: {name}: {error}") from None


def shape_error(layer: str, needs: str, x: Any) -> ShapeError:
    """The error of a layer whose input does not fit."""
    given = tuple(x.shape) if hasattr(x, "shape") else describe(x)
    return ShapeError(f"{layer} needs an input of shape {needs}; got {given}")
