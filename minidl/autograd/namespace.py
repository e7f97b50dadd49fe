"""The namespace that a body computes in, `xp`: a backend's for arrays, minidl's own for Tensors.

Operations on Tensors are written above this layer, in `minidl.ops`, which hands its functions over
when it is imported.
"""

from typing import Any

from minidl.backends import backend_of

# Functions of the contract's names that compute on Tensors, and are therefore differentiable.
differentiable: Any = None


def namespace_of(x: Any) -> Any:
    """The functions that compute on an array or a Tensor."""
    return differentiable if hasattr(x, "edge") else backend_of(x)
