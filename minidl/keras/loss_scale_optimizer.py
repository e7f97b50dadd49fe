"""LossScaleOptimizer: an optimiser of gradients that were scaled, and are unscaled here."""

from typing import Any

from minidl import optim
from minidl.amp import GradScaler
from minidl.checks import check_integers, check_numbers
from minidl.errors import ArgumentError, describe
from minidl.keras.optimizer import Optimizer
from minidl.nn import Module

_BOUNDS = "clipvalue", "global_clipnorm"


class LossScaleOptimizer(Optimizer):
    """Scales the loss, so that small gradients in float16 do not become 0; another one steps.

    inner_optimizer         the optimiser that steps, of this package or of `minidl.optim`; its
                            bounds on gradients are for those that are unscaled
    initial_scale           the scale at first
    dynamic_growth_steps    after so many steps in a row the scale is doubled; where a gradient is
                            infinite or NaN, it is halved, and the step is skipped

    `minidl.amp.GradScaler` does that.  Micikevicius et al. 2018, arXiv:1710.03740, section 3.2.

    >>> from minidl.keras import optimizers
    >>> optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=1024.0)
    >>> optimizer.learning_rate, optimizer.dynamic_scale, optimizer.scale_loss(2.0)
    (0.1, 1024.0, 2048.0)
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **others: Any,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer | optim.Optimizer) or isinstance(
            inner_optimizer, LossScaleOptimizer
        ):
            raise ArgumentError(
                "LossScaleOptimizer: needs an optimizer that does not scale; got "
                f"{describe(inner_optimizer)}"
            )
        check_numbers("LossScaleOptimizer", above=0, finite=True, initial_scale=initial_scale)
        check_integers("LossScaleOptimizer", 1, dynamic_growth_steps=dynamic_growth_steps)
        self.inner_optimizer = inner_optimizer
        self.initial_scale, self.dynamic_growth_steps = initial_scale, dynamic_growth_steps
        self.scaler = GradScaler(init_scale=initial_scale, growth_interval=dynamic_growth_steps)
        bounds = {name: getattr(inner_optimizer, name, None) for name in _BOUNDS}
        for name_ in _BOUNDS:
            if others.pop(name_, None) is not None:
                raise ArgumentError(f"LossScaleOptimizer: {name_} is one of the inner_optimizer's")
        super().__init__(self.learning_rate, {}, name=name, **bounds, **others)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        inner = self.inner_optimizer
        if isinstance(inner, Optimizer):
            return inner.learning_rate
        return inner.param_groups[0]["lr"]

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if isinstance(self.inner_optimizer, Optimizer):
            self.inner_optimizer.learning_rate = rate
        else:
            for group in self.inner_optimizer.param_groups:
                group["lr"] = rate

    @property
    def dynamic_scale(self) -> float:
        """The scale of the next step; waits for a GPU."""
        return self.scaler.get_scale()

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the scale."""
        return loss * self.dynamic_scale

    def of(self, model: Module) -> optim.Optimizer:
        """The optimiser of a model's parameters, created once for a model."""
        inner = self.inner_optimizer
        return inner.of(model) if isinstance(inner, Optimizer) else inner

    def __repr__(self) -> str:
        return f"<LossScaleOptimizer of {self.inner_optimizer!r}>"
