"""What all optimisers share: groups of parameters, and one pass over all of them.

The gradients of a group are gathered into one flat array, the state (momenta and the like) lies
in others, and the rule of an optimiser is a few lines of arithmetic on whole arrays, however many
parameters there are.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minidl.autograd import inplace
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of
from minidl.backends.rows import RowGradient
from minidl.errors import ArgumentError, GradientError, ShapeError


class Optimizer:
    """The base of optimisers.

    A subclass gives `change`, what is to be subtracted from the parameters, and `state_names`, the
    state that this takes.

    param_groups    dicts of "params" and the settings that hold for them, which may be changed
    state           for each parameter that has taken a step: their number, and the state arrays
    """

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._flat_states: dict[tuple[int, ...], dict[str, Any]] = {}
        params = list(params)
        if not params:
            raise ArgumentError(f"{type(self).__name__}: needs at least one parameter; got none")
        for group in params if isinstance(params[0], Mapping) else [{"params": params}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """More parameters, {"params": …}, with settings of their own beside them."""
        name = type(self).__name__
        given = group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        known = {p for other in self.param_groups for p in other["params"]}
        for p in params:
            if not isinstance(p, Tensor) or not p.is_leaf:
                raise GradientError(f"{name}: parameters are leaf tensors; got {p!r:.80}")
            if p in known:
                raise ArgumentError(f"{name}: a parameter of shape {p.shape} is given twice")
            known.add(p)
        unknown = set(group) - {"params", *self.defaults}
        if unknown:
            raise ArgumentError(f"{name}: no setting {sorted(unknown)}; has {list(self.defaults)}")
        self.param_groups.append({**self.defaults, **group, "params": params})

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.edge is not None:
                    p.edge[0].grad = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns what `closure`, if given, returns."""
        loss = closure() if closure else None
        for group in self.param_groups:
            for params in self._cohorts(group):
                self._update(group, params)
        return loss

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The arrays of state that every parameter of the group has, beside its step."""
        return ()

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: Mapping[str, Any]
    ) -> Any:
        """What to subtract from the parameters, as a flat array like `gradient`.

        step     how many steps they have taken, this one included
        state    flat arrays by name, zeros at first, to be updated in place
        """
        raise TypeError(f"{type(self).__name__} has no rule: it must define change")

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
                cohorts.setdefault((type(p.data), p.dtype, step), []).append(p)
        return cohorts.values()

    def _update(self, group: Mapping[str, Any], params: list[Tensor]) -> None:
        """One pass over parameters of one dtype, on one device, that took equally many steps."""
        xp = backend_of(params[0].data)
        gradient = _flat(xp, [_array(p.edge[0].grad) for p in params])
        if group["maximize"]:
            gradient = -gradient
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * _flat(xp, [p.data for p in params])
        state = self._flat_state(xp, params, self.state_names(group))
        step = self.state[params[0]]["step"] + 1
        change = self.change(xp, group, step, gradient, state)
        arrays = [p.data for p in params]
        for array, part in zip(arrays, _pieces(change, params), strict=True):
            array -= part  # in place
        for p in params:
            self.state[p]["step"] = step
        inplace.mark_written(*arrays)

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
        key = tuple(map(id, params))
        if key not in self._flat_states:
            for other in [k for k in self._flat_states if not set(k).isdisjoint(key)]:
                del self._flat_states[other]
            for p in params:
                zeros = {name: xp.zeros(p.shape, dtype=p.dtype) for name in names}
                self.state.setdefault(p, {"step": 0, **zeros})
            flat = {name: _flat(xp, [self.state[p][name] for p in params]) for name in names}
            for name, array in flat.items():
                for p, piece in zip(params, _pieces(array, params), strict=True):
                    self.state[p][name] = piece
            self._flat_states[key] = flat
        return self._flat_states[key]

    # Saving and restoring, in PyTorch's form.

    def state_dict(self) -> dict[str, Any]:
        """The settings of every group, and the state of every parameter by its number."""
        numbers = {p: i for i, (p, _) in enumerate(self._each())}
        groups = [
            {**group, "params": [numbers[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {
            numbers[p]: {k: v if k == "step" else Tensor(v.copy()) for k, v in own.items()}
            for p, own in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, with the same parameters in the same order."""
        needs = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in saved["param_groups"]]
        if needs != given:
            raise ShapeError(f"load_state_dict: groups of {given} parameters; needs {needs}")
        pairs = self._each()
        state = {}
        for number, own in saved["state"].items():
            p, group = pairs[int(number)]
            state[p] = {"step": int(own["step"])}
            for name in self.state_names(group):
                if name not in own or own[name].shape != p.shape:
                    raise ShapeError(
                        f"load_state_dict: parameter {number} needs {name} of shape {p.shape}"
                    )
                state[p][name] = backend_of(p.data).astype(own[name].data, p.dtype)
        self.state, self._flat_states = state, {}
        for group, new in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update({name: value for name, value in new.items() if name != "params"})

    def _each(self) -> list[tuple[Tensor, dict[str, Any]]]:
        """Every parameter, with its group, in order."""
        return [(p, group) for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        groups = [
            ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"


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
