"""Adam (Kingma & Ba 2015), and AMSGrad (Reddi, Kale & Kumar 2018)."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.optim.moments import bias_corrected_root, check_betas, update_moments
from minidl.optim.optimizer import Optimizer, Params


class Adam(Optimizer):
    """Steps of about lr in every parameter, independent of the scale of its gradient.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        θ ← θ − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

    g is the gradient, plus weight_decay·θ; with amsgrad, v is its running maximum.  Kingma, Ba
    2015; Reddi, Kale, Kumar 2018.

    lazy    how a RowGradient is treated, that of an embedding with sparse=True.  False: as the
            dense gradient, since momentum moves every row in every step.  True: this formula,
            weight decay included, for the rows that it has; the other rows, and their moments, stay
            as they are, and the cost of a step does not depend on the size of the table.  t counts
            the steps of the whole parameter.  It is another rule, then, and Adam itself where all
            rows are used in all steps.  Dense gradients are treated as ever.  (LazyAdam in
            TensorFlow Addons)

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.Adam([w], lr=0.1)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.8, 1.2]
    """

    rule = "adam"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        lazy: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            lazy=lazy,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative rates, and betas in [0, 1)."""
        name = type(self).__name__
        check_numbers(name, 0, finite=True, **chosen(settings, "lr", "eps", "weight_decay"))
        check_betas(name, settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The moments m and v, and with amsgrad the running maximum of v."""
        maximum = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return "exp_avg", "exp_avg_sq", *maximum

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """lr · m̂ / (√v̂ + ε)."""
        beta1 = float(group["betas"][0])
        m, v = update_moments(group, gradient, state)
        if group["amsgrad"]:
            v = state["max_exp_avg_sq"]
            v[...] = xp.maximum(v, state["exp_avg_sq"])
        root = bias_corrected_root(group, step, v)
        return group["lr"] / (1 - beta1**step) * m / root

    def takes_rows(self, group: Mapping[str, Any]) -> bool:
        """Where it is lazy."""
        return group["lazy"]
