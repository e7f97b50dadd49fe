"""Reparametrisation: a parameter computed from others before each call of its module."""

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.autograd.checkpoint import before_write
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_instance
from minidl.errors import ArgumentError, DTypeError, describe
from minidl.nn.hooks import RemovableHandle
from minidl.nn.module import Module, Parameter


class Reparametrized:
    """The hooks that compute the parameter before a call, and leave a constant afterwards.

    A constant, since a module that holds a computed tensor could not be copied or pickled.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.handles: list[RemovableHandle] = []

    def weight(self, module: Module) -> Tensor:
        """Compute the parameter; subclasses define it."""
        raise NotImplementedError

    def before(self, module: Module, inputs: tuple[Any, ...]) -> None:
        """Compute the parameter for a call."""
        before_write(module, name=self.name)
        setattr(module, self.name, self.weight(module))

    def after(self, module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep its values after the call."""
        setattr(module, self.name, getattr(module, self.name).detach())


def parameter_of(function: str, module: Any, name: str) -> Parameter:
    """Return the parameter of that name, if the module has it."""
    if not isinstance(module, Module):
        raise DTypeError(f"{function}: needs a Module; got {describe(module)}")
    check_instance(function, str, name=name)
    parameter = vars(module).get(name)
    if not isinstance(parameter, Parameter):
        raise ArgumentError(f"{function}: {module!r} has no parameter {name!r}")
    return parameter


def put(module: Module, how: Reparametrized, parts: Mapping[str, Tensor]) -> None:
    """Replace the parameter by its parts, named "<name>_<part>", and compute it from now on."""
    delattr(module, how.name)
    for part, tensor in parts.items():
        setattr(module, f"{how.name}_{part}", tensor)
    with no_grad():
        setattr(module, how.name, how.weight(module).detach())
    how.handles = [
        module.register_forward_pre_hook(how.before),
        module.register_forward_hook(how.after, prepend=True),
    ]


def removed(
    function: str, module: Any, name: str, kind: type[Reparametrized], parts: Iterable[str]
) -> bool:
    """Make the parameter independent again; return whether it was computed."""
    check_instance(function, Module, module=module)
    hooks = module._hooks.before if module._hooks else []
    for hook, _ in list(hooks):
        how = getattr(hook, "__self__", None)
        if type(how) is kind and how.name == name:
            with no_grad():
                weight = how.weight(module).detach()
            for handle in how.handles:
                handle.remove()
            delattr(module, name)
            for part in parts:
                delattr(module, f"{name}_{part}")
            setattr(module, name, Parameter(weight))
            return True
    return False
