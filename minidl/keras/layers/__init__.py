"""Layers under Keras's names, with its arguments, defaults, weights and order of axes.

Images are (N, H, W, C).  Internally the layers of `minidl.nn` compute on (N, C, H, W): a model
transposes its images once, at the input, and transposes back where the order matters, before a
Flatten for instance.  The results are those of Keras.

Sequences are (N, T, C), and a mask (N, T) says which of their steps are there: Embedding with
mask_zero, and Masking, give their output one; recurrent layers and attention leave padding out.
"""

from minidl.keras.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from minidl.keras.layers.attention import MultiHeadAttention
from minidl.keras.layers.base import Layer
from minidl.keras.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from minidl.keras.layers.conv import Conv2D, ZeroPadding2D
from minidl.keras.layers.core import (
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    InputLayer,
    Permute,
    RepeatVector,
    Reshape,
)
from minidl.keras.layers.merge import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from minidl.keras.layers.norm import BatchNormalization, LayerNormalization
from minidl.keras.layers.operation import Lambda
from minidl.keras.layers.pool import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from minidl.keras.layers.recurrent import GRU, LSTM, SimpleRNN
from minidl.keras.layers.rnn import RNN
from minidl.keras.layers.sequence import (
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Masking,
)
from minidl.keras.layers.stacked_cells import StackedRNNCells
from minidl.keras.layers.wrappers import Bidirectional, TimeDistributed

AvgPool2D, MaxPool2D, Convolution2D = AveragePooling2D, MaxPooling2D, Conv2D  # Keras's short names
GlobalAvgPool2D, GlobalMaxPool2D = GlobalAveragePooling2D, GlobalMaxPooling2D

# fmt: off
__all__ = [
    "ELU", "GRU", "LSTM", "RNN", "Activation", "Add", "Average", "AveragePooling2D", "AvgPool2D",
    "BatchNormalization", "Bidirectional", "Concatenate", "Conv2D", "Convolution2D", "Dense", "Dot",
    "Dropout", "Embedding", "Flatten", "GRUCell", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAvgPool2D", "GlobalMaxPool2D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "Input", "InputLayer", "LSTMCell", "Lambda", "Layer",
    "LayerNormalization", "LeakyReLU", "Masking", "MaxPool2D", "MaxPooling2D", "Maximum", "Minimum",
    "MultiHeadAttention", "Multiply", "Permute", "ReLU", "RepeatVector", "Reshape", "SimpleRNN",
    "SimpleRNNCell", "Softmax", "StackedRNNCells", "Subtract", "TimeDistributed", "ZeroPadding2D",
    "add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
]
# fmt: on
