"""Dropout that takes whole channels, or keeps mean and variance, as layers."""

from typing import ClassVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn.dropout import Dropout
from minidl.nn.module import shape_error
from minidl.ops import random


class _FeatureDropout(Dropout):
    """In training, each channel of each sample is 0 with probability p, else divided by 1 − p."""

    _ranks: ClassVar[dict[int, str]]  # what shapes are taken; the first is that of one sample

    def forward(self, x: Tensor) -> Tensor:
        """The input, with channels missing in training."""
        ndim = len(getattr(x, "shape", ()))
        if ndim not in self._ranks:
            raise shape_error(f"{type(self).__name__}", " or ".join(self._ranks.values()), x)
        x = self._tensor(x)
        if not self.training or self.p == 0 or not x.size:
            return x
        generator = self.generator or random.default_generator
        alone = self._ranks[ndim].startswith("(C")
        batch = x[None] if alone else x
        key = generator.key(batch.shape[0] * batch.shape[1])
        y = ops.feature_dropout(batch, self.p, key=key)
        return y[0] if alone else y


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
    """In training, each element is, with probability p, what selu gives far below 0.

    All are then scaled and shifted, so that mean 0 and variance 1 stay.  Klambauer et al. 2017.

    >>> layer, x = nn.AlphaDropout(p=0.5), minidl.random.normal(100000)
    >>> y = layer(x)
    >>> bool(abs(y.mean()) < 0.05), bool(abs(y.std() - 1) < 0.05)
    (True, True)
    """

    def forward(self, x: Tensor) -> Tensor:
        """The input, with noise in training."""
        x = self._tensor(x)
        if not self.training or self.p == 0:
            return x
        generator = self.generator or random.default_generator
        return ops.alpha_dropout(x, self.p, key=generator.key(x.size))


class FeatureAlphaDropout(AlphaDropout):
    """In training, each channel of (N, C, …) is, with probability p, what selu gives far below 0.

    All are then scaled and shifted as by AlphaDropout.  Klambauer et al. 2017.

    >>> y = nn.FeatureAlphaDropout(p=0.5)(minidl.zeros((4, 8, 10)))
    >>> bool((y == y[:, :, :1]).all()), sorted({round(v, 4) for v in y[:, :, 0].flatten().tolist()})
    (True, [-0.7792, 0.7792])
    """

    def forward(self, x: Tensor) -> Tensor:
        """The input, with noise in training."""
        x = self._tensor(x)
        if x.ndim < 2:
            raise shape_error("FeatureAlphaDropout", "(N, C, …)", x)
        if not self.training or self.p == 0:
            return x
        generator = self.generator or random.default_generator
        key = generator.key(x.shape[0] * x.shape[1])
        return ops.feature_alpha_dropout(x, self.p, key=key)
