"""Bad input of losses: refused by an error that names the loss, or accepted."""

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, BoundsError, DTypeError, MinidlError, ShapeError
from tests.bad_input import call, every_spoilt, real, spoil, whole
from tests.oracle import functional, torch

FREE = ["weight: None", "pos_weight: None"]
LOG_P = minidl.log_softmax(real(3, 4), axis=1)
SIGNS = minidl.tensor([1.0, -1.0, 1.0])
SPEECH = minidl.log_softmax(real(6, 2, 4), axis=2)
SPOKEN = minidl.tensor([[1, 2, 3], [2, 1, 1]])


def _of_classes():
    loss, classes = minidl.cross_entropy, whole(3, below=4)
    yield call(loss, real(3, 4), classes)
    yield call(loss, real(4), minidl.tensor(2))
    settings = {"ignore_index": 1, "reduction": "sum", "label_smoothing": 0.1}
    yield call(loss, real(3, 4), classes, **settings)
    yield call(loss, real(3, 4), classes, ignore_index=1, label_smoothing=0.0)
    yield call(loss, real(3, 4), classes, real(4), allowed=["2: None"], **settings)
    yield call(
        loss, real(2, 4, 3), whole(2, 3, below=4), weight=real(4), allowed=FREE, reduction="none"
    )
    yield call(loss, real(3, 4), minidl.softmax(real(3, 4), axis=1))
    settings = {"weight": real(4), "reduction": "mean", "label_smoothing": 0.1}
    yield call(loss, real(3, 4), minidl.softmax(real(3, 4), axis=1), allowed=FREE, **settings)
    yield call(minidl.nll_loss, LOG_P, classes)
    yield call(
        minidl.nll_loss,
        LOG_P,
        classes,
        real(4),
        allowed=["2: None"],
        ignore_index=0,
        reduction="none",
    )
    settings = {"p": 2, "margin": 0.5, "weight": real(4), "reduction": "sum"}
    yield call(minidl.multi_margin_loss, real(3, 4), classes)
    yield call(minidl.multi_margin_loss, real(3, 4), classes, allowed=FREE, **settings)
    labels = minidl.tensor([[1, 3, -1, 0], [0, -1, 2, 2], [-1, 0, 0, 0]])
    yield call(minidl.multilabel_margin_loss, real(3, 4), labels)
    yield call(minidl.multilabel_margin_loss, real(4), labels[0], reduction="sum")


def _of_numbers():
    x, y = real(3, 4), real(3, 4) / 2
    for loss in (minidl.mse_loss, minidl.l1_loss, minidl.huber_loss, minidl.smooth_l1_loss):
        yield call(loss, x, y)
        yield call(loss, x, y, reduction="sum")
    yield call(minidl.mse_loss, x, y, weight=real(3, 4), allowed=FREE, reduction="none")
    yield call(minidl.l1_loss, x, y, weight=real(3, 4), allowed=FREE, reduction="mean")
    yield call(minidl.huber_loss, x, y, delta=0.5, weight=real(3, 4), allowed=FREE)
    yield call(minidl.smooth_l1_loss, x, y, beta=0.5)
    yield call(minidl.poisson_nll_loss, x, y)
    settings = {"log_input": False, "full": True, "eps": 1e-8, "reduction": "none"}
    yield call(minidl.poisson_nll_loss, x, y, **settings)
    yield call(minidl.gaussian_nll_loss, x, y, real(3, 4))
    yield call(minidl.gaussian_nll_loss, x, y, real(3, 1), full=True, eps=1e-6, reduction="sum")
    yield call(minidl.gaussian_nll_loss, x, y, 0.5)


def _of_probabilities():
    p, t = real(3, 4), real(3, 4) / 2
    yield call(minidl.binary_cross_entropy, p, t)
    yield call(minidl.binary_cross_entropy, p, t, real(4), allowed=["2: None"], reduction="none")
    yield call(minidl.binary_cross_entropy_with_logits, p, t)
    settings = {"weight": real(3, 1), "pos_weight": real(4), "reduction": "sum"}
    yield call(minidl.binary_cross_entropy_with_logits, p, t, allowed=FREE, **settings)
    yield call(minidl.multilabel_soft_margin_loss, p, t)
    yield call(
        minidl.multilabel_soft_margin_loss, p, t, weight=real(4), allowed=FREE, reduction="none"
    )
    yield call(minidl.kl_div, LOG_P, minidl.exp(LOG_P))
    yield call(minidl.kl_div, LOG_P, LOG_P, reduction="batchmean", log_target=True)


def _of_margins():
    x, y = real(3, 5), real(3, 5) / 2
    yield call(minidl.hinge_embedding_loss, real(3), SIGNS)
    yield call(minidl.hinge_embedding_loss, real(3), SIGNS, margin=0.5, reduction="sum")
    yield call(minidl.soft_margin_loss, real(3), SIGNS)
    yield call(minidl.soft_margin_loss, real(3), SIGNS, reduction="none")
    yield call(minidl.margin_ranking_loss, real(3), real(3) / 2, SIGNS)
    yield call(minidl.margin_ranking_loss, real(3), real(3) / 2, SIGNS, 0.1, reduction="sum")
    yield call(minidl.cosine_embedding_loss, x, y, SIGNS)
    yield call(minidl.cosine_embedding_loss, x, y, SIGNS, margin=0.1, reduction="none")
    yield call(minidl.cosine_embedding_loss, x[0], y[0], SIGNS[0])
    yield call(minidl.triplet_margin_loss, x, y, x / 3)
    settings = {"margin": 0.5, "p": 3.0, "eps": 1e-6, "swap": True, "reduction": "sum"}
    yield call(minidl.triplet_margin_loss, x, y, x / 3, **settings)
    settings = {"distance_function": None, "margin": 0.5, "swap": True, "reduction": "sum"}
    yield call(minidl.triplet_margin_with_distance_loss, x, y, x / 3, **settings)


def _of_sequences():
    lengths, sizes = minidl.tensor([6, 5]), minidl.tensor([3, 2])
    yield call(minidl.ctc_loss, SPEECH, SPOKEN, lengths, sizes)
    settings = {"blank": 0, "reduction": "sum", "zero_infinity": True}
    yield call(minidl.ctc_loss, SPEECH, SPOKEN, [6, 5], [3, 2], **settings)
    yield call(minidl.ctc_loss, SPEECH, minidl.tensor([1, 2, 3, 2, 1]), (6, 6), (3, 2))
    yield call(minidl.ctc_loss, SPEECH[:, 0], SPOKEN[0], 6, 3, reduction="none")


CALLS = [
    *_of_classes(),
    *_of_numbers(),
    *_of_probabilities(),
    *_of_margins(),
    *_of_sequences(),
]


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()


def outcome(right, kernels):
    """What a call gives: an array, or the kind of its error."""
    with minidl.kernels(kernels):
        try:
            return right.run().numpy()
        except MinidlError as error:
            return type(error)


@pytest.mark.parametrize("right", CALLS, ids=lambda right: right.names[0])
def test_kernels_and_bodies_refuse_and_give_the_same(right):
    for spoilt in spoil(right):
        fast, reference = (outcome(spoilt.call, kernels) for kernels in ("fast", "reference"))
        if isinstance(fast, type) or isinstance(reference, type):
            assert fast == reference, spoilt
        else:
            assert fast.dtype == reference.dtype, spoilt
            np.testing.assert_allclose(fast, reference, 1e-4, 1e-6, err_msg=repr(spoilt))


# What cannot be seen in one argument alone.

x = real(3, 4)
WRONG = {
    "a column against a row": (
        lambda: minidl.mse_loss(real(3, 1), real(3)),
        ShapeError,
        "same shape",
    ),
    "one-hot integers": (
        lambda: minidl.cross_entropy(x, minidl.ones((3, 4), dtype="int64")),
        DTypeError,
        "probabilities, floating-point.*int64",
    ),
    "float class numbers": (
        lambda: minidl.cross_entropy(x, minidl.tensor([0.0, 1.0, 2.0])),
        DTypeError,
        "class numbers are integers; got float32",
    ),
    "no classes": (
        lambda: minidl.cross_entropy(minidl.ones((3, 0)), whole(3)),
        ShapeError,
        "C above 0",
    ),
    "a fractional ignored class": (
        lambda: minidl.cross_entropy(x, whole(3), ignore_index=0.5),
        ArgumentError,
        "ignore_index is an integer; got 0.5",
    ),
    "probabilities above 1": (
        lambda: minidl.binary_cross_entropy(x + 1, x),
        ArgumentError,
        "with_logits",
    ),
    "a probability that is NaN": (
        lambda: minidl.binary_cross_entropy(x * np.nan, x),
        ArgumentError,
        "from nan to nan",
    ),
    "labels 0 and 1 for signs": (
        lambda: minidl.hinge_embedding_loss(real(2), minidl.tensor([0, 1])),
        ArgumentError,
        "targets are 1 or −1; got 0:",
    ),
    "unsigned signs": (
        lambda: minidl.soft_margin_loss(real(2), minidl.tensor([255, 1], dtype="uint8")),
        ArgumentError,
        "targets are 1 or −1",
    ),
    "a label behind the end": (
        lambda: minidl.multilabel_margin_loss(real(3), minidl.tensor([1, -1, 7])),
        BoundsError,
        r"7 is outside.*target\[2\]",
    ),
    "integers": (
        lambda: minidl.mse_loss(whole(3), whole(3)),
        DTypeError,
        "floating-point numbers; got int64 and int64",
    ),
    "integer scores": (
        lambda: minidl.multi_margin_loss(whole(3, 4), whole(3), weight=real(4)),
        DTypeError,
        "x has floating-point numbers; got int64",
    ),
    "complex": (lambda: minidl.l1_loss(x * 1j, x), DTypeError, "real numbers; got complex64"),
    "a fractional blank": (
        lambda: minidl.ctc_loss(SPEECH, SPOKEN, [6, 6], [3, 3], blank=0.5),
        BoundsError,
        "blank 0.5",
    ),
    "a label that is the blank": (
        lambda: minidl.ctc_loss(SPEECH, SPOKEN * 0, [6, 6], [3, 3]),
        BoundsError,
        "without the blank",
    ),
    "too long an input": (
        lambda: minidl.ctc_loss(SPEECH, SPOKEN, [7, 6], [3, 3]),
        ArgumentError,
        "input_lengths are from 0 to 6.*7",
    ),
    "weights that are text": (
        lambda: minidl.cross_entropy(x, whole(3), weight="text"),
        DTypeError,
        "weight has numbers.*got str 'text'",
    ),
    "a scalar where vectors are needed": (
        lambda: minidl.triplet_margin_loss(1.0, x, x),
        DTypeError,
        "needs tensors; got 1.0",
    ),
}


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("wrong", WRONG)
def test_misuse_is_explained(wrong, kernels):
    misuse, kind, message = WRONG[wrong]
    with minidl.kernels(kernels), pytest.raises(kind, match=message):
        misuse()


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "mse_loss", "cosine_embedding_loss"])
def test_of_no_samples_the_mean_is_nan_as_in_pytorch(name, reduction, kernels):
    x, classes, signs = np.zeros((0, 4), "float32"), np.zeros(0, "int64"), np.zeros(0, "float32")
    inputs = {"mse_loss": (x, x), "cosine_embedding_loss": (x, x, signs)}.get(name, (x, classes))
    expected = getattr(functional, name)(*map(torch.tensor, inputs), reduction=reduction)
    with minidl.kernels(kernels):
        loss = getattr(minidl, name)(*map(minidl.asarray, inputs), reduction=reduction)
    np.testing.assert_array_equal(loss.numpy(), expected.numpy())


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_class_indices_may_be_small_or_unsigned(dtype):
    scores, labels = real(4), minidl.tensor([1, 2, 0, 3], dtype=dtype)
    loss = minidl.multilabel_margin_loss(scores, labels)
    expected = functional.multilabel_margin_loss(*map(torch.tensor, (scores.numpy(), [1, 2, 0, 3])))
    np.testing.assert_allclose(loss.numpy(), expected.numpy(), 1e-6)
