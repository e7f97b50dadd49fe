"""A Keras-compatible interface: programs for Keras run with only their imports changed.

    from minidl.keras import layers, models
    from minidl.keras.models import Sequential
    from minidl.keras.layers import Conv2D, MaxPooling2D, Flatten, Dense

Names, arguments, defaults, shapes and results are those of Keras 3; layers, losses, optimisers and
training are minidl's own.  Images are (N, H, W, C), weights (in, out) and (h, w, in, out).  Models
are sequential; the functional API and subclasses of Model are not supported.
"""

from minidl.keras import (
    activations,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    utils,
)
from minidl.keras.graph.tensor import KerasTensor
from minidl.keras.layers import Input, Layer
from minidl.keras.models import Model, Sequential

# fmt: off
__all__ = [
    "Input", "KerasTensor", "Layer", "Model", "Sequential", "activations", "callbacks",
    "initializers", "layers", "losses", "metrics", "models", "optimizers", "utils",
]
# fmt: on
