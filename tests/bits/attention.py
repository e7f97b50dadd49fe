"""Attention: blocks that are full and not, each kind of mask, dropout, long sums."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import minidl
from tests.bits.support import Case, gradients, random, special

SIZES = [  # query and key, size of a value
    ((2, 4, 64, 32), (2, 4, 64, 32), 32),
    ((1, 2, 100, 17), (1, 2, 150, 17), 33),
    ((2, 6, 30, 16), (2, 2, 40, 16), 16),
    ((1, 1, 1700, 8), (1, 1, 1200, 8), 8),
]
DECODING = [  # the same, of few queries without gradients
    ((2, 4, 1, 64), (2, 2, 1100, 64), 64),
    ((1, 3, 4, 17), (1, 3, 600, 17), 33),
]


def cases() -> Iterator[Case]:
    yield from _of_few_queries()
    for query, key, size in SIZES:
        shape = *query[:3], key[2]
        bools = random(*shape, seed=5).numpy() > -0.5
        masks = {
            "none": None,
            "padding": bools[:, :1, :1],
            "bools": bools[0, 0],
            "floats": random(*shape[1:], seed=6).numpy(),
        }
        for name, mask in masks.items():
            for options in ({}, {"is_causal": True}, {"dropout_p": 0.2, "dropout_key": (3, 5)}):
                for values in (random, special):
                    arrays = values(*query), values(*key, seed=1), values(*key[:-1], size, seed=2)
                    yield (
                        f"attention {values.__name__} {query} {key} {size} {name} {options}",
                        partial(_attention, arrays, mask, options),
                    )


def _of_few_queries() -> Iterator[Case]:
    for query, key, size in DECODING:
        shape = *query[:3], key[2]
        for name, mask in (("none", None), ("bools", random(*shape, seed=5).numpy() > -0.5)):
            for values in (random, special):
                arrays = values(*query), values(*key, seed=1), values(*key[:-1], size, seed=2)
                yield (
                    f"decoding {values.__name__} {query} {key} {size} {name}",
                    partial(_decoding, arrays, mask),
                )


def _decoding(arrays: Any, mask: Any) -> list[Any]:
    with minidl.no_grad():
        return [minidl.scaled_dot_product_attention(*arrays, mask, enable_gqa=True)]


def _attention(arrays: Any, mask: Any, options: dict[str, Any]) -> list[Any]:
    attend = partial(minidl.scaled_dot_product_attention, enable_gqa=True, **options)
    if mask is None or mask.dtype == np.bool:
        return gradients(lambda *given: attend(*given, mask), *arrays)
    return gradients(attend, *arrays, minidl.asarray(mask))
