"""The promises of the engine: what it does once, so that no operation has to."""

import contextlib
import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import minidl
from minidl import RowGradient, nn
from minidl.autograd import inplace
from minidl.errors import ArgumentError, DeviceError, DTypeError, GradientError, MinidlError
from tests.helpers import HERE, HERE_ARRAY, on_host, share_memory
from tests.oracle import torch
from tests.toy_backend import TOY


def leaf(values, dtype="float64"):
    return minidl.tensor(np.asarray(values, dtype), requires_grad=True)


def random_leaf(*shape, seed=0):
    return leaf(np.random.default_rng(seed).normal(size=shape))


# Broadcasting and dtypes.


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1), (1, 4), (2, 1, 1), (2, 3, 4)])
def test_gradients_are_summed_over_what_was_broadcast(shape):
    x, y = random_leaf(*shape), random_leaf(2, 3, 4, seed=1)
    (x * y).sum().backward()
    lead = tuple(range(3 - len(shape)))
    stretched = tuple(i + len(lead) for i, n in enumerate(shape) if n == 1)
    summed = y.numpy().sum(axis=lead + stretched, keepdims=True).reshape(shape)
    assert x.grad.shape == shape
    np.testing.assert_allclose(x.grad.numpy(), summed, rtol=1e-13)
    np.testing.assert_array_equal(y.grad.numpy(), np.broadcast_to(x.numpy(), (2, 3, 4)))


def test_an_axis_of_length_zero_broadcasts_too():
    x, y = leaf(np.ones((1, 3))), leaf(np.ones((0, 3)))
    (x * y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((1, 3)))
    assert y.grad.shape == (0, 3)


def test_each_gradient_has_the_dtype_of_its_input():
    x, y = leaf([1, 2], "float32"), leaf([3, 4], "float64")
    z = x * y
    assert z.dtype == minidl.float64
    z.sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (minidl.float32, minidl.float64)


@pytest.mark.parametrize("scalar", [2, 2.0, True, np.float64(2), np.sqrt(4), np.float32(2)])
def test_scalars_are_weak(scalar):
    for dtype in ("float16", "float32", "float64"):
        x = leaf([1, 2], dtype)
        for result in (x * scalar, scalar * x, x + scalar, scalar / x, x**scalar, scalar - x):
            assert result.dtype == dtype


def test_results_without_axes_are_arrays_never_numpy_scalars():
    x = leaf([1.0, 2.0])
    for y in (x.sum(), x[0], x.sum() * x[1], x @ x, minidl.exp(x[0]), minidl.max(x)):
        assert type(y.data) is HERE_ARRAY
        assert y.shape == ()
        (g,) = minidl.gradients(y, [x], retain_graph=True)
        assert type(g.data) is HERE_ARRAY


def test_an_array_on_the_left_leaves_the_operator_to_the_tensor():
    x = leaf([1.0, 2.0])
    for y in (np.ones(2) * x, np.ones(2) @ x, np.ones(2) - x, np.float64(3) * x):
        assert isinstance(y, minidl.Tensor)


def test_the_promotion_table():
    t = {name: getattr(minidl, name) for name in ("int8", "int16", "int64", "uint8", "uint64")}
    t.update({name: getattr(minidl, name) for name in ("bool", "float16", "float32", "float64")})
    t.update(complex64=minidl.complex64, complex128=minidl.complex128)
    table = """
        bool    int8    int8       |  int8    uint8   int16      |  int8    int64   int64
        int64   float16 float16    |  int64   float32 float32    |  uint64  float32 float32
        float16 float32 float32    |  float32 float64 float64    |  float64 complex64 complex128
        int64   complex64 complex64 | bool    float32 float32    |  bool    bool    bool
    """
    for row in table.replace("|", "\n").split("\n"):
        if row.strip():
            a, b, result = row.split()
            assert minidl.result_type(t[a], t[b]) == t[result]
            assert minidl.result_type(t[b], t[a]) == t[result]
    with pytest.raises(DTypeError, match="uint64 and int64"):
        minidl.result_type(t["uint64"], t["int64"])
    assert minidl.result_type(t["int8"], 1.5) == minidl.float32
    assert minidl.result_type(t["bool"], 1) == minidl.int64
    assert minidl.result_type(t["float64"], 1j) == minidl.complex128
    assert minidl.exp(minidl.arange(3)).dtype == minidl.float32
    assert (minidl.arange(3) / 2).dtype == minidl.float32
    assert minidl.mean(minidl.arange(3)).dtype == minidl.float32


# The graph, and what it keeps alive.


def test_pullbacks_that_are_not_needed_are_dropped_with_what_they_captured():
    x = random_leaf(100) * 1.0
    saved = weakref.ref(x.data)
    y = x * minidl.asarray(np.ones(100))
    del x
    assert saved() is None, "only the pullback of the constant had captured x"
    y.sum().backward()


def test_the_graph_holds_no_tensors_and_no_intermediate_that_no_pullback_needs():
    x = random_leaf(100)
    y = x + 1.0
    tensor, array = weakref.ref(y), weakref.ref(y.data)
    z = y + 2.0
    del y
    assert tensor() is None
    assert array() is None
    z.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(100))


def test_ten_relus_keep_a_byte_an_element_each():
    x = minidl.tensor(np.random.default_rng(0).normal(size=1_000_000).astype("f"))
    x.requires_grad = True
    minidl.relu(x)  # its kernel is loaded
    tracemalloc.start()
    y = x
    for _ in range(10):
        y = minidl.relu(y)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept / 1e6 < 14.05, "the last result of 4 MB, and ten masks of 1 MB"


def test_nodes_are_freed_as_they_are_used():
    x = random_leaf(10)
    y = minidl.exp(x)
    saved = weakref.ref(y.data)
    z = y.sum()
    del y
    assert saved() is not None
    z.backward()
    assert saved() is None
    with pytest.raises(GradientError, match="retain_graph"):
        z.backward()
    with pytest.raises(GradientError, match="retain_graph"):
        minidl.gradients(z, [x])


def test_a_retained_graph_can_be_walked_again():
    x = random_leaf(5)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.numpy())


def test_nothing_needs_the_cycle_collector():
    x = random_leaf(50)
    gc.collect()
    gc.disable()
    try:
        y = minidl.tanh(x * 2.0 + 1.0)
        y[0] = y[1] * 3.0
        z = minidl.logsumexp(y @ y.reshape(50, 1)) + minidl.concat([x, y]).max()
        watched = [weakref.ref(t.data) for t in (y, z)]
        z.backward()
        with minidl.higher_order():
            u = (x**3).sum()
            (g,) = minidl.gradients(u, [x], create_graph=True)
            watched += [weakref.ref(t.data) for t in (u, g)]
            (g * g).sum().backward()
        unused = minidl.exp(x) * y
        watched.append(weakref.ref(unused.data))
        del y, z, u, g, unused
        assert [w() for w in watched] == [None] * len(watched)
    finally:
        gc.enable()


def test_a_hundred_thousand_operations_deep():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward()
    assert x.grad.item() == 1
    z = leaf(1.0)
    for _ in range(100_000):
        z = z * 1.0
    del z  # and an unused one goes without a stack overflow


def test_a_node_used_twice_gets_the_sum():
    x = random_leaf(4)
    y = minidl.sin(x)
    (y * y + y * 3.0 + y).sum().backward()
    s, c = np.sin(x.numpy()), np.cos(x.numpy())
    np.testing.assert_allclose(x.grad.numpy(), (2 * s + 4) * c, rtol=1e-14)


def test_one_tensor_on_both_sides():
    x = leaf([3.0])
    (x * x).backward()
    assert x.grad.item() == 6


def test_nothing_outside_the_path_is_computed():
    calls = []

    @minidl.primitive
    def watched(xp, x, /):
        return x * 1, lambda dy: calls.append(1) or dy

    x, w = random_leaf(3), random_leaf(3)
    y = (watched(w) * x).sum()
    minidl.gradients(y, [x])
    assert calls == []


def test_no_grad_records_nothing_and_nests():
    x = random_leaf(3)
    with minidl.no_grad():
        assert not (x * 2).requires_grad
        with minidl.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad

    @minidl.no_grad()
    def quietly(n):
        return x * 2 if n == 0 else quietly(n - 1)

    assert not quietly(3).requires_grad
    assert (x * 2).requires_grad


def test_threads_have_their_own_grad_mode():
    x = random_leaf(3)
    inside, done = threading.Event(), threading.Event()
    seen = {}

    def other():
        inside.wait()
        seen["other"] = (x * 2).requires_grad
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with minidl.no_grad():
        inside.set()
        done.wait()
        seen["this"] = (x * 2).requires_grad
    thread.join()
    assert seen == {"other": True, "this": False}


def test_threads_add_to_one_leaf_without_losing_a_gradient():
    x = leaf(np.zeros(1000))

    def work():
        for _ in range(200):
            (x * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(1000, 800.0))


# Several outputs.


@minidl.primitive
def sine_and_cosine(xp, x, /):
    s, c = xp.sin(x), xp.cos(x)
    return (s, c), lambda ds, dc: ds * c - dc * s


@pytest.mark.parametrize("used", [(1, 0), (0, 1), (1, 1)])
def test_unused_outputs_count_as_zero(used):
    with minidl.higher_order():
        x = random_leaf(5)
        s, c = sine_and_cosine(x)
        y = sum((part for part, use in zip((s, c * 2.0), used, strict=True) if use), start=0.0)
        (g,) = minidl.gradients(y.sum(), [x], create_graph=True)
        (h,) = minidl.gradients(g.sum(), [x])
    v = x.numpy()
    np.testing.assert_allclose(g.numpy(), used[0] * np.cos(v) - used[1] * 2 * np.sin(v))
    np.testing.assert_allclose(h.numpy(), -used[0] * np.sin(v) - used[1] * 2 * np.cos(v))


def test_a_joint_pullback_is_called_once():
    calls = []

    @minidl.primitive
    def pair(xp, x, y, /):
        def back(d1, d2):
            calls.append((d1, d2))
            return d1 + d2, d1 - d2

        return (x + y, x - y), back

    x, y = random_leaf(3), random_leaf(3, seed=1)
    total, difference = pair(x, y)
    (total * total + difference).sum().backward()
    assert len(calls) == 1
    np.testing.assert_allclose(x.grad.numpy(), 2 * (x + y).numpy() + 1)
    np.testing.assert_allclose(y.grad.numpy(), 2 * (x + y).numpy() - 1)


def test_outputs_without_a_derivative_are_constants():
    @minidl.primitive(constants=(1,))
    def with_statistics(xp, x, /):
        def dx(dy, dstatistics):
            assert dstatistics is None
            return dy * 2

        return (x * 2, xp.sum(x, axis=None, keepdims=False)), dx

    x = random_leaf(3)
    y, statistics = with_statistics(x)
    assert y.requires_grad
    assert not statistics.requires_grad
    assert not minidl.argmax(x).requires_grad
    assert not minidl.sign(x).requires_grad
    assert not (x > 0).requires_grad
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])


# Ownership.


def test_the_gradient_of_a_leaf_aliases_nothing():
    x, y, seed = random_leaf(3), random_leaf(3), np.ones(3)
    (x + y).backward(seed)
    arrays = [x.grad.data, y.grad.data, seed, x.data, y.data]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not share_memory(a, b)


def test_returned_gradients_alias_nothing():
    x, y, seed = random_leaf(3), random_leaf(3), minidl.tensor(np.ones(3))
    z = x + y
    found = minidl.gradients(z, [x, y, z], [seed])
    arrays = [g.data for g in found] + [seed.data]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not share_memory(a, b)


def test_sums_do_not_write_into_what_others_hold():
    seed = np.ones(3)
    x = random_leaf(3)
    kept = []
    y = x * 1.0
    y.register_hook(lambda g: kept.append(g.numpy().copy()))
    (y + y + y + y).backward(seed)
    np.testing.assert_array_equal(seed, np.ones(3))
    np.testing.assert_array_equal(x.grad.numpy(), [4, 4, 4])
    np.testing.assert_array_equal(kept[0], [4, 4, 4])


def test_a_gradient_taken_before_the_next_backward_stays():
    x = random_leaf(3)
    (x * 1.0).sum().backward()
    first = x.grad
    for _ in range(3):
        (x * 1.0).sum().backward()
    np.testing.assert_array_equal(first.numpy(), np.ones(3))
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 4.0))


def test_hooks_see_the_whole_gradient_and_may_replace_it():
    x = random_leaf(3)
    y = x * 2.0
    seen = []
    remove = y.register_hook(lambda g: seen.append(g.numpy().copy()))
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (y + y).sum().backward(retain_graph=True)
    np.testing.assert_array_equal(seen[0], np.full(3, 2.0))
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 41.0))
    remove()
    (y + y).sum().backward()
    assert len(seen) == 1


# In-place writes.


def test_writing_what_a_pullback_saved_is_refused():
    x = random_leaf(3)
    factor = minidl.tensor(np.ones(3))
    y = (x * factor).sum()
    factor[0] = 5.0
    with pytest.raises(GradientError, match="multiply saved an array of shape"):
        y.backward()
    assert x.grad is None


def test_writing_what_no_pullback_saved_is_allowed():
    x = random_leaf(3)
    offset = minidl.tensor(np.ones(3))
    y = (x + offset).sum()
    offset[0] = 5.0
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(3))


@pytest.mark.parametrize("order", ["write the base", "write the view"])
def test_a_buffer_and_its_views_share_a_version(order):
    x = random_leaf(3)
    base = minidl.tensor(np.ones((2, 3)))
    view = base[1]
    saved, written = (view, base) if order == "write the base" else (base, view)
    y = (x * saved).sum()
    written[...] = 7.0
    assert saved.numpy()[-1].max() == 7, "memory is shared"
    with pytest.raises(GradientError, match="written in place"):
        y.backward()


def test_inputs_kept_for_higher_orders_are_checked_too():
    x, offset = random_leaf(3), minidl.tensor(np.ones(3))
    with minidl.higher_order():
        y = (x + offset).sum()
    offset[0] = 5.0
    with pytest.raises(GradientError, match="add saved an array"):
        minidl.gradients(y, [x], create_graph=True)


def test_index_arrays_are_checked_too():
    x, index = random_leaf(3), minidl.tensor(np.array([0, 1]))
    y = x[index].sum()
    index[0] = 2
    with pytest.raises(GradientError, match="getitem saved"):
        y.backward()


def test_an_optimiser_step_between_forward_and_backward_is_seen():
    w, x = random_leaf(3), random_leaf(3, seed=1)
    w.grad = minidl.tensor(np.ones(3))
    y = (w * x).sum()
    minidl.optim.SGD([w], lr=0.1).step()
    with pytest.raises(GradientError, match="written in place"):
        y.backward()


def test_a_leaf_is_written_only_without_recording():
    x = random_leaf(3)
    with pytest.raises(GradientError, match="no_grad"):
        x[0] = 1.0
    with pytest.raises(GradientError, match="no_grad"):
        x += 1.0
    with minidl.no_grad():
        x -= 1.0
        x[0] = 1.0
    assert x.is_leaf
    assert x.numpy()[0] == 1


@pytest.mark.parametrize("write", ["setitem", "iadd", "imul", "isub", "itruediv"])
def test_a_recorded_write_differentiates(write):
    x, v = random_leaf(4), random_leaf(2, seed=1)
    y = minidl.exp(x)  # saves its value, which stays as it is
    before = y.numpy().copy()
    if write == "setitem":
        y[1:3] = v * v
        y[0] = 2.0
    elif write == "iadd":
        y += x * x
    elif write == "imul":
        y *= x
    elif write == "isub":
        y -= x
    else:
        y /= x
    (y * y).sum().backward()
    e = np.exp(x.numpy())
    a, b = x.numpy(), v.numpy()
    dx = {
        "setitem": 2 * e * e * [0, 0, 0, 1],
        "iadd": 2 * (e + a * a) * (e + 2 * a),
        "imul": 2 * e * a * (e * a + e),
        "isub": 2 * (e - a) * (e - 1),
        "itruediv": 2 * e / a * (e / a - e / a**2),
    }[write]
    np.testing.assert_allclose(x.grad.numpy(), dx, rtol=1e-12)
    np.testing.assert_allclose(before, e)
    if write == "setitem":
        np.testing.assert_allclose(v.grad.numpy(), 4 * b**3, rtol=1e-12)


def test_a_constant_becomes_differentiable_when_written():
    x = random_leaf(3)
    total = minidl.zeros((2, 3), dtype="float64")
    total[0] = x * 2.0
    total[1] = x
    total.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 3.0))


@pytest.mark.parametrize("use", ["operation", "numpy", "write", "kernel", "print"])
def test_a_view_from_before_a_recorded_write_is_refused(use):
    x = random_leaf(3)
    base = minidl.zeros((2, 3), dtype="float64")
    view = base[0]
    base[0] = x * 2.0
    uses = {
        "operation": lambda: view * 1.0,
        "numpy": view.numpy,
        "write": lambda: view.__setitem__(0, 1.0),
        "kernel": lambda: minidl.cross_entropy(view, minidl.asarray(1)),
        "print": lambda: repr(view),
    }
    with pytest.raises(GradientError, match="take the view after the write"):
        uses[use]()
    after = base[0]
    np.testing.assert_array_equal(after.numpy(), 2 * x.numpy())


def test_the_records_of_writes_go_with_their_buffers():
    x = random_leaf(3)
    gc.collect()
    before = len(inplace.superseded), len(inplace._last_write)
    for _ in range(10):
        y = minidl.zeros(3, dtype="float64")
        y[0] = 1.0
        y[1] = x[0]
    del y
    gc.collect()
    assert (len(inplace.superseded), len(inplace._last_write)) == before


def test_in_place_results_keep_shape_and_dtype():
    x = minidl.ones(3)
    with pytest.raises(minidl.errors.ShapeError, match="does not fit into"):
        x += minidl.ones((2, 3))
    n = minidl.arange(3)
    with pytest.raises(DTypeError, match="astype"):
        n += 0.5
    n += 2
    assert n.dtype == minidl.int64
    x += np.ones(3)
    assert x.dtype == minidl.float32


def test_numpy_arrays_handed_out_cannot_be_written():
    x = random_leaf(3)
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 1
    assert np.array(x).flags.writeable


# Higher orders.


def test_third_derivatives():
    f = lambda x: minidl.tanh(minidl.sin(x) * x)
    third = minidl.grad(minidl.grad(minidl.grad(f)))
    for value in (0.3, 1.2, -0.7):
        t = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        g = torch.tanh(torch.sin(t) * t)
        for _ in range(3):
            (g,) = torch.autograd.grad(g, t, create_graph=True)
        found = third(minidl.tensor(np.float64(value), dtype="float64")).item()
        assert found == pytest.approx(g.item(), rel=1e-12)


def test_create_graph_needs_inputs_that_were_kept():
    x = random_leaf(3)
    y = minidl.exp(x).sum()
    with pytest.raises(GradientError, match="higher_order"):
        minidl.gradients(y, [x], create_graph=True)
    with pytest.raises(GradientError, match="higher_order"):
        y.backward(create_graph=True)


def test_backward_can_be_recorded_too():
    x = random_leaf(3)
    with minidl.higher_order():
        (x**3).sum().backward(create_graph=True)
        g = x.grad
        x.grad = None
        (g * g).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 36 * x.numpy() ** 3, rtol=1e-12)


def test_create_graph_on_and_off_agree():
    x, w = random_leaf(4, 3), random_leaf(2, 3, seed=1)
    with minidl.higher_order():
        y = minidl.log_softmax(minidl.linear(minidl.gelu(x), w)).sum()
        on = minidl.gradients(y, [x, w], create_graph=True)
        off = minidl.gradients(y, [x, w])
    for a, b in zip(on, off, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert a.requires_grad
        assert not b.requires_grad


def test_grad_of_a_function_is_a_constant_unless_something_outside_is_tracked():
    w = leaf(3.0)
    assert not minidl.grad(lambda x: x * x)(2.0).requires_grad
    g = minidl.grad(lambda x: w * x * x)(2.0)
    assert g.requires_grad
    g.backward()
    assert w.grad.item() == 4
    with minidl.no_grad():
        assert not minidl.grad(lambda x: w * x * x)(2.0).requires_grad


def test_inner_and_outer_gradients_are_not_confused():
    inner = lambda x: minidl.grad(lambda y: x * y)(x)  # is x, so x · inner(x) is x²
    assert minidl.grad(lambda x: x * inner(x))(5.0).item() == 10


def test_functional_forms_agree():
    x, y = random_leaf(3), random_leaf(3, seed=1)
    f = lambda a, b: (a * minidl.sin(b)).sum()
    value, (ga, gb) = minidl.value_and_grad(f, argnums=(0, 1))(x.detach(), y.detach())
    f(x, y).backward()
    assert value.item() == pytest.approx(f(x, y).item())
    np.testing.assert_array_equal(ga.numpy(), x.grad.numpy())
    np.testing.assert_array_equal(gb.numpy(), y.grad.numpy())
    out, pullback = minidl.vjp(lambda a: (a * 2, a * a), x.detach())
    for _ in range(2):
        (g,) = pullback(np.ones(3), np.ones(3))
        np.testing.assert_allclose(g.numpy(), 2 + 2 * x.numpy())
    assert isinstance(out, tuple)


def test_an_unused_input_is_an_error_or_none():
    x, y = random_leaf(3), random_leaf(3)
    z = (x * 2.0).sum()
    with pytest.raises(GradientError, match=r"do not depend on inputs \[1\]"):
        minidl.gradients(z, [x, y], retain_graph=True)
    assert minidl.gradients(z, [x, y], allow_unused=True)[1] is None


# Errors.


def test_an_exception_in_a_pullback_changes_no_gradient_and_names_the_operation():
    @minidl.primitive
    def broken(xp, x, /):
        def dx(dy):
            raise ZeroDivisionError("on purpose")

        return x * 1, dx

    x, w = random_leaf(3), random_leaf(3)
    w.grad = minidl.tensor(np.zeros(3))
    y = ((broken(x) + x) * w).sum()
    with pytest.raises(ZeroDivisionError) as caught:
        y.backward()
    assert "pullback of broken" in caught.value.__notes__[0]
    assert x.grad is None
    np.testing.assert_array_equal(w.grad.numpy(), np.zeros(3))
    (x * w).sum().backward()  # the engine is as it was
    np.testing.assert_array_equal(x.grad.numpy(), w.numpy())


def test_a_pullback_of_the_wrong_shape_is_named():
    @minidl.primitive
    def bent(xp, x, /):
        return x * 1, lambda dy: dy[:-1]

    with pytest.raises(GradientError, match="bent"):
        bent(random_leaf(3)).sum().backward()


def test_backward_needs_a_number_or_a_gradient():
    x = random_leaf(3)
    with pytest.raises(GradientError, match="sum or mean"):
        (x * 2.0).backward()
    with pytest.raises(GradientError, match="requires_grad=True"):
        minidl.ones(1).backward()
    with pytest.raises(minidl.errors.ShapeError, match="must be float64"):
        (x * 2.0).backward(np.ones(4))


def test_only_floats_and_leaves_take_gradients():
    with pytest.raises(GradientError, match="int64"):
        minidl.arange(3).requires_grad_()
    y = random_leaf(3) * 2.0
    with pytest.raises(GradientError, match="detach"):
        y.requires_grad = False
    with pytest.raises(GradientError, match=r"minidl\.gradients"):
        _ = y.grad


def test_requires_grad_is_a_flag():
    x = random_leaf(3)
    assert not x.requires_grad_(wanted=False).requires_grad
    with pytest.raises(ArgumentError, match=r"^requires_grad is True or False; got 1$"):
        x.requires_grad = 1
    with pytest.raises(ArgumentError, match=r"^ones: requires_grad is True or False; got 1$"):
        minidl.ones(2, requires_grad=1)


# Errors.

REFUSED = {
    "whose body raises it": lambda x: minidl.conv2d(x, minidl.ones((2, 5, 1, 1))),
    "in a layer": lambda x: nn.Conv2d(5, 2, 1)(x),
    "in layers that are fused": lambda x: nn.Sequential(nn.Conv2d(5, 2, 1), nn.ReLU())(x),
    "of a composite": lambda x: minidl.linear(x, minidl.ones((2, 5))),
    "of NumPy's": lambda x: x @ minidl.ones((5, 5)),
    "of a function": lambda x: minidl.concat([x, minidl.ones(2)]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_error_is_its_own_cause(case):
    with pytest.raises(MinidlError) as caught:
        REFUSED[case](minidl.ones((1, 3, 4, 4)))
    error, seen = caught.value, []
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__


@pytest.mark.parametrize("case", REFUSED)
def test_an_error_that_is_gone_keeps_no_input(case):
    x = minidl.ones((1, 3, 4, 4))
    known = weakref.ref(x)
    gc.collect()
    gc.disable()  # so that a cycle of references would keep it
    try:
        with contextlib.suppress(MinidlError):
            REFUSED[case](x)
        del x
        assert known() is None
    finally:
        gc.enable()


# Rows.


def test_rows_add_up_and_tied_weights_become_dense():
    table = random_leaf(10, 4)
    ids = minidl.asarray([1, 3, 1])
    a = minidl.embedding(table, ids, sparse=True)
    b = minidl.embedding(table, minidl.asarray([[2], [3]]), sparse=True)
    (a.sum() + (b * 2.0).sum()).backward(retain_graph=True)
    assert isinstance(table.grad, RowGradient)
    dense = np.zeros((10, 4))
    np.add.at(dense, [1, 3, 1], 1.0)
    np.add.at(dense, [2, 3], 2.0)
    np.testing.assert_array_equal(on_host(table.grad), dense)
    (a.sum() + (table * 1.0).sum()).backward()
    np.testing.assert_array_equal(table.grad.numpy()[5], np.ones(4))


def test_rows_become_dense_on_their_way_through_the_graph():
    table = random_leaf(5, 2)
    minidl.embedding(table * 3.0, minidl.asarray([4, 4]), sparse=True).sum().backward()
    np.testing.assert_array_equal(table.grad.numpy()[4], [6, 6])


def test_rows_are_for_first_derivatives():
    table = random_leaf(5, 2)
    with minidl.higher_order():
        y = (minidl.embedding(table, minidl.asarray([1, 1]), sparse=True) ** 3).sum()
        (g,) = minidl.gradients(y, [table], create_graph=True)
        g.sum().backward()
    np.testing.assert_allclose(table.grad.numpy()[1], 12 * table.numpy()[1])


# Kernels and backends.


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (6, 5), (33, 1000)])
def test_a_kernel_and_its_composite_agree(rows, classes, reduction):
    values = np.random.default_rng(0).normal(size=(rows, classes)) * 5
    logits = minidl.tensor(values, dtype="float32", requires_grad=True)
    target = minidl.asarray(np.arange(rows) % classes)
    fast = minidl.cross_entropy(logits, target, reduction=reduction)
    with minidl.kernels("reference"):
        slow = minidl.cross_entropy(logits, target, reduction=reduction)
    assert "cross_entropy" in repr(fast)
    assert "cross_entropy" not in repr(slow)
    assert fast.item() == pytest.approx(slow.item(), rel=1e-6, abs=1e-7)
    (a,), (b,) = (minidl.gradients(y, [logits]) for y in (fast, slow))
    np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6 * np.abs(b.numpy()).max())


def test_under_higher_order_composites_run_as_their_parts():
    logits, target = random_leaf(6, 5), minidl.asarray(np.arange(6) % 5)
    with minidl.higher_order():
        assert "cross_entropy" not in repr(minidl.cross_entropy(logits, target))


def test_a_backend_of_array_functions_alone_trains_a_network():
    def losses(device):
        rng = np.random.default_rng(0)
        make = lambda a: minidl.asarray(a).to_device(device)
        x, target = make(rng.normal(size=(8, 5))), make(np.arange(8) % 3)
        w1, w2 = (make(rng.normal(size=s)).requires_grad_() for s in ((4, 5), (3, 4)))
        optimizer = minidl.optim.Adam([w1, w2], lr=0.1)
        seen = []
        for step in range(5):
            hidden = minidl.dropout(minidl.gelu(minidl.linear(x, w1)), 0.3, key=(0, step * 16))
            loss = minidl.cross_entropy(minidl.linear(hidden, w2), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        assert w1.grad.device == device
        return seen

    np.testing.assert_allclose(losses(TOY), losses(HERE), rtol=1e-12)
    assert losses(TOY)[-1] < losses(TOY)[0]


def test_a_backend_of_array_functions_alone_has_higher_orders():
    x = minidl.asarray(np.array([0.3, 1.2])).to_device(TOY)
    f = lambda x: (minidl.tanh(x) * x[0] + minidl.logsumexp(x)).sum()
    second = minidl.grad(lambda x: (minidl.grad(f)(x) ** 2).sum())
    on_cpu = second(minidl.asarray(x.numpy()))
    np.testing.assert_allclose(second(x).numpy(), on_cpu.numpy(), rtol=1e-12)


def test_devices_do_not_mix():
    x, y = minidl.ones(3), minidl.ones(3).to_device(TOY)
    with pytest.raises(
        DeviceError, match=rf"input 0, float32 \(3,\), is on '{HERE}' and input 1, .* 'toy'; move"
    ):
        _ = x + y
    with pytest.raises(DeviceError, match="no device 'tpu'"):
        x.to_device("tpu")


def test_gradients_cross_devices():
    x = random_leaf(3)
    y = x.to_device(TOY) * minidl.asarray(np.full(3, 2.0)).to_device(TOY)
    y.to_device(HERE).sum().backward()
    assert x.grad.device == HERE
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])
