"""The contract of a backend: the functions, services and kernels that it provides.

A backend is a namespace, a module or any object with these attributes:

    name        the type of its devices: "cpu", "cuda"
    Array       the type of its arrays, by which an operation finds its backend
    Scalar      the type that its operators may return for 0-d results (NumPy's do); else Array
    functions   those of FUNCTIONS and SERVICES below
    kernel      kernel(name) → a fused implementation of the operation `name`, or None

Arrays have `shape`, `dtype`, `ndim`, `size`, `T` (of matrices), `base` (the array of which they are
a view, or None), `copy()`, `astype(dtype)`, `reshape(shape)`, the arithmetic, comparison and matrix
operators, and indexing; and they support weak references.  Anything else that a body does to an
array is a function in FUNCTIONS, and `minidl.ops` has an operation of the same name and arguments
that does it to Tensors.

Functions and kernels may return before the device is done, and must not wait for it, except
`to_numpy`, `synchronize`, and what gives Python numbers or shapes that depend on values.  A check
of values may be deferred until then: its error is raised by the next call that waits, and says
which operation made the check, and where it was called: `minidl.backends.call_site` tells.  With
several devices, minidl makes that of the arrays the current one before it calls a function.

A kernel has the signature of its operation's body and returns `value, pullback` as that of a
primitive does.  For inputs that it does not support it may return NotImplemented: the body runs
instead.  A pullback returns new arrays, its argument, or views of it, never a saved array.
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
    "xlogy": "(x1, x2)  x₁ · log x₂, and 0 where x₁ is 0, whatever x₂ is",
    "maximum": "(x1, x2)  the larger of two; NaN if either is",
    "minimum": "(x1, x2)  the smaller of two; NaN if either is",
    "floor": "(x)  the largest integer that is not greater",
    "ceil": "(x)  the smallest integer that is not less",
    "round": "(x)  the nearest integer, halves to even",
    "where": "(condition, x1, x2)  x₁ where the condition holds, else x₂",
    "trunc": "(x)  the integer part, rounded towards 0",
    "copysign": "(x1, x2)  |x₁| with the sign of x₂",
    "signbit": "(x)  whether x is negative, −0.0 included",
    "nextafter": "(x1, x2)  the next representable number after x₁ towards x₂",
    "real": "(x)  the real part; may be a view",
    "imag": "(x)  the imaginary part of complex numbers; may be a view",
    "conj": "(x)  the complex conjugate, a copy",
    "complex": "(x1, x2)  x₁ + i·x₂ of floats, complex64 of float32 and below",
    # in pullbacks, where alone they need not silence warnings
    "xmuly": "(x1, x2)  x₁ · x₂, and 0 where x₁ is 0, whatever x₂ is",
    "mul_zero": "(x1, x2)  x₁ · x₂, and 0 where either is 0, whatever the other is",
    # elementary and special functions
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
    "erfinv": "(x)  y such that erf y = x",
    "lgamma": "(x)  log |Γ(x)|",
    "polygamma": "(x, n)  the n-th derivative of (log Γ)ʹ(x), n ≥ 0",
    "log2": "(x)  log₂ x",
    "log10": "(x)  log₁₀ x",
    "logaddexp": "(x1, x2)  log(e^x₁ + e^x₂), without overflow",
    "asinh": "(x)  the inverse of sinh",
    "acosh": "(x)  the inverse of cosh, non-negative",
    "atanh": "(x)  the inverse of tanh",
    "atan2": "(x1, x2)  the angle of the point (x₂, x₁), in [−π, π]",
    "hypot": "(x1, x2)  √(x₁² + x₂²), without overflow",
    # logic
    "isfinite": "(x)  neither NaN nor infinite",
    "isinf": "(x)  +∞ or −∞",
    "isnan": "(x)  not a number",
    "logical_and": "(x1, x2)  both",
    "logical_or": "(x1, x2)  at least one",
    "logical_xor": "(x1, x2)  exactly one",
    "logical_not": "(x)  not",
    # bitwise, of integers and bools
    "bitwise_and": "(x1, x2)  1 in both",
    "bitwise_or": "(x1, x2)  1 in at least one",
    "bitwise_xor": "(x1, x2)  1 in exactly one",
    "bitwise_invert": "(x)  every bit inverted",
    "bitwise_left_shift": "(x1, x2)  x₁·2^x₂",
    "bitwise_right_shift": "(x1, x2)  ⌊x₁ / 2^x₂⌋",
    # reductions; axis: an int, a tuple of ints, or None for all axes
    "sum": "(x, *, axis, keepdims)  exact to max(1, log₂ n)·ε·Σ|terms|; integers give int64",
    "max": "(x, *, axis, keepdims)  NaN if any is",
    "min": "(x, *, axis, keepdims)  NaN if any is",
    "all": "(x, *, axis, keepdims)  whether all are true",
    "any": "(x, *, axis, keepdims)  whether one is true",
    "argmax": "(x, *, axis, keepdims)  the index of the first maximum; axis: an int or None",
    "argmin": "(x, *, axis, keepdims)  the index of the first minimum; axis: an int or None",
    "argsort": "(x, *, axis)  the indices that sort, stable, ascending",
    "prod": "(x, *, axis, keepdims)  accumulated in float64; integers give int64",
    "cumulative_sum": "(x, *, axis)  x₀ + … + xᵢ; integers give int64; axis: an int",
    "cumulative_prod": "(x, *, axis)  x₀ ⋯ xᵢ; integers give int64; axis: an int",
    # searching
    "argwhere": "(x)  the indices of the nonzero elements, one per row: (n, ndim)",
    "searchsorted": "(x1, x2, *, side)  where to insert x₂ into x₁, a sorted vector",
    # shape; any of these may return a view
    "reshape": "(x, shape)  one entry may be −1",
    "matrix_transpose": "(x)  the last two axes exchanged",
    "permute_dims": "(x, axes)  axis i of the result is axis axes[i] of x",
    "expand_dims": "(x, *, axis)  a new axis of length 1; an int or a tuple",
    "squeeze": "(x, axis)  these axes, of length 1, removed",
    "broadcast_to": "(x, shape)  read-only",
    "flip": "(x, *, axis)  reversed along these axes",
    "concat": "(arrays, *, axis)  joined along an axis",
    "stack": "(arrays, *, axis)  along a new axis",
    # indexing; an index is anything valid in x[index]
    "put_at": "(x, values, index)  a copy of x with x[index] = values",
    "scatter_at": "(values, index, shape)  zeros, plus values at index",
    "row_gradient": "(values, index, shape)  the same as a RowGradient, for index (ids,)",
    "take_along_axis": "(x, indices, *, axis)  z[…, i, …] = x[…, indices[…, i, …], …]",
    "scatter_add": "(x, indices, values, *, axis)  a copy of x, plus values at the indices",
    "check_indices": "(indices, size)  indices; BoundsError, deferred or not, outside 0 … size − 1",
    "precise_matmul": "(x1, x2)  x₁ @ x₂ of floats within log₂ k·ε·Σ|x₁||x₂|, for long sums",
    # matrices, (…, m, n); failure is an ArgumentError that names the first matrix
    "tril": "(x, *, k)  x on and below the k-th diagonal, 0 above it",
    "triu": "(x, *, k)  x on and above the k-th diagonal, 0 below it",
    "cholesky": "(x, *, upper)  L of x = L·Lᵀ, or Lᵀ; fails unless positive definite",
    "eigh": "(x)  eigenvalues, ascending, and eigenvectors, from the lower triangle",
    "eigvalsh": "(x)  the eigenvalues only",
    "eig": "(x)  eigenvalues and eigenvectors of length 1, complex",
    "eigvals": "(x)  the eigenvalues only",
    "lu": "(x)  P, L and U of x = P·L·U, by partial pivoting, also of singular x",
    "qr": '(x, *, mode)  Q and R; mode: "reduced" or "complete"',
    "svd": "(x, *, full_matrices)  U, s and Vᵀ, s descending",
    "svdvals": "(x)  s only",
    "inv": "(x)  x⁻¹; fails if singular",
    "solve": "(x1, x2)  x₁⁻¹·x₂, of matrices; fails if singular",
    "det": "(x)  the determinant",
    "slogdet": "(x)  the sign and the logarithm of the magnitude of det x; 0 and −∞ for 0",
    "adjugate": "(x)  det(x)·x⁻¹, also for singular x",
    "pinv": "(x, *, rtol)  x⁺; s of at most rtol times the largest count as 0; None: max(m, n)·ε",
    # Fourier transforms along an axis: n points, truncated or zero-padded; norm: see minidl.fft
    "fft": "(x, *, n, axis, norm)  complex64 of float32",
    "ifft": "(x, *, n, axis, norm)  its inverse",
    "rfft": "(x, *, n, axis, norm)  of real x, the first ⌊n/2⌋ + 1 elements",
    "irfft": "(x, *, n, axis, norm)  its inverse, real; n points of the result",
    # arrays of another dtype, device or content
    "astype": "(x, dtype)  a copy in another dtype",
    "to_device": "(x, device, *, non_blocking)  a copy on another device; may be begun only",
    "zeros_like": "(x)  zeros of the shape and dtype of x",
    "uniform_like": "(x, key)  uniform in [0, 1): Philox numbers of key = (seed, offset)",
}

# What the engine, the optimisers and the creation functions need in addition.
SERVICES = {
    "asarray": "(values, *, dtype)  from numbers, nested lists or a host array",
    "zeros": "(shape, *, dtype)  0 everywhere",
    "full": "(shape, fill_value, *, dtype)  fill_value everywhere",
    "arange": "(start, stop, step, *, dtype)  start, start + step, … below stop",
    "to_numpy": "(x)  the values as a NumPy array on the host",
    "set_at": "(x, index, values)  x[index] = values in place; of repeated indices the last stays",
    "add_at": "(x, index, values)  x[index] += values in place; repeated indices accumulate",
    "coalesce": "(indices, rows, size)  indices ascending, each once, and the sums of their rows",
    # devices, by their names, each a `minidl.device`: "cpu"; "cuda:0", "cuda:1"
    "devices": "()  all that there are, the same list in every call; it may be empty",
    "device_of": "(x)  that which x is on",
    "current_device": "()  that on which functions compute and create arrays, in this thread",
    "set_device": "(device)  make it the current one of this thread",
    "synchronize": "(device)  wait for all that it was told to do, and raise deferred errors",
    "memory": "(device)  bytes, a dict: allocated, peak, reserved, free, total, as far as known",
    "reset_peak_memory": "(device)  let the peak start from what is allocated now",
    # checks of values, and memory
    "check": "(valid, error)  raise error() unless all are true, at once or when next waited for",
    "check_index": "(index, shape)  index; BoundsError, deferred or not, if its arrays are outside",
    "location": "(x)  where its elements are: equal only for two arrays of the same elements",
    "imported": "(x, copy)  another library's array, by its protocol; it shares memory if it can",
    "pinned": "(x)  a host array, copied to page-locked memory if that makes transfers faster",
    "upload": "(arrays, device)  begin to copy host arrays; a function that returns the copies",
}

KERNELS = {
    "add": "(x1, x2)  of large arrays; likewise multiply",
    "multiply": "(x1, x2)",
    "conv2d": "(x, weight, bias, stride, padding, dilation, groups)  implicit GEMM, no im2col copy",
    "conv_transpose2d": "(x, weight, bias, stride, …)  implicit GEMM, as for the input gradient",
    "cross_entropy": "(logits, target, …)  log-softmax and selection in one pass",
    "dropout": "(x, p, *, key)  random numbers generated in cache; saves one byte per element",
    "elu": "(x, alpha)  one pass each way, as all elementwise functions below",
    "erf": "(x)  vectorized; likewise exp, log, sigmoid, tanh and what is composed of them",
    "exp": "(x)",
    "fused": "(*arrays, *, operations, settings)  the first, with the others in its epilogue",
    "gelu": "(x, approximate)  saves only x",
    "leaky_relu": "(x, negative_slope)",
    "log": "(x)",
    "log_softmax": "(x, *, axis)  each row in cache",
    "relu": "(x)  saves one byte per element",
    "scaled_dot_product_attention": "(query, key, value, attn_mask, …)  in blocks, linear memory",
    "sigmoid": "(x)",
    "silu": "(x)  saves only x",
    "softmax": "(x, *, axis)  each row in cache",
    "softplus": "(x, beta, threshold)",
    "tanh": "(x)",
    "uniform_like": "(x, key)  Philox without its temporaries",
    "linear": "(x, weight, bias)  GEMM with the bias in the epilogue",
    "batch_norm": "(x, weight, bias, eps)  one channel at a time, read from memory once",
    "batch_norm_inference": "(x, mean, var, weight, bias, eps)  in one pass",
    "group_norm": "(x, weight, bias, *, num_groups, eps)  one group at a time",
    "layer_norm": "(x, weight, bias, *, normalized_shape, eps)  one row at a time",
    "embedding": "(weight, ids, *, padding_idx, sparse)  a gather, and a scatter-add",
    "embedding_bag": "(weight, ids, offsets, …)  gathers and reduces in one pass",
    "max_pool2d": "(x, kernel_size, …)  saves the argmax, one byte per window",
    "avg_pool2d": "(x, kernel_size, …)  saves nothing",
    "adaptive_avg_pool2d": "(x, output_size)  saves nothing",
    "rnn": "(x, h, weight_ih, weight_hh, …)  all steps in one call; likewise lstm and gru",
    "lstm": "(x, h, c, weight_ih, weight_hh, …)  saves the gates and the cells",
    "gru": "(x, h, weight_ih, weight_hh, …)  saves the gates and W_hn·h",
    "rnn_cell": "(x, h, weight_ih, weight_hh, …)  one step; likewise lstm_cell and gru_cell",
    "lstm_cell": "(x, h, c, weight_ih, weight_hh, …)",
    "gru_cell": "(x, h, weight_ih, weight_hh, …)",
}

# Kernels of optimisers.  f(settings, step, dtype) prepares a step: its add(value, gradient, state)
# adds a parameter, and returns whether it could; its run() updates all of them in place.  Its
# update_rows(value, indices, rows, state) updates distinct rows of one, and returns likewise.
# Where there is a kernel "read_later", it has a skip_if(flag), which may be called first: unless
# the flag, on the device, is 0, nothing is updated.
RULES = {
    "adam": "(settings, step, dtype)  fused: the whole formula in one pass",
    "adamw": "(settings, step, dtype)  likewise",
    "sgd": "(settings, step, dtype)  likewise",
}

# Functions of many arrays at once, all gradients, that a backend may have: lists of new arrays, and
# scalars that stay on the device.  Where they are missing, or return NotImplemented, the same is
# computed from FUNCTIONS.
GRADIENTS = {
    "clip_norm": "(gradients, max_norm)  times min(1, max_norm / (n + 1e-6)), and the 2-norm n",
    "clip_value": "(gradients, bound)  each element in [−bound, bound]",
    "unscale": "(gradients, scale, found)  each / scale; found becomes 1 if any is not finite",
    "read_later": "(x)  begin to copy a number to the host; a function that returns the number",
    "update_scale": "(scale, steps, found, growth, backoff, interval)  of a GradScaler, in place",
}

# Buffers of layers that are updated in one call, as above.
BUFFERS = {
    "track_moments": "(batches, running, moments, momentum, count)  of batch norm, in place",
}
