"""Mathematical functions refuse what they are not defined for, by their own names."""

import math

import minidl
from minidl import linalg
from minidl.ops.namespace import differentiable
from tests.bad_input import call, every_spoilt, real, whole
from tests.ops.nn import fused

MATRIX = real(3, 3) + 3 * minidl.eye(3)
POSITIVE = MATRIX @ MATRIX.mT

OF_ONE = (
    "abs acos acosh asin asinh atan atanh ceil cos cosh erf exp expm1 floor gelu hardsigmoid "
    "hardswish isfinite isinf isnan log log10 log1p log2 logical_not logsigmoid mish negative "
    "relu relu6 round selu sigmoid sign silu sin sinh softsign sqrt square tan tanh tanhshrink"
)
OF_TWO = (
    "add atan2 divide equal floor_divide fmax fmin fmod greater greater_equal hypot less "
    "less_equal logaddexp "
    "logical_and logical_or logical_xor maximum minimum multiply not_equal pow remainder subtract "
    "xdivy xlogy xmuly"
)
ELEMENTWISE = [
    *[call(getattr(minidl, name), real(3, 4)) for name in OF_ONE.split()],
    *[call(getattr(differentiable, name), real(3, 4), real(4)) for name in OF_TWO.split()],
    *[call(getattr(differentiable, name), real(3, 4), 2.0) for name in OF_TWO.split()],
    call(minidl.where, real(3, 4) > 0.5, real(3, 4), real(4)),
    call(minidl.where, real(3, 4) > 0.5, real(3, 4), 0.5),
    call(minidl.clip, real(3, 4), 0.2, 0.6),
    call(
        minidl.clip, real(3, 4), min=real(4), max=real(3, 4) + 1, allowed=("min: None", "max: None")
    ),
    call(minidl.floor_divide, whole(3, 4), whole(4) + 1),
    call(minidl.pow, whole(3, 4), whole(4)),
    call(minidl.erfc, real(3)),
    call(minidl.erfinv, real(3)),
    call(minidl.lgamma, real(3)),
    call(minidl.digamma, real(3)),
    call(minidl.polygamma, real(3), 1),
    call(minidl.sinc, real(3)),
    call(minidl.lerp, real(3), real(3), real(3)),
    call(minidl.nan_to_num, real(3), 1.0, posinf=2.0, neginf=3.0),
    call(minidl.logit, real(3), 0.1),
    call(minidl.isclose, real(3), real(3), rtol=0.1, atol=0.1, equal_nan=True),
    call(minidl.allclose, real(3), real(3), rtol=0.1, atol=0.1, equal_nan=True, names=("isclose",)),
    call(minidl.array_equal, real(3), real(3), equal_nan=True, names=("asarray",)),
    call(minidl.complex, real(3), real(3)),
    call(minidl.polar, real(3), real(3), names=("complex", "cos", "multiply")),
    call(minidl.angle, real(3), names=("imag", "real")),
    call(minidl.view_as_real, minidl.complex(real(3), real(3))),
    call(minidl.view_as_complex, real(3, 2), names=("complex",)),
]
ACTIVATIONS = [
    call(minidl.leaky_relu, real(3, 4), 0.1),
    call(minidl.elu, real(3, 4), alpha=2.0),
    call(minidl.celu, real(3, 4), alpha=2.0),
    call(minidl.softplus, real(3, 4), beta=2.0, threshold=30.0),
    call(minidl.gelu, real(3, 4), approximate="tanh"),
    call(minidl.softmax, real(3, 4), axis=1),
    call(minidl.log_softmax, real(3, 4), axis=-1),
    call(minidl.softmin, real(3, 4), axis=0),
    call(minidl.glu, real(3, 4), axis=1),
    call(minidl.dropout, real(3, 4), 0.5, key=(0, 0)),
    call(minidl.hardtanh, real(3, 4), -0.5, 0.5),
    call(minidl.hardshrink, real(3, 4), 0.3),
    call(minidl.softshrink, real(3, 4), 0.3),
    call(minidl.threshold, real(3, 4), 0.3, 9.0),
    call(minidl.prelu, real(2, 3, 4), real(3)),
    call(minidl.prelu, real(2, 3, 4), real(1)),
    call(minidl.rrelu, real(3, 4), 0.1, 0.3),
    call(minidl.rrelu, real(3, 4), 0.1, 0.3, key=(0, 0)),
    call(minidl.gumbel_softmax, real(2, 3), 0.5, True, axis=0, key=(0, 0)),
    call(minidl.feature_alpha_dropout, real(2, 3, 4), 0.5, key=(0, 0)),
]
ATTENTION = [
    call(
        minidl.scaled_dot_product_attention,
        *(real(2, 4, 3, 8), real(2, 2, 5, 8), real(2, 2, 5, 6)),
        attn_mask=whole(3, 5) > 0,
        dropout_p=0.5,
        is_causal=True,
        scale=0.5,
        enable_gqa=True,
        dropout_key=(1, 2),
        allowed=("attn_mask: None",),
    ),
    call(
        minidl.scaled_dot_product_attention,
        *(real(3, 8), real(5, 8), real(5, 8), real(3, 5)),
        allowed=("3: None",),
    ),
    call(minidl.rotary_embedding, real(2, 3, 8), real(3, 4), real(3, 4), interleaved=True),
]
PRODUCTS = [
    call(minidl.matmul, real(2, 3), real(3, 4)),
    call(minidl.matmul, real(5, 2, 3), real(3)),
    call(minidl.linear, real(2, 3), real(4, 3)),
    call(minidl.linear, real(2, 3), real(4, 3), real(4), allowed=("2: None",)),
    call(
        fused.linear_relu,
        real(2, 3),
        real(4, 3),
        real(4),
        names=("linear", "fused"),
        allowed=("2: None",),
    ),
    call(minidl.bilinear, real(2, 3), real(2, 4), real(5, 3, 4), real(5), allowed=("3: None",)),
    call(minidl.vecdot, real(2, 3), real(2, 3), axis=-1),
    call(minidl.tensordot, real(2, 3, 4), real(3, 4, 2), axes=2),
    call(minidl.tensordot, real(2, 3), real(3, 2), axes=((0, 1), (1, 0))),
    call(linalg.cross, real(2, 3), real(2, 3), axis=-1),
    call(linalg.outer, real(2), real(3)),
    call(minidl.tril, real(3, 4), k=1),
    call(minidl.triu, real(3, 4), k=-1),
    call(linalg.diagonal, real(3, 4), offset=1),
    call(linalg.trace, real(3, 4), offset=1, dtype="float64"),
    call(minidl.einsum, "ij,jk->ik", real(2, 3), real(3, 4)),
    call(minidl.diag_embed, real(3), offset=1),
    call(minidl.kron, real(2, 2), real(3, 2)),
    call(minidl.vander, real(3), 2, increasing=True),
    call(minidl.block_diag, real(2, 2), real(3)),
    call(minidl.cov, real(3, 4), correction=0),
    call(
        minidl.cov,
        real(3, 4),
        fweights=whole(4) + 1,
        aweights=real(4),
        allowed=("fweights: None", "aweights: None"),
    ),
    call(minidl.corrcoef, real(3, 4), names=("cov",)),
]
DISTANCES = [
    call(minidl.normalize, real(3, 4), 2.0, axis=1, eps=1e-6),
    call(minidl.cosine_similarity, real(3, 4), real(3, 4), axis=1, eps=1e-6),
    call(minidl.pairwise_distance, real(3, 4), real(3, 4), 2.0, eps=1e-6, keepdims=True),
    call(linalg.vector_norm, real(3, 4), axis=1, keepdims=True, ord=3),
    call(linalg.vector_norm, real(3, 4), ord=math.inf),
    call(linalg.matrix_norm, real(2, 3, 4), keepdims=True, ord="nuc"),
    call(linalg.matrix_norm, real(3, 4), ord=2),
    call(minidl.cdist, real(3, 2), real(4, 2), 1.0),
    call(minidl.pdist, real(3, 2), 1.0),
]
NORMALISATIONS = [
    call(minidl.batch_norm, real(4, 3, 2), real(3), real(3), 1e-4, allowed=("1: None", "2: None")),
    call(
        minidl.batch_norm_inference,
        real(4, 3),
        real(3),
        real(3),
        real(3),
        real(3),
        1e-4,
        allowed=("3: None", "4: None"),
    ),
    call(
        minidl.layer_norm,
        real(2, 3, 4),
        real(3, 4),
        real(3, 4),
        normalized_shape=(3, 4),
        allowed=("1: None", "2: None"),
    ),
    call(minidl.layer_norm, real(2, 3), normalized_shape=3, eps=1e-4),
    call(
        minidl.group_norm,
        real(2, 4, 3),
        real(4),
        real(4),
        num_groups=2,
        eps=1e-4,
        allowed=("1: None", "2: None"),
    ),
    call(
        minidl.rms_norm,
        real(2, 3, 4),
        real(3, 4),
        normalized_shape=(3, 4),
        eps=1e-4,
        allowed=("1: None",),
    ),
    call(
        minidl.instance_norm,
        real(2, 3, 4),
        real(3),
        real(3),
        eps=1e-4,
        allowed=("1: None", "2: None"),
    ),
    call(minidl.local_response_norm, real(2, 3, 4), 2, alpha=0.1, beta=0.5, k=2.0),
]
DECOMPOSITIONS = [
    call(linalg.cholesky, POSITIVE, upper=True),
    call(linalg.eigh, POSITIVE),
    call(linalg.eigvalsh, POSITIVE),
    call(linalg.qr, real(4, 3), mode="complete"),
    call(linalg.svd, real(4, 3), full_matrices=False),
    call(linalg.svdvals, real(4, 3)),
    call(linalg.eig, MATRIX),
    call(linalg.eigvals, MATRIX),
    call(linalg.lu, real(4, 3)),
]
EQUATIONS = [
    call(linalg.adjugate, MATRIX),
    call(linalg.det, MATRIX),
    call(linalg.inv, MATRIX),
    call(linalg.slogdet, MATRIX),
    call(linalg.solve, MATRIX, real(3, 2)),
    call(linalg.solve, MATRIX, real(3)),
    call(linalg.solve_triangular, MATRIX, real(3, 2), upper=True, unitriangular=True),
    call(linalg.pinv, real(4, 3), rtol=1e-3),
    call(linalg.matrix_rank, real(4, 3), rtol=1e-3),
    call(linalg.pinv, real(2, 4, 3), rtol=real(2), allowed=("rtol: None",)),
    call(linalg.matrix_rank, real(2, 4, 3), rtol=real(2), allowed=("rtol: None",)),
    call(linalg.matrix_power, MATRIX, 3),
    call(linalg.matrix_exp, MATRIX),
    call(linalg.cond, real(4, 3), 2, allowed=("1: None",)),
    call(linalg.cond, MATRIX, "fro", names=("matrix_norm",)),
    call(linalg.cholesky_solve, real(3, 2), MATRIX, upper=True),
    call(linalg.lstsq, real(4, 3), real(4, 2), rtol=1e-3),
    call(linalg.lstsq, real(4, 3), real(4)),
    call(linalg.matrix_transpose, MATRIX),
]


@every_spoilt(ELEMENTWISE)
def test_bad_input_of_elementwise_functions(spoilt):
    spoilt.check()


@every_spoilt(ACTIVATIONS)
def test_bad_input_of_activations(spoilt):
    spoilt.check()


@every_spoilt([*PRODUCTS, *ATTENTION])
def test_bad_input_of_products_and_parts(spoilt):
    spoilt.check()


@every_spoilt(DISTANCES)
def test_bad_input_of_norms_and_distances(spoilt):
    spoilt.check()


@every_spoilt(NORMALISATIONS)
def test_bad_input_of_normalisations(spoilt):
    spoilt.check()


@every_spoilt(DECOMPOSITIONS)
def test_bad_input_of_decompositions(spoilt):
    spoilt.check()


@every_spoilt(EQUATIONS)
def test_bad_input_of_equations(spoilt):
    spoilt.check()
