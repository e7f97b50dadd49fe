"""A small convolutional network."""

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn.module import shape_error


class CNN(nn.Module):
    """Two convolutions, each followed by 2×2 max pooling, and two fully connected layers.

        (channels, H, W) → 32 maps → halved → 64 maps → halved → 128 → classes

    channels    of the images: 1 for greyscale, 3 for colour
    size        their height and width: an int for both, or two
    classes     the number of logits

    The 3×3 convolutions are not padded: each removes two rows and two columns.  As this leaves
    nothing of images below 10×10, those are padded with zeros, and may be as small as 4×4.

    The output is the logits, without softmax: cross-entropy takes logits, because the logarithm
    of a softmax that has rounded to 0 would be infinite.  The largest logit is the same class.

    >>> minidl.models.CNN(channels=3, size=32)(minidl.zeros((2, 3, 32, 32))).shape
    (2, 10)
    """

    def __init__(
        self, channels: int = 1, size: int | tuple[int, int] = 28, classes: int = 10
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 4:
            raise ArgumentError(
                f"CNN: needs images of 4×4 or more, to halve them twice; got {size}"
            )
        self.shape = channels, height, width
        padding = 0 if min(height, width) >= 10 else 1
        for _ in range(2):
            height, width = (height - 2 + 2 * padding) // 2, (width - 2 + 2 * padding) // 2
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * height * width, 128), nn.ReLU(), nn.Linear(128, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes)."""
        if tuple(getattr(x, "shape", ()))[1:] != self.shape:
            raise shape_error("CNN", f"(N, {', '.join(map(str, self.shape))})", x)
        return self.classifier(self.features(x))
