"""SparseAdam: Adam for embeddings with sparse gradients, as in PyTorch."""

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.checks import check_numbers, chosen
from minidl.errors import GradientError
from minidl.optim.moments import bias_corrected_root, check_betas, update_moments
from minidl.optim.optimizer import Optimizer, Params


class SparseAdam(Optimizer):
    """Adam for the rows that a RowGradient has, that of an embedding with sparse=True.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        θ ← θ − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)

    Other rows, and their moments, stay as they are, and the cost of a step does not depend on the
    size of the table.  t counts the steps of the whole parameter.  This is PyTorch's rule: Adam
    with lazy=True, except that ε is added before √v is corrected for its bias, so that it weighs
    more in the first steps (Kingma, Ba 2015, end of section 2).

    A dense gradient is a GradientError, before any parameter of its group is updated.

    >>> table = nn.Parameter(minidl.ones((3, 1), dtype="float64"))
    >>> optimizer = optim.SparseAdam([table], lr=0.1)
    >>> minidl.embedding(table, minidl.tensor([2, 0, 2]), sparse=True).sum().backward()
    >>> optimizer.step()
    >>> table.numpy().round(4).ravel().tolist()
    [0.9, 1.0, 0.9]
    """

    rule = "adam"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, maximize=maximize)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require a non-negative lr, betas in [0, 1), and an ε above 0."""
        check_numbers("SparseAdam", 0, finite=True, **chosen(settings, "lr"))
        check_numbers("SparseAdam", above=0, finite=True, **chosen(settings, "eps"))
        check_betas("SparseAdam", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The moments m and v."""
        return "exp_avg", "exp_avg_sq"

    def at_step(self, group: Mapping[str, Any], step: int) -> Mapping[str, Any]:
        """The settings with which Adam's formula is this one: √v + ε = c·(√v/c + ε/c)."""
        correction = (1 - float(group["betas"][1]) ** step) ** 0.5
        return {**group, "eps": group["eps"] / correction, "weight_decay": 0.0, "amsgrad": False}

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """Adam's lr · m̂ / (√v̂ + ε)."""
        m, v = update_moments(group, gradient, state)
        root = bias_corrected_root(group, step, v)
        return group["lr"] / (1 - float(group["betas"][0]) ** step) * m / root

    def takes_rows(self, group: Mapping[str, Any]) -> bool:
        """Always."""
        return True

    def with_gradients(
        self, group: Mapping[str, Any]
    ) -> tuple[Iterable[list[Tensor]], list[Tensor]]:
        """The parameters with a gradient, after checking that it is sparse."""
        dense, tables = super().with_gradients(group)
        for p in (p for params in dense for p in params):
            raise GradientError(
                f"SparseAdam: needs row-sparse gradients, as of nn.Embedding(…, sparse=True); that "
                f"of a parameter of shape {p.shape} is dense.  Give dense ones to an Adam of their "
                "own, or use Adam(…, lazy=True) for all"
            )
        return dense, tables
