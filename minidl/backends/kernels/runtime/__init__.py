"""How kernels are compiled, cached on disk, run on threads, and given memory."""
