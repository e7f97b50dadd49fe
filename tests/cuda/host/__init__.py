"""CUDA C++ on the host: kernels compiled by gcc and run on the CPU."""
