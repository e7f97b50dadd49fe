"""Reparametrisations of modules and batches of sequences, under the names of torch.nn.utils."""

from minidl.nn.spectral_norm import remove_spectral_norm, spectral_norm
from minidl.nn.utils import rnn
from minidl.nn.weight_norm import remove_weight_norm, weight_norm

__all__ = ["remove_spectral_norm", "remove_weight_norm", "rnn", "spectral_norm", "weight_norm"]
