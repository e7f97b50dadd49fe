"""Cross-entropy on the GPU: class numbers and probabilities, weights, smoothing, reductions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.errors import BoundsError
from tests.cuda.kernels.comparison import compare, random
from tests.cuda.kernels.examples import examples

SHAPES = [
    (1, 1),
    (5,),
    (17, 10),
    (3, 1000),
    (2, 1025),
    (4, 3000),
    (2, 7, 5),
    (3, 4, 2, 300),
    (70, 2),
]


def labels_of(shape, ignored=0.3, seed=0):
    rng = np.random.default_rng([seed, *shape])
    axis = min(1, len(shape) - 1)
    outer = shape[:axis] + shape[axis + 1 :]
    target = rng.integers(0, shape[axis], outer)
    return np.asarray(np.where(rng.random(outer) < ignored, -100, target))


def probabilities_of(shape):
    axis = min(1, len(shape) - 1)
    e = np.exp(random(*shape, seed=3))
    return e / e.sum(axis, keepdims=True)


@examples(40)
@given(
    shape=st.sampled_from(SHAPES),
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    dtype=st.sampled_from(["float32", "float16"]),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
)
def test_class_numbers(shape, weighted, smoothing, reduction, dtype, scale):
    target = labels_of(shape)
    if (target == -100).all():
        target[...] = 0
    weight = np.abs(random(shape[min(1, len(shape) - 1)], seed=5)) + 0.5 if weighted else None
    compare(
        lambda z, t, w=None: minidl.cross_entropy(
            z, t, w, reduction=reduction, label_smoothing=smoothing
        ),
        [random(*shape, scale=scale), target, weight],
        "cross_entropy_", dtype=dtype, constants=(2,), terms=3,
    )  # fmt: skip


@examples(25)
@given(
    shape=st.sampled_from(SHAPES),
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    dtype=st.sampled_from(["float32", "float16"]),
)
def test_probabilities(shape, weighted, smoothing, reduction, dtype):
    weight = np.abs(random(shape[min(1, len(shape) - 1)], seed=5)) + 0.5 if weighted else None
    compare(
        lambda z, t, w=None: minidl.cross_entropy(
            z, t, w, reduction=reduction, label_smoothing=smoothing
        ),
        [random(*shape), probabilities_of(shape), weight],
        "cross_entropy_", dtype=dtype, constants=(2,), terms=10,
    )  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_weights_are_learnt_by_the_body(kind, smoothing, reduction):
    shape = 9, 4, 3
    target = labels_of(shape) if kind == "labels" else probabilities_of(shape)
    weight = np.abs(random(4, seed=5)) + 0.5
    compare(
        lambda z, t, w: minidl.cross_entropy(
            z, t, w, reduction=reduction, label_smoothing=smoothing
        ),
        [random(*shape), target, weight],
        ".*", terms=3,
    )  # fmt: skip


def test_launches_of_a_step(launches):
    logits = minidl.tensor(random(64, 10), device="cuda", requires_grad=True)
    target = minidl.tensor(labels_of((64, 10), 0), device="cuda")
    loss = minidl.cross_entropy(logits, target)
    assert dict(launches) == {"cross_entropy_rows_f32": 1, "cross_entropy_total_f32": 1}
    loss.backward()
    assert launches["cross_entropy_rows_back_f32"] == 1


def test_long_sums_of_losses():
    """300,000 losses of log 2 each, and their gradients."""
    logits = np.zeros((300_000, 2), "float32")
    target = np.zeros(300_000, "int64")
    tensor = minidl.tensor(logits, device="cuda", requires_grad=True)
    loss = minidl.cross_entropy(tensor, minidl.tensor(target, device="cuda"), reduction="sum")
    loss.backward()
    np.testing.assert_allclose(loss.item(), 300_000 * np.log(2), rtol=3e-7)
    assert (np.abs(tensor.grad.cpu().numpy()) == 0.5).all()


def test_nothing_counted():
    logits = minidl.tensor(random(4, 3), device="cuda", requires_grad=True)
    target = minidl.tensor(np.full(4, -100), device="cuda")
    loss = minidl.cross_entropy(logits, target)
    loss.backward()
    assert np.isnan(loss.item())
    assert minidl.cross_entropy(logits, target, reduction="sum").item() == 0


@pytest.mark.parametrize("wrong", [10, -1])
def test_a_class_that_does_not_exist(wrong):
    logits = minidl.tensor(random(64, 10), device="cuda")
    target = np.zeros(64, "int64")
    target[[7, 9]] = wrong, 99
    loss = minidl.cross_entropy(logits, minidl.tensor(target, device="cuda"))
    with pytest.raises(
        BoundsError, match=rf"index {wrong} is outside 0 … 9 .*cross_entropy, called"
    ):
        loss.item()
    target[...] = 0
    minidl.cross_entropy(logits, minidl.tensor(target, device="cuda")).item()


def test_infinite_logits():
    z = random(5, 6)
    z[0, 1], z[1, 2], z[2, 3] = -np.inf, np.inf, np.nan
    target = np.array([0, 0, 0, 1, 1])
    operation = lambda z, t: minidl.cross_entropy(z, t, reduction="none")
    compare(operation, [z, target], "cross_entropy_", terms=3)
