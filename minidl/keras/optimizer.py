"""Optimizer, the base of optimisers under Keras's names."""

from typing import Any

from minidl import optim
from minidl.errors import ArgumentError
from minidl.keras import update_rules
from minidl.keras.checks import refuse
from minidl.nn import Module
from minidl.train.optimizers import OPTIMIZERS

_NOT_OFFERED = {
    "clipnorm",
    "weight_decay",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
}


class Optimizer:
    """The base of optimisers: the name of a rule in `minidl.train`, and its settings.

    learning_rate      η, non-negative; may be changed between epochs
    clipvalue          the bound on each element of the gradients; applied first
    global_clipnorm    the bound on the norm of all gradients together
    name               default: the name of the class in lower case

    Raises ArgumentError for a negative learning rate, for arguments of Keras that are not supported
    (clipnorm, use_ema, …), and for arguments that Keras does not have either.

    >>> from minidl.keras import optimizers
    >>> optimizer = optimizers.SGD(0.1, global_clipnorm=1.0)
    >>> optimizer.learning_rate /= 2
    >>> isinstance(optimizer, optimizers.Optimizer), optimizer
    (True, <SGD lr=0.05, momentum=0.0, nesterov=False>)
    """

    rule = ""

    def __init__(
        self,
        learning_rate: float,
        settings: dict[str, Any],
        *,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **others: Any,
    ) -> None:
        kind = type(self).__name__
        refuse(kind, others, _NOT_OFFERED)
        if not isinstance(learning_rate, int | float) or not learning_rate >= 0:
            raise ArgumentError(f"{kind}: learning_rate is a number ≥ 0; got {learning_rate!r:.60}")
        self.settings = {"lr": float(learning_rate), **settings}
        self.clipvalue, self.global_clipnorm = clipvalue, global_clipnorm
        self.name = name or kind.lower()
        self.made: optim.Optimizer | None = None
        self._model: Module | None = None

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.settings["lr"] if self.made is None else self.made.param_groups[0]["lr"]

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.settings["lr"] = rate
        for group in () if self.made is None else self.made.param_groups:
            group["lr"] = rate

    def of(self, model: Module) -> optim.Optimizer:
        """The optimiser of a model's parameters, created once for a model."""
        if self.made is None or self._model is not model:
            kind, defaults = OPTIMIZERS[self.rule]
            kind = getattr(update_rules, kind.__name__, kind)
            self.made = kind(model.parameters(), **{**defaults, **self.settings})
            self._model = model
        return self.made

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"<{type(self).__name__} {settings}>"
