"""Classifiers of images."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.cli.tasks.task import Check, Classifier, Sample, is_count
from minidl.data import DataLoader, digits, fashion_mnist, mnist, random_split
from minidl.data.images import MAX_PIXELS, read_image
from minidl.data.npz import read_npy, read_npz
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.models import CNN, MLP
from minidl.ops import asarray, zeros
from minidl.ops.random import Generator
from minidl.optim import Adam
from minidl.train import Callback, Trainer

# The function that loads each dataset, and the default number of epochs.
DATA = {"digits": (digits, 30), "mnist": (mnist, 10), "fashion-mnist": (fashion_mnist, 10)}

_CLOTHES = [
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
]
_ARRAYS = ".npy", ".npz"
_MOST_PIXELS = 1 << 20  # of an image: networks grow with it

_KERNELS = [
    *("random:_uniform", "gemm:_product", "simd.gemm_kernel:multiply_panel"),
    *("simd.micro_kernel:transpose_panel", "loss:_forward", "loss:_total", "loss:_backward"),
    *("reduction:_sum_lines", "optimizer:_fill_row", "optimizer:_adam"),
]
_KERNELS_OF = {
    "mlp": [*_KERNELS, "elementwise:_relu", "elementwise:_relu_gradient_formula.binary"],
    "cnn": [
        *("conv.padding_free:_batches", "conv.weight_gradient:_sum_images"),
        *("conv.weight_gradient_pooled:_sum_images", "conv.weight_gradient:_sum_chunks"),
        *("pool.max_pool_2x2:_forward", "pool.max_pool_2x2:_backward", "linear:_relu_gradient"),
        *("simd.micro_kernel:micro_kernel", *_KERNELS),
    ],
}


def _is_shape(value: Any) -> bool:
    """Whether these are channels, height and width of images."""
    sizes = isinstance(value, list) and len(value) == 3 and all(map(is_count, value))
    return sizes and math.prod(value) <= _MOST_PIXELS


class Images(Classifier):
    """A network that tells ten kinds of images apart."""

    NETWORKS: ClassVar[dict[str, str]] = {
        "mlp": "fully connected, 128-64-10, with ReLU (`minidl.models.MLP`)",
        "cnn": "convolutional, 32-64-128-10, with ReLU and max pooling (`minidl.models.CNN`)",
    }
    DATA = DATA
    VALID: ClassVar[dict[str, Check]] = {"shape": _is_shape}
    SAMPLES, SAMPLE = "images", "image"

    train: Any
    validation: Any
    held_out: Any

    @classmethod
    def defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        data = given.get("data", "digits")
        return {
            "data": data,
            "epochs": DATA[data][1],
            "batch_size": 32,
            "lr": 1e-3,
            "seed": 0,
            "validation": 0.1,
            "save_every": None,
            "mixed_precision": False,
        }

    @classmethod
    def kernels(cls, network: str) -> list[str]:
        return _KERNELS_OF[network]

    @classmethod
    def sizes(cls, network: str) -> str:
        sizes = []
        for side, shape in ((8, [1, 8, 8]), (28, [1, 28, 28])):
            model = cls({"model": network, "shape": shape}).network()
            sizes.append(f"{sum(p.size for p in model.parameters()):,} for {side}×{side}")
        return f"{', '.join(sizes)} images"

    def load(self, folder: Path | None = None) -> dict[str, Any]:
        train, self.held_out = DATA[self.settings["data"]][0]()
        fraction, generator = self.settings["validation"], Generator(self.settings["seed"])
        self.train, self.validation = random_split(train, [1 - fraction, fraction], generator)
        return {"shape": list(train.tensors[0].shape[1:])}

    def network(self) -> nn.Module:
        channels, height, width = self.settings["shape"]
        if self.settings["model"] == "cnn":
            return CNN(channels, (height, width))
        return MLP(inputs=channels * height * width)

    def example(self) -> tuple[Tensor, ...]:
        return (zeros((1, *self.settings["shape"])),)

    def batches(self) -> tuple[Any, Any]:
        train = DataLoader(self.train, self.settings["batch_size"], shuffle=True)
        return train, DataLoader(self.validation, 512) if len(self.validation) else None

    def trainer(self, model: nn.Module, steps: int, callbacks: list[Callback]) -> Trainer:
        optimizer = Adam(model.parameters(), lr=self.settings["lr"])
        mixed = self.settings["mixed_precision"]
        return Trainer(
            model, optimizer, "cross_entropy", ["accuracy"], callbacks, mixed_precision=mixed
        )

    def test_batches(self) -> Any:
        return self.held_out

    def counts(self) -> tuple[int, int]:
        return len(self.train), len(self.held_out)

    def classes(self) -> list[str]:
        if self.settings["data"] == "fashion-mnist":
            return _CLOTHES
        return [str(digit) for digit in range(10)]

    def samples(
        self,
        given: Sequence[str],
        count: int,
        folder: Path,
        *,
        max_pixels: int = MAX_PIXELS,
        invert: bool = False,
        **_: Any,
    ) -> Iterator[Sample]:
        """Images of files, of shape (1, C, H, W), else of the test data."""
        shape = tuple(self.settings["shape"])
        if not given:
            self.load()
            images, labels = self.held_out[:count]
            for i, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
                yield Sample(f"test {i}", (asarray(image[None]),), label)
        for path in map(Path, given):
            arrays = path.suffix in _ARRAYS
            limit = {"max_pixels": max_pixels}
            batch = _arrays(path, shape) if arrays else read_image(path, shape, **limit)[None]
            for i, image in enumerate(batch):
                name = f"{path}[{i}]" if len(batch) > 1 else str(path)
                yield Sample(name, (asarray((1 - image if invert else image)[None]),), None)


def _arrays(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The images (N, C, H, W) of a file of arrays."""
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if len(arrays) != 1:
            raise ArgumentError(f"{path}: needs one array; has {', '.join(arrays) or 'none'}")
        array = next(iter(arrays.values()))
    else:
        array = read_npy(path)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{path}: needs an array of real numbers; got {array.dtype}")
    for required in (shape, shape[1:]) if shape[0] == 1 else (shape,):
        if array.shape[-len(required) :] == required and array.ndim <= len(required) + 1:
            return _checked(path, array.reshape(-1, *shape).astype(np.float32))
    raise ShapeError(f"{path}: needs images of shape {shape}; got {array.shape}")


def _checked(path: Path, images: np.ndarray) -> np.ndarray:
    """The images, after checking that there are some, and that they are finite."""
    if not len(images):
        raise ShapeError(f"{path}: holds no images")
    if not np.isfinite(images).all():
        raise ArgumentError(f"{path}: holds NaN or infinity; an image is from 0 to 1")
    return images
