"""The tasks in PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

Step = Callable[[], Sequence[Tensor]]


def numpy(x: Tensor) -> np.ndarray:
    """The values, without a copy if they are on the CPU."""
    return x.detach().cpu().numpy()


def set_threads(threads: int) -> None:
    """PyTorch's own pool."""
    torch.set_num_threads(threads)


def use(device: str) -> None:
    """Compute on a device; an error if there is none."""
    torch.set_default_device(torch.zeros(1, device=device).device)


def synchronize() -> None:
    """Wait until the device is done."""
    torch.cuda.synchronize()


def _tensor(array: np.ndarray) -> Tensor:
    """An array as a tensor of the default device, on the CPU without a copy."""
    return torch.from_numpy(array).to(torch.get_default_device())


def classifier(
    sizes: Sequence[int], state: Mapping[str, np.ndarray], x: np.ndarray, target: np.ndarray
) -> Step:
    """A training step."""
    layers = [
        layer for n_in, n_out in pairwise(sizes) for layer in (nn.Linear(n_in, n_out), nn.ReLU())
    ]
    return _training(nn.Sequential(*layers[:-1]), state, x, target)


def convnet(
    features: int, state: Mapping[str, np.ndarray], x: np.ndarray, target: np.ndarray
) -> Step:
    """A training step."""
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    return _training(model, state, x, target)


def transformer(
    sizes: Sequence[int], state: Mapping[str, np.ndarray], x: np.ndarray, target: np.ndarray
) -> Step:
    """A training step."""
    d_model, heads, hidden = sizes
    model = nn.TransformerEncoderLayer(d_model, heads, hidden, dropout=0.0, batch_first=True)
    return _training(model, state, x, target, loss=functional.mse_loss, inner=True)


def convolution(
    x: np.ndarray,
    state: Mapping[str, np.ndarray],
    gradient: np.ndarray,
    padding: int,
    groups: int,
) -> Step:
    """A convolution and its gradients."""
    n_out, n_in, *kernel = state["weight"].shape
    layer = nn.Conv2d(n_in * groups, n_out, kernel[0], padding=padding, groups=groups)
    return _forward_backward(layer, state, x, gradient)


def batchnorm(x: np.ndarray, state: Mapping[str, np.ndarray], gradient: np.ndarray) -> Step:
    """Batch normalisation, and its gradients."""
    return _forward_backward(nn.BatchNorm2d(x.shape[1]), state, x, gradient)


def maxpool(x: np.ndarray, gradient: np.ndarray, kernel: int) -> Step:
    """Max pooling, and its gradient."""
    return _forward_backward(nn.MaxPool2d(kernel), {}, x, gradient)


def _training(
    model: nn.Module,
    state: Mapping[str, np.ndarray],
    x: np.ndarray,
    target: np.ndarray,
    loss: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy,
    inner: bool = False,
) -> Step:
    """A step of Adam on the loss of a model; for an inner layer, with the gradient of its input."""
    model.load_state_dict({name: _tensor(array) for name, array in state.items()})
    optimizer = Adam(model.parameters(), lr=1e-3)
    x, target = _tensor(x).requires_grad_(inner), _tensor(target)

    def step() -> Sequence[Tensor]:
        optimizer.zero_grad()
        if inner:
            x.grad = None
        value = loss(model(x), target)
        value.backward()
        optimizer.step()
        return [value]

    return step


def _forward_backward(
    layer: nn.Module, state: Mapping[str, np.ndarray], x: np.ndarray, gradient: np.ndarray
) -> Step:
    """A layer, and all its gradients for a given output gradient."""
    layer.load_state_dict({name: _tensor(array) for name, array in state.items()})
    x, gradient = _tensor(x).requires_grad_(), _tensor(gradient)
    leaves = [x, *layer.parameters()]

    def step() -> Sequence[Tensor]:
        for leaf in leaves:
            leaf.grad = None
        y = layer(x)
        y = y[0] if isinstance(y, tuple) else y
        y.backward(gradient)
        return [y, *(leaf.grad for leaf in leaves)]

    return step


def recurrent(
    kind: str, state: Mapping[str, np.ndarray], x: np.ndarray, gradient: np.ndarray
) -> Step:
    """A recurrent layer and its gradients."""
    layer = getattr(nn, kind.upper())(x.shape[-1], gradient.shape[-1])
    return _forward_backward(layer, state, x, gradient)


def recurrent_step(
    kind: str, state: Mapping[str, np.ndarray], x: np.ndarray, before: Sequence[np.ndarray]
) -> Step:
    """One step of one sequence, without gradients."""
    layer = getattr(nn, kind.upper())(x.shape[-1], before[0].shape[-1])
    layer.load_state_dict({name: _tensor(array) for name, array in state.items()})
    x, parts = _tensor(x), tuple(map(_tensor, before))
    given = parts if len(parts) > 1 else parts[0]

    @torch.no_grad()
    def step() -> Sequence[Tensor]:
        y, after = layer(x, given)
        return [y, *(after if len(parts) > 1 else [after])]

    return step


def elementwise(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Step:
    """Σ tanh(x·y + z) and its gradients."""
    x, y, z = (_tensor(array).requires_grad_() for array in (x, y, z))

    def step() -> Sequence[Tensor]:
        x.grad = y.grad = z.grad = None
        total = torch.tanh(x * y + z).sum()
        total.backward()
        return [total, x.grad, y.grad, z.grad]

    return step


def softmax_ce(logits: np.ndarray, target: np.ndarray) -> Step:
    """Cross-entropy and its gradient."""
    logits, target = _tensor(logits).requires_grad_(), _tensor(target)

    def step() -> Sequence[Tensor]:
        logits.grad = None
        loss = functional.cross_entropy(logits, target)
        loss.backward()
        return [loss, logits.grad]

    return step


def attention(
    qkv: Sequence[np.ndarray], gradient: np.ndarray, mask: np.ndarray | None, is_causal: bool
) -> Step:
    """Attention of the heads of (batch, length, heads, size), transposed, and its gradients."""
    leaves = [_tensor(array).transpose(1, 2).requires_grad_() for array in qkv]
    gradient = _tensor(gradient).transpose(1, 2)
    mask = None if mask is None else _tensor(mask)

    def step() -> Sequence[Tensor]:
        for leaf in leaves:
            leaf.grad = None
        y = functional.scaled_dot_product_attention(*leaves, attn_mask=mask, is_causal=is_causal)
        y.backward(gradient)
        return [y, *(leaf.grad for leaf in leaves)]

    return step


def embedding(weight: np.ndarray, ids: np.ndarray, gradient: np.ndarray) -> Step:
    """Rows of a table, and the gradient of the table."""
    weight = _tensor(weight).requires_grad_()
    ids, gradient = _tensor(ids), _tensor(gradient)

    def step() -> Sequence[Tensor]:
        weight.grad = None
        rows = functional.embedding(ids, weight)
        rows.backward(gradient)
        return [rows, weight.grad]

    return step


def sparse_embedding(weight: np.ndarray, ids: np.ndarray, target: np.ndarray) -> Step:
    """A training step of a table with a sparse gradient."""
    layer = nn.Embedding(*weight.shape, sparse=True, _weight=_tensor(weight))
    ids, target = _tensor(ids), _tensor(target)
    optimizer = torch.optim.SparseAdam(layer.parameters(), lr=1e-3)

    def step() -> Sequence[Tensor]:
        optimizer.zero_grad()
        loss = functional.mse_loss(layer(ids), target)
        loss.backward()
        optimizer.step()
        return [loss, layer.weight]

    return step


def adam(parameters: Sequence[Any], gradients: Sequence[Any], fused: bool) -> Step:
    """A step of Adam: PyTorch's default, or its fused kernel."""
    parameters = [_tensor(array).requires_grad_() for array in parameters]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = _tensor(gradient)
    optimizer = Adam(parameters, lr=1e-3, fused=fused or None)

    def step() -> Sequence[Tensor]:
        optimizer.step()
        return parameters

    return step
