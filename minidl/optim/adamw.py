"""AdamW."""

from collections.abc import Iterable
from typing import Any

from minidl.optim.adam import Adam


class AdamW(Adam):
    """Adam, where weights decay by themselves rather than through their gradient.

        θ ← θ − lr · weight_decay · θ       and then a step of Adam, whose g is the gradient alone

    So a weight decays at the same rate whether its gradients are large or small; in Adam, whose
    steps do not depend on the scale of g, they would outweigh the decay or be outweighed by it.
    Loshchilov, Hutter 2019.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> w.grad = minidl.tensor([100.0, 0.0], dtype="float64")
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.85, 0.95]
    """

    rule = "adamw"
    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
