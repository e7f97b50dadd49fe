"""L-BFGS: the limited-memory quasi-Newton method (Nocedal & Wright 2006)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from minidl.autograd import inplace
from minidl.autograd.mode import enable_grad
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of
from minidl.backends.registry import on_device_of
from minidl.checks import check_integers, check_numbers, chosen
from minidl.errors import ArgumentError, DeviceError, ShapeError, describe
from minidl.ops import asarray
from minidl.optim.checks import check_writeable
from minidl.optim.flat import dense_gradient, flatten, unflatten
from minidl.optim.line_search import Point, strong_wolfe
from minidl.optim.optimizer import Optimizer, Params

_LISTS = "old_dirs", "old_stps"  # the history: y and s of the last steps
_ARRAYS = "d", "prev_flat_grad"
_NUMBERS = "t", "H_diag", "prev_loss"


class LBFGS(Optimizer):
    """A quasi-Newton method that builds the inverse Hessian from the last steps and gradients.

        θ ← θ + t·d,  d = −H·g

    H approximates the inverse Hessian from the last `history_size` pairs of s, a change of θ, and
    y, the change of the gradient: H·y = s for the latest one.  The loss must be the same function
    in all evaluations: full batch, no dropout.  One step runs up to `max_iter` iterations, and
    needs a closure that evaluates the loss:

        def closure():
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            return loss

        for _ in range(20):
            optimizer.step(closure)

    lr                  t; with a line search, the initial trial step.  The very first t is
                        lr·min(1, 1 / Σ|g|)
    max_iter            iterations per step
    max_eval            evaluations of the loss per step; max_iter · 5 // 4 by default
    tolerance_grad      a step ends when max |g| is at most this
    tolerance_change    or when neither the loss nor a parameter changes by more
    history_size        the number of pairs kept
    line_search_fn      None, or "strong_wolfe", which searches for t along d

    All parameters are in one group and on one device; a missing gradient counts as 0.  The host
    decides by losses and slopes how to go on, so every evaluation waits for a GPU.  Nocedal,
    Wright 2006 (algorithms 7.4 and 7.5); the termination rules are PyTorch's.  A RowGradient is
    densified.

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
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_integers("LBFGS", 1, max_iter=max_iter)
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
        """Set the parameters: there is only one group."""
        if self.param_groups:
            raise ArgumentError("LBFGS: takes one group of parameters, for they step together")
        super().add_param_group(group)
        devices = sorted({p.device for p in self.param_groups[0]["params"]})
        if len(devices) > 1:
            raise DeviceError(f"LBFGS: parameters are on one device; got some on {devices}")

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative rates, positive counts and a known line search."""
        check_numbers(
            "LBFGS", 0, finite=True, **chosen(settings, "lr", "tolerance_grad", "tolerance_change")
        )
        check_integers("LBFGS", 1, **chosen(settings, "max_iter", "max_eval", "history_size"))
        search = settings["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise ArgumentError(f'LBFGS: line_search_fn is None or "strong_wolfe"; got {search!r}')

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run up to max_iter iterations; returns the loss of the first evaluation.

        closure    zeroes the gradients, computes the loss, calls its `backward` and returns it
        """
        if not callable(closure):
            raise ArgumentError(
                "LBFGS.step: needs a closure that computes the loss and its gradients anew, for a "
                "step takes several evaluations: optimizer.step(closure).  Trainer.fit has none to "
                f"give; write the loop, or train with Adam; got {describe(closure)}"
            )
        group = self.param_groups[0]
        with on_device_of(group["params"][0].data):
            first, loss, gradient = self._evaluated(closure)
            state = self.state.setdefault(group["params"][0], {"func_evals": 0, "n_iter": 0})
            state["func_evals"] += 1
            if self._above_tolerance(group, gradient):
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
        """Iterate, starting from this loss and gradient."""
        lr, change = float(group["lr"]), group["tolerance_change"]
        evaluations = 1
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = state["d"] = self._direction(group, state, gradient)
            first = state["n_iter"] == 1
            t = state["t"] = lr * (min(1.0, 1 / _sum_abs(gradient)) if first else 1.0)
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            start = Point(0.0, loss, gradient, float(gradient @ d))
            if start.slope > -change:
                return
            if group["line_search_fn"]:
                evaluate, limit = partial(self._trial, closure, d), group["max_eval"] - evaluations
                here, count = strong_wolfe(evaluate, start, t, _max_abs(d), limit)
                self._move(here.t * d)
            else:
                self._move(t * d)
                if iteration == group["max_iter"]:
                    return  # the next step evaluates again, perhaps on other data
                here, count = Point(t, *self._evaluated(closure)[1:], 0.0), 1
            state["t"] = here.t
            state["func_evals"] += count
            evaluations += count
            small = here.t * _max_abs(d) <= change or abs(here.loss - loss) < change
            loss, gradient = here.loss, here.gradient
            if small or evaluations >= group["max_eval"]:
                return
            if not self._above_tolerance(group, gradient):
                return

    def _above_tolerance(self, group: Mapping[str, Any], gradient: Any) -> bool:
        """Whether max |g| is above tolerance_grad; False for NaN."""
        return _max_abs(gradient) > group["tolerance_grad"]

    def _evaluated(self, closure: Callable[[], Any]) -> tuple[Any, float, Any]:
        """What the closure returned, the same as a float, and the flat gradient."""
        with enable_grad():
            loss = closure()
        try:
            number = float(loss)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"LBFGS.step: the closure returns the loss, one number; got {describe(loss)}"
            ) from None
        params = self.param_groups[0]["params"]
        xp: Any = backend_of(params[0].data)
        gradients = [(p, dense_gradient(p)) for p in params]
        arrays = [xp.zeros_like(p.data) if g is None else g for p, g in gradients]
        return loss, number, flatten(xp, arrays)

    def _trial(self, closure: Callable[[], Any], d: Any, t: float) -> Point:
        """Evaluate at a trial step of t·d, and restore the parameters."""
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
        """Add a flat array to the parameters, in place."""
        params = self.param_groups[0]["params"]
        check_writeable("LBFGS", params)
        for p, part in zip(params, unflatten(change, params), strict=True):
            value = p.data
            value += part  # in place
        inplace.mark_written(*(p.data for p in params))

    def _direction(self, group: Mapping[str, Any], state: dict[str, Any], gradient: Any) -> Any:
        """d = −H·g by the two-loop recursion, after the last step has entered the history."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        y, s = gradient - state["prev_flat_grad"], state["t"] * state["d"]
        ys = float(y @ s)
        if ys > 1e-10:  # the curvature condition, which keeps H positive definite
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

    # Saving and restoring: as in PyTorch, the state belongs to the first parameter.

    def state_dict(self) -> dict[str, Any]:
        """The settings, and under index 0 the history."""
        saved = super().state_dict()
        for own in saved["state"].values():
            own.update(
                {name: [Tensor(x.copy()) for x in own[name]] for name in _LISTS & own.keys()}
            )
        return saved

    def _restored(
        self, number: int, own: Mapping[str, Any], p: Tensor, group: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The saved state, validated."""
        name, params = "load_state_dict: LBFGS's state", group["params"]
        needs = ["func_evals", "n_iter"]
        if own.get("n_iter"):
            needs += [*_ARRAYS, *_NUMBERS, *_LISTS, "ro"]
        missing = [key for key in needs if own.get(key) is None]
        if p is not params[0]:
            raise ArgumentError(f"{name} is under the first parameter; got one under {number}")
        if missing:
            raise ArgumentError(f"{name} has {needs}; {number} lacks {missing}")
        state: dict[str, Any] = {key: int(own[key]) for key in needs[:2]}
        if not state["n_iter"]:
            return state
        flat = flatten(backend_of(p.data), [q.data for q in params])

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


def _max_abs(x: Any) -> float:
    """max |x|."""
    xp: Any = backend_of(x)
    return float(xp.max(xp.abs(x), axis=None, keepdims=False)) if x.size else 0.0


def _sum_abs(x: Any) -> float:
    """Σ |x|."""
    xp: Any = backend_of(x)
    return float(xp.sum(xp.abs(x), axis=None, keepdims=False))
