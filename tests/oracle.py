"""PyTorch, where it is installed; a test that calls it is skipped where it is not."""

from importlib import import_module, util

import pytest

INSTALLED = util.find_spec("torch") is not None
KERAS_INSTALLED = INSTALLED and util.find_spec("keras") is not None  # it computes with PyTorch


class _Missing:
    """Stands in tables for what PyTorch would offer."""

    def __getattr__(self, name):
        return self() if name == "__signature__" else self

    def __iter__(self):
        return self()

    def __mro_entries__(self, bases):
        return (object,)

    def __call__(self, *_, **__):
        pytest.skip("compares with PyTorch: pip install torch==2.13.0")


torch = import_module("torch") if INSTALLED else _Missing()
functional = torch.nn.functional
torch_files = import_module("safetensors.torch") if INSTALLED else _Missing()

if INSTALLED:
    torch.set_num_threads(1)  # the arrays are tiny, and the tests run side by side
