"""Losses against PyTorch's over grids of their arguments, at their ends, and what errors say."""

import inspect
import itertools
import math
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import nn, ops
from minidl.errors import ArgumentError, BoundsError, DTypeError, MinidlError, ShapeError
from tests.helpers import Minidl, Torch, assert_all_close, assert_close, derivatives
from tests.oracle import functional, torch

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}  # relative to the largest magnitude
INF = math.inf
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
each_kernels = pytest.mark.parametrize("kernels", ["fast", "reference"])

# What losses are given.  Reals are differentiated, integers are not.


def reals(*shapes):
    return lambda rng: [rng.uniform(-2, 2, shape) for shape in shapes]


def units(*shapes):
    """Probabilities."""
    return lambda rng: [rng.uniform(0.05, 0.95, shape) for shape in shapes]


def beside(first, second):
    return lambda rng: [*first(rng), *second(rng)]


def integers(low, high, shape):
    return lambda rng: [rng.integers(low, high, shape)]


def signs(shape):
    return lambda rng: [2 * rng.integers(0, 2, shape) - 1]


def some_labels(rng):
    return [np.array([[3, 0, -1, 1], [-1, 2, 1, 0], [2, 1, 0, 3], [0, 0, -1, -1]])]


SHAPES = [(3, 4), ()]
W = np.array([0.5, 2.0, 0.0, 1.5])  # a weight for each of four

# A loss, its settings, and what it is given.
ONCE = {"multi_margin_loss", "multilabel_margin_loss"}  # as often as PyTorch differentiates them
ROWS = [
    *(("l1_loss", {}, reals(s, s)) for s in SHAPES),
    *(("mse_loss", {}, reals(s, s)) for s in SHAPES),
    *((f"{n}_loss", {"weight": np.tile(W, (3, 1))}, reals((3, 4), (3, 4))) for n in ("l1", "mse")),
    *(("huber_loss", {"delta": d}, reals(s, s)) for d in (0.3, 1.0, 9.0) for s in SHAPES),
    ("huber_loss", {"weight": np.tile(W, (3, 1)), "delta": 0.5}, reals((3, 4), (3, 4))),
    *(("smooth_l1_loss", {"beta": b}, reals(s, s)) for b in (0.0, 0.3, 1.0) for s in SHAPES),
    *(
        (
            "poisson_nll_loss",
            {"log_input": log, "full": full, "eps": eps},
            beside(rates, lambda rng: [rng.uniform(0, 5, (3, 4))]),
        )
        for log, rates in [(True, reals((3, 4))), (False, units((3, 4)))]
        for full in (True, False)
        for eps in (1e-8, 0.1)
    ),
    *(
        ("gaussian_nll_loss", {"full": full, "eps": eps}, beside(reals((3, 4), (3, 4)), units(s)))
        for full in (True, False)
        for eps in (1e-6, 0.5)
        for s in [(3, 4), (3,), (3, 1), (1, 4)]
    ),
    *(("binary_cross_entropy", {}, units(s, s)) for s in SHAPES),
    *(("binary_cross_entropy", {"weight": w}, units((3, 4), (3, 4))) for w in (W, W[:3, None])),
    *(
        ("binary_cross_entropy_with_logits", {"weight": w, "pos_weight": p}, inputs)
        for w in (None, W, W[:3, None])
        for p in (None, W)
        for inputs in [beside(reals((3, 4)), units((3, 4)))]
    ),
    *(("binary_cross_entropy_with_logits", {}, beside(reals(s), units(s))) for s in SHAPES),
    *(("kl_div", {}, beside(reals(s), units(s))) for s in SHAPES),
    *(("kl_div", {"log_target": True}, reals(s, s)) for s in SHAPES),
    *(
        ("hinge_embedding_loss", {"margin": m}, beside(reals(s), signs(s)))
        for m in (1.0, 0.0, -0.5)
        for s in SHAPES
    ),
    *(("soft_margin_loss", {}, beside(reals(s), signs(s))) for s in SHAPES),
    *(
        ("multi_margin_loss", {"p": p, "margin": m, "weight": w}, inputs)
        for p in (1, 2)
        for m in (1.0, 0.3)
        for w in (None, W)
        for inputs in [
            beside(reals((5, 4)), integers(0, 4, 5)),
            beside(reals((4,)), integers(0, 4, ())),
        ]
    ),
    ("multilabel_margin_loss", {}, beside(reals((4, 4)), some_labels)),
    ("multilabel_margin_loss", {}, beside(reals((4,)), lambda rng: [some_labels(rng)[0][0]])),
    *(
        ("multilabel_soft_margin_loss", {"weight": w}, beside(reals(s), units(s)))
        for w in (None, W)
        for s in [(4,), (3, 4), (2, 3, 4)]
    ),
    *(
        ("margin_ranking_loss", {"margin": m}, beside(reals((5,), (5,)), signs(s)))
        for m in (0.0, 0.7)
        for s in [5, 1]
    ),
    *(
        ("cosine_embedding_loss", {"margin": m}, beside(reals((*s, 4), (*s, 4)), signs(s)))
        for m in (0.0, 0.4, -0.3)
        for s in [(6,), ()]
    ),
    *(
        ("triplet_margin_loss", {"p": p, "swap": swap, "margin": m}, reals(*[(*s, 4)] * 3))
        for p in (1.0, 2.0, 3.0)
        for swap in (False, True)
        for m in (1.0, 0.2)
        for s in [(5,), ()]
    ),
]


def reductions(name):
    # PyTorch warns about the mean of kl_div: here it is its sum, divided.
    return ("batchmean", "sum", "none") if name == "kl_div" else ("mean", "sum", "none")


# All reductions of the first row of a loss, and of those with weights; else none.
FIRST = {name: i for i, (name, *_) in reversed(list(enumerate(ROWS)))}
CALLS = [
    (name, {**chosen, "reduction": how}, inputs)
    for i, (name, chosen, inputs) in enumerate(ROWS)
    for how in (reductions(name) if i == FIRST[name] or "weight" in chosen else ["none"])
]
each_call = pytest.mark.parametrize(
    ("name", "chosen", "inputs"), CALLS, ids=[f"{i}-{row[0]}" for i, row in enumerate(CALLS)]
)


def in_torch(value, dtype):
    """A setting as PyTorch takes it."""
    return torch.tensor(value, dtype=dtype) if isinstance(value, np.ndarray) else value


def both(name, chosen, arrays):
    """minidl's and PyTorch's loss of the reals among the arrays."""
    real = [x.dtype.kind == "f" for x in arrays]

    def filled(library, tensors):
        rest = iter(tensors)
        pairs = zip(arrays, real, strict=True)
        return [next(rest) if is_real else library.constant(np.asarray(x)) for x, is_real in pairs]

    def theirs(*tensors):
        settings = {key: in_torch(value, tensors[0].dtype) for key, value in chosen.items()}
        return getattr(functional, name)(*filled(Torch, tensors), **settings)

    def ours(*tensors):
        return getattr(ops, name)(*filled(Minidl, tensors), **chosen)

    return ours, theirs, [x for x, is_real in zip(arrays, real, strict=True) if is_real]


def drawn(inputs, dtype, seed=0):
    arrays = [np.asarray(x) for x in inputs(np.random.default_rng(seed))]
    return [x.astype(dtype) if x.dtype.kind == "f" else x for x in arrays]


def assert_equals_pytorch(name, chosen, arrays, dtype, orders=1):
    """Values, and so many orders of derivatives."""
    ours, theirs, real = both(name, chosen, arrays)
    value = ours(*map(minidl.asarray, real))
    assert_close(value, theirs(*map(torch.from_numpy, real)), TOLERANCE[dtype])
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 1.5, value.shape).astype(dtype)
    directions = [[rng.uniform(0.5, 1.5, x.shape).astype(dtype) for x in real]] * (orders - 1)
    settings = real, weights, directions
    with minidl.higher_order() if orders > 1 else nullcontext():
        found = derivatives(Minidl, ours, *settings)
    for one, other in zip(found, derivatives(Torch, theirs, *settings), strict=True):
        assert_all_close(one, other, TOLERANCE[dtype])


@each_call
def test_two_derivatives_equal_pytorch(name, chosen, inputs):
    orders = 1 if name in ONCE else 2
    assert_equals_pytorch(name, chosen, drawn(inputs, "float64"), "float64", orders)


@each_call
def test_float32_equals_pytorch(name, chosen, inputs):
    assert_equals_pytorch(name, chosen, drawn(inputs, "float32"), "float32")


def test_the_mean_of_kl_div_is_of_elements():
    log_p, target = map(minidl.asarray, drawn(beside(reals((3, 4)), units((3, 4))), "float64"))
    total = ops.kl_div(log_p, target, reduction="sum").item()
    assert ops.kl_div(log_p, target).item() == pytest.approx(total / 12, rel=1e-15)


# Cross-entropy.

SCORES = [(4,), (3, 4), (2, 4, 3), (2, 4, 3, 2)]
CLASS_WEIGHTS = [None, np.array([0.5, 2.0, 1.0, 1.5])]
each_weight = pytest.mark.parametrize("weight", CLASS_WEIGHTS, ids=["", "weighted"])
each_shape = pytest.mark.parametrize("shape", SCORES, ids=str)


def class_numbers(shape, ignored, seed=0):
    """Class numbers for scores of that shape, of which the first is to be ignored, if any are."""
    rest = shape[:1] * (len(shape) > 1) + shape[2:]
    numbers = np.random.default_rng(seed).integers(0, 4, rest)
    if ignored is not None and numbers.ndim:
        numbers.flat[0] = ignored
    return numbers


@each_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("ignored", [None, 2])
@each_weight
@each_shape
def test_cross_entropy_of_classes_equals_pytorch(shape, weight, ignored, smoothing, reduction):
    chosen = {"weight": weight, "reduction": reduction}
    chosen["ignore_index"] = -100 if ignored is None else ignored
    arrays = [*drawn(reals(shape), "float64"), class_numbers(shape, ignored)]
    if not smoothing:
        assert_equals_pytorch("nll_loss", chosen, arrays, "float64", 2)
    chosen["label_smoothing"] = smoothing
    assert_equals_pytorch("cross_entropy", chosen, arrays, "float64", 2)


@each_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@each_weight
@pytest.mark.parametrize("ignored", [-100, -1])
def test_cross_entropy_of_classes_in_float32_equals_pytorch(ignored, weight, smoothing, reduction):
    chosen = {"weight": weight, "ignore_index": ignored, "label_smoothing": smoothing}
    arrays = [*drawn(reals((5, 4)), "float32"), class_numbers((5, 4), ignored)]
    for kernels in ("fast", "reference"):
        with minidl.kernels(kernels):
            assert_equals_pytorch(
                "cross_entropy", {**chosen, "reduction": reduction}, arrays, "float32"
            )


@each_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@each_weight
@each_shape
def test_cross_entropy_of_probabilities_equals_pytorch(shape, weight, smoothing, reduction):
    chosen = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
    arrays = drawn(beside(reals(shape), units(shape)), "float64")
    assert_equals_pytorch("cross_entropy", chosen, arrays, "float64", 2)


@each_dtype
@each_kernels
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@each_weight
def test_where_nothing_counts_the_mean_is_nan_and_nothing_is_learned(name, weight, kernels, dtype):
    (logits,) = drawn(reals((3, 4)), dtype)
    x, target = minidl.asarray(logits, requires_grad=True), minidl.tensor([-100] * 3)
    with minidl.kernels(kernels):
        mean, total = (
            getattr(ops, name)(x, target, weight=weight, reduction=how) for how in ("mean", "sum")
        )
        mean.backward()
    assert math.isnan(mean.item())
    assert total.item() == 0
    np.testing.assert_array_equal(x.grad, np.zeros((3, 4), dtype))


def test_the_kernel_ignores_what_the_composite_ignores():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 7)).astype("float32")
    target = minidl.asarray(np.where(rng.uniform(size=50) < 0.3, 3, rng.integers(0, 7, 50)))
    for reduction in ("mean", "sum"):
        found = []
        for kernels in ("fast", "reference"):
            x = minidl.asarray(logits, requires_grad=True)
            with minidl.kernels(kernels):
                loss = ops.cross_entropy(x, target, ignore_index=3, reduction=reduction)
            loss.backward()
            found.append((loss.item(), x.grad.numpy()))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
        assert_close(found[0][1], found[1][1], 1e-6)


@pytest.mark.parametrize("integer", ["uint8", "int8", "uint64"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_small_and_unsigned_class_indices_need_not_hold_the_ignored_one(dtype, integer):
    (logits,) = map(minidl.asarray, drawn(reals((3, 4)), dtype))
    needed = ops.cross_entropy(logits, minidl.tensor([3, 0, 1])).item()
    target = minidl.tensor([3, 0, 1], dtype=integer)
    # no kernel is compiled for uint64, and to compile those of the others takes seconds
    with minidl.kernels("fast" if integer == "uint64" else "reference"):
        assert ops.cross_entropy(logits, target).item() == pytest.approx(needed, rel=1e-6)


def test_weights_of_classes_are_differentiated():
    (logits,) = drawn(reals((3, 4)), "float64")
    target = minidl.tensor([3, 0, 0])
    weight = minidl.tensor([1, 1, 1, 1], dtype="float64", requires_grad=True)
    ops.cross_entropy(minidl.asarray(logits), target, weight, reduction="sum").backward()
    each = ops.cross_entropy(minidl.asarray(logits), target, reduction="none").numpy()
    np.testing.assert_allclose(weight.grad, [each[1] + each[2], 0, 0, each[0]], rtol=1e-15)


# Connectionist temporal classification.


def sequences(T=7, N=4, C=5, S=3, blank=0, seed=0):
    """Logits, targets without the blank, and lengths of which each is possible."""
    rng = np.random.default_rng(seed)
    targets = (blank + rng.integers(1, C, (N, S))) % C
    lengths = np.array([T, T - 1, T, T][:N]), np.array([S, S - 1, 0, 1][:N])
    return rng.normal(size=(T, N, C)), targets, *lengths


def ctc_gradients(library, function, logits, *rest):
    """The losses of sequences, and the gradient of logits."""
    x = library.leaf(logits)
    y = function(x, *rest)
    weights = np.linspace(0.5, 1.5, math.prod(y.shape)).reshape(y.shape).astype(logits.dtype)
    (dx,) = library.gradients(y, [x], library.constant(weights))
    return [library.numpy(y), library.numpy(dx)]


def assert_ctc_equals_pytorch(logits, targets, lengths, sizes, dtype="float64", **chosen):
    logits = logits.astype(dtype)
    ours = ctc_gradients(
        Minidl,
        lambda x: ops.ctc_loss(
            ops.log_softmax(x), minidl.asarray(targets), lengths, sizes, **chosen
        ),
        logits,
    )
    theirs = ctc_gradients(
        Torch,
        lambda x: functional.ctc_loss(
            x.log_softmax(-1),
            torch.from_numpy(targets),
            torch.as_tensor(lengths),
            torch.as_tensor(sizes),
            **chosen,
        ),
        logits,
    )
    assert_all_close(ours, theirs, TOLERANCE[dtype])


@each_dtype
@each_reduction
@pytest.mark.parametrize("blank", [0, 2, 4])
def test_ctc_equals_pytorch(blank, reduction, dtype):
    data = sequences(blank=blank)
    assert_ctc_equals_pytorch(*data, dtype, blank=blank, reduction=reduction)


@each_reduction
def test_ctc_of_targets_end_to_end_equals_pytorch(reduction):
    logits, targets, lengths, sizes = sequences()
    joined = np.concatenate([row[:n] for row, n in zip(targets, sizes, strict=True)])
    assert_ctc_equals_pytorch(logits, joined, lengths, sizes, reduction=reduction)


@each_reduction
def test_ctc_of_one_sequence_equals_pytorch(reduction):
    logits, targets, lengths, sizes = (x[0] for x in sequences(N=1))
    logits = sequences(N=1)[0][:, 0]
    assert_ctc_equals_pytorch(logits, targets, int(lengths), int(sizes), reduction=reduction)


@each_reduction
def test_ctc_of_too_short_inputs_is_0_where_that_is_asked(reduction):
    logits, targets, lengths, sizes = sequences()
    lengths = np.array([2, 7, 0, 1])
    chosen = {"reduction": reduction, "zero_infinity": True}
    assert_ctc_equals_pytorch(logits, targets, lengths, sizes, **chosen)
    x = minidl.asarray(logits, requires_grad=True)
    loss = ops.ctc_loss(ops.log_softmax(x), minidl.asarray(targets), lengths, sizes)
    assert loss.item() == INF
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_lengths_may_be_lists_tuples_arrays_and_tensors():
    logits, targets, lengths, sizes = sequences()
    log_p, labels = ops.log_softmax(minidl.asarray(logits)), minidl.asarray(targets)
    losses = {
        ops.ctc_loss(log_p, labels, make(lengths), make(sizes)).item()
        for make in (np.asarray, minidl.asarray, lambda x: tuple(x.tolist()), lambda x: x.tolist())
    }
    assert len(losses) == 1


def probability_of(labelling, probabilities, blank):
    """The sum over all paths, one by one."""
    total = 0.0
    for path in itertools.product(range(probabilities.shape[1]), repeat=len(probabilities)):
        collapsed = [c for c, _ in itertools.groupby(path) if c != blank]
        if collapsed == labelling:
            total += math.prod(probabilities[t, c] for t, c in enumerate(path))
    return total


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_ctc_is_the_sum_over_all_paths(data):
    times, classes = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 3))
    blank = data.draw(st.integers(0, classes - 1))
    others = [c for c in range(classes) if c != blank]
    labelling = data.draw(st.lists(st.sampled_from(others), max_size=3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    p = rng.uniform(0, 1, (times, classes))  # the recursion asks for no sum of 1
    targets = minidl.asarray(np.array(labelling, int))
    loss = ops.ctc_loss(minidl.asarray(np.log(p)), targets, times, len(labelling), blank, "sum")
    needed = probability_of(labelling, p, blank)
    assert math.exp(-loss.item()) == pytest.approx(needed, rel=1e-12, abs=0)


def test_the_gradient_of_ctc_is_less_the_probability_of_being_there():
    logits, targets, lengths, sizes = sequences()
    x = ops.log_softmax(minidl.asarray(logits)).detach().requires_grad_()
    ops.ctc_loss(x, minidl.asarray(targets), lengths, sizes, reduction="sum").backward()
    running = np.arange(7)[:, None] < lengths
    np.testing.assert_allclose(x.grad.numpy().sum(axis=-1), -1.0 * running, atol=1e-12)


def test_long_sequences_in_float32_are_as_exact_as_pytorchs():
    logits, targets, lengths, sizes = sequences(T=300, N=2, C=20, S=40)
    found = {}
    for dtype in TOLERANCE:
        for library, loss, soft in [
            (Minidl, ops.ctc_loss, ops.log_softmax),
            (Torch, functional.ctc_loss, lambda x: x.log_softmax(-1)),
        ]:
            rest = [library.constant(x) for x in (targets, lengths, sizes)]
            run = lambda x, *rest, loss=loss, soft=soft: loss(soft(x), *rest)
            found[library, dtype] = ctc_gradients(library, run, logits.astype(dtype), *rest)[1]
    ours, theirs = (
        np.abs(found[library, "float32"] - found[Torch, "float64"]).max()
        for library in (Minidl, Torch)
    )
    assert_close(found[Minidl, "float64"], found[Torch, "float64"], 1e-10)
    assert ours <= 2 * theirs


# The ends of what losses are given.

LARGE = [-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4]


@each_dtype
@each_kernels
@pytest.mark.parametrize("pos_weight", [None, 3.0])
def test_binary_cross_entropy_of_far_logits(pos_weight, kernels, dtype):
    z, t = (x.ravel().astype(dtype) for x in np.meshgrid(LARGE, [0.0, 0.3, 1.0]))
    weight = None if pos_weight is None else np.full(z.shape, pos_weight)
    name, chosen = "binary_cross_entropy_with_logits", {"pos_weight": weight}
    with minidl.kernels(kernels):
        assert_equals_pytorch(name, chosen, [z, t], dtype)


@each_kernels
def test_nothing_of_a_sure_logit_is_lost(kernels):
    z = minidl.tensor([-20.0, -60.0, 20.0, 60.0], requires_grad=True)
    with minidl.kernels(kernels):
        loss = ops.binary_cross_entropy_with_logits(
            z, minidl.tensor([0.0, 0.0, 1.0, 1.0]), reduction="none"
        )
        loss.sum().backward()
    needed = np.exp([-20.0, -60.0, -20.0, -60.0])
    np.testing.assert_allclose(loss, needed, rtol=1e-5)
    np.testing.assert_allclose(z.grad, needed * [1, 1, -1, -1], rtol=1e-5)


@each_dtype
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_binary_cross_entropy_of_probabilities_0_and_1(target, dtype):
    p = np.array([0.0, 1e-30, 0.5, 1.0], dtype)
    value_and_gradient = []
    for library, loss in [
        (Minidl, ops.binary_cross_entropy),
        (Torch, functional.binary_cross_entropy),
    ]:
        x, t = library.leaf(p), library.constant(np.full_like(p, target))
        y = loss(x, t, reduction="none")
        (dx,) = library.gradients(y.sum(), [x])
        value_and_gradient.append([library.numpy(y), library.numpy(dx)])
    # PyTorch's 10⁻¹² is the nearest float32
    assert_all_close(*value_and_gradient, 1e-8 if dtype == "float64" else 1e-5)


@each_dtype
@pytest.mark.parametrize("name", ["cross_entropy", "multi_margin_loss"])
def test_far_scores_equal_pytorch(name, dtype):
    x = np.array([LARGE, LARGE[::-1]], dtype)
    assert_equals_pytorch(name, {}, [x, np.array([0, 3])], dtype)


def test_soft_margin_loss_does_not_overflow():
    x = minidl.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    loss = ops.soft_margin_loss(x, minidl.ones(3), reduction="none")
    loss.sum().backward()
    np.testing.assert_allclose(loss, [1e4, math.log(2), 0], rtol=1e-6)
    np.testing.assert_allclose(x.grad, [-1, -0.5, 0], rtol=1e-6)


KINKS = [-1.5, -0.5, 0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        *(("huber_loss", {"delta": d}) for d in (0.5, 1.0)),
        *(("smooth_l1_loss", {"beta": b}) for b in (0.0, 0.5, 1.0)),
        ("l1_loss", {}),
    ],
)
def test_gradients_at_kinks_equal_pytorch(name, chosen):
    assert_equals_pytorch(name, chosen, [np.array(KINKS), np.zeros(6)], "float64")


@pytest.mark.parametrize("target", [-1, 1])
@pytest.mark.parametrize("margin", [0.5, 0.0])
def test_gradients_at_margins_equal_pytorch(margin, target):
    x, t = np.array(KINKS), np.full(6, target)
    assert_equals_pytorch("hinge_embedding_loss", {"margin": margin}, [x, t], "float64")
    arrays = [x, np.zeros(6), t]
    assert_equals_pytorch("margin_ranking_loss", {"margin": margin}, arrays, "float64")


def test_a_variance_may_be_a_number():
    arrays = drawn(reals((3, 4), (3, 4)), "float64")
    ours = ops.gaussian_nll_loss(*map(minidl.asarray, arrays), 0.7, full=True)
    theirs = functional.gaussian_nll_loss(*map(torch.from_numpy, arrays), 0.7, full=True)
    assert_close(ours, theirs, 1e-10)


def test_huber_loss_is_curved_at_its_minimum():
    for name in ("huber_loss", "smooth_l1_loss"):
        f = lambda x, name=name: getattr(ops, name)(x, ops.zeros_like(x))
        assert minidl.grad(minidl.grad(f))(minidl.tensor(0.0)).item() == 1


def test_a_variance_below_eps_learns_as_pytorchs_does():
    x, t = np.array([0.5, -0.3]), np.array([0.2, 0.4])
    arrays = [x, t, np.array([1e-9, 0.3])]
    assert_equals_pytorch("gaussian_nll_loss", {"eps": 1e-2}, arrays, "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_nothing_equal_pytorch(reduction, dtype):
    nothing, of_classes = np.zeros((0, 4), dtype), np.zeros(0, int)
    chosen = {"reduction": reduction}
    pairs = ("l1_loss", "mse_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy")
    for name in (*pairs, "binary_cross_entropy_with_logits"):
        assert_equals_pytorch(name, chosen, [nothing, nothing], dtype)
    for name in ("cross_entropy", "nll_loss"):
        assert_equals_pytorch(name, chosen, [nothing, of_classes], dtype)
    assert_equals_pytorch("cosine_embedding_loss", chosen, [nothing, nothing, of_classes], dtype)
    assert_equals_pytorch("triplet_margin_loss", chosen, [nothing] * 3, dtype)


def test_nan_comes_through():
    x = minidl.tensor([[math.nan, 1.0]])
    one = minidl.ones((1, 2))
    for name in ("l1_loss", "huber_loss", "smooth_l1_loss", "mse_loss", "kl_div"):
        assert math.isnan(getattr(ops, name)(x, one).item())
    for name in ("binary_cross_entropy_with_logits", "soft_margin_loss", "hinge_embedding_loss"):
        assert math.isnan(getattr(ops, name)(x, one).item())
    assert math.isnan(ops.cross_entropy(x, minidl.tensor([1])).item())


# As layers.

FOUR = np.array([0.5, 2.0, 1.0, 1.5])
LAYERS = [
    ("CrossEntropyLoss", {}, beside(reals((3, 4)), integers(0, 4, 3))),
    ("CrossEntropyLoss", {"weight": FOUR, "ignore_index": 1, "label_smoothing": 0.2},
     beside(reals((5, 4)), integers(0, 4, 5))),
    ("NLLLoss", {}, beside(reals((3, 4)), integers(0, 4, 3))),
    ("NLLLoss", {"weight": FOUR, "ignore_index": 1}, beside(reals((5, 4)), integers(0, 4, 5))),
    ("MSELoss", {}, reals((3, 4), (3, 4))),
    ("L1Loss", {}, reals((3, 4), (3, 4))),
    ("SmoothL1Loss", {"beta": 0.3}, reals((3, 4), (3, 4))),
    ("HuberLoss", {"delta": 0.3}, reals((3, 4), (3, 4))),
    ("PoissonNLLLoss", {}, beside(reals((3, 4)), units((3, 4)))),
    ("PoissonNLLLoss", {"log_input": False, "full": True, "eps": 0.1}, units((3, 4), (3, 4))),
    ("GaussianNLLLoss", {"full": True, "eps": 0.5}, beside(reals((3, 4), (3, 4)), units((3, 4)))),
    ("BCELoss", {}, units((3, 4), (3, 4))),
    ("BCELoss", {"weight": FOUR}, units((3, 4), (3, 4))),
    ("BCEWithLogitsLoss", {}, beside(reals((3, 4)), units((3, 4)))),
    ("BCEWithLogitsLoss", {"weight": FOUR, "pos_weight": 2 * FOUR},
     beside(reals((3, 4)), units((3, 4)))),
    ("KLDivLoss", {"log_target": True}, reals((3, 4), (3, 4))),
    ("KLDivLoss", {}, beside(reals((3, 4)), units((3, 4)))),
    ("HingeEmbeddingLoss", {"margin": 0.5}, beside(reals((3, 4)), signs((3, 4)))),
    ("SoftMarginLoss", {}, beside(reals((3, 4)), signs((3, 4)))),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": FOUR},
     beside(reals((3, 4)), integers(0, 4, 3))),
    ("MultiLabelMarginLoss", {}, beside(reals((4, 4)), some_labels)),
    ("MultiLabelSoftMarginLoss", {"weight": FOUR}, beside(reals((3, 4)), units((3, 4)))),
    ("MarginRankingLoss", {"margin": 0.5}, beside(reals((5,), (5,)), signs(5))),
    ("CosineEmbeddingLoss", {"margin": 0.2}, beside(reals((5, 4), (5, 4)), signs(5))),
    ("TripletMarginLoss", {"margin": 0.5, "p": 3.0, "swap": True}, reals((5, 4), (5, 4), (5, 4))),
    ("CTCLoss", {"blank": 2, "zero_infinity": True}, lambda rng: list(sequences(blank=2))),
]  # fmt: skip
each_layer = pytest.mark.parametrize(
    ("name", "chosen", "inputs"), LAYERS, ids=[f"{i}-{row[0]}" for i, row in enumerate(LAYERS)]
)


def layer_outcome(library, layer, arrays):
    """The loss, and the gradient of what is predicted."""
    first, *rest = arrays
    x = library.leaf(first)
    soft = x.log_softmax(-1) if library is Torch else ops.log_softmax(x)
    y = layer(soft if "CTC" in type(layer).__name__ else x, *map(library.constant, rest))
    return [library.numpy(y), library.numpy(library.gradients(y.sum(), [x])[0])]


@each_dtype
@each_layer
def test_layers_equal_pytorch(name, chosen, inputs, dtype):
    for how in reductions("kl_div" if name == "KLDivLoss" else name):
        ours = getattr(nn, name)(**chosen, reduction=how)
        given_there = {key: in_torch(x, getattr(torch, dtype)) for key, x in chosen.items()}
        theirs = getattr(torch.nn, name)(**given_there, reduction=how)
        arrays = drawn(inputs, dtype)
        found = [layer_outcome(Minidl, ours, arrays), layer_outcome(Torch, theirs, arrays)]
        assert_all_close(*found, TOLERANCE[dtype])


@each_layer
def test_weights_are_in_the_state_as_pytorchs_are(name, chosen, inputs):
    ours = getattr(nn, name)(**chosen)
    given_there = {key: in_torch(x, torch.float64) for key, x in chosen.items()}
    theirs = getattr(torch.nn, name)(**given_there)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert not list(ours.parameters())
    state = {key: x + 1 for key, x in theirs.state_dict().items()}
    ours.load_state_dict({key: x.numpy() for key, x in state.items()})
    for key, x in state.items():
        np.testing.assert_array_equal(getattr(ours, key), x)


@pytest.mark.parametrize("name", sorted({row[0] for row in LAYERS}))
def test_layers_have_pytorchs_arguments_and_look(name):
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    assert set(theirs) - set(ours) <= {"size_average", "reduce"}
    assert {key: p.default for key, p in ours.items()} == {key: theirs[key].default for key in ours}
    positional = [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(theirs)[: len(positional)]
    assert repr(getattr(nn, name)()) == repr(getattr(torch.nn, name)())


@pytest.mark.parametrize("name", sorted({row[0] for row in ROWS} | {"cross_entropy", "ctc_loss"}))
def test_functions_have_pytorchs_arguments(name):
    ours = list(inspect.signature(getattr(ops, name)).parameters.values())
    theirs = inspect.signature(getattr(functional, name)).parameters
    settings = {p.name: p.default for p in ours if p.kind is not p.POSITIONAL_ONLY}
    assert settings == {key: theirs[key].default for key in settings}
    arrays = sum(p.kind is p.POSITIONAL_ONLY for p in ours)
    places = [p.name for p in ours[arrays:] if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert places == list(theirs)[arrays : arrays + len(places)]


# What errors say.

X, LOGITS, ONE = minidl.ones((3, 4)), minidl.zeros((3, 4)), minidl.ones(3)
CLASSES, EVEN = minidl.tensor([0, 1, 3]), minidl.zeros((5, 2, 3))
PAIRS = [
    *("l1_loss", "mse_loss", "huber_loss", "smooth_l1_loss", "poisson_nll_loss", "kl_div"),
    *("binary_cross_entropy", "binary_cross_entropy_with_logits", "hinge_embedding_loss"),
    *("soft_margin_loss", "multilabel_soft_margin_loss"),
]


def ctc(log_probs=EVEN, targets=((1, 2), (2, 1)), t=(5, 5), s=(2, 2), **more):
    return ops.ctc_loss(log_probs, minidl.tensor(targets), t, s, **more)


WRONG = {
    **{
        f"{name}: shapes": (
            lambda name=name: getattr(ops, name)(X, X[:, :1]),
            (ShapeError, rf"{name}.*\(3, 4\).*\(3, 1\).*same shape"),
        )
        for name in PAIRS
    },
    **{
        f"{name}: reduction": (
            lambda name=name: getattr(ops, name)(X, X, reduction="avg"),
            (ArgumentError, rf"{name}.*mean.*sum.*none.*'avg'"),
        )
        for name in PAIRS
    },
    **{
        f"{name}: number": (
            lambda name=name: getattr(ops, name)(X, 1.0),
            (DTypeError, rf"{name}.*tensors.*1\.0"),
        )
        for name in PAIRS
    },
    **{
        f"{name}: label, {kernels}": (
            lambda name=name, kernels=kernels: under(
                kernels, lambda: getattr(ops, name)(LOGITS, minidl.tensor([0, 4, 1]))
            ),
            (BoundsError, rf"{name}.*index 4 .*0 … 3.*target\[1\].*4 classes"),
        )
        for name in ("cross_entropy", "nll_loss", "multi_margin_loss")
        for kernels in ("fast", "reference")
    },
    "cross_entropy: place": (
        lambda: ops.cross_entropy(minidl.zeros((2, 4, 3)), minidl.tensor([[0, 1, 2], [0, 0, -1]])),
        (BoundsError, r"index -1 is outside 0 … 3: target\[1, 2\]"),
    ),
    "cross_entropy: vector": (
        lambda: ops.cross_entropy(minidl.zeros(4), minidl.tensor(4)),
        (BoundsError, "index 4 is outside 0 … 3: the target"),
    ),
    "cross_entropy: weight": (
        lambda: ops.cross_entropy(LOGITS, CLASSES, minidl.ones(3)),
        (ShapeError, r"cross_entropy.*4 classes.*\(4,\).*\(3,\)"),
    ),
    "cross_entropy: smoothing": (
        lambda: ops.cross_entropy(LOGITS, CLASSES, label_smoothing=1.1),
        (ArgumentError, r"cross_entropy.*label_smoothing.*1\.1"),
    ),
    "cross_entropy: ignored probabilities": (
        lambda: ops.cross_entropy(LOGITS, X, ignore_index=1),
        (ArgumentError, "cross_entropy.*ignore_index=1.*probabilities"),
    ),
    "nll_loss: shapes": (
        lambda: ops.nll_loss(LOGITS, minidl.tensor([0, 1])),
        (ShapeError, r"nll_loss.*\(3, 4\).*\(3,\).*\(2,\)"),
    ),
    "nll_loss: dtype": (lambda: ops.nll_loss(LOGITS, ONE), (DTypeError, "nll_loss.*float32")),
    "nll_loss: one number": (
        lambda: ops.nll_loss(minidl.tensor(0.0), minidl.tensor(0)),
        (ShapeError, r"nll_loss.*\(N, C\).*\(\)"),
    ),
    "huber_loss: delta": (
        lambda: ops.huber_loss(X, X, delta=0), (ArgumentError, "huber_loss.*delta.*above 0.*0"),
    ),
    "smooth_l1_loss: beta": (
        lambda: ops.smooth_l1_loss(X, X, beta=-1), (ArgumentError, "smooth_l1_loss.*beta.*-1"),
    ),
    "l1_loss: weight": (
        lambda: ops.l1_loss(X, X, weight=ONE), (ShapeError, r"l1_loss.*\(3, 4\).*\(3,\)"),
    ),
    "gaussian_nll_loss: negative": (
        lambda: ops.gaussian_nll_loss(X, X, -X), (ArgumentError, "gaussian_nll_loss.*-1"),
    ),
    "gaussian_nll_loss: shapes": (
        lambda: ops.gaussian_nll_loss(X, X, minidl.ones((4, 3))),
        (ShapeError, r"gaussian_nll_loss.*\(3, 4\).*\(4, 3\)"),
    ),
    "binary_cross_entropy: range": (
        lambda: ops.binary_cross_entropy(2 * X, X),
        (ArgumentError, "binary_cross_entropy.*from 0 to 1.*2 to 2.*logits"),
    ),
    "binary_cross_entropy: NaN": (
        lambda: ops.binary_cross_entropy(math.nan * X, X),
        (ArgumentError, "binary_cross_entropy.*nan"),
    ),
    "binary_cross_entropy: weight": (
        lambda: ops.binary_cross_entropy(X, X, minidl.ones(3)),
        (ShapeError, r"binary_cross_entropy: weight.*\(3, 4\).*\(3,\)"),
    ),
    "binary_cross_entropy_with_logits: weight": (
        lambda: ops.binary_cross_entropy_with_logits(X, X, pos_weight=minidl.ones((2, 3, 4))),
        (ShapeError, r"pos_weight.*\(3, 4\).*\(2, 3, 4\)"),
    ),
    "kl_div: reduction": (
        lambda: ops.kl_div(X, X, reduction="avg"), (ArgumentError, "kl_div.*batchmean.*avg"),
    ),
    "multi_margin_loss: p": (
        lambda: ops.multi_margin_loss(X, CLASSES, 3), (ArgumentError, "multi_margin_loss.*p is.*3"),
    ),
    "multi_margin_loss: shapes": (
        lambda: ops.multi_margin_loss(X, minidl.tensor([0])),
        (ShapeError, r"multi_margin_loss.*\(3, 4\).*\(3,\).*\(1,\)"),
    ),
    "multi_margin_loss: dtype": (
        lambda: ops.multi_margin_loss(X, ONE), (DTypeError, "multi_margin_loss.*float32"),
    ),
    "multilabel_margin_loss: label": (
        lambda: ops.multilabel_margin_loss(X[0], minidl.tensor([1, 4, -1, 9])),
        (BoundsError, r"multilabel_margin_loss.*index 4 .*target\[1\]"),
    ),
    "multilabel_soft_margin_loss: one number": (
        lambda: ops.multilabel_soft_margin_loss(ONE[0], ONE[0]),
        (ShapeError, r"multilabel_soft_margin_loss.*\(\)"),
    ),
    "margin_ranking_loss: axes": (
        lambda: ops.margin_ranking_loss(X, X, ONE),
        (ShapeError, r"margin_ranking_loss.*\(3, 4\).*\(3,\)"),
    ),
    "margin_ranking_loss: target": (
        lambda: ops.margin_ranking_loss(X, X, minidl.ones((2, 4))),
        (ShapeError, r"margin_ranking_loss: target.*\(3, 4\).*\(2, 4\)"),
    ),
    "cosine_embedding_loss: target": (
        lambda: ops.cosine_embedding_loss(X, X, X),
        (ShapeError, r"cosine_embedding_loss.*\(3, 4\) and \(3, 4\)"),
    ),
    "triplet_margin_loss: shapes": (
        lambda: ops.triplet_margin_loss(X, X, X[:2]),
        (ShapeError, r"triplet_margin_loss.*\(3, 4\).*\(2, 4\)"),
    ),
    "triplet_margin_loss: margin": (
        lambda: ops.triplet_margin_loss(X, X, X, 0.0), (ArgumentError, "triplet.*margin.*above 0"),
    ),
    "triplet_margin_loss: p": (
        lambda: ops.triplet_margin_loss(X, X, X, p=-1.0), (ArgumentError, r"triplet.*-1\.0"),
    ),
    "ctc_loss: shape": (
        lambda: ctc(minidl.zeros(3)), (ShapeError, r"ctc_loss.*\(T, N, C\).*\(3,\)"),
    ),
    "ctc_loss: blank": (lambda: ctc(blank=3), (BoundsError, "ctc_loss.*blank 3.*0 … 2")),
    "ctc_loss: blank as a label": (
        lambda: ctc(blank=2), (BoundsError, "ctc_loss.*label 2, number 1 of sequence 0.*blank, 2"),
    ),
    "ctc_loss: label": (
        lambda: ctc(targets=[[1, 2], [3, 1]]),
        (BoundsError, "ctc_loss.*label 3, number 0 of sequence 1.*3 classes 0 … 2"),
    ),
    "ctc_loss: long input": (
        lambda: ctc(t=(5, 6)), (ArgumentError, r"ctc_loss.*input_lengths.*5.*\[5, 6\]"),
    ),
    "ctc_loss: negative": (
        lambda: ctc(s=(2, -1)), (ArgumentError, r"ctc_loss.*target_lengths.*\[2, -1\]"),
    ),
    "ctc_loss: count of lengths": (
        lambda: ctc(t=(5,)), (ShapeError, r"ctc_loss.*input_lengths.*2 sequences.*\(1,\)"),
    ),
    "ctc_loss: real lengths": (
        lambda: ctc(t=(5.0, 5.0)), (DTypeError, "ctc_loss.*input_lengths.*integers"),
    ),
    "ctc_loss: targets": (
        lambda: ctc(targets=[1, 2, 1]), (ShapeError, r"ctc_loss.*\(2, S\).*\(4,\).*\(3,\)"),
    ),
    "ctc_loss: real targets": (
        lambda: ctc(targets=[[1.0, 2.0]] * 2), (DTypeError, "ctc_loss.*float32"),
    ),
    "ctc_loss: reduction": (
        lambda: ctc(reduction="avg"), (ArgumentError, "ctc_loss.*mean.*'avg'"),
    ),
}  # fmt: skip


def under(kernels, function):
    with minidl.kernels(kernels):
        return function()


@pytest.mark.parametrize(("misuse", "error"), WRONG.values(), ids=WRONG)
def test_misuse_is_explained(misuse, error):
    kind, message = error
    with pytest.raises(kind, match=message):
        misuse()


@pytest.mark.parametrize("name", [*PAIRS, "cross_entropy", "nll_loss", "multi_margin_loss"])
def test_losses_say_that_they_need_tensors(name):
    with pytest.raises(MinidlError, match=rf"{name}.*list"):
        getattr(ops, name)([[1.0]], [0])


def test_variances_of_nothing_are_not_below_0():
    nothing = minidl.zeros((0, 3), requires_grad=True)
    loss = minidl.gaussian_nll_loss(nothing, nothing, minidl.ones((0, 3)), reduction="sum")
    loss.backward()
    assert (loss.item(), nothing.grad.shape) == (0, (0, 3))
