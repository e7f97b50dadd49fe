"""Operations by the kernels on the GPU, compared with the CPU's in float64 and in float32."""

import re

import numpy as np

import minidl
from tests.cuda.stand_in import counters

UNIT = {"float32": 2.0**-24, "float16": 2.0**-11}


def random(*shape, seed=0, scale=1.0):
    """Normal numbers, float32."""
    rng = np.random.default_rng([seed, *shape])
    return (scale * rng.normal(size=shape)).astype("float32")


def outcome(operation, arrays, device="cuda", constants=(), dys=None):
    """The outputs and the gradients of all float arrays but the `constants`, and the pullback."""
    tensors = [
        None if a is None
        else minidl.tensor(
            a, device=device, requires_grad=a.dtype.kind == "f" and i not in constants
        )
        for i, a in enumerate(arrays)
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        counters_before = counters.h2d, counters.d2h, counters.sync
        outputs = operation(*tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        assert (counters.h2d, counters.d2h, counters.sync) == counters_before, "a hidden transfer"
        if dys is None:
            dys = [random(*outputs[0].shape, seed=7).astype(outputs[0].dtype.name)]
        dys = [minidl.tensor(dy, device=device, dtype=outputs[0].dtype) for dy in dys]
        learning = [x for x in tensors if x is not None and x.requires_grad]
        before = counters.h2d, counters.d2h, counters.sync
        found = again = []
        if learning:
            found = minidl.gradients(outputs[0], learning, dys, retain_graph=True)
        if learning:
            again = minidl.gradients(outputs[0], learning, dys)
        after = counters.h2d, counters.d2h, counters.sync
    if device == "cuda":
        assert after == before, "a hidden transfer in a pullback"
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(_numpy(one), _numpy(other), "a second pullback differs")
    return [_numpy(x) for x in (*outputs, *found)]


def _numpy(x):
    return x.numpy() if x.device.type == "cpu" else x.cpu().numpy()


def in_float64(operation, arrays, **how):
    """The outcome of the bodies on the CPU, in float64."""
    wide = [a if a is None or a.dtype.kind != "f" else a.astype("float64") for a in arrays]
    with minidl.kernels("reference"):
        return outcome(operation, wide, "cpu", **how)


def compare(operation, arrays, kernels, *, dtype="float32", terms=0.0, **how):
    """Our outcome is no further from float64 than twice the CPU's in float32, or 4 units.

    kernels     a regular expression: no launch has another name
    terms       the size of terms that cancel in a gradient, such as dy
    """
    arrays = [a if a is None or a.dtype.kind != "f" else a.astype(dtype) for a in arrays]
    counters.reset()
    found = outcome(operation, arrays, **how)
    ran = {name: n for name, n in counters.launches.items() if not re.match(_COPIES, name)}
    others = [name for name in ran if not re.match(kernels, name)]
    assert not others, f"a composite ran: {others}"
    assert ran, "no kernel ran"
    exact = in_float64(operation, arrays, **how)
    with np.errstate(all="ignore"):
        on_cpu = outcome(operation, arrays, "cpu", **how)
    for ours, cpu, right in zip(found, on_cpu, exact, strict=True):
        assert (ours.dtype, ours.shape) == (cpu.dtype, cpu.shape)
        assert_near(ours, cpu, right, terms)
    return found


_COPIES = r"(ascontiguousarray|copy|astype|full|zeros|empty|fill|array)"


def assert_near(ours, cpu, right, terms=0.0):
    """NaN and infinities where they are; else the bound of `compare`."""
    unit, largest = UNIT[ours.dtype.name], np.finfo(ours.dtype).max
    with np.errstate(all="ignore"):
        right = np.where(np.abs(right) > largest, np.copysign(np.inf, right), right)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(right))
    finite = np.isfinite(right)
    np.testing.assert_array_equal(ours[~finite], right[~finite].astype(ours.dtype))
    if not finite.any():
        return
    error = np.abs(ours[finite].astype("float64") - right[finite]).max()
    of_cpu = np.abs(cpu[finite].astype("float64") - right[finite])
    of_cpu = of_cpu[np.isfinite(of_cpu)].max(initial=0)
    size = max(np.abs(right[finite]).max(), terms)
    bound = 2 * of_cpu + 4 * unit * size + np.finfo(ours.dtype).tiny
    assert error <= bound, f"error {error:.3g}, of the CPU {of_cpu:.3g}, bound {bound:.3g}"
