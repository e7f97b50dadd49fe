"""Activation layers.

`inplace` is accepted where PyTorch has it, and changes nothing: the result is the same, and memory
that no gradient needs is freed anyway.
"""

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_axes, check_choice, check_flags, check_numbers
from minidl.nn.module import Module, shape_error


class ReLU(Module):
    """max(x, 0).  Nair, Hinton 2010.

    >>> nn.ReLU()(minidl.tensor([-2.0, 0.0, 2.0]))
    Tensor([0., 0., 2.], float32)
    """

    def __init__(self, inplace: bool = False) -> None:
        check_flags(self, inplace=inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x where x > 0, else negative_slope·x.  Maas, Hannun, Ng 2013.

    >>> nn.LeakyReLU(0.1)(minidl.tensor([-2.0, 0.0, 2.0]))
    Tensor([-0.2,  0. ,  2. ], float32)
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        check_numbers(self, negative_slope=negative_slope)
        check_flags(self, inplace=inplace)
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}{', inplace=True' if self.inplace else ''}"


class ELU(Module):
    """x where x > 0, else α(eˣ − 1).  Clevert, Unterthiner, Hochreiter 2016.

    >>> [round(y, 4) for y in nn.ELU(alpha=0.5)(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-0.4323, 0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        check_numbers(self, alpha=alpha)
        check_flags(self, inplace=inplace)
        self.alpha, self.inplace = alpha, inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class GELU(Module):
    """x·Φ(x), exactly or by its tanh approximation.  Hendrycks, Gimpel 2016.

    >>> [round(y, 4) for y in nn.GELU()(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-0.0455, 0.0, 1.9545]
    >>> [round(y, 4) for y in nn.GELU("tanh")(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-0.0454, 0.0, 1.9546]
    """

    def __init__(self, approximate: str = "none") -> None:
        check_choice(self, ("none", "tanh"), approximate=approximate)
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return ops.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ).

    >>> [round(y, 4) for y in nn.Sigmoid()(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [0.1192, 0.5, 0.8808]
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


class SiLU(Module):
    """x·sigmoid(x).  Elfwing, Uchibe, Doya 2018.

    >>> [round(y, 4) for y in nn.SiLU()(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-0.2384, 0.0, 1.7616]
    """

    def __init__(self, inplace: bool = False) -> None:
        check_flags(self, inplace=inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.silu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """log(1 + exp(β·x)) / β, and x itself where β·x is above the threshold.  Dugas et al. 2001.

    >>> [round(y, 4) for y in nn.Softplus()(minidl.tensor([-2.0, 0.0, 1000.0])).tolist()]
    [0.1269, 0.6931, 1000.0]
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        check_numbers(self, beta=beta, threshold=threshold)
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Tensor) -> Tensor:
        return ops.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class CELU(Module):
    """x where x > 0, else α(exp(x/α) − 1).  Barron 2017.

    >>> [round(y, 4) for y in nn.CELU(alpha=0.5)(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-0.4908, 0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        check_numbers(self, alpha=alpha)
        check_flags(self, inplace=inplace)
        self.alpha, self.inplace = alpha, inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.celu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class SELU(Module):
    """λx where x > 0, else λα(eˣ − 1), with the λ and α that keep mean 0 and variance 1.

    Klambauer et al. 2017.

    >>> [round(y, 4) for y in nn.SELU()(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-1.5202, 0.0, 2.1014]
    """

    def __init__(self, inplace: bool = False) -> None:
        check_flags(self, inplace=inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.selu(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """x·tanh(softplus(x)).  Misra 2019.

    >>> [round(y, 4) for y in nn.Mish()(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-0.2525, 0.0, 1.944]
    """

    def __init__(self, inplace: bool = False) -> None:
        check_flags(self, inplace=inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return ops.mish(x)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LogSigmoid(Module):
    """log(1 / (1 + e⁻ˣ)).

    >>> [round(y, 4) for y in nn.LogSigmoid()(minidl.tensor([-1000.0, 0.0])).tolist()]
    [-1000.0, -0.6931]
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.logsigmoid(x)


class Softsign(Module):
    """x / (1 + |x|).

    >>> nn.Softsign()(minidl.tensor([-2.0, 0.0, 2.0]))
    Tensor([-0.6666667,  0.       ,  0.6666667], float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.softsign(x)


class Tanhshrink(Module):
    """x − tanh x.

    >>> [round(y, 4) for y in nn.Tanhshrink()(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-1.036, 0.0, 1.036]
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanhshrink(x)


class GLU(Module):
    """a·sigmoid(b), where a and b are the halves of the input along `dim`.  Dauphin et al. 2017.

    >>> nn.GLU()(minidl.tensor([[1.0, 2.0, 0.0, 100.0]]))
    Tensor([[0.5, 2. ]], shape=(1, 2), float32)
    >>> nn.GLU(dim=1)(minidl.zeros((2, 8, 5))).shape
    (2, 4, 5)
    """

    def __init__(self, dim: int = -1) -> None:
        check_axes(self, dim=dim)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return ops.glu(x, axis=self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Tanh(Module):
    """tanh x.

    >>> [round(y, 4) for y in nn.Tanh()(minidl.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-0.964, 0.0, 0.964]
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)


class Softmax(Module):
    """exp xᵢ / Σⱼ exp xⱼ along `dim`.

    Without a dim, as in PyTorch: axis 0 of tensors with 0, 1 or 3 axes, else axis 1.

    >>> nn.Softmax(dim=1)(minidl.tensor([[0.0, 0.0], [0.0, 1000.0]]))
    Tensor([[0.5, 0.5],
            [0. , 1. ]], shape=(2, 2), float32)
    """

    def __init__(self, dim: int | None = None) -> None:
        if dim is not None:
            check_axes(self, dim=dim)
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
    """log softmax along `dim`.

    >>> [round(y, 4) for y in nn.LogSoftmax(dim=0)(minidl.tensor([0.0, 0.0, -1000.0])).tolist()]
    [-0.6931, -0.6931, -1000.6932]
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.log_softmax(x, axis=self.axis(x))


class Softmin(Softmax):
    """exp(−xᵢ) / Σⱼ exp(−xⱼ) along `dim`.

    >>> nn.Softmin(dim=0)(minidl.tensor([1.0, 1.0, 1000.0]))
    Tensor([0.5, 0.5, 0. ], float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmin(x, axis=self.axis(x))


class Softmax2d(Module):
    """The softmax over the channels at each pixel of (N, C, H, W) or (C, H, W).

    >>> p = nn.Softmax2d()(minidl.zeros((2, 4, 3, 3)))
    >>> p[0, :, 0, 0]
    Tensor([0.25, 0.25, 0.25, 0.25], float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        if len(getattr(x, "shape", ())) not in (3, 4):
            raise shape_error("Softmax2d", "(N, C, H, W) or (C, H, W)", x)
        return ops.softmax(x, axis=-3)
