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
WAYS = {  # how many products padding-free regions may take, and whether Winograd's are worth it
    "cheapest": (select._padding_free_limit, select._if_faster),
    "planes": (lambda plan: NEVER, lambda squares, plan: None),
    "classes": (lambda plan: ALWAYS, lambda squares, plan: None),
    "squares": (lambda plan: NEVER, lambda squares, plan: squares),
}


@contextmanager
def computed_by(way):
    """Kernels use implicit GEMM, or padding-free regions, or Winograd's algorithm."""
    select._padding_free_limit, select._if_faster = WAYS[way]
    plans.forget()
    try:
        with minidl.allow_winograd(way == "squares"):
            yield
    finally:
        select._padding_free_limit, select._if_faster = WAYS["cheapest"]
        plans.forget()
