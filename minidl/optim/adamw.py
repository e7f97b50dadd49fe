"""AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

from minidl.optim.adam import Adam
from minidl.optim.optimizer import Params


class AdamW(Adam):
    """Adam with weight decay that is decoupled from the gradient.

        θ ← θ − lr · weight_decay · θ       and then an Adam step, whose g is the gradient alone

    So all weights decay at the same rate, whatever the scale of their gradients.  In Adam, which
    normalises that scale, the decay of a weight would depend on it.  Loshchilov, Hutter 2019.

    lazy    as in Adam: of an embedding with sparse=True, only the rows that were used are updated.
            Only they decay, too, in the steps in which they are used: rare rows decay rarely

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
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        lazy: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, lazy=lazy, maximize=maximize
        )
