"""The GPU: CuPy's functions under the names of the contract, and the kernels in CUDA C++."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import cupy

from minidl.backends.rows import row_gradient
from minidl_cuda.checks import check, check_indices
from minidl_cuda.devices import (
    allocator,
    asarray,
    current_device,
    device_of,
    devices,
    location,
    memory,
    pinned,
    set_device,
    synchronize,
    to_device,
    to_numpy,
    upload,
)
from minidl_cuda.functions import *
from minidl_cuda.indexing import (
    add_at,
    coalesce,
    put_at,
    scatter_add,
    scatter_at,
    searchsorted,
    take_along_axis,
)
from minidl_cuda.matrices import (
    adjugate,
    cholesky,
    det,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    inv,
    lu,
    pinv,
    precise_matmul,
    qr,
    slogdet,
    solve,
    svd,
    svdvals,
)
from minidl_cuda.reductions import (
    argsort,
    cumulative_prod,
    cumulative_sum,
    prod,
    sum,
)

name = "cuda"
Array = cupy.ndarray
Scalar = cupy.ndarray  # 0-d results are arrays

# The files of minidl_cuda/kernels, imported when a kernel of theirs is first asked for.
_KERNEL_FILES: dict[str, str] = {
    "gru": "recurrent",
    "gru_cell": "recurrent",
    "lstm": "recurrent",
    "lstm_cell": "recurrent",
    "rnn": "recurrent",
    "rnn_cell": "recurrent",
    "scaled_dot_product_attention": "attention",
}


@cache
def kernel(name: str) -> Callable[..., Any] | None:
    """The kernel of that name; its module is imported when first needed."""
    if name not in _KERNEL_FILES:
        return None
    return getattr(import_module(f"minidl_cuda.kernels.{_KERNEL_FILES[name]}"), name)


cupy.cuda.set_allocator(allocator(cupy.cuda.get_allocator()))
