"""Convolutions: every algorithm, aligned and not, with each epilogue."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import minidl
from minidl import nn
from tests.backends.kernels.conv.algorithms import WAYS, computed_by
from tests.bits.support import Case, gradients, of_layer, random, special

# x, weight and settings.
CONVOLUTIONS = [
    ((2, 1, 28, 28), (32, 1, 3, 3), {}),
    ((8, 1, 28, 28), (32, 1, 3, 3), {}),
    ((2, 32, 13, 13), (64, 32, 3, 3), {}),
    ((2, 64, 28, 28), (64, 64, 3, 3), {"padding": 1}),
    ((1, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
    ((3, 64, 5, 5), (64, 64, 3, 3), {"padding": 1}),
    ((2, 64, 14, 14), (32, 64, 1, 1), {}),
    ((2, 16, 15, 15), (16, 1, 3, 3), {"padding": 1, "groups": 16}),
    ((2, 8, 17, 19), (12, 4, 5, 3), {"stride": 2, "padding": (2, 1), "groups": 2}),
    ((2, 6, 20, 21), (7, 6, 3, 3), {"dilation": 2, "padding": 3}),
    ((2, 3, 33, 31), (24, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((1, 5, 9, 9), (1, 5, 3, 3), {"padding": 1}),
    ((4, 48, 7, 7), (96, 48, 3, 3), {"padding": 1, "stride": 2}),
    ((2, 2, 64, 64), (3, 2, 4, 4), {"stride": 4}),
]
# Smaller ones, for each algorithm by force, and with numbers that are not finite.
SMALL = [
    ((3, 1, 12, 11), (5, 1, 3, 3), {}),
    ((3, 1, 12, 11), (5, 1, 1, 3), {}),  # so few weights that they fit into the shortest vectors
    ((2, 3, 10, 9), (20, 3, 2, 2), {"padding": 1}),
    ((2, 5, 6, 6), (33, 5, 3, 3), {"padding": 1}),
    ((2, 40, 6, 6), (33, 40, 3, 3), {"padding": 1}),
    ((2, 16, 15, 15), (32, 1, 5, 5), {"padding": 2, "groups": 16}),
    ((2, 6, 19, 9), (6, 1, 7, 7), {"padding": 3, "groups": 6, "dilation": (1, 2)}),
    ((3, 32, 9, 10), (64, 16, 3, 3), {"padding": 1, "groups": 2}),
    ((90, 16, 8, 8), (24, 16, 3, 3), {"padding": 1}),
]
EPILOGUES = ([nn.ReLU()], [nn.ReLU(), nn.MaxPool2d(2)], [nn.MaxPool2d(2), nn.ReLU()])


def cases() -> Iterator[Case]:
    for x, w, settings in CONVOLUTIONS:
        name, arrays = f"{x} {w} {settings}", (random(*x), random(*w, seed=1), random(w[0], seed=2))
        yield f"conv2d {name}", partial(gradients, partial(_conv2d, settings), *arrays)
        for following in EPILOGUES:
            kinds = " ".join(type(module).__name__ for module in following)
            yield (
                f"Conv2d {kinds} {name}",
                partial(_layers, arrays[0], w, settings, following),
            )
        options = {key: settings[key] for key in ("stride", "groups") if key in settings}
        back = random(x[0], w[0], 6, 7), arrays[1], random(w[1] * options.get("groups", 1), seed=3)
        yield (
            f"conv_transpose2d {name}",
            partial(gradients, partial(_conv_transpose2d, options), *back),
        )
    for x, w, settings in SMALL:
        for values in (random, special):
            arrays = values(*x), random(*w, seed=1), random(w[0], seed=2)
            for way in WAYS:
                name = f"{values.__name__} by {way} {x} {w} {settings}"
                conv2d = partial(gradients, partial(_conv2d, settings), *arrays)
                yield f"conv2d {name}", partial(_by, way, conv2d)
                for dx in (True, False):
                    layers = partial(_layers, arrays[0], w, settings, EPILOGUES[-1], dx)
                    yield f"Conv2d pooled dx={dx} {name}", partial(_by, way, layers)


def _conv2d(settings: dict[str, Any], *arrays: Any) -> Any:
    return minidl.conv2d(*arrays, **settings)


def _conv_transpose2d(settings: dict[str, Any], *arrays: Any) -> Any:
    return minidl.conv_transpose2d(*arrays, **settings)


def _layers(
    x: Any, w: Any, settings: dict[str, Any], following: list[nn.Module], dx: bool = True
) -> list[Any]:
    """A layer with this weight, and those that follow it."""
    return of_layer(
        nn.Sequential(nn.Conv2d(x.shape[1], w[0], w[2:], **settings), *following), x, dx
    )


def _by(way: str, compute: Callable[[], list[Any]]) -> list[Any]:
    with computed_by(way):
        return compute()
