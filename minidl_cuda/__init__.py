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
    imported,
    location,
    memory,
    pinned,
    reset_peak_memory,
    set_device,
    synchronize,
    to_device,
    to_numpy,
    upload,
)
from minidl_cuda.functions import (
    abs,
    acos,
    acosh,
    all,
    any,
    arange,
    argmax,
    argmin,
    argwhere,
    asin,
    asinh,
    astype,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    broadcast_to,
    ceil,
    complex,
    concat,
    conj,
    copysign,
    cos,
    cosh,
    divide,
    erf,
    erfc,
    erfinv,
    exp,
    expand_dims,
    expm1,
    fft,
    flip,
    floor,
    floor_divide,
    full,
    hypot,
    ifft,
    imag,
    irfft,
    isfinite,
    isinf,
    isnan,
    lgamma,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    matrix_transpose,
    max,
    maximum,
    min,
    minimum,
    mul_zero,
    nextafter,
    permute_dims,
    polygamma,
    pow,
    real,
    remainder,
    reshape,
    rfft,
    round,
    sign,
    signbit,
    sin,
    sinh,
    sqrt,
    squeeze,
    stack,
    tan,
    tanh,
    tril,
    triu,
    trunc,
    uniform_like,
    where,
    xdivy,
    xlogy,
    xmuly,
    zeros,
    zeros_like,
)
from minidl_cuda.indexing import (
    add_at,
    coalesce,
    put_at,
    scatter_add,
    scatter_at,
    set_at,
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
    qr,
    slogdet,
    solve,
    svd,
    svdvals,
)
from minidl_cuda.products import precise_matmul
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
    "adam": "optimizer",
    "adamw": "optimizer",
    "adaptive_avg_pool2d": "avg_pool2d",
    "avg_pool2d": "avg_pool2d",
    "clip_norm": "gradients",
    "clip_value": "gradients",
    "conv2d": "conv2d",
    "conv_transpose2d": "conv2d",
    "fused": "fused",
    "gru": "recurrent",
    "gru_cell": "recurrent",
    "lstm": "recurrent",
    "lstm_cell": "recurrent",
    "max_pool2d": "max_pool2d",
    "read_later": "gradients",
    "rnn": "recurrent",
    "rnn_cell": "recurrent",
    "scaled_dot_product_attention": "attention",
    "sgd": "optimizer",
    "unscale": "gradients",
    "update_scale": "gradients",
}


@cache
def kernel(name: str) -> Callable[..., Any] | None:
    """The kernel of that name; its module is imported when first needed."""
    if name not in _KERNEL_FILES:
        return None
    return getattr(import_module(f"minidl_cuda.kernels.{_KERNEL_FILES[name]}"), name)


cupy.cuda.set_allocator(allocator(cupy.cuda.get_allocator()))
