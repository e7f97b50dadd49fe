"""Optimisers: how gradients change parameters; schedules, clipping and averages beside them."""

from minidl.optim.adadelta import Adadelta
from minidl.optim.adagrad import Adagrad
from minidl.optim.adam import Adam
from minidl.optim.adamw import AdamW
from minidl.optim.averaging import AveragedModel, get_ema_avg_fn, get_swa_avg_fn, update_bn
from minidl.optim.clipping import clip_grad_norm_, clip_grad_value_
from minidl.optim.lion import Lion
from minidl.optim.nadam import NAdam
from minidl.optim.one_cycle import OneCycleLR
from minidl.optim.optimizer import Optimizer
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.rmsprop import RMSprop
from minidl.optim.schedule import LRScheduler
from minidl.optim.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)
from minidl.optim.sequential_lr import SequentialLR
from minidl.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "AveragedModel",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "Lion",
    "MultiStepLR",
    "NAdam",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_ema_avg_fn",
    "get_swa_avg_fn",
    "update_bn",
]
