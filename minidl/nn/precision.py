"""The dtype of a layer: it computes in the dtype of its parameters.

An input of another dtype is cast to it, and its gradient back.  A wider one loses digits, which is
said once for each class of layers: NumPy, scikit-learn and pandas make float64 by default, in which
a float32 network would compute ten times slower.
"""

from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, device_of
from minidl.errors import DTypeError, MinidlError, describe, raise_explained, warn_once
from minidl.ops import asarray, astype


def in_dtype_of(parameter: Any, layer: Any, x: Any) -> Any:
    """An input of a layer in the dtype of its parameter.

    parameter    None, if the layer has none: it computes in the dtype of x
    """
    try:
        if x.data.dtype is parameter.data.dtype:
            return x
    except AttributeError:  # no parameter, or no Tensor
        if parameter is None:
            return x
    given, own = getattr(x, "dtype", None), parameter.dtype
    if not isinstance(given, np.dtype) or given.kind not in "biuf" or given == own:
        return x  # which the operation refuses, or promotes: complex numbers
    if given.kind == "f" and given.itemsize > own.itemsize:
        warn_once(
            (type(layer), "dtype"),
            f"{type(layer).__name__}: computes in {own}, the dtype of its parameters, and casts "
            f"its input from {given}; convert the data, x.astype(minidl.{own}), or the model, "
            f"model.to(minidl.{given})",
        )
    return astype(beside(parameter, x), own)


def beside(parameter: Any, x: Any) -> Any:
    """A tensor as it is; arrays and lists of the host as one on the device of a parameter."""
    if x is None or isinstance(x, Tensor):
        return x
    on_host = backend_of(x) is None or device_of(x) == "cpu"
    return asarray(x, device=parameter.device if on_host else None)


def tensor_in_dtype_of(parameter: Any, layer: Any, x: Any) -> Tensor:
    """The same as a Tensor of real numbers, or an error that names the layer."""
    name = type(layer).__name__
    try:
        tensor = asarray(in_dtype_of(parameter, layer, x))
    except MinidlError as error:
        raise_explained(name, (), error)
    if tensor.dtype.kind == "c":
        raise DTypeError(f"{name}: needs real numbers; got {describe(tensor)}")
    return tensor
