"""Ready-made networks: an MLP and a CNN."""

from minidl.models.cnn import CNN
from minidl.models.mlp import MLP

__all__ = ["CNN", "MLP"]
