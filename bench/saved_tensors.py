"""The memory that a recorded graph holds for the backward pass."""

import tracemalloc

import minidl

MEGABYTE = 1e6


def relus(count: int = 10, elements: int = 1_000_000) -> tuple[int, int]:
    """The bytes that a chain of ReLUs saves for backward, and those of its result."""
    x = minidl.ones(elements, requires_grad=True)
    minidl.relu(x)  # load now whatever the first use loads
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    y = x
    for _ in range(count):
        y = minidl.relu(y)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before - y.data.nbytes, y.data.nbytes
