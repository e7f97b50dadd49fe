"""RNN: a cell applied to each step of sequences."""

from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import DTypeError, ShapeError, describe
from minidl.keras.graph.tensor import Shape
from minidl.keras.layers import calling
from minidl.keras.layers.base import Layer
from minidl.keras.layers.stacked_cells import (
    StackedRNNCells,
    call_cell,
    initial_state,
    output_size,
)
from minidl.keras.masking import as_mask
from minidl.keras.structure import flatten, is_nested, map_leaves, pack


class RNN(Layer):
    """A cell applied to the steps of (N, T, in), one after another: (N, units), or (N, T, units).

    cell                    a layer called as cell(inputs, states), with a state_size; or a list
    return_sequences        whether to return the outputs of all steps, rather than the last
    return_state            whether to return the last states too: (output, *states)
    go_backwards            from the last step to the first; the outputs are in this order too
    stateful                whether a batch begins with the states in which the one before it ended;
                            without their gradients.  `reset_states` makes them zeros
    zero_output_for_mask    whether the output of a masked step is 0

    Called with `initial_state`, a state or a list of them, it begins with these instead of zeros.
    Where a mask (N, T) is False the states are kept, and the output is that of the step before.
    (Keras 3 loses the mask of an input if there is an initial_state as well; here it counts.)
    `unroll` makes no difference.

    >>> from minidl.keras import layers
    >>> rnn = layers.RNN(layers.GRUCell(4), return_sequences=True, return_state=True)
    >>> outputs, state = rnn(np.ones((2, 5, 3)))
    >>> outputs.shape, bool((outputs[:, -1] == state).all())
    ((2, 5, 4), True)
    """

    casts_outputs = True
    supports_masking = True

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        cell = StackedRNNCells(cell) if isinstance(cell, list | tuple) else cell
        if not hasattr(cell, "call") or not hasattr(cell, "state_size"):
            raise DTypeError(
                f"{type(self).__name__}: a cell has a call(inputs, states) and a state_size; got "
                f"{describe(cell)}"
            )
        self.cell = cell
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self.stateful = bool(go_backwards), bool(stateful)
        self.unroll, self.zero_output_for_mask = bool(unroll), bool(zero_output_for_mask)
        self.states: list[Tensor] | None = None  # of a stateful layer, after the last batch

    # Shapes.

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell."""
        shape = self._checked(tuple(sequences_shape))
        if isinstance(self.cell, Layer):
            self.cell.ensure_built((shape[0], *shape[2:]))
        self.built = True

    def _checked(self, shape: Shape) -> Shape:
        if len(shape) < 3:
            raise self.error("needs sequences (N, T, in); got", shape)
        return shape

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """(N, units) or (N, T, units), and with return_state the shapes of the states."""
        batch, steps = self._checked(tuple(sequences_shape))[:2]
        units = output_size(self.cell)
        output = (batch, steps, units) if self.return_sequences else (batch, units)
        if not self.return_state:
            return output
        sizes = self.cell.state_size
        state = lambda size: (batch, size)
        return output, *(map_leaves(state, s) for s in (sizes if is_nested(sizes) else [sizes]))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the sequences, if these are returned; none of the states."""
        own = flatten(mask)[0] if self.return_sequences else None
        return [own, *[None] * self._count()] if self.return_state else own

    def _count(self) -> int:
        return len(flatten(self.cell.state_size))

    # States.

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states at first: zeros."""
        states = initial_state(self.cell, batch_size)
        return list(states) if is_nested(states) else [states]

    def reset_states(self, states: Any = None) -> None:
        """Begin the next batch with zeros, or with these states."""
        self.states = None
        if states is not None:
            self.states = [ops.asarray(s) for s in flatten(states)]

    reset_state = reset_states

    def _first_states(self, given: Any, batch: int) -> list[Any]:
        zeros = self.get_initial_state(batch)
        if given is None and self.stateful and self.states is not None and not calling.is_traced():
            given = self.states
        if given is None:
            return zeros
        states, needs = flatten(given), [x.shape for x in flatten(zeros)]
        if len(states) != len(needs):
            raise ShapeError(
                f"{self.title}: has {len(needs)} states; initial_state has {len(states)}"
            )
        found = [tuple(s.shape) for s in states]
        if found != needs:
            hint = "; reset_states() before batches of another size" if self.stateful else ""
            raise ShapeError(f"{self.title}: needs states of shapes {needs}; got {found}{hint}")
        return pack(zeros, states)

    # Computation.

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The outputs, and with return_state the states after the last step."""
        states = self._first_states(initial_state, sequences.shape[0])
        mask = self._as_mask(mask, sequences)
        if sequences.shape[1]:
            outputs, last, states = self.run(sequences, states, mask, training)
        else:  # no steps: no outputs, and the states as they were
            outputs = ops.zeros(
                (len(sequences), 0, output_size(self.cell)), dtype=self.compute_dtype
            )
            last = ops.sum(outputs, axis=1)
        if self.stateful and not calling.is_traced():
            self.states = [state.detach() for state in flatten(states)]
        output = outputs if self.return_sequences else last
        return (output, *states) if self.return_state else output

    def _as_mask(self, mask: Any, sequences: Tensor) -> Tensor | None:
        mask = next((m for m in flatten(mask) if m is not None), None)
        if mask is None:
            return None
        mask = as_mask(mask)
        if mask.ndim == 3 and mask.shape[-1] == 1:
            mask = mask[..., 0]
        if mask.shape != sequences.shape[:2]:
            raise ShapeError(
                f"{self.title}: needs a mask (N, T), {sequences.shape[:2]}; got {mask.shape}"
            )
        return mask

    def run(
        self, x: Tensor, states: list[Any], mask: Tensor | None, training: bool
    ) -> tuple[Any, Tensor, list[Any]]:
        """All outputs or None, the last output and the last states, step by step."""
        if mask is not None:
            # A step that is left out has no influence, whatever is in it: not even 0·NaN.
            x = ops.where(mask.reshape((*mask.shape, *(1,) * (x.ndim - 2))), x, 0)
        steps, masks = ops.unstack(x, axis=1), mask if mask is None else ops.unstack(mask, axis=1)
        order = range(len(steps) - 1, -1, -1) if self.go_backwards else range(len(steps))
        outputs: list[Tensor] = []
        cell, draws = self.cell, hasattr(self.cell, "keep_drawn")
        if draws:
            cell.keep_drawn(cell.draw(steps[0], training))
        try:
            for t in order:
                y, new = call_cell(cell, steps[t], states, training)
                new = list(new) if is_nested(new) else [new]
                if masks is not None:
                    m = masks[t][:, None]
                    kept = outputs and not self.zero_output_for_mask
                    y = ops.where(m, y, outputs[-1] if kept else 0)
                    pairs = zip(flatten(new), flatten(states), strict=True)
                    new = pack(new, [ops.where(m, n, old) for n, old in pairs])
                states = new
                outputs.append(y)
        finally:
            if draws:
                cell.keep_drawn(None)
        whole = ops.stack(outputs, axis=1) if self.return_sequences else None
        return whole, outputs[-1], states


def held(y: Tensor, mask: Tensor) -> Tensor:
    """y (T, N, C) with the output of the step before, or zeros, where the mask (T, N) is False."""
    there = mask.numpy()
    steps = np.arange(len(there))[:, None]
    latest = np.maximum.accumulate(np.where(there, steps, -1), axis=0)
    if (latest == steps).all():
        return y
    index = np.broadcast_to(np.maximum(latest, 0)[..., None], y.shape)
    found = ops.take_along_axis(y, ops.asarray(np.ascontiguousarray(index)), axis=0)
    return ops.where(ops.asarray(latest >= 0)[..., None], found, 0)
