"""A Keras-compatible interface: programs for Keras run with only their imports changed.

    from minidl import keras
    from minidl.keras import layers, models
    from minidl.keras.models import Model, Sequential
    from minidl.keras.layers import Conv2D, MaxPooling2D, Flatten, Dense, LSTM

Names, arguments, defaults, shapes and results are those of Keras 3; layers, losses, optimisers and
training are minidl's own.  Images are (N, H, W, C), sequences (N, T, C), weights (in, out) and
(h, w, in, out).

A model is a stack of layers, `Sequential`; a graph of calls of layers with symbolic tensors,
`Model(inputs, outputs)`; or a subclass of `Model` with a `call`.  A subclass of `Layer` with
`build` and `call` is a layer like the others.  In a `call`, and in a `Lambda`, tensors are those of
minidl, and its functions compute with them.
"""

from minidl.keras import (
    activations,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    optimizers,
    utils,
)
from minidl.keras.devices import device
from minidl.keras.dtype_policies import DTypePolicy
from minidl.keras.graph.tensor import KerasTensor
from minidl.keras.layers import Input, Layer
from minidl.keras.models import Model, Sequential

# fmt: off
__all__ = [
    "DTypePolicy", "Input", "KerasTensor", "Layer", "Model", "Sequential", "activations",
    "callbacks", "device", "initializers", "layers", "losses", "metrics", "mixed_precision",
    "models", "optimizers", "utils",
]
# fmt: on
