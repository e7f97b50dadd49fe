"""How weights begin, under Keras's names.

An initializer is called with a shape, in Keras's order (a kernel is (in, out) or (h, w, in, out)),
and gives a tensor.  Any function that does so is one, too.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.ops import random
from minidl.train.losses import named

Initializer = Callable[..., Any]


class Constant:
    """One number everywhere."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        return ops.full(shape, self.value, dtype=dtype or "float32")


Zeros, Ones = partial(Constant, 0.0), partial(Constant, 1.0)


class _Random:
    """What draws random numbers: minidl's default generator, or one with a seed.

    With a seed, every call with one shape gives the same numbers, as in Keras.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def generator(self) -> random.Generator:
        """Where this call takes its numbers from."""
        return random.default_generator if self.seed is None else random.Generator(self.seed)


class RandomUniform(_Random):
    """Uniform in [minval, maxval)."""

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        bounds = self.minval, self.maxval
        return random.uniform(shape, *bounds, dtype=dtype, generator=self.generator())


class RandomNormal(_Random):
    """Normal with this mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        settings = {"dtype": dtype, "generator": self.generator()}
        return random.normal(shape, self.mean, self.stddev, **settings)


class TruncatedNormal(RandomNormal):
    """Normal, but what lies more than two standard deviations off is drawn again."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A tensor of this shape."""
        generator = self.generator()
        x = random.normal(shape, dtype=dtype, generator=generator)
        while bool(ops.any(far := ops.abs(x) > 2)):
            x = ops.where(far, random.normal(shape, dtype=dtype, generator=generator), x)
        return x * self.stddev + self.mean


class VarianceScaling(_Random):
    """Random numbers of variance scale / n, where n is the number that `mode` names.

    mode            "fan_in", the inputs that reach one output; "fan_out", the outputs that one
                    input reaches; "fan_avg", their mean
    distribution    "uniform", "untruncated_normal" or "truncated_normal"
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
    """How many inputs reach one output of a kernel (…, in, out), and the other way round."""
    if len(shape) < 2:
        return (1, 1) if not shape else (shape[0], shape[0])
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


_FANS: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda ins, outs: ins,
    "fan_out": lambda ins, outs: outs,
    "fan_avg": lambda ins, outs: (ins + outs) / 2,
}
# The variance of a standard normal that ends at ±2 is 0.8796…², which is made good.
_SCALED: dict[str, Callable[[float, int | None], Initializer]] = {
    "uniform": lambda sd, seed: RandomUniform(-math.sqrt(3) * sd, math.sqrt(3) * sd, seed),
    "untruncated_normal": lambda sd, seed: RandomNormal(0.0, sd, seed),
    "truncated_normal": lambda sd, seed: TruncatedNormal(0.0, sd / 0.87962566103423978, seed),
}

# Glorot, Bengio 2010; He et al. 2015; LeCun et al. 1998.
GlorotUniform = partial(VarianceScaling, 1.0, "fan_avg", "uniform")
GlorotNormal = partial(VarianceScaling, 1.0, "fan_avg", "truncated_normal")
HeUniform = partial(VarianceScaling, 2.0, "fan_in", "uniform")
HeNormal = partial(VarianceScaling, 2.0, "fan_in", "truncated_normal")
LecunUniform = partial(VarianceScaling, 1.0, "fan_in", "uniform")
LecunNormal = partial(VarianceScaling, 1.0, "fan_in", "truncated_normal")

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
}
_CLASSES = {name.replace("_", ""): name for name in _NAMES}  # "GlorotUniform" is a name as well


def get(initializer: str | Initializer | type) -> Initializer:
    """The initializer of a name; a class is called, a function given back as it is.

    Raises ArgumentError for a name that is not known.
    """
    if isinstance(initializer, str):
        name = _CLASSES.get(initializer.lower(), initializer)
        return named("initializers.get", "initializer", _NAMES, name)()
    if isinstance(initializer, type | partial):
        return initializer()
    if not callable(initializer):
        raise ArgumentError(
            f"initializers.get: needs a name, or a function of a shape; got {initializer!r:.60}"
        )
    return initializer
