"""The tables of autocast beside those that PyTorch publishes for CUDA, and those of its header."""

import re
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import linalg, nn
from minidl.autograd.autocast import FLOAT16, FLOAT32, FLOAT32_INSIDE, WIDEST

torch = pytest.importorskip("torch")

f16, f32 = np.dtype("float16"), np.dtype("float32")

# https://docs.pytorch.org/docs/2.13/amp.html, "CUDA Op-Specific Behavior".
PUBLISHED = {
    "float16": """__matmul__ addbmm addmm addmv addr baddbmm bmm multi_dot conv1d conv2d conv3d
        conv_transpose1d conv_transpose2d conv_transpose3d GRUCell linear LSTMCell matmul mm mv
        prelu RNNCell""",
    "float32": """__pow__ __rdiv__ __rpow__ __rtruediv__ acos asin binary_cross_entropy_with_logits
        cosh cosine_embedding_loss cdist cosine_similarity cross_entropy cumprod cumsum dist erfinv
        exp expm1 group_norm hinge_embedding_loss kl_div l1_loss layer_norm log log_softmax log10
        log1p log2 margin_ranking_loss mse_loss multilabel_margin_loss multi_margin_loss nll_loss
        norm normalize pdist poisson_nll_loss pow prod reciprocal rsqrt sinh smooth_l1_loss
        soft_margin_loss softmax softmin softplus sum renorm tan triplet_margin_loss""",
    "widest": """addcdiv addcmul atan2 bilinear cross dot grid_sample index_put scatter_add
        tensordot""",
}
# The macros of torch/include/ATen/autocast_mode.h, which has a few more than the documentation.
MACROS = {
    "float16": ["AT_FORALL_LOWER_PRECISION_FP"],
    "float32": ["AT_FORALL_FP32", "AT_FORALL_FP32_SET_OPT_DTYPE"],
    "widest": ["AT_FORALL_PROMOTE"],
}
OURS = {"float16": FLOAT16, "float32": FLOAT32, "widest": WIDEST}

# PyTorch's names for what has another one here; and what there is no operation for.
NAMES = {
    **{"__matmul__": "matmul", "mm": "matmul", "bmm": "matmul", "mv": "matmul"},
    "linalg_vecdot": "vecdot",
    "_scaled_dot_product_flash_attention": "scaled_dot_product_attention",
    **{"GRUCell": "gru_cell", "LSTMCell": "lstm_cell", "RNNCell": "rnn_cell"},
    **{"rnn_tanh_cell": "rnn_cell", "rnn_relu_cell": "rnn_cell"},
    **{"_thnn_fused_lstm_cell": "lstm", "_thnn_fused_gru_cell": "gru"},
    **{"__pow__": "pow", "__rpow__": "pow", "__rdiv__": "reciprocal", "__rtruediv__": "reciprocal"},
    **{"cumsum": "cumulative_sum", "cumprod": "cumulative_prod", "norm": "vector_norm"},
    **{"linalg_vector_norm": "vector_norm", "linalg_matrix_norm": "matrix_norm"},
    **{"nll_loss2d": "nll_loss", "native_layer_norm": "layer_norm", "grid_sampler": "grid_sample"},
    **{"frobenius_norm": "matrix_norm", "nuclear_norm": "matrix_norm", "index_put": "index_copy"},
}  # fmt: skip
ABSENT = {
    *("addbmm", "addmm", "addmv", "addr", "baddbmm", "multi_dot", "chain_matmul"),
    *("linalg_multi_dot", "_convolution", "convolution", "conv_tbc", "dist", "rsqrt", "renorm"),
    *("addcdiv", "addcmul", "dot", "vdot"),
}
# What PyTorch makes of operations in its tables, so that results are the same; or refuses.
COMPOSED = {
    "float16": {"lstm", "gru", "rnn"},
    "float32": {
        *("cross_entropy", "normalize", "gumbel_softmax", "pairwise_distance", "softmin"),
        *("local_response_norm", "gaussian_nll_loss", "multilabel_soft_margin_loss"),
        *("triplet_margin_with_distance_loss", "interpolate", "rms_norm"),
        *("binary_cross_entropy", "ctc_loss"),  # refused
    },
    "widest": {"scatter_reduce"},  # refused, unless all are alike
}


def in_header(kind):
    path = Path(torch.__file__).parent / "include/ATen/autocast_mode.h"
    text = path.read_text(encoding="utf-8")
    found = set()
    for macro in MACROS[kind]:
        body = re.search(rf"#define {macro}\(_\)((?:.*\\\n)*.*)", text)[1]
        found |= set(re.findall(r"_\((\w+)", body))
    return found


def translated(names):
    """Names of minidl for those of PyTorch that there is an operation for."""
    for name in names:
        if name in ABSENT:
            assert not hasattr(minidl, name), name
            continue
        yield "interpolate" if "upsample" in name else NAMES.get(name, name)


@pytest.mark.parametrize("kind", OURS)
def test_the_tables_are_those_of_pytorch(kind):
    theirs = set(translated(PUBLISHED[kind].split())) | set(translated(in_header(kind)))
    assert theirs <= OURS[kind]
    assert OURS[kind] - theirs <= COMPOSED[kind]


def test_the_tables_name_operations_each_once():
    tables = FLOAT16, FLOAT32, FLOAT32_INSIDE, WIDEST
    for name in set().union(*tables):
        operation = getattr(minidl, name, None) or getattr(linalg, name)
        assert hasattr(operation, "body") or name == "einsum", name
    assert len(set().union(*tables)) == sum(map(len, tables))


UNLISTED = {
    "mean": lambda x: x.mean(),
    "var": lambda x: x.var(correction=0),
    "std": lambda x: x.std(correction=0),
    "sigmoid": lambda x: x.sigmoid(),
    "tanh": lambda x: x.tanh(),
    "sqrt": lambda x: x.sqrt(),
    "atanh": lambda x: x.atanh(),
    "lgamma": lambda x: x.lgamma(),
    "max": lambda x: x.max(),
    "halves": lambda x: x / 2,
}


@pytest.mark.parametrize("name", UNLISTED)
def test_what_is_not_listed_runs_in_the_dtype_of_its_input(name):
    values = np.random.default_rng(0).uniform(0.1, 0.9, (3, 4)).astype("float16")
    with minidl.autocast("cpu"):
        found = UNLISTED[name](minidl.tensor(values))
    assert found.dtype == f16
    expected = UNLISTED[name](torch.tensor(values))
    assert expected.dtype == torch.float16
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=3e-3)


def test_numbers_over_tensors_are_reciprocals():
    x = minidl.tensor([2e-5, 0.5], dtype="float16")
    with minidl.autocast("cpu"):
        assert (1 / x).dtype == (2**x).dtype == (x**2).dtype == f32
        assert np.isfinite((3 / x).numpy()).all()  # 150,000 is beyond float16
        assert (x / x).dtype == (x / 2).dtype == f16


def test_norms_of_linear_algebra_are_in_float32():
    x = minidl.full((4, 4), 30000.0, dtype="float16")
    with minidl.autocast("cpu"):
        assert linalg.vector_norm(x).item() == linalg.matrix_norm(x).item() == 120000
        assert minidl.einsum("ij,jk->ik", x, minidl.ones((4, 2))).dtype == f16


BATCH_NORMS = [
    nn.BatchNorm1d(3),
    nn.BatchNorm1d(3, affine=False),
    nn.InstanceNorm1d(3, affine=True),
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layer", BATCH_NORMS, ids=str)
def test_batch_norms_give_the_dtype_of_their_input(layer, training):
    """On CUDA they are not in the tables; PyTorch's take float16 with weights in float32."""
    layer.train(training)
    values = np.random.default_rng(1).normal(200, 60, (5, 3, 4))
    x = minidl.tensor(values, dtype="float16", requires_grad=True)
    with minidl.autocast("cpu"):
        y = layer(x)
        assert layer(minidl.tensor(values, dtype="float32")).dtype == f32
    assert y.dtype == f16
    (y * y).sum(dtype="float32").backward()
    assert x.grad.dtype == f16
    wide = minidl.tensor(x.numpy().astype("float32"))
    np.testing.assert_array_equal(y.numpy(), layer(wide).numpy().astype("float16"))
    for state in (*layer.parameters(), *layer.buffers()):
        assert state.dtype in (f32, np.dtype("int64"))


def test_the_moments_of_a_batch_stay_float32():
    x = minidl.tensor(np.full((4, 2), 1000.0) + np.arange(4)[:, None], dtype="float16")
    with minidl.autocast("cpu"):
        y, mean, var = minidl.batch_norm(x, minidl.ones(2), minidl.zeros(2))
    assert (y.dtype, mean.dtype, var.dtype) == (f16, f32, f32)
    assert mean.tolist() == [1001.5, 1001.5]
