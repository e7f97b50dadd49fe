"""What a backend offers.  A backend is a namespace: a module, or anything with these attributes.

    name        what `device=` calls it: "cpu"
    Array       the type of its arrays; an operation runs on the backend of its arrays' type
    Scalar      the type that its operators may give for 0-d results (NumPy does); else Array
    functions   those of the tables below
    kernel      kernel(name) → a faster version of the operation `name`, or None

The arrays themselves have `shape`, `dtype`, `ndim`, `size`, `T` (of matrices), `base` (the array
whose memory they show, or None), `copy()`, `astype(dtype)`, `reshape(shape)`, the arithmetic,
comparison and matrix operators, and indexing; and they can be weakly referenced.  Everything else
that a body does to an array is a function of this table, and `minidl.ops` has one of the same name
and arguments, which does it to Tensors.

A kernel has the signature of its operation and returns `value, pullback` as a primitive's body
does; it may return NotImplemented for inputs it is not made for, and the body runs.  A pullback
returns new arrays, its argument, or views of its argument, never something it captured.
"""

FUNCTIONS = {
    # arithmetic, element by element
    "abs": "(x)  |x|",
    "sign": "(x)  −1, 0 or 1",
    "divide": "(x1, x2)  x₁ / x₂ without a warning where x₂ is 0",
    "floor_divide": "(x1, x2)  ⌊x₁ / x₂⌋",
    "remainder": "(x1, x2)  x₁ − x₂·⌊x₁ / x₂⌋",
    "pow": "(x1, x2)  x₁ to the power of x₂",
    "xdivy": "(x1, x2)  x₁ / x₂, and 0 where x₁ is 0, whatever x₂ is",
    "xmuly": "(x1, x2)  x₁ · x₂ with 0·∞ = 0",
    "xlogy": "(x1, x2)  x₁ · log x₂, and 0 where x₁ is 0, whatever x₂ is",
    "maximum": "(x1, x2)  the larger of two; NaN if either is",
    "minimum": "(x1, x2)  the smaller of two; NaN if either is",
    "floor": "(x)  the integer below",
    "ceil": "(x)  the integer above",
    "round": "(x)  the nearest integer, halves to even",
    "where": "(condition, x1, x2)  x₁ where the condition holds, else x₂",
    "trunc": "(x)  the integer next to x on the side of 0",
    "copysign": "(x1, x2)  |x₁| with the sign of x₂",
    "signbit": "(x)  whether x is negative, −0.0 included",
    "nextafter": "(x1, x2)  the number after x₁ on the way to x₂",
    "real": "(x)  the real part; may be a view",
    "imag": "(x)  the imaginary part of complex numbers; may be a view",
    "conj": "(x)  the complex conjugate, a copy",
    # functions
    "exp": "(x)  eˣ",
    "expm1": "(x)  eˣ − 1, exact near 0",
    "log": "(x)  the natural logarithm",
    "log1p": "(x)  log(1 + x), exact near 0",
    "sqrt": "(x)  √x",
    "sin": "(x)  radians",
    "cos": "(x)  radians",
    "tan": "(x)  radians",
    "asin": "(x)  in [−π/2, π/2]",
    "acos": "(x)  in [0, π]",
    "atan": "(x)  in (−π/2, π/2)",
    "sinh": "(x)  (eˣ − e⁻ˣ) / 2",
    "cosh": "(x)  (eˣ + e⁻ˣ) / 2",
    "tanh": "(x)  sinh x / cosh x",
    "erf": "(x)  2/√π ∫₀ˣ exp(−t²) dt",
    "erfc": "(x)  1 − erf x",
    "erfinv": "(x)  y, of which erf y = x",
    "lgamma": "(x)  log |Γ(x)|",
    "polygamma": "(x, n)  the derivative n of (log Γ)ʹ(x), n from 0 on",
    "log2": "(x)  log₂ x",
    "log10": "(x)  log₁₀ x",
    "logaddexp": "(x1, x2)  log(e^x₁ + e^x₂), without overflow",
    "asinh": "(x)  the inverse of sinh",
    "acosh": "(x)  the inverse of cosh, from 0 on",
    "atanh": "(x)  the inverse of tanh",
    "atan2": "(x1, x2)  the angle of the point (x₂, x₁), in [−π, π]",
    "hypot": "(x1, x2)  √(x₁² + x₂²), without overflow",
    # truth
    "isfinite": "(x)  neither NaN nor infinite",
    "isinf": "(x)  +∞ or −∞",
    "isnan": "(x)  not a number",
    "logical_and": "(x1, x2)  both",
    "logical_or": "(x1, x2)  at least one",
    "logical_xor": "(x1, x2)  exactly one",
    "logical_not": "(x)  not",
    # bits of integers; of bools, logic
    "bitwise_and": "(x1, x2)  1 in both",
    "bitwise_or": "(x1, x2)  1 in at least one",
    "bitwise_xor": "(x1, x2)  1 in exactly one",
    "bitwise_invert": "(x)  every bit turned round",
    "bitwise_left_shift": "(x1, x2)  x₁·2^x₂",
    "bitwise_right_shift": "(x1, x2)  ⌊x₁ / 2^x₂⌋",
    # reductions; axis: an int, a tuple of ints, or None for all axes
    "sum": "(x, *, axis, keepdims)  integers give int64",
    "max": "(x, *, axis, keepdims)  NaN if any is",
    "min": "(x, *, axis, keepdims)  NaN if any is",
    "all": "(x, *, axis, keepdims)  whether all are true",
    "any": "(x, *, axis, keepdims)  whether one is true",
    "argmax": "(x, *, axis, keepdims)  the index of the first largest; axis: an int or None",
    "argmin": "(x, *, axis, keepdims)  the index of the first smallest; axis: an int or None",
    "argsort": "(x, *, axis)  the indices that sort, stable, ascending",
    "prod": "(x, *, axis, keepdims)  integers give int64",
    "cumulative_sum": "(x, *, axis)  x₀ + … + xᵢ; integers give int64; axis: an int",
    "cumulative_prod": "(x, *, axis)  x₀ ⋯ xᵢ; integers give int64; axis: an int",
    # searching
    "argwhere": "(x)  the indices of what is not 0, a row for each: (n, ndim)",
    "searchsorted": "(x1, x2, *, side)  where x₂ belongs in x₁, a sorted vector",
    # shape; all of these may be views
    "reshape": "(x, shape)  one entry may be −1",
    "matrix_transpose": "(x)  the last two axes exchanged",
    "permute_dims": "(x, axes)  axis i of the result is axis axes[i] of x",
    "expand_dims": "(x, *, axis)  a new axis of length 1; an int or a tuple",
    "squeeze": "(x, axis)  without these axes of length 1",
    "broadcast_to": "(x, shape)  read-only",
    "flip": "(x, *, axis)  backwards along these axes",
    "concat": "(arrays, *, axis)  end to end",
    "stack": "(arrays, *, axis)  along a new axis",
    # indexing; an index is anything that x[index] takes
    "put_at": "(x, values, index)  a copy of x with x[index] = values",
    "scatter_at": "(values, index, shape)  zeros, with values added at index",
    "take_along_axis": "(x, indices, *, axis)  z[…, i, …] = x[…, indices[…, i, …], …]",
    "scatter_add": "(x, indices, values, *, axis)  a copy of x, plus values where indices point",
    "check_indices": "(indices, size)  indices, or BoundsError if one is outside 0 … size − 1",
    # matrices, (…, m, n); a fault is an ArgumentError that names the first matrix that has it
    "tril": "(x, *, k)  x on and below the k-th diagonal, 0 above it",
    "triu": "(x, *, k)  x on and above the k-th diagonal, 0 below it",
    "cholesky": "(x, *, upper)  L of x = L·Lᵀ, or Lᵀ; fault: not positive definite",
    "eigh": "(x)  eigenvalues, ascending, and eigenvectors, from the lower triangle",
    "eigvalsh": "(x)  eigenvalues alone",
    "qr": '(x, *, mode)  Q and R; mode: "reduced" or "complete"',
    "svd": "(x, *, full_matrices)  U, s and Vᵀ, s descending",
    "svdvals": "(x)  s alone",
    "inv": "(x)  x⁻¹; fault: singular",
    "solve": "(x1, x2)  x₁⁻¹·x₂, of matrices; fault: singular",
    "det": "(x)  the determinant",
    "slogdet": "(x)  its sign and the logarithm of its magnitude; of 0, 0 and −∞",
    "adjugate": "(x)  det(x)·x⁻¹, also of a singular x",
    "pinv": "(x, *, rtol)  x⁺; s of at most rtol times the largest count as 0; None: max(m, n)·ε",
    # Fourier transforms along an axis: n points, cut or with zeros added; norm: see minidl.fft
    "fft": "(x, *, n, axis, norm)  complex64 of float32",
    "ifft": "(x, *, n, axis, norm)  its inverse",
    "rfft": "(x, *, n, axis, norm)  of real x, the first ⌊n/2⌋ + 1 elements",
    "irfft": "(x, *, n, axis, norm)  its inverse, real; n points of the result",
    # arrays of another dtype, device or content
    "astype": "(x, dtype)  a copy in another dtype",
    "to_device": "(x, device)  a copy on another device",
    "zeros_like": "(x)  zeros of the shape and dtype of x",
    "uniform_like": "(x, key)  uniform in [0, 1): Philox numbers of key = (seed, offset)",
}

# What the engine, the optimisers and the functions that make tensors need beside that.
SERVICES = {
    "asarray": "(values, *, dtype)  from numbers, nested lists or a host array",
    "zeros": "(shape, *, dtype)  0 everywhere",
    "full": "(shape, fill_value, *, dtype)  fill_value everywhere",
    "arange": "(start, stop, step, *, dtype)  start, start + step, … below stop",
    "to_numpy": "(x)  the values as a NumPy array on the host",
    "add_at": "(x, index, values)  x[index] += values in place; a place named twice gets both",
}

KERNELS = {
    "conv2d": "(x, weight, bias, stride, padding, dilation, groups)  in tiles, no windows copied",
    "conv_transpose2d": "(x, weight, bias, stride, padding, …)  in tiles, as the input gradient is",
    "cross_entropy": "(logits, target, …)  softmax, logarithm and choice in one pass",
    "dropout": "(x, p, *, key)  random numbers that stay in the cache; one byte an element saved",
    "elu": "(x, alpha)  one pass each way, as all functions of single elements below",
    "erf": "(x)  vector instructions; likewise exp, log, sigmoid, tanh and what is made of them",
    "exp": "(x)",
    "fused": "(*arrays, *, operations, settings)  the first, with the others in the same pass",
    "gelu": "(x, approximate)  saves x alone",
    "leaky_relu": "(x, negative_slope)",
    "log": "(x)",
    "log_softmax": "(x, *, axis)  each row while it is in the cache",
    "relu": "(x)  one byte an element saved",
    "sigmoid": "(x)",
    "silu": "(x)  saves x alone",
    "softmax": "(x, *, axis)  each row while it is in the cache",
    "softplus": "(x, beta, threshold)",
    "tanh": "(x)",
    "uniform_like": "(x, key)  Philox without its temporaries",
    "linear": "(x, weight, bias)  without a temporary for the bias and its gradient",
    "batch_norm": "(x, weight, bias, eps)  a channel at a time, from memory once",
    "batch_norm_inference": "(x, mean, var, weight, bias, eps)  in one pass",
    "group_norm": "(x, weight, bias, *, num_groups, eps)  a group at a time",
    "layer_norm": "(x, weight, bias, *, normalized_shape, eps)  a row at a time",
    "embedding": "(weight, ids, *, sparse)  the gradient as a RowGradient where sparse",
    "max_pool2d": "(x, kernel_size, …)  one byte saved for each window",
    "avg_pool2d": "(x, kernel_size, …)  nothing saved",
    "adaptive_avg_pool2d": "(x, output_size)  nothing saved",
}

# Kernels of optimisers: f(settings, step, dtype) prepares a step.  Its add(value, gradient, state)
# takes a parameter in, and says whether it could; its run() changes all of them in place.
RULES = {
    "adam": "(settings, step, dtype)  every element once, for all of the formula",
    "adamw": "(settings, step, dtype)  likewise",
    "sgd": "(settings, step, dtype)  likewise",
}
