"""The operations for which `check_against` draws no cases, and why."""

_LISTS = "it takes several arrays, or numbers that have no name: cases have arrays by name"
_SIGNS = "what it gives is right up to signs: compare what is made of it, as Q·R, with x"
_RANDOM = "its numbers are random: compare what it does for one key yourself"
_COMPLEX = "it computes with complex numbers, and cases are of real ones"
_MADE = "it makes arrays, of no array"
_SETS = "how many numbers it gives depends on them"

EXCLUDED: dict[str, str] = {
    **dict.fromkeys(
        (
            *("concat", "stack", "einsum", "broadcast_arrays", "meshgrid", "tile", "repeat"),
            *("moveaxis", "unstack", "tensordot", "searchsorted", "block_diag", "cartesian_prod"),
        ),
        _LISTS,
    ),
    **dict.fromkeys(("svd", "eigh", "qr", "lstsq"), _SIGNS),
    **dict.fromkeys(
        (
            *("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "rrelu"),
            *("gumbel_softmax", "uniform_like"),
        ),
        _RANDOM,
    ),
    **dict.fromkeys(
        (
            *("conj", "real", "imag", "fft", "ifft", "rfft", "irfft", "fftn", "ifftn", "rfftn"),
            *("irfftn", "hfft", "ihfft", "fftshift", "ifftshift", "stft", "istft", "complex"),
            *("polar", "angle", "view_as_real", "view_as_complex", "eig", "eigvals"),
        ),
        _COMPLEX,
    ),
    **dict.fromkeys(
        (
            *("arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full"),
            *("full_like", "linspace", "ones", "ones_like", "tensor", "zeros", "zeros_like"),
            *("fftfreq", "rfftfreq", "one_hot", "tril_indices", "triu_indices"),
        ),
        _MADE,
    ),
    **dict.fromkeys(
        (
            *("argwhere", "nonzero", "unique_all", "unique_counts", "unique_inverse"),
            *("unique_values", "unique_consecutive", "bincount", "histogram", "isin"),
        ),
        _SETS,
    ),
    **dict.fromkeys(
        ("astype", "to_device", "broadcast_to", "flatten", "unflatten"),
        "it computes nothing; reshape, of which cases are drawn, is its like",
    ),
    **dict.fromkeys(
        ("bitwise_invert", "bitwise_left_shift", "bitwise_right_shift"),
        "it is of integers alone",
    ),
    **dict.fromkeys(("allclose", "array_equal"), "it gives True or False, and no array"),
    "split": "chunk, of which cases are drawn, is its like",
    "batch_norm_inference": "batch_norm, of which cases are drawn, is its like",
    "lp_pool3d": "lp_pool2d, of which cases are drawn, is its like",
    "matrix_norm": "vector_norm, of which cases are drawn, is its like",
    "matrix_rank": "it is an integer that rounding decides",
    "nanquantile": "quantile, of which cases are drawn, is its like: cases have no NaN",
    "nextafter": "it is of the dtype alone, and cases are computed in float64",
    "vander": "pow, of which cases are drawn, is its like",
    "triplet_margin_with_distance_loss": "it takes a function; triplet_margin_loss has cases",
}
