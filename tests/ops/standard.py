"""The signatures of the Python array API standard, 2024.12, written out.

https://data-apis.org/array-api/2024.12/API_specification/
"""

# fmt: off
UNARY = (
    *("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_invert", "ceil", "conj"),
    *("cos", "cosh", "exp", "expm1", "floor", "imag", "isfinite", "isinf", "isnan", "log", "log10"),
    *("log1p", "log2", "logical_not", "matrix_transpose", "negative", "nonzero", "positive"),
    *("real", "reciprocal", "round", "sign", "signbit", "sin", "sinh", "sqrt", "square", "tan"),
    *("tanh", "trunc", "unique_all", "unique_counts", "unique_inverse", "unique_values"),
)
BINARY = (
    *("add", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift"),
    *("bitwise_xor", "copysign", "divide", "equal", "floor_divide", "greater", "greater_equal"),
    *("hypot", "less", "less_equal", "logaddexp", "logical_and", "logical_or", "logical_xor"),
    *("matmul", "maximum", "minimum", "multiply", "nextafter", "not_equal", "pow", "remainder"),
    *("subtract",),
)
LIKE = ("empty_like", "ones_like", "zeros_like")
FILLED = ("empty", "ones", "zeros")
REDUCTIONS = ("all", "any", "argmax", "argmin", "count_nonzero", "max", "mean", "min")
STANDARD = {
    **dict.fromkeys(UNARY, "x, /"),
    **dict.fromkeys(BINARY, "x1, x2, /"),
    **dict.fromkeys(LIKE, "x, /, *, dtype=None, device=None"),
    **dict.fromkeys(FILLED, "shape, *, dtype=None, device=None"),
    **dict.fromkeys(REDUCTIONS, "x, /, *, axis=None, keepdims=False"),
    **dict.fromkeys(("std", "var"), "x, /, *, axis=None, correction=0.0, keepdims=False"),
    **dict.fromkeys(("prod", "sum"), "x, /, *, axis=None, dtype=None, keepdims=False"),
    **dict.fromkeys(("cumulative_sum", "cumulative_prod"),
                    "x, /, *, axis=None, dtype=None, include_initial=False"),
    **dict.fromkeys(("argsort", "sort"), "x, /, *, axis=-1, descending=False, stable=True"),
    **dict.fromkeys(("tril", "triu"), "x, /, *, k=0"),
    **dict.fromkeys(("concat", "stack"), "arrays, /, *, axis=0"),
    **dict.fromkeys(("finfo", "iinfo"), "type, /"),
    "__array_namespace_info__": "",
    "arange": "start, /, stop=None, step=1, *, dtype=None, device=None",
    "asarray": "obj, /, *, dtype=None, device=None, copy=None",
    "astype": "x, dtype, /, *, copy=True, device=None",
    "broadcast_arrays": "*arrays",
    "broadcast_to": "x, /, shape",
    "can_cast": "from_, to, /",
    "clip": "x, /, min=None, max=None",
    "diff": "x, /, *, axis=-1, n=1, prepend=None, append=None",
    "expand_dims": "x, /, axis",
    "eye": "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None",
    "flip": "x, /, *, axis=None",
    "from_dlpack": "x, /, *, device=None, copy=None",
    "full": "shape, fill_value, *, dtype=None, device=None",
    "full_like": "x, /, fill_value, *, dtype=None, device=None",
    "isdtype": "dtype, kind",
    "linspace": "start, stop, /, num, *, dtype=None, device=None, endpoint=True",
    "meshgrid": "*arrays, indexing='xy'",
    "moveaxis": "x, source, destination, /",
    "permute_dims": "x, /, axes",
    "repeat": "x, repeats, /, *, axis=None",
    "reshape": "x, /, shape, *, copy=None",
    "result_type": "*arrays_and_dtypes",
    "roll": "x, /, shift, *, axis=None",
    "searchsorted": "x1, x2, /, *, side='left', sorter=None",
    "squeeze": "x, /, axis",
    "tensordot": "x1, x2, /, *, axes=2",
    "take": "x, indices, /, *, axis=None",
    "take_along_axis": "x, indices, /, *, axis=-1",
    "tile": "x, repetitions, /",
    "unstack": "x, /, *, axis=0",
    "vecdot": "x1, x2, /, *, axis=-1",
    "where": "condition, x1, x2, /",
}
LINALG = {
    **dict.fromkeys(("det", "eigh", "eigvalsh", "inv", "matrix_transpose", "slogdet", "svdvals"),
                    "x, /"),
    **dict.fromkeys(("matmul", "outer", "solve"), "x1, x2, /"),
    **dict.fromkeys(("matrix_rank", "pinv"), "x, /, *, rtol=None"),
    **dict.fromkeys(("cross", "vecdot"), "x1, x2, /, *, axis=-1"),
    "cholesky": "x, /, *, upper=False",
    "diagonal": "x, /, *, offset=0",
    "matrix_norm": "x, /, *, keepdims=False, ord='fro'",
    "matrix_power": "x, n, /",
    "qr": "x, /, *, mode='reduced'",
    "svd": "x, /, *, full_matrices=True",
    "tensordot": "x1, x2, /, *, axes=2",
    "trace": "x, /, *, offset=0, dtype=None",
    "vector_norm": "x, /, *, axis=None, keepdims=False, ord=2",
}
FFT = {
    **dict.fromkeys(("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"),
                    "x, /, *, n=None, axis=-1, norm='backward'"),
    **dict.fromkeys(("fftn", "ifftn", "rfftn", "irfftn"),
                    "x, /, *, s=None, axes=None, norm='backward'"),
    **dict.fromkeys(("fftfreq", "rfftfreq"), "n, /, *, d=1.0, dtype=None, device=None"),
    **dict.fromkeys(("fftshift", "ifftshift"), "x, /, *, axes=None"),
}
INFORMATION = {
    **dict.fromkeys(("capabilities", "default_device", "devices"), ""),
    "default_dtypes": "*, device=None",
    "dtypes": "*, device=None, kind=None",
}
METHODS = {
    **dict.fromkeys(("abs", "bool", "complex", "dlpack_device", "float", "index", "int", "invert",
                     "neg", "pos"), "self, /"),
    **dict.fromkeys(("add", "and", "eq", "floordiv", "ge", "gt", "le", "lshift", "lt", "matmul",
                     "mod", "mul", "ne", "or", "pow", "rshift", "sub", "truediv", "xor"),
                    "self, other, /"),
    "array_namespace": "self, /, *, api_version=None",
    "dlpack": "self, /, *, stream=None, max_version=None, dl_device=None, copy=None",
    "getitem": "self, key, /",
    "setitem": "self, key, value, /",
}
TO_DEVICE = "self, device, /, *, stream=None"
# fmt: on
