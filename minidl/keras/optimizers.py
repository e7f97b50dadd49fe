"""Optimisers under Keras's names and arguments: settings, made an optimiser when a model is known.

The rules are those of `minidl.optim`.  Keras's Adam has its ε beside √v, where the paper and minidl
have it beside √(v / (1 − β₂ᵗ)): with 1e-7 steps differ only where gradients are that small.
"""

from typing import Any

from minidl import optim
from minidl.errors import ArgumentError
from minidl.keras.names import refuse
from minidl.nn import Module
from minidl.train.losses import named
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
    """The base: the name of a rule in `minidl.train`, and what is changed of its settings.

    learning_rate      may be changed between epochs
    clipvalue          the largest gradient of any weight
    global_clipnorm    the largest norm of all gradients together
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
            raise ArgumentError(
                f"{kind}: learning_rate is a number from 0 on; got {learning_rate!r:.60}"
            )
        self.settings = {"lr": float(learning_rate), **settings}
        self.clipvalue, self.global_clipnorm = clipvalue, global_clipnorm
        self.name = name or kind.lower()
        self.made: optim.Optimizer | None = None
        self._model: Module | None = None

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return self.settings["lr"] if self.made is None else self.made.param_groups[0]["lr"]

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.settings["lr"] = rate
        for group in () if self.made is None else self.made.param_groups:
            group["lr"] = rate

    def of(self, model: Module) -> optim.Optimizer:
        """The optimiser of a model's parameters; for the same model as before, the same."""
        if self.made is None or self._model is not model:
            kind, defaults = OPTIMIZERS[self.rule]
            self.made = kind(model.parameters(), **{**defaults, **self.settings})
            self._model = model
        return self.made

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"<{type(self).__name__} {settings}>"


class SGD(Optimizer):
    """Gradient descent, with or without momentum."""

    rule = "sgd"

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, {"momentum": momentum, "nesterov": nesterov}, **common)


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient."""

    rule = "rmsprop"

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ) -> None:
        settings = {"alpha": rho, "momentum": momentum, "eps": epsilon, "centered": centered}
        super().__init__(learning_rate, settings, **common)


class _WithBetas(Optimizer):
    """Adam and its kin."""

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        settings: dict[str, Any] | None = None,
        **common: Any,
    ) -> None:
        own = {"betas": (beta_1, beta_2), "eps": epsilon, **(settings or {})}
        super().__init__(learning_rate, own, **common)


class Adam(_WithBetas):
    """Steps of about the learning rate in every parameter.  Kingma, Ba 2015."""

    rule = "adam"

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ) -> None:
        settings = {"amsgrad": amsgrad}
        super().__init__(learning_rate, beta_1, beta_2, epsilon, settings, **common)


class AdamW(_WithBetas):
    """Adam, with weights that also decay by themselves.  Loshchilov, Hutter 2019."""

    rule = "adamw"

    def __init__(
        self,
        learning_rate: float = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ) -> None:
        settings = {"weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(learning_rate, beta_1, beta_2, epsilon, settings, **common)


class Nadam(_WithBetas):
    """Adam with Nesterov's momentum.  Dozat 2016."""

    rule = "nadam"


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients."""

    rule = "adagrad"

    def __init__(
        self,
        learning_rate: float = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        settings = {"initial_accumulator_value": initial_accumulator_value, "eps": epsilon}
        super().__init__(learning_rate, settings, **common)


class Adadelta(Optimizer):
    """Steps in the proportion of past steps to past gradients."""

    rule = "adadelta"

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, {"rho": rho, "eps": epsilon}, **common)


class Lion(Optimizer):
    """Steps of the learning rate itself, in the direction of the sign."""

    rule = "lion"

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, {"betas": (beta_1, beta_2)}, **common)


_CLASSES = {kind.rule: kind for kind in (SGD, RMSprop, Adam, AdamW, Nadam, Adagrad, Adadelta, Lion)}


def get(optimizer: Any) -> Any:
    """The optimiser of a name, with Keras's settings; one of this file or of `minidl.optim` itself.

    Raises ArgumentError for a name that is not known.
    """
    if isinstance(optimizer, str):
        return named("compile", "optimizer", _CLASSES, optimizer)()
    if isinstance(optimizer, Optimizer | optim.Optimizer):
        return optimizer
    raise ArgumentError(
        "compile: an optimizer is a name, one of minidl.keras.optimizers or of minidl.optim; got "
        f"{optimizer!r:.60}"
    )
