"""Initialisers, against PyTorch's formulas: moments, limits, and exact values."""

import math

import numpy as np
import pytest
from scipy import stats

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.nn import init
from tests.oracle import torch


def fresh(*shape, dtype="float32"):
    return minidl.empty(shape, dtype=dtype)


def generator(seed=3):
    return minidl.random.Generator(seed)


def drawn(name, shape, *settings, **named):
    x = getattr(init, name)(fresh(*shape), *settings, generator=generator(), **named)
    return x.numpy().astype("float64").ravel()


@pytest.mark.parametrize(("low", "high"), [(-2, 2), (0, 5), (2, 2.5), (-9, -1.5), (4, 6)])
@pytest.mark.parametrize(("mean", "std"), [(0, 1), (1, 0.5)])
def test_trunc_normal_is_the_truncated_normal(mean, std, low, high):
    x = drawn("trunc_normal_", (100, 200), mean, std, low, high)
    assert low <= x.min() <= x.max() <= high
    limits = (low - mean) / std, (high - mean) / std
    assert stats.kstest(x, stats.truncnorm(*limits, mean, std).cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(200, 300), (30, 40, 5, 5)])
def test_normal_ones_have_pytorchs_deviations(shape):
    fan_in, fan_out = (n * math.prod(shape[2:]) for n in (shape[1], shape[0]))
    needed = {
        ("xavier_normal_", (0.7,)): 0.7 * math.sqrt(2 / (fan_in + fan_out)),
        ("kaiming_normal_", ()): math.sqrt(2 / fan_in),
        ("kaiming_normal_", (0.3, "fan_out")): math.sqrt(2 / (1.09 * fan_out)),
        ("kaiming_normal_", (0, "fan_in", "tanh")): 5 / 3 / math.sqrt(fan_in),
    }
    for (name, settings), std in needed.items():
        x = drawn(name, shape, *settings)
        assert stats.kstest(x, "norm", (0, std)).pvalue > 1e-3
        theirs = getattr(torch.nn.init, name)(torch.empty(shape), *settings)
        assert x.std() == pytest.approx(theirs.std().item(), rel=0.02)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("after", ["relu", "selu", "linear", "sigmoid"])
def test_kaiming_uniform_has_pytorchs_bound(mode, after):
    x = drawn("kaiming_uniform_", (100, 300), mode=mode, nonlinearity=after)
    theirs = torch.nn.init.kaiming_uniform_(torch.empty(100, 300), mode=mode, nonlinearity=after)
    assert np.abs(x).max() == pytest.approx(theirs.abs().max().item(), rel=1e-3)


GAINS = ["linear", "conv1d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


@pytest.mark.parametrize("name", GAINS)
def test_gains_are_pytorchs(name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain(name, 0.3) == torch.nn.init.calculate_gain(name, 0.3)


@pytest.mark.parametrize(
    ("name", "shape", "settings"),
    [
        ("eye_", (3, 5), ()),
        *(("dirac_", shape, ()) for shape in [(3, 4, 3), (4, 2, 3, 4), (2, 2, 1, 2, 3)]),
        *(("dirac_", shape, (2,)) for shape in [(4, 2, 3), (6, 5, 3, 3)]),
        ("constant_", (2, 3), (0.5,)),
        ("ones_", (2,), ()),
        ("zeros_", (), ()),
    ],
)
def test_fixed_initial_values_are_pytorchs(name, shape, settings):
    ours = getattr(init, name)(minidl.full(shape, 7.0), *settings)
    theirs = getattr(torch.nn.init, name)(torch.full(shape, 7.0), *settings)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (3, 2, 2), (6, 1, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal_rows_or_columns(shape, dtype):
    x = init.orthogonal_(fresh(*shape, dtype=dtype), 2.0, generator()).numpy()
    assert x.dtype == dtype
    x = x.reshape(shape[0], -1)
    product = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_orthogonal_matrices_have_no_preferred_sign():
    signs = [init.orthogonal_(fresh(2, 2), generator=generator(i)).numpy() > 0 for i in range(400)]
    assert np.abs(np.mean(signs, axis=0) - 0.5).max() < 0.1
    assert init.orthogonal_(fresh(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("sparsity", [0, 0.11, 0.5, 1])
def test_sparse_columns_have_their_fraction_of_zeros(sparsity):
    x = init.sparse_(fresh(50, 40), sparsity, 0.2, generator()).numpy()
    assert ((x == 0).sum(axis=0) == math.ceil(sparsity * 50)).all()
    if sparsity in (0.11, 0.5):
        assert len({tuple(column) for column in (x == 0).T}) > 30
        assert x[x != 0].std() == pytest.approx(0.2, rel=0.1)


DRAWING = ["uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_"]
DRAWING += ["kaiming_uniform_", "kaiming_normal_", "orthogonal_"]


@pytest.mark.parametrize("name", DRAWING)
def test_initialisers_write_into_the_parameter_from_their_generator(name):
    parameters = [nn.Parameter(np.zeros((3, 4))) for _ in range(3)]
    for parameter, seed in zip(parameters, (1, 1, 2), strict=True):
        assert getattr(init, name)(parameter, generator=generator(seed)) is parameter
        assert parameter.is_leaf
        assert parameter.requires_grad
        assert parameter.dtype == "float64"
    np.testing.assert_array_equal(parameters[0], parameters[1])
    assert (parameters[0] != parameters[2]).all()


WRONG = {
    "bounds": (lambda: init.trunc_normal_(fresh(3), a=2, b=1), ArgumentError, "a < b.*a=2, b=1"),
    "deviation": (lambda: init.trunc_normal_(fresh(3), std=0), ArgumentError, "std=0"),
    "eye": (lambda: init.eye_(fresh(3)), ShapeError, r"eye_.*matrix.*\(3,\)"),
    "dirac": (lambda: init.dirac_(fresh(3, 2)), ShapeError, r"dirac_.*three to five.*\(3, 2\)"),
    "groups": (lambda: init.dirac_(fresh(3, 2, 1), 2), ShapeError, r"2 groups.*\(3, 2, 1\)"),
    "mode": (
        lambda: init.kaiming_normal_(fresh(3, 2), mode="fan"),
        ArgumentError,
        "fan_out.*'fan'",
    ),
    "after": (lambda: init.calculate_gain("gelu"), ArgumentError, "relu.*'gelu'"),
    "slope": (lambda: init.calculate_gain("leaky_relu", "a"), ArgumentError, "slope.*'a'"),
    "orthogonal": (lambda: init.orthogonal_(fresh(3)), ShapeError, "orthogonal_.*two axes"),
    "sparse": (lambda: init.sparse_(fresh(3), 0.5), ShapeError, "sparse_.*matrix"),
    "sparsity": (lambda: init.sparse_(fresh(3, 2), 2), ArgumentError, "from 0 to 1; got 2"),
    "fans": (lambda: init.xavier_normal_(fresh(3)), ShapeError, "at least two axes"),
}


@pytest.mark.parametrize(("misuse", "kind", "message"), WRONG.values(), ids=WRONG)
def test_misuse_is_explained(misuse, kind, message):
    with pytest.raises(kind, match=message):
        misuse()


def test_an_array_is_not_written_into():
    weight = nn.Linear(2, 2).weight
    with pytest.raises(DTypeError, match=r"zeros_: needs a tensor to .*; got an array, float32"):
        nn.init.zeros_(weight.data)
