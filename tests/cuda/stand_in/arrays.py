"""The array of the stand-in: NumPy's, of a type that NumPy refuses, on one of two devices."""

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.cuda.stand_in import pin
from tests.cuda.stand_in.counters import Differs, counters
from tests.cuda.stand_in.devices import Device, allocate, current_device

_ATTRIBUTES = set(pin.load()["array"])

settings = {"wrap": False}  # whether indices wrap around, as on the GPU, or that is an error

_SCALARS = (int, float, complex, bool, np.generic)
_UNSUPPORTED = "Unsupported type {}"
_IMPLICIT = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)


class ndarray:  # noqa: N801 - as it is called in CuPy
    """cupy.ndarray."""

    __slots__ = ("__weakref__", "_a", "_memory", "base")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: Any = None,
        strides: Any = None,
        order: str = "C",
    ) -> None:
        if memptr is None:
            made = np.empty(shape, dtype, order)
            _poison(made)
            base = None
        else:
            made = np.ndarray(shape, dtype, memptr.array.reshape(-1).view(np.uint8), 0, strides)
            base = memptr.array
        self._a, self.base = made, None
        self._memory = allocate(made.nbytes) if base is None else memptr.memory
        if base is None:
            self._memory.array = made

    # What it is.
    device = property(lambda self: Device(self._memory.device_id))
    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    strides = property(lambda self: self._a.strides)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    flags = property(lambda self: self._a.flags)
    data = property(lambda self: MemoryPointer(self))
    T = property(lambda self: view(self._a.T, self))
    mT = property(lambda self: view(self._a.mT, self))  # noqa: N815 - as in CuPy

    @property
    def real(self) -> "ndarray":
        return view(self._a.real, self)

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> "ndarray":
        if self.dtype.kind != "c":
            return new(np.zeros_like(self._a))
        return view(self._a.imag, self)

    @imag.setter
    def imag(self, value: Any) -> None:
        if self.dtype.kind != "c":
            raise TypeError("cannot set the imaginary part of real numbers")
        view(self._a.imag, self)[...] = value

    @property
    def flat(self) -> Any:
        raise Differs("ndarray.flat: CuPy's takes no index arrays, and iterating waits each time")

    def __getattr__(self, name: str) -> Any:
        if name not in _ATTRIBUTES:
            raise AttributeError(f"cupy.ndarray has no {name!r}")
        found = getattr(self._a, name)
        if not callable(found):
            return found

        def method(*args: Any, **settings: Any) -> Any:
            check_devices((self, *args))
            with np.errstate(all="ignore"):
                result = found(*map(plain, args), **plain(settings))
            return computed(name, wrap(result, (self, *args)), (self, *args))

        return method

    # To the host, each a wait.
    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> Any:
        counters.count("d2h", "get")
        if out is None:
            return self._a.copy(order)
        out[...] = self._a
        return out

    def item(self, *args: Any) -> Any:
        counters.count("d2h", "item")
        return self._a.item(*args)

    def tolist(self) -> Any:
        counters.count("d2h", "tolist")
        return self._a.tolist()

    def set(self, arr: Any, stream: Any = None) -> None:
        counters.count("h2d", "set")
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError("Shape or dtype mismatch")
        if not self.flags.c_contiguous:
            raise RuntimeError("Cannot set to non-contiguous array")
        self._a[...] = arr

    def __array__(self, *args: Any, **settings: Any) -> Any:
        raise TypeError(_IMPLICIT)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **settings: Any) -> Any:
        from tests.cuda.stand_in import functions

        if method != "__call__":
            return NotImplemented
        return functions.find(ufunc.__name__)(*args, **settings)

    def __array_function__(self, function: Any, types: Any, args: Any, settings: Any) -> Any:
        from tests.cuda.stand_in import functions

        return functions.find(function.__name__)(*args, **settings)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())

    # Copies.
    def copy(self, order: str = "C") -> "ndarray":
        counters.launch("copy")
        if self._memory.device_id != current_device():
            counters.count("peer", "copy")
        return new(self._a.copy(order))

    def astype(
        self,
        dtype: Any,
        order: str = "K",
        casting: Any = None,
        subok: Any = None,
        copy: bool = True,
    ) -> "ndarray":
        with np.errstate(all="ignore"):
            result = self._a.astype(dtype, order=order, copy=copy)
        if result is self._a:
            return self
        counters.launch("astype")
        return new(result)

    def reshape(self, *shape: Any, order: str = "C") -> "ndarray":
        return computed("reshape", wrap(self._a.reshape(*shape, order=order), (self,)), (self,))

    def fill(self, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError(_UNSUPPORTED.format(type(value)))
        counters.launch("fill")
        self._a.fill(plain(value))

    # Indexing.
    def __getitem__(self, index: Any) -> Any:
        check_devices((self, index))
        index = as_index(index)
        if settings["wrap"]:
            index = wrapped(self._a, index)
        if check_index(self._a, index):
            counters.launch("take")
            return new(np.array(self._a[index]))
        part = self._a[index]
        if isinstance(part, np.generic):  # NumPy copies an element, CuPy gives a view of it
            part = self._a[(*(index if isinstance(index, tuple) else (index,)), ...)]
        return view(part, self)

    def __setitem__(self, index: Any, value: Any) -> None:
        check_devices((self, index, value))
        index = as_index(index)
        advanced = check_index(self._a, index)
        if isinstance(value, np.ndarray):
            if value.ndim and not (isinstance(index, slice) and index == slice(None)):
                raise TypeError(_UNSUPPORTED.format(type(value)))
            counters.count("h2d", "assignment")
        several = getattr(value, "size", 1) > 1
        if advanced and several and names_twice(self._a, index):
            raise Differs("an assignment to a place twice: which value stays is undefined")
        counters.launch("assign")
        with np.errstate(all="ignore"):
            self._a[index] = value if isinstance(value, np.ndarray) else plain(value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self._a)

    def __repr__(self) -> str:
        return repr(self._a)

    # Sharing.
    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self._memory.device_id

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: Any = None,
    ) -> Any:
        check_devices((self,))
        if not isinstance(stream, int | None) or not isinstance(dl_device, tuple | None):
            raise TypeError(
                f"DLPack: a stream is a number and a device two; got {stream, dl_device}"
            )
        if dl_device == (1, 0):
            return self.get().__dlpack__(max_version=max_version)
        if copy:
            raise BufferError("copy=True only supported for copy to CPU.")
        return self._a.__dlpack__(max_version=max_version)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._a.__array_interface__, "version": 3}


class MemoryPointer:
    """cupy.cuda.MemoryPointer: where an array's data is."""

    def __init__(self, array: ndarray) -> None:
        self.array, self.memory = array._a, array._memory
        self.mem, self.device_id = array._memory, array._memory.device_id
        self.ptr = array._a.ctypes.data

    device = property(lambda self: Device(self.device_id))

    def __int__(self) -> int:
        return self.ptr


def _poison(array: np.ndarray) -> None:
    """Fill with bits that are a NaN, or an integer that is not expected."""
    if array.size:
        array.view(np.uint8).fill(0xFF) if array.flags.c_contiguous and array.ndim else None
        if array.dtype.kind in "fc":
            array.fill(np.nan)


def new(values: np.ndarray) -> ndarray:
    """An array of the current device that holds these values."""
    array = ndarray.__new__(ndarray)
    array._a, array.base = np.asarray(values), None
    array._memory = allocate(array._a.nbytes)
    array._memory.array = array._a
    return array


def view(values: Any, of: ndarray) -> ndarray:
    """A view of an array."""
    if values is of._a:
        return of
    array = ndarray.__new__(ndarray)
    array._a, array._memory = values, of._memory
    array.base = of if of.base is None else of.base
    return array


def owners(value: Any) -> Iterator[ndarray]:
    """The arrays in arguments."""
    if isinstance(value, ndarray):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from owners(part)


def check_devices(args: Any) -> None:
    """Raise unless all arrays are on the current device."""
    current = current_device()
    for array in owners(args):
        if array._memory.device_id != current:
            raise ValueError(
                "Array device must be same as the current device: array device = "
                f"{array._memory.device_id} while current = {current}"
            )


def plain(value: Any) -> Any:
    """Arguments with NumPy's arrays for the stand-in's; NumPy's own are refused."""
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError(_UNSUPPORTED.format(type(value)))
    if isinstance(value, list | tuple):
        parts = map(plain, value)
        return list(parts) if isinstance(value, list) else tuple(parts)
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return value


def wrap(result: Any, args: Any = ()) -> Any:
    """NumPy's result as the stand-in's: new, or a view of one of the arguments."""
    if isinstance(result, tuple | list):
        return tuple(wrap(part, args) for part in result)
    if not isinstance(result, np.ndarray | np.generic):
        return result
    array = np.asarray(result)
    for owner in owners(args):
        if array is owner._a:
            return owner
        if array.base is not None and np.may_share_memory(array, owner._a):
            return view(array, owner)
    return new(array)


def computed(name: str, result: Any, args: Any) -> Any:
    """The result of a function, which launched something unless it is a view of an argument."""
    given = {id(owner._memory) for owner in owners(args)}
    if any(id(array._memory) not in given for array in owners(result)):
        counters.launch(name)
    return result


def as_index(index: Any) -> Any:
    """An index as CuPy takes it: lists and host arrays are uploaded."""
    if isinstance(index, tuple):
        return tuple(map(as_index, index))
    if isinstance(index, list | np.ndarray):
        counters.count("h2d", "index")
        return np.asarray(index, None if np.size(index) else np.int64)
    return plain(index)


def check_index(array: np.ndarray, index: Any) -> bool:
    """Whether the index has arrays in it; raise where CuPy would wrap an integer around."""
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if any(part.dtype == bool for part in arrays):
        counters.count("sync", "boolean index")
    elif arrays:
        try:
            array[index]
        except IndexError as error:
            if "out of bounds" not in str(error):
                raise
            raise Differs(f"CuPy wraps such an index around, silently: {error}") from None
    return bool(arrays)


def wrapped(array: np.ndarray, index: Any) -> Any:
    """The index with its integers wrapped around, as CuPy does, for tests of deferred errors."""
    parts = index if isinstance(index, tuple) else (index,)
    if Ellipsis in [part for part in parts if not isinstance(part, np.ndarray)]:
        return index
    axis, result = 0, []
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != bool:
            part = part % array.shape[axis] if array.shape[axis] else part
        axis += part is not None
        result.append(part)
    return tuple(result)


def names_twice(array: np.ndarray, index: Any) -> bool:
    """Whether an index names a place twice."""
    index = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if isinstance(index, np.ndarray) and index.dtype != bool and index.ndim == 1:
        return np.unique(index % max(1, len(array))).size != index.size
    places = np.arange(array.size).reshape(array.shape)[index]
    return np.unique(places).size != places.size
