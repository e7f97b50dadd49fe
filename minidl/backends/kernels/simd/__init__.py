"""Vector instructions: intrinsics, elementary functions, and the GEMM micro-kernel."""
