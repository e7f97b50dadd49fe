"""The namespace in which bodies compute on Tensors: their `xp` when gradients are recorded.

It has the functions of the contract (`minidl.backends.contract`) and every operation: the public
ones, those of `minidl.linalg` and `minidl.fft`, and those of INTERNAL, which bodies and
layers call.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from minidl.ops.arithmetic import mul_zero, xdivy, xmuly
from minidl.ops.fourier import (
    fft,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfftn,
    rfft,
    rfftn,
)
from minidl.ops.indexing import check_indices, put_at, row_gradient, scatter_at
from minidl.ops.linear_algebra.decomposition import (
    cholesky,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    lu,
    qr,
    svd,
    svdvals,
)
from minidl.ops.linear_algebra.equations import (
    adjugate,
    cholesky_solve,
    cond,
    det,
    inv,
    matrix_power,
    matrix_rank,
    pinv,
    slogdet,
    solve,
    solve_triangular,
)
from minidl.ops.linear_algebra.exponential import matrix_exp
from minidl.ops.linear_algebra.norms import matrix_norm, vector_norm
from minidl.ops.linear_algebra.products import precise_matmul
from minidl.ops.nn.attention import attention_weights, attention_with_weights
from minidl.ops.nn.fused import fused
from minidl.ops.short_time_fourier import istft, stft
from minidl.ops.splitting import consecutive_parts

INTERNAL = (
    *(
        attention_weights,
        attention_with_weights,
        check_indices,
        consecutive_parts,
        fused,
        mul_zero,
        precise_matmul,
    ),
    *(put_at, row_gradient, scatter_at, xdivy, xmuly),
)

OF_LINALG = (
    *(adjugate, cholesky, cholesky_solve, cond, det, eig, eigh, eigvals, eigvalsh, inv, lu),
    *(matrix_exp, matrix_norm, matrix_power, matrix_rank, pinv, qr, slogdet, solve),
    *(solve_triangular, svd, svdvals, vector_norm),
)

OF_FFT = (
    *(fft, fftn, fftshift, hfft, ifft, ifftn, ifftshift, ihfft, irfft, irfftn, istft, rfft, rfftn),
    *(stft,),
)


# A module object, since Python looks up attributes of modules fastest.
differentiable: Any = ModuleType("minidl.ops.namespace.differentiable", "minidl's operations.")


def fill(public: Mapping[str, Any]) -> None:
    """Put the public operations, and those above, into the namespace."""
    vars(differentiable).update(public)
    for operation in (*INTERNAL, *OF_LINALG, *OF_FFT):
        setattr(differentiable, operation.__name__, operation)
