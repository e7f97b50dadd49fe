"""autocast: the dtypes in which operations run, casts that are kept, and where blocks end."""

import threading

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.autograd.mode import Observer, current, observed_by
from minidl.errors import ArgumentError, DeviceError

torch = pytest.importorskip("torch")
F = torch.nn.functional

KIND = minidl.get_default_device().type
OTHER = "cuda" if KIND == "cpu" else "cpu"
f16, f32, f64 = (np.dtype(name) for name in ("float16", "float32", "float64"))


def drawn(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape).astype(dtype)


# An operation of both libraries, with the shapes of its inputs.
PARITY = {
    "linear": (minidl.linear, F.linear, [(4, 3), (2, 3), (2,)]),
    "matmul": (minidl.matmul, torch.matmul, [(4, 3), (3, 2)]),
    "batched": (minidl.matmul, torch.bmm, [(2, 4, 3), (2, 3, 2)]),
    "conv1d": (minidl.conv1d, F.conv1d, [(2, 3, 5), (4, 3, 3)]),
    "conv2d": (minidl.conv2d, F.conv2d, [(2, 3, 5, 5), (4, 3, 3, 3), (4,)]),
    "conv_transpose2d": (
        minidl.conv_transpose2d,
        F.conv_transpose2d,
        [(2, 3, 5, 5), (3, 4, 3, 3)],
    ),
    "attention": (
        minidl.scaled_dot_product_attention,
        F.scaled_dot_product_attention,
        [(2, 3, 4, 5)] * 3,
    ),
    "prelu": (minidl.prelu, F.prelu, [(4, 3), (1,)]),
    "mse_loss": (minidl.mse_loss, F.mse_loss, [(4, 3), (4, 3)]),
    "binary_cross_entropy": (
        minidl.binary_cross_entropy,
        F.binary_cross_entropy,
        [(4, 3), (4, 3)],
    ),
    "huber_loss": (minidl.huber_loss, F.huber_loss, [(4, 3), (4, 3)]),
    "prod": (minidl.prod, torch.prod, [(4, 3)]),
    "relu": (minidl.relu, torch.relu, [(4, 3)]),
    "sigmoid": (minidl.sigmoid, torch.sigmoid, [(4, 3)]),
    "add": (minidl.add, torch.add, [(4, 3), (4, 3)]),
    "multiply": (minidl.multiply, torch.mul, [(4, 3), (4, 3)]),
    "max_pool2d": (lambda x: minidl.max_pool2d(x, 2), lambda x: F.max_pool2d(x, 2), [(2, 3, 4, 4)]),
    "concat": (
        lambda *xs: minidl.concat(xs, axis=0),
        lambda *xs: torch.cat(xs),
        [(4, 3), (4, 3)],
    ),
}


@pytest.mark.parametrize("dtypes", [(f32, f32), (f16, f16), (f16, f32), (f32, f16)], ids=str)
@pytest.mark.parametrize("name", PARITY)
def test_dtypes_and_values_are_those_of_pytorch(name, dtypes):
    ours, theirs, shapes = PARITY[name]
    kinds = [*dtypes, dtypes[1]]
    arrays = [drawn(*shape, dtype=kinds[i], seed=i) for i, shape in enumerate(shapes)]
    with minidl.autocast(KIND):
        found = ours(*map(minidl.tensor, arrays))
    with torch.autocast("cpu", dtype=torch.float16):
        expected = theirs(*map(torch.tensor, arrays))
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    np.testing.assert_allclose(found.numpy(), expected.float().numpy(), rtol=4e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["exp", "sum", "softmax", "log_softmax", "logsumexp"])
def test_what_needs_its_digits_runs_in_float32(name):
    settings = {"axis": 1}
    x = minidl.tensor([[12.0, 3.0]], dtype="float16")
    with minidl.autocast(KIND):
        y = getattr(minidl, name)(x) if name == "exp" else getattr(minidl, name)(x, **settings)
    assert y.dtype == f32
    if name == "exp":
        assert np.isfinite(y.numpy()).all()  # e¹² is beyond float16


@pytest.mark.parametrize("layer", [nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3)], ids=str)
def test_norms_run_in_float32(layer):
    x = minidl.tensor(drawn(4, 3, dtype="float16"))
    with minidl.autocast(KIND):
        assert layer(x).dtype == f32


def test_the_widest_input_decides_where_all_must_be_alike():
    x, y = minidl.tensor(drawn(4, 3), dtype="float16"), minidl.tensor(drawn(4, 3))
    with minidl.autocast(KIND):
        assert minidl.atan2(x, y).dtype == minidl.atan2(y, y).dtype == f32
        assert minidl.atan2(x, x).dtype == f16


def test_float64_and_integers_are_left_alone():
    x, n = minidl.tensor(drawn(2, 2, dtype="float64")), minidl.tensor([[1, 2], [3, 4]])
    with minidl.autocast(KIND):
        assert (x @ x).dtype == f64
        assert n.sum().dtype == np.dtype("int64")
        assert minidl.exp(x).dtype == f64


LAYERS = {
    "linear": (lambda: nn.Linear(3, 2), (4, 3)),
    "fused": (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), (4, 3)),
    "conv": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)), (2, 3, 6, 6)),
    "norm": (lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)), (4, 3)),
    "lstm": (lambda: nn.LSTM(3, 4), (5, 2, 3)),
    "gru": (lambda: nn.GRU(3, 4, num_layers=2), (5, 2, 3)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
        (2, 5, 8),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_have_the_dtype_of_their_parameters_and_are_close(name):
    make, shape = LAYERS[name]
    minidl.manual_seed(0)
    layer, x = make(), minidl.tensor(drawn(*shape))
    found = {}
    for enabled in (True, False):
        for p in layer.parameters():
            p.grad = None
        with minidl.autocast(KIND, enabled=enabled):
            y = layer(x)
            y = y[0] if isinstance(y, tuple) else y
            loss = (y * y).mean()
        loss.backward()
        assert {p.grad.dtype for p in layer.parameters()} == {f32}
        assert all(p.dtype == f32 for p in layer.parameters())
        found[enabled] = y, [p.grad.numpy() for p in layer.parameters()]
    assert found[False][0].dtype == f32
    assert name in ("norm", "transformer") or found[True][0].dtype == f16
    for half, whole in zip(found[True][1], found[False][1], strict=True):
        np.testing.assert_allclose(half, whole, rtol=0.05, atol=3e-3)


class Casts(Observer):
    """Counts the casts of a parameter."""

    def __init__(self, parameter):
        self.array, self.count = parameter.data, 0

    def ran(self, operation, inputs, outputs, node):
        is_cast = operation.__name__ == "astype" and inputs[0].data is self.array
        self.count += is_cast


@pytest.mark.parametrize(("cache_enabled", "casts"), [(None, 1), (True, 1), (False, 2)])
def test_a_parameter_is_cast_once(cache_enabled, casts):
    layer, x = nn.Linear(3, 3, bias=False), minidl.tensor(drawn(2, 3))
    counter = Casts(layer.weight)
    with observed_by(counter), minidl.autocast(KIND, cache_enabled=cache_enabled):
        layer(layer(x))
    assert counter.count == casts


def test_a_parameter_that_was_written_is_cast_again():
    layer, x = nn.Linear(2, 2, bias=False), minidl.ones((1, 2))
    optimizer = optim.SGD(layer.parameters(), lr=1.0)
    with minidl.autocast(KIND):
        before = layer(x).numpy()
        layer.weight.grad = minidl.ones((2, 2))
        optimizer.step()
        np.testing.assert_allclose(layer(x).numpy(), before - 2, atol=4e-3)
        layer.weight.data = minidl.zeros((2, 2)).data
        assert not layer(x).numpy().any()


def test_backward_and_no_grad_inside_of_a_block():
    layer, x = nn.Linear(2, 2, bias=False), minidl.ones((1, 2))
    with minidl.autocast(KIND):
        with minidl.no_grad():
            assert not layer(x).requires_grad
        for _ in range(2):  # the second graph does not use what the first one freed
            layer(x).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), 2)


def test_checkpoints_compute_again_as_they_computed():
    layer, x = nn.Linear(3, 3), minidl.tensor(drawn(2, 3), requires_grad=True)
    found = []
    for run in (lambda f, x: f(x), minidl.checkpoint):
        layer.zero_grad()
        x.grad = None
        with minidl.autocast(KIND):
            layer(x)  # the weight has been cast
            loss = run(lambda x: layer(layer(x)), x).sum()
        loss.backward()
        found.append((x.grad.numpy(), layer.weight.grad.numpy()))
    for plain, again in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, again)


def test_second_derivatives():
    x = minidl.tensor([0.5, 2.0], requires_grad=True)
    with minidl.autocast(KIND), minidl.higher_order():
        y = (minidl.matmul(x, x) ** 2).sum()
    (dx,) = minidl.gradients(y, [x], create_graph=True)
    assert dx.dtype == f32
    (dxx,) = minidl.gradients(dx.sum(), [x])
    assert dxx.dtype == f32
    np.testing.assert_allclose(dxx.numpy(), 4 * 4.25 + 8 * x.numpy() * 2.5, rtol=4e-3)


# Blocks.


def dtype_here():
    return minidl.matmul(minidl.ones((2, 2)), minidl.ones((2, 2))).dtype


def test_blocks_nest_and_end():
    assert dtype_here() == f32
    with minidl.autocast(KIND):
        assert dtype_here() == f16
        with minidl.autocast(KIND, enabled=False):
            assert dtype_here() == f32
            with minidl.autocast(KIND):
                assert dtype_here() == f16
        with minidl.autocast(OTHER):
            assert dtype_here() == f16
            assert minidl.amp.is_autocast_enabled(OTHER)
        assert dtype_here() == f16
        assert not minidl.amp.is_autocast_enabled(OTHER)
    assert dtype_here() == f32
    assert current.get().autocast is None


def test_other_devices_are_left_alone():
    with minidl.autocast(OTHER):
        assert dtype_here() == f32


def test_a_block_ends_with_an_exception():
    with pytest.raises(RuntimeError), minidl.autocast(KIND):
        raise RuntimeError
    with pytest.raises(minidl.errors.ShapeError), minidl.autocast(KIND):
        minidl.matmul(minidl.ones((2, 3)), minidl.ones((2, 3)))
    assert dtype_here() == f32


def test_errors_inside_of_a_block_name_the_operation():
    with minidl.autocast(KIND), pytest.raises(minidl.errors.ShapeError, match="Linear"):
        nn.Linear(3, 2)(minidl.ones((2, 4)))


def test_it_is_a_decorator_and_the_default_device_decides():
    @minidl.autocast()
    def run():
        return dtype_here(), minidl.amp.is_autocast_enabled()

    assert run() == run() == (f16, True)
    assert dtype_here() == f32


def test_threads_have_blocks_of_their_own():
    found = []
    with minidl.autocast(KIND):
        thread = threading.Thread(target=lambda: found.append(dtype_here()))
        thread.start()
        thread.join()
    assert found == [f32]


def test_bad_settings():
    with pytest.raises(ArgumentError, match="float16"):
        minidl.autocast(KIND, dtype="float32")
    with pytest.raises(minidl.errors.MinidlError, match="bfloat16"):
        minidl.autocast(KIND, dtype="bfloat16")
    with pytest.raises(ArgumentError, match="enabled"):
        minidl.autocast(KIND, enabled=1)
    with pytest.raises(DeviceError):
        minidl.autocast("GPU!")
