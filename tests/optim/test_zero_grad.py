"""zero_grad: None, or zeros in place, as in PyTorch."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim


def trained(sparse=False):
    """A module with gradients, and an optimizer of it."""
    if sparse:
        model = nn.Embedding(6, 2, sparse=True)
        model(minidl.tensor([1, 4])).sum().backward()
    else:
        model = nn.Linear(3, 2)
        model(minidl.ones((4, 3))).sum().backward()
    return model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


@pytest.mark.parametrize("of", [0, 1])
def test_gradients_become_none(of):
    for settings in ({}, {"set_to_none": True}):
        both = trained()
        both[of].zero_grad(**settings)
        assert all(p.grad is None for p in both[0].parameters())


@pytest.mark.parametrize("of", [0, 1])
def test_gradients_become_zeros_in_place(of):
    both = trained()
    held = [p.grad for p in both[0].parameters()]
    both[of].zero_grad(set_to_none=False)
    for p, before in zip(both[0].parameters(), held, strict=True):
        assert not p.grad.numpy().any()
        assert not before.numpy().any()  # who holds the gradient sees it
    both[0](minidl.ones((4, 3))).sum().backward()
    np.testing.assert_array_equal(both[0].bias.grad.numpy(), [4, 4])


@pytest.mark.parametrize("of", [0, 1])
def test_there_may_be_no_gradient(of):
    both = trained()
    both[0].bias.grad = None
    both[of].zero_grad(set_to_none=False)
    assert both[0].bias.grad is None


def test_sparse_gradients_keep_no_rows():
    model, optimizer = trained(sparse=True)
    optimizer.zero_grad(set_to_none=False)
    assert model.weight.grad.indices.size == 0
    assert not minidl.asarray(model.weight.grad).numpy().any()


def test_recorded_gradients_are_detached():
    model = nn.Linear(3, 2)
    with minidl.higher_order():
        (model(minidl.ones((4, 3))) ** 2).sum().backward(create_graph=True)
    assert model.weight.grad.requires_grad
    model.zero_grad(set_to_none=False)
    assert not model.weight.grad.requires_grad
    assert not model.weight.grad.numpy().any()


def test_the_option_is_a_flag():
    for part in trained():
        with pytest.raises(minidl.errors.ArgumentError, match="set_to_none"):
            part.zero_grad(set_to_none="no")
