"""Models: Sequential, graphs of layers, and subclasses of Model; trained by `minidl.train`."""

from minidl.keras.models.model import Model
from minidl.keras.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
