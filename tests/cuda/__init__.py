"""Tests of the CUDA backend, and the proofs that need no GPU."""
