"""Spectral norm: a weight divided by its largest singular value.

The names are those of PyTorch's `torch.nn.utils.spectral_norm`: for a layer's `weight`, the
parameter `weight_orig` is trained, the buffers `weight_u` and `weight_v` approximate its singular
vectors, and `weight` is computed from them before each call.
"""

from typing import TypeVar

from minidl import ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_axes, check_integers, check_numbers
from minidl.errors import ArgumentError, ShapeError
from minidl.nn import init
from minidl.nn.module import Buffer, Module
from minidl.nn.reparametrize import Reparametrized, parameter_of, put, removed

Layer = TypeVar("Layer", bound=Module)


class SpectralNorm(Reparametrized):
    """w / σ, where power iteration finds σ = uᵀ·W·v."""

    def __init__(self, name: str, dim: int, n_power_iterations: int, eps: float) -> None:
        super().__init__(name)
        self.dim, self.n_power_iterations, self.eps = dim, n_power_iterations, eps

    def before(self, module: Module, inputs: tuple[object, ...]) -> None:
        """Compute the weight for a call; in training, improve the singular vectors first."""
        if module.training:
            self.iterate(module, self.n_power_iterations)
        super().before(module, inputs)

    def iterate(self, module: Module, times: int) -> None:
        """v = Wᵀu / ‖Wᵀu‖ and u = Wv / ‖Wv‖, this many `times`."""
        u, v = (getattr(module, f"{self.name}_{part}") for part in "uv")
        with no_grad():
            matrix = self.matrix(getattr(module, f"{self.name}_orig").detach())
            for _ in range(times):
                init.fill(v, ops.normalize(matrix.T @ u, axis=0, eps=self.eps))
                init.fill(u, ops.normalize(matrix @ v, axis=0, eps=self.eps))

    def weight(self, module: Module) -> Tensor:
        """The weight divided by σ."""
        weight = getattr(module, f"{self.name}_orig")
        # Copies: the next call writes into u and v, perhaps before the backward pass of this one.
        u, v = (ops.copy(getattr(module, f"{self.name}_{part}")) for part in "uv")
        return weight / (u @ (self.matrix(weight) @ v))

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix: axis `dim` by all others."""
        axes = self.dim, *(i for i in range(weight.ndim) if i != self.dim)
        return ops.permute_dims(weight, axes).reshape(weight.shape[self.dim], -1)


def spectral_norm(
    module: Layer,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Layer:
    """Make a layer's weight W / σ(W), σ the largest singular value; return the layer.

    n_power_iterations    power iterations before each call in training
    eps                   the lower bound of norms that are divided by
    dim                   the axis of the outputs; None: 1 for transposed convolutions, else 0

    Miyato et al. 2018.

    >>> layer = nn.utils.spectral_norm(nn.Linear(3, 2), n_power_iterations=50)
    >>> _ = layer(minidl.ones(3))
    >>> round(float(minidl.linalg.svdvals(layer.weight)[0]), 3)
    1.0
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    weight = parameter_of("spectral_norm", module, name)
    check_integers("spectral_norm", 1, n_power_iterations=n_power_iterations)
    check_numbers("spectral_norm", 0, eps=eps)
    if dim is None:
        dim = int(type(module).__name__.startswith("ConvTranspose"))
    check_axes("spectral_norm", dim=dim)
    if weight.ndim < 2 or not -weight.ndim <= dim < weight.ndim or not weight.size:
        raise ShapeError(
            f"spectral_norm: {name} of shape {weight.shape} is no matrix by axis {dim}"
        )
    how = SpectralNorm(name, dim % weight.ndim, n_power_iterations, eps)
    with no_grad():
        lengths = how.matrix(weight.detach()).shape
        dtype, device = weight.dtype, weight.device
        drawn = (init.normal_(ops.empty(n, dtype=dtype, device=device)) for n in lengths)
        u, v = (Buffer(ops.normalize(x, axis=0, eps=eps)) for x in drawn)
    put(module, how, {"orig": weight, "u": u, "v": v})
    return module


def remove_spectral_norm(module: Layer, name: str = "weight") -> Layer:
    """Make the weight a parameter again, with its present value; return the layer.

    >>> layer = nn.utils.spectral_norm(nn.Linear(3, 2))
    >>> [name for name, _ in nn.utils.remove_spectral_norm(layer).named_parameters()]
    ['bias', 'weight']
    """
    if not removed("remove_spectral_norm", module, name, SpectralNorm, ("orig", "u", "v")):
        raise ArgumentError(f"remove_spectral_norm: {name!r} has no spectral norm in {module!r}")
    return module
