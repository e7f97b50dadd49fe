"""The multi-tensor optimisers against those of the CPU, over several steps."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl_cuda.kernels.multi_tensor import CHUNK, COUNTS

SHAPES = [(), (1,), (3, 4), (0,), (5, 1, 2), (CHUNK,), (2 * CHUNK + 4,), (CHUNK - 1,), (17, 300)]

RULES = {
    "descent": (optim.SGD, {"lr": 0.1}),
    "descent_decayed": (optim.SGD, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    "momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    "nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": (optim.Adam, {"lr": 0.01}),
    "adam_decayed": (optim.Adam, {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.1}),
    "amsgrad": (optim.Adam, {"lr": 0.01, "amsgrad": True, "maximize": True}),
    "adamw": (optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "adamw_amsgrad": (optim.AdamW, {"lr": 0.01, "amsgrad": True}),
}
each_rule = pytest.mark.parametrize("rule", RULES)


def kernel_of(rule, dtype):
    name = {"nesterov": "momentum"}.get(rule.split("_")[0], rule.split("_")[0])
    name = "amsgrad" if "amsgrad" in rule else "adam" if name == "adamw" else name
    return f"{name}_f{8 * np.dtype(dtype).itemsize}"


def trained(device, rule, dtype, shapes=SHAPES, steps=10, seed=0):
    """The parameters after some steps with gradients of many sizes, the optimiser, and the peaks.

    The peak of a parameter is its largest absolute value on the way, to which its errors compare.
    """
    rng = np.random.default_rng(seed)
    params = [nn.Parameter(minidl.tensor(rng.normal(size=s), dtype=dtype)) for s in shapes]
    params = [nn.Parameter(p.detach().to(device)) for p in params]
    cls, settings = RULES[rule]
    optimizer = cls(params, **settings)
    peaks = [{"value": np.abs(p.numpy())} for p in params]
    for _ in range(steps):
        for p in params:
            gradient = rng.normal(size=p.shape) * 10.0 ** rng.integers(-4, 3, p.shape)
            p.grad = minidl.tensor(gradient, dtype=dtype).to(device)
        optimizer.step()
        for p, peak in zip(params, peaks, strict=True):
            for name, x in arrays_of(p, optimizer).items():
                peak[name] = np.maximum(peak.get(name, 0), np.abs(x))
    return params, optimizer, peaks


def arrays_of(p, optimizer):
    """The value of a parameter, and its state but for the count of steps."""
    state = {name: x for name, x in optimizer.state[p].items() if name != "step"}
    return {name: minidl.asarray(x).numpy() for name, x in {"value": p, **state}.items()}


def assert_close(found, expected, peak, dtype, steps=10):
    """Within four units in the last place of the peak, for each step."""
    assert (np.abs(found - expected) <= 4 * steps * np.finfo(dtype).eps * peak).all()


@each_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_and_state_are_those_of_the_cpu(rule, dtype, launches):
    ours, optimizer, _ = trained("cuda", rule, dtype)
    assert launches[kernel_of(rule, dtype)] == 10  # one launch a step
    expected, other, peaks = trained("cpu", rule, dtype)
    for p, q, peak in zip(ours, expected, peaks, strict=True):
        assert p.device.type == "cuda"
        found, known = arrays_of(p, optimizer), arrays_of(q, other)
        assert found.keys() == known.keys()
        assert optimizer.state[p]["step"] == other.state[q]["step"] == 10
        for name, x in found.items():
            assert_close(x, known[name], peak[name], dtype)


@each_rule
def test_a_step_uploads_nothing_and_waits_for_nothing(rule, counters):
    _, optimizer, _ = trained("cuda", rule, "float32", steps=2)
    counters.reset()
    optimizer.step()
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)
    assert counters.launches == {kernel_of(rule, "float32"): 1}


@pytest.mark.parametrize("rule", ["descent", "amsgrad"])
def test_many_parameters_take_several_launches(rule, launches):
    arrays = {"descent": 2, "amsgrad": 5}[rule]
    shapes = [(i % 7,) for i in range(2 * COUNTS[arrays] + 3)]
    ours, *_ = trained("cuda", rule, "float32", shapes, steps=3)
    filled = sum(shape != (0,) for shape in shapes)
    assert launches[kernel_of(rule, "float32")] == 3 * -(-filled // COUNTS[arrays])
    expected, _, peaks = trained("cpu", rule, "float32", shapes, steps=3)
    for p, q, peak in zip(ours, expected, peaks, strict=True):
        assert_close(p.numpy(), q.numpy(), peak["value"], "float32", steps=3)


def test_structs_fit_into_the_arguments_of_a_kernel():
    from minidl_cuda.kernels.multi_tensor import _struct

    for arrays, count in COUNTS.items():
        assert _struct(arrays).itemsize <= 4096 - 64  # the rest is for numbers and pointers
        assert _struct(arrays).itemsize % 8 == 0
        assert count % 2 == 1


def test_gradients_and_parameters_of_other_layouts(launches):
    for device in ("cuda", "cpu"):
        p = nn.Parameter(minidl.ones((4, 3)).to(device))
        transposed = nn.Parameter(minidl.asarray(np.ones((4, 3), "float32")).to(device).T.detach())
        gradient = minidl.tensor(np.arange(12.0).reshape(3, 4), dtype="float32").to(device).T
        p.grad = gradient
        transposed.grad = gradient.T
        optim.Adam([p, transposed], lr=0.1).step()
        result = p.numpy(), transposed.numpy()
        if device == "cuda":
            found = result
    assert launches["adam_f32"] == 1
    for x, y in zip(found, result, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("rule", ["descent", "momentum", "adam", "amsgrad"])
def test_what_went_wrong_stays_visible(rule, bad):
    p = nn.Parameter(minidl.ones(3).to("cuda"))
    cls, settings = RULES[rule]
    p.grad = minidl.tensor([1.0, bad, 1.0]).to("cuda")
    optimizer = cls([p], **settings)
    optimizer.step()
    np.testing.assert_array_equal(np.isfinite(p.numpy()), [True, False, True])
    if rule == "amsgrad":
        p.grad = minidl.ones(3).to("cuda")
        optimizer.step()
        np.testing.assert_array_equal(np.isfinite(p.numpy()), [True, False, True])


def test_momenta_do_not_become_denormal():
    p = nn.Parameter(minidl.ones(2).to("cuda"))
    optimizer = optim.Adam([p], betas=(0.5, 0.5))
    p.grad = minidl.tensor([1e-3, 0.0]).to("cuda")
    optimizer.step()
    p.grad = minidl.zeros(2).to("cuda")
    for _ in range(130):  # 2⁻¹³⁰ · 10⁻³ is denormal
        optimizer.step()
    assert minidl.asarray(optimizer.state[p]["exp_avg"]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("width", "dtype"), [(1, "float32"), (5, "float64"), (64, "float32"), (300, "float32")]
)
@pytest.mark.parametrize("rule", ["descent", "adam", "amsgrad", "adamw"])
def test_rows_are_updated_and_no_others(rule, width, dtype, counters):
    cls, settings = RULES[rule]
    settings = settings if rule == "descent" else {**settings, "lazy": True}
    found = {}
    for device in ("cuda", "cpu"):
        rng = np.random.default_rng(0)
        p = nn.Parameter(minidl.tensor(rng.normal(size=(50, width)), dtype=dtype).to(device))
        optimizer = cls([p], **settings)
        for _ in range(5):
            ids = np.unique(rng.integers(0, 50, 12))
            rows = rng.normal(size=(ids.size, width)).astype(dtype)
            held = [minidl.asarray(x).to(device).data for x in (ids, rows)]
            p.grad = minidl.RowGradient(*held, p.shape).coalesce()
            counters.reset()
            optimizer.step()
            if device == "cuda" and optimizer.state[p]["step"] > 1:
                name, suffix = kernel_of(rule, dtype)[:-4], kernel_of(rule, dtype)[-4:]
                assert counters.launches == {f"{name}_rows{suffix}": 1}
                assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)
        found[device] = p.numpy()
    np.testing.assert_allclose(found["cuda"], found["cpu"], rtol=2e-6, atol=1e-6)


def test_float16_parameters_are_updated_as_on_the_cpu():
    found = {}
    for device in ("cuda", "cpu"):
        p = nn.Parameter(minidl.ones(5, dtype="float16").to(device))
        optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
        for _ in range(3):
            p.grad = minidl.ones(5, dtype="float16").to(device)
            optimizer.step()
        found[device] = p.numpy()
    np.testing.assert_array_equal(found["cuda"], found["cpu"])
