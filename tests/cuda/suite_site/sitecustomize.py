"""For programs that the suite's tests start: `import cupy` finds the stand-in there, too.

The suite puts this folder on PYTHONPATH, and Python imports this module by its name as it starts.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path


class _StandIn(MetaPathFinder, Loader):
    """Finds `cupy`, and installs the stand-in in its place."""

    def find_spec(self, name, path, target=None):
        if name == "cupy":
            return ModuleSpec(name, self)
        return None

    def create_module(self, spec):
        sys.path.append(str(Path(__file__).parents[3]))
        try:
            from tests.cuda import stand_in
        finally:
            sys.path.pop()
        return stand_in.install()

    def exec_module(self, module):
        """It is complete."""


sys.meta_path.insert(0, _StandIn())
