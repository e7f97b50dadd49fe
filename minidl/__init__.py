"""minidl: a deep-learning engine to read, to test against, and to train small models with."""

from minidl import data, errors, io, models, nn, optim, train
from minidl.autograd.functional import grad, gradients, value_and_grad, vjp
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
