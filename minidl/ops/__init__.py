"""The operations, under the names and arguments of the Python array API standard.

This module is the namespace in which bodies compute on Tensors.  Here it hands itself over to the
engine, and Tensor gets its operators: the one place where a lower layer is given something from a
higher one.
"""

import sys

from minidl.autograd import namespace
from minidl.autograd.tensor import Tensor
from minidl.ops import array_object, operators, random
from minidl.ops.activation import *
from minidl.ops.arithmetic import *
from minidl.ops.arrangement import *
from minidl.ops.bitwise import *
from minidl.ops.comparison import *
from minidl.ops.conv import *
from minidl.ops.conv_nd import *
from minidl.ops.counting import *
from minidl.ops.creation import *
from minidl.ops.decomposition import *
from minidl.ops.distance import *
from minidl.ops.dtype_functions import *
from minidl.ops.einsum import *
from minidl.ops.elementwise import *
from minidl.ops.embedding_bag import *
from minidl.ops.equations import *
from minidl.ops.fold import *
from minidl.ops.fourier import *
from minidl.ops.fractional_pool import *
from minidl.ops.grid_sample import *
from minidl.ops.indexing import *
from minidl.ops.inspection import __array_namespace_info__
from minidl.ops.layout import *
from minidl.ops.linalg import *
from minidl.ops.loss import *
from minidl.ops.loss_ctc import ctc_loss
from minidl.ops.loss_margin import *
from minidl.ops.loss_probability import *
from minidl.ops.loss_regression import *
from minidl.ops.magnitude import *
from minidl.ops.manipulation import *
from minidl.ops.matrix import *
from minidl.ops.noise import *
from minidl.ops.norm import *
from minidl.ops.numbers import *
from minidl.ops.order import *
from minidl.ops.padding import *
from minidl.ops.pairs import *
from minidl.ops.piecewise import *
from minidl.ops.pool import *
from minidl.ops.pool_nd import *
from minidl.ops.pool_power import *
from minidl.ops.random import uniform_like
from minidl.ops.reduction import *
from minidl.ops.resize import *
from minidl.ops.running import *
from minidl.ops.sampling import *
from minidl.ops.scale_norm import *
from minidl.ops.scatter import *
from minidl.ops.searching import *
from minidl.ops.segments import *
from minidl.ops.sets import *
from minidl.ops.shuffle import *
from minidl.ops.smooth import *
from minidl.ops.special import *
from minidl.ops.statistics import *
from minidl.ops.transcendental import *
from minidl.ops.unpool import *

# Checks are not offered, nor what these modules import; the others are, by minidl.linalg and .fft.
_APART = {
    f"minidl.ops.{name}"
    for name in (
        *("axes", "decomposition", "equations", "fourier", "magnitude"),
        *("resize_tables", "settings", "window"),
    )
}
__all__ = [
    name
    for name, value in list(globals().items())
    if getattr(value, "__module__", "").startswith("minidl.ops.")
    and value.__module__ not in _APART
    and name not in ("check_indices", "item_of")  # of bodies, and of x[index]
]

namespace.differentiable = sys.modules[__name__]
operators.equip(Tensor)
array_object.equip(Tensor)
