"""The operations, under the names and arguments of the Python array API standard.

Elementary operations are in files of their own; those of neural networks in `nn`, losses in
`losses`, linear algebra in `linear_algebra`.  A new operation is added here, to the imports and to
`__all__`, and to the same two lists of `minidl/__init__.py`.

Here the engine is handed the namespace in which bodies compute on Tensors, and Tensor its
operators: the one place where a lower layer is given something from a higher one.
"""

from minidl.autograd import namespace as _autograd_namespace
from minidl.autograd.pytorch_names import explain_missing_methods as _explain_missing_methods
from minidl.autograd.tensor import Tensor as _Tensor
from minidl.ops import array_object, devices, namespace, operators, random
from minidl.ops.arithmetic import (
    abs,
    add,
    divide,
    floor_divide,
    fmod,
    lerp,
    multiply,
    negative,
    positive,
    pow,
    reciprocal,
    remainder,
    sqrt,
    square,
    subtract,
    xlogy,
)
from minidl.ops.arrangement import (
    broadcast_arrays,
    cartesian_prod,
    combinations,
    meshgrid,
    moveaxis,
    repeat,
    roll,
    rot90,
    tile,
    unstack,
)
from minidl.ops.bitwise import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
)
from minidl.ops.calculus import cumulative_trapezoid, gradient, trapezoid
from minidl.ops.comparison import (
    allclose,
    array_equal,
    equal,
    greater,
    greater_equal,
    isclose,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
)
from minidl.ops.complex_numbers import (
    angle,
    complex,
    conj,
    imag,
    polar,
    real,
    view_as_complex,
    view_as_real,
)
from minidl.ops.counting import bincount, histogram
from minidl.ops.creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from minidl.ops.cumulative import (
    cumulative_logsumexp,
    cumulative_max,
    cumulative_min,
    cumulative_prod,
    cumulative_sum,
    diff,
)
from minidl.ops.dtype_functions import FloatInfo, IntegerInfo, can_cast, finfo, iinfo, isdtype
from minidl.ops.elementwise import (
    ceil,
    clip,
    copysign,
    floor,
    fmax,
    fmin,
    maximum,
    minimum,
    nan_to_num,
    nextafter,
    round,
    sign,
    signbit,
    trunc,
    where,
)
from minidl.ops.exponential import exp, expm1, log, log1p, log2, log10, logaddexp
from minidl.ops.indexing import take, take_along_axis
from minidl.ops.inspection import __array_namespace_info__
from minidl.ops.linear_algebra.einsum import einsum
from minidl.ops.linear_algebra.matrix import (
    block_diag,
    diag_embed,
    diagonal,
    trace,
    tril,
    tril_indices,
    triu,
    triu_indices,
    vander,
)
from minidl.ops.linear_algebra.products import cross, kron, matmul, outer, tensordot, vecdot
from minidl.ops.losses.classification import cross_entropy, nll_loss
from minidl.ops.losses.ctc import ctc_loss
from minidl.ops.losses.margin import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from minidl.ops.losses.probability import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    kl_div,
)
from minidl.ops.losses.regression import (
    gaussian_nll_loss,
    huber_loss,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from minidl.ops.manipulation import (
    astype,
    broadcast_to,
    concat,
    copy,
    expand_dims,
    flatten,
    flip,
    matrix_transpose,
    permute_dims,
    reshape,
    squeeze,
    stack,
    to_device,
    unflatten,
)
from minidl.ops.nan_reduction import (
    nanmax,
    nanmean,
    nanmedian,
    nanmin,
    nanprod,
    nanstd,
    nansum,
    nanvar,
)
from minidl.ops.nn.activation import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    rrelu,
    selu,
    sigmoid,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from minidl.ops.nn.attention import scaled_dot_product_attention
from minidl.ops.nn.conv import conv2d, conv_transpose2d
from minidl.ops.nn.conv_nd import conv1d, conv3d, conv_transpose1d, conv_transpose3d
from minidl.ops.nn.distance import cdist, cosine_similarity, normalize, pairwise_distance, pdist
from minidl.ops.nn.dropout import alpha_dropout, dropout, feature_alpha_dropout, feature_dropout
from minidl.ops.nn.embedding import embedding, one_hot
from minidl.ops.nn.embedding_bag import embedding_bag
from minidl.ops.nn.fold import fold, unfold
from minidl.ops.nn.fractional_pool import fractional_max_pool2d, fractional_max_pool3d
from minidl.ops.nn.grid_sample import affine_grid, grid_sample
from minidl.ops.nn.linear import bilinear, linear
from minidl.ops.nn.lp_pool import lp_pool1d, lp_pool2d, lp_pool3d
from minidl.ops.nn.norm import (
    batch_norm,
    batch_norm_inference,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
)
from minidl.ops.nn.padding import pad
from minidl.ops.nn.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from minidl.ops.nn.pool_nd import (
    adaptive_avg_pool1d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool3d,
    max_pool1d,
    max_pool3d,
)
from minidl.ops.nn.recurrent import gru, gru_cell, lstm, lstm_cell, rnn, rnn_cell
from minidl.ops.nn.resize import interpolate
from minidl.ops.nn.rotary import rotary_embedding
from minidl.ops.nn.shuffle import channel_shuffle, pixel_shuffle, pixel_unshuffle
from minidl.ops.nn.softmax import gumbel_softmax, log_softmax, softmax, softmin
from minidl.ops.nn.unpool import max_unpool1d, max_unpool2d, max_unpool3d
from minidl.ops.random import uniform_like
from minidl.ops.reduction import (
    all,
    any,
    argmax,
    argmin,
    logsumexp,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from minidl.ops.scatter import (
    index_copy,
    index_fill,
    masked_scatter,
    put_along_axis,
    scatter_add,
    scatter_reduce,
)
from minidl.ops.searching import argwhere, count_nonzero, nonzero, searchsorted
from minidl.ops.segments import segment_max, segment_mean, segment_min, segment_prod, segment_sum
from minidl.ops.sets import (
    UniqueAll,
    UniqueConsecutive,
    UniqueCounts,
    UniqueInverse,
    isin,
    unique_all,
    unique_consecutive,
    unique_counts,
    unique_inverse,
    unique_values,
)
from minidl.ops.sorting import argsort, kthvalue, sort, topk
from minidl.ops.special import digamma, erf, erfc, erfinv, lgamma, logit, polygamma, sinc
from minidl.ops.splitting import chunk, sliding_window_view, split
from minidl.ops.statistics import corrcoef, cov, median, mode, nanquantile, quantile
from minidl.ops.trigonometry import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    hypot,
    sin,
    sinh,
    tan,
    tanh,
)

# fmt: off
__all__ = [
    "FloatInfo", "IntegerInfo", "UniqueAll", "UniqueConsecutive", "UniqueCounts", "UniqueInverse",
    "__array_namespace_info__", "abs", "acos", "acosh", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "add", "affine_grid", "all", "allclose", "alpha_dropout", "angle", "any",
    "arange", "argmax", "argmin", "argsort", "argwhere", "array_equal", "asarray", "asin", "asinh",
    "astype", "atan", "atan2", "atanh", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm",
    "batch_norm_inference", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "bincount", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "block_diag", "broadcast_arrays", "broadcast_to",
    "can_cast", "cartesian_prod", "cdist", "ceil", "celu", "channel_shuffle", "chunk", "clip",
    "combinations", "complex", "concat", "conj", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "copy", "copysign", "corrcoef", "cos", "cosh",
    "cosine_embedding_loss", "cosine_similarity", "count_nonzero", "cov", "cross", "cross_entropy",
    "ctc_loss", "cumulative_logsumexp", "cumulative_max", "cumulative_min", "cumulative_prod",
    "cumulative_sum", "cumulative_trapezoid", "diag_embed", "diagonal", "diff", "digamma", "divide",
    "dropout", "einsum", "elu", "embedding", "embedding_bag", "empty", "empty_like", "equal", "erf",
    "erfc", "erfinv", "exp", "expand_dims", "expm1", "eye", "feature_alpha_dropout",
    "feature_dropout", "finfo", "flatten", "flip", "floor", "floor_divide", "fmax", "fmin", "fmod",
    "fold", "fractional_max_pool2d", "fractional_max_pool3d", "from_dlpack", "full", "full_like",
    "gaussian_nll_loss", "gelu", "glu", "gradient", "greater", "greater_equal", "grid_sample",
    "group_norm", "gru", "gru_cell", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "hinge_embedding_loss", "histogram", "huber_loss", "hypot", "iinfo", "imag",
    "index_copy", "index_fill", "instance_norm", "interpolate", "isclose", "isdtype", "isfinite",
    "isin", "isinf", "isnan", "kl_div", "kron", "kthvalue", "l1_loss", "layer_norm", "leaky_relu",
    "lerp", "less", "less_equal", "lgamma", "linear", "linspace", "local_response_norm", "log",
    "log1p", "log2", "log10", "log_softmax", "logaddexp", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logit", "logsigmoid", "logsumexp", "lp_pool1d", "lp_pool2d",
    "lp_pool3d", "lstm", "lstm_cell", "margin_ranking_loss", "masked_scatter", "matmul",
    "matrix_transpose", "max", "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d",
    "max_unpool2d", "max_unpool3d", "maximum", "mean", "median", "meshgrid", "min", "minimum",
    "mish", "mode", "moveaxis", "mse_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "multiply", "nan_to_num", "nanmax", "nanmean", "nanmedian",
    "nanmin", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "negative", "nextafter",
    "nll_loss", "nonzero", "normalize", "not_equal", "one_hot", "ones", "ones_like", "outer", "pad",
    "pairwise_distance", "pdist", "permute_dims", "pixel_shuffle", "pixel_unshuffle",
    "poisson_nll_loss", "polar", "polygamma", "positive", "pow", "prelu", "prod", "put_along_axis",
    "quantile", "real", "reciprocal", "relu", "relu6", "remainder", "repeat", "reshape", "rms_norm",
    "rnn", "rnn_cell", "roll", "rot90", "rotary_embedding", "round", "rrelu",
    "scaled_dot_product_attention", "scatter_add", "scatter_reduce", "searchsorted", "segment_max",
    "segment_mean", "segment_min", "segment_prod", "segment_sum", "selu", "sigmoid", "sign",
    "signbit", "silu", "sin", "sinc", "sinh", "sliding_window_view", "smooth_l1_loss",
    "soft_margin_loss", "softmax", "softmin", "softplus", "softshrink", "softsign", "sort", "split",
    "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "take", "take_along_axis",
    "tan", "tanh", "tanhshrink", "tensor", "tensordot", "threshold", "tile", "to_device", "topk",
    "trace", "trapezoid", "tril", "tril_indices", "triplet_margin_loss",
    "triplet_margin_with_distance_loss", "triu", "triu_indices", "trunc", "unflatten", "unfold",
    "uniform_like", "unique_all", "unique_consecutive", "unique_counts", "unique_inverse",
    "unique_values", "unstack", "vander", "var", "vecdot", "view_as_complex", "view_as_real",
    "where", "xlogy", "zeros", "zeros_like",
]
# fmt: on

namespace.fill({name: globals()[name] for name in __all__})
_autograd_namespace.differentiable = namespace.differentiable
operators.equip(_Tensor)
array_object.equip(_Tensor)
devices.equip(_Tensor)
_explain_missing_methods(_Tensor, operators.METHOD_NAMES)


def __dir__() -> list[str]:
    return __all__
