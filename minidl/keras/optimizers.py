"""Optimisers under Keras's names and arguments.

Each holds settings, from which an optimiser of `minidl.optim` is created once the model is known.
Rules and defaults are Keras's: where its rules differ from PyTorch's, they are in
`minidl.keras.update_rules`.

In the formulas η is the learning rate, g the gradient, θ a parameter; t counts the steps from 1.
"""

from typing import Any

from minidl import optim
from minidl.errors import ArgumentError
from minidl.keras.loss_scale_optimizer import LossScaleOptimizer
from minidl.keras.optimizer import Optimizer
from minidl.train.losses import named

# fmt: off
__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "LossScaleOptimizer", "Nadam",
    "Optimizer", "RMSprop", "get",
]
# fmt: on


class SGD(Optimizer):
    """θ ← θ − η·g, or with momentum μ θ ← θ − v, where v ← μ·v + η·g.

    With nesterov the step is η·g + μ·v.  Sutskever et al. 2013.

    >>> from minidl.keras import Sequential, layers, optimizers
    >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(optimizers.SGD(0.1), "mse")
    >>> history = model.fit([[1.0, 0.01]], [1.0], verbose=0)  # the gradients are −2 and −0.02
    >>> model.get_weights()[0].ravel().round(4)
    array([0.2  , 0.002], dtype=float32)
    """

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
    """θ ← θ − η·g / √(v + ε), where v ← ρ·v + (1 − ρ)·g²: g over its running root mean square.

    With momentum μ the step is b, where b ← μ·b + η·g / √(v + ε); if centered, v − m² replaces v,
    where m ← ρ·m + (1 − ρ)·g.  Tieleman, Hinton 2012 (lecture 6.5).

    >>> from minidl.keras import Sequential, layers, optimizers
    >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(optimizers.RMSprop(0.1, rho=0.75), "mse")
    >>> history = model.fit([[1.0, 0.01]], [1.0], verbose=0)  # the gradients are −2 and −0.02
    >>> model.get_weights()[0].ravel().round(3)
    array([0.2, 0.2], dtype=float32)
    """

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


class _AdamFamily(Optimizer):
    """The base of Adam and its variants."""

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


class Adam(_AdamFamily):
    """Adaptive moments: steps of about η in every parameter, whatever the scale of its gradient.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        θ ← θ − η·√(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)

    With amsgrad, v is its largest value so far.  Kingma, Ba 2015; Reddi, Kale, Kumar 2018.

    >>> from minidl.keras import Sequential, layers, optimizers
    >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(optimizers.Adam(0.1), "mse")
    >>> history = model.fit([[1.0, 0.01]], [1.0], verbose=0)  # the gradients are −2 and −0.02
    >>> model.get_weights()[0].ravel().round(4)
    array([0.1, 0.1], dtype=float32)
    """

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


class AdamW(_AdamFamily):
    """Adam with decoupled weight decay.

        θ ← θ − η · weight_decay · θ       and then a step of Adam

    Loshchilov, Hutter 2019.

    >>> from minidl.keras import Sequential, layers, optimizers
    >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    >>> model.compile(optimizers.AdamW(0.1, weight_decay=0.5), "mse")
    >>> history = model.fit([[1.0, 0.0]], [2.0], verbose=0)  # the second has no gradient
    >>> model.get_weights()[0].ravel().round(4)  # 1 − 0.05 + 0.1, and 1 − 0.05
    array([1.05, 0.95], dtype=float32)
    """

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


class Nadam(_AdamFamily):
    """Adam with Nesterov momentum: m looks one step ahead.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        μₜ = β₁·(1 − ½·0.96ᵗ)
        m̂ = μₜ₊₁·m / (1 − μ₁⋯μₜ₊₁) + (1 − μₜ)·g / (1 − μ₁⋯μₜ)
        θ ← θ − η · m̂ / (√(v / (1 − β₂ᵗ)) + ε)

    Dozat 2016.

    >>> from minidl.keras import Sequential, layers, optimizers
    >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(optimizers.Nadam(0.1), "mse")
    >>> history = model.fit([[1.0, 0.01]], [1.0], verbose=0)  # the gradients are −2 and −0.02
    >>> model.get_weights()[0].ravel().round(4)
    array([0.1063, 0.1063], dtype=float32)
    """

    rule = "nadam"

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ) -> None:
        settings = {"momentum_decay": 1.0}  # PyTorch's default is 0.004
        super().__init__(learning_rate, beta_1, beta_2, epsilon, settings, **common)


class Adagrad(Optimizer):
    """θ ← θ − η·g / √(s + ε), where s ← s + g²: g over the root of its accumulated squares.

    s starts from initial_accumulator_value.  Duchi, Hazan, Singer 2011.

    >>> from minidl.keras import Sequential, layers, optimizers
    >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(optimizers.Adagrad(0.1, initial_accumulator_value=0.0), "mse")
    >>> history = model.fit([[1.0, 0.01]], [1.0], verbose=0)  # the gradients are −2 and −0.02
    >>> model.get_weights()[0].ravel().round(4)
    array([0.1, 0.1], dtype=float32)
    """

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
    """Steps in the units of the parameters: g times the ratio of past steps to past gradients.

        v ← ρ·v + (1 − ρ)·g²
        d ← √(u + ε) / √(v + ε) · g
        u ← ρ·u + (1 − ρ)·d²
        θ ← θ − η·d

    Zeiler 2012, where η is 1: with Keras's default of 0.001 it makes tiny steps.

    >>> from minidl.keras import Sequential, layers, optimizers
    >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(optimizers.Adadelta(1.0), "mse")
    >>> history = model.fit([[1.0, 0.01]], [1.0], verbose=0)  # the gradients are −2 and −0.02
    >>> model.get_weights()[0].ravel().round(4)
    array([0.0014, 0.0014], dtype=float32)
    """

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
    """Steps of exactly η in every parameter, with the sign of a momentum.

        c = β₁·m + (1 − β₁)·g              m ← β₂·m + (1 − β₂)·g
        θ ← θ − η·sign c

    Steps are longer than Adam's: choose η 3 to 10 times smaller.  Chen et al. 2023 (algorithm 2).

    >>> from minidl.keras import Sequential, layers, optimizers
    >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    >>> model.compile(optimizers.Lion(0.1), "mse")
    >>> history = model.fit([[1.0, 0.01]], [1.0], verbose=0)  # the gradients are −2 and −0.02
    >>> model.get_weights()[0].ravel().round(4)
    array([0.1, 0.1], dtype=float32)
    """

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
    """The optimiser of this name, with Keras's defaults; an optimiser is returned unchanged.

    Optimisers are those of this module or of `minidl.optim`.  Raises ArgumentError for an unknown
    name, listing the known ones, and for anything else.

    >>> from minidl.keras import optimizers
    >>> optimizers.get("rmsprop")
    <RMSprop lr=0.001, alpha=0.9, momentum=0.0, eps=1e-07, centered=False>
    """
    if isinstance(optimizer, str):
        return named("compile", "optimizer", _CLASSES, optimizer)()
    if isinstance(optimizer, Optimizer | optim.Optimizer):
        return optimizer
    raise ArgumentError(
        "compile: an optimizer is a name, one of minidl.keras.optimizers or of minidl.optim; got "
        f"{optimizer!r:.60}"
    )
