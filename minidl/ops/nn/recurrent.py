"""Recurrent networks: each step computes a new state from the state before and the input.

Weights, biases and the order of the gates are PyTorch's: one matrix for all gates, one below the
other.  Sequences are time-major: (T, N, …), T steps of N sequences.  A mask (T, N) says which
steps there are; where it is False a sequence keeps its state, and its y is 0.  So padding, on
whichever side, neither has an influence nor gets a gradient, whatever is in it.
"""

from minidl.autograd.primitive import composite
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_flags
from minidl.errors import DTypeError, ShapeError, describe
from minidl.ops.casting import real_floats

NONLINEARITIES = "tanh", "relu"
_WEIGHTS = "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"


@composite(outputs=2, wide=True, by_name=["mask"])
def rnn(
    xp,
    x,
    h,
    weight_ih,
    weight_hh,
    bias_ih=None,
    bias_hh=None,
    /,
    mask=None,
    *,
    nonlinearity="tanh",
    reverse=False,
):
    """hₜ = tanh(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), or relu, for t = 0 … T − 1.

    x            (T, N, in); h: (N, H), the state before the first step; or (1, N, H), as of a
                 layer, and so is h_n
    weight_ih    (H, in); weight_hh: (H, H); biases: (H,)
    mask         (T, N) bools: where False, the state is kept, and y is 0
    reverse      from t = T − 1 down to 0

    returns y, (T, N, H), the state after each step, and h_n, (N, H), after the last.
    Elman 1990

    >>> x, w = minidl.tensor([[[1.0]], [[0.0]], [[2.0]]]), minidl.ones((1, 1))
    >>> y, h_n = minidl.rnn(x, minidl.zeros((1, 1)), w, w, nonlinearity="relu")
    >>> y.flatten(), h_n
    (Tensor([1., 1., 3.], float32), Tensor([[3.]], shape=(1, 1), float32))
    """
    check_choice("rnn", NONLINEARITIES, nonlinearity=nonlinearity)
    check_flags("rnn", reverse=reverse)
    (h,), of_layer = _without_layer_axis(xp, h)
    weights = weight_ih, weight_hh, bias_ih, bias_hh
    (x, h), weights = _checked(xp, "TN", 1, {"x": x, "h": h}, weights, mask)
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    f = getattr(xp, nonlinearity)

    def step(from_x, h):
        return (_rnn_step(xp, f, from_x, xp.linear(h, weight_hh, bias_hh)),)

    y, state = _scan(xp, step, x, weight_ih, bias_ih, (h,), mask, reverse)
    return y, *_with_layer_axis(xp, state, of_layer)


@composite(outputs=3, wide=True, by_name=["mask"])
def lstm(
    xp,
    x,
    h,
    c,
    weight_ih,
    weight_hh,
    bias_ih=None,
    bias_hh=None,
    weight_hr=None,
    /,
    mask=None,
    *,
    reverse=False,
):
    """Long short-term memory: c, which gates keep and write, and h = o·tanh c, for each step.

    i, f, g, o = W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh
    cₜ = σ(f)·cₜ₋₁ + σ(i)·tanh g;   hₜ = σ(o)·tanh cₜ, or W_hr times that

    x            (T, N, in); h: (N, H) and c: (N, H), the state before the first step; or
                 (1, N, H), as of a layer, and so are h_n and c_n
    weight_ih    (4·H, in); weight_hh: (4·H, H); biases: (4·H,)
    weight_hr    (proj, H): h and y have `proj` elements, and weight_hh is (4·H, proj)
    mask         (T, N) bools: where False, the state is kept, and y is 0
    reverse      from t = T − 1 down to 0

    returns y, (T, N, H), h after each step, and h_n and c_n, (N, H), after the last.
    Hochreiter, Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000; projected: Sak, Senior,
    Beaufays 2014, arXiv:1402.1128

    >>> x, w = minidl.zeros((3, 1, 1)), minidl.zeros((4, 1))
    >>> y, h_n, c_n = minidl.lstm(x, minidl.zeros((1, 1)), minidl.ones((1, 1)), w, w)
    >>> c_n  # each forget gate is σ(0) = ½
    Tensor([[0.125]], shape=(1, 1), float32)
    """
    check_flags("lstm", reverse=reverse)
    (h, c), of_layer = _without_layer_axis(xp, h, c)
    weights = weight_ih, weight_hh, bias_ih, bias_hh, weight_hr
    (x, h, c), weights = _checked(xp, "TN", 4, {"x": x, "h": h, "c": c}, weights, mask)
    weight_ih, weight_hh, bias_ih, bias_hh, weight_hr = weights

    def step(from_x, h, c):
        return _lstm_step(xp, from_x, xp.linear(h, weight_hh, bias_hh), c, weight_hr)

    y, state = _scan(xp, step, x, weight_ih, bias_ih, (h, c), mask, reverse)
    return y, *_with_layer_axis(xp, state, of_layer)


@composite(outputs=2, wide=True, by_name=["mask"])
def gru(xp, x, h, weight_ih, weight_hh, bias_ih=None, bias_hh=None, /, mask=None, *, reverse=False):
    """Gated recurrent unit: the new state is between the old one and a candidate, for each step.

    iᵣ, i_z, iₙ = W_ih·xₜ + b_ih;   hᵣ, h_z, hₙ = W_hh·hₜ₋₁ + b_hh
    n = tanh(iₙ + σ(iᵣ + hᵣ)·hₙ);   z = σ(i_z + h_z);   hₜ = (1 − z)·n + z·hₜ₋₁

    x            (T, N, in); h: (N, H), the state before the first step; or (1, N, H), as of a
                 layer, and so is h_n
    weight_ih    (3·H, in); weight_hh: (3·H, H); biases: (3·H,)
    mask         (T, N) bools: where False, the state is kept, and y is 0
    reverse      from t = T − 1 down to 0

    returns y, (T, N, H), the state after each step, and h_n, (N, H), after the last.
    Cho et al. 2014, arXiv:1406.1078, with the reset gate after the product, as in PyTorch

    >>> x, w = minidl.zeros((3, 1, 1)), minidl.zeros((3, 1))
    >>> y, h_n = minidl.gru(x, minidl.ones((1, 1)), w, w)
    >>> h_n  # each step goes half the way to tanh 0
    Tensor([[0.125]], shape=(1, 1), float32)
    """
    check_flags("gru", reverse=reverse)
    (h,), of_layer = _without_layer_axis(xp, h)
    weights = weight_ih, weight_hh, bias_ih, bias_hh
    (x, h), weights = _checked(xp, "TN", 3, {"x": x, "h": h}, weights, mask)
    weight_ih, weight_hh, bias_ih, bias_hh = weights

    def step(from_x, h):
        return (_gru_step(xp, from_x, xp.linear(h, weight_hh, bias_hh), h),)

    y, state = _scan(xp, step, x, weight_ih, bias_ih, (h,), mask, reverse)
    return y, *_with_layer_axis(xp, state, of_layer)


@composite(wide=True)
def rnn_cell(xp, x, h, weight_ih, weight_hh, bias_ih=None, bias_hh=None, /, *, nonlinearity="tanh"):
    """One step of `rnn`: h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu.

    x: (N, in); h and h′: (N, H); or (in,), (H,).

    >>> w = minidl.ones((1, 1))
    >>> minidl.rnn_cell(minidl.ones((1, 1)), minidl.ones((1, 1)), w, w, nonlinearity="relu")
    Tensor([[2.]], shape=(1, 1), float32)
    """
    check_choice("rnn_cell", NONLINEARITIES, nonlinearity=nonlinearity)
    weights = weight_ih, weight_hh, bias_ih, bias_hh
    (x, h), weights = _checked(xp, "N", 1, {"x": x, "h": h}, weights)
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    from_x, from_h = xp.linear(x, weight_ih, bias_ih), xp.linear(h, weight_hh, bias_hh)
    return _rnn_step(xp, getattr(xp, nonlinearity), from_x, from_h)


@composite(outputs=2, wide=True)
def lstm_cell(xp, x, h, c, weight_ih, weight_hh, bias_ih=None, bias_hh=None, weight_hr=None, /):
    """One step of `lstm`: h′ and c′.

    x: (N, in); h, c, h′ and c′: (N, H); or (in,), (H,).

    >>> w, h, c = minidl.zeros((4, 1)), minidl.zeros((1, 1)), minidl.ones((1, 1))
    >>> h, c = minidl.lstm_cell(minidl.ones((1, 1)), h, c, w, w)
    >>> c
    Tensor([[0.5]], shape=(1, 1), float32)
    """
    weights = weight_ih, weight_hh, bias_ih, bias_hh, weight_hr
    (x, h, c), weights = _checked(xp, "N", 4, {"x": x, "h": h, "c": c}, weights)
    weight_ih, weight_hh, bias_ih, bias_hh, weight_hr = weights
    from_x, from_h = xp.linear(x, weight_ih, bias_ih), xp.linear(h, weight_hh, bias_hh)
    return _lstm_step(xp, from_x, from_h, c, weight_hr)


@composite(wide=True)
def gru_cell(xp, x, h, weight_ih, weight_hh, bias_ih=None, bias_hh=None, /):
    """One step of `gru`: h′.

    x: (N, in); h and h′: (N, H); or (in,), (H,).

    >>> w = minidl.zeros((3, 1))
    >>> minidl.gru_cell(minidl.ones((1, 1)), minidl.ones((1, 1)), w, w)
    Tensor([[0.5]], shape=(1, 1), float32)
    """
    weights = weight_ih, weight_hh, bias_ih, bias_hh
    (x, h), weights = _checked(xp, "N", 3, {"x": x, "h": h}, weights)
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    from_x, from_h = xp.linear(x, weight_ih, bias_ih), xp.linear(h, weight_hh, bias_hh)
    return _gru_step(xp, from_x, from_h, h)


def _rnn_step(xp, f, from_x, from_h):
    """The state after a step, from W_ih·x + b_ih and W_hh·h + b_hh."""
    return f(from_x + from_h)


def _lstm_step(xp, from_x, from_h, c, weight_hr):
    """h and c after a step, from W_ih·x + b_ih, W_hh·h + b_hh and c."""
    i, f, g, o = xp.chunk(from_x + from_h, 4, axis=-1)
    c = xp.sigmoid(f) * c + xp.sigmoid(i) * xp.tanh(g)
    h = xp.sigmoid(o) * xp.tanh(c)
    return (h if weight_hr is None else xp.linear(h, weight_hr)), c


def _gru_step(xp, from_x, from_h, h):
    """The state after a step, from W_ih·x + b_ih, W_hh·h + b_hh and h."""
    x_r, x_z, x_n = xp.chunk(from_x, 3, axis=-1)
    h_r, h_z, h_n = xp.chunk(from_h, 3, axis=-1)
    r, z = xp.sigmoid(x_r + h_r), xp.sigmoid(x_z + h_z)
    n = xp.tanh(x_n + r * h_n)
    return (1 - z) * n + z * h


def _scan(xp, step, x, weight_ih, bias_ih, state, mask, reverse):
    """y, the first part of the state after each step, and the state after the last.

    step    step(W_ih·xₜ + b_ih, *state) → state; the products of all steps are one GEMM
    """
    length = x.shape[0]
    if not length:  # y is empty, but depends on x and the weights, so that backward may follow
        y = xp.linear(x, weight_ih, bias_ih)[..., : state[0].shape[-1]]
        return y, tuple(xp.copy(s) for s in state)
    if mask is not None:
        mask = xp.expand_dims(mask, axis=-1)
        x = xp.where(mask, x, 0)  # before the product: NaN · 0 in dW would be NaN
    inputs = xp.unstack(xp.linear(x, weight_ih, bias_ih))
    masks = [None] * length if mask is None else xp.unstack(mask)
    outputs = [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        state, outputs[t] = _masked_step(xp, step, inputs[t], state, masks[t])
    return xp.stack(outputs), state


def _masked_step(xp, step, from_x, state, mask):
    """The state after a step, and its y; without a mask, these are step(from_x, *state)."""
    if mask is None:
        state = step(from_x, *state)
        return state, state[0]
    new = step(from_x, *[xp.where(mask, before, 0) for before in state])
    state = tuple(xp.where(mask, *pair) for pair in zip(new, state, strict=True))
    return state, xp.where(mask, new[0], 0)


def _without_layer_axis(xp, *state):
    """The state as (N, H), and whether it was (1, N, H)."""
    shapes = [getattr(s, "shape", ()) for s in state]
    of_layer = all(len(shape) == 3 and shape[0] == 1 for shape in shapes)
    return [xp.squeeze(s, 0) if of_layer else s for s in state], of_layer


def _with_layer_axis(xp, state, of_layer):
    """The state as it was given."""
    return [xp.expand_dims(s, axis=0) if of_layer else s for s in state]


def _checked(xp, axes, gates, sequences, weights, mask=None):
    """Two lists of floats: x with the state, and the weights, in the order given; else an error.

    axes         those of x before the last: "TN"; "N" of a cell, which may have none
    sequences    x and the state by name, all of them needed
    weights      named as in _WEIGHTS; those that there are not, are None
    """
    given = sequences | dict(zip(_WEIGHTS, weights, strict=False))
    optional = _WEIGHTS[2:]
    _check_tensors({name: v for name, v in given.items() if name not in optional}, mask)
    floats = {name: v if v is None else real_floats(xp, v) for name, v in given.items()}
    _check_shapes(axes, gates, floats | {"mask": mask})
    values = list(floats.values())
    return values[: len(sequences)], values[len(sequences) :]


def _check_tensors(required, mask):
    """Raise unless each is a tensor, and the mask one of bools, if there is one."""
    for name, given in required.items():
        if not isinstance(given, Tensor):
            raise DTypeError(f"needs a tensor for {name}; got {describe(given)}")
    if mask is not None and getattr(mask, "dtype", None) != "bool":
        raise DTypeError(f"needs a mask of bools, True where there is a step; got {describe(mask)}")


def _check_shapes(axes, gates, tensors):
    """Raise unless all shapes fit: H and `in` are those of weight_ih, T and N those of x."""
    rows = "H" if gates == 1 else f"{gates}·H"
    h = "H" if tensors.get("weight_hr") is None else "proj"
    shape = tensors["weight_ih"].shape
    if len(shape) != 2 or shape[0] % gates:
        raise ShapeError(f"needs weight_ih of shape ({rows}, in); got {shape}")
    sizes = {rows: shape[0], "H": shape[0] // gates, "in": shape[1]}
    needed = {"weight_hr": ["proj", "H"], "weight_hh": [rows, h], "bias_ih": [rows]}
    needed |= {"bias_hh": [rows], "x": [*axes, "in"], "h": ["N", h], "c": ["N", "H"]}
    needed |= {"mask": ["T", "N"]}
    if axes == "N" and tensors["x"].ndim == 1:
        needed |= {"x": ["in"], "h": [h], "c": ["H"]}
    for name, symbols in needed.items():
        if tensors.get(name) is not None:
            _check_shape(name, tensors[name].shape, symbols, sizes)


def _check_shape(name, shape, symbols, sizes):
    """Raise unless the shape is what its symbols stand for; note what new ones stand for."""
    if len(shape) == len(symbols):
        sizes |= dict(zip(symbols, shape, strict=True)) | sizes
    needed = tuple(sizes.get(symbol, symbol) for symbol in symbols)
    if shape != needed:
        as_symbols, as_sizes = (", ".join(map(str, x)) for x in (symbols, needed))
        comma = "," if len(symbols) == 1 else ""
        raise ShapeError(
            f"needs {name} of shape ({as_symbols}{comma}) = ({as_sizes}{comma}); got {shape}"
        )
