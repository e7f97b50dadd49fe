"""A backend with an array type of its own that offers array functions and nothing else."""

import operator
from types import SimpleNamespace

import numpy as np

from minidl.backends import cpu, device, register
from minidl.backends.contract import FUNCTIONS, SERVICES
from minidl.backends.registry import to_device
from minidl.backends.rows import row_gradient

TOY = device("toy")


class ToyArray:
    """An array that NumPy knows nothing of."""

    __array_ufunc__ = None
    base = None

    def __init__(self, values):
        self.values = np.asarray(values)

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: self.values.dtype)
    ndim = property(lambda self: self.values.ndim)
    size = property(lambda self: self.values.size)

    @property
    def T(self):
        return ToyArray(self.values.T)

    def copy(self):
        return ToyArray(self.values.copy())

    def astype(self, dtype):
        return ToyArray(self.values.astype(dtype))

    def reshape(self, shape):
        view = ToyArray(self.values.reshape(shape))
        return view

    def __getitem__(self, index):
        return ToyArray(self.values[_plain(index)])

    def __setitem__(self, index, values):
        self.values[_plain(index)] = _plain(values)


def _plain(value):
    if isinstance(value, tuple | list):
        return type(value)(_plain(part) for part in value)
    return value.values if isinstance(value, ToyArray) else value


def _toy(function):
    """The same function for toy arrays."""

    def on_toys(*args, **settings):
        settings = {name: _plain(value) for name, value in settings.items()}
        result = function(*map(_plain, args), **settings)
        if type(result) is tuple:
            return tuple(map(ToyArray, result))
        return None if result is None else ToyArray(result)

    return on_toys


for name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "and_",
    "or_",
    "xor",
    "rshift",
    "lshift",
    "matmul",
    "pow",
):
    function = getattr(operator, name)
    short = name.rstrip("_")
    setattr(ToyArray, f"__{short}__", _toy(function))
    setattr(ToyArray, f"__r{short}__", _toy(lambda x, y, function=function: function(y, x)))
    setattr(ToyArray, f"__i{short}__", _toy(getattr(operator, f"i{short}")))
for name in ("neg", "eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ToyArray, f"__{name}__", _toy(getattr(operator, name)))
ToyArray.__hash__ = object.__hash__

OWN = {
    "asarray": _toy(np.array),
    "to_numpy": _plain,
    "to_device": to_device,
    "row_gradient": row_gradient,
    "check_index": lambda index, shape: index,
    # Of its kind there is one device, which is never late.
    "devices": lambda: [TOY],
    "device_of": lambda x: TOY,
    "current_device": lambda: TOY,
    "set_device": lambda device: None,
    "synchronize": lambda device: None,
    "memory": lambda device: {},
    "reset_peak_memory": lambda device: None,
    "check": lambda valid, error: cpu.check(valid.values, error),
    "location": lambda x: cpu.location(x.values),
    "imported": lambda x, copy=None: ToyArray(cpu.imported(x, copy)),
    "pinned": lambda x: x,
    "upload": lambda arrays, device: lambda: [ToyArray(x.copy()) for x in arrays],
}

register(
    SimpleNamespace(
        name=TOY,
        Array=ToyArray,
        Scalar=ToyArray,
        kernel=lambda name: None,
        **{name: _toy(getattr(cpu, name)) for name in [*FUNCTIONS, *SERVICES] if name not in OWN},
        **OWN,
    )
)
