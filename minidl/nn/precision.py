"""The dtype of a layer: it computes in the dtype of its parameters.

An input of a wider float dtype is cast to it, and its gradient back, with one warning for each
class of layers: NumPy, scikit-learn and pandas make float64 by default, in which a float32 network
would compute ten times slower.  A narrower input, or one of integers, is promoted, as in every
operation.
"""

from typing import Any

from minidl.dtypes import is_float
from minidl.errors import warn_once
from minidl.ops import asarray, astype


def in_dtype_of(parameter: Any, layer: Any, x: Any) -> Any:
    """The input of a layer, cast if its dtype is a wider float than the parameter's.

    parameter    None, if the layer has none: it computes in the dtype of x
    """
    try:
        if x.data.dtype is parameter.data.dtype:
            return x
    except AttributeError:  # no parameter, or no Tensor
        if parameter is None:
            return x
    given, own = getattr(x, "dtype", None), parameter.dtype
    if not hasattr(given, "itemsize") or not is_float(given) or given.itemsize <= own.itemsize:
        return x
    name = type(layer).__name__
    warn_once(
        (type(layer), "dtype"),
        f"{name}: computes in {own}, the dtype of its parameters, and casts its input, which is "
        f"{given}; convert the data, x.astype(minidl.{own}), or the model, model.to({str(given)!r})",
    )
    return astype(asarray(x), own)
