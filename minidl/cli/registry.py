"""The registry of datasets and networks that commands know by name."""

from typing import Any

from minidl import nn
from minidl.data import digits, fashion_mnist, mnist
from minidl.models import CNN, MLP

# The function that loads each dataset, and the default number of epochs.
DATA = {"digits": (digits, 30), "mnist": (mnist, 10), "fashion-mnist": (fashion_mnist, 10)}

_CLOTHES = [
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
]

MODELS = {
    "mlp": "fully connected, 128-64-10, with ReLU (`minidl.models.MLP`)",
    "cnn": "convolutional, 32-64-128-10, with ReLU and max pooling (`minidl.models.CNN`)",
}


# The kernels that training them needs, which are compiled side by side if they have to be.
_KERNELS = [
    *("random:_uniform", "gemm:_product", "simd.micro_kernel:micro_kernel"),
    *("simd.micro_kernel:transpose_panel", "loss:_forward", "loss:_total", "loss:_backward"),
    *("reduction:_sum_lines", "optimizer:_fill_row", "optimizer:_adam"),
]
KERNELS = {
    "mlp": [*_KERNELS, "elementwise:_relu", "elementwise:_relu_gradient_formula.binary"],
    "cnn": [
        *("conv.padding_free:_batches", "conv.weight_gradient:_sum_images"),
        *("conv.weight_gradient_pooled:_sum_images", "conv.weight_gradient:_sum_chunks"),
        *("pool.max_pool_2x2:_forward", "pool.max_pool_2x2:_backward", "linear:_relu_gradient"),
        *("gemm:_transpose", *_KERNELS),
    ],
}


def network(name: str, shape: Any) -> nn.Module:
    """A new network of this name, for images (channels, height, width)."""
    channels, height, width = shape
    if name == "cnn":
        return CNN(channels, (height, width))
    return MLP(inputs=channels * height * width)


def classes(data: str) -> list[str]:
    """The names of the ten classes."""
    return _CLOTHES if data == "fashion-mnist" else [str(digit) for digit in range(10)]
