"""Checkpoints as safetensors files: never pickle, whole or not at all, checked when loaded.

Files of PyTorch are read, too: as plain data, without running anything in them.
"""

from minidl.io.checkpoint import load, load_weights, save, save_weights
from minidl.io.errors import CheckpointError
from minidl.io.torch_file import load_torch

__all__ = ["CheckpointError", "load", "load_torch", "load_weights", "save", "save_weights"]
