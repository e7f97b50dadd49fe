"""Two GPUs: each tensor is computed where it is, whatever the current device."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import DeviceError

DEVICES = ["cuda:0", "cuda:1"]


@pytest.fixture(params=DEVICES)
def current(request):
    """The current device, whichever the tensors are on."""
    with minidl.cuda.device(request.param):
        yield request.param
        assert minidl.cuda.current_device() == minidl.device(request.param).index


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("device", DEVICES)
def test_tensors_are_created_where_it_is_said(device, current):
    for x in (
        minidl.zeros(3, device=device),
        minidl.asarray(numbers(3), device=device),
        minidl.arange(3, device=device),
        minidl.random.normal(3, device=device),
        minidl.ones(3).to(device),
        minidl.ones(3).cuda(minidl.device(device).index),
        nn.Linear(2, 3, device=device).weight,
    ):
        assert x.device == device
        assert x.is_cuda
    assert minidl.zeros(3, device="cuda").device == current
    assert minidl.zeros(3).device == "cpu"
    with minidl.device(device):
        assert minidl.zeros(3).device == device
        assert minidl.add(1.0, 2.0).device == device


@pytest.mark.parametrize("device", DEVICES)
def test_operations_and_gradients_stay_on_the_device(device, current):
    def gradients(device):
        x = minidl.asarray(numbers(4, 3), device=device, requires_grad=True)
        w = minidl.asarray(numbers(3, 5), device=device, requires_grad=True)
        y = minidl.softmax((x @ w).tanh() + 1, axis=1)
        y = minidl.concat([y, y[:, :2] * 2, y[minidl.asarray([3, 3, 0, 1], device=device)]], axis=1)
        (y.std() + (x * x)[:2].sum()).backward()
        return y, x.grad, w.grad

    for found, expected in zip(gradients(device), gradients("cpu"), strict=True):
        assert found.device == device
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-14)


def test_gradients_return_across_devices(current):
    a = minidl.asarray(numbers(3), device="cuda:0", requires_grad=True)
    b = minidl.asarray(numbers(3), device="cuda:1", requires_grad=True)
    c = minidl.asarray(numbers(3), requires_grad=True)
    half = (a * a).to("cuda:1") * b  # a model in two parts
    (half.to("cpu") * c + a.cpu() + b.to("cuda:0").cpu()).sum().backward()
    a0, b0, c0 = a.numpy(), b.numpy(), c.numpy()
    for leaf, expected, device in (
        (a, 2 * a0 * b0 * c0 + 1, "cuda:0"),
        (b, a0 * a0 * c0 + 1, "cuda:1"),
        (c, a0 * a0 * b0, "cpu"),
    ):
        assert leaf.grad.device == device
        np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=1e-12)


def test_second_derivatives_too(current):
    x = minidl.asarray([2.0, 3.0], device="cuda:1", requires_grad=True)
    with minidl.higher_order():
        y = (x**3).to("cuda:0").sum()
    (slope,) = minidl.gradients(y, [x], create_graph=True)
    slope.sum().backward()
    assert slope.device == x.grad.device == "cuda:1"
    assert x.grad.tolist() == [12.0, 18.0]


def test_two_gpus_do_not_mix(current):
    x, y = (minidl.ones((2, 3), device=device) for device in DEVICES)
    said = r"add: input 0, float32 \(2, 3\), is on 'cuda:0' and input 1, .*'cuda:1'.*x.to\('cuda:0"
    with pytest.raises(DeviceError, match=said):
        _ = x + y
    with pytest.raises(DeviceError, match=r"concat: .*'cuda:1'"):
        minidl.concat([x, x, y])
    with pytest.raises(DeviceError, match=r"setitem: .*move them, as by values\.to"):
        x[...] = y
    ids = minidl.asarray([1, 0], device="cuda:1")
    with pytest.raises(DeviceError, match=r"index, int64 \(2,\), on 'cuda:1'; move one"):
        x[ids]
    assert x[ids.cpu()].device == "cuda:0"  # small, and of the host: it is sent there
    x[0] = minidl.asarray(3.0, device="cuda:1")
    assert x.tolist() == [[3.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "LBFGS"])
def test_an_optimiser_steps_where_its_parameters_are(kind, current):
    def trained(first, second):
        minidl.manual_seed(0)
        one, two = nn.Linear(3, 4).to(first), nn.Linear(4, 1).to(second)
        x, y = minidl.asarray(numbers(8, 3), dtype="float32"), minidl.ones((8, 1))
        parameters = [*one.parameters()] if kind == "LBFGS" else [*one.parameters(),
                                                                  *two.parameters()]  # fmt: skip
        optimizer = getattr(optim, kind)(parameters, lr=0.05)

        def closure():
            optimizer.zero_grad()
            loss = ((two(one(x.to(first)).tanh().to(second)).cpu() - y) ** 2).mean()
            loss.backward()
            if kind != "LBFGS":
                optim.clip_grad_norm_(parameters, 0.5)
            return loss

        for _ in range(3):
            optimizer.step(closure)
        return [p.numpy() for p in parameters], optimizer.state_dict()

    (found, state), (expected, _) = trained("cuda:1", "cuda:0"), trained("cpu", "cpu")
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    if kind == "Adam":
        assert [own["exp_avg"].device for own in state["state"].values()] == [
            *["cuda:1"] * 2,
            *["cuda:0"] * 2,
        ]


def test_an_optimiser_goes_where_its_model_goes():
    net = nn.Linear(3, 2)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    for device in ("cpu", "cuda:1", "cuda:0", "cpu"):
        net.to(device)
        net(minidl.ones((4, 3), device=device)).sum().backward()
        optimizer.step()
        assert {own["exp_avg"].device for own in optimizer.state_dict()["state"].values()} == {
            device
        }


def test_batch_norm_tracks_where_it_is(current):
    for momentum in (0.1, None):
        there, here = nn.BatchNorm1d(3, momentum=momentum), nn.BatchNorm1d(3, momentum=momentum)
        there.to("cuda:1")
        for _ in range(2):
            x = minidl.asarray(numbers(8, 3), dtype="float32")
            there(x.to("cuda:1"))
            here(x)
        for name, buffer in there.state_dict().items():
            assert buffer.device == "cuda:1"
            np.testing.assert_allclose(buffer.numpy(), here.state_dict()[name].numpy(), rtol=1e-5)


def test_the_module_tells_of_the_gpus(current):
    cuda = minidl.cuda
    assert cuda.is_available()
    assert cuda.device_count() == 2
    before = cuda.memory_allocated("cuda:1")
    x = minidl.zeros(1 << 20, device="cuda:1")
    assert cuda.memory_allocated(1) - before >= x.size * 4
    assert cuda.max_memory_allocated(1) >= cuda.memory_allocated(1)
    assert cuda.memory_reserved(1) >= cuda.memory_allocated(1)
    free, total = cuda.mem_get_info(1)
    assert 0 < free < total
    del x
    cuda.reset_peak_memory_stats(1)
    assert cuda.max_memory_allocated(1) == cuda.memory_allocated(1) == before
    cuda.empty_cache()
    cuda.synchronize()
    cuda.synchronize("cuda:1")
    assert isinstance(cuda.get_device_name(0), str)
    assert cuda.get_device_capability(0) >= (7, 5)
    with pytest.raises(DeviceError, match=r"no device 'cuda:7'; there are 'cuda:0', 'cuda:1'"):
        cuda.set_device(7)
    with pytest.raises(DeviceError, match=r"synchronize: needs an index, or a name like 'cuda:1'"):
        cuda.synchronize("cpu")


def test_streams(current):
    cuda = minidl.cuda
    side, main = cuda.Stream("cuda:1"), cuda.current_stream("cuda:1")
    with cuda.stream(side):
        assert cuda.current_device() == 1
        x = minidl.ones(4, device="cuda") * 2
        done = cuda.Event()
        done.record()
    main.wait_stream(side)
    main.wait_event(done)
    side.synchronize()
    done.synchronize()
    assert x.device == "cuda:1"
    assert x.tolist() == [2.0] * 4
    with cuda.stream(None):
        assert f"cuda:{cuda.current_device()}" == current
