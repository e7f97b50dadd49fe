"""minidl: a deep-learning engine to read, to test against, and to train small models with."""

from importlib import import_module
from math import e, inf, nan, pi
from types import ModuleType

from minidl import errors, nn, optim
from minidl.autograd.anomaly import detect_anomaly
from minidl.autograd.batching import vmap
from minidl.autograd.checkpoint import checkpoint
from minidl.autograd.functional import grad, gradients, value_and_grad, vjp
from minidl.autograd.jacobian import hessian, hvp, jacobian, jvp
from minidl.autograd.mode import enable_grad, higher_order, kernels, no_grad
from minidl.autograd.primitive import composite, primitive
from minidl.autograd.tensor import Tensor
from minidl.backends.rows import RowGradient
from minidl.backends.threads import get_num_threads, set_num_threads
from minidl.dtypes import bool_ as bool
from minidl.dtypes import (
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    result_type,
    uint8,
    uint16,
    uint32,
    uint64,
)
from minidl.ops import *
from minidl.ops import random
from minidl.ops.random import manual_seed

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

newaxis = None

_WHEN_USED = ("data", "fft", "io", "keras", "linalg", "models", "testing", "train")


def __getattr__(name: str) -> ModuleType:
    """Packages that not every program needs are loaded when they are first named (PEP 562)."""
    if name in _WHEN_USED:
        return import_module(f"minidl.{name}")
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHEN_USED})
