"""Self-attention, written out in elementary operations and checked against the layer.

Each position of a sequence asks a question (its query), and every position has an answer (its
value) under a title (its key).  The better a title fits the question, the more of that answer goes
into the result:

    Q = X·W_qᵀ,   K = X·W_kᵀ,   V = X·W_vᵀ,   Y = softmax(Q·Kᵀ/√d)·V

Several heads do so side by side, each with its own part of the features, and a last linear map
mixes what they found.  A causal mask hides the positions that come later, as when a text is
written from left to right.

    A. Vaswani et al.  Attention is all you need.  2017, arXiv:1706.03762.

`self_attention` is all of it.  Its values and its gradients are those of `nn.MultiheadAttention`,
and those of PyTorch's, if PyTorch is installed.

Run:  python examples/self_attention.py
"""

import math
from importlib.util import find_spec

import numpy as np

import minidl
from minidl import Tensor, nn

BATCH, LENGTH, FEATURES, HEADS = 3, 5, 8, 2


def self_attention(
    x: Tensor, w_in: Tensor, b_in: Tensor, w_out: Tensor, b_out: Tensor, heads: int
) -> Tensor:
    """The heads of x (batch, length, features), side by side, times w_outᵀ, plus b_out."""
    batch, length, features = x.shape
    size = features // heads

    qkv = x @ w_in.T + b_in  # three projections in one product
    qkv = qkv.reshape((batch, length, 3, heads, size)).permute_dims((2, 0, 3, 1, 4))
    q, k, v = qkv[0], qkv[1], qkv[2]  # each (batch, heads, length, size)

    logits = q @ k.permute_dims((0, 1, 3, 2)) / math.sqrt(size)
    sees = minidl.tril(minidl.ones((length, length))) > 0  # each position those before it
    logits = minidl.where(sees, logits, -math.inf)
    e = minidl.exp(logits - minidl.max(logits, axis=-1, keepdims=True))
    weights = e / minidl.sum(e, axis=-1, keepdims=True)

    y = (weights @ v).permute_dims((0, 2, 1, 3)).reshape((batch, length, features))
    return y @ w_out.T + b_out


def check_against_the_layer() -> None:
    """Compare values, and gradients of the input and of all parameters."""
    layer = nn.MultiheadAttention(FEATURES, HEADS, batch_first=True, dtype="float64")
    parameters = [*layer.parameters()]  # in_proj_weight, in_proj_bias, out_proj.weight and .bias
    x = minidl.tensor(random(BATCH, LENGTH, FEATURES), requires_grad=True)
    weights = minidl.tensor(random(BATCH, LENGTH, FEATURES))

    by_hand = self_attention(x, *parameters, heads=HEADS)
    by_layer, _ = layer(x, x, x, is_causal=True, need_weights=False)
    written_out = minidl.gradients((by_hand * weights).sum(), [x, *parameters])
    of_layer = minidl.gradients((by_layer * weights).sum(), [x, *parameters])

    found, expected = [by_hand.detach(), *written_out], [by_layer.detach(), *of_layer]
    compare("minidl's layer", found, expected)
    if find_spec("torch"):
        compare("PyTorch's layer", found, by_pytorch(layer, x, weights))


def by_pytorch(layer: nn.Module, x: Tensor, weights: Tensor) -> list[np.ndarray]:
    """The same in PyTorch, where a mask is True for what is not seen."""
    import torch

    theirs = torch.nn.MultiheadAttention(FEATURES, HEADS, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in layer.state_dict().items()})
    z = torch.tensor(x.detach().numpy(), requires_grad=True)
    later = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    y, _ = theirs(z, z, z, attn_mask=later, need_weights=False)
    (y * torch.tensor(weights.numpy())).sum().backward()
    return [y.detach().numpy(), *(p.grad.numpy() for p in (z, *theirs.parameters()))]


def show_a_step_of_decoding() -> None:
    """One position at a time, with the keys and values of the earlier ones kept in a cache."""
    layer = nn.MultiheadAttention(FEATURES, HEADS, batch_first=True, dtype="float64")
    x, cache = minidl.tensor(random(1, LENGTH, FEATURES)), nn.KeyValueCache()
    whole, weights = layer(x, x, x, is_causal=True)
    with minidl.no_grad():
        steps = [layer(s, s, s, cache=cache)[0] for s in minidl.split(x, lengths=1, axis=1)]
    compare("step by step", [minidl.concat(steps, axis=1)], [whole.detach()])
    print("\nWhat each position looks at, the mean of the heads:")
    print(np.array2string(weights.detach().numpy()[0], precision=2, suppress_small=True))


def random(*shape: int) -> np.ndarray:
    """Normal numbers, the same each time."""
    return np.random.default_rng(len(shape)).normal(size=shape)


def compare(name: str, found: list, expected: list) -> None:
    """Raise unless all arrays agree; say how far they are apart."""
    pairs = list(zip(found, expected, strict=True))
    distance = max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)
    assert distance < 1e-12, f"{name}: {distance:.1e}"
    print(f"{name:16} {len(pairs)} arrays agree, largest difference {distance:.1e}")


if __name__ == "__main__":
    minidl.manual_seed(0)
    check_against_the_layer()
    show_a_step_of_decoding()
