"""Automatic differentiation in a page: the idea of minidl, rebuilt with NumPy alone.

The *body* of an operation returns two things: its value, and its *pullback*, one function for each
input, which carries the gradient of the value back to that input.  Calling the operation saves the
pullback in a node, and the nodes of a computation form a graph.  Backpropagation walks that graph
from the end to the beginning, and applies the pullback of each node to the gradient that has
accumulated there.

    x ──►┐
         ├─► multiply ──► sum ──► y              values flow forward
    w ──►┘
    Leaf ◄┐
          ├─ Node ◄────── Node ◄── edge of y     gradients flow back
    Leaf ◄┘

We write dy for the gradient of the loss with respect to y, and dx for that with respect to x.

The names are those of minidl/autograd.  There, `xp` is the array library of the device, or minidl
itself when a gradient is differentiated again: the bodies below, decorated with `minidl.primitive`
instead, have derivatives of any order.

Run:  python examples/autograd_in_a_page.py
"""

from functools import wraps
from itertools import count

import numpy as np

from minidl.data import digits  # the data only: images of handwritten digits

tick = count(1).__next__  # numbers leaves and nodes as they are created: inputs before results


class Leaf:
    """The end of a path of gradients, which accumulate here in `grad`."""

    def __init__(self, shape):
        self.shape, self.order, self.grad = shape, tick(), None


class Node:
    """A recorded operation: its pullback, and for each input the edge that dx flows along."""

    def __init__(self, pullback, edges, shape):
        self.pullback, self.edges, self.shape, self.order = pullback, edges, shape, tick()


class Tensor:
    """An array, and its edge: the Node or Leaf that its gradient flows to, or None."""

    __array_ufunc__ = None  # so that ndarray * tensor calls Tensor.__rmul__

    def __init__(self, data, edge=None):
        self.data, self.edge = data, edge


def tensor(data, requires_grad=False):
    """A tensor with these values: a leaf of the graph if it requires gradients, else a constant."""
    data = np.array(data, dtype="float64")
    return Tensor(data, Leaf(data.shape) if requires_grad else None)


def primitive(body):
    """Make an operation on tensors from a body, which computes on arrays."""

    @wraps(body)
    def operation(*inputs, **settings):
        inputs = [x if isinstance(x, Tensor) else tensor(x) for x in inputs]
        value, pullback = body(np, *(x.data for x in inputs), **settings)
        edges = [x.edge for x in inputs]
        return Tensor(value, Node(pullback, edges, value.shape) if any(edges) else None)

    return operation


@primitive
def add(xp, x1, x2, /):
    """z = x₁ + x₂;   dx₁ = dz,   dx₂ = dz."""
    return x1 + x2, (lambda dz: dz, lambda dz: dz)


@primitive
def subtract(xp, x1, x2, /):
    """z = x₁ − x₂;   dx₁ = dz,   dx₂ = −dz."""
    return x1 - x2, (lambda dz: dz, lambda dz: -dz)


@primitive
def multiply(xp, x1, x2, /):
    """z = x₁·x₂;   dx₁ = dz·x₂,   dx₂ = dz·x₁."""
    return x1 * x2, (lambda dz: dz * x2, lambda dz: dz * x1)


@primitive
def matmul(xp, x1, x2, /):
    """Z = X₁ X₂;   dX₁ = dZ X₂ᵀ,   dX₂ = X₁ᵀ dZ."""
    return x1 @ x2, (lambda dz: dz @ x2.T, lambda dz: x1.T @ dz)


@primitive
def exp(xp, x, /):
    """y = eˣ;   dx = dy·y."""
    y = xp.exp(x)
    return y, (lambda dy: dy * y,)


@primitive
def log(xp, x, /):
    """y = log x;   dx = dy/x."""
    return xp.log(x), (lambda dy: dy / x,)


@primitive
def relu(xp, x, /):
    """y = max(x, 0);   dx = dy where x > 0, else 0."""
    return xp.maximum(x, 0), (lambda dy: xp.where(x > 0, dy, 0.0),)


@primitive
def sum(xp, x, /, axis=None):
    """y = Σ x along an axis, which is kept with length 1;   dx = dy for every element."""
    return xp.sum(x, axis=axis, keepdims=True), (lambda dy: xp.broadcast_to(dy, x.shape),)


Tensor.__add__ = Tensor.__radd__ = add
Tensor.__mul__ = Tensor.__rmul__ = multiply
Tensor.__sub__, Tensor.__matmul__ = subtract, matmul


def backward(y):
    """Add dy/dx to the `grad` of every leaf x that the scalar y depends on.

    The node recorded last is visited first.  Whatever used its value was recorded later, and has
    already passed its gradient on; so what has accumulated for this node is its whole gradient.
    """
    gradients = {y.edge: np.ones(y.data.shape)}
    while gradients:
        source = max(gradients, key=lambda source: source.order)  # a Node or a Leaf
        dy = gradients.pop(source)
        if isinstance(source, Leaf):
            source.grad = dy if source.grad is None else source.grad + dy
            continue
        for edge, pull in zip(source.edges, source.pullback, strict=True):
            if edge is not None:
                dx = sum_to_shape(pull(dy), edge.shape)
                gradients[edge] = gradients[edge] + dx if edge in gradients else dx


def sum_to_shape(gradient, shape):
    """Undo broadcasting: an input that was stretched gets the sum over its copies."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n != gradient.shape[i])
    return gradient.sum(axis=stretched, keepdims=True)


# On top of that: a network, a loss, and gradient descent.


def network(x, parameters):
    """A multilayer perceptron: relu(x W₁ + b₁) W₂ + b₂, a logit for each class."""
    w1, b1, w2, b2 = parameters
    return relu(x @ w1 + b1) @ w2 + b2


def cross_entropy(logits, target):
    """The mean of −log softmax(logits) at the correct class, where the one-hot target is 1."""
    correct = sum(logits * target, axis=1)
    return sum(log(sum(exp(logits), axis=1)) - correct) * (1 / len(target))


def train(epochs=10, learning_rate=0.2):
    """Train the network by stochastic gradient descent; return its accuracy on the test set."""
    (x, labels), (x_test, labels_test) = (
        (part.tensors[0].numpy().reshape(-1, 64), part.tensors[1].numpy()) for part in digits()
    )
    rng = np.random.default_rng(0)
    shapes = (64, 32), (32,), (32, 10), (10,)
    parameters = [tensor(rng.normal(0, 0.2, shape), requires_grad=True) for shape in shapes]
    for epoch in range(1, epochs + 1):
        for batch in np.array_split(rng.permutation(len(x)), len(x) // 32):
            loss = cross_entropy(network(tensor(x[batch]), parameters), np.eye(10)[labels[batch]])
            backward(loss)
            for p in parameters:
                p.data -= learning_rate * p.edge.grad
                p.edge.grad = None
        accuracy = (network(tensor(x_test), parameters).data.argmax(axis=1) == labels_test).mean()
        print(f"epoch {epoch:2d}   loss {loss.data.item():.4f}   test accuracy {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    assert train() > 0.95
