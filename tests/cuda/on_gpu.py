"""With `pytest -m gpu` the tests of kernels and of training run on a GPU, by the real CuPy."""

import os
import sys
from functools import cache
from itertools import pairwise

from tests.cuda.stand_in import counters

# It must be known before anything imports CuPy, and in the processes of pytest-xdist, too.
if ("-m", "gpu") in pairwise(sys.argv):
    os.environ["MINIDL_TESTS_ON_GPU"] = "1"
ASKED = os.environ.get("MINIDL_TESTS_ON_GPU") == "1"
FILES = "tests/cuda/kernels/", "tests/cuda/test_training.py"


@cache
def missing() -> str:
    """What is missing for a run on a GPU; nothing where there is one."""
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
        cupy.zeros(1) + 1
    except ImportError:
        return "CuPy is not installed: pip install minidl[cuda13]"
    except Exception as error:
        return f"no GPU: {error}"
    return ""


def count_launches() -> None:
    """Have the launches of our kernels counted, as the stand-in does; transfers are not."""
    from minidl_cuda.launch import Kernel

    launch = Kernel.__call__

    def counted(self, grid, *arguments, **settings):
        launch(self, grid, *arguments, **settings)
        if grid != 0 and (isinstance(grid, int) or 0 not in grid):
            counters.launch(self.name)

    Kernel.__call__ = counted
