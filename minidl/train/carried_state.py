"""The state that a recurrent model carries from batch to batch."""

from collections.abc import Sequence
from typing import Any

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.errors import DTypeError, ShapeError, describe


class CarriedState:
    """Truncated back-propagation through time: each batch begins in the state that the last left.

    The model is called with the state as its last input, None before the first batch, and returns
    its output and the state after it.  The state is detached: gradients end where a batch begins.
    Williams, Peng: An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories, Neural Computation 2, 1990.
    """

    def __init__(self) -> None:
        self.value: Any = None

    def output(self, model: nn.Module, inputs: Sequence[Any]) -> Any:
        """The output of the model for a batch, whose state is kept for the next."""
        try:
            result = model(*inputs, self.value)
        except ShapeError as error:
            if self.value is None:
                raise
            raise ShapeError(
                "Trainer: with carry_state, each batch goes on where the last ended, and so has as "
                f"many samples, as those of StreamBatches; {error}"
            ) from error
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise DTypeError(
                "Trainer: with carry_state, a model returns (output, state); got "
                f"{describe(result)}"
            )
        output, state = result
        self.value = detached(state)
        return output


def detached(tree: Any) -> Any:
    """The same tensors in the same dicts, lists and tuples, detached from the graph."""
    if isinstance(tree, Tensor):
        return tree.detach()
    if isinstance(tree, dict):
        return {key: detached(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        items = [detached(value) for value in tree]
        return tree._make(items) if hasattr(tree, "_make") else type(tree)(items)
    return tree


def output_of(model: nn.Module, inputs: Sequence[Any], carried: CarriedState | None) -> Any:
    """The output of a model, which carries a state or does not."""
    return model(*inputs) if carried is None else carried.output(model, inputs)
