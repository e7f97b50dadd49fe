"""minidl: a deep-learning engine to read, to test against, and to train small models with."""

import importlib as _importlib
import types as _types
import typing as _typing
from math import e, inf, nan, pi

from minidl import dtypes, errors, nn, ops, optim
from minidl.autograd.anomaly import detect_anomaly
from minidl.autograd.autocast import autocast
from minidl.autograd.batching import vmap
from minidl.autograd.checkpoint import checkpoint
from minidl.autograd.functional import grad, gradients, value_and_grad, vjp
from minidl.autograd.jacobian import hessian, hvp, jacobian, jvp
from minidl.autograd.mode import allow_winograd, enable_grad, higher_order, kernels, no_grad
from minidl.autograd.primitive import composite, primitive
from minidl.autograd.pytorch_names import missing_from as _missing_from
from minidl.autograd.tensor import Tensor
from minidl.backends.device import device
from minidl.backends.registry import get_default_device, set_default_device
from minidl.backends.rows import RowGradient
from minidl.backends.threads import get_num_threads, set_num_threads
from minidl.dtypes import bool_ as bool
from minidl.dtypes import (
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    result_type,
    uint8,
    uint16,
    uint32,
    uint64,
)
from minidl.ops import random
from minidl.ops.random import manual_seed

# The operations: those of `__all__` in minidl/ops/__init__.py.
# fmt: off
# isort: off
from minidl.ops import (
    FloatInfo, IntegerInfo, UniqueAll, UniqueConsecutive, UniqueCounts, UniqueInverse,
    __array_namespace_info__, abs, acos, acosh, adaptive_avg_pool1d, adaptive_avg_pool2d,
    adaptive_avg_pool3d, adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d, add,
    affine_grid, all, allclose, alpha_dropout, angle, any, arange, argmax, argmin, argsort,
    argwhere, array_equal, asarray, asin, asinh, astype, atan, atan2, atanh, avg_pool1d, avg_pool2d,
    avg_pool3d, batch_norm, batch_norm_inference, bilinear, binary_cross_entropy,
    binary_cross_entropy_with_logits, bincount, bitwise_and, bitwise_invert, bitwise_left_shift,
    bitwise_or, bitwise_right_shift, bitwise_xor, block_diag, broadcast_arrays, broadcast_to,
    can_cast, cartesian_prod, cdist, ceil, celu, channel_shuffle, chunk, clip, combinations,
    complex, concat, conj, conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d,
    conv_transpose3d, copy, copysign, corrcoef, cos, cosh, cosine_embedding_loss, cosine_similarity,
    count_nonzero, cov, cross, cross_entropy, ctc_loss, cumulative_logsumexp, cumulative_max,
    cumulative_min, cumulative_prod, cumulative_sum, cumulative_trapezoid, diag_embed, diagonal,
    diff, digamma, divide, dropout, einsum, elu, embedding, embedding_bag, empty, empty_like, equal,
    erf, erfc, erfinv, exp, expand_dims, expm1, eye, feature_alpha_dropout, feature_dropout, finfo,
    flatten, flip, floor, floor_divide, fmax, fmin, fmod, fold, fractional_max_pool2d,
    fractional_max_pool3d, from_dlpack, full, full_like, gaussian_nll_loss, gelu, glu, gradient,
    greater, greater_equal, grid_sample, group_norm, gru, gru_cell, gumbel_softmax, hardshrink,
    hardsigmoid, hardswish, hardtanh, hinge_embedding_loss, histogram, huber_loss, hypot, iinfo,
    imag, index_copy, index_fill, instance_norm, interpolate, isclose, isdtype, isfinite, isin,
    isinf, isnan, kl_div, kron, kthvalue, l1_loss, layer_norm, leaky_relu, lerp, less, less_equal,
    lgamma, linear, linspace, local_response_norm, log, log1p, log2, log10, log_softmax, logaddexp,
    logical_and, logical_not, logical_or, logical_xor, logit, logsigmoid, logsumexp, lp_pool1d,
    lp_pool2d, lp_pool3d, lstm, lstm_cell, margin_ranking_loss, masked_scatter, matmul,
    matrix_transpose, max, max_pool1d, max_pool2d, max_pool3d, max_unpool1d, max_unpool2d,
    max_unpool3d, maximum, mean, median, meshgrid, min, minimum, mish, mode, moveaxis, mse_loss,
    multi_margin_loss, multilabel_margin_loss, multilabel_soft_margin_loss, multiply, nan_to_num,
    nanmax, nanmean, nanmedian, nanmin, nanprod, nanquantile, nanstd, nansum, nanvar, negative,
    nextafter, nll_loss, nonzero, normalize, not_equal, one_hot, ones, ones_like, outer, pad,
    pairwise_distance, pdist, permute_dims, pixel_shuffle, pixel_unshuffle, poisson_nll_loss, polar,
    polygamma, positive, pow, prelu, prod, put_along_axis, quantile, real, reciprocal, relu, relu6,
    remainder, repeat, reshape, rms_norm, rnn, rnn_cell, roll, rot90, rotary_embedding, round,
    rrelu, scaled_dot_product_attention, scatter_add, scatter_reduce, searchsorted, segment_max,
    segment_mean, segment_min, segment_prod, segment_sum, selu, sigmoid, sign, signbit, silu, sin,
    sinc, sinh, sliding_window_view, smooth_l1_loss, soft_margin_loss, softmax, softmin, softplus,
    softshrink, softsign, sort, split, sqrt, square, squeeze, stack, std, subtract, sum, take,
    take_along_axis, tan, tanh, tanhshrink, tensor, tensordot, threshold, tile, to_device, topk,
    trace, trapezoid, tril, tril_indices, triplet_margin_loss, triplet_margin_with_distance_loss,
    triu, triu_indices, trunc, unflatten, unfold, uniform_like, unique_all, unique_consecutive,
    unique_counts, unique_inverse, unique_values, unstack, vander, var, vecdot, view_as_complex,
    view_as_real, where, xlogy, zeros, zeros_like,
)
# isort: on
# fmt: on

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

newaxis = None

# fmt: off
__all__ = [
    "FloatInfo", "IntegerInfo", "RowGradient", "Tensor", "UniqueAll", "UniqueConsecutive",
    "UniqueCounts", "UniqueInverse", "__array_api_version__", "__array_namespace_info__",
    "__version__", "abs", "acos", "acosh", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "add", "affine_grid", "all", "allclose", "allow_winograd", "alpha_dropout", "amp", "angle",
    "any", "arange", "argmax", "argmin", "argsort", "argwhere", "array_equal", "asarray", "asin",
    "asinh", "astype", "atan", "atan2", "atanh", "autocast", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "batch_norm", "batch_norm_inference", "bilinear", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "bincount", "bitwise_and", "bitwise_invert",
    "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "block_diag", "bool",
    "broadcast_arrays", "broadcast_to", "can_cast", "cartesian_prod", "cdist", "ceil", "celu",
    "channel_shuffle", "checkpoint", "chunk", "clip", "combinations", "complex", "complex64",
    "complex128", "composite", "concat", "conj", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "copy", "copysign", "corrcoef", "cos", "cosh",
    "cosine_embedding_loss", "cosine_similarity", "count_nonzero", "cov", "cross", "cross_entropy",
    "ctc_loss", "cuda", "cumulative_logsumexp", "cumulative_max", "cumulative_min",
    "cumulative_prod", "cumulative_sum", "cumulative_trapezoid", "data", "detect_anomaly", "device",
    "diag_embed", "diagonal", "diff", "digamma", "divide", "dropout", "dtypes", "e", "einsum",
    "elu", "embedding", "embedding_bag", "empty", "empty_like", "enable_grad", "equal", "erf",
    "erfc", "erfinv", "errors", "exp", "expand_dims", "expm1", "eye", "feature_alpha_dropout",
    "feature_dropout", "fft", "finfo", "flatten", "flip", "float16", "float32", "float64", "floor",
    "floor_divide", "fmax", "fmin", "fmod", "fold", "fractional_max_pool2d",
    "fractional_max_pool3d", "from_dlpack", "full", "full_like", "gaussian_nll_loss", "gelu",
    "get_default_device", "get_num_threads", "glu", "grad", "gradient", "gradients", "greater",
    "greater_equal", "grid_sample", "group_norm", "gru", "gru_cell", "gumbel_softmax", "hardshrink",
    "hardsigmoid", "hardswish", "hardtanh", "hessian", "higher_order", "hinge_embedding_loss",
    "histogram", "huber_loss", "hvp", "hypot", "iinfo", "imag", "index_copy", "index_fill", "inf",
    "instance_norm", "int8", "int16", "int32", "int64", "interpolate", "io", "isclose", "isdtype",
    "isfinite", "isin", "isinf", "isnan", "jacobian", "jvp", "keras", "kernels", "kl_div", "kron",
    "kthvalue", "l1_loss", "layer_norm", "leaky_relu", "lerp", "less", "less_equal", "lgamma",
    "linalg", "linear", "linspace", "local_response_norm", "log", "log1p", "log2", "log10",
    "log_softmax", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor", "logit",
    "logsigmoid", "logsumexp", "lp_pool1d", "lp_pool2d", "lp_pool3d", "lstm", "lstm_cell",
    "manual_seed", "margin_ranking_loss", "masked_scatter", "matmul", "matrix_transpose", "max",
    "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
    "maximum", "mean", "median", "meshgrid", "min", "minimum", "mish", "mode", "models", "moveaxis",
    "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss",
    "multiply", "nan", "nan_to_num", "nanmax", "nanmean", "nanmedian", "nanmin", "nanprod",
    "nanquantile", "nanstd", "nansum", "nanvar", "negative", "newaxis", "nextafter", "nll_loss",
    "nn", "no_grad", "nonzero", "normalize", "not_equal", "one_hot", "ones", "ones_like", "ops",
    "optim", "outer", "pad", "pairwise_distance", "pdist", "permute_dims", "pi", "pixel_shuffle",
    "pixel_unshuffle", "poisson_nll_loss", "polar", "polygamma", "positive", "pow", "prelu",
    "primitive", "prod", "put_along_axis", "quantile", "random", "real", "reciprocal", "recommend",
    "relu", "relu6", "remainder", "repeat", "reshape", "result_type", "rms_norm", "rnn", "rnn_cell",
    "roll", "rot90", "rotary_embedding", "round", "rrelu", "scaled_dot_product_attention",
    "scatter_add", "scatter_reduce", "searchsorted", "segment_max", "segment_mean", "segment_min",
    "segment_prod", "segment_sum", "selu", "set_default_device", "set_num_threads", "sigmoid",
    "sign", "signbit", "silu", "sin", "sinc", "sinh", "sliding_window_view", "smooth_l1_loss",
    "soft_margin_loss", "softmax", "softmin", "softplus", "softshrink", "softsign", "sort", "split",
    "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "take", "take_along_axis",
    "tan", "tanh", "tanhshrink", "tensor", "tensordot", "testing", "threshold", "tile", "to_device",
    "topk", "trace", "train", "trapezoid", "tril", "tril_indices", "triplet_margin_loss",
    "triplet_margin_with_distance_loss", "triu", "triu_indices", "trunc", "uint8", "uint16",
    "uint32", "uint64", "unflatten", "unfold", "uniform_like", "unique_all", "unique_consecutive",
    "unique_counts", "unique_inverse", "unique_values", "unstack", "value_and_grad", "vander",
    "var", "vecdot", "view_as_complex", "view_as_real", "vjp", "vmap", "where", "xlogy", "zeros",
    "zeros_like",
]
# fmt: on

if _typing.TYPE_CHECKING:
    from minidl import (
        amp,
        cuda,
        data,
        fft,
        io,
        keras,
        linalg,
        models,
        recommend,
        testing,
        train,
    )
else:  # packages that not every program needs are imported when they are first named (PEP 562)
    _WHEN_USED = (
        "amp",
        "cuda",
        "data",
        "fft",
        "io",
        "keras",
        "linalg",
        "models",
        "recommend",
        "testing",
        "train",
    )

    def __getattr__(name: str) -> _types.ModuleType:
        if name in _WHEN_USED:
            return _importlib.import_module(f"minidl.{name}")
        return _missing_from("minidl")(name)


def __dir__() -> list[str]:
    return __all__
