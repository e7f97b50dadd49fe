"""Jacobians and Hessians, and matrix-free products of them with vectors."""

from collections.abc import Callable, Sequence
from typing import Any

from minidl.autograd import engine, namespace
from minidl.autograd.functional import Chosen, Run, as_tensors, check_function, single_number
from minidl.autograd.mode import current, higher_order
from minidl.autograd.tensor import Tensor, seed_of
from minidl.backends import backend_of
from minidl.errors import (
    EXPLAINED,
    ArgumentError,
    DTypeError,
    GradientError,
    ShapeError,
    describe,
    raise_explained,
)


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """f(*primals), and its derivative along the tangents, Σ ∂f/∂xᵢ·tᵢ.

    The Jacobian-vector product.  Each tangent has the shape and dtype of its primal.  If f returns
    a tuple, both results are tuples.  Both can be differentiated again if the primals, the tangents
    or other tensors that f uses require gradients.

    A pullback is linear in the gradient u that it takes, and so its own pullback pushes tangents
    forward:  u ↦ Jᵀu  has the pullback  t ↦ Jt.

    >>> y, dy = minidl.jvp(lambda x: x**2, [minidl.tensor([1.0, 3.0])], [minidl.tensor([1.0, 0.5])])
    >>> y.tolist(), dy.tolist()
    ([1.0, 9.0], [2.0, 3.0])
    """
    run = Run("jvp", f, _sequence("jvp", "primals", primals))
    directions = _directions("jvp", "tangents", tangents, run.arguments)
    outputs = [y for y in run.outputs if y.edge is not None]
    with higher_order():
        seeds = [namespace.differentiable.zeros_like(y).requires_grad_() for y in outputs]
    roots = [(y, seed_of(y, seed, True, "jvp")) for y, seed in zip(outputs, seeds, strict=True)]
    pulled = _recorded(run, roots)
    pushed = iter(_against("jvp", run, pulled, directions, seeds))
    dys = [None if y.edge is None else next(pushed) for y in run.outputs]
    return run.value, run.like_value(as_tensors(dys, run.outputs))


def hvp(
    f: Callable[..., Tensor], primals: Sequence[Any], vectors: Sequence[Any]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """f(*primals), a single number, and its Hessian-vector products, Σⱼ Hᵢⱼ·vⱼ.

    Each vector has the shape and dtype of its primal, and so has each product.  It is the gradient
    of ∇f·v, at twice the cost of ∇f, whereas H itself costs one ∇f for each element of the inputs.

    B. Pearlmutter 1994, Fast exact multiplication by the Hessian.

    >>> x, v = minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 0.0])
    >>> y, (product,) = minidl.hvp(lambda x: (x**3).sum(), [x], [v])
    >>> y.item(), product.tolist()
    (9.0, [6.0, 0.0])
    """
    run = Run("hvp", f, _sequence("hvp", "primals", primals))
    directions = _directions("hvp", "vectors", vectors, run.arguments)
    y = single_number("hvp", run)
    pulled = _recorded(run, [] if y.edge is None else [(y, seed_of(y, None, True, "hvp"))])
    products = _against("hvp", run, pulled, directions, run.arguments)
    return run.value, as_tensors(products, run.arguments)


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns every ∂yᵢ/∂xⱼ, in a tensor of shape (*y.shape, *x.shape).

    Results are nested as in torch.func.jacrev: for each output of f, if it returns a tuple, and in
    that for each argument, if `argnums` are several.  Each element of y costs one backward.

    >>> f = lambda x: minidl.stack([x[0] * x[1], x[0] + x[1]])
    >>> minidl.jacobian(f)(minidl.tensor([2.0, 5.0])).tolist()
    [[5.0, 2.0], [1.0, 1.0]]
    """
    return _jacobian("jacobian", f, argnums)


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns every ∂²y/∂xᵢ∂xⱼ, of shape (*y.shape, *xᵢ.shape, *xⱼ.shape).

    The Jacobian of the Jacobian, and nested accordingly: with several `argnums`, element [i][j] of
    the result for an output of f belongs to the arguments i and j.

    >>> minidl.hessian(lambda x: x[0] ** 2 * x[1])(minidl.tensor([2.0, 5.0])).tolist()
    [[10.0, 4.0], [4.0, 0.0]]
    """
    return _jacobian("hessian", _jacobian("hessian", f, argnums), argnums)


def _jacobian(name: str, f: Callable[..., Any], argnums: int | Sequence[int]) -> Callable[..., Any]:
    """The Jacobian of f, for the transform of that name."""
    check_function(name, f)

    def of(*args: Any, **kwargs: Any) -> Any:
        of_chosen = Chosen(name, f, argnums, args, kwargs)
        run = Run(name, of_chosen, of_chosen.primals)
        with higher_order():
            return run.like_value([of_chosen.shown(_matrices(run, y)) for y in run.outputs])

    return of


def _matrices(run: Run, y: Tensor) -> tuple[Tensor, ...]:
    """∂y/∂x for each argument x."""
    if y.dtype.kind == "c":
        raise GradientError(
            f"jacobian: needs a function that gives real numbers; got {describe(y)}; take those of "
            "its real and its imaginary part"
        )
    xp = namespace.differentiable
    rows: list[tuple[Tensor, ...]] = []
    if y.edge is not None:
        for i in range(y.size):
            basis = backend_of(y.data).zeros((y.size,), dtype=y.dtype)
            basis[i] = 1
            seed = basis.reshape(y.shape)
            rows.append(run.gradients([(y.edge, Tensor(seed) if run.outside else seed)]))
    shapes = [(*y.shape, *x.shape) for x in run.arguments]
    if not rows:
        likes = zip(shapes, run.arguments, strict=True)
        return tuple(xp.zeros(s, dtype=x.dtype, device=x.device) for s, x in likes)
    columns = zip(*rows, strict=True)
    return tuple(xp.stack(c, axis=0).reshape(s) for c, s in zip(columns, shapes, strict=True))


def _recorded(run: Run, seeds: Any) -> list[Tensor | None]:
    """The gradients of the arguments, from (output, gradient) pairs, as part of the graph."""
    roots = [(y.edge, seed) for y, seed in seeds]
    targets = [x.edge for x in run.arguments]
    return engine.gradients(roots, targets, create_graph=True, retain_graph=True)


def _against(
    name: str,
    run: Run,
    values: Sequence[Tensor | None],
    directions: Sequence[Tensor],
    sources: Sequence[Tensor],
) -> list[Any]:
    """The gradients of Σ value·direction at the sources; None for one it does not depend on."""
    outside = run.outside or (current.get().record and any(t.edge is not None for t in directions))
    roots = [
        (g.edge, seed_of(g, t, outside, name))
        for g, t in zip(values, directions, strict=True)
        if g is not None and g.edge is not None
    ]
    targets = [x.edge for x in sources]
    return engine.gradients(roots, targets, create_graph=outside, retain_graph=True)


def _sequence(name: str, what: str, given: Any) -> Sequence[Any]:
    if not isinstance(given, tuple | list):
        raise DTypeError(
            f"{name}: {what} is a tuple with one for each argument of f; got {describe(given)}"
        )
    return given


def _directions(name: str, what: str, given: Any, arguments: Sequence[Tensor]) -> list[Tensor]:
    """The tangents or vectors as tensors, after checking that each fits its argument."""
    given = _sequence(name, what, given)
    if len(given) != len(arguments):
        raise ArgumentError(f"{name}: {len(arguments)} primals, but {len(given)} {what}")
    directions = []
    for i, (t, x) in enumerate(zip(given, arguments, strict=True)):
        if not isinstance(t, Tensor):
            try:
                t = Tensor(backend_of(x.data).asarray(t, dtype=x.dtype))
            except EXPLAINED as error:
                raise_explained(f"{name}: {what}[{i}]", [t], error)
        if (t.shape, t.dtype) != (x.shape, x.dtype):
            raise ShapeError(
                f"{name}: {what}[{i}] must be {describe(x)}, as the primal is; got {describe(t)}"
            )
        directions.append(t)
    return directions
