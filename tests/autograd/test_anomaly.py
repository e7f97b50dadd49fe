"""Where NaN and infinity come from."""

import inspect

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd.mode import current
from minidl.errors import AnomalyError, MinidlError


def here():
    """The file and line after that from which this is called."""
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + 1}"


def called(function, *args):
    """Call it, on the line after the next."""
    global CALLED
    CALLED = here()
    function(*args)


def leaf(*values):
    return minidl.tensor(np.array(values), requires_grad=True)


def test_an_infinity_made_forward_is_named():
    x = leaf(1.0, 0.0)
    with minidl.detect_anomaly(), pytest.raises(AnomalyError) as caught:
        called(minidl.log, x * 1.0)
    message = str(caught.value)
    assert message.startswith("log(float64 (2,)) made Inf in its result (float64 (2,));")
    assert "every input was finite" in message
    assert message.endswith(f"called at {CALLED}")
    assert isinstance(caught.value, ArithmeticError | MinidlError)


def test_a_nan_that_came_in_is_said_to_have():
    x, nan = leaf(1.0, 2.0), np.array([np.nan, 1.0])
    with pytest.raises(AnomalyError, match=r"multiply.* made NaN.* input 1 held NaN already"):
        minidl.detect_anomaly()(lambda: x * nan)()
    quiet = np.errstate(all="ignore")
    with pytest.raises(AnomalyError, match=r"sin.*held Inf already"), minidl.detect_anomaly():
        quiet(minidl.sin)(np.array([np.inf]))


def test_a_nan_made_backward_tells_both_lines():
    x = leaf(0.0, 1.0)
    with minidl.detect_anomaly():
        recorded = here()
        y = minidl.sqrt(x)
        z = (y * 3.0).sum()
        with pytest.raises(AnomalyError) as caught:
            called(z.backward)
    message = str(caught.value)
    start = "the pullback of sqrt(float64 (2,)) made Inf in the gradient of its input float64 (2,)"
    assert message.startswith(start)
    assert "every gradient of output was finite" in message
    assert f"recorded at {recorded}; backward was called at {CALLED}" in message
    assert x.grad is None


def test_a_graph_from_outside_has_no_line():
    y = minidl.sqrt(leaf(0.0))
    with pytest.raises(AnomalyError, match="a line outside detect_anomaly"):
        minidl.detect_anomaly()(y.sum().backward)()


def test_a_gradient_that_was_wrong_before_is_said_to_have_been():
    y = leaf(1.0, 2.0) * 2.0
    with pytest.raises(AnomalyError, match="gradient of output 0 held NaN"):
        minidl.detect_anomaly()(y.backward)(np.array([1.0, np.nan]))


def test_second_derivatives_are_watched_too():
    slope = minidl.grad(lambda x: (x**1.5).sum())
    curvature = minidl.grad(lambda x: slope(x).sum())
    x = leaf(0.0, 1.0)
    with minidl.detect_anomaly():
        assert slope(x).numpy()[0] == 0
        with pytest.raises(AnomalyError, match=r"pow.*made Inf"):
            curvature(x)


def test_masks_of_infinity_pass():
    x = leaf(1.0, 2.0, 3.0)
    with minidl.detect_anomaly():
        scores = minidl.where(np.array([True, True, False]), x, -np.inf) / 2.0
        (minidl.softmax(scores) * x).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_overflow_in_other_dtypes(dtype):
    square = np.errstate(all="ignore")(lambda x: x * x)
    x = minidl.asarray([np.finfo(dtype).max / 2], dtype=dtype)
    with pytest.raises(AnomalyError, match=f"{dtype}"), minidl.detect_anomaly():
        square(x)


def test_the_report_names_the_wrong_output():
    @minidl.primitive
    def pair(xp, x, /):
        return (x, xp.log(x)), lambda dy, dz: dy + dz / x

    with pytest.raises(AnomalyError, match=r"pair.*made Inf in its result \(output 1, float64"):
        minidl.detect_anomaly()(pair)(leaf(0.0))


def test_sparse_rows_are_looked_at():
    table, ids = leaf(*np.ones(4)).detach().reshape(4, 1).requires_grad_(), minidl.asarray([1, 1])
    with pytest.raises(AnomalyError, match="embedding"), minidl.detect_anomaly():
        minidl.embedding(table, ids, sparse=True).backward(np.array([[np.nan], [1.0]]))


def test_it_ends_with_its_block_and_nests():
    x = leaf(0.0)
    for _ in range(2):
        with minidl.detect_anomaly(), minidl.detect_anomaly():
            assert len(current.get().observers) == 1
            with minidl.no_grad(), pytest.raises(AnomalyError):
                minidl.log(x)
        assert not current.get().observers
        minidl.log(x).sum().backward()


def test_a_network_trains_as_without():
    def weights(watched):
        minidl.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
        optimizer = minidl.optim.SGD(net.parameters(), lr=0.1)
        x, t = minidl.random.normal((6, 4)), minidl.asarray(np.arange(6) % 3)
        for _ in range(3):
            step = lambda: minidl.cross_entropy(net(x), t).backward()
            optimizer.zero_grad()
            (minidl.detect_anomaly()(step) if watched else step)()
            optimizer.step()
        return [p.numpy().copy() for p in net.parameters()]

    for a, b in zip(weights(True), weights(False), strict=True):
        np.testing.assert_array_equal(a, b)
