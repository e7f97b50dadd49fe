"""Function transforms: gradients and vector-Jacobian products of functions and of tensors."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidl.autograd import engine, namespace
from minidl.autograd.graph import Leaf, reachable
from minidl.autograd.mode import current, enable_grad, higher_order
from minidl.autograd.primitive import primitive
from minidl.autograd.tensor import Tensor, seed_of
from minidl.backends import backend_of
from minidl.backends.rows import RowGradient
from minidl.checks import check_flags, check_instance
from minidl.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    MinidlError,
    describe,
    listed,
    raise_explained,
)


def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Sequence[Tensor],
    output_gradients: Sequence[Any] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
) -> tuple[Tensor | Any, ...]:  # Any, as in Tensor.grad: a RowGradient, or None for an unused input
    """Σ dL/d(output) · d(output)/d(input) for each input, any tensor of the graph.

    No leaf's `grad` changes.  Outputs are single numbers, unless `output_gradients` are given.  An
    input on which no output depends is an error; with `allow_unused`, its gradient is None.

    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x**2
    >>> [dx.tolist() for dx in minidl.gradients(y.sum(), [x, y])]
    [[2.0, 4.0], [1.0, 1.0]]
    >>> x.grad is None
    True
    """
    check_flags("gradients", create_graph=create_graph, allow_unused=allow_unused)
    check_flags("gradients", retain_graph=retain_graph or False)
    outputs = [outputs] if isinstance(outputs, Tensor) else _tensors("outputs", outputs)
    inputs = _tensors("inputs", inputs)
    seeds = [None] * len(outputs)
    if output_gradients is not None:
        seeds = listed("gradients", "a list as output_gradients", output_gradients)
    if len(seeds) != len(outputs):
        raise GradientError(f"gradients: {len(outputs)} outputs, but {len(seeds)} gradients")
    roots = [
        (y.edge, seed_of(y, seed, create_graph, "gradients"))
        for y, seed in zip(outputs, seeds, strict=True)
    ]
    for position, x in enumerate(inputs):
        if x.edge is None:
            raise GradientError(f"gradients: input {position} does not require gradients")
    results = engine.gradients(
        roots,
        [x.edge for x in inputs],
        create_graph=create_graph,
        retain_graph=create_graph if retain_graph is None else retain_graph,
    )
    missing = [i for i, g in enumerate(results) if g is None]
    if missing and not allow_unused:
        raise GradientError(
            f"gradients: the outputs do not depend on inputs {missing}; allow_unused=True gives "
            "None for them"
        )
    return tuple(Tensor(g) if backend_of(g) else g for g in results)


def _tensors(what: str, given: Any) -> list[Tensor]:
    """The given list, after checking that it consists of tensors."""
    tensors = listed("gradients", f"a list of tensors as {what}", given)
    for x in tensors:
        check_instance("gradients", Tensor, **{f"each of the {what}": x})
    return tensors


def check_function(name: str, f: Any) -> None:
    """Raise DTypeError unless f is callable."""
    if not callable(f):
        raise DTypeError(f"{name}: needs a function; got {describe(f)}")


@primitive(None, of_complex=True)
def _argument(xp: Any, x: Any, /) -> Any:
    """x itself, as a node of its own, which separates its use in one function from any other."""
    return x, lambda dy: dy


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., tuple[Tensor, ...]]]:
    """f(*primals) and its pullback, which maps the gradient of the value to those of the primals.

    The vector-Jacobian product.  The pullback may be called any number of times.  If f returns a
    tuple, it takes one gradient for each tensor in it.  Its results can be differentiated again if
    the primals require gradients themselves, or other tensors that f uses.

    >>> a, b = minidl.tensor([1.0, 2.0]), minidl.tensor([3.0, 4.0])
    >>> y, pullback = minidl.vjp(lambda a, b: a * b, a, b)
    >>> [dx.tolist() for dx in pullback(minidl.tensor([1.0, 10.0]))]
    [[3.0, 40.0], [1.0, 20.0]]
    """
    run = Run("vjp", f, primals)

    def pullback(*dys: Any) -> tuple[Tensor, ...]:
        if len(dys) != len(run.outputs):
            raise GradientError(f"vjp: {len(run.outputs)} outputs, but {len(dys)} gradients")
        roots = [
            (y.edge, seed_of(y, dy, run.outside, "vjp"))
            for y, dy in zip(run.outputs, dys, strict=True)
            if y.edge is not None
        ]
        return run.gradients(roots)

    return run.value, pullback


class Run:
    """A call of f on fresh arguments, recorded so that it can be differentiated.

    arguments   the tensors that f got
    outputs     the tensors that it returned, in order, however nested
    outside     whether gradients flow on to the primals, or to other tensors that f uses
    value       the result of f, as the caller sees it
    """

    def __init__(self, name: str, f: Callable[..., Any], primals: Sequence[Any]) -> None:
        check_function(name, f)
        with enable_grad(), higher_order():
            self.arguments = [_fresh(name, i, x) for i, x in enumerate(primals)]
            value = f(*self.arguments)
        self.outputs = list(_tensors_in(name, value))
        ends = [y.edge[0] for y in self.outputs if y.edge is not None]
        own = {x.edge[0] for x in self.arguments}
        self.outside = current.get().record and any(
            type(source) is Leaf and source not in own for source in reachable(ends)
        )
        self.structure = value
        shown = self.outputs if self.outside else [y.detach() for y in self.outputs]
        self.value = self.like_value(shown)

    def like_value(self, items: Sequence[Any]) -> Any:
        """One item for each output, nested like the result of f."""
        return _nested(self.structure, iter(items))

    def gradients(self, roots: list[engine.Root]) -> tuple[Tensor, ...]:
        """The gradients of the arguments; zeros for one on which nothing depends."""
        targets = [x.edge for x in self.arguments]
        dxs = engine.gradients(roots, targets, create_graph=self.outside, retain_graph=True)
        return as_tensors(dxs, self.arguments)


def as_tensors(gradients: Sequence[Any], like: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Gradients as tensors; zeros for those that are None."""
    zeros = namespace.differentiable.zeros_like
    dense = [g.dense() if isinstance(g, RowGradient) else g for g in gradients]
    return tuple(
        zeros(x) if g is None else g if isinstance(g, Tensor) else Tensor(g)
        for g, x in zip(dense, like, strict=True)
    )


def _tensors_in(name: str, value: Any) -> Iterator[Tensor]:
    """The tensors in the result of f, a tensor or nested tuples of tensors."""
    if isinstance(value, Tensor):
        yield value
    elif type(value) is tuple:
        for part in value:
            yield from _tensors_in(name, part)
    else:
        raise DTypeError(
            f"{name}: f gave {describe(value)}; needs a function that gives a tensor, or a tuple "
            "of tensors"
        )


def _nested(structure: Any, items: Iterator[Any]) -> Any:
    """The items in tuples nested like `structure`."""
    if type(structure) is tuple:
        return tuple(_nested(part, items) for part in structure)
    return next(items)


class Chosen:
    """f as a function of the arguments at `argnums`; the others are fixed."""

    def __init__(
        self, name: str, f: Callable[..., Any], argnums: int | Sequence[int], args: Any, kwargs: Any
    ) -> None:
        self.f, self.args, self.kwargs = f, args, kwargs
        self.several = isinstance(argnums, Sequence)
        given = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
        n = len(args)
        fits = all(type(i) is int and -n <= i < n for i in given)
        self.positions = [i % n for i in given] if fits else []
        if not self.positions or len(set(self.positions)) < len(given):
            raise ArgumentError(
                f"{name}: argnums={argnums!r}, and f was given {n} positional arguments; needs the "
                "position of one, or of several, each once"
            )
        self.primals = [args[i] for i in self.positions]

    def __call__(self, *chosen: Tensor) -> Any:
        """Call f with these arguments at their positions."""
        args = list(self.args)
        for position, x in zip(self.positions, chosen, strict=True):
            args[position] = x
        return self.f(*args, **self.kwargs)

    def shown(self, results: tuple[Any, ...]) -> Any:
        """One result for each argument: a tuple if `argnums` is a sequence."""
        return results if self.several else results[0]


def value_and_grad(
    f: Callable[..., Tensor], argnums: int | Sequence[int] = 0
) -> Callable[..., tuple[Tensor, Any]]:
    """A function that returns f and its gradient with respect to some of its arguments.

    f returns a single number.  `argnums` is the position of an argument, for one gradient, or
    several positions, for a tuple of gradients.

    >>> loss, slope = minidl.value_and_grad(lambda w: (w**2).sum())(minidl.tensor([1.0, 3.0]))
    >>> loss.item(), slope.tolist()
    (10.0, [2.0, 6.0])
    """
    return _with_gradient("value_and_grad", f, argnums)


def grad(f: Callable[..., Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The gradient of f, as a function; `grad(grad(f))` is the second derivative.

    >>> cube = lambda x: x**3
    >>> slope, curvature = minidl.grad(cube), minidl.grad(minidl.grad(cube))
    >>> slope(minidl.tensor(2.0)).item(), curvature(minidl.tensor(2.0)).item()
    (12.0, 12.0)
    >>> minidl.grad(lambda w, x: w * x, argnums=(0, 1))(2.0, 3.0)
    (Tensor(3., float32), Tensor(2., float32))
    """
    both = _with_gradient("grad", f, argnums)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]


def _with_gradient(
    name: str, f: Callable[..., Tensor], argnums: int | Sequence[int]
) -> Callable[..., tuple[Tensor, Any]]:
    """f with its gradient, for the transform of that name."""
    check_function(name, f)

    def with_gradient(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        of_chosen = Chosen(name, f, argnums, args, kwargs)
        run = Run(name, of_chosen, of_chosen.primals)
        y = single_number(name, run)
        roots = [] if y.edge is None else [(y.edge, seed_of(y, None, run.outside, name))]
        return run.value, of_chosen.shown(run.gradients(roots))

    return with_gradient


def single_number(name: str, run: Run) -> Tensor:
    """The output, after checking that it is a single number."""
    y = run.structure
    if type(y) is tuple or y.size != 1:
        given = f"a tuple of {len(y)}" if type(y) is tuple else y.shape
        raise GradientError(f"{name}: needs a function that gives one number; got {given}")
    return y


def _fresh(name: str, position: int, x: Any) -> Tensor:
    """A new tensor for an argument, whose gradient is that of the function alone."""
    try:
        x = namespace.differentiable.asarray(x)
    except MinidlError as error:
        raise_explained(f"{name}: argument {position}", [], error)
    if x.dtype.kind not in "fc":
        raise GradientError(
            f"{name}: gradients are of float and complex tensors; argument {position} is "
            f"{describe(x)}"
        )
    return _argument(x) if x.edge is not None else x.detach().requires_grad_()
