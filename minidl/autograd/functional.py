"""Derivatives as functions of functions, and of tensors."""

from collections.abc import Callable, Sequence
from typing import Any

from minidl.autograd import engine
from minidl.autograd.graph import Leaf
from minidl.autograd.mode import current, enable_grad, higher_order
from minidl.autograd.primitive import primitive
from minidl.autograd.tensor import Tensor, seed_of
from minidl.backends import backend_of
from minidl.backends.rows import RowGradient
from minidl.errors import GradientError


def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Sequence[Tensor],
    output_gradients: Sequence[Any] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
) -> tuple[Tensor | RowGradient | None, ...]:
    """Σ dL/d(output) · d(output)/d(input) for each input, any tensor of the graph.

    Nothing is added to a leaf's `grad`.  Outputs are single numbers, or come with their gradients.
    An input that no output depends on is an error, or gives None with `allow_unused`.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    seeds = [None] * len(outputs) if output_gradients is None else list(output_gradients)
    if len(seeds) != len(outputs):
        raise GradientError(f"gradients: {len(outputs)} outputs, but {len(seeds)} gradients")
    roots = [
        (y.edge, seed_of(y, seed, create_graph, "gradients"))
        for y, seed in zip(outputs, seeds, strict=True)
    ]
    for position, x in enumerate(inputs):
        if x.edge is None:
            raise GradientError(f"gradients: input {position} does not require gradients")
    found = engine.gradients(
        roots,
        [x.edge for x in inputs],
        create_graph=create_graph,
        retain_graph=create_graph if retain_graph is None else retain_graph,
    )
    missing = [i for i, g in enumerate(found) if g is None]
    if missing and not allow_unused:
        raise GradientError(
            f"gradients: the outputs do not depend on inputs {missing}; allow_unused=True gives "
            "None for them"
        )
    return tuple(Tensor(g) if backend_of(g) else g for g in found)


@primitive(None)
def _argument(xp: Any, x: Any, /) -> Any:
    """x itself, as a node of its own: what a function does with it is told apart from the rest."""
    return x, lambda dy: dy


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., tuple[Tensor, ...]]]:
    """Give f(*primals), and its pullback: from the gradient of the value to those of the primals.

    The pullback may be called any number of times.  If f returns a tuple, it takes one gradient for
    each.  Its results can be differentiated again if something outside can be: the primals, when
    they require gradients themselves, or tensors that f uses besides them.
    """
    with enable_grad(), higher_order():
        arguments = [_fresh(x) for x in primals]
        value = f(*arguments)
    values = value if isinstance(value, tuple) else (value,)
    ends = [y.edge[0] for y in values if y.edge is not None]
    own = {x.edge[0] for x in arguments}
    outside = current.get().record and any(
        type(source) is Leaf and source not in own for source in engine.reachable(ends)
    )

    def pullback(*dys: Any) -> tuple[Tensor, ...]:
        tracked = [(y, dy) for y, dy in zip(values, dys, strict=True) if y.edge is not None]
        roots = [(y.edge, seed_of(y, dy, outside, "vjp")) for y, dy in tracked]
        wanted = [x.edge for x in arguments]
        found = engine.gradients(roots, wanted, create_graph=outside, retain_graph=True)
        zeros = engine.differentiable.zeros_like
        return tuple(
            zeros(x) if g is None else g if isinstance(g, Tensor) else Tensor(g)
            for g, x in zip(found, arguments, strict=True)
        )

    shown = values if outside else tuple(y.detach() for y in values)
    return shown if isinstance(value, tuple) else shown[0], pullback


def value_and_grad(
    f: Callable[..., Tensor], argnums: int | Sequence[int] = 0
) -> Callable[..., tuple[Tensor, Any]]:
    """A function that gives f and its gradient with respect to some of its arguments.

    f returns a single number.  `argnums` says which arguments: one position, which gives one
    gradient, or several, which give a tuple.
    """
    several = not isinstance(argnums, int)
    positions = tuple(argnums) if several else (argnums,)

    def with_gradient(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        def of_chosen(*chosen: Tensor) -> Tensor:
            filled = list(args)
            for position, x in zip(positions, chosen, strict=True):
                filled[position] = x
            return f(*filled, **kwargs)

        value, pullback = vjp(of_chosen, *(args[position] for position in positions))
        if value.size != 1:
            raise GradientError(f"grad: needs a function that gives one number; got {value.shape}")
        found = pullback(None)
        return value, found if several else found[0]

    return with_gradient


def grad(f: Callable[..., Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Make the gradient of f a function; that of `grad(f)` is the second derivative."""
    both = value_and_grad(f, argnums)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]


def _fresh(x: Any) -> Tensor:
    """A tensor of its own for an argument, so that its gradient is that of the function alone."""
    x = engine.differentiable.asarray(x)
    return _argument(x) if x.edge is not None else x.detach().requires_grad_()
