"""Networks that are ready to be trained."""

from minidl.models.mlp import MLP

__all__ = ["MLP"]
