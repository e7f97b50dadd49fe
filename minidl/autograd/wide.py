"""Operations on float16 that compute in float32, and round once, at the end."""

from collections.abc import Sequence
from typing import Any

from minidl.autograd import namespace
from minidl.dtypes import float16, float32


def in_float32(
    operation: Any, inputs: Sequence[Any], settings: dict[str, Any], keep_dtype: Sequence[int]
) -> Any:
    """The value for float16 inputs in float32; as float16, unless a larger float is among them.

    Inputs at the positions `keep_dtype` do not count.
    """
    astype = namespace.differentiable.astype
    dtypes = [getattr(x, "dtype", None) for x in inputs]
    wide = [
        astype(x, float32) if dtype == float16 else x
        for x, dtype in zip(inputs, dtypes, strict=True)
    ]
    value = operation(*wide, **settings)
    counting = [d for i, d in enumerate(dtypes) if d is not None and i not in keep_dtype]
    if any(dtype.kind in "fc" and dtype != float16 for dtype in counting):
        return value
    several = value if type(value) is tuple or type(value) is list else [value]
    rounded = [astype(y, float16) if y.dtype == float32 else y for y in several]
    return rounded[0] if several is not value else type(value)(rounded)
