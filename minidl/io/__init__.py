"""Checkpoints as safetensors files: never pickle, whole or not at all, checked when loaded."""

from minidl.io.checkpoint import load, load_weights, save, save_weights
from minidl.io.errors import CheckpointError

__all__ = ["CheckpointError", "load", "load_weights", "save", "save_weights"]
