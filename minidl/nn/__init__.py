"""Layers, with PyTorch's names, arguments and state."""

from minidl.nn import init
from minidl.nn.activation import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from minidl.nn.conv import Conv2d
from minidl.nn.dropout import Dropout
from minidl.nn.embedding import Embedding
from minidl.nn.linear import Flatten, Identity, Linear
from minidl.nn.loss import CrossEntropyLoss, MSELoss
from minidl.nn.module import Buffer, Module, Parameter, StateError
from minidl.nn.norm import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm
from minidl.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from minidl.nn.sequential import Sequential
from minidl.nn.summary import summary

__all__ = [name for name, value in list(globals().items()) if isinstance(value, type)]
__all__ += ["init", "summary"]
