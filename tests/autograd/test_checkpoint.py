"""checkpoint: the same gradients, from less memory."""

import math
import tracemalloc

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import AnomalyError, DTypeError, GradientError
from tests.helpers import on_host


def leaf(*shape, seed=0):
    return minidl.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def network():
    minidl.manual_seed(7)
    kind = {"dtype": "float64"}
    own = minidl.random.Generator(5)
    return nn.Sequential(
        *(nn.Linear(5, 8, **kind), nn.BatchNorm1d(8, **kind), nn.Tanh(), nn.Dropout(0.3)),
        *(nn.Linear(8, 8, **kind), nn.BatchNorm1d(8, momentum=None, **kind), nn.Sigmoid()),
        *(nn.Dropout(0.5, generator=own), nn.Linear(8, 3, **kind)),
    )


def plain(f, *args, **kwargs):
    return f(*args, **kwargs)


def nested(f, *args, **kwargs):
    return minidl.checkpoint(lambda *a: minidl.checkpoint(f, *a, **kwargs), *args)


def trained(how):
    """Three steps of a network: all that comes of them."""
    net, x = network(), leaf(6, 5)
    optimizer = minidl.optim.SGD(net.parameters(), lr=0.1)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        y = how(net, x)
        (y * y).sum().backward()
        seen += [y, x.grad, *(p.grad for p in net.parameters())]
        seen = [s.detach().copy() for s in seen]
        optimizer.step()
    return [*seen, *net.state_dict().values(), minidl.random.uniform(3)]


@pytest.mark.parametrize("how", [minidl.checkpoint, nested])
def test_training_is_the_same_to_the_bit(how):
    for a, b in zip(trained(how), trained(plain), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("how", [minidl.checkpoint, nested])
def test_segments_one_after_another(how):
    def results(how):
        x, w = leaf(4, 4), leaf(4, 4, seed=1)
        h = x
        for _ in range(4):
            h = how(lambda h: minidl.tanh(h @ w) + h, h) * x
        h.sum().backward()
        return x.grad.numpy(), w.grad.numpy(), h.numpy()

    for a, b in zip(results(how), results(plain), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("how", [minidl.checkpoint, nested])
def test_second_and_third_derivatives(how):
    w = leaf(4, 4, seed=1)

    def third(how):
        f = lambda x: (how(lambda x: minidl.tanh(x @ w) * minidl.exp(x), x) ** 2).sum()
        second = lambda x: (minidl.grad(f)(x) ** 2).sum()
        third = lambda x: (minidl.grad(second)(x) ** 2).sum()
        x = leaf(2, 4).detach()
        orders = [minidl.grad(h)(x) for h in (f, second, third)]
        return [g.detach().numpy() for g in orders]

    for a, b in zip(third(how), third(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14 * np.abs(b).max())


def test_create_graph_needs_higher_order_as_everywhere():
    x = leaf(3)
    y = minidl.checkpoint(minidl.sin, x)
    with pytest.raises(GradientError, match=r"checkpoint was recorded for first derivatives only"):
        minidl.gradients(y, [x], [np.ones(3)], create_graph=True)


def retained(how, n=200_000):
    """Bytes that a chain keeps between forward and backward."""
    x = minidl.ones(n, requires_grad=True)

    def chain(x):
        for _ in range(8):
            x = minidl.exp(x * 0.1) * x
        return x

    how(chain, x).sum().backward()  # kernels are loaded
    tracemalloc.start()
    y = how(chain, how(chain, x))
    kept = tracemalloc.get_traced_memory()[0]
    y.sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return kept / (4 * n), peak / (4 * n)


def test_memory_is_lower():
    (kept, peak), (kept_plain, peak_plain) = retained(minidl.checkpoint), retained(plain)
    assert kept < 2.1, "two results"
    assert kept_plain > 16
    assert peak < peak_plain * 0.75


def test_what_backward_recorded_is_freed():
    x = leaf(5)
    y = minidl.checkpoint(minidl.exp, x)
    loss = y.sum()
    loss.backward()
    with pytest.raises(GradientError, match="retain_graph"):
        loss.backward()


def test_a_retained_graph_is_walked_again():
    x = leaf(5)
    y = minidl.checkpoint(minidl.sin, x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos(x.numpy()))


def test_outputs_and_arguments_of_every_kind():
    x, w, unused = leaf(3), leaf(3, seed=1), leaf(3)
    calls = []

    def f(x, factor, *, w, power):
        calls.append(1)
        return x * w * factor, "note", x, minidl.argmax(x), w.detach() * 2.0, x**power

    y, note, same, index, constant, powered = minidl.checkpoint(f, x, 2.0, w=w, power=3)
    assert note == "note"
    assert not index.requires_grad
    assert not constant.requires_grad
    (y.sum() + same.sum() + (constant * powered.detach()).sum()).backward()
    assert len(calls) == 2
    np.testing.assert_allclose(x.grad.numpy(), 2 * w.numpy() + 1)
    np.testing.assert_allclose(w.grad.numpy(), 2 * x.numpy())
    assert unused.grad is None
    z = minidl.checkpoint(f, x, 2.0, w=w, power=3)[5].sum()
    assert minidl.gradients(z, [x, w], allow_unused=True)[1] is None


def test_gradients_of_intermediates_and_hooks():
    x, w = leaf(3), leaf(3, seed=1)
    h = x * 2.0
    y = minidl.checkpoint(lambda h: minidl.sin(h) * w * h, h)
    seen = []
    h.register_hook(lambda g: seen.append(1))
    z = (y * y + h).sum()
    dx, dh, dy, dw = minidl.gradients(z, [x, h, y, w], retain_graph=True)
    again = minidl.sin(h) * w * h
    expected = minidl.gradients((again * again + h).sum(), [x, h, again, w])
    for a, b in zip((dx, dh, dy, dw), expected, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert len(seen) == 2


def test_without_recording_it_is_a_call():
    x = leaf(3)
    with minidl.no_grad():
        assert not minidl.checkpoint(minidl.sin, x).requires_grad
    assert not minidl.checkpoint(minidl.sin, x.detach()).requires_grad
    y = minidl.checkpoint(minidl.sin, x).sum()
    with minidl.no_grad():
        y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.cos(x.numpy()))


def test_derivatives_inside_a_checkpoint():
    x = leaf(3)
    f = lambda x: minidl.grad(lambda x: (x**3).sum())(x) * x
    minidl.checkpoint(f, x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 9 * x.numpy() ** 2)


def test_writes_inside_are_those_of_the_function():
    x = leaf(3)

    def f(x):
        factor = minidl.ones(3, dtype="float64")
        factor[0] = 5.0
        y = x * factor
        y[1] = y[0] * 2.0
        return y

    minidl.checkpoint(f, x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [15, 0, 1])


def test_writes_in_between_are_refused():
    x, w, offset = leaf(3), leaf(3, seed=1), minidl.tensor(np.ones(3))
    f = lambda x: minidl.exp(x * w + offset)
    y = minidl.checkpoint(f, x).sum()
    offset[0] = 2.0
    with pytest.raises(GradientError, match=r"add reads an array of shape \(3,\)"):
        y.backward()
    y = minidl.checkpoint(f, x).sum()
    with minidl.no_grad():
        w -= 1.0
    with pytest.raises(GradientError, match="multiply reads an array"):
        y.backward()
    h = w * 2.0
    y = minidl.checkpoint(lambda x: x * h, x).sum()
    h[0] = x[0]  # recorded: h has another array and another edge
    with pytest.raises(GradientError, match="f did something else"):
        y.backward()


@pytest.mark.parametrize("how", [minidl.checkpoint, nested])
def test_what_the_function_itself_writes_is_written_once(how):
    x, total = leaf(3), minidl.zeros(3, dtype="float64")

    def accumulating(x):
        before = total.copy()
        total[0] += 1.0
        return x * total - before

    first, second = how(accumulating, x).sum(), how(accumulating, x).sum()
    second.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 0, 0])
    first.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 0, 0])
    np.testing.assert_array_equal(total.numpy(), [2, 0, 0])


def test_a_function_that_does_something_else_is_refused():
    x, net = leaf(6, 5), nn.Dropout(0.5)
    loss = minidl.checkpoint(net, x).sum()
    net.eval()
    with pytest.raises(GradientError, match="f did something else"):
        loss.backward()
    net.train()
    shapes = iter([3, 2])
    y = minidl.checkpoint(lambda x: x[: next(shapes)], x).sum()
    with pytest.raises(GradientError, match="f did something else"):
        y.backward()
    draws = iter([1, 2])
    many = lambda x: x * sum(minidl.random.uniform((), dtype="float64") for _ in range(next(draws)))
    y = minidl.checkpoint(many, x).sum()
    with pytest.raises(GradientError, match="f did something else"):
        y.backward()
    assert x.grad is None


class Counting(nn.Module):
    """A layer whose output depends on how often it ran."""

    def __init__(self, change):
        self.n, self.change = 0, change

    def forward(self, x):
        self.n += 1
        return self.change(x, self.n)


CHANGES = {
    "a factor": lambda x, n: x * n,
    "one element": lambda x, n: x * np.where(np.arange(1000) == 500, n, 1),
    "the order": lambda x, n: minidl.flip(x) * 1 if n > 1 else x * 1,
    "NaN": lambda x, n: x * (math.nan if n > 1 else 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_state_in_python_that_changes_the_outputs_is_noticed(change):
    x = leaf(1000)
    y = minidl.checkpoint(Counting(change), x)
    with pytest.raises(GradientError, match="f did something else"):
        y.sum().backward()
    assert x.grad is None


def test_outputs_of_every_kind_are_compared():
    x = leaf(3, 4)
    outputs = lambda x: (
        x.T,
        x[:0],
        x.astype("float16") * math.inf,
        x > 0,
        x.argmax(),
        x * math.nan,
    )
    y = minidl.checkpoint(outputs, x)
    y[0].sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones((3, 4)))


def test_errors_of_the_function_come_through():
    calls = []

    def second_time(x):
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("mine")
        return x * 2.0

    def at_once(x):
        raise KeyError("mine")

    x = leaf(3)
    with pytest.raises(KeyError, match="mine"):
        minidl.checkpoint(at_once, x)
    y = minidl.checkpoint(second_time, x).sum()
    with pytest.raises(KeyError, match="mine") as caught:
        y.backward()
    assert "pullback of checkpoint" in caught.value.__notes__[0]
    with pytest.raises(DTypeError, match="checkpoint: f gave dict"):
        minidl.checkpoint(lambda x: {"y": x}, x)
    before = minidl.random.default_generator.get_state()
    minidl.checkpoint(minidl.sin, x).sum().backward()  # all is as it was
    assert minidl.random.default_generator.get_state() == before


def test_anomalies_are_found_where_they_are():
    x = minidl.tensor(np.zeros(2), requires_grad=True)
    with minidl.detect_anomaly():
        y = minidl.checkpoint(minidl.sqrt, x).sum()
        with pytest.raises(AnomalyError, match="the pullback of sqrt"):
            y.backward()


def test_sparse_rows_pass():
    table, ids = leaf(6, 2), minidl.asarray([1, 1, 4])
    f = lambda t: minidl.embedding(t, ids, sparse=True)
    minidl.checkpoint(f, table).sum().backward()
    assert isinstance(table.grad, minidl.RowGradient)
    np.testing.assert_array_equal(on_host(table.grad)[1], [2, 2])
