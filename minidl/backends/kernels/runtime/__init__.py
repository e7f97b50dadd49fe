"""How kernels are compiled, cached and run on threads; their guard and their workspace."""
