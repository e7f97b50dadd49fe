"""Keras's face of minidl: its programs run with nothing changed but their imports.

    from minidl.keras import layers, models
    from minidl.keras.models import Sequential
    from minidl.keras.layers import Conv2D, MaxPooling2D, Flatten, Dense

Names, arguments, defaults, shapes and numbers are those of Keras 3; layers, losses, optimisers and
training are minidl's own.  Pictures are (N, H, W, C), weights (in, out) and (h, w, in, out).
Offered are models of one layer after another, without the functional API or subclasses of Model.
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
from minidl.keras.layers import Input
from minidl.keras.models import Sequential

__all__ = [
    *("Input", "Sequential", "activations", "callbacks", "initializers", "layers", "losses"),
    *("metrics", "models", "optimizers", "utils"),
]
