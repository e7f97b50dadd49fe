"""Automatic differentiation: tensors, operations, and the engine that differentiates them."""
