"""The tables of the operations that have a derivative; a new one gets its tests by a new row.

    Case("softsign", ops.softsign, functional.softsign, real(3, 4))

The name is the operation's, with what is particular about the row after a space; then come the
operation on minidl's tensors, PyTorch's counterpart (None if it has none), and the inputs: each a
domain and a shape, within which the operation is three times differentiable.  Inputs that are
`fixed` are not differentiated.

The files are those of `minidl.ops`, each with a list `CASES`.  An operation without a derivative
is named in `no_derivative.py` instead.
"""

import pkgutil
from importlib import import_module

from tests.cases.no_derivative import NO_DERIVATIVE
from tests.cases.registry import operations

_MODULES = [m.name for m in pkgutil.walk_packages(__path__, f"{__name__}.")]
TABLES = {
    f"{name.replace('.', '/')}.py": module.CASES
    for name in _MODULES
    if hasattr(module := import_module(name), "CASES")
}
CASES = [case for table in TABLES.values() for case in table]


def table_for(name):
    """The file in which the operation's row belongs: that of the others in its module."""
    module = operations()[name].body.__module__
    neighbours = {n for n, f in operations().items() if f.body.__module__ == module}
    counts = {
        file: sum(case.operation in neighbours for case in table) for file, table in TABLES.items()
    }
    file = max(counts, key=counts.get)
    return file if counts[file] else "the file of tests/cases/ that fits"
