"""Scaled dot-product attention in blocks: the weights of all queries and keys are never stored."""
