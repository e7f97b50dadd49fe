"""What a recorded graph holds until it is walked."""

import tracemalloc

import minidl

MEGABYTE = 1e6


def relus(count: int = 10, elements: int = 1_000_000) -> tuple[int, int]:
    """The bytes that ReLUs in a row keep for backward, and those of the last one's result."""
    x = minidl.ones(elements, requires_grad=True)
    minidl.relu(x)  # whatever the first use loads is loaded now
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    y = x
    for _ in range(count):
        y = minidl.relu(y)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before - y.data.nbytes, y.data.nbytes
