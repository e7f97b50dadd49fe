"""The kernels of the optimisers: special values, and the arithmetic of whole arrays."""

import numpy as np
import pytest

import minidl


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rules_do_not_hide_what_went_wrong(name, bad):
    for kernels in ("fast", "reference"):
        p = minidl.nn.Parameter(minidl.ones(3))
        p.grad = minidl.tensor([1.0, bad, 1.0])
        with minidl.kernels(kernels), np.errstate(all="ignore"):
            getattr(minidl.optim, name)([p], lr=0.1).step()
        np.testing.assert_array_equal(np.isfinite(p.numpy()), [True, False, True])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
        ("Adam", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rules_are_those_of_whole_array_arithmetic(name, settings, dtype):
    found = []
    for kernels in ("fast", "reference"):
        rng = np.random.default_rng(0)
        values = [rng.normal(size=shape) for shape in ((), (3, 4), (0,), (5, 1, 2))]
        params = [minidl.nn.Parameter(minidl.tensor(x, dtype=dtype)) for x in values]
        transposed = minidl.nn.Parameter(minidl.asarray(np.ones((4, 3), dtype).T))
        optimizer = getattr(minidl.optim, name)([*params, transposed], **settings)
        with minidl.kernels(kernels):
            for _ in range(10):
                for p in (*params, transposed):
                    p.grad = minidl.tensor(rng.normal(size=p.shape), dtype=dtype)
                optimizer.step()
        found.append([p.numpy() for p in (*params, transposed)])
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    for fast, slow in zip(*found, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=tolerance, atol=tolerance)


def test_momenta_do_not_become_denormal():
    p = minidl.nn.Parameter(minidl.ones(2))
    optimizer = minidl.optim.Adam([p])
    p.grad = minidl.tensor([1e-3, 0.0])
    optimizer.step()
    p.grad = minidl.zeros(2)
    for _ in range(1500):
        optimizer.step()
    assert optimizer.state[p]["exp_avg"].tolist() == [0, 0]
