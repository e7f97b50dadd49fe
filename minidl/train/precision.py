"""Precision: the dtype that a Trainer computes in, float32 or a mixture of float16 and float32."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

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


class Precision(NamedTuple):
    """What `Trainer(mixed_precision=…)` stands for.

    is_mixed   whether models and losses run under `autocast`
    scaler     of the gradients; one that is not enabled, if all is computed in float32
    """

    is_mixed: bool
    scaler: GradScaler

    @property
    def name(self) -> str | None:
        """The dtype of products, if it is not that of the weights."""
        return "float16" if self.is_mixed else None

    def block(self, where: device) -> AbstractContextManager[Any]:
        """A block in which a model on a device, and its loss, compute in this precision."""
        return autocast(where.type) if self.is_mixed else nullcontext()


def precision_of(given: Any) -> Precision:
    """The precision that is given as the argument of a Trainer."""
    if isinstance(given, Precision):
        return given
    if isinstance(given, GradScaler):
        return Precision(True, given)
    if given is None or isinstance(given, bool) or given == "float16":
        return Precision(bool(given), GradScaler(enabled=bool(given)))
    kind = ArgumentError if isinstance(given, str) else DTypeError
    raise kind(
        'Trainer: mixed_precision is True, or "float16", which is the same; False; or a GradScaler '
        f"with settings of its own; got {given!r:.60}"
    )


def widened(tree: Any) -> Any:
    """The same tensors in the same dicts, lists and tuples, those in float16 as float32."""
    return mapped(tree, Tensor, _widened)


def _widened(x: Tensor) -> Tensor:
    return x.astype(float32) if x.dtype == float16 else x
