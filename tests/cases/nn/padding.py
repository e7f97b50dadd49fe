"""Rows of padding."""

from tests.cases.registry import ops
from tests.helpers import Case, real
from tests.oracle import functional

# fmt: off
CASES = [
    Case("pad", lambda x: ops.pad(x, (1, 2, -1, 0), value=0.5),
         lambda x: functional.pad(x, (1, 2, -1, 0), value=0.5), real(2, 3, 2)),
    *(Case(f"pad {mode}", lambda x, how=mode: ops.pad(x, (1, 2), how),
           lambda x, how=mode: functional.pad(x, (1, 2), how), real(2, 3))
      for mode in ("reflect", "replicate", "circular")),
]
# fmt: on
