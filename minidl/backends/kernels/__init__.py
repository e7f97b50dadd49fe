"""CPU kernels: operations compiled by Numba, and called instead of their bodies where they apply.

    runtime/    compiling, caching, threads, workspace, and the guard
    simd/       vector intrinsics, elementary functions, the GEMM micro-kernel
    gemm        matrix products; linear: fully connected layers
    conv/       convolution and its gradients
    pool/       pooling
    norm/       batch, layer and group norm
    reduction, scatter
    elementwise, softmax, loss, embedding, random, optimizer

A kernel's entry point has the name and the signature of its operation (`minidl.backends.contract`),
and returns NotImplemented for arguments it is not made for.  Only `runtime` and `simd` import Numba
and llvmlite.
"""

from minidl.backends.memory import keep_freed_memory

keep_freed_memory()
