"""Batch and layer normalisation."""

from typing import Any, ClassVar

from minidl import nn, ops
from minidl.autograd import inplace
from minidl.autograd.checkpoint import before_write
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, ShapeError
from minidl.keras.layers import calling
from minidl.keras.layers.base import Layer, Shape, length_of
from minidl.keras.masking import as_mask, mask_of, masked, passed_mask
from minidl.nn import Buffer, Module, Parameter


class BatchNormalization(Layer):
    """y = (x − mean) / √(variance + epsilon) · gamma + beta for each channel, the last axis.

    In training the mean and variance are those of the batch, and the moving averages become
    momentum·moving + (1 − momentum)·batch; in inference they are the moving averages.  Both
    variances are divided by n.  Steps that a mask leaves out do not count in those of the batch.

    center, scale    whether there are a beta and a gamma

    Ioffe, Szegedy 2015.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((8, 8, 3)), layers.BatchNormalization()])
    >>> net.output_shape, net.count_params()
    ((None, 8, 8, 3), 12)
    """

    order = "first"
    supports_masking = True
    variable_names: ClassVar = {
        "gamma": "gamma",
        "beta": "beta",
        "moving_mean": "moving_mean",
        "moving_variance": "moving_variance",
    }

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not 0 <= momentum <= 1:
            raise ArgumentError(f"BatchNormalization: momentum is from 0 to 1; got {momentum!r}")
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.center, self.scale = bool(center), bool(scale)
        self.initializers = {
            "gamma": gamma_initializer,
            "beta": beta_initializer,
            "moving_mean": moving_mean_initializer,
            "moving_variance": moving_variance_initializer,
        }

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise self.error("needs inputs (N, …, C) with a known C; got", input_shape)
        if self.axis not in (-1, len(input_shape) - 1):
            raise self.error(f"is for channels on the last axis, not {self.axis}, of", input_shape)
        return tuple(input_shape)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The output; a mask that is passed is used, and does not go on."""
        mask = kwargs.pop("mask", None)
        if mask is None:
            return super()._run(args, kwargs)
        x, *others = self._given(calling.signature(self.call), args, {})[0]
        y = super()._run((masked(x, as_mask(mask)), *others), kwargs)
        return masked(y, mask_of(x))

    def make(self, shape: Shape) -> list[Module]:
        """A module with Keras's moving statistics."""
        norm = _BatchNorm(length_of(shape), self.momentum, self.epsilon, self.dtype)
        norm.gamma, norm.beta = (
            norm.gamma if self.scale else None,
            norm.beta if self.center else None,
        )
        for name, initializer in self.initializers.items():
            if getattr(norm, name) is not None:
                self.parameter(getattr(norm, name), initializer)
        return [norm]


class _BatchNorm(Module):
    """Batch norm for channels on axis 1, with Keras's moving statistics.

    Those of `nn.BatchNorm2d`, which are PyTorch's, divide the variance by n − 1, and reject a batch
    with a single value per channel.
    """

    def __init__(self, channels: int, momentum: float, epsilon: float, dtype: Any) -> None:
        self.momentum, self.epsilon, self.trainable = momentum, epsilon, True
        empty = lambda: ops.empty(channels, dtype=dtype)
        self.gamma: Parameter | None = Parameter(empty())
        self.beta: Parameter | None = Parameter(empty())
        self.moving_mean, self.moving_variance = Buffer(empty()), Buffer(empty())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) → the same."""
        moving = self.moving_mean, self.moving_variance
        if not self.training or not self.trainable:  # if frozen, infer, as Keras does
            return ops.batch_norm_inference(x, *moving, self.gamma, self.beta, eps=self.epsilon)
        mask = passed_mask(self)
        if mask is None:
            y, mean, var = ops.batch_norm(x, self.gamma, self.beta, eps=self.epsilon)
        else:
            mean, var = _statistics(x, mask)
            # What is left out may be anything; gamma's gradient must not become 0·NaN.
            finite = ops.where(ops.isfinite(x), x, 0)
            affine = self.gamma, self.beta
            y = ops.batch_norm_inference(finite, mean, var, *affine, eps=self.epsilon)
            y = y.astype(x.dtype)
        if x.size:
            before_write(*moving)
            for old, new in zip(moving, (mean, var), strict=True):
                old.data[...] = self.momentum * old.data + (1 - self.momentum) * new.data
            inplace.mark_written(*(old.data for old in moving))
        return y

    def requires_grad_(self, wanted: bool = True) -> "_BatchNorm":
        """Train, or freeze everything, including the moving statistics."""
        self.trainable = wanted
        return super().requires_grad_(wanted)

    def extra_repr(self) -> str:
        """The settings."""
        return f"momentum={self.momentum}, epsilon={self.epsilon}"


def _statistics(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the variance of each channel of x (N, C, T, …), of the steps of a mask (N, T).

    Both are 0 if it leaves out all of them.
    """
    if x.shape[:1] + x.shape[2 : mask.ndim + 1] != mask.shape:
        raise ShapeError(
            f"BatchNormalization: a mask {mask.shape} does not fit inputs of shape "
            f"{(x.shape[0], *x.shape[2:], x.shape[1])}"
        )
    counted = ops.moveaxis(x, 1, -1)[mask]  # (number of steps, …, C)
    counted = counted.reshape((-1, x.shape[1])) if counted.size else ops.zeros_like(x[:1, :, 0])
    counted = counted.astype("float32") if counted.dtype == "float16" else counted
    mean = ops.mean(counted, axis=0)
    centred = counted - mean
    return mean, ops.mean(centred * centred, axis=0)


class LayerNormalization(Layer):
    """y = (x − mean) / √(variance + epsilon) · gamma + beta over the last axis or axes.

    axis             the axis, or a list of axes, which must be the last ones
    center, scale    whether there are a beta and a gamma

    Ba, Kiros, Hinton 2016.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((4,)), layers.LayerNormalization()])
    >>> net.output_shape, net.count_params()
    ((None, 4), 8)
    """

    order = "last"
    supports_masking = True
    variable_names: ClassVar = {"weight": "gamma", "bias": "beta"}

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.axis = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
        self.epsilon, self.center, self.scale = epsilon, bool(center), bool(scale)
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer

    def lengths(self, shape: Shape) -> Shape:
        """The lengths of the axes that are normalised."""
        return shape[-len(self.axis) :]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same."""
        ndim, last = len(input_shape), len(self.axis)
        axes = sorted(axis % ndim for axis in self.axis if -ndim <= axis < ndim)
        if axes != list(range(ndim - last, ndim)) or not 0 < last < ndim:
            raise self.error(
                f"needs axes {self.axis} to be the last ones, not the batch's, of", input_shape
            )
        if None in self.lengths(input_shape):
            raise self.error(f"needs known lengths of the axes {self.axis}; got", input_shape)
        return tuple(input_shape)

    def make(self, shape: Shape) -> list[Module]:
        """A LayerNorm."""
        lengths = [length_of(shape, axis) for axis in range(-len(self.axis), 0)]
        norm = nn.LayerNorm(lengths, self.epsilon, dtype=self.dtype)
        norm.weight, norm.bias = (
            norm.weight if self.scale else None,
            norm.bias if self.center else None,
        )
        if norm.weight is not None:
            self.parameter(norm.weight, self.gamma_initializer)
        if norm.bias is not None:
            self.parameter(norm.bias, self.beta_initializer)
        return [norm]
