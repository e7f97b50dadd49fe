"""Adaptive softmax for very many classes, most of them rare.  Grave et al. 2017."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_numbers, is_integer
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.nn.containers import ModuleList
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.precision import beside, in_dtype_of
from minidl.nn.sequential import Sequential


class ASMoutput(NamedTuple):
    """The output of AdaptiveLogSoftmaxWithLoss.

    >>> layer, x = nn.AdaptiveLogSoftmaxWithLoss(4, 6, [2]), minidl.ones((3, 4))
    >>> result = layer(x, minidl.tensor([0, 5, 1]))
    >>> result.output.shape, result.loss.shape
    ((3,), ())
    """

    output: Tensor  # the log-probability of each target
    loss: Tensor  # minus their mean


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of n_classes classes, which are sorted by frequency.

    The head distinguishes the classes below cutoffs[0] and clusters of the rarer ones; each
    cluster, from one cutoff to the next, has a tail of in_features / div_valueⁱ⁺¹ hidden features,
    which is only computed for the samples whose target is in it.  Which these are, the host finds:
    it waits for targets that a GPU computed, not for those that a DataLoader sent there.

    >>> layer, x = nn.AdaptiveLogSoftmaxWithLoss(16, 100, cutoffs=[10, 40]), minidl.ones((2, 16))
    >>> minidl.exp(layer.log_prob(x)).detach().sum(axis=1).round()
    Tensor([1., 1.], float32)
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_integers(self, 1, in_features=in_features, n_classes=n_classes)
        check_numbers(self, above=0, div_value=div_value)
        check_flags(self, head_bias=head_bias)
        cutoffs = _checked_cutoffs(cutoffs, n_classes)
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs, self.div_value, self.head_bias = [*cutoffs, n_classes], div_value, head_bias
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        made = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            if not hidden:
                raise ArgumentError(
                    f"AdaptiveLogSoftmaxWithLoss: nothing is left of {in_features} features for "
                    f"cluster {i} with div_value {div_value}; needs fewer cutoffs or a smaller one"
                )
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            down = Linear(in_features, hidden, bias=False, **made)
            self.tail.append(Sequential(down, Linear(hidden, size, bias=False, **made)))

    def forward(self, x: Tensor, target: Tensor) -> ASMoutput:
        """x (N, in_features), target (N,), or one sample → the targets' log-probabilities, loss."""
        given = self._checked(x, target)
        x = beside(self.head.weight, in_dtype_of(self.head.weight, self, x))
        target = beside(self.head.weight, target)
        single = not target.ndim
        if single:
            x, target = ops.expand_dims(x), ops.expand_dims(target)
        cluster = sum(ops.astype(target >= cutoff, target.dtype) for cutoff in self.cutoffs[:-1])
        column = ops.where(cluster > 0, self.shortlist_size - 1 + cluster, target)
        head = ops.log_softmax(self.head(x), axis=1)
        output = ops.take_along_axis(head, ops.expand_dims(column, axis=1), axis=1)[:, 0]
        for i, tail in enumerate(self.tail):
            there = (given >= self.cutoffs[i]) & (given < self.cutoffs[i + 1])
            if there.any():
                rows = ops.asarray(np.flatnonzero(there), device=x.device)
                among = ops.log_softmax(tail(x[rows]), axis=1)
                which = ops.expand_dims(target[rows] - self.cutoffs[i], axis=1)
                chosen = ops.take_along_axis(among, which, axis=1)[:, 0]
                output = output + ops.segment_sum(chosen, rows, x.shape[0])
        return ASMoutput(output[0] if single else output, -ops.mean(output))

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-probabilities of all classes: (N, in_features) → (N, n_classes)."""
        x = in_dtype_of(self.head.weight, self, x)
        head = ops.log_softmax(self.head(x), axis=1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            cluster = head[:, self.shortlist_size + i : self.shortlist_size + i + 1]
            parts.append(cluster + ops.log_softmax(tail(x), axis=1))
        return ops.concat(parts, axis=1)

    def predict(self, x: Tensor) -> Tensor:
        """The most probable class of each sample: (N, in_features) → (N,)."""
        return ops.argmax(self.log_prob(x), axis=1)

    def _checked(self, x: Tensor, target: Tensor) -> np.ndarray:
        """The targets (N,) on the host; errors unless they and x fit the layer."""
        if not (hasattr(x, "dtype") and hasattr(target, "dtype")):
            raise DTypeError(
                f"AdaptiveLogSoftmaxWithLoss: needs tensors; got {describe(x)} and "
                f"{describe(target)}"
            )
        if x.dtype.kind == "c" or target.dtype.kind not in "iu":
            raise DTypeError(
                "AdaptiveLogSoftmaxWithLoss: x are reals, targets are integers; got "
                f"{describe(x)} and {describe(target)}"
            )
        if x.ndim not in (1, 2) or x.shape != (*target.shape, self.in_features):
            raise ShapeError(
                f"AdaptiveLogSoftmaxWithLoss: needs x (N, {self.in_features}) and targets (N,); "
                f"got {describe(x)} and {describe(target)}"
            )
        values = ops.asarray(target).numpy()
        if not ((values >= 0) & (values < self.n_classes)).all():
            raise ArgumentError(
                f"AdaptiveLogSoftmaxWithLoss: targets are classes from 0 to {self.n_classes - 1}; "
                f"got {values.min()} to {values.max()}"
            )
        return np.atleast_1d(values)


def _checked_cutoffs(cutoffs: Any, n_classes: int) -> list[int]:
    """The cutoffs as a list, after checking that they ascend between 0 and n_classes."""
    given = list(cutoffs) if isinstance(cutoffs, tuple | list) else []
    integers = bool(given) and all(map(is_integer, given))
    if not integers or given != sorted({*given}) or given[0] < 1 or given[-1] >= n_classes:
        raise ArgumentError(
            "AdaptiveLogSoftmaxWithLoss: cutoffs ascend between 1 and n_classes − 1 = "
            f"{n_classes - 1}; got {cutoffs!r:.60}"
        )
    return given
