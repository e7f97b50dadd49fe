"""Recurrent networks, of rows that fill tiles and of few, with masks, in reverse, projected."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import minidl
from tests.bits.support import Case
from tests.every_backend.recurrent import GATES, arrays_of, mask_of

SIZES = (7, 20, 17, 33, 0), (12, 33, 64, 48, 20), (5, 1, 20, 40, 0), (40, 30, 5, 16, 3)


def cases() -> Iterator[Case]:
    for name, size, masked in product(GATES, SIZES, (False, True)):
        for reverse in (False, True):
            settings = {"reverse": reverse}
            yield (
                f"{name} {size} masked={masked} {settings}",
                partial(_run, name, size, masked, settings),
            )
    for masked in (False, True):
        yield (
            f"rnn relu masked={masked}",
            partial(_run, "rnn", SIZES[0], masked, {"nonlinearity": "relu"}),
        )


def _run(name: str, size: Any, masked: bool, settings: dict[str, Any]) -> list[Any]:
    """The outputs, and the gradients of all arrays."""
    arrays, dys = arrays_of(name, size)
    tensors = [x if x is None else minidl.asarray(x, requires_grad=True) for x in arrays]
    mask = minidl.asarray(mask_of(size)) if masked else None
    outputs = getattr(minidl, name)(*tensors, mask, **settings)
    leaves = [x for x in tensors if x is not None]
    gradients = minidl.gradients(list(outputs), leaves, [minidl.asarray(dy) for dy in dys])
    return [*outputs, *gradients]
