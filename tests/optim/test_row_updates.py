"""Updates of the rows that were used: SparseAdam, lazy Adam and AdamW, Adagrad, SGD."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
import tests.toy_backend
from minidl import nn, optim
from minidl.backends.rows import RowGradient
from minidl.errors import ArgumentError, GradientError
from tests.helpers import HERE, assert_close, on_host
from tests.optim.test_optim import grid, pickled
from tests.oracle import torch

pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # PyTorch's

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
ROWS, WIDTH, STEPS = 12, 3, 10
LAZY = [
    *grid("Adam", lr=[0.1], amsgrad=[False, True], maximize=[False, True], lazy=[True]),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-2, "weight_decay": 0.1, "lazy": True}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "lazy": True}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True, "maximize": True, "lazy": True}),
]
SPARSE = [
    *grid("SparseAdam", lr=[0.1], betas=[(0.9, 0.999), (0.5, 0.7)], maximize=[False, True]),
    ("SparseAdam", {"lr": 0.1, "betas": (0, 0.7)}),
    ("SparseAdam", {"lr": 0.1, "eps": 1e-2}),
    *grid("Adagrad", lr=[0.1], lr_decay=[0, 0.3], initial_accumulator_value=[0, 0.5]),
    ("SGD", {"lr": 0.1}),
]
each_lazy = pytest.mark.parametrize(("name", "settings"), LAZY)
each_rule = pytest.mark.parametrize(("name", "settings"), [*LAZY[::3], *SPARSE[::3]])
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_way = pytest.mark.parametrize("kernels", ["fast", "reference"])


def values(dtype="float64", rows=ROWS):
    return np.random.default_rng(0).normal(size=(rows, WIDTH)).astype(dtype)


def batches(steps=STEPS, rows=ROWS):
    """For each step ids of rows, some repeated, in one step none; and gradients for them."""
    rng = np.random.default_rng(1)
    for step in range(steps):
        ids = rng.integers(0, rows, 0 if step == 3 else 5)
        yield ids, rng.normal(size=(ids.size, WIDTH))


def table_of(library, dtype="float64", rows=ROWS):
    return library.nn.Parameter(library.tensor(values(dtype, rows)))


def optimizer_of(library, name, settings, *tables):
    return getattr(library.optim, name)(tables, **settings)


def set_gradient(library, table, ids, rows, sparse=True):
    rows = library.asarray(rows.astype(str(table.dtype).removeprefix("torch.")))
    look_up = library.nn.functional.embedding if library is torch else None
    table.grad = None
    if library is torch:
        y = look_up(library.asarray(ids), table, sparse=sparse)
    else:
        y = library.embedding(table, library.asarray(ids), sparse=sparse)
    y.backward(rows)


def after(library, name, settings, table, steps=STEPS, sparse=True):
    """The table, the moments and other state, after that many steps."""
    optimizer = optimizer_of(library, name, settings, table)
    for ids, rows in batches(steps):
        set_gradient(library, table, ids, rows, sparse)
        optimizer.step()
    state = optimizer.state[table]
    arrays = {key: x for key, x in sorted(state.items()) if getattr(x, "ndim", 0)}
    return [np.asarray(table.detach()), *map(on_host, arrays.values())], int(state["step"])


# Parity.


@each_dtype
@each_way
@pytest.mark.parametrize(("name", "settings"), SPARSE[:-1])
def test_ten_steps_are_pytorchs(name, settings, kernels, dtype):
    with minidl.kernels(kernels):
        found, steps = after(minidl, name, settings, table_of(minidl, dtype))
    expected, their_steps = after(torch, name, settings, table_of(torch, dtype))
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, TOLERANCE[dtype])
    assert steps == their_steps == STEPS


@each_way
@each_dtype
@each_lazy
def test_a_lazy_rule_is_the_rule_itself_for_rows_used_in_all_steps(name, settings, dtype, kernels):
    found = []
    for own in (settings, {**settings, "lazy": False}):
        table = table_of(minidl, dtype)
        optimizer = optimizer_of(minidl, name, own, table)
        with minidl.kernels(kernels):
            for _, rows in batches(rows=5):
                order = np.resize([3, 1, 4, 0, 2], ROWS * 5) + np.repeat([0, 5, 7], [20, 20, 20])
                scaled = np.resize(rows if rows.size else 1.0, (order.size, WIDTH))
                set_gradient(minidl, table, order, scaled)
                assert table.grad.indices.tolist() == list(range(ROWS))
                optimizer.step()
        found.append([table.numpy(), on_host(optimizer.state[table]["exp_avg"])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15 if kernels == "fast" else 1e-6)


def lazily(settings, decoupled, table, steps):
    """The lazy rules, row by row and literally."""
    table, (beta1, beta2) = table.copy(), settings.get("betas", (0.9, 0.999))
    m, v, largest = (np.zeros_like(table) for _ in range(3))
    decay = settings.get("weight_decay", 0.01 if decoupled else 0)
    for t, (ids, rows) in enumerate(steps, 1):
        for row in np.unique(ids):
            g = rows[ids == row].sum(axis=0) * (-1 if settings.get("maximize") else 1)
            g += 0 if decoupled else decay * table[row]
            m[row] = beta1 * m[row] + (1 - beta1) * g
            v[row] = beta2 * v[row] + (1 - beta2) * g * g
            largest[row] = np.maximum(largest[row], v[row])
            used = largest[row] if settings.get("amsgrad") else v[row]
            root = np.sqrt(used / (1 - beta2**t)) + settings.get("eps", 1e-8)
            shrunk = table[row] * (1 - settings["lr"] * decay if decoupled else 1)
            table[row] = shrunk - settings["lr"] * m[row] / (1 - beta1**t) / root
    return table, m, v


@each_way
@each_lazy
def test_lazy_rules_update_used_rows_alone(name, settings, kernels):
    with minidl.kernels(kernels):
        (table, m, v, *_), _ = after(minidl, name, settings, table_of(minidl))
    expected = lazily(settings, name == "AdamW", values(), batches())
    for one, other in zip((table, m, v), expected, strict=True):
        assert_close(one, other, 1e-12)


@each_rule
@given(seed=st.integers(0, 2**32 - 1), used=st.sets(st.integers(0, ROWS - 1)))
def test_other_rows_keep_their_bits(name, settings, seed, used):
    table, others = table_of(minidl), [i for i in range(ROWS) if i not in used]
    optimizer = optimizer_of(minidl, name, settings, table)
    set_gradient(minidl, table, np.arange(ROWS), values())
    optimizer.step()
    before = [table.numpy().copy(), *arrays_in(optimizer, table)]
    ids = np.array([*used, *used], np.int64)
    gradient = np.random.default_rng(seed).normal(size=(ids.size, WIDTH))
    set_gradient(minidl, table, ids, gradient)
    optimizer.step()
    for one, other in zip([table.numpy(), *arrays_in(optimizer, table)], before, strict=True):
        np.testing.assert_array_equal(one[others], other[others])


def arrays_in(optimizer, table):
    return [on_host(x).copy() for x in optimizer.state[table].values() if hasattr(x, "shape")]


# The cost.


@pytest.mark.parametrize("use", ["Embedding", "EmbeddingBag"])
@pytest.mark.parametrize(("name", "settings"), [*LAZY[:2], LAZY[-1], *SPARSE[-3:], SPARSE[0]])
def test_a_step_takes_as_much_memory_for_any_table(name, settings, use):
    most = []
    for rows in (500, 50_000):
        layer = getattr(nn, use)(rows, 8, sparse=True, padding_idx=1, scale_grad_by_freq=True)
        optimizer = optimizer_of(minidl, name, settings, *layer.parameters())
        ids = minidl.asarray(np.random.default_rng(0).integers(0, 500, (4, 20)))
        for _ in range(3):
            tracemalloc.start()
            optimizer.zero_grad()
            (layer(ids) ** 2).sum().backward()
            optim.clip_grad_norm_(layer.parameters(), 1.0)
            optimizer.step()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        most.append(peak)
    assert abs(most[1] - most[0]) < 20_000 < 50_000 * 8, most


def test_nothing_is_densified(monkeypatch):
    monkeypatch.delattr(RowGradient, "dense")
    for name, settings in LAZY + SPARSE:
        after(minidl, name, settings, table_of(minidl), steps=2)


# Dense gradients beside them, and dtypes and layouts that no kernel is made for.


def test_a_lazy_optimizer_takes_dense_gradients_too():
    found = []
    for lazy in (True, False):
        table, bias = table_of(minidl), nn.Parameter(minidl.ones(WIDTH, dtype="float64"))
        optimizer = optim.Adam([table, bias], lr=0.1, lazy=lazy)
        for ids, _ in batches():
            optimizer.zero_grad()
            y = minidl.embedding(table, minidl.asarray(ids), sparse=True) * bias
            ((y**3).sum() + (table * table).sum()).backward()
            assert isinstance(table.grad, minidl.Tensor), "the second use makes it dense"
            optimizer.step()
        found.append([table.numpy(), bias.numpy()])
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_sparse_adam_refuses_dense_gradients_and_changes_nothing():
    table, bias = table_of(minidl), nn.Parameter(minidl.ones(WIDTH, dtype="float64"))
    optimizer = optim.SparseAdam([table, bias])
    (minidl.embedding(table, minidl.tensor([2]), sparse=True) + bias).sum().backward()
    with pytest.raises(GradientError, match=r"shape \(3,\) is dense.*lazy=True"):
        optimizer.step()
    np.testing.assert_array_equal(table, values())
    assert not optimizer.state


@each_rule
@pytest.mark.parametrize("layout", ["float16", "transposed", "toy"])
def test_other_tables_are_updated_alike(name, settings, layout):
    x, device = values("float16" if layout == "float16" else "float64"), HERE
    if layout == "toy":
        device = tests.toy_backend.TOY
    table = nn.Parameter(minidl.tensor(x, device=device))
    if layout == "transposed":
        table = nn.Parameter(minidl.tensor(np.ascontiguousarray(x.T)).T)
        assert not table.data.flags.c_contiguous
    optimizer = optimizer_of(minidl, name, settings, table)
    for ids, rows in batches():
        table.grad = RowGradient(
            minidl.tensor(ids, device=device),
            minidl.tensor(rows.astype(x.dtype), device=device),
            table.shape,
        )
        optimizer.step()
    (expected, *_), _ = after(minidl, name, settings, table_of(minidl))
    assert table.dtype == x.dtype
    assert_close(table.numpy().astype("float64"), expected, 0.01 if x.dtype == "e" else 1e-12)


def test_a_read_only_table_is_refused():
    values = np.broadcast_to(np.ones(WIDTH), (ROWS, WIDTH))
    table = nn.Parameter(minidl.asarray(values, device="cpu"))
    table.grad = RowGradient([1], np.ones((1, WIDTH)), table.shape)
    with pytest.raises(ArgumentError, match=r"Adam: a parameter .* lies in read-only memory"):
        optim.Adam([table], lazy=True).step()


@each_rule
def test_a_graph_that_was_recorded_before_the_update_is_refused(name, settings):
    table = table_of(minidl)
    y = (table * table).sum()
    set_gradient(minidl, table, np.array([2]), np.ones((1, WIDTH)))
    optimizer_of(minidl, name, settings, table).step()
    with pytest.raises(GradientError, match="written"):
        y.backward()


@each_way
def test_rows_that_are_nan_stay_alone(kernels):
    for name, settings in LAZY[:2] + SPARSE[:1]:
        table = table_of(minidl)
        optimizer = optimizer_of(minidl, name, settings, table)
        set_gradient(minidl, table, np.array([4, 2]), np.array([[1.0] * 3, [np.nan] * 3]))
        with minidl.kernels(kernels), np.errstate(all="ignore"):
            optimizer.step()
        assert np.flatnonzero(np.isnan(table.numpy()).any(axis=1)).tolist() == [2]


# Settings.


@pytest.mark.parametrize(
    ("setting", "value"), [("lr", -1), ("eps", 0), ("eps", -1), ("betas", (1, 0)), ("maximize", 2)]
)
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises((ArgumentError, minidl.errors.MinidlError), match=f"SparseAdam.*{setting}"):
        optim.SparseAdam([table_of(minidl)], **{setting: value})


def test_default_settings_are_pytorchs():
    ours, theirs = (lib.optim.SparseAdam([table_of(lib)]).defaults for lib in (minidl, torch))
    assert ours == theirs
    with pytest.raises(minidl.errors.MinidlError, match="lazy"):
        optim.Adam([table_of(minidl)], lazy="yes")


# Saving and restoring.


@each_rule
def test_a_restored_optimizer_goes_on_to_the_bit(name, settings):
    table = table_of(minidl)
    optimizer = optimizer_of(minidl, name, settings, table)
    for step, (ids, rows) in enumerate(batches()):
        set_gradient(minidl, table, ids, rows)
        optimizer.step()
        if step == 4:
            other = nn.Parameter(table.detach().copy())
            restored = optimizer_of(minidl, name, {}, other)
            restored.load_state_dict(pickled(optimizer.state_dict()))
        if step > 4:
            set_gradient(minidl, other, ids, rows)
            restored.step()
    np.testing.assert_array_equal(other, table)


@pytest.mark.parametrize(("name", "settings"), SPARSE[::4])
@pytest.mark.parametrize("to", [minidl, torch])
def test_training_goes_on_in_the_other_library(name, settings, to):
    start = torch if to is minidl else minidl
    tables = {library: table_of(library) for library in (start, to)}
    optimizers = {lib: optimizer_of(lib, name, settings, tables[lib]) for lib in tables}
    for step, (ids, rows) in enumerate(batches()):
        for library in (start, to) if step > 4 else (start,):
            set_gradient(library, tables[library], ids, rows)
            optimizers[library].step()
        if step == 4:
            saved = optimizers[start].state_dict()
            if to is torch:
                saved = in_pytorch(saved)
            optimizers[to].load_state_dict(saved)
            with to.no_grad():
                tables[to][...] = to.tensor(np.asarray(tables[start].detach()))
    assert_close(*(np.asarray(table.detach()) for table in tables.values()), 1e-12)


def in_pytorch(state):
    """A state dict with PyTorch's tensors."""
    own = {
        number: {k: torch.tensor(np.asarray(v)) if k != "step" else v for k, v in x.items()}
        for number, x in state["state"].items()
    }
    return {**state, "state": own}


def test_a_state_saved_before_there_was_a_lazy_adam_can_be_loaded():
    optimizer = optim.Adam([table_of(minidl)], lazy=True)
    saved = optimizer.state_dict()
    del saved["param_groups"][0]["lazy"]
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lazy"] is True
