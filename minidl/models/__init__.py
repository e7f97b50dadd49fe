"""Networks that are ready to be trained."""

from minidl.models.cnn import CNN
from minidl.models.mlp import MLP

__all__ = ["CNN", "MLP"]
