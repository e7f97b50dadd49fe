"""Reparametrisations of modules and batches of sequences, under the names of torch.nn.utils."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from minidl.autograd.pytorch_names import missing_from as _missing_from
from minidl.nn.spectral_norm import remove_spectral_norm, spectral_norm
from minidl.nn.utils import rnn
from minidl.nn.weight_norm import remove_weight_norm, weight_norm

__all__ = ["remove_spectral_norm", "remove_weight_norm", "rnn", "spectral_norm", "weight_norm"]

if not _TYPE_CHECKING:
    __getattr__ = _missing_from(__name__)
