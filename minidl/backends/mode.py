"""The settings in force: whether operations are recorded, what nodes save, which kernels run.

They are set by the context managers of `minidl.autograd.mode`; kernels read them here.
"""

import os
from contextvars import ContextVar
from typing import Any, NamedTuple


class Mode(NamedTuple):
    """The settings in force; every thread starts with these defaults."""

    record: bool = True  # operations on tensors that require gradients leave a node in the graph
    save_inputs: bool = False  # nodes save their inputs, so that gradients can be recorded too
    fast: bool = True  # a backend's kernels run where it has them
    winograd: bool = False  # kernels may use algorithms without a componentwise error bound
    observers: tuple[Any, ...] = ()
    replaying: bool = False  # an earlier computation is repeated, on its inputs as they were then
    autocast: Any = None  # which operations cast their inputs to float16 or float32


_DEFAULT = Mode(winograd=os.environ.get("MINIDL_WINOGRAD", "0") == "1")
current: ContextVar[Mode] = ContextVar("minidl mode", default=_DEFAULT)
