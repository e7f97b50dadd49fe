"""Dropout layers: noise that keeps a network from relying on any one neuron."""

from typing import Any, ClassVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_probability
from minidl.errors import MinidlError
from minidl.nn.module import Module, shape_error
from minidl.ops import random
from minidl.ops.random import check_generator


class Dropout(Module):
    """In training, each element is 0 with probability p, and else divided by 1 − p.

    generator    the source of randomness; minidl's default one if left out
    inplace      accepted as in PyTorch, and changes nothing

    Srivastava et al. 2014.

    >>> layer, x = nn.Dropout(p=0.75), minidl.ones(1000)
    >>> sorted(set(layer(x).tolist()))
    [0.0, 4.0]
    >>> bool((layer.eval()(x) == x).all())
    True
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: random.Generator | None = None
    ) -> None:
        check_probability(self, p=p)
        check_flags(self, inplace=inplace)
        check_generator(self, generator)
        self.p, self.inplace, self.generator = p, inplace, generator

    def forward(self, x: Tensor) -> Tensor:
        """Return the input, with elements zeroed in training."""
        x = self._tensor(x)
        if not self.training or self.p == 0:
            return x
        return ops.dropout(x, self.p, key=random.key_of(self.generator, x.size))

    def _tensor(self, x: Any) -> Tensor:
        """The input as a tensor, so that the output is one even if nothing is dropped."""
        try:
            return ops.asarray(x)
        except MinidlError as error:
            raise type(error)(f"{type(self).__name__}: {error}") from None

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class _FeatureDropout(Dropout):
    """In training, each channel of each sample is 0 with probability p, else divided by 1 − p."""

    _ranks: ClassVar[dict[int, str]]  # allowed shapes by rank; the first is that of one sample

    def forward(self, x: Tensor) -> Tensor:
        """Return the input, with channels zeroed in training."""
        ndim = len(getattr(x, "shape", ()))
        if ndim not in self._ranks:
            raise shape_error(f"{type(self).__name__}", " or ".join(self._ranks.values()), x)
        x = self._tensor(x)
        if not self.training or self.p == 0 or not x.size:
            return x
        single = self._ranks[ndim].startswith("(C")
        batch = x[None] if single else x
        key = random.key_of(self.generator, batch.shape[0] * batch.shape[1])
        y = ops.feature_dropout(batch, self.p, key=key)
        return y[0] if single else y


class Dropout1d(_FeatureDropout):
    """In training, each channel of (N, C, L) is 0 with probability p, else divided by 1 − p.

    Tompson et al. 2015.

    >>> y = nn.Dropout1d(p=0.5)(minidl.ones((4, 8, 10)))
    >>> sorted(set(y.sum(axis=2).reshape(32).tolist()))
    [0.0, 20.0]
    """

    _ranks: ClassVar = {2: "(C, L)", 3: "(N, C, L)"}


class Dropout2d(_FeatureDropout):
    """In training, each channel of (N, C, H, W) is 0 with probability p, else divided by 1 − p.

    Three axes are (N, C, L), as in PyTorch.

    >>> y = nn.Dropout2d(p=0.5)(minidl.ones((4, 8, 2, 5)))
    >>> sorted(set(y.sum(axis=(2, 3)).reshape(32).tolist()))
    [0.0, 20.0]
    """

    _ranks: ClassVar = {3: "(N, C, L)", 4: "(N, C, H, W)"}


class Dropout3d(_FeatureDropout):
    """In training, each channel of (N, C, D, H, W) is 0 with probability p, else over 1 − p.

    >>> y = nn.Dropout3d(p=0.5)(minidl.ones((4, 8, 1, 2, 5)))
    >>> sorted(set(y.sum(axis=(2, 3, 4)).reshape(32).tolist()))
    [0.0, 20.0]
    """

    _ranks: ClassVar = {4: "(C, D, H, W)", 5: "(N, C, D, H, W)"}


class AlphaDropout(Dropout):
    """In training, each element is, with probability p, set to the limit of selu at −∞.

    All are then scaled and shifted, so that mean 0 and variance 1 are kept.  Klambauer et al. 2017.

    >>> layer, x = nn.AlphaDropout(p=0.5), minidl.random.normal(100000)
    >>> y = layer(x)
    >>> bool(abs(y.mean()) < 0.05), bool(abs(y.std() - 1) < 0.05)
    (True, True)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the input, with noise in training."""
        x = self._tensor(x)
        if not self.training or self.p == 0:
            return x
        return ops.alpha_dropout(x, self.p, key=random.key_of(self.generator, x.size))


class FeatureAlphaDropout(AlphaDropout):
    """In training, each channel of (N, C, …) is, with probability p, the limit of selu at −∞.

    All are then scaled and shifted as by AlphaDropout.  Klambauer et al. 2017.

    >>> y = nn.FeatureAlphaDropout(p=0.5)(minidl.zeros((4, 8, 10)))
    >>> bool((y == y[:, :, :1]).all()), sorted({round(v, 4) for v in y[:, :, 0].flatten().tolist()})
    (True, [-0.7792, 0.7792])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the input, with noise in training."""
        x = self._tensor(x)
        if x.ndim < 2:
            raise shape_error("FeatureAlphaDropout", "(N, C, …)", x)
        if not self.training or self.p == 0:
            return x
        key = random.key_of(self.generator, x.shape[0] * x.shape[1])
        return ops.feature_alpha_dropout(x, self.p, key=key)
