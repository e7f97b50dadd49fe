"""`check_against` on PyTorch's functions: what is right passes, what is planted is found."""

from functools import partial

import pytest

from minidl.testing import Settings, check_against
from tests.oracle import INSTALLED, functional, torch

pytestmark = pytest.mark.skipif(not INSTALLED, reason="compares with PyTorch")
SOME = Settings(examples=30)


def transposed(x, w, b, stride, padding, output_padding, groups, dilation):
    f = getattr(functional, f"conv_transpose{x.ndim - 2}d")
    return f(x, w, b, stride, padding, output_padding, groups, dilation)


def normalised(x, weight, bias, eps):
    return functional.batch_norm(x, None, None, weight, bias, training=True, eps=eps)


def averaged(x, kernel_size, stride, padding, ceil_mode, count_include_pad):
    pool = functional.avg_pool1d if x.ndim == 3 else functional.avg_pool2d
    return pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def largest(x, axis, keepdims):
    if axis == ():  # PyTorch takes no axes for all
        return x.clone()
    return torch.amax(x, () if axis is None else axis, keepdim=keepdims)


def summed(x, axis, keepdims, reduce=torch.sum):
    return x.clone() if axis == () else reduce(x, axis, keepdim=keepdims)


def variance(x, axis, correction, keepdims):
    return torch.var(x, axis, correction=correction, keepdim=keepdims)


def sorted_values(x, axis, descending):
    return torch.sort(x, axis, descending=descending)[0]


def reduced(name):
    return lambda *xs, **settings: getattr(functional, name)(*xs, **settings)


def group_norm(x, weight, bias, num_groups, eps):
    return functional.group_norm(x, num_groups, weight, bias, eps)


def layer_norm(x, weight, bias, normalized_shape, eps):
    return functional.layer_norm(x, normalized_shape, weight, bias, eps)


def binary(x, target, weight, reduction):
    return functional.binary_cross_entropy(x, target, weight, reduction=reduction)


def binary_logits(x, target, weight, reduction):
    return functional.binary_cross_entropy_with_logits(x, target, weight, reduction=reduction)


RIGHT = {
    "exp": torch.exp,
    "relu": torch.relu,
    "gelu": functional.gelu,
    "atan2": torch.atan2,
    "where": torch.where,
    "less": torch.less,
    "logical_xor": torch.logical_xor,
    "bitwise_xor": torch.bitwise_xor,
    "sum": summed,
    "max": largest,
    "var": variance,
    "argmax": lambda x, axis, keepdims: torch.argmax(x, axis, keepdim=keepdims),
    "sort": sorted_values,
    "softmax": lambda x, axis: torch.softmax(x, axis),
    "log_softmax": lambda x, axis: torch.log_softmax(x, axis),
    "matmul": torch.matmul,
    "linear": functional.linear,
    "bilinear": functional.bilinear,
    "conv1d": functional.conv1d,
    "conv2d": functional.conv2d,
    "conv3d": functional.conv3d,
    "conv_transpose1d": transposed,
    "conv_transpose2d": transposed,
    "max_pool1d": functional.max_pool1d,
    "max_pool2d": functional.max_pool2d,
    "avg_pool1d": averaged,
    "avg_pool2d": averaged,
    "adaptive_avg_pool2d": functional.adaptive_avg_pool2d,
    "batch_norm": normalised,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "embedding": lambda weight, ids: functional.embedding(ids, weight),
    "cross_entropy": reduced("cross_entropy"),
    "nll_loss": reduced("nll_loss"),
    "mse_loss": reduced("mse_loss"),
    "l1_loss": reduced("l1_loss"),
    "smooth_l1_loss": reduced("smooth_l1_loss"),
    "huber_loss": reduced("huber_loss"),
    "kl_div": reduced("kl_div"),
    "binary_cross_entropy": binary,
    "binary_cross_entropy_with_logits": binary_logits,
    "hinge_embedding_loss": reduced("hinge_embedding_loss"),
    "multi_margin_loss": reduced("multi_margin_loss"),
    "triplet_margin_loss": reduced("triplet_margin_loss"),
    "pad": lambda x, widths, mode, value=None: functional.pad(x, widths, mode, value),
    "interpolate": functional.interpolate,
    "topk": lambda x, axis, k, largest: tuple(torch.topk(x, k, axis, largest)),
    "cumulative_logsumexp": lambda x, axis: torch.logcumsumexp(x, axis),
    "diff": lambda x, axis: torch.diff(x, dim=axis),
    "scatter_add": lambda x, i, v, axis: x.scatter_add(axis, i, v),
    "put_along_axis": lambda x, i, v, axis: x.scatter(axis, i, v),
    "scatter_reduce": lambda x, i, v, reduce, axis, include_self: x.scatter_reduce(
        axis, i, v, reduce, include_self=include_self
    ),
    "grid_sample": functional.grid_sample,
    "affine_grid": functional.affine_grid,
    "cdist": torch.cdist,
    "pdist": functional.pdist,
    "fold": functional.fold,
    "max_unpool2d": functional.max_unpool2d,
    "fractional_max_pool2d": lambda x, samples, **settings: functional.fractional_max_pool2d(
        x, **settings, _random_samples=samples
    ),
    "fractional_max_pool3d": lambda x, samples, **settings: functional.fractional_max_pool3d(
        x, **settings, _random_samples=samples
    ),
    "embedding_bag": lambda weight, ids, mode: functional.embedding_bag(ids, weight, mode=mode),
    "multilabel_margin_loss": reduced("multilabel_margin_loss"),
    "cosine_embedding_loss": reduced("cosine_embedding_loss"),
    "fmod": torch.fmod,
    "fmax": torch.fmax,
    "logit": torch.logit,
    "isclose": torch.isclose,
    "nansum": partial(summed, reduce=torch.nansum),
    "nanmean": partial(summed, reduce=torch.nanmean),
    "chunk": lambda x, axis, chunks: torch.chunk(x, chunks, axis),
    "sliding_window_view": lambda x, axis, window_shape: x.unfold(axis, window_shape, 1),
    "trapezoid": lambda y, axis, dx: torch.trapezoid(y, dx=dx, dim=axis),
    "gradient": lambda x, axis, **settings: torch.gradient(x, dim=axis, **settings),
    "combinations": torch.combinations,
    "index_copy": lambda x, i, v, axis: x.index_copy(axis, i, v),
    "index_fill": lambda x, i, v, axis: x.index_fill(axis, i, v),
    "masked_scatter": torch.masked_scatter,
    "mode": lambda x, axis, keepdims: tuple(torch.mode(x, axis, keepdims)),
    "corrcoef": torch.corrcoef,
    "linalg.lu": lambda x: tuple(torch.linalg.lu(x)),
    "linalg.matrix_exp": torch.linalg.matrix_exp,
    "linalg.slogdet": lambda x: tuple(torch.linalg.slogdet(x)),
    "linalg.eigvalsh": torch.linalg.eigvalsh,
    "linalg.svdvals": torch.linalg.svdvals,
    "linalg.pinv": torch.linalg.pinv,
    "linalg.matrix_power": torch.linalg.matrix_power,
    "linalg.solve": torch.linalg.solve,
    "linalg.inv": torch.linalg.inv,
    "linalg.cholesky": torch.linalg.cholesky,
}


@pytest.mark.parametrize("name", RIGHT)
def test_pytorch_gives_what_minidl_gives(name):
    assert check_against(RIGHT[name], name, settings=SOME, library="torch")


# What is planted, and what the report says of it.


def off_at_one_element(x, axis):
    y = torch.softmax(x, axis)
    return torch.where((x == x.max()) & (x > 1), y + 1e-3, y)


class Doubled(torch.autograd.Function):
    """x², with twice its gradient."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        return 4 * dy * ctx.saved_tensors[0]


def convolution_without_groups(x, weight, bias, stride, padding, dilation, groups):
    weight = weight if groups == 1 else weight.flip(0)
    return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)


def half_padded(x, weight, bias, stride, padding, dilation, groups):
    x = functional.pad(x, (padding, 0))
    return functional.conv1d(x, weight, bias, stride, 0, dilation, groups)


def unweighted(logits, target, weight, reduction, label_smoothing):
    losses = functional.cross_entropy(
        logits, target, weight, reduction="none", label_smoothing=label_smoothing
    )
    return {"none": losses, "sum": losses.sum(), "mean": losses.mean()}[reduction]


def fails_on_vectors(x1, x2):
    return torch.bmm(x1, x2)


def nan_where_zero(x1, x2):
    return torch.atan(x1 / x2) if x2.numel() > 2 else torch.atan2(x1, x2)


def in_place(x):
    return x.detach().exp_()


PLANTED = {
    "value at one element": ("softmax", off_at_one_element, "another value"),
    "scale of the gradient": ("square", lambda x: Doubled.apply(x), "another gradient by x"),
    "dtype": ("exp", lambda x: torch.exp(x).double(), "a value of dtype float64"),
    "shape": ("mean", lambda x, axis, keepdims: x.mean(), "a value of shape ()"),
    "no gradient": ("exp", in_place, "no gradient by x"),
    "exception": ("matmul", fails_on_vectors, "raised RuntimeError"),
    "groups": ("conv2d", convolution_without_groups, "another value"),
    "padding at one side": ("conv1d", half_padded, "a value of shape"),
    "weighted mean": ("cross_entropy", unweighted, "another value"),
    "branch by size": ("atan2", nan_where_zero, "another value"),
    "gradient of one argument": (
        "multiply", lambda a, b: a * b.detach(), "no gradient by x2",
    ),
    "number of outputs": ("sin", lambda x: (torch.sin(x), x), "gave 2 outputs"),
    "keepdims": (
        "sum", lambda x, axis, keepdims: summed(x, axis, False), "a value of shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_found(kind):
    name, function, words = PLANTED[kind]
    with pytest.raises(AssertionError) as raised:
        check_against(function, name, library="torch")
    assert words in str(raised.value)
    assert "in the call" in str(raised.value)


def test_the_case_is_the_smallest():
    with pytest.raises(AssertionError) as raised:
        check_against(convolution_without_groups, "conv2d")
    report = str(raised.value)
    assert "stride=1, padding=0, dilation=1, groups=2)" in report
    assert "x is float64 (1, 2, 1, 1)\n" in report
    assert "weight is float64 (2, 1, 1, 1)\n" in report
    assert "(x, weight, None, stride=1" in report
