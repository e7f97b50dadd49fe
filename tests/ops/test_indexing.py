"""Indexing: repeated indices, shapes that broadcast, and writes that are recorded."""

import numpy as np
import pytest

import minidl


class Subclass(np.ndarray):
    """What NumPy calls an array, and `type` does not."""


TWICE = {
    "list": [0, 2, 2],
    "tuple in a tuple": ((0, 2, 2),),
    "array": np.array([0, 2, 2]),
    "subclass": np.array([0, 2, 2]).view(Subclass),
    "tensor": minidl.tensor([0, 2, 2]),
    "tensor in a tuple": (minidl.tensor([0, 2, 2]),),
}


def leaf(*shape):
    """A float64 leaf that counts from 1."""
    x = minidl.arange(1, 1 + np.prod(shape, dtype=int), dtype="float64")
    return minidl.tensor(x.numpy().reshape(shape), requires_grad=True)


@pytest.mark.parametrize("kind", TWICE)
def test_indices_named_twice_get_both(kind):
    values = minidl.tensor([1.0, 2.0, 3.0])
    assert minidl.scatter_at(values, TWICE[kind], (4,)).tolist() == [1, 0, 5, 0]
    dx = minidl.grad(lambda x: x[TWICE[kind]].sum())(minidl.zeros(4))
    assert dx.tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize("kind", TWICE)
def test_of_values_written_to_one_index_the_last_gets_the_gradient(kind):
    weights = minidl.tensor([1.0, 10.0, 100.0, 1000.0])

    def put(values):
        return (minidl.put_at(minidl.zeros(4), values, TWICE[kind]) ** 2 * weights).sum()

    values = minidl.tensor([1.0, 2.0, 3.0])
    assert minidl.grad(put)(values).tolist() == [2, 0, 600]
    assert minidl.hessian(put)(values).tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 200]]


def test_rows_written_to_one_index():
    x, values = minidl.zeros((3, 2)), leaf(3, 2)
    x[minidl.tensor([1, 1, 0])] = values
    (x * minidl.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum().backward()
    assert values.grad.tolist() == [[0, 0], [3, 4], [1, 2]]


@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 1, 3), (1,), (1, 1)])
def test_values_written_may_have_more_axes(shape):
    x, values = minidl.zeros((2, 3), dtype="float64"), leaf(*shape)
    x[1] = values
    (x * minidl.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).sum().backward()
    expected = np.full(shape, 15.0) if values.size == 1 else np.reshape([4, 5, 6], shape)
    np.testing.assert_array_equal(values.grad.numpy(), expected)


def test_a_tensor_without_axes_is_written():
    x, value = leaf(), leaf()
    y = x * 3.0
    y[()] = value
    (y * y).backward()
    assert (x.grad.item(), value.grad.item()) == (0, 2)


@pytest.mark.parametrize(
    ("shape", "indices", "axis"),
    [
        ((1, 3), [[0], [1], [1]], 1),
        ((2, 3), [[0, -1, 2, 2]], 1),
        ((3, 1), [[0, 2]], 0),
        ((3, 1), [[0, 2]], -2),
        ((2, 1, 3), [[[2, 0]]], -1),
    ],
)
def test_take_along_axis_broadcasts(shape, indices, axis):
    x, indices = leaf(*shape), np.array(indices)
    y = minidl.take_along_axis(x, minidl.tensor(indices), axis=axis)
    places = np.arange(x.size).reshape(shape)
    places = np.take_along_axis(places, indices, axis=axis)
    weights = np.arange(1.0, 1 + y.size).reshape(y.shape)
    (y * y * minidl.tensor(weights)).sum().backward()
    dy = 2 * y.numpy() * weights
    expected = np.bincount(places.ravel(), dy.ravel(), minlength=x.size).reshape(shape)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize("indices", [[[0, 2]], [[0, 2], [3, 3]], [[1], [2], [3]]])
def test_scatter_add_of_fewer_indices_than_elements(indices):
    places = np.array(indices)
    values, weights = leaf(*places.shape), np.arange(12.0).reshape(3, 4)
    y = minidl.scatter_add(
        minidl.zeros((3, 4), dtype="float64"), minidl.tensor(places), values, axis=1
    )
    (y * minidl.tensor(weights)).sum().backward()
    expected = weights[np.arange(len(places))[:, None], places]
    np.testing.assert_array_equal(values.grad.numpy(), expected)


INDICES = {
    "row": 0,
    "rows": slice(None, None, -2),
    "column": (slice(None), 1),
    "element": (0, 2),
    "everything": ...,
    "nothing": slice(2, 1),
    "list": [2, 0],
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_a_part_is_updated_in_place(index):
    """x[i] += y makes a view, writes it, and puts it back."""
    x, v = leaf(3, 3), leaf(3, 3)
    y = minidl.exp(0.1 * x)
    y[index] += v[index] * x[index]
    y[index] *= v[index]
    (y * y).sum().backward()
    a, b = x.numpy(), v.numpy()
    e, here = np.exp(0.1 * a), np.zeros((3, 3), bool)
    here[index] = True
    new = np.where(here, (e + a * b) * b, e)
    np.testing.assert_allclose(y.detach().numpy(), new, rtol=1e-12)
    dx = 2 * new * np.where(here, (0.1 * e + b) * b, 0.1 * e)
    np.testing.assert_allclose(x.grad.numpy(), dx, rtol=1e-12)
    dv = 2 * new * np.where(here, e + 2 * a * b, 0)
    np.testing.assert_allclose(v.grad.numpy(), dv, rtol=1e-12)


def test_a_part_updated_elsewhere_is_refused():
    """What was written is the view x[0]: as x[1] it would be a wrong x."""
    x = leaf(2, 3) * 1.0
    part = x[0]
    part += 1.0
    with pytest.raises(minidl.errors.GradientError, match="take the view after the write"):
        x[1] = part
    x[0] = part
    assert x.tolist() == [[2, 3, 4], [4, 5, 6]]


def test_writes_are_differentiated_again():
    """What nodes kept for higher orders is the array as it was, replaced or not."""

    def f(x):
        y = minidl.exp(x)
        z = y * y
        y[0] = x[1] * x[0]
        y[1:] *= x[1:]
        return (y * z).sum()

    def g(x):
        z = minidl.exp(2 * x)
        parts = [z[0] * x[1] * x[0], z[1] * minidl.exp(x[1]) * x[1]]
        return parts[0] + parts[1]

    x = minidl.tensor([0.3, -0.7], dtype="float64")
    for of in (minidl.hessian, lambda f: minidl.jacobian(minidl.hessian(f))):
        np.testing.assert_allclose(of(f)(x).numpy(), of(g)(x).numpy(), rtol=1e-12)


def test_what_a_checkpoint_saw_may_be_replaced():
    x = leaf(3)
    y = x * 2.0
    z = minidl.checkpoint(lambda y: y * y, y)
    y[0] = x[1]
    (z + y).sum().backward()
    assert x.grad.tolist() == [8, 16 + 1 + 2, 24 + 2]
