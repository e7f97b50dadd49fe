"""Weight initializers under Keras's names.

An initializer maps a shape in Keras's order (a kernel is (in, out) or (h, w, in, out)) to a tensor.
Any such function can be used as one.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn import init
from minidl.ops import random
from minidl.train.losses import named

# fmt: off
__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "LecunNormal",
    "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal",
    "VarianceScaling", "Zeros", "get",
]
# fmt: on

Initializer = Callable[..., Any]


class Constant:
    """One value for every element; or an array of values, as of embeddings trained elsewhere.

    >>> from minidl.keras import initializers
    >>> initializers.Constant(0.5)((2, 3))
    Tensor([[0.5, 0.5, 0.5],
            [0.5, 0.5, 0.5]], shape=(2, 3), float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        if not isinstance(self.value, np.ndarray | Tensor | list | tuple):
            return ops.full(shape, self.value, dtype=dtype or "float32")
        values = ops.asarray(self.value).astype(dtype or "float32").detach()
        return ops.copy(ops.broadcast_to(values, tuple(shape)))


class Zeros(Constant):
    """0 for every element, the default of biases.

    >>> from minidl.keras import initializers
    >>> initializers.Zeros()((3,))
    Tensor([0., 0., 0.], float32)
    """

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """1 for every element, the default of gamma in normalization layers.

    >>> from minidl.keras import initializers
    >>> initializers.Ones()((3,), dtype="float64")
    Tensor([1., 1., 1.], float64)
    """

    def __init__(self) -> None:
        super().__init__(1.0)


class _Random:
    """The base of random initializers.

    With a seed, every call with the same shape returns the same values, as in Keras; without, they
    come from minidl's default generator.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def generator(self) -> random.Generator:
        """The generator of this call."""
        return random.default_generator if self.seed is None else random.Generator(self.seed)


class RandomUniform(_Random):
    """Uniform in [minval, maxval): mean (minval + maxval) / 2, variance (maxval − minval)² / 12.

    With a seed every call returns the same values; without, minidl's default generator advances.

    >>> from minidl.keras import initializers
    >>> seeded, free = initializers.RandomUniform(0, 1, seed=5), initializers.RandomUniform(0, 1)
    >>> bool((seeded((2, 3)) == seeded((2, 3))).all()), bool((free((2, 3)) == free((2, 3))).any())
    (True, False)
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        settings = {"dtype": dtype, "generator": self.generator()}
        return random.uniform(shape, low=self.minval, high=self.maxval, **settings)


class RandomNormal(_Random):
    """A normal distribution with this mean and standard deviation.

    >>> from minidl.keras import initializers
    >>> w = initializers.RandomNormal(mean=1.0, stddev=0.5, seed=0)((300, 300))
    >>> round(w.mean().item(), 2), round(w.std().item(), 2)
    (1.0, 0.5)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        settings = {"dtype": dtype, "generator": self.generator()}
        return random.normal(shape, mean=self.mean, std=self.stddev, **settings)


class TruncatedNormal(RandomNormal):
    """A normal distribution truncated at two standard deviations, by resampling.

    Its standard deviation is 0.88·stddev.

    >>> from minidl.keras import initializers
    >>> w = initializers.TruncatedNormal(stddev=1.0, seed=0)((300, 300))
    >>> bool((abs(w) <= 2).all()), round(w.std().item(), 2)
    (True, 0.88)
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        generator = self.generator()
        x = random.normal(shape, dtype=dtype, generator=generator)
        while bool(ops.any(far := ops.abs(x) > 2)):
            x = ops.where(far, random.normal(shape, dtype=dtype, generator=generator), x)
        return x * self.stddev + self.mean


class VarianceScaling(_Random):
    """Random values of variance scale / n, with n chosen by `mode`.

    mode            "fan_in", the number of inputs of an output; "fan_out", the number of outputs
                    of an input; "fan_avg", their mean
    distribution    "uniform", "untruncated_normal" or "truncated_normal"

    A kernel (h, w, in, out) has fan_in = h·w·in and fan_out = h·w·out.  Raises ArgumentError if
    scale is not positive, or a name is unknown.  Glorot, Bengio 2010; He et al. 2015.

    >>> from minidl.keras import initializers
    >>> make = initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal", seed=0)
    >>> round(make((3, 3, 50, 60)).std().item(), 3)  # √(2 / (3·3·50)) = 0.067
    0.067
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        named("VarianceScaling", "mode", _FANS, mode)
        named("VarianceScaling", "distribution", _SCALED, distribution)
        if not scale > 0:
            raise ArgumentError(f"VarianceScaling: scale is a number above 0; got {scale!r}")
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        deviation = math.sqrt(self.scale / max(_FANS[self.mode](*fans(shape)), 1))
        return _SCALED[self.distribution](deviation, self.seed)(shape, dtype)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The fan_in and fan_out of a kernel (…, in, out)."""
    if len(shape) < 2:
        return (1, 1) if not shape else (shape[0], shape[0])
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


_FANS: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda ins, outs: ins,
    "fan_out": lambda ins, outs: outs,
    "fan_avg": lambda ins, outs: (ins + outs) / 2,
}
# A standard normal truncated at ±2 has a standard deviation of 0.8796…, which is divided out.
_SCALED: dict[str, Callable[[float, int | None], Initializer]] = {
    "uniform": lambda sd, seed: RandomUniform(-math.sqrt(3) * sd, math.sqrt(3) * sd, seed),
    "untruncated_normal": lambda sd, seed: RandomNormal(0.0, sd, seed),
    "truncated_normal": lambda sd, seed: TruncatedNormal(0.0, sd / 0.87962566103423978, seed),
}


class GlorotUniform(VarianceScaling):
    """Uniform in ±√(6 / (fan_in + fan_out)), the default of kernels.  Glorot, Bengio 2010.

    >>> from minidl.keras import initializers
    >>> w = initializers.GlorotUniform(seed=0)((200, 100))
    >>> round(abs(w).max().item(), 3)  # √(6 / 300) = 0.141
    0.141
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal, σ = √(2 / (fan_in + fan_out)).  Glorot, Bengio 2010.

    >>> from minidl.keras import initializers
    >>> w = initializers.GlorotNormal(seed=0)((200, 100))
    >>> round(w.std().item(), 3)  # √(2 / 300) = 0.082
    0.082
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform in ±√(6 / fan_in), for layers before a relu.  He et al. 2015.

    >>> from minidl.keras import initializers
    >>> w = initializers.HeUniform(seed=0)((200, 100))
    >>> round(abs(w).max().item(), 3)  # √(6 / 200) = 0.173
    0.173
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal, σ = √(2 / fan_in), for layers before a relu.  He et al. 2015.

    >>> from minidl.keras import initializers
    >>> w = initializers.HeNormal(seed=0)((200, 100))
    >>> round(w.std().item(), 3)  # √(2 / 200) = 0.1
    0.1
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform in ±√(3 / fan_in).  LeCun et al. 1998.

    >>> from minidl.keras import initializers
    >>> w = initializers.LecunUniform(seed=0)((200, 100))
    >>> round(abs(w).max().item(), 3)  # √(3 / 200) = 0.122
    0.122
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Truncated normal, σ = √(1 / fan_in), for layers before a selu.  LeCun et al. 1998.

    >>> from minidl.keras import initializers
    >>> w = initializers.LecunNormal(seed=0)((200, 100))
    >>> round(w.std().item(), 3)  # √(1 / 200) = 0.071
    0.071
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


class Orthogonal(_Random):
    """gain times a random matrix with orthogonal columns, or rows where those are fewer.

    The default of recurrent kernels.  All axes but the last count as one.  Saxe et al. 2014.

    >>> from minidl.keras import initializers
    >>> w = initializers.Orthogonal(seed=0)((4, 4))
    >>> bool((abs(w.T @ w - minidl.eye(4)) < 1e-6).all())
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        if len(shape) < 2:
            raise ArgumentError(f"Orthogonal: needs a shape of at least two axes; got {shape}")
        matrix = ops.empty((math.prod(shape[:-1]), shape[-1]), dtype=dtype or "float32")
        return init.orthogonal_(matrix, self.gain, self.generator()).reshape(shape)


class Identity:
    """gain on the diagonal of a matrix, 0 elsewhere.

    >>> from minidl.keras import initializers
    >>> initializers.Identity()((2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        if len(shape) != 2:
            raise ArgumentError(f"Identity: needs a shape (in, out); got {shape}")
        return self.gain * ops.eye(*shape, dtype=dtype or "float32")


_NAMES: dict[str, Callable[[], Initializer]] = {
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "uniform": RandomUniform,
    "random_uniform": RandomUniform,
    "normal": RandomNormal,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "orthogonal": Orthogonal,
    "identity": Identity,
}
_CLASSES = {name.replace("_", ""): name for name in _NAMES}  # "GlorotUniform" is accepted too


def get(initializer: str | Initializer | type) -> Initializer:
    """The initializer of this name; a class is instantiated, a function returned unchanged.

    Raises ArgumentError for an unknown name, and for anything else that is not a function.

    >>> from minidl.keras import initializers
    >>> type(initializers.get("he_normal")).__name__, type(initializers.get("HeNormal")).__name__
    ('HeNormal', 'HeNormal')
    >>> eye = initializers.get(lambda shape, dtype=None: np.eye(*shape))
    >>> eye((2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if isinstance(initializer, str):
        name = _CLASSES.get(initializer.lower(), initializer)
        return named("initializers.get", "initializer", _NAMES, name)()
    if isinstance(initializer, type):
        return initializer()
    if not callable(initializer):
        raise ArgumentError(
            f"initializers.get: needs a name, or a function of a shape; got {initializer!r:.60}"
        )
    return initializer
