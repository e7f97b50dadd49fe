"""CPU kernels: operations in machine code, called instead of their bodies where they apply.

    runtime/    how kernels are declared, found, called and run on threads; workspace, and the guard
    compiler/   how they are compiled, beforehand or when they are first called
    simd/       vector intrinsics, elementary functions, the GEMM micro-kernel
    gemm        matrix products; linear: fully connected layers
    conv/       convolution and its gradients
    pool/       pooling
    norm/       batch, layer and group norm
    attention/  scaled dot-product attention in blocks
    reduction, scatter
    elementwise, softmax, loss, embedding, random, optimizer

A kernel's entry point has the name and the signature of its operation (`minidl.backends.contract`),
and returns NotImplemented for arguments it is not made for.  Only `compiler` imports Numba; it is
itself imported only to compile.
"""

from minidl.backends.memory import keep_freed_memory

keep_freed_memory()
