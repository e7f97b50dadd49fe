"""What PyTorch calls otherwise: the error about a missing name says how minidl calls it.

Nothing here answers: the name stays missing.  Each entry is a call of PyTorch's and one of minidl's
that gives the same; a test evaluates both.  Tensor has an attribute of each of these names that
raises the AttributeError: a `__getattr__` would make every other access to a tensor slower.
"""

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

# fmt: off
NAMES: dict[str, tuple[str, str]] = {
    # Joining, splitting, shapes.
    "cat": ("torch.cat(xs, 1)", "minidl.concat(xs, axis=1)"),
    "concatenate": ("torch.concatenate(xs, 1)", "minidl.concat(xs, axis=1)"),
    "hstack": ("torch.hstack(xs)", "minidl.concat(xs, axis=1)"),
    "vstack": ("torch.vstack(xs)", "minidl.concat(xs, axis=0)"),
    "dstack": ("torch.dstack(xs)", "minidl.stack(xs, axis=-1)"),
    "unbind": ("torch.unbind(x, 1)", "minidl.unstack(x, axis=1)"),
    "tensor_split": ("torch.tensor_split(x, [1, 2])", "minidl.split(x, indices=[1, 2])"),
    "split_with_sizes": ("torch.split_with_sizes(x, [1, 2])", "minidl.split(x, lengths=[1, 2])"),
    "permute": ("torch.permute(x, (1, 0))", "minidl.permute_dims(x, (1, 0))"),
    "transpose": ("torch.transpose(t, 0, 2)", "minidl.permute_dims(t, (2, 1, 0))"),
    "swapaxes": ("torch.swapaxes(t, 0, 2)", "minidl.permute_dims(t, (2, 1, 0))"),
    "swapdims": ("torch.swapdims(t, 0, 2)", "minidl.permute_dims(t, (2, 1, 0))"),
    "movedim": ("torch.movedim(t, 0, 2)", "minidl.moveaxis(t, 0, 2)"),
    "t": ("torch.t(x)", "x.T"),
    "adjoint": ("torch.adjoint(t)", "minidl.conj(t).mT"),
    "unsqueeze": ("torch.unsqueeze(x, 1)", "minidl.expand_dims(x, axis=1)"),
    "ravel": ("torch.ravel(x)", "x.flatten()"),
    "narrow": ("torch.narrow(x, 0, 1, 2)", "x[1 : 1 + 2]"),
    "select": ("torch.select(x, 1, 2)", "x[:, 2]"),
    "fliplr": ("torch.fliplr(x)", "minidl.flip(x, axis=1)"),
    "flipud": ("torch.flipud(x)", "minidl.flip(x, axis=0)"),
    "repeat_interleave": ("torch.repeat_interleave(x, 2, 1)", "minidl.repeat(x, 2, axis=1)"),
    "broadcast_tensors": ("torch.broadcast_tensors(x, b)", "minidl.broadcast_arrays(x, b)"),
    "diag": ("torch.diag(b)", "minidl.diag_embed(b)"),
    "atleast_1d": ("torch.atleast_1d(s)", "minidl.reshape(s, (-1,))"),
    # Picking and writing.
    "gather": ("torch.gather(x, 1, j)", "minidl.take_along_axis(x, j, axis=1)"),
    "take_along_dim": ("torch.take_along_dim(x, j, 1)", "minidl.take_along_axis(x, j, axis=1)"),
    "index_select": ("torch.index_select(x, 0, i)", "minidl.take(x, i, axis=0)"),
    "masked_select": ("torch.masked_select(x, m)", "x[m]"),
    "masked_fill": ("torch.masked_fill(x, m, 0)", "minidl.where(m, 0, x)"),
    "scatter": ("torch.scatter(x, 1, j, x)", "minidl.put_along_axis(x, j, x[:, :2], axis=1)"),
    "index_add": (
        "torch.index_add(x, 0, i, x[:2])", "x + minidl.segment_sum(x[:2], i, x.shape[0])"
    ),
    "bucketize": ("torch.bucketize(x, edges)", "minidl.searchsorted(edges, x)"),
    "unique": ("torch.unique(x)", "minidl.unique_values(x)"),
    "msort": ("torch.msort(x)", "minidl.sort(x, axis=0)"),
    # Elements.
    "sub": ("torch.sub(x, y)", "x - y"),
    "rsub": ("torch.rsub(x, y)", "y - x"),
    "mul": ("torch.mul(x, y)", "x * y"),
    "div": ("torch.div(x, y)", "x / y"),
    "true_divide": ("torch.true_divide(x, y)", "x / y"),
    "float_power": ("torch.float_power(x, 3)", 'x.astype("float64") ** 3'),
    "power": ("torch.pow(x, 3)", "x**3"),
    "neg": ("torch.neg(x)", "-x"),
    "absolute": ("torch.absolute(x)", "minidl.abs(x)"),
    "rsqrt": ("torch.rsqrt(x)", "1 / minidl.sqrt(x)"),
    "exp2": ("torch.exp2(x)", "2**x"),
    "frac": ("torch.frac(x)", "x - minidl.trunc(x)"),
    "fix": ("torch.fix(x)", "minidl.trunc(x)"),
    "sgn": ("torch.sgn(x)", "minidl.sign(x)"),
    "clamp": ("torch.clamp(x, 0.3, 0.6)", "minidl.clip(x, 0.3, 0.6)"),
    "clamp_min": ("torch.clamp_min(x, 0.3)", "minidl.clip(x, 0.3)"),
    "clamp_max": ("torch.clamp_max(x, 0.6)", "minidl.clip(x, max=0.6)"),
    "addcmul": ("torch.addcmul(x, x, y)", "x + x * y"),
    "addcdiv": ("torch.addcdiv(x, x, y)", "x + x / y"),
    "arcsin": ("torch.arcsin(x)", "minidl.asin(x)"),
    "arccos": ("torch.arccos(x)", "minidl.acos(x)"),
    "arctan": ("torch.arctan(x)", "minidl.atan(x)"),
    "arctan2": ("torch.arctan2(x, y)", "minidl.atan2(x, y)"),
    "arcsinh": ("torch.arcsinh(x)", "minidl.asinh(x)"),
    "arccosh": ("torch.arccosh(x + 1)", "minidl.acosh(x + 1)"),
    "arctanh": ("torch.arctanh(x)", "minidl.atanh(x)"),
    "deg2rad": ("torch.deg2rad(x)", "x * minidl.pi / 180"),
    "rad2deg": ("torch.rad2deg(x)", "x * 180 / minidl.pi"),
    "eq": ("torch.eq(x, y)", "x == y"),
    "ne": ("torch.ne(x, y)", "x != y"),
    "lt": ("torch.lt(x, y)", "x < y"),
    "le": ("torch.le(x, y)", "x <= y"),
    "gt": ("torch.gt(x, y)", "x > y"),
    "ge": ("torch.ge(x, y)", "x >= y"),
    "bitwise_not": ("torch.bitwise_not(i)", "minidl.bitwise_invert(i)"),
    "isposinf": ("torch.isposinf(x)", "x == minidl.inf"),
    "isneginf": ("torch.isneginf(x)", "x == -minidl.inf"),
    # Along axes.
    "amax": ("torch.amax(x, 1)", "minidl.max(x, axis=1)"),
    "amin": ("torch.amin(x, 1)", "minidl.min(x, axis=1)"),
    "aminmax": ("torch.aminmax(x)", "(minidl.min(x), minidl.max(x))"),
    "cumsum": ("torch.cumsum(x, 1)", "minidl.cumulative_sum(x, axis=1)"),
    "cumprod": ("torch.cumprod(x, 1)", "minidl.cumulative_prod(x, axis=1)"),
    "cummax": ("torch.cummax(x, 1)", "minidl.cumulative_max(x, axis=1)"),
    "cummin": ("torch.cummin(x, 1)", "minidl.cumulative_min(x, axis=1)"),
    "logcumsumexp": ("torch.logcumsumexp(x, 1)", "minidl.cumulative_logsumexp(x, axis=1)"),
    "var_mean": (
        "torch.var_mean(x)", "(minidl.var(x, correction=1), minidl.mean(x))"
    ),
    "std_mean": (
        "torch.std_mean(x)", "(minidl.std(x, correction=1), minidl.mean(x))"
    ),
    "trapz": ("torch.trapz(x)", "minidl.trapezoid(x)"),
    "histc": ("torch.histc(x, 5, 0, 1)", "minidl.histogram(x, 5, (0, 1))[0].astype(x.dtype)"),
    "norm": ("torch.norm(x)", "minidl.linalg.vector_norm(x)"),
    "dist": ("torch.dist(x, y)", "minidl.linalg.vector_norm(x - y)"),
    # Matrices.
    "mm": ("torch.mm(a, a)", "a @ a"),
    "bmm": ("torch.bmm(t, t.mT)", "t @ t.mT"),
    "mv": ("torch.mv(a, b)", "a @ b"),
    "dot": ("torch.dot(b, b)", "minidl.vecdot(b, b)"),
    "vdot": ("torch.vdot(z[0], z[1])", "minidl.vecdot(z[0], z[1])"),
    "inner": ("torch.inner(x, y)", "x @ y.T"),
    "ger": ("torch.ger(b, b)", "minidl.outer(b, b)"),
    "addmm": ("torch.addmm(b, a, a)", "b + a @ a"),
    "addmv": ("torch.addmv(b, a, b)", "b + a @ b"),
    "baddbmm": ("torch.baddbmm(b[:2], t, t.mT)", "b[:2] + t @ t.mT"),
    "inverse": ("torch.inverse(a)", "minidl.linalg.inv(a)"),
    "pinverse": ("torch.pinverse(a)", "minidl.linalg.pinv(a)"),
    "logdet": ("torch.logdet(a)", "minidl.log(minidl.linalg.det(a))"),
    **{
        name: (f"torch.linalg.{name}(a)", f"minidl.linalg.{name}(a)")
        for name in ("det", "slogdet", "matrix_exp", "eig", "lu", "qr", "svd")
    },
    "cholesky": ("torch.linalg.cholesky(a)", "minidl.linalg.cholesky(a)"),
    "matrix_power": ("torch.linalg.matrix_power(a, 3)", "minidl.linalg.matrix_power(a, 3)"),
    "cholesky_solve": ("torch.cholesky_solve(a, a)", "minidl.linalg.cholesky_solve(a, a)"),
    # Recurrent networks.
    "rnn_tanh": (
        "torch.rnn_tanh(t, x[None], [w, w], False, 1, 0.0, False, False, False)[0]",
        "minidl.rnn(t, x, w, w)[0]",
    ),
    "rnn_relu": (
        "torch.rnn_relu(t, x[None], [w, w], False, 1, 0.0, False, False, False)[0]",
        'minidl.rnn(t, x, w, w, nonlinearity="relu")[0]',
    ),
    "rnn_tanh_cell": ("torch.rnn_tanh_cell(x, y, w, w)", "minidl.rnn_cell(x, y, w, w)"),
    "rnn_relu_cell": (
        "torch.rnn_relu_cell(x, y, w, w)", 'minidl.rnn_cell(x, y, w, w, nonlinearity="relu")'
    ),
    # Creation and copies.
    "as_tensor": ("torch.as_tensor([1.0, 2.0])", "minidl.asarray([1.0, 2.0])"),
    "from_numpy": ("torch.from_numpy(array)", "minidl.asarray(array)"),
    "array": ("torch.tensor([1.0, 2.0])", "minidl.tensor([1.0, 2.0])"),
    "clone": ("torch.clone(x)", "minidl.copy(x)"),
    "logspace": ("torch.logspace(0, 2, 3)", "10 ** minidl.linspace(0, 2, 3)"),
    "numel": ("torch.numel(x)", "x.size"),
    "expit": ("torch.special.expit(x)", "minidl.sigmoid(x)"),
}

# Those that draw random numbers.
RANDOM: dict[str, tuple[str, str]] = {
    "rand": ("torch.rand(2, 3)", "minidl.random.uniform((2, 3))"),
    "randn": ("torch.randn(2, 3)", "minidl.random.normal((2, 3))"),
    "randint": ("torch.randint(0, 9, (2, 3))", "minidl.random.integers(0, 9, (2, 3))"),
    "randperm": ("torch.randperm(5)", "minidl.random.permutation(5)"),
    "rand_like": ("torch.rand_like(x)", "minidl.random.uniform(x.shape, dtype=x.dtype)"),
    "randn_like": ("torch.randn_like(x)", "minidl.random.normal(x.shape, dtype=x.dtype)"),
    "bernoulli": ("torch.bernoulli(x)", "minidl.random.bernoulli(x)"),
    "multinomial": ("torch.multinomial(b, 2)", "minidl.random.multinomial(b, num_samples=2)"),
}

# Methods alone.
METHODS: dict[str, tuple[str, str]] = {
    "view": ("x.view(2, 6)", "x.reshape(2, 6)"),
    "view_as": ("x.view_as(y)", "x.reshape(y.shape)"),
    "reshape_as": ("x.reshape_as(y)", "x.reshape(y.shape)"),
    "expand": ("b.expand(4, 3)", "b.broadcast_to((4, 3))"),
    "expand_as": ("b.expand_as(a)", "b.broadcast_to(a.shape)"),
    "repeat": ("x.repeat(2, 1)", "x.tile((2, 1))"),
    "unfold": ("x.unfold(1, 2, 1)", "minidl.sliding_window_view(x, 2, axis=1)"),
    "diagonal": ("a.diagonal()", "minidl.diagonal(a)"),
    "where": ("x.where(m, y)", "minidl.where(m, x, y)"),
    "equal": ("x.equal(y)", "minidl.array_equal(x, y)"),
    "contiguous": ("x.contiguous()", "x"),
    "type_as": ("x.type_as(i)", "x.astype(i.dtype)"),
    "hardshrink": ("x.hardshrink(0.5)", "minidl.hardshrink(x, 0.5)"),
    "prelu": ("x.prelu(b[:1])", "minidl.prelu(x, b[:1])"),
    "bincount": ("i.bincount()", "minidl.bincount(i)"),
    "dim": ("x.dim()", "x.ndim"),
    "nelement": ("x.nelement()", "x.size"),
    "is_floating_point": ("x.is_floating_point()", 'minidl.isdtype(x.dtype, "real floating")'),
    "is_complex": ("x.is_complex()", 'minidl.isdtype(x.dtype, "complex floating")'),
    "element_size": ("x.element_size()", "x.dtype.itemsize"),
    "new_zeros": ("x.new_zeros(2)", "minidl.zeros(2, dtype=x.dtype)"),
    "new_ones": ("x.new_ones(2)", "minidl.ones(2, dtype=x.dtype)"),
    "new_full": ("x.new_full((2,), 7)", "minidl.full(2, 7, dtype=x.dtype)"),
    **{
        method: (f"x.{method}()", f'x.astype("{dtype}")')
        for method, dtype in {
            **{"float": "float32", "double": "float64", "half": "float16", "bool": "bool"},
            **{"int": "int32", "long": "int64", "short": "int16", "byte": "uint8"},
        }.items()
    },
}

# Methods that write, and how minidl writes.
_WRITES = {
    **{"add_": "x += y", "sub_": "x -= y", "mul_": "x *= y", "div_": "x /= y", "pow_": "x **= y"},
    **{"zero_": "x[...] = 0", "fill_": "x[...] = value", "copy_": "x[...] = y"},
    **{"masked_fill_": "x[m] = value", "index_fill_": "x[i] = value", "detach_": "x.detach()"},
    **{"normal_": "nn.init.normal_(x)", "uniform_": "nn.init.uniform_(x)"},
}
# fmt: on

# What is in another place: module and name, as in PyTorch, and what it is here.
_SCHEDULES = [
    *("ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts"),
    *("CyclicLR", "ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR"),
    *("OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR"),
]
_DTYPES = {"float": "float32", "double": "float64", "half": "float16", "long": "int64"}
ELSEWHERE: dict[str, dict[str, str]] = {
    "minidl": {
        **{theirs: f"minidl.{ours}" for theirs, ours in _DTYPES.items()},
        "LongTensor": 'minidl.tensor([1, 2], dtype="int64")',
        "FloatTensor": 'minidl.tensor([1, 2], dtype="float32")',
        "save": "minidl.io.save",
        "load": "minidl.io.load_torch",
        "utils": "minidl.data",
    },
    "minidl.nn": {"functional": "minidl"},
    "minidl.nn.utils": {
        name: f"minidl.optim.{name}" for name in ("clip_grad_norm_", "clip_grad_value_")
    },
    "minidl.optim.lr_scheduler": {name: f"minidl.optim.{name}" for name in _SCHEDULES},
}


def hint(name: str) -> str:
    """What to write instead of PyTorch's function, to be added to an error; or nothing."""
    known = NAMES.get(name) or RANDOM.get(name)
    return _said(*known) if known else ""


def missing_from(module: str) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a module: an AttributeError that says where PyTorch's names are."""

    def raise_missing(name: str) -> NoReturn:
        place = ELSEWHERE[module].get(name)
        theirs = f"{module}.{name}".replace("minidl", "torch", 1)
        said = _said(theirs, place) if place else hint(name) if module == "minidl" else ""
        raise AttributeError(f"module {module!r} has no attribute {name!r}{said}")

    return raise_missing


class _Missing:
    """An attribute that is not there: getting it raises an AttributeError that says what is."""

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.hint = name, hint

    def __get__(self, instance: Any, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__!r} object has no attribute {self.name!r}{self.hint}")


def explain_missing_methods(cls: type, methods: Iterable[str]) -> None:
    """Let the errors about PyTorch's methods say what minidl's are.

    methods    the names of the methods that a tensor has, which PyTorch has with a _, too
    """
    hints = {name: _said(*known) for name, known in (NAMES | RANDOM | METHODS).items()}
    hints |= {f"{name}_": _written(name) for name in (*methods, *NAMES)}
    hints |= {name: f"; write in place as {how}" for name, how in _WRITES.items()}
    for name, hint in hints.items():
        if name not in vars(cls):
            setattr(cls, name, _Missing(name, hint))


def _said(theirs: str, ours: str) -> str:
    """The two calls in words."""
    return f"; {theirs} in PyTorch is {ours}"


def _written(name: str) -> str:
    """How to write in place what a method gives."""
    return f"; write in place as x[...] = …, with the result of {name}"
