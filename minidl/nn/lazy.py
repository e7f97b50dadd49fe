"""Lazy layers, which read off their first input how many features or channels it has.

Until then they have no parameters: what needs these is refused, an optimiser, a state dict, `to`.
In the first call, the layer makes them as the layer that it stands for would, and becomes one:

    net = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    net(images[:2])  # now they are Conv2d and Linear
    optimizer = optim.Adam(net.parameters())
"""

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from minidl.autograd.checkpoint import is_checkpointed
from minidl.autograd.tensor import Tensor
from minidl.errors import GradientError
from minidl.nn.conv import Conv1d, Conv2d, Conv3d
from minidl.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from minidl.nn.instance_norm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from minidl.nn.linear import Linear
from minidl.nn.module import Module, PartError, shape_error
from minidl.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from minidl.ops.random import default_generator


class _Lazy(Module):
    """A layer whose first argument, a number of channels, is found in the first call.

    _becomes     the class that it is afterwards
    _channels    the axis of the channels, by the rank of the input; None: the last axis of any
    """

    _becomes: ClassVar[Any]
    _channels: ClassVar[dict[int, int] | None] = None

    def _postpone(self, *args: Any, **settings: Any) -> None:
        """Keep the settings, after checking them on a layer without channels, which draws nothing.

        The random numbers of its bias are given back, so that a seed gives the lazy network the
        weights of the eager one.
        """
        drawn_before = default_generator.get_state()
        try:
            layer = self._becomes(0, *args, **settings)
        finally:
            default_generator.set_state(drawn_before)
        own = {k: v for k, v in vars(layer).items() if not isinstance(v, Tensor)}
        vars(self).update(own)
        self._postponed = args, settings, layer.extra_repr()

    def forward(self, x: Tensor, *more: Any, **settings: Any) -> Tensor:
        """Become the layer for inputs like x, and compute its output."""
        shape = tuple(getattr(x, "shape", ()))
        axes = {max(len(shape), 1): -1} if self._channels is None else self._channels
        if len(shape) not in axes:
            ranks = " or ".join(map(str, axes)) if self._channels else "1 or more"
            raise shape_error(type(self).__name__, f"with {ranks} axes", x)
        if is_checkpointed():
            raise GradientError(
                f"{type(self).__name__}: makes its parameters in its first call, which cannot be "
                "inside checkpoint, where it would run twice; call it once before"
            )
        args, own, _ = self._postponed
        layer = self._becomes(shape[axes[len(shape)]], *args, **own)
        del self._postponed
        self.__class__ = self._becomes
        vars(self).update(vars(layer))
        return self.forward(x, *more, **settings)

    def _refuse_unmade(self) -> NoReturn:
        raise PartError(
            f"{type(self).__name__} has no parameters or buffers before its first call, which "
            "makes them: call the network once, under no_grad, then move it, load its state, or "
            "create an optimiser"
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Refuse, as there is no state yet."""
        self._refuse_unmade()

    def extra_repr(self) -> str:
        return self._postponed[2]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name in _MADE:
                self._refuse_unmade()
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


_MADE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class LazyLinear(_Lazy, Linear):
    """A Linear layer that takes in_features from its first input, and is a Linear from then on.

    >>> layer = nn.LazyLinear(5)
    >>> layer(minidl.ones((2, 3))).shape, layer
    ((2, 5), Linear(in_features=3, out_features=5, bias=True))
    """

    _becomes = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ) -> None:
        self._postpone(out_features, bias, device=device, dtype=dtype)


class _LazyConv(_Lazy):
    """What LazyConv1d, LazyConv2d and LazyConv3d share."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        windows = kernel_size, stride, padding, dilation
        self._postpone(out_channels, *windows, groups, bias, padding_mode, device, dtype)


class _LazyTransposed(_Lazy):
    """What LazyConvTranspose1d, LazyConvTranspose2d and LazyConvTranspose3d share."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        windows = kernel_size, stride, padding, output_padding
        self._postpone(out_channels, *windows, groups, bias, dilation, padding_mode, device, dtype)


class _LazyNorm(_Lazy):
    """What lazy batch and instance norms share."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        self._postpone(eps, momentum, affine, track_running_stats, device, dtype, bias=bias)


class LazyConv1d(_LazyConv, Conv1d):
    """A Conv1d that takes in_channels from its first input, and is a Conv1d from then on.

    >>> layer = nn.LazyConv1d(6, 3)
    >>> layer(minidl.ones((2, 4, 8))).shape
    (2, 6, 6)
    >>> layer.weight.shape
    (6, 4, 3)
    """

    _becomes, _channels = Conv1d, {2: 0, 3: 1}


class LazyConv2d(_LazyConv, Conv2d):
    """A Conv2d that takes in_channels from its first input, and is a Conv2d from then on.

    >>> layer = nn.LazyConv2d(6, 3)
    >>> layer(minidl.ones((2, 4, 8, 8))).shape
    (2, 6, 6, 6)
    >>> layer.weight.shape
    (6, 4, 3, 3)
    """

    _becomes, _channels = Conv2d, {3: 0, 4: 1}


class LazyConv3d(_LazyConv, Conv3d):
    """A Conv3d that takes in_channels from its first input, and is a Conv3d from then on.

    >>> layer = nn.LazyConv3d(6, 3)
    >>> layer(minidl.ones((2, 4, 4, 4, 4))).shape
    (2, 6, 2, 2, 2)
    >>> layer.weight.shape
    (6, 4, 3, 3, 3)
    """

    _becomes, _channels = Conv3d, {4: 0, 5: 1}


class LazyConvTranspose1d(_LazyTransposed, ConvTranspose1d):
    """A ConvTranspose1d that takes in_channels from its first input.

    It is a ConvTranspose1d from then on.

    >>> layer = nn.LazyConvTranspose1d(6, 3)
    >>> layer(minidl.ones((2, 4, 8))).shape
    (2, 6, 10)
    """

    _becomes, _channels = ConvTranspose1d, {2: 0, 3: 1}


class LazyConvTranspose2d(_LazyTransposed, ConvTranspose2d):
    """A ConvTranspose2d that takes in_channels from its first input.

    It is a ConvTranspose2d from then on.

    >>> layer = nn.LazyConvTranspose2d(6, 3)
    >>> layer(minidl.ones((2, 4, 8, 8))).shape
    (2, 6, 10, 10)
    """

    _becomes, _channels = ConvTranspose2d, {3: 0, 4: 1}


class LazyConvTranspose3d(_LazyTransposed, ConvTranspose3d):
    """A ConvTranspose3d that takes in_channels from its first input.

    It is a ConvTranspose3d from then on.

    >>> layer = nn.LazyConvTranspose3d(6, 3)
    >>> layer(minidl.ones((2, 4, 4, 4, 4))).shape
    (2, 6, 6, 6, 6)
    """

    _becomes, _channels = ConvTranspose3d, {4: 0, 5: 1}


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A BatchNorm1d that takes num_features from its first input.

    It is a BatchNorm1d from then on.

    >>> layer = nn.LazyBatchNorm1d()
    >>> layer(minidl.random.normal((2, 4, 8))).shape, layer.weight.shape
    ((2, 4, 8), (4,))
    """

    _becomes, _channels = BatchNorm1d, {2: 1, 3: 1}


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A BatchNorm2d that takes num_features from its first input.

    It is a BatchNorm2d from then on.

    >>> layer = nn.LazyBatchNorm2d()
    >>> layer(minidl.random.normal((2, 4, 8, 8))).shape, layer.weight.shape
    ((2, 4, 8, 8), (4,))
    """

    _becomes, _channels = BatchNorm2d, {4: 1}


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A BatchNorm3d that takes num_features from its first input.

    It is a BatchNorm3d from then on.

    >>> layer = nn.LazyBatchNorm3d()
    >>> layer(minidl.random.normal((2, 4, 4, 4, 4))).shape, layer.weight.shape
    ((2, 4, 4, 4, 4), (4,))
    """

    _becomes, _channels = BatchNorm3d, {5: 1}


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An InstanceNorm1d that takes num_features from its first input.

    It is an InstanceNorm1d from then on.
    Its defaults are PyTorch's, unlike those of InstanceNorm1d.

    >>> layer = nn.LazyInstanceNorm1d()
    >>> layer(minidl.random.normal((2, 4, 8))).shape, layer.weight.shape
    ((2, 4, 8), (4,))
    """

    _becomes, _channels = InstanceNorm1d, {2: 0, 3: 1}


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An InstanceNorm2d that takes num_features from its first input.

    It is an InstanceNorm2d from then on.
    Its defaults are PyTorch's, unlike those of InstanceNorm2d.

    >>> layer = nn.LazyInstanceNorm2d()
    >>> layer(minidl.random.normal((2, 4, 8, 8))).shape, layer.weight.shape
    ((2, 4, 8, 8), (4,))
    """

    _becomes, _channels = InstanceNorm2d, {3: 0, 4: 1}


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An InstanceNorm3d that takes num_features from its first input.

    It is an InstanceNorm3d from then on.
    Its defaults are PyTorch's, unlike those of InstanceNorm3d.

    >>> layer = nn.LazyInstanceNorm3d()
    >>> layer(minidl.random.normal((2, 4, 4, 4, 4))).shape, layer.weight.shape
    ((2, 4, 4, 4, 4), (4,))
    """

    _becomes, _channels = InstanceNorm3d, {4: 0, 5: 1}
