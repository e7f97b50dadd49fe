"""The compiler: from the Python of kernels to object files and libraries; it imports Numba."""
