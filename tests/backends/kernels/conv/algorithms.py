"""Forcing the algorithm of a convolution, and the number of chunks."""

import sys
from contextlib import contextmanager

import minidl
from minidl.backends import threads
from minidl.backends.kernels.conv import select
from minidl.backends.kernels.runtime import plans


@contextmanager
def split_into(count):
    """Kernels split their work into so many chunks, however little there is of it."""
    before = minidl.get_num_threads(), threads._WORTH
    try:
        minidl.set_num_threads(count)
        threads._WORTH = 1
        yield
    finally:
        minidl.set_num_threads(before[0])
        threads._WORTH = before[1]


NEVER, ALWAYS = -1, sys.maxsize
CHOICES = "_depthwise", "_padding_free_limit", "_if_faster"  # functions of the cost model
CHEAPEST = {name: getattr(select, name) for name in CHOICES}
GEMM = {
    "_depthwise": lambda plan: None,
    "_padding_free_limit": lambda plan: NEVER,
    "_if_faster": lambda plan, exact: None,
}
WAYS = {
    "cheapest": CHEAPEST,
    "planes": GEMM,
    "classes": GEMM | {"_padding_free_limit": lambda plan: ALWAYS},
    "squares": GEMM | {"_if_faster": lambda plan, exact: plan},
}


@contextmanager
def computed_by(way):
    """Kernels use implicit GEMM, or padding-free regions, or Winograd's algorithm."""
    vars(select).update(WAYS[way])
    plans.forget()
    try:
        with minidl.allow_winograd(way == "squares"):
            yield
    finally:
        vars(select).update(CHEAPEST)
        plans.forget()
