"""What is proven of every kernel without a GPU: `python -m tests.cuda.proofs`."""
