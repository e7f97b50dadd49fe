"""Tensors, operations, and the engine that differentiates them."""
