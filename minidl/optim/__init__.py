"""Optimisers, learning-rate schedules, gradient clipping and weight averaging."""

from minidl.optim.adadelta import Adadelta
from minidl.optim.adagrad import Adagrad
from minidl.optim.adam import Adam
from minidl.optim.adamax import Adamax
from minidl.optim.adamw import AdamW
from minidl.optim.asgd import ASGD
from minidl.optim.averaging import AveragedModel, get_ema_avg_fn, get_swa_avg_fn, update_bn
from minidl.optim.chained import ChainedScheduler
from minidl.optim.clipping import clip_grad_norm_, clip_grad_value_
from minidl.optim.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from minidl.optim.cyclic_lr import CyclicLR
from minidl.optim.lamb import LAMB
from minidl.optim.lbfgs import LBFGS
from minidl.optim.lion import Lion
from minidl.optim.lr_scheduler import ChainableScheduler, LRScheduler
from minidl.optim.nadam import NAdam
from minidl.optim.one_cycle import OneCycleLR
from minidl.optim.optimizer import Optimizer
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.radam import RAdam
from minidl.optim.rmsprop import RMSprop
from minidl.optim.rprop import Rprop
from minidl.optim.schedules import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from minidl.optim.sequential_lr import SequentialLR
from minidl.optim.sgd import SGD
from minidl.optim.sparse_adam import SparseAdam
from minidl.optim.swa_lr import SWALR

__all__ = [
    "ASGD",
    "LAMB",
    "LBFGS",
    "SGD",
    "SWALR",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AveragedModel",
    "ChainableScheduler",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "Lion",
    "MultiStepLR",
    "MultiplicativeLR",
    "NAdam",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RAdam",
    "RMSprop",
    "ReduceLROnPlateau",
    "Rprop",
    "SequentialLR",
    "SparseAdam",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_ema_avg_fn",
    "get_swa_avg_fn",
    "update_bn",
]
