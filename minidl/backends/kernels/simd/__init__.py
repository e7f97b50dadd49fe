"""SIMD: vector intrinsics, elementary functions, and the GEMM micro-kernel."""
