"""Instance normalisation layers: statistics of each channel of each sample."""

import math
from typing import Any, ClassVar

from minidl import ops
from minidl.autograd import inplace
from minidl.autograd.checkpoint import before_write
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import ShapeError
from minidl.nn.module import shape_error
from minidl.nn.norm import _BatchNorm
from minidl.nn.precision import in_dtype_of


class _InstanceNorm(_BatchNorm):
    """Instance norm, for batches and single samples of the ranks that a subclass names."""

    _axes: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) or (C, …) → the same."""
        shape, ndim = getattr(x, "shape", ()), len(self._axes.split(", ")) + 1
        if len(shape) not in (ndim, ndim + 1) or shape[-ndim] != self.num_features:
            one = f"{self.num_features}, {self._axes}"
            raise shape_error(self._name, f"(N, {one}) or ({one})", x)
        x = in_dtype_of(self.running_mean if self.weight is None else self.weight, self, x)
        if len(shape) == ndim:
            return self._normalised(x[None])[0]
        return self._normalised(x)

    def _normalised(self, x: Tensor) -> Tensor:
        if not self.training and self.running_mean is not None:
            statistics = self.running_mean, self.running_var
            return ops.batch_norm_inference(x, *statistics, self.weight, self.bias, eps=self.eps)
        if math.prod(x.shape[2:]) == 1:
            raise ShapeError(
                f"{self._name} needs more than one value per channel and sample; got {x.shape}"
            )
        y = ops.instance_norm(x, self.weight, self.bias, eps=self.eps)
        if self.running_mean is not None and x.size:
            self._track_samples(x)
        return y

    def _track_samples(self, x: Tensor) -> None:
        """Update the running statistics with the samples' statistics, averaged over the batch.

        num_batches_tracked stays 0, and without a momentum nothing is updated, as in PyTorch.
        """
        axes, momentum = tuple(range(2, x.ndim)), self.momentum or 0.0
        with no_grad():
            mean = x.mean(axis=axes).mean(axis=0)
            var = x.var(axis=axes, correction=1).mean(axis=0)
        running: Any = (self.running_mean, self.running_var)
        before_write(*running)
        for old, new in zip(running, (mean, var), strict=True):
            old.data[...] = (1 - momentum) * old.data + momentum * new.data
            inplace.mark_written(old.data)


class InstanceNorm1d(_InstanceNorm):
    """y = (x − mean) / √(var + eps) · weight + bias for each channel of each sample of (N, C, L).

    The mean and the variance are those of the channel; with track_running_stats, in evaluation,
    they are the running statistics, which training updates.  (C, L) is a single sample.

    Ulyanov, Vedaldi, Lempitsky 2016.

    >>> y = nn.InstanceNorm1d(3)(5 * minidl.random.normal((2, 3, 8)) + 7)
    >>> float(abs(y.mean(axis=2)).max()) < 1e-5
    True
    >>> float(abs(y.std(axis=2) - 1).max()) < 1e-4
    True
    >>> [name for name, _ in nn.InstanceNorm1d(3, affine=True).named_parameters()]
    ['weight', 'bias']
    """

    _axes = "L"


class InstanceNorm2d(_InstanceNorm):
    """y = (x − mean) / √(var + eps) · weight + bias for each channel of each (N, C, H, W).

    Otherwise like InstanceNorm1d.

    >>> y = nn.InstanceNorm2d(3)(5 * minidl.random.normal((2, 3, 4, 4)) + 7)
    >>> float(abs(y.mean(axis=(2, 3))).max()) < 1e-5
    True
    >>> float(abs(y.std(axis=(2, 3)) - 1).max()) < 1e-4
    True
    """

    _axes = "H, W"


class InstanceNorm3d(_InstanceNorm):
    """y = (x − mean) / √(var + eps) · weight + bias for each channel of each (N, C, D, H, W).

    Otherwise like InstanceNorm1d.

    >>> y = nn.InstanceNorm3d(3)(5 * minidl.random.normal((2, 3, 2, 4, 4)) + 7)
    >>> float(abs(y.mean(axis=(2, 3, 4))).max()) < 1e-5
    True
    >>> float(abs(y.std(axis=(2, 3, 4)) - 1).max()) < 1e-4
    True
    """

    _axes = "D, H, W"
