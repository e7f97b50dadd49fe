"""Normalisation layers."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_numbers, check_shape
from minidl.errors import ArgumentError, ShapeError
from minidl.nn import init
from minidl.nn.module import Buffer, Module, Parameter, shape_error
from minidl.nn.parameter import empty
from minidl.nn.precision import in_dtype_of
from minidl.nn.running_moments import track


class _Norm(Module):
    """What normalisation layers share: a weight that starts as 1, a bias that starts as 0."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_parameters(
        self, shape: tuple[int, ...], affine: bool, bias: bool, device: str | None, dtype: Any
    ) -> None:
        check_flags(self, bias=bias)
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            given = Parameter(empty(self, shape, dtype, device)) if wanted else None
            self.register_parameter(name, given)

    def reset_parameters(self) -> None:
        """Reset the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.fill(self.weight, 1)
        if self.bias is not None:
            init.fill(self.bias, 0)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Tensor) -> int:
        """Each element is scaled once, if there is a weight."""
        return 0 if self.weight is None else output.size


class _BatchNorm(_Norm):
    """Batch norm for inputs of the ranks that a subclass names."""

    running_mean: Buffer | None
    running_var: Buffer | None
    num_batches_tracked: Buffer | None

    _shapes: ClassVar[dict[int, str]]  # by rank

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        check_integers(self, 0, num_features=num_features)
        check_numbers(self, 0, eps=eps)
        if momentum is not None:
            check_numbers(self, 0, 1, momentum=momentum)
        check_flags(self, affine=affine, track_running_stats=track_running_stats)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make_parameters((num_features,), affine, bias, device, dtype)
        for name in ("running_mean", "running_var"):
            given = empty(self, num_features, dtype, device) if track_running_stats else None
            self.register_buffer(name, given)
        count = ops.empty((), dtype="int64", device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset: weight 1, bias 0, and the running statistics."""
        self.reset_running_stats()
        super().reset_parameters()

    def reset_running_stats(self) -> None:
        """Reset the running statistics: mean 0, variance 1, no batches."""
        buffers = self.running_mean, self.running_var, self.num_batches_tracked
        for buffer, value in zip(buffers, (0, 1, 0), strict=True):
            if self.track_running_stats and buffer is not None:
                init.fill(buffer, value)

    def forward(self, x: Tensor) -> Tensor:
        self._check(x)
        x = in_dtype_of(self.running_mean if self.weight is None else self.weight, self, x)
        if not self.training and self.running_mean is not None:
            statistics = self.running_mean, self.running_var
            mean, var = (in_dtype_of(self.weight, self, x) for x in statistics)
            return ops.batch_norm_inference(x, mean, var, self.weight, self.bias, eps=self.eps)
        count = math.prod(x.shape) // self.num_features if self.num_features else 0
        if count == 1:
            raise ShapeError(
                f"{self._name} needs more than one value per channel to train; got "
                f"{tuple(x.shape)}; use a larger batch, or eval()"
            )
        y, mean, var = ops.batch_norm(x, self.weight, self.bias, eps=self.eps)
        running: Any = self.running_mean, self.running_var
        if self.num_batches_tracked is not None and self.running_mean is not None:
            track(self.num_batches_tracked, running, (mean, var), self.momentum, count)
        return y

    def _check(self, x: Any) -> None:
        shape: tuple[int, ...] = getattr(x, "shape", ())
        if len(shape) not in self._shapes or shape[1] != self.num_features:
            needs = " or ".join(
                s.replace("C", str(self.num_features)) for s in self._shapes.values()
            )
            raise shape_error(self._name, needs, x)

    @property
    def _name(self) -> str:
        return f"{type(self).__name__}({self.num_features})"

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """y = (x − mean) / √(var + eps) · weight + bias for each channel of (N, C) or (N, C, L).

    In training the mean and the variance are those of the batch, and update the running statistics;
    in evaluation they are the running statistics.  The running variance is divided by n − 1.

    momentum    the weight of a batch in the running statistics; None: the mean of all batches

    Ioffe, Szegedy 2015.

    >>> layer, x = nn.BatchNorm1d(1, momentum=0.5), minidl.tensor([[1.0], [3.0]])
    >>> [round(y, 3) for y in layer(x).reshape(2).tolist()]
    [-1.0, 1.0]
    >>> layer.running_mean, layer.running_var
    (Buffer([1.], float32), Buffer([1.5], float32))
    >>> layer.eval()(minidl.tensor([[1.0]])).detach()
    Tensor([[0.]], shape=(1, 1), float32)
    >>> list(layer.state_dict())
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    _shapes: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """y = (x − mean) / √(var + eps) · weight + bias for each channel of (N, C, H, W).

    Otherwise like BatchNorm1d.

    >>> layer = nn.BatchNorm2d(3)
    >>> layer(minidl.random.normal((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    >>> layer.num_batches_tracked
    Buffer(1, int64)
    """

    _shapes: ClassVar = {4: "(N, C, H, W)"}


class BatchNorm3d(_BatchNorm):
    """y = (x − mean) / √(var + eps) · weight + bias for each channel of (N, C, D, H, W).

    Otherwise like BatchNorm1d.

    >>> nn.BatchNorm3d(3)(minidl.random.normal((2, 3, 2, 4, 4))).shape
    (2, 3, 2, 4, 4)
    """

    _shapes: ClassVar = {5: "(N, C, D, H, W)"}


class LayerNorm(_Norm):
    """y = (x − mean) / √(var + eps) · weight + bias over the last axes.

    normalized_shape    the lengths of these axes, or an int for one

    Ba, Kiros, Hinton 2016.

    >>> layer = nn.LayerNorm(2, eps=0.0)
    >>> layer(minidl.tensor([[1.0, 3.0], [10.0, 30.0]])).detach()
    Tensor([[-1.,  1.],
            [-1.,  1.]], shape=(2, 2), float32)
    >>> nn.LayerNorm((4, 5)).weight.shape
    (4, 5)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_shape(self, normalized_shape=normalized_shape)
        check_numbers(self, 0, eps=eps)
        check_flags(self, elementwise_affine=elementwise_affine)
        self.normalized_shape = _as_lengths(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """(…, *normalized_shape) → the same."""
        shape = self.normalized_shape
        if getattr(x, "shape", ())[-len(shape) :] != shape:
            needs = ", ".join(map(str, ("…", *shape)))
            raise shape_error(f"LayerNorm({shape})", f"({needs})", x)
        x = in_dtype_of(self.weight, self, x)
        return ops.layer_norm(x, self.weight, self.bias, normalized_shape=shape, eps=self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(_Norm):
    """y = (x − mean) / √(var + eps) · weight + bias for each group of channels of each sample.

    Wu, He 2018.

    >>> layer = nn.GroupNorm(num_groups=2, num_channels=6)
    >>> layer(minidl.random.normal((2, 6, 4))).shape
    (2, 6, 4)
    >>> {name: p.shape for name, p in layer.named_parameters()}
    {'weight': (6,), 'bias': (6,)}
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        check_integers(self, 1, num_groups=num_groups)
        check_integers(self, 0, num_channels=num_channels)
        check_numbers(self, 0, eps=eps)
        check_flags(self, affine=affine)
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: {num_groups} groups do not divide {num_channels} channels"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._make_parameters((num_channels,), affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) → the same."""
        if getattr(x, "shape", ())[1:2] != (self.num_channels,):
            name = f"GroupNorm({self.num_groups}, {self.num_channels})"
            raise shape_error(name, f"(N, {self.num_channels}, …)", x)
        x = in_dtype_of(self.weight, self, x)
        return ops.group_norm(x, self.weight, self.bias, num_groups=self.num_groups, eps=self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / √(mean(x²) + eps) · weight over the last axes.

    normalized_shape    the lengths of these axes, or an int for one
    eps                 None: the machine epsilon of the input's dtype

    Zhang, Sennrich 2019.

    >>> layer = nn.RMSNorm(2, eps=0.0)
    >>> layer(minidl.tensor([[1.0, 1.0], [7.0, -1.0]])).detach()
    Tensor([[ 1. ,  1. ],
            [ 1.4, -0.2]], shape=(2, 2), float32)
    >>> [name for name, _ in layer.named_parameters()]
    ['weight']
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_shape(self, normalized_shape=normalized_shape)
        if eps is not None:
            check_numbers(self, 0, eps=eps)
        check_flags(self, elementwise_affine=elementwise_affine)
        self.normalized_shape = _as_lengths(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        shape = self.normalized_shape
        given = Parameter(empty(self, shape, dtype, device)) if elementwise_affine else None
        self.register_parameter("weight", given)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, *normalized_shape) → the same."""
        shape = self.normalized_shape
        if getattr(x, "shape", ())[-len(shape) :] != shape:
            needs = ", ".join(map(str, ("…", *shape)))
            raise shape_error(f"RMSNorm({shape})", f"({needs})", x)
        x = in_dtype_of(self.weight, self, x)
        return ops.rms_norm(x, self.weight, normalized_shape=shape, eps=self.eps)

    def multiply_adds(self, inputs: tuple[Any, ...], output: Tensor) -> int:
        """Each element is scaled once, if there is a weight."""
        return 0 if self.weight is None else output.size

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(Module):
    """y = x / (k + α/size · Σ x²)^β, the sum over `size` channels around each.

    Krizhevsky, Sutskever, Hinton 2012.

    >>> x = minidl.ones((1, 4, 1))
    >>> nn.LocalResponseNorm(size=3, alpha=3.0, beta=1.0, k=2.0)(x).reshape(4)
    Tensor([0.25, 0.2 , 0.2 , 0.25], float32)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        check_integers(self, 1, size=size)
        check_numbers(self, alpha=alpha, beta=beta, k=k)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *) → the same."""
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _as_lengths(shape: int | Sequence[int]) -> tuple[int, ...]:
    """A normalized_shape as the lengths of axes."""
    return tuple(shape) if isinstance(shape, Sequence) else (shape,)
