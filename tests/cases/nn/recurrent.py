"""Rows of recurrent networks and their cells."""

import numpy as np

from tests.cases.registry import ops
from tests.helpers import Case, fixed, unit
from tests.oracle import torch

T, N, IN, H, PROJ = 3, 2, 2, 3, 2
MASK = np.array([[True, False], [True, True], [False, True]])


def arrays(gates, *states, biases=True, projected=False):
    """x, the states, and the weights of a network with so many gates."""
    out = PROJ if projected else H
    yield unit(T, N, IN)
    yield from (unit(N, H) if state == "c" else unit(N, out) for state in states)
    yield from (unit(gates * H, IN), unit(gates * H, out))
    yield from (unit(gates * H), unit(gates * H)) if biases else ()
    yield from (unit(PROJ, H),) if projected else ()


def in_torch(name, x, *tensors, states=1, mask=None, reverse=False):
    """PyTorch's steps one by one: y, and the states after the last."""
    state, weights = tensors[:states], tensors[states:]
    cell, projection = getattr(torch, f"{name}_cell"), weights[4:]
    ys, steps = {}, range(len(x))
    for t in reversed(steps) if reverse else steps:
        new = _step(cell, x[t], state, weights, projection)
        if mask is None:
            state, ys[t] = new, new[0]
        else:
            there = mask[t][:, None]
            state = [torch.where(there, *pair) for pair in zip(new, state, strict=True)]
            ys[t] = torch.where(there, new[0], 0)
    return torch.stack([ys[t] for t in steps]), *state


def _step(cell, x, state, weights, projection):
    """The state after a step; PyTorch has no projected cell."""
    if not projection:
        new = cell(x, state if len(state) > 1 else state[0], *weights[:4])
        return new if isinstance(new, tuple) else (new,)
    w_ih, w_hh, b_ih, b_hh = weights[:4]
    i, f, g, o = (x @ w_ih.T + b_ih + state[0] @ w_hh.T + b_hh).chunk(4, -1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return (o.sigmoid() * c.tanh()) @ projection[0].T, c


def case(title, torch_name, gates, *states, masked=False, reverse=False, nonlinearity=None, **made):
    """A row: all outputs of both libraries, one after the other."""
    operation = getattr(ops, title.split()[0])
    settings = {"reverse": reverse} | ({"nonlinearity": nonlinearity} if nonlinearity else {})

    def ours(*tensors):
        mask = ()
        if masked:
            *tensors, mask = tensors
            empty = (None,) * (len(states) + (7 if len(states) == 2 else 5) - len(tensors) - 1)
            mask = *empty, mask
        return joined(ops.concat, ops.reshape, operation(*tensors, *mask, **settings))

    def theirs(*tensors):
        *tensors, mask = tensors if masked else (*tensors, None)
        outputs = in_torch(torch_name, *tensors, states=len(states), mask=mask, reverse=reverse)
        return joined(torch.cat, torch.reshape, outputs)

    inputs = *arrays(gates, *states, **made), *([fixed(MASK)] if masked else [])
    return Case(title, ours, theirs, *inputs)


def joined(concat, reshape, outputs):
    """All elements of all outputs, scaled to tell them apart."""
    return concat([reshape(y, (-1,)) * (i + 1) for i, y in enumerate(outputs)])


def cell(title, torch_name, gates, *states, **settings):
    """A row of a single step."""
    _, *rest = arrays(gates, *states)
    operation, theirs = getattr(ops, title.split()[0]), getattr(torch, torch_name)
    if len(states) == 1:
        return Case(title, lambda *xs: operation(*xs, **settings), theirs, unit(N, IN), *rest)
    return Case(
        title,
        lambda *xs: joined(ops.concat, ops.reshape, operation(*xs)),
        lambda x, h, c, *w: joined(torch.cat, torch.reshape, theirs(x, (h, c), *w)),
        unit(N, IN),
        *rest,
    )


RELU = {"nonlinearity": "relu"}

# fmt: off
CASES = [
    case("rnn", "rnn_tanh", 1, "h"),
    case("rnn relu", "rnn_relu", 1, "h", **RELU),
    case("rnn without biases, in reverse", "rnn_tanh", 1, "h", biases=False, reverse=True),
    case("rnn with a mask", "rnn_tanh", 1, "h", masked=True),
    case("lstm", "lstm", 4, "h", "c"),
    case("lstm without biases", "lstm", 4, "h", "c", biases=False),
    case("lstm with a mask, in reverse", "lstm", 4, "h", "c", masked=True, reverse=True),
    case("lstm with a projection", "lstm", 4, "h", "c", projected=True),
    case("lstm with a projection and a mask", "lstm", 4, "h", "c", projected=True, masked=True),
    case("gru", "gru", 3, "h"),
    case("gru without biases, in reverse", "gru", 3, "h", biases=False, reverse=True),
    case("gru with a mask", "gru", 3, "h", masked=True),
    cell("rnn_cell", "rnn_tanh_cell", 1, "h"),
    cell("rnn_cell relu", "rnn_relu_cell", 1, "h", **RELU),
    cell("lstm_cell", "lstm_cell", 4, "h", "c"),
    cell("gru_cell", "gru_cell", 3, "h"),
]
# fmt: on
