"""The operations, under the names and arguments of the Python array API standard.

This module is the namespace in which bodies compute on Tensors.  Here it hands itself over to the
engine, and Tensor gets its operators: the one place where a lower layer is given something from a
higher one.
"""

import sys

from minidl.autograd import engine
from minidl.autograd.tensor import Tensor
from minidl.ops import operators, random
from minidl.ops.activation import *
from minidl.ops.conv import *
from minidl.ops.creation import *
from minidl.ops.elementwise import *
from minidl.ops.indexing import *
from minidl.ops.linalg import *
from minidl.ops.loss import *
from minidl.ops.manipulation import *
from minidl.ops.norm import *
from minidl.ops.pool import *
from minidl.ops.random import uniform_like
from minidl.ops.reduction import *

# What these modules import for themselves is not offered.
__all__ = [
    name
    for name, value in list(globals().items())
    if getattr(value, "__module__", "").startswith("minidl.ops.")
]

engine.differentiable = sys.modules[__name__]
operators.equip(Tensor)
