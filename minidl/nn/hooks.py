"""Hooks: functions called before and after a module's forward, and in its backward pass."""

from collections.abc import Callable
from typing import Any, Self

from minidl.autograd.mode import current
from minidl.autograd.primitive import primitive
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags
from minidl.errors import ArgumentError, DTypeError, describe


class RemovableHandle:
    """The handle of a registered hook: `remove()`, or leaving a `with`, removes the hook."""

    def __init__(self, hooks: list[Any], entry: Any) -> None:
        self._hooks, self._entry = hooks, entry

    def remove(self) -> None:
        """Remove the hook; if it is gone already, do nothing."""
        self._hooks[:] = [entry for entry in self._hooks if entry is not self._entry]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module, in the order in which they run."""

    def __init__(self) -> None:
        self.before: list[tuple[Callable[..., Any], bool]] = []
        self.after: list[tuple[Callable[..., Any], bool]] = []
        self.backward: list[tuple[Callable[..., Any], bool]] = []

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.backward)

    def run(self, module: Any, inputs: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        """Call the module's `forward`, with the hooks before, around and after it."""
        for hook, with_kwargs in list(self.before):
            inputs, settings = _replaced_inputs(module, hook, with_kwargs, inputs, settings)
        watch = _Watch(module, self.backward) if self.backward and current.get().record else None
        output = module.forward(*(watch.inputs(inputs) if watch else inputs), **settings)
        for hook, with_kwargs in list(self.after):
            given = (inputs, settings, output) if with_kwargs else (inputs, output)
            replaced = hook(module, *given)
            output = output if replaced is None else replaced
        return watch.outputs(output) if watch else output


class Hooked:
    """An object that is called through its hooks."""

    _hooks: Hooks | None = None

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        if self._hooks:
            return self._hooks.run(self, inputs, settings)
        return self.forward(*inputs, **settings)

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """Compute the outputs; subclasses define it."""
        raise DTypeError(f"{type(self).__name__} has no forward method, so it cannot be called")

    def register_forward_pre_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
    ) -> RemovableHandle:
        """Before each call, call `hook(module, inputs)`; a result replaces the inputs.

        prepend        run it before the hooks that are there
        with_kwargs    call hook(module, inputs, settings), which gives both or None
        """
        return _added(
            "register_forward_pre_hook", self._own_hooks().before, hook, with_kwargs, prepend
        )

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
    ) -> RemovableHandle:
        """After each call, call `hook(module, inputs, output)`; a result replaces the output.

        prepend        run it before the hooks that are there
        with_kwargs    call hook(module, inputs, settings, output)
        """
        return _added("register_forward_hook", self._own_hooks().after, hook, with_kwargs, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """In each backward pass, call `hook(module, input_gradients, output_gradients)`.

        Both are tuples, with None for what needs no gradient.  The hook's result, if any, replaces
        the gradients of the inputs.
        """
        return _added(
            "register_full_backward_hook", self._own_hooks().backward, hook, False, prepend
        )

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks


def _added(
    name: str, hooks: list[Any], hook: Any, with_kwargs: bool, prepend: bool
) -> RemovableHandle:
    """Register a hook at the end, or at the beginning."""
    if not callable(hook):
        raise DTypeError(f"{name}: a hook is a function; got {describe(hook)}")
    check_flags(name, with_kwargs=with_kwargs, prepend=prepend)
    entry = hook, with_kwargs
    hooks.insert(0 if prepend else len(hooks), entry)
    return RemovableHandle(hooks, entry)


def _replaced_inputs(
    module: Any,
    hook: Callable[..., Any],
    with_kwargs: bool,
    inputs: tuple[Any, ...],
    settings: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs and settings after a forward pre-hook."""
    if not with_kwargs:
        found = hook(module, inputs)
        if found is None:
            return inputs, settings
        return found if isinstance(found, tuple) else (found,), settings
    found = hook(module, inputs, settings)
    if found is None:
        return inputs, settings
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict)):
        raise ArgumentError(
            "a forward pre-hook with_kwargs gives None, or a tuple of inputs and a dict; got "
            f"{describe(found)}"
        )
    return found


@primitive(None)
def _module_gradients(xp: Any, *arrays: Any, replace: Callable[..., Any]) -> Any:
    """The arrays unchanged;   their gradients as `replace` returns them."""
    return arrays, lambda *dys: replace(dys)


class _Watch:
    """One call of a module with backward hooks, which intercepts gradients on both sides."""

    def __init__(self, module: Any, hooks: list[tuple[Callable[..., Any], bool]]) -> None:
        self._module, self._hooks = module, hooks
        self._count = 0  # of inputs that gradients flow to
        self._positions: list[int] = []  # their positions among all inputs
        self._outputs: tuple[Any, ...] = ()  # the gradients of the outputs, once computed

    def inputs(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The same inputs, whose gradients pass through here."""
        self._count = len(inputs)
        self._positions = _tracked(inputs)
        return _through(inputs, self._positions, self._replace_input_gradients)

    def outputs(self, output: Any) -> Any:
        """The same output, whose gradients pass through here."""
        outputs = output if isinstance(output, tuple) else (output,)
        positions = _tracked(outputs)

        def replace_output_gradients(gradients: tuple[Any, ...]) -> tuple[Any, ...]:
            self._outputs = _spread(gradients, positions, len(outputs))
            if not self._positions:
                self._call((None,) * self._count)
            return gradients

        outputs = _through(outputs, positions, replace_output_gradients)
        return outputs if isinstance(output, tuple) else outputs[0]

    def _replace_input_gradients(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        found = self._call(_spread(gradients, self._positions, self._count))
        recorded = isinstance(gradients[0], Tensor)
        chosen = [found[i] for i in self._positions]
        return tuple(x if recorded or not isinstance(x, Tensor) else x.data for x in chosen)

    def _call(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the inputs after the hooks."""
        for hook, _ in list(self._hooks):
            replaced = hook(self._module, gradients, self._outputs)
            if replaced is None:
                continue
            replaced = replaced if isinstance(replaced, tuple) else (replaced,)
            if len(replaced) != len(gradients):
                raise ArgumentError(
                    f"a backward hook gives a gradient for each of the {len(gradients)} inputs, or "
                    f"None; got {len(replaced)}"
                )
            gradients = replaced
        return gradients


def _tracked(values: tuple[Any, ...]) -> list[int]:
    """The positions of the tensors that gradients flow through."""
    return [i for i, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad]


def _through(
    values: tuple[Any, ...], positions: list[int], replace: Callable[..., Any]
) -> tuple[Any, ...]:
    """The values, those at `positions` through a node whose gradients `replace` returns."""
    if not positions:
        return values
    watched = _module_gradients(*(values[i] for i in positions), replace=replace)
    replaced = dict(zip(positions, watched, strict=True))
    found = [replaced.get(i, x) for i, x in enumerate(values)]
    return tuple(found) if type(values) is tuple else type(values)(*found)  # a NamedTuple


def _spread(gradients: tuple[Any, ...], positions: list[int], count: int) -> tuple[Any, ...]:
    """Gradients at their positions among `count`, as Tensors; None elsewhere."""
    found: list[Any] = [None] * count
    for i, gradient in zip(positions, gradients, strict=True):
        found[i] = gradient if isinstance(gradient, Tensor) else Tensor(gradient)
    return tuple(found)
