"""Lazy layers: their first call makes them what they stand for, and nothing can be done before."""

import copy
import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import ArgumentError, GradientError, ShapeError
from minidl.nn import PartError

IMAGES = {1: (8,), 2: (6, 6), 3: (4, 4, 4)}
NORMS = [f"Lazy{kind}Norm{n}d" for kind in ("Batch", "Instance") for n in (1, 2, 3)]
CONVOLUTIONS = [f"LazyConv{kind}{n}d" for kind in ("", "Transpose") for n in (1, 2, 3)]


def made(name):
    """A layer, an input for it, and the layer that it becomes, of the same random numbers."""
    channels, others = (4,), ((5, 3) if "Conv" in name else (5,) if name == "LazyLinear" else ())
    image = () if name == "LazyLinear" else IMAGES[int(name[-2])]
    settings = {"affine": True, "track_running_stats": True} if "Norm" in name else {}
    x = minidl.random.normal((2, *channels, *image))
    minidl.manual_seed(3)
    eager = getattr(nn, name.removeprefix("Lazy"))(*channels, *others, **settings)
    minidl.manual_seed(3)
    lazy = getattr(nn, name)(*others)  # which draws nothing
    return lazy, x, eager


@pytest.mark.parametrize("name", ["LazyLinear", *CONVOLUTIONS, *NORMS])
def test_the_first_call_makes_the_layer(name):
    lazy, x, eager = made(name)
    assert isinstance(lazy, type(eager))
    y, expected = lazy(x), eager(x)
    np.testing.assert_array_equal(y.detach(), expected.detach())
    assert type(lazy) is type(eager)
    assert repr(lazy) == repr(eager)
    assert list(lazy.state_dict()) == list(eager.state_dict())
    assert vars(lazy).keys() == vars(eager).keys()
    np.testing.assert_array_equal(lazy(x).detach(), eager(x).detach())


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_single_sample_has_its_channels_first(axes):
    x = minidl.zeros((4, *IMAGES[axes]))
    for name in ("LazyConv", "LazyConvTranspose"):
        layer = getattr(nn, f"{name}{axes}d")(5, 3)
        layer(x)
        assert layer.in_channels == 4
    layer = getattr(nn, f"LazyInstanceNorm{axes}d")()
    layer(x)
    assert layer.num_features == 4


def test_a_network_is_trained_after_one_call():
    net = nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
    )
    x = minidl.random.normal((8, 1, 6, 6))
    net.eval()
    with minidl.no_grad():
        net(x)
    assert not net[0].training and not net[1].training  # noqa: PT018
    assert all(p.requires_grad for p in net.parameters())
    net.train()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    before = net.state_dict()["4.weight"].copy()
    minidl.cross_entropy(net(x), minidl.arange(8) % 2).backward()
    optimizer.step()
    assert (net.state_dict()["4.weight"] != before).any()


def test_hooks_stay():
    seen = []
    layer = nn.LazyLinear(3)
    layer.register_forward_hook(lambda module, inputs, output: seen.append(type(module)))
    layer(minidl.zeros((2, 4)))
    layer(minidl.zeros((2, 4)))
    assert seen == [nn.Linear, nn.Linear]


@pytest.mark.parametrize(
    "use",
    {
        "parameters": lambda net: list(net.parameters()),
        "buffers": lambda net: list(net.buffers()),
        "state_dict": lambda net: net.state_dict(),
        "load_state_dict": lambda net: net.load_state_dict({"1.weight": minidl.ones((3, 4))}),
        "to": lambda net: net.to("float64"),
        "zero_grad": lambda net: net.zero_grad(),
        "requires_grad_": lambda net: net.requires_grad_(False),
        "optimiser": lambda net: optim.Adam(net.parameters()),
        "weight": lambda net: net[1].weight,
        "bias": lambda net: net[1].bias,
        "summary": lambda net: nn.summary(net, (2, 4)),
    }.items(),
    ids=lambda case: case[0],
)
def test_before_its_first_call_a_lazy_layer_has_nothing(use):
    net = nn.Sequential(nn.ReLU(), nn.LazyLinear(3))
    with pytest.raises(PartError, match="LazyLinear has no parameters or buffers before its first"):
        use[1](net)
    net(minidl.zeros((2, 4)))
    use[1](net) if use[0] != "load_state_dict" else net.state_dict()


def test_settings_are_checked_when_it_is_made_and_inputs_before_it_is():
    with pytest.raises(ArgumentError, match="kernel_size"):
        nn.LazyConv2d(4, 0)
    with pytest.raises(ArgumentError, match="out_features"):
        nn.LazyLinear(-1)
    layer = nn.LazyConv2d(4, 3)
    for wrong in (minidl.zeros((4, 4)), None, 3.0):
        with pytest.raises(ShapeError, match="LazyConv2d needs an input of shape"):
            layer(wrong)
    odd = nn.LazyConv1d(4, 3, groups=2)
    with pytest.raises(ArgumentError, match="groups is a number ≥ 1 that divides in_channels=3"):
        odd(minidl.zeros((1, 3, 8)))
    odd(minidl.zeros((1, 2, 8)))  # what failed has changed nothing
    assert odd.weight.shape == (4, 1, 3)


def test_a_first_call_inside_checkpoint_is_refused():
    layer = nn.LazyLinear(3)
    x = minidl.ones((2, 4), requires_grad=True)
    with pytest.raises(GradientError, match="LazyLinear: makes its parameters in its first call"):
        minidl.checkpoint(layer, x)
    layer(x)
    minidl.checkpoint(layer, x).sum().backward()
    assert layer.weight.grad.tolist() == [[2.0] * 4] * 3


def test_a_lazy_layer_can_be_copied_and_pickled():
    layer = nn.LazyConv1d(4, 3)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer)
        assert other(minidl.zeros((1, 2, 8))).shape == (1, 4, 6)
    assert type(layer) is nn.LazyConv1d
    with pytest.raises(AttributeError, match="no attribute 'wieght'"):
        _ = layer.wieght
