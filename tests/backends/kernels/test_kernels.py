"""The kernels of the CPU: exactness, special values, and what they leave to the bodies."""

import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl.errors import BoundsError


def loss_of(logits, target, kernels):
    x = minidl.tensor(np.asarray(logits, "float32"), requires_grad=True)
    with minidl.kernels(kernels):
        y = minidl.cross_entropy(x, minidl.asarray(target))
    return y.item(), minidl.gradients(y, [x])[0].numpy()


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    "logits",
    [
        [[1000.0, -1000.0, 0.0], [-1e30, 1e30, 0.0]],
        [[-np.inf, 0.0, 1.0], [2.0, -np.inf, 1.0]],
        [[np.nan, 0.0, 1.0], [0.0, 1.0, 2.0]],
        [[-np.inf, -np.inf, -np.inf], [0.0, 1.0, 2.0]],
        [[np.inf, 0.0, 1.0], [0.0, 1.0, 2.0]],
    ],
)
def test_cross_entropy_of_special_values(logits):
    fast, slow = (loss_of(logits, [2, 0], kernels) for kernels in ("fast", "reference"))
    np.testing.assert_allclose(fast[0], slow[0], rtol=1e-6)
    nan = np.isnan(slow[1]).any(axis=1)
    np.testing.assert_array_equal(np.isnan(fast[1]).any(axis=1), nan)
    np.testing.assert_allclose(fast[1][~nan], slow[1][~nan], atol=1e-6)


@pytest.mark.parametrize("target", [[0, 3], [-1, 0]])
@pytest.mark.parametrize("kernels", ["fast", "reference"])
def test_cross_entropy_of_a_class_that_does_not_exist(target, kernels):
    wrong = next(t for t in target if not 0 <= t < 3)
    with pytest.raises(BoundsError, match=f"cross_entropy.*index {wrong} is outside 0 … 2"):
        loss_of(np.zeros((2, 3)), target, kernels)


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


def test_momenta_do_not_linger_among_the_denormal_numbers():
    p = minidl.nn.Parameter(minidl.ones(2))
    optimizer = minidl.optim.Adam([p])
    p.grad = minidl.tensor([1e-3, 0.0])
    optimizer.step()
    p.grad = minidl.zeros(2)
    for _ in range(1500):
        optimizer.step()
    assert optimizer.state[p]["exp_avg"].tolist() == [0, 0]


def test_compiled_code_is_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    code = (
        "import minidl, numba; p = minidl.nn.Parameter([1.0]); p.grad = minidl.ones(1);"
        "minidl.optim.SGD([p]).step(); print(numba.config.CACHE_DIR)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert printed.strip() == b"", "the setting of the process is as it was"
    assert [path for path in tmp_path.rglob("*.nbi") if "_descend" in path.name]
