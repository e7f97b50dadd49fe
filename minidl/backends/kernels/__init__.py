"""Faster versions of operations on the CPU, a file a family."""
