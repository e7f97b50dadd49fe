"""Sorting: sort, argsort, topk and kthvalue."""

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags, check_integers
from minidl.dtypes import NUMBER
from minidl.ops.axes import checked_axis, one_axis


@primitive(NUMBER)
def argsort(xp, x, /, *, axis=-1, descending=False, stable=True):
    """The indices that sort x along the axis; ties keep their order.

    >>> minidl.argsort(minidl.tensor([0.3, 0.1, 0.2]))
    Tensor([1, 2, 0], int64)
    >>> minidl.argsort(minidl.tensor([1, 2, 1, 2]), descending=True)
    Tensor([1, 3, 0, 2], int64)
    """
    check_flags("argsort", descending=descending, stable=stable)
    axis = one_axis(x, axis)
    if not descending:
        return xp.argsort(x, axis=axis), None
    backwards = xp.flip(xp.argsort(xp.flip(x, axis=axis), axis=axis), axis=axis)
    return x.shape[axis] - 1 - backwards, None


@composite
def sort(xp, x, /, *, axis=-1, descending=False, stable=True):
    """x sorted along the axis;   dx = dy, returned to the position of each element.

    >>> x = minidl.tensor([0.3, 0.1, 0.2], requires_grad=True)
    >>> minidl.sort(x)[0].backward()
    >>> x.grad
    Tensor([0., 1., 0.], float32)
    """
    order = xp.argsort(x, axis=axis, descending=descending, stable=stable)
    return xp.take_along_axis(x, order, axis=axis)


@composite(constants=(1,), outputs=2)
def topk(xp, x, /, k, *, axis=-1, largest=True, sorted=True):
    """The k largest along the axis, in descending order, and their indices: (values, indices).

    largest    False: the k smallest, in ascending order
    sorted     False allows any order; minidl sorts all the same

    NaN counts as larger than any number.

    >>> values, indices = minidl.topk(minidl.tensor([3.0, 9.0, 5.0]), 2)
    >>> values, indices
    (Tensor([9., 5.], float32), Tensor([1, 2], int64))
    """
    axis = checked_axis("topk", x, axis)
    check_integers("topk", 0, x.shape[axis], k=k)
    check_flags("topk", largest=largest, sorted=sorted)
    order = xp.argsort(x, axis=axis, descending=bool(largest))
    indices = order[(slice(None),) * axis + (slice(0, k),)]
    return xp.take_along_axis(x, indices, axis=axis), indices


@composite(constants=(1,), outputs=2)
def kthvalue(xp, x, /, k, *, axis=-1, keepdims=False):
    """The k-th smallest along the axis, k = 1 the smallest, and its index: (values, indices).

    >>> value, index = minidl.kthvalue(minidl.tensor([3.0, 9.0, 5.0]), 2)
    >>> value, index
    (Tensor(5., float32), Tensor(2, int64))
    """
    axis = checked_axis("kthvalue", x, axis)
    check_flags("kthvalue", keepdims=keepdims)
    check_integers("kthvalue", 1, x.shape[axis], k=k)
    indices = xp.argsort(x, axis=axis)[(slice(None),) * axis + (slice(k - 1, k),)]
    values = xp.take_along_axis(x, indices, axis=axis)
    if keepdims:
        return values, indices
    return xp.squeeze(values, axis), xp.squeeze(indices, axis)
