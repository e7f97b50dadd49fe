"""L-BFGS."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from minidl.autograd import inplace
from minidl.autograd.mode import enable_grad
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of
from minidl.errors import ArgumentError, DeviceError, ShapeError, describe
from minidl.ops import asarray
from minidl.optim.checks import check_count, check_not_negative
from minidl.optim.line_search import Point, strong_wolfe
from minidl.optim.optimizer import Optimizer, _array, _flat, _pieces

_LISTS = "old_dirs", "old_stps"  # arrays of all steps that are remembered
_ARRAYS = "d", "prev_flat_grad"
_NUMBERS = "t", "H_diag", "prev_loss"


class LBFGS(Optimizer):
    """Newton's method, with a Hessian made of the last gradients and steps.

        θ ← θ + t·d,  d = −H·g

    H approximates the inverse of the Hessian from the last `history_size` pairs of s, a change of
    θ, and y, that of the gradient: H·y = s for the latest one.  It is for a loss that is the same
    function in all evaluations: all data at once, no dropout.  One step takes up to `max_iter`
    iterations, and a closure that evaluates the loss:

        def closure():
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            return loss

        for _ in range(20):
            optimizer.step(closure)

    lr                  t; with a line search what is tried first.  The first t of all is
                        lr·min(1, 1 / Σ|g|)
    max_iter            iterations in a step
    max_eval            evaluations of the loss in a step; max_iter · 5 // 4 if left out
    tolerance_grad      a step ends when no gradient is larger
    tolerance_change    or when neither the loss nor a parameter changes by more
    history_size        how many pairs are remembered
    line_search_fn      None, or "strong_wolfe", which searches for a t on the way of d

    All parameters are in one group and on one device; those without a gradient count as having one
    of 0.  Nocedal, Wright 2006 (algorithms 7.4 and 7.5); the rules by which it ends are PyTorch's.
    A RowGradient is made dense.

    >>> x = nn.Parameter(np.array([0.0, 0.0]))
    >>> optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2  # Rosenbrock's valley
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(3):
    ...     loss = optimizer.step(closure)
    >>> x.numpy().round(4).tolist()
    [1.0, 1.0]
    """

    counts_steps = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_count("LBFGS", {"max_iter": max_iter}, "max_iter")
        super().__init__(
            params,
            lr=lr,
            max_iter=max_iter,
            max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """The only group."""
        if self.param_groups:
            raise ArgumentError("LBFGS: takes one group of parameters, for they step together")
        super().add_param_group(group)
        devices = sorted({p.device for p in self.param_groups[0]["params"]})
        if len(devices) > 1:
            raise DeviceError(f"LBFGS: parameters are on one device; got some on {devices}")

    def check(self, settings: Mapping[str, Any]) -> None:
        """Rates are not negative, and counts are counts."""
        check_not_negative("LBFGS", settings, "lr", "tolerance_grad", "tolerance_change")
        check_count("LBFGS", settings, "max_iter", "max_eval", "history_size")
        search = settings["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise ArgumentError(f'LBFGS: line_search_fn is None or "strong_wolfe"; got {search!r}')

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to max_iter iterations; returns what the closure first returned.

        closure    forgets the gradients, computes the loss, calls its `backward` and returns it
        """
        if not callable(closure):
            raise ArgumentError(
                "LBFGS.step: needs a closure that computes the loss and its gradients anew, for a "
                "step takes several evaluations: optimizer.step(closure).  Trainer.fit has none to "
                f"give; write the loop, or train with Adam; got {describe(closure)}"
            )
        group = self.param_groups[0]
        first, loss, gradient = self._evaluated(closure)
        state = self.state.setdefault(group["params"][0], {"func_evals": 0, "n_iter": 0})
        state["func_evals"] += 1
        if self._goes_on(group, gradient):
            self._iterate(closure, group, state, loss, gradient)
        return first

    def _iterate(
        self,
        closure: Callable[[], Any],
        group: Mapping[str, Any],
        state: dict[str, Any],
        loss: float,
        gradient: Any,
    ) -> None:
        """Go on from where the loss and the gradient are these."""
        lr, change = float(group["lr"]), group["tolerance_change"]
        evaluations = 1
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = state["d"] = self._direction(group, state, gradient)
            first = state["n_iter"] == 1
            t = state["t"] = lr * (min(1.0, 1 / _total(gradient)) if first else 1.0)
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            start = Point(0.0, loss, gradient, float(gradient @ d))
            if start.slope > -change:
                return
            if group["line_search_fn"]:
                look, limit = partial(self._looked_up, closure, d), group["max_eval"] - evaluations
                here, count = strong_wolfe(look, start, t, _largest(d), limit)
                self._move(here.t * d)
            else:
                self._move(t * d)
                if iteration == group["max_iter"]:
                    return  # with other data the next time, an evaluation would be of no use
                here, count = Point(t, *self._evaluated(closure)[1:], 0.0), 1
            state["t"] = here.t
            state["func_evals"] += count
            evaluations += count
            small = here.t * _largest(d) <= change or abs(here.loss - loss) < change
            loss, gradient = here.loss, here.gradient
            if small or evaluations >= group["max_eval"] or not self._goes_on(group, gradient):
                return

    def _goes_on(self, group: Mapping[str, Any], gradient: Any) -> bool:
        """Whether the gradient is not small yet, nor NaN."""
        return _largest(gradient) > group["tolerance_grad"]

    def _evaluated(self, closure: Callable[[], Any]) -> tuple[Any, float, Any]:
        """What the closure returned, as a number too, and the gradient of all parameters."""
        with enable_grad():
            loss = closure()
        try:
            number = float(loss)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"LBFGS.step: the closure returns the loss, one number; got {describe(loss)}"
            ) from None
        params = self.param_groups[0]["params"]
        xp = backend_of(params[0].data)
        gradients = [None if p.edge is None else p.edge[0].grad for p in params]
        pairs = zip(params, gradients, strict=True)
        arrays = [xp.zeros_like(p.data) if g is None else _array(g) for p, g in pairs]
        return loss, number, _flat(xp, arrays)

    def _looked_up(self, closure: Callable[[], Any], d: Any, t: float) -> Point:
        """What is after a step of t·d, which is then taken back."""
        values = [p.data for p in self.param_groups[0]["params"]]
        before = [value.copy() for value in values]
        self._move(t * d)
        try:
            _, loss, gradient = self._evaluated(closure)
        finally:
            for value, old in zip(values, before, strict=True):
                value[...] = old
            inplace.mark_written(*values)
        return Point(t, loss, gradient, float(gradient @ d))

    def _move(self, change: Any) -> None:
        """Add a flat array to the parameters."""
        params = self.param_groups[0]["params"]
        for p, part in zip(params, _pieces(change, params), strict=True):
            value = p.data
            value += part  # in place
        inplace.mark_written(*(p.data for p in params))

    def _direction(self, group: Mapping[str, Any], state: dict[str, Any], gradient: Any) -> Any:
        """d = −H·g, where H knows of the step that was taken last."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        y, s = gradient - state["prev_flat_grad"], state["t"] * state["d"]
        ys = float(y @ s)
        if ys > 1e-10:  # H stays positive definite
            for name, new in (("old_dirs", y), ("old_stps", s), ("ro", 1 / ys)):
                state[name] = [*state[name], new][-group["history_size"] :]
            state["H_diag"] = ys / float(y @ y)
        pairs = list(zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True))
        d, alphas = -gradient, []
        for y, s, rho in reversed(pairs):
            alpha = float(s @ d) * rho
            d -= alpha * y
            alphas.append(alpha)
        d *= state["H_diag"]
        for (y, s, rho), alpha in zip(pairs, reversed(alphas), strict=True):
            d += (alpha - float(y @ d) * rho) * s
        return d

    # Saving and restoring: PyTorch keeps the state of all under the first parameter.

    def state_dict(self) -> dict[str, Any]:
        """The settings, and under 0 what is known of the loss."""
        saved = super().state_dict()
        for own in saved["state"].values():
            own.update(
                {name: [Tensor(x.copy()) for x in own[name]] for name in _LISTS & own.keys()}
            )
        return saved

    def _restored(
        self, number: int, own: Mapping[str, Any], p: Tensor, group: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The saved state, once it is seen to be complete."""
        name, params = "load_state_dict: LBFGS's state", group["params"]
        needs = ["func_evals", "n_iter"]
        if own.get("n_iter"):
            needs += [*_ARRAYS, *_NUMBERS, *_LISTS, "ro"]
        missing = [key for key in needs if own.get(key) is None]
        if p is not params[0]:
            raise ArgumentError(f"{name} is under the first parameter; got one under {number}")
        if missing:
            raise ArgumentError(f"{name} has {needs}; {number} lacks {missing}")
        state = {key: int(own[key]) for key in needs[:2]}
        if not state["n_iter"]:
            return state
        flat = _flat(backend_of(p.data), [q.data for q in params])

        def vector(values: Any) -> Any:
            x = asarray(values, copy=True)
            if x.shape != flat.shape:
                raise ShapeError(f"{name} has arrays of shape {x.shape}; needs {flat.shape}")
            return x.astype(flat.dtype).to_device(p.device).data

        state.update({key: vector(own[key]) for key in _ARRAYS})
        state.update({key: float(own[key]) for key in _NUMBERS})
        state.update({key: [vector(x) for x in own[key]] for key in _LISTS})
        state["ro"] = [float(x) for x in own["ro"]]
        if len({len(state[key]) for key in (*_LISTS, "ro")}) > 1:
            raise ArgumentError(f"{name} has as many old_dirs as old_stps and ro")
        return state


def _largest(x: Any) -> float:
    """max |x|."""
    xp = backend_of(x)
    return float(xp.max(xp.abs(x), axis=None, keepdims=False)) if x.size else 0.0


def _total(x: Any) -> float:
    """Σ |x|."""
    xp = backend_of(x)
    return float(xp.sum(xp.abs(x), axis=None, keepdims=False))
