"""The executor `ptx` of the stand-in: CUDA sources compiled by NVRTC, their PTX run on the CPU."""
