"""Optimisers by name, with Keras's default settings."""

from collections.abc import Callable
from typing import Any

from minidl import nn
from minidl.checks import check_instance
from minidl.errors import ArgumentError, DTypeError, describe
from minidl.optim import Optimizer
from minidl.optim.adadelta import Adadelta
from minidl.optim.adagrad import Adagrad
from minidl.optim.adam import Adam
from minidl.optim.adamax import Adamax
from minidl.optim.adamw import AdamW
from minidl.optim.asgd import ASGD
from minidl.optim.lamb import LAMB
from minidl.optim.lion import Lion
from minidl.optim.nadam import NAdam
from minidl.optim.radam import RAdam
from minidl.optim.rmsprop import RMSprop
from minidl.optim.rprop import Rprop
from minidl.optim.sgd import SGD
from minidl.train.losses import named

# Keras's defaults for each name; the defaults of the classes themselves are PyTorch's.
OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
    "sgd": (SGD, {"lr": 0.01}),
    "rmsprop": (RMSprop, {"lr": 0.001, "alpha": 0.9, "eps": 1e-7}),
    "adam": (Adam, {"lr": 0.001, "eps": 1e-7}),
    "adamw": (AdamW, {"lr": 0.001, "eps": 1e-7, "weight_decay": 0.004}),
    "nadam": (NAdam, {"lr": 0.001, "eps": 1e-7, "momentum_decay": 1.0}),
    "adagrad": (Adagrad, {"lr": 0.001, "initial_accumulator_value": 0.1, "eps": 1e-7}),
    "adadelta": (Adadelta, {"lr": 0.001, "rho": 0.95, "eps": 1e-7}),
    "lion": (Lion, {"lr": 0.001, "betas": (0.9, 0.99)}),
    "adamax": (Adamax, {"lr": 0.001, "eps": 1e-7}),
    "lamb": (LAMB, {"lr": 0.001, "eps": 1e-7, "weight_decay": 0.0}),
    "radam": (RAdam, {}),  # this and those below are not in Keras: PyTorch's defaults
    "asgd": (ASGD, {}),
    "rprop": (Rprop, {}),
}


def optimizer_for(optimizer: str | Optimizer, model: nn.Module) -> Optimizer:
    """The optimiser registered under a name, for all parameters of a model.

    An Optimizer is returned unchanged.  Raises ArgumentError for an unknown name, listing the known
    ones, and for an optimiser of another model.

    >>> optimizer = minidl.train.optimizer_for("rmsprop", nn.Linear(3, 2))
    >>> type(optimizer).__name__, optimizer.defaults["alpha"]  # Keras's, not PyTorch's
    ('RMSprop', 0.9)
    """
    check_instance("optimizer_for", nn.Module, **{"a model": model})
    if isinstance(optimizer, Optimizer):
        optimized = {p for group in optimizer.param_groups for p in group["params"]}
        if optimized.isdisjoint(model.parameters()):
            raise ArgumentError(
                f"Trainer: this {type(optimizer).__name__} changes no parameter of the model; make "
                "it of model.parameters()"
            )
        return optimizer
    if not isinstance(optimizer, str):
        raise DTypeError(
            f"Trainer: an optimizer is an Optimizer, or a name; got {describe(optimizer)}"
        )
    kind, settings = named("Trainer", "optimizer", OPTIMIZERS, optimizer)
    return kind(model.parameters(), **settings)
