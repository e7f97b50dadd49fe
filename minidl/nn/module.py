"""Module: the base class of layers and networks.

Parameters, buffers and submodules are plain attributes, which are found when they are needed.
Calling a module calls its `forward`, with hooks before and after it: `__call__` is in `hooks.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.backends import device as device_name
from minidl.checks import check_flags, check_instance
from minidl.errors import (
    ArgumentError,
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
    raise_explained,
)
from minidl.nn.attributes import Attributes, Place
from minidl.nn.parameter import Buffer, Parameter, destination, move
from minidl.nn.parts import named, tell_of_foreign_parts
from minidl.ops import asarray


class StateError(MinidlError, KeyError):
    """A state dict that does not belong to the module.

    >>> try:
    ...     nn.Flatten().load_state_dict({"weight": minidl.ones(2)})
    ... except nn.StateError as error:
    ...     print(error)
    load_state_dict into Flatten: missing [], unexpected ['weight']; strict=False loads what fits
    """

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show its message in quotes


class PartError(MinidlError, AttributeError, KeyError):
    """A path or a key that leads to no part of the module.

    >>> try:
    ...     nn.Sequential(nn.ReLU()).get_submodule("1")
    ... except nn.PartError as error:
    ...     print(error)
    Sequential has no module '1'
    """

    __str__ = StateError.__str__


class LoadedKeys(NamedTuple):
    """The keys that `load_state_dict` missed in the state, and those it did not expect."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Attributes):
    """The base class of layers and networks.

    A subclass creates its parameters and submodules in `__init__`, as plain attributes (also in
    lists, tuples and dicts), and computes in `forward`.  Calling the module calls `forward`.

    What is a parameter, a buffer or a submodule stays one: a tensor assigned to a buffer becomes
    the buffer, anything but a Parameter or None assigned to a parameter is a DTypeError.  A module
    that is not to be a part, such as a teacher, is held in `functools.partial(teacher)`.

    >>> class Residual(nn.Module):
    ...     def __init__(self, n):
    ...         self.inner = nn.Linear(n, n)
    ...         self.gain = nn.Parameter(minidl.ones(n))
    ...
    ...     def forward(self, x):
    ...         return x + self.gain * self.inner(x)
    >>> net = Residual(3)
    >>> [name for name, _ in net.named_parameters()]
    ['gain', 'inner.weight', 'inner.bias']
    >>> net(minidl.ones((2, 3))).shape
    (2, 3)
    """

    training = True

    # Submodules, parameters and buffers, in the order in which they were assigned.

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield the direct submodules with their names; each once."""
        seen: set[int] = set()
        for name, child in named(vars(self), Module):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield this module and all its submodules, however deep, with their paths; each once."""
        return self._named_modules(prefix, set())

    def _named_modules(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, "Module"]]:
        if id(self) not in seen:
            seen.add(id(self))
            yield prefix, self
            for name, child in self.named_children():
                yield from child._named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def _named_tensors(
        self, kind: type[Tensor], prefix: str, recurse: bool
    ) -> Iterator[tuple[str, Any]]:
        """Yield the tensors of a kind in this module and its submodules; a shared one once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            module._refuse_unmade()
            for name, tensor in named(vars(module), kind):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield f"{path}.{name}" if path else name, tensor

    def _refuse_unmade(self) -> None:
        """Raise PartError if the parameters are not made yet, as those of lazy layers."""

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter with its path, "fc1.weight"; without `recurse`, only its own."""
        return self._named_tensors(Parameter, prefix, recurse)

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Buffer]]:
        """Yield every buffer with its path."""
        return self._named_tensors(Buffer, prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield every parameter."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """Yield every buffer."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all its submodules."""
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator["Module"]:
        """Yield the direct submodules."""
        return (child for _, child in self.named_children())

    def apply(self, function: Callable[["Module"], Any]) -> Self:
        """Call a function with every submodule, and last with this module."""
        if not callable(function):
            raise DTypeError(f"apply: needs a function; got {describe(function)}")
        try:
            for child in self.children():
                child.apply(function)
        except RecursionError:
            raise _inside_itself(self) from None
        function(self)
        return self

    def get_submodule(self, target: str) -> "Module":
        """Return the module at a path such as "encoder.0" ("" is this one), else PartError."""
        check_instance("get_submodule", str, target=target)
        module, rest = self, target
        while rest:
            for name, child in named(vars(module), Module):
                if f"{rest}.".startswith(f"{name}."):
                    module, rest = child, rest[len(name) + 1 :]
                    break
            else:
                raise PartError(f"{type(self).__name__} has no module {target!r}")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter at a path such as "encoder.0.weight"."""
        return self._tensor_at(target, Parameter)

    def get_buffer(self, target: str) -> Buffer:
        """Return the buffer at a path."""
        return self._tensor_at(target, Buffer)

    def _tensor_at(self, target: str, kind: type[Tensor]) -> Any:
        for name, tensor in _all_named(self, kind):
            if name == target:
                return tensor
        raise PartError(f"{type(self).__name__} has no {kind.__name__.lower()} {target!r}")

    # Assignment of attributes whose names are computed.

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Assign `self.name = param`, checked."""
        self._register(name, param, Parameter)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Assign `self.name = Buffer(tensor, persistent)`, checked; None stays None.

        A tensor that is assigned to `self.name` afterwards becomes the buffer, as persistent.
        """
        try:
            made = tensor if tensor is None else Buffer(tensor, persistent)
        except MinidlError as error:
            raise_explained(f"{type(self).__name__}: {name}", (), error)
        self._register(name, made, Buffer, persistent)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Assign `self.name = module`, checked."""
        self._register(name, module, Module)

    register_module = add_module

    def _register(self, name: str, value: Any, kind: type, persistent: bool = True) -> None:
        own = type(self).__name__
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(
                f"{own}: a name is a text without dots, and not empty; got {describe(name)}"
            )
        if not isinstance(value, kind | None):
            raise DTypeError(
                f"{own}: {name} is to be a {kind.__name__} or None; got {describe(value)}"
            )
        if not isinstance(getattr(self, name, None), kind | None):
            raise ArgumentError(f"{own} has another attribute {name!r}")
        setattr(self, name, value)
        if value is None:
            self._keep_place(name, Place(kind, persistent))

    # Where and how it runs.

    def to(
        self, *where: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False
    ) -> Self:
        """Move all parameters and buffers to a device, and those of floats to a float dtype.

        where    a dtype, a device, both, or a tensor that has them: `to("float64")`, `to("cuda")`

        The tensors stay the same objects.  Create optimisers afterwards: they keep arrays of their
        own.  `non_blocking` changes nothing.
        """
        check_flags("to", non_blocking=non_blocking)
        device, dtype = destination(where, device, dtype)
        for tensor in (*self.parameters(), *self.buffers()):
            move(tensor, device, dtype)
        return self

    def cpu(self) -> Self:
        """Move all parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | str | None = None) -> Self:
        """Move all parameters and buffers to a GPU: the current one, or that of this index."""
        return self.to(device_name.of_index("cuda", device, "cuda"))

    def float(self) -> Self:
        """Compute in float32."""
        return self.to("float32")

    def double(self) -> Self:
        """Compute in float64."""
        return self.to("float64")

    def half(self) -> Self:
        """Compute in float16."""
        return self.to("float16")

    def train(self, training: bool = True) -> Self:
        """Switch to training mode (dropout is active), or out of it, with all submodules."""
        check_flags("train", training=training)
        for module in self.modules():
            if training:
                tell_of_foreign_parts(module)
        for module in self.modules():
            module.training = training
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, wanted: bool = True) -> Self:
        """Train all parameters, or freeze them."""
        check_flags("requires_grad_", wanted=wanted)
        for parameter in self.parameters():
            parameter.requires_grad = bool(wanted)
        return self

    def zero_grad(self) -> None:
        """Clear all gradients."""
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.grad = None

    # State.

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by path, sharing their memory; a shared one under each name."""
        tell_of_foreign_parts(self)
        own = named(vars(self), Parameter | Buffer)
        state = {name: x.detach() for name, x in own if getattr(x, "persistent", True)}
        try:
            for prefix, child in named(vars(self), Module):
                state.update({f"{prefix}.{name}": x for name, x in child.state_dict().items()})
        except RecursionError:
            raise _inside_itself(self) from None
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Copy values into parameters and buffers; return the missing and the unexpected names.

        With `strict`, missing and unexpected names are an error.  Wrong shapes always are.  On an
        error nothing has been changed.
        """
        check_instance("load_state_dict", Mapping, state=state)
        check_flags("load_state_dict", strict=strict)
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
        return LoadedKeys(missing, unexpected)

    # What `nn.summary` reports.

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        """Count the products with its own weights that a call with these inputs computed.

        A layer whose `forward` multiplies by parameters overrides this; others compute none.
        """
        return 0

    # Representation.

    def extra_repr(self) -> str:
        """Return the settings shown between the brackets of a layer."""
        return ""

    def __repr__(self) -> str:
        try:
            parts = [f"({name}): {child!r}" for name, child in named(vars(self), Module)]
        except RecursionError:
            raise _inside_itself(self) from None
        if not parts:
            return f"{type(self).__name__}({self.extra_repr()})"
        inner = "\n".join(parts).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inner}\n)"


def _all_named(module: Module, kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of a kind in a module and its submodules, under each of their paths."""
    yield from named(vars(module), kind)
    for prefix, child in named(vars(module), Module):
        for name, value in _all_named(child, kind):
            yield f"{prefix}.{name}", value


def _value(name: str, value: Any, own: Tensor) -> Tensor:
    """An entry of a state dict as a tensor that can be written into `own`."""
    try:
        given = asarray(value)
        if own.dtype.kind in "iub" and given.dtype.kind not in "iub":
            raise DTypeError(f"needs {own.dtype}; got {describe(given)}")
        return given.astype(own.dtype).to_device(own.device)
    except MinidlError as error:
        raise DTypeError(f"load_state_dict: {name}: {error}") from None


def _inside_itself(module: Module) -> ArgumentError:
    """The error for a module that contains itself."""
    return ArgumentError(
        f"{type(module).__name__} lies in itself; a part must not have the whole as an attribute"
    )


def other_than(defaults: Mapping[str, Any], layer: Module) -> list[str]:
    """The settings of a layer that are not its defaults, as `extra_repr` shows them."""
    values = {name: getattr(layer, name) for name in defaults}
    return [f"{name}={value}" for name, value in values.items() if value != defaults[name]]


def shape_error(layer: str, needs: str, x: Any) -> ShapeError:
    """The error for an input whose shape does not fit a layer."""
    given = tuple(x.shape) if hasattr(x, "shape") else describe(x)
    return ShapeError(f"{layer} needs an input of shape {needs}; got {given}")
