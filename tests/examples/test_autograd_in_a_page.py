"""The engine in a page, `examples/autograd_in_a_page.py`, against minidl's own."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl.testing import gradcheck

PATH = Path(__file__).parents[2] / "examples" / "autograd_in_a_page.py"
page = SimpleNamespace(**runpy.run_path(str(PATH)))

SHAPES = [(), (3,), (1,), (4, 1), (1, 3), (4, 3), (2, 1, 3), (2, 4, 1)]
SHARED = ("add", "subtract", "multiply", "exp", "log", "relu")


def sum_of_page(x, axis=None):
    return page.sum(x, axis=axis)


def sum_of_minidl(x, axis=None):
    return minidl.sum(x, axis=axis, keepdims=True)


PAGE = SimpleNamespace(
    **{name: getattr(page, name) for name in SHARED}, sum=sum_of_page, tensor=page.tensor
)
MINIDL = SimpleNamespace(
    **{name: getattr(minidl, name) for name in SHARED}, sum=sum_of_minidl, tensor=minidl.tensor
)


def random_program(library, seed, steps=12):
    """A few leaves, operations drawn at random on what there is so far, and the sum of it all.

    Values are used several times or not at all, and shapes broadcast.
    """
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=SHAPES[i]) for i in rng.integers(len(SHAPES), size=4)]
    leaves = [library.tensor(a, requires_grad=i > 0) for i, a in enumerate(arrays)]
    values = list(leaves)
    shapes = [a.shape for a in arrays]
    for _ in range(steps):
        name = ("add", "subtract", "multiply", "unary", "relu", "sum")[rng.integers(6)]
        i, j = rng.integers(len(values), size=2)
        if name == "unary":  # log and exp of what neither leaves their domains nor overflows
            value = library.log(library.add(library.exp(library.multiply(values[i], 0.01)), 0.5))
            shape = shapes[i]
        elif name == "relu":
            value, shape = library.relu(values[i]), shapes[i]
        elif name == "sum":
            axis = -1 if shapes[i] else None
            value = library.sum(values[i], axis=axis)
            shape = (*shapes[i][:-1], 1) if shapes[i] else ()
        else:
            value = getattr(library, name)(values[i], values[j])
            shape = np.broadcast_shapes(shapes[i], shapes[j])
        values.append(value)
        shapes.append(shape)
    total = library.sum(values[0])
    for value in values[1:]:
        total = library.add(total, library.sum(value))
    return leaves, library.sum(total)


def gradients_of(library, leaves, y):
    if library is PAGE:
        page.backward(y)
        return [None if x.edge is None else x.edge.grad for x in leaves]
    y.backward()
    return [None if x.grad is None else x.grad.numpy() for x in leaves]


@pytest.mark.parametrize("seed", range(40))
def test_values_and_gradients_of_random_programs_are_minidl_s(seed):
    ours, theirs = (random_program(library, seed) for library in (PAGE, MINIDL))
    np.testing.assert_allclose(ours[1].data, theirs[1].numpy(), rtol=1e-12)
    grads = gradients_of(PAGE, *ours), gradients_of(MINIDL, *theirs)
    for one, other in zip(*grads, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * np.abs(other).max())


def test_programs_broadcast_and_use_values_twice():
    x, y = page.tensor([1.0, 2.0], requires_grad=True), page.tensor([[3.0], [5.0]], True)
    page.backward(page.sum(x * y + x * x))
    np.testing.assert_array_equal(x.edge.grad, [8 + 4, 8 + 8])  # Σ y, and from both rows 2x
    np.testing.assert_array_equal(y.edge.grad, [[3.0], [3.0]])
    page.backward(page.sum(x))  # gradients accumulate
    np.testing.assert_array_equal(x.edge.grad, [13, 17])


def test_products_of_matrices_and_the_loss_of_the_network_are_minidl_s():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in ((6, 4), (4, 5), (5,), (5, 3), (3,))]
    labels = rng.integers(3, size=6)
    x, *parameters = (page.tensor(a, requires_grad=True) for a in arrays)
    loss = page.cross_entropy(page.network(x, parameters), np.eye(3)[labels])
    page.backward(loss)
    leaves = [minidl.tensor(a, requires_grad=True) for a in arrays]
    a, w1, b1, w2, b2 = leaves
    other = minidl.cross_entropy(minidl.relu(a @ w1 + b1) @ w2 + b2, minidl.tensor(labels))
    other.backward()
    assert loss.data.item() == pytest.approx(other.item(), rel=1e-13)
    for one, theirs in zip([x, *parameters], leaves, strict=True):
        np.testing.assert_allclose(one.edge.grad, theirs.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [*SHARED, "matmul", "sum"])
def test_the_bodies_are_operations_of_minidl_as_they_stand(name):
    operation = minidl.primitive(getattr(page, name).__wrapped__)
    inputs = {
        "add": ((3,), (2, 1)),
        "subtract": ((2, 3), ()),
        "multiply": ((2, 1), (3,)),
        "matmul": ((2, 3), (3, 4)),
    }.get(name, ((2, 3),))
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.5, 2, size=shape) for shape in inputs]
    assert gradcheck(operation, *arrays, order=3)


def test_constants_record_nothing():
    assert (page.tensor(2.0) * page.tensor([1.0, 2.0])).edge is None


def test_the_network_learns(capsys):
    assert page.train(epochs=3) > 0.9
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1", "2", "3"]
    losses = [float(line.split()[3]) for line in lines]
    assert losses[-1] < losses[0] / 2
