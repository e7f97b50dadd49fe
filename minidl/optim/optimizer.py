"""Optimizer: the base class, with parameter groups, state, and the update step.

An update rule is a few lines of arithmetic on whole arrays: the gradients of a group are
concatenated into one flat array, and the state (momentum buffers, moments) is flat too, however
many parameters there are.  Where a backend has a fused kernel for the rule, that runs instead.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

import numpy as np

from minidl.autograd import inplace
from minidl.autograd.accumulate import clear_gradient
from minidl.autograd.mode import current, enable_grad
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, registry
from minidl.backends.rows import RowGradient
from minidl.checks import check_flags
from minidl.errors import (
    EXPLAINED,
    ArgumentError,
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
    raise_explained,
)
from minidl.optim.bucket import Bucket, restored, state_array
from minidl.optim.checks import check_learnable, check_writeable, ordered, step_count
from minidl.optim.flat import copied, dense_gradient, flatten, unflatten
from minidl.optim.rows import update_rows
from minidl.optim.skipping import Skipping, is_skipped

_T = TypeVar("_T")
Params = Iterable[Tensor | Mapping[str, Any]]  # parameters, or parameter groups

# The boolean settings, in the rules that have them.
_FLAGS = "maximize", "nesterov", "amsgrad", "centered", "decoupled_weight_decay", "lazy"

_KEPT = 32  # buckets: which parameters have a gradient may vary from step to step


class Optimizer(Skipping):
    """The base class of optimisers.

    A subclass defines `change`, the amount to subtract from the parameters, and `state_names`, the
    state arrays that it needs.

    param_groups    dicts of "params" and their hyperparameters, which may be changed between steps
    state           per parameter that has taken a step: the step count, and the state arrays

    >>> class SignDescent(optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, lr=lr, maximize=False)
    ...     def change(self, xp, group, step, gradient, state):
    ...         return group["lr"] * xp.sign(gradient)
    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    >>> SignDescent([w]).step()
    >>> w.tolist()
    [0.9, 1.1]
    """

    rule = ""  # the name of the fused kernel that computes the same as `change`
    counts_steps = True  # whether the rule depends on the step count
    decoupled = False  # whether weight decay is decoupled from the gradient, as in AdamW
    numbers: tuple[str, ...] = ()  # the names of scalar state: one number per parameter

    def __init__(self, params: Params, **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._kept: dict[tuple[Any, ...], Bucket] = {}  # the latest buckets
        name, needs = type(self).__name__, "a list of parameters, or of groups"
        if isinstance(params, Tensor | Mapping):
            raise ArgumentError(f"{name}: needs {needs}")
        given = ordered(name, f"{needs}, such as model.parameters()", params)
        groups = given if given and isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a parameter group: {"params": …}, with hyperparameters of its own beside them."""
        name = type(self).__name__
        if not isinstance(group, Mapping):
            raise DTypeError(f'{name}: a group is a dict with "params"; got {describe(group)}')
        given = group.get("params", ())
        if not isinstance(given, Tensor):
            given = ordered(name, 'a list of parameters in "params"', given)
        params = [given] if isinstance(given, Tensor) else given
        if not params:
            raise ArgumentError(
                f'{name}: a group needs at least one parameter in "params"; a generator that has '
                "been gone through gives none"
            )
        known = {p for other in self.param_groups for p in other["params"]}
        for p in params:
            check_learnable(name, p)
            if p in known:
                raise ArgumentError(f"{name}: a parameter of shape {p.shape} is given twice")
            known.add(p)
        unknown = set(group) - {"params", "initial_lr", *self.defaults}
        if unknown:
            raise ArgumentError(f"{name}: no setting {sorted(unknown)}; has {list(self.defaults)}")
        settings = {**self.defaults, **group, "params": params}
        self._check(settings)
        self.param_groups.append(settings)

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Raise unless flags are booleans and the other settings in the rule's domain."""
        flags = {name: settings[name] for name in _FLAGS if name in settings}
        check_flags(self, **flags)
        self.check(settings)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise if a hyperparameter is outside the rule's domain."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to None; with set_to_none=False, to zeros, in place."""
        check_flags("zero_grad", set_to_none=set_to_none)
        for p in (p for group in self.param_groups for p in group["params"] if p.edge is not None):
            clear_gradient(p, set_to_none)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], _T]) -> _T: ...
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure`, if given, returns."""
        loss = None
        if self._unsettled is not None:
            self._settle()
        if closure is not None:
            if not callable(closure):
                needs = f"{type(self).__name__}.step: closure is a function"
                raise DTypeError(f"{needs}; got {describe(closure)}")
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for name, value in group.items():
                if isinstance(value, np.generic):
                    group[name] = value.item()  # it would promote float32 to float64
            try:
                buckets, tables = self.with_gradients(group)
                update_rows(self, group, tables)
                for params in buckets:
                    with registry.on_device_of(params[0].data):
                        self._update(group, params)
            except EXPLAINED:
                self._check(group)  # the cause may be a setting that was changed since
                raise
        return loss

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the state arrays that each parameter of the group has."""
        return ()

    def initial(self, group: Mapping[str, Any], name: str) -> float:
        """The value of this state before the first step."""
        return 0.0

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """The amount to subtract from the parameters, as a flat array like `gradient`.

        step     the step count t, from 1
        state    flat arrays by name, updated in place, and scalar state (`numbers`), reassigned
        """
        raise TypeError(f"{type(self).__name__} has no rule: it must define change")

    def at_step(self, group: Mapping[str, Any], step: int) -> Mapping[str, Any]:
        """The settings of step t, from 1; overridden by rules in which some depend on t."""
        return group

    def decay(self, group: Mapping[str, Any]) -> float:
        """The weight decay λ: λ·θ is added to the gradient, or if decoupled lr·λ·θ to the step."""
        return group["weight_decay"] if "weight_decay" in self.defaults else 0.0

    def subtract(self, xp: Any, group: Mapping[str, Any], p: Tensor, change: Any) -> None:
        """Subtract the update, in the parameter's shape.

        Overridden by rules that need a parameter as a whole, or its value after the update.
        """
        value = p.data
        value -= change  # in place

    def takes_rows(self, group: Mapping[str, Any]) -> bool:
        """Whether a RowGradient updates its rows, and their state, and touches no others.

        Then `change` is called with these rows alone, and the cost of a step is independent of the
        table's size.  Otherwise a RowGradient is densified.
        """
        return False

    def with_gradients(
        self, group: Mapping[str, Any]
    ) -> tuple[Iterable[list[Tensor]], list[Tensor]]:
        """The parameters with a gradient, bucketed by array type, dtype and step count.

        Beside them, as a list, those of which some rows are updated.
        """
        buckets: dict[tuple[Any, ...], list[Tensor]] = {}
        tables: list[Tensor] = []
        find, none, takes_rows = self.state.get, {"step": 0}, self.takes_rows(group)
        needed = None if self.counts_steps else next(iter(self.state_names(group)), None)
        for p in group["params"]:
            edge: Any = p.edge
            gradient = None if edge is None else edge[0].grad
            if gradient is None:
                continue
            own = find(p, none)
            step = own.get("step", 0)
            if needed and needed not in own:
                step = 0  # the first step with this state
            if type(step) is not int or step < 0:  # put in by hand
                step = own["step"] = step_count(type(self).__name__, step)
            if takes_rows and type(gradient) is RowGradient:
                tables.append(p)
                continue
            key: tuple[Any, ...] = p.device if registry.several else type(p.data), p.dtype, step
            # Scalar state differs if settings changed while only some parameters stepped.
            if self.numbers and step:
                key += tuple(own.get(name) for name in self.numbers)
            buckets.setdefault(key, []).append(p)
        return buckets.values(), tables

    def _update(self, group: Mapping[str, Any], params: list[Tensor]) -> None:
        """Update one bucket: parameters of one dtype, on one device, with equal step counts."""
        xp: Any = backend_of(params[0].data)
        bucket = self.bucket_of(xp, group, params)
        step = (states := bucket.states)[0]["step"] + 1
        group = self.at_step(group, step)
        kernel = xp.kernel(self.rule) if current.get().fast else None
        rest, fused = params, None
        if kernel is not None:
            fused = kernel(group, step, params[0].dtype)
            add = fused.add
            pairs = zip(params, states, strict=True)
            rest = [p for p, own in pairs if not add(p.data, dense_gradient(p), own)]
        skip = self._skip
        if skip is not None and is_skipped(skip, fused, params[0].data, not rest):
            return
        check_writeable(type(self).__name__, rest)
        if fused is not None:
            fused.run()
        if rest:
            flat = bucket if rest is params else self.bucket_of(xp, group, rest)
            self._update_flat(xp, group, flat, step)
        for own in states:
            own["step"] = step
        if skip is not None:
            skip.counted(states)
        inplace.mark_written(*(p.data for p in params))

    def _update_flat(self, xp: Any, group: Mapping[str, Any], bucket: Bucket, step: int) -> None:
        """The rule in whole-array arithmetic, on the concatenation of all parameters."""
        params = bucket.params
        values = flatten(xp, [p.data for p in params]) if self.decay(group) else None
        gradient = flatten(xp, [dense_gradient(p) for p in params])
        scalars = {name: bucket.states[0][name] for name in self.numbers}
        state = {**bucket.flat(xp), **scalars}
        change = self.whole_change(xp, group, step, values, gradient, state)
        for p, part in zip(params, unflatten(change, params), strict=True):
            self.subtract(xp, group, p, part)
        for own in bucket.states if scalars else ():
            own.update({name: state[name] for name in scalars})

    def whole_change(
        self, xp: Any, group: Mapping[str, Any], step: int, values: Any, gradient: Any, state: Any
    ) -> Any:
        """What `change` returns for the gradient as it is, with the decay of the flat values."""
        if group["maximize"]:
            gradient = -gradient
        decay = self.decay(group)
        decoupled = group.get("decoupled_weight_decay", self.decoupled)
        if decay and not decoupled:
            gradient = gradient + decay * values
        change = self.change(xp, group, step, gradient, state)
        return change + group["lr"] * decay * values if decay and decoupled else change

    def bucket_of(self, xp: Any, group: Mapping[str, Any], params: list[Tensor]) -> Bucket:
        """The bucket of these parameters: the one of earlier steps, if nothing was replaced."""
        names = self.state_names(group)
        key: tuple[Any, ...] = (*map(id, params), *names)
        kept = self._kept
        found = kept.get(key)
        if found is not None and found.is_current(params, self.state):
            return found
        self._ensure_state(xp, group, params, names)
        kept = {} if len(kept) == _KEPT else kept
        self._kept = {k: b for k, b in kept.items() if not b.is_spent(self.state)}
        self._kept[key] = Bucket(params, [self.state[p] for p in params], names)
        return self._kept[key]

    def _ensure_state(
        self, xp: Any, group: Mapping[str, Any], params: list[Tensor], names: tuple[str, ...]
    ) -> None:
        """Create the state that parameters lack, as views of one flat array per name.

        Separate arrays would be page-aligned alike, so that equal indices compete for a cache set.
        What was put in by hand is brought into the form that rules take.
        """
        for p in params:
            own = self.state.setdefault(p, {})
            own.setdefault("step", 0)
            for name in self.numbers:
                own[name] = float(own[name]) if name in own else self.initial(group, name)
        for name in names:
            if lacking := [p for p in params if self.state[p].get(name) is None]:
                size = sum(p.data.size for p in lacking)
                flat = xp.full(size, self.initial(group, name), dtype=lacking[0].dtype)
                for p, view in zip(lacking, unflatten(flat, lacking), strict=True):
                    self.state[p][name] = view
                    if not self.counts_steps:
                        self.state[p]["step"] = 0  # the first step with this state
            for p in params:
                own = self.state[p]
                own[name] = state_array(type(self).__name__, name, own[name], p)

    # Saving and restoring, in PyTorch's format.

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: not the buckets, whose keys are addresses."""
        self._settle()
        return {**vars(self), "_kept": {}}

    def state_dict(self) -> dict[str, Any]:
        """The hyperparameters of every group, and the state of every parameter by its index."""
        self._settle()
        params = (p for group in self.param_groups for p in group["params"])
        indices = {p: i for i, p in enumerate(params)}
        groups = [{**g, "params": [indices[p] for p in g["params"]]} for g in self.param_groups]
        state = {
            indices[p]: {k: copied(v) if hasattr(v, "shape") else v for k, v in own.items()}
            for p, own in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, for the same parameters in the same order.

        Raises ArgumentError or ShapeError, and changes nothing, if the state does not fit.
        """
        try:
            self._load(saved)
        except MinidlError as error:
            raise_explained("load_state_dict", [], error)
        except (*EXPLAINED, LookupError) as error:
            raise ArgumentError(
                f"load_state_dict: needs what {type(self).__name__}.state_dict gave; got "
                f"{describe(saved)} ({type(error).__name__}: {error})"
            ) from error

    def _load(self, saved: Mapping[str, Any]) -> None:
        """Restore a state, after all of it has been validated."""
        if not {"state", "param_groups"} <= set(saved):
            raise ArgumentError('load_state_dict: needs "state" and "param_groups"')
        needs = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in saved["param_groups"]]
        if needs != given:
            raise ShapeError(f"load_state_dict: groups of {given} parameters; needs {needs}")
        indices = [i for group in saved["param_groups"] for i in group["params"]]
        own_params = [p for group in self.param_groups for p in group["params"]]
        params = dict(zip(indices, own_params, strict=True))
        groups = [
            {**own, **{k: v for k, v in new.items() if k in self.defaults or k == "initial_lr"}}
            for own, new in zip(self.param_groups, saved["param_groups"], strict=True)
        ]
        rules = {p: group for group in groups for p in group["params"]}
        state = {}
        for number, own in saved["state"].items():
            if number not in params:
                raise ArgumentError(f"load_state_dict: there is no parameter {number}")
            p = params[number]
            if "step" not in own and self.counts_steps:
                raise ArgumentError(f"load_state_dict: parameter {number} has no step")
            state[p] = self._restored(number, own, p, rules[p])
        for group in groups:
            self._check(group)
        self._unsettled = None
        self.state, self._kept, self.param_groups = state, {}, groups

    def _restored(
        self, number: int, own: Mapping[str, Any], p: Tensor, group: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The validated state of one parameter, as arrays like the parameter."""
        return restored(number, own, p, self.state_names(group), self.numbers)

    def __repr__(self) -> str:
        groups = [
            ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"
