"""The operations, under the names and arguments of the Python array API standard.

This module is the namespace in which bodies compute on Tensors.  Here it hands itself over to the
engine, and Tensor gets its operators: the one place where a lower layer is given something from a
higher one.
"""

import sys

from minidl.autograd import engine
from minidl.autograd.tensor import Tensor
from minidl.ops import operators, random
from minidl.ops.activation import (
    dropout,
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
)
from minidl.ops.creation import (
    arange,
    asarray,
    empty,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from minidl.ops.elementwise import (
    abs,
    acos,
    add,
    asin,
    atan,
    ceil,
    clip,
    cos,
    cosh,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    pow,
    remainder,
    round,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    where,
    xdivy,
    xlogy,
)
from minidl.ops.indexing import (
    argsort,
    check_indices,
    embedding,
    put_at,
    scatter_add,
    scatter_at,
    sort,
    take,
    take_along_axis,
)
from minidl.ops.linalg import linear, matmul
from minidl.ops.loss import cross_entropy, mse_loss
from minidl.ops.manipulation import (
    astype,
    broadcast_to,
    concat,
    copy,
    expand_dims,
    flip,
    matrix_transpose,
    permute_dims,
    reshape,
    squeeze,
    stack,
    to_device,
)
from minidl.ops.random import uniform_like
from minidl.ops.reduction import all, any, argmax, argmin, logsumexp, max, mean, min, std, sum, var

__all__ = [name for name, value in list(globals().items()) if callable(value) and name != "Tensor"]

engine.differentiable = sys.modules[__name__]
operators.equip(Tensor)
