"""What all optimisers share: groups of parameters, and one pass over all of them.

The rule of an optimiser is a few lines of arithmetic on whole arrays: the gradients of a group are
gathered into a flat one, and the state (momenta and the like) lies in others, however many
parameters there are.  Where a backend has a kernel for the rule, that runs instead, once over all
elements.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minidl.autograd import inplace
from minidl.autograd.mode import current, enable_grad
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of
from minidl.backends.rows import RowGradient
from minidl.errors import (
    EXPLAINED,
    ArgumentError,
    DTypeError,
    GradientError,
    MinidlError,
    ShapeError,
    check_flags,
    describe,
    explain,
    listed,
)
from minidl.ops import asarray

# Settings that are True or False, in the rules that have them.
_FLAGS = "maximize", "nesterov", "amsgrad", "centered", "decoupled_weight_decay"


class Optimizer:
    """The base of optimisers.

    A subclass gives `change`, what is to be subtracted from the parameters, and `state_names`, the
    state that this takes.

    param_groups    dicts of "params" and the settings that hold for them, which may be changed
    state           for each parameter that has taken a step: their number, and the state arrays

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

    rule = ""  # the name of the kernels that do what `change` does
    counts_steps = True  # whether the rule depends on the number of steps
    decoupled = False  # whether weights decay by themselves, rather than through their gradient
    numbers: tuple[str, ...] = ()  # the state that is one number for each parameter

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._flat_states: dict[tuple[int, ...], dict[str, Any]] = {}
        name, needs = type(self).__name__, "a list of parameters, or of groups"
        if isinstance(params, Tensor | Mapping):
            raise ArgumentError(f"{name}: needs {needs}")
        params = listed(name, f"{needs}, such as model.parameters()", params)
        groups = params if params and isinstance(params[0], Mapping) else [{"params": params}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """More parameters, {"params": …}, with settings of their own beside them."""
        name = type(self).__name__
        if not isinstance(group, Mapping):
            raise DTypeError(f'{name}: a group is a dict with "params"; got {describe(group)}')
        given = group.get("params", ())
        if not isinstance(given, Tensor):
            given = listed(name, 'a list of parameters in "params"', given)
        params = [given] if isinstance(given, Tensor) else given
        if not params:
            raise ArgumentError(
                f'{name}: a group needs at least one parameter in "params"; a generator that has '
                "been gone through gives none"
            )
        known = {p for other in self.param_groups for p in other["params"]}
        for p in params:
            _check_learnable(name, p)
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
        """Raise if a setting is no flag where one is needed, or the rule cannot use it."""
        flags = {name: settings[name] for name in _FLAGS if name in settings}
        check_flags(f"{type(self).__name__}: ", **flags)
        self.check(settings)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise if a setting is outside what the rule is defined for."""

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.edge is not None:
                    p.edge[0].grad = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns what `closure`, if given, returns."""
        if closure is not None and not callable(closure):
            raise DTypeError(
                f"{type(self).__name__}.step: closure is a function; got {describe(closure)}"
            )
        with enable_grad():
            loss = closure() if closure else None
        for group in self.param_groups:
            for name, value in group.items():
                if isinstance(value, np.generic):
                    group[name] = value.item()  # it would lift float32 to float64
            try:
                for params in self._cohorts(group):
                    self._update(group, params)
            except EXPLAINED:
                self._check(group)  # a setting may have been changed since
                raise
        return loss

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The arrays of state that every parameter of the group has, beside its step."""
        return ()

    def initial(self, group: Mapping[str, Any], name: str) -> float:
        """What this state is before the first step."""
        return 0.0

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: Mapping[str, Any]
    ) -> Any:
        """What to subtract from the parameters, as a flat array like `gradient`.

        step     how many steps they have taken, this one included
        state    flat arrays by name, to be updated in place, and `numbers`, to be set anew
        """
        raise TypeError(f"{type(self).__name__} has no rule: it must define change")

    def decay(self, group: Mapping[str, Any]) -> float:
        """How much of the parameters is added to the gradient, or if decoupled to its change."""
        return group["weight_decay"] if "weight_decay" in self.defaults else 0.0

    def subtract(self, xp: Any, group: Mapping[str, Any], p: Tensor, change: Any) -> None:
        """Take its part of the change, in its shape, from a parameter.

        For rules that look at a parameter as a whole, or at what has become of it.
        """
        value = p.data
        value -= change  # in place

    def takes_rows(self, group: Mapping[str, Any]) -> bool:
        """Whether the rule, for a RowGradient, is the same as for the dense gradient.

        Then `change` sees the rows alone, and the cost does not grow with the table.
        """
        return False

    def _cohorts(self, group: Mapping[str, Any]) -> Iterable[list[Tensor]]:
        """The parameters with a gradient, in lists that one pass can serve."""
        cohorts: dict[Any, list[Tensor]] = {}
        for p in group["params"]:
            gradient = None if p.edge is None else p.edge[0].grad
            if type(gradient) is RowGradient and self.takes_rows(group):
                self._update_rows(group, p, gradient)
            elif gradient is not None:
                step = self.state[p]["step"] if p in self.state else 0
                alike = type(p.data), p.dtype, step
                # Settings may have changed while only some of them stepped.
                if self.numbers and step:
                    alike += tuple(self.state[p][name] for name in self.numbers)
                cohorts.setdefault(alike, []).append(p)
        return cohorts.values()

    def _update(self, group: Mapping[str, Any], params: list[Tensor]) -> None:
        """One pass over parameters of one dtype, on one device, that took equally many steps."""
        xp, names = backend_of(params[0].data), self.state_names(group)
        self._ensure_state(xp, group, params, names)
        step = self.state[params[0]]["step"] + 1
        kernel = xp.kernel(self.rule) if current.get().fast else None
        rest = params
        if kernel is not None:
            all_at_once = kernel(group, step, params[0].dtype)
            add = all_at_once.add
            rest = [p for p in params if not add(p.data, _array(p.edge[0].grad), self.state[p])]
            all_at_once.run()
        if rest:
            self._update_flat(xp, group, rest, step)
        for p in params:
            self.state[p]["step"] = step
        inplace.mark_written(*(p.data for p in params))

    def _update_flat(
        self, xp: Any, group: Mapping[str, Any], params: list[Tensor], step: int
    ) -> None:
        """The rule by whole-array arithmetic, on all the parameters end to end."""
        values = [p.data for p in params]
        gradient = _flat(xp, [_array(p.edge[0].grad) for p in params])
        if group["maximize"]:
            gradient = -gradient
        decay = self.decay(group)
        decoupled = group.get("decoupled_weight_decay", self.decoupled)
        if decay and not decoupled:
            gradient = gradient + decay * _flat(xp, values)
        numbers = {name: self.state[params[0]][name] for name in self.numbers}
        state = {**self._flat_state(xp, params, self.state_names(group)), **numbers}
        change = self.change(xp, group, step, gradient, state)
        if decay and decoupled:
            change = change + group["lr"] * decay * _flat(xp, values)
        for p, part in zip(params, _pieces(change, params), strict=True):
            self.subtract(xp, group, p, part)
        for p in params if numbers else ():
            self.state[p].update({name: state[name] for name in numbers})

    def _ensure_state(
        self, xp: Any, group: Mapping[str, Any], params: list[Tensor], names: tuple[str, ...]
    ) -> None:
        """Give parameters the state that they lack, end to end in one array of each name.

        In arrays of their own, equal elements would lie at equal places of pages, and so compete.
        """
        for p in params:
            if p not in self.state:
                numbers = {name: self.initial(group, name) for name in self.numbers}
                self.state[p] = {"step": 0, **numbers}
        for name in names:
            if lacking := [p for p in params if name not in self.state[p]]:
                size = sum(p.data.size for p in lacking)
                flat = xp.full(size, self.initial(group, name), dtype=lacking[0].dtype)
                for p, piece in zip(lacking, _pieces(flat, lacking), strict=True):
                    self.state[p][name] = piece
                    if not self.counts_steps:
                        self.state[p]["step"] = 0  # the rule begins anew

    def _update_rows(self, group: Mapping[str, Any], p: Tensor, gradient: RowGradient) -> None:
        """The rule on the rows that the gradient has; it must be linear in the gradient."""
        rows = -gradient.rows if group["maximize"] else gradient.rows
        change = self.change(gradient.backend, group, 1, rows, {})
        gradient.backend.add_at(p.data, (gradient.indices,), -change)
        inplace.mark_written(p.data)

    def _flat_state(self, xp: Any, params: list[Tensor], names: tuple[str, ...]) -> dict[str, Any]:
        """The state of these parameters as flat arrays, of which each parameter has its piece.

        The arrays are kept as long as the same parameters step together.
        """
        key = (*map(id, params), *names)
        if key not in self._flat_states:
            for other in [
                k for k in self._flat_states if not set(k).isdisjoint(key[: len(params)])
            ]:
                del self._flat_states[other]
            flat = {name: _flat(xp, [self.state[p][name] for p in params]) for name in names}
            for name, array in flat.items():
                for p, piece in zip(params, _pieces(array, params), strict=True):
                    self.state[p][name] = piece
            self._flat_states[key] = flat
        return self._flat_states[key]

    # Saving and restoring, in PyTorch's form.

    def state_dict(self) -> dict[str, Any]:
        """The settings of every group, and the state of every parameter by its number."""
        params = (p for group in self.param_groups for p in group["params"])
        numbers = {p: i for i, p in enumerate(params)}
        groups = [
            {**group, "params": [numbers[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {
            numbers[p]: {k: Tensor(v.copy()) if hasattr(v, "shape") else v for k, v in own.items()}
            for p, own in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, with the same parameters in the same order.

        Raises ArgumentError or ShapeError, and changes nothing, for what is no such state.
        """
        try:
            self._load(saved)
        except MinidlError as error:
            raise explain("load_state_dict", [], error) from error
        except (*EXPLAINED, LookupError) as error:
            raise ArgumentError(
                f"load_state_dict: needs what {type(self).__name__}.state_dict gave; got "
                f"{describe(saved)} ({type(error).__name__}: {error})"
            ) from error

    def _load(self, saved: Mapping[str, Any]) -> None:
        """Take over a state, once all of it is seen to fit."""
        if not {"state", "param_groups"} <= set(saved):
            raise ArgumentError('load_state_dict: needs "state" and "param_groups"')
        needs = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in saved["param_groups"]]
        if needs != given:
            raise ShapeError(f"load_state_dict: groups of {given} parameters; needs {needs}")
        numbers = [n for group in saved["param_groups"] for n in group["params"]]
        params = dict(
            zip(numbers, (p for g in self.param_groups for p in g["params"]), strict=True)
        )
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
        self.state, self._flat_states, self.param_groups = state, {}, groups

    def _restored(
        self, number: int, own: Mapping[str, Any], p: Tensor, group: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The saved state of a parameter, once it is seen to be complete."""
        step = own.get("step", 1)
        if step != int(step) or step < 0:
            raise ArgumentError(f"load_state_dict: parameter {number} has the step {step!r}")
        state: dict[str, Any] = {"step": int(step)}
        for name in self.numbers:
            if own.get(name) is None:
                raise ArgumentError(f"load_state_dict: parameter {number} has no {name}")
            state[name] = float(own[name])
        for name in self.state_names(group):
            array = None if own.get(name) is None else asarray(own[name], copy=True)
            if array is None or array.shape != p.shape:
                raise ShapeError(
                    f"load_state_dict: parameter {number} needs {name} of shape {p.shape}"
                )
            in_order = array.reshape(-1).reshape(p.shape)  # for kernels, which see it end to end
            state[name] = in_order.astype(p.dtype).to_device(p.device).data
        return state

    def __repr__(self) -> str:
        groups = [
            ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"


def _check_learnable(name: str, p: Any) -> None:
    """Raise for what no step could change, or should not; a frozen Parameter may be thawed."""
    if not isinstance(p, Tensor) or not p.is_leaf:
        raise GradientError(f"{name}: parameters are leaf tensors; got {p!r:.80}")
    if p.dtype.kind != "f":
        raise DTypeError(f"{name}: parameters are floats; got {describe(p)}")
    if type(p) is Tensor and not p.requires_grad:
        raise GradientError(
            f"{name}: this tensor, {describe(p)}, requires no gradient, and would never change; "
            "create it with requires_grad=True"
        )


def _array(gradient: Any) -> Any:
    """The array of a gradient, whatever form it has."""
    if type(gradient) is RowGradient:
        return gradient.dense()
    return gradient.data if isinstance(gradient, Tensor) else gradient


def _flat(xp: Any, arrays: list[Any]) -> Any:
    """Arrays of any shape end to end."""
    return xp.concat([array.reshape(-1) for array in arrays])


def _pieces(flat: Any, params: list[Tensor]) -> list[Any]:
    """The part of a flat array that belongs to each parameter, in its shape."""
    pieces, start = [], 0
    for p in params:
        array = p.data
        stop = start + array.size
        pieces.append(flat[start:stop].reshape(array.shape))
        start = stop
    return pieces
