"""An operation of minidl beside PyTorch's: values, gradients, and gradients of gradients."""

import numpy as np

import minidl
from tests.helpers import assert_all_close, explained_by_gradcheck
from tests.oracle import torch

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}


def random(*shape, dtype="float64", seed=0):
    """Normal numbers, the same each time."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def distinct(*shape, dtype="float64"):
    """Numbers of which no two are equal, in a random order."""
    rng = np.random.default_rng(len(shape))
    return rng.permutation(int(np.prod(shape))).reshape(shape).astype(dtype) / 8 - 1


def _first(outputs):
    return outputs if isinstance(outputs, tuple | list) else (outputs,)


def _found(library, gradients, operation, arrays, second):
    leaves = [library.tensor(x, requires_grad=True) for x in arrays]
    outputs = _first(operation(*leaves))
    y = outputs[0]
    weights = library.asarray(random(*y.shape, seed=1).astype(arrays[0].dtype))
    settings = {"create_graph": True} if second else {}
    first = gradients((y * y * weights).sum(), leaves, settings)
    found = [*outputs, *first]
    if second:
        total = sum((g * g).sum() for g in first)
        found += gradients(total, leaves, {})
    return [np.asarray(x.detach()) for x in found]


def assert_same(ours, theirs, *arrays, second=None):
    """Outputs, gradients and, in float64, their gradients are PyTorch's."""
    dtype = arrays[0].dtype.name
    second = dtype == "float64" if second is None else second

    def our_gradients(y, leaves, settings):
        return minidl.gradients(y, leaves, **settings)

    def their_gradients(y, leaves, settings):
        return torch.autograd.grad(y, leaves, materialize_grads=True, **settings)

    needed = _found(torch, their_gradients, theirs, arrays, second)
    with explained_by_gradcheck("the function", ours, arrays, order=2 if second else 1):
        found = _found(minidl, our_gradients, ours, arrays, False)
        assert_all_close(found, needed[: len(found)], TOLERANCE[dtype])
        if second:
            with minidl.higher_order():
                found = _found(minidl, our_gradients, ours, arrays, True)
            assert_all_close(found, needed, TOLERANCE[dtype])


def both(name, *args, **settings):
    """minidl's and PyTorch's function of one name."""
    return (
        lambda *xs, library=library: getattr(library, name)(*xs, *args, **settings)
        for library in (minidl, torch)
    )


def twins(name, dtype="float64", **settings):
    """The layer of minidl, and PyTorch's with the same parameters."""
    ours = getattr(minidl.nn, name)(**settings, dtype=dtype)
    theirs = getattr(torch.nn, name)(**settings, dtype=getattr(torch, dtype))
    theirs.load_state_dict(
        {key: torch.from_dlpack(x.cpu()) for key, x in ours.state_dict().items()}
    )
    return ours, theirs


def assert_same_layer(ours, theirs, x):
    """Two layers compute the same, and so do the gradients of their parameters."""
    assert_same(ours, theirs, x)
    for model, library in ((ours, minidl), (theirs, torch)):
        for parameter in model.parameters():
            parameter.grad = None
        y = model(library.asarray(x))
        (y * library.asarray(random(*y.shape, seed=2).astype(x.dtype))).sum().backward()
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    grads = [(a.grad.numpy(), b.grad.numpy()) for a, b in pairs]
    assert_all_close(*zip(*grads, strict=True), TOLERANCE[x.dtype.name])
