"""Tensor: an array, and the edge of the computation graph along which its gradient flows.

What needs only the array or the graph is defined here.  Operators, and methods that compute, are
operations, which `minidl.ops` attaches (`ops/operators.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from minidl.autograd import engine, host_copies, inplace, namespace
from minidl.autograd.graph import Edge, Leaf
from minidl.autograd.tensor_methods import TensorMethods
from minidl.backends import backend_of, device, device_of
from minidl.backends.registry import create, on_device_of
from minidl.backends.rows import RowGradient
from minidl.checks import check_flags
from minidl.errors import (
    EXPLAINED,
    ArgumentError,
    DeviceError,
    DTypeError,
    GradientError,
    ShapeError,
    describe,
    named,
    raise_explained,
)


class Tensor(TensorMethods):
    """An n-dimensional array that can be differentiated.

    Create one with `minidl.tensor` (which copies), `minidl.asarray` (which shares memory), or any
    other function of the library.

    data    the array itself, of the backend's type; writing into it bypasses all checks
    edge    where the gradient of this tensor flows, an `Edge`; None for a constant

    >>> x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> y = (x[0] * x.T).sum()
    >>> y.backward()
    >>> y, x.grad
    (Tensor(17., float32, from sum), Tensor([[4., 8.],
            [2., 2.]], shape=(2, 2), float32))
    """

    __slots__ = ("__weakref__", "data", "edge")
    __array_ufunc__ = None  # ndarray * tensor calls __rmul__ here, instead of NumPy's multiply
    __hash__ = object.__hash__  # by identity, although == compares the elements

    def __init__(self, data: Any, edge: Edge | None = None) -> None:
        self.data: Any = data
        self.edge: Any = edge

    # Attributes of the array.

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def device(self) -> device:
        """The device that the array is stored on: "cpu", "cuda:0"."""
        return backend_of(self.data).device_of(self.data)

    # Gradients.

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor; on a leaf, it can be set."""
        return self.edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value is not True and value is not False and not isinstance(value, np.bool_):
            raise ArgumentError(f"requires_grad is True or False; got {describe(value)}")
        if not self.is_leaf:
            raise GradientError(
                f"requires_grad: this tensor was computed by {self.edge[0].name}; only leaves can "
                "change it; detach() gives a constant"
            )
        if value and self.dtype.kind not in "fc":
            raise GradientError(
                "requires_grad: gradients are of float and complex tensors; this one is "
                f"{self.dtype}"
            )
        if value != self.requires_grad:
            self.edge = (Leaf(self.shape, self.dtype), 0) if value else None

    def requires_grad_(self, wanted: bool = True) -> Self:
        """Set `requires_grad`, and return the tensor."""
        self.requires_grad = wanted
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor is not the output of a recorded operation."""
        return self.edge is None or type(self.edge[0]) is Leaf

    @property
    def grad(self) -> Tensor | Any:  # Any, so that x.grad.numpy() needs no check for None
        """The gradient that `backward` has accumulated: a Tensor, a RowGradient, or None."""
        if not self.is_leaf:
            raise GradientError(
                f"grad: this tensor was computed by {self.edge[0].name}, and only leaves keep "
                "their gradient; minidl.gradients(y, [x]) gives that of any tensor"
            )
        grad = None if self.edge is None else self.edge[0].grad
        return Tensor(grad) if backend_of(grad) else grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if self.edge is None or not self.is_leaf:
            raise GradientError("grad: only a leaf that requires gradients has one to set")
        given = getattr(value, "shape", None), getattr(value, "dtype", None)
        if value is not None and given != self.edge[0].outputs[0]:
            raise ShapeError(f"grad: needs {describe(self)}; got {describe(value)}")
        array = value.data if isinstance(value, Tensor) else value
        array = array.rows if isinstance(array, RowGradient) else array
        if backend_of(array) is not None and device_of(array) != device_of(self.data):
            raise DeviceError(
                f"grad: needs {describe(self)} on {str(self.device)!r}; got {describe(value)} on "
                f"{str(device_of(array))!r}"
            )
        if isinstance(value, RowGradient):
            value = value.coalesce()
        constant = isinstance(value, Tensor) and value.edge is None
        self.edge[0].grad = value.data if constant else value

    def backward(
        self, gradient: Any = None, *, create_graph: bool = False, retain_graph: bool | None = None
    ) -> None:
        """Add the gradient of this tensor with respect to every leaf to the leaf's `grad`.

        gradient        dL/d(this), of the same shape; 1 by default for a single number
        create_graph    record the gradients, so that they can be differentiated; the forward pass
                        must have run under `minidl.higher_order()`
        retain_graph    keep the saved tensors for another backward; defaults to create_graph
        """
        if retain_graph is not None or create_graph is not False:
            check_flags("backward", create_graph=create_graph, retain_graph=retain_graph or False)
        root = self.edge, seed_of(self, gradient, create_graph, "backward")
        retain = create_graph if retain_graph is None else retain_graph
        engine.backward([root], create_graph=create_graph, retain_graph=retain)

    def detach(self) -> Tensor:
        """A constant that shares this tensor's memory."""
        return Tensor(self.data)

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call `hook` with each gradient of this tensor; what it returns, if not None, replaces it.

        It is called with a Tensor, or with the RowGradient of a table.

        Returns a function that removes the hook.
        """
        if not callable(hook):
            raise ArgumentError(f"register_hook: needs a function; got {describe(hook)}")
        if self.edge is None:
            raise GradientError("register_hook: a constant has no gradient")
        source, index = self.edge
        conj = (
            namespace.differentiable.conj if self.dtype.kind == "c" else lambda gradient: gradient
        )

        def on_array(gradient: Any) -> Any:
            recorded = isinstance(gradient, Tensor)
            if type(gradient) is RowGradient:
                replaced = hook(gradient.coalesce())
            else:
                replaced = hook(conj(gradient if recorded else Tensor(gradient)))
            if replaced is None or type(replaced) is RowGradient:
                return replaced
            given = getattr(replaced, "shape", None), getattr(replaced, "dtype", None)
            if not isinstance(replaced, Tensor) or given != source.outputs[index]:
                raise GradientError(
                    f"register_hook: the hook gave {describe(replaced)}; needs None, or a tensor "
                    f"like the gradient, {describe(gradient)}"
                )
            return conj(replaced) if recorded else conj(replaced).data

        entry = index, on_array
        source.hooks = [*(source.hooks or ()), entry]
        return lambda: source.hooks.remove(entry) if entry in source.hooks else None

    # Conversion to Python and NumPy.

    def numpy(self) -> np.ndarray:
        """The values as a read-only NumPy array; on the CPU, without a copy.

        From a GPU they are copied, after all that it was told to do is done; unless the host
        knows them, as labels that a DataLoader has sent there.
        """
        if inplace.superseded:
            inplace.refuse_superseded(self.data, "numpy")
        values = host_copies.values_of(self) if host_copies.known else None
        if values is None:
            with on_device_of(self.data):
                values = backend_of(self.data).to_numpy(self.data)
        view = values.view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ShapeError(
                f"item: needs a tensor of one element; this one has shape {self.shape}"
            )
        return self.numpy().item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.numpy().tolist()

    @named
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        check_flags("array", copy=copy is not None and copy)
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"bool: the truth of a tensor of shape {self.shape} is ambiguous; use any or all"
            )
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(f"an index is an integer; this tensor is {self.dtype}")
        return int(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len: a tensor without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)

    def __repr__(self) -> str:
        name = type(self).__name__
        values = np.array2string(self.numpy(), separator=", ", prefix=f"{name}(")
        parts = [values, f"shape={self.shape}"] if self.ndim > 1 or not self.size else [values]
        parts.append(str(self.dtype))
        if self.device != "cpu":
            parts.append(str(self.device))
        if self.edge is not None:
            parts.append("requires_grad" if self.is_leaf else f"from {self.edge[0].name}")
        return f"{name}({', '.join(parts)})"

    def __dir__(self) -> list[str]:
        # Without the names that are there to raise an error: see pytorch_names.py.
        return [name for name in super().__dir__() if hasattr(type(self), name)]

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_leaf:
            raise GradientError(
                f"copy: this tensor was computed by {self.edge[0].name}; copy or pickle detach()"
            )
        return _rebuild, (type(self), self.data, self.requires_grad)


def _rebuild(kind: type[Tensor], data: Any, requires_grad: bool) -> Tensor:
    """The result of copying and unpickling: the same values, as a leaf or a constant."""
    tensor = kind.__new__(kind)
    Tensor.__init__(tensor, data)
    return tensor.requires_grad_(requires_grad)


def seed_of(y: Tensor, gradient: Any, create_graph: bool, name: str) -> Any:
    """The gradient from which backpropagation starts at y: the given one, checked, or 1."""
    if y.edge is None:
        raise GradientError(
            f"{name}: this tensor does not depend on anything that requires a gradient; create "
            "the inputs with requires_grad=True, outside no_grad"
        )
    if gradient is None:
        if y.size != 1:
            raise GradientError(
                f"{name}: a gradient starts from a single number; this tensor has shape {y.shape}; "
                "take its sum or mean, or pass the gradient of the same shape"
            )
        if y.dtype.kind == "c":
            raise GradientError(
                f"{name}: a gradient starts from a real number; this tensor is {y.dtype}; take its "
                "real, imag or abs, or pass the gradient"
            )
        with on_device_of(y.data):  # filled there: nothing is sent to it
            one = backend_of(y.data).full(y.shape, 1, dtype=y.dtype)
        return Tensor(one) if create_graph else one
    if not isinstance(gradient, Tensor):
        try:
            gradient = Tensor(create(y.device, "asarray", gradient, dtype=y.dtype))
        except EXPLAINED as error:
            raise_explained(name, [gradient], error)
    if gradient.shape != y.shape or gradient.dtype != y.dtype:
        raise ShapeError(
            f"{name}: the gradient must be {y.dtype} {y.shape}, as the tensor is; "
            f"got {gradient.dtype} {gradient.shape}"
        )
    if y.dtype.kind == "c":
        gradient = namespace.differentiable.conj(
            gradient
        )  # the form in which it flows through the graph; see the engine
    return gradient if create_graph else gradient.data
