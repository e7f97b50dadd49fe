"""Checkpoints as safetensors files: without pickle, written atomically, verified by checksums.

PyTorch's files are read as well: as plain data, without executing anything in them.
"""

from minidl.io.checkpoint import load, load_weights, save, save_weights
from minidl.io.errors import CheckpointError
from minidl.io.torch_file import load_torch

__all__ = ["CheckpointError", "load", "load_torch", "load_weights", "save", "save_weights"]
