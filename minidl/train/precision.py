"""Precision: the dtype that a Trainer computes in, float32 or a mixture of float16 and float32."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from minidl.amp import GradScaler
from minidl.autograd.autocast import autocast
from minidl.autograd.tensor import Tensor
from minidl.backends import device
from minidl.data.transfer import mapped
from minidl.dtypes import float16, float32
from minidl.errors import ArgumentError, DTypeError

# A scale below this has no use: gradients that are infinite even so are not finite at any scale.
# It is fairseq's `--min-loss-scale`.
SMALLEST_SCALE = 1e-4


class Precision:
    """What `Trainer(mixed_precision=…)` stands for.

    scaler     of the gradients; one that is not enabled, if all is computed in float32
    is_mixed   whether models and losses run under `autocast`
    """

    def __init__(self, given: Any) -> None:
        if isinstance(given, GradScaler):
            self.is_mixed, self.scaler = True, given
        elif given is None or isinstance(given, bool) or given == "float16":
            self.is_mixed = bool(given)
            self.scaler = GradScaler(enabled=self.is_mixed)
        elif isinstance(given, str):
            raise ArgumentError(
                'Trainer: mixed_precision is True, or "float16", which is the same; False; or a '
                f"GradScaler with settings of its own; got {given!r}"
            )
        else:
            raise DTypeError(
                "Trainer: mixed_precision is True or False, or a GradScaler with settings of its "
                f"own; got {given!r:.60}"
            )

    @property
    def name(self) -> str | None:
        """The dtype of products, if it is not that of the weights."""
        return "float16" if self.is_mixed else None

    def block(self, where: device) -> AbstractContextManager[Any]:
        """A block in which a model on a device, and its loss, compute in this precision."""
        return autocast(where.type) if self.is_mixed else nullcontext()


def widened(tree: Any) -> Any:
    """The same tensors in the same dicts, lists and tuples, those in float16 as float32."""
    return mapped(tree, Tensor, _widened)


def _widened(x: Tensor) -> Tensor:
    return x.astype(float32) if x.dtype == float16 else x
