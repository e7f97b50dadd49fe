"""Activations as layers.

Where PyTorch's twin has a setting `inplace`, it is accepted, and changes nothing: the result is the
same, and memory that no gradient needs is freed anyway.
"""

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn.module import Module, shape_error


class ReLU(Module):
    """max(x, 0)."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x where x > 0, else negative_slope·x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}{', inplace=True' if self.inplace else ''}"


class ELU(Module):
    """x where x > 0, else α(eˣ − 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class GELU(Module):
    """x·Φ(x), exactly or by its tanh approximation."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return ops.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


class SiLU(Module):
    """x·sigmoid(x)."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.silu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """log(1 + exp(β·x)) / β, and x itself where β·x is above the threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Tensor) -> Tensor:
        return ops.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class CELU(Module):
    """x where x > 0, else α(exp(x/α) − 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.celu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class SELU(Module):
    """λx where x > 0, else λα(eˣ − 1), with the λ and α that keep mean 0 and variance 1."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.selu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """x·tanh(softplus(x))."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.mish(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LogSigmoid(Module):
    """log(1 / (1 + e⁻ˣ))."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.logsigmoid(x)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.softsign(x)


class Tanhshrink(Module):
    """x − tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanhshrink(x)


class GLU(Module):
    """a·sigmoid(b), where a and b are the halves of the input along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return ops.glu(x, axis=self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Tanh(Module):
    """tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)


class Softmax(Module):
    """exp xᵢ / Σⱼ exp xⱼ along `dim`.

    Without a dim, PyTorch's choice: 0 for tensors of no, one and three axes, else 1.
    """

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def axis(self, x: Tensor) -> int:
        """The axis for this input."""
        ndim = len(getattr(x, "shape", ()))
        return self.dim if self.dim is not None else 0 if ndim in (0, 1, 3) else 1

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmax(x, axis=self.axis(x))

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """log softmax along `dim`."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.log_softmax(x, axis=self.axis(x))


class Softmin(Softmax):
    """exp(−xᵢ) / Σⱼ exp(−xⱼ) along `dim`."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmin(x, axis=self.axis(x))


class Softmax2d(Module):
    """The softmax over the channels at each place of (N, C, H, W) or (C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        if len(getattr(x, "shape", ())) not in (3, 4):
            raise shape_error("Softmax2d", "(N, C, H, W) or (C, H, W)", x)
        return ops.softmax(x, axis=-3)
