"""Elementwise functions, sums, products, softmax, and random numbers."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import minidl
from tests.bits.support import (
    DTYPES,
    Case,
    gradients,
    gradients_of_sum,
    integers,
    random,
    special,
)

ELEMENTWISE = {
    **{name: getattr(minidl, name) for name in ("exp", "log", "erf", "sigmoid", "tanh", "relu")},
    **{name: getattr(minidl, name) for name in ("leaky_relu", "elu", "gelu", "silu", "softplus")},
    "gelu tanh": partial(minidl.gelu, approximate="tanh"),
    "elu 1.5": partial(minidl.elu, alpha=1.5),
    "softplus 2": partial(minidl.softplus, beta=2.0, threshold=3.0),
}
# The last ones are summed in pieces.
SUMMED = (7,), (1000,), (100001,), (2_100_000,), (3, 5), (12, 7, 3), (70, 2, 60), (500_000, 5)
MATRICES = [
    ((3, 40, 70), (3, 70, 50)),
    ((5, 1, 90, 300), (4, 300, 33)),
    ((90, 3000), (3000, 70)),
    ((600, 90), (90, 600)),
]


def cases() -> Iterator[Case]:
    yield from _elementwise()
    for dtype in DTYPES:
        yield from _sums(dtype)
        yield from _random_numbers(dtype)
    yield from _products()
    yield from _softmax()


def _elementwise() -> Iterator[Case]:
    for name, function in ELEMENTWISE.items():
        for shape in ((7,), (3000,), (130, 257)):
            x = random(*shape) * 5
            x = minidl.abs(x) if name == "log" else x
            yield f"{name} {shape}", partial(gradients, function, x)
        yield f"{name} of a sum", partial(gradients_of_sum, function, x)
        yield f"{name} of special numbers", partial(gradients, function, special(130, 257))
    for values in (random, special):
        pair, name = (values(400, 401), values(400, 401, seed=1)), values.__name__
        for function in (minidl.add, minidl.multiply):
            yield f"{function.__name__} {name}", partial(gradients, function, *pair)
            yield f"{function.__name__} {name} of a sum", partial(gradients_of_sum, function, *pair)


def _sums(dtype: str) -> Iterator[Case]:
    for shape in SUMMED:
        x = random(*shape, dtype=dtype)
        for axis in (None, *range(len(shape))):
            for function in (minidl.sum, minidl.mean):
                yield (
                    f"{function.__name__} {shape} {axis} {dtype}",
                    partial(gradients, partial(function, axis=axis), x),
                )
    for shape in ((7,), (100001,), (40, 31, 20), (3, 3000)):
        for values in (random, special):
            x = values(*shape, dtype=dtype)
            for axis in range(len(shape)):
                name = f"{shape} {axis} {values.__name__} {dtype}"
                cumulative = partial(minidl.cumulative_sum, axis=axis)
                yield f"cumulative_sum {name}", partial(gradients, cumulative, x)
                yield f"sum of {name}", partial(gradients, partial(minidl.sum, axis=axis), x)
    table, rows = random(50, 17, dtype=dtype), integers(50, 1000)
    yield f"indexing {dtype}", partial(gradients, lambda t, rows=rows: t[rows], table)


def _random_numbers(dtype: str) -> Iterator[Case]:
    for shape in ((17,), (4096,), (70, 301)):
        x = random(*shape, dtype=dtype)
        for key in ((3, 11), (2**64 - 1, 2**40)):
            yield f"uniform_like {shape} {key} {dtype}", partial(_uniform, x, key)
        dropout = partial(minidl.dropout, p=0.3, key=(5, 7))
        yield f"dropout {shape} {dtype}", partial(gradients, dropout, x)


def _uniform(x: Any, key: tuple[int, int]) -> list[Any]:
    return [minidl.uniform_like(x, key)]


def _products() -> Iterator[Case]:
    for first, second in MATRICES:
        for values in (random, special):
            pair = values(*first), random(*second, seed=1)
            name = f"{first} {second} {values.__name__}"
            yield f"matmul {name}", partial(gradients, minidl.matmul, *pair)
    pair = random(600, 90), random(600, 90, seed=1)
    yield (
        "matmul of a transposed matrix",
        partial(gradients, lambda a, b: minidl.matmul(minidl.matrix_transpose(a), b), *pair),
    )
    stacks = random(4, 60, 50), random(4, 70, 50, seed=1)
    yield (
        "einsum of stacks",
        partial(gradients, partial(minidl.einsum, "bik,bjk->bij"), *stacks),
    )


def _softmax() -> Iterator[Case]:
    for shape in ((64, 10), (33, 1000), (4, 7, 65), (3, 40, 300), (2, 1, 3)):
        for values in (random, special):
            x = values(*shape)
            for softmax in (minidl.softmax, minidl.log_softmax):
                for axis in range(len(shape)):
                    name = f"{softmax.__name__} {shape} {axis} {values.__name__}"
                    yield name, partial(gradients, partial(softmax, axis=axis), x)
