"""The formula of a recurrent network: written out, differentiated by hand, and trained.

The founding documents, the notes that this project began from, state it (002, section 1.3):

    hₜ = tanh(W_hh hₜ₋₁ + W_xh xₜ + b_h)

Below it appears three times: as a loop of elementary operations, which minidl differentiates; with
its gradient derived by hand, backpropagation through time; and as the layer `nn.RNN`.  Values and
gradients agree.  Then it learns to continue a wave.

Run:  python examples/recurrent_formula.py
"""

import numpy as np

import minidl
from minidl import Tensor, nn

T, N, INPUTS, UNITS = 12, 4, 3, 8


def recurrent_network(x: Tensor, w_xh: Tensor, w_hh: Tensor, b_h: Tensor) -> Tensor:
    """All states h₁ … h_T of a batch x (T, N, inputs), from h₀ = 0."""
    h = minidl.zeros((x.shape[1], w_hh.shape[0]), dtype=x.dtype)
    states = []
    for x_t in x:
        h = minidl.tanh(h @ w_hh.T + x_t @ w_xh.T + b_h)
        states.append(h)
    return minidl.stack(states)


def gradients_by_hand(
    dh: np.ndarray, h: np.ndarray, x: np.ndarray, w_xh: np.ndarray, w_hh: np.ndarray
) -> list[np.ndarray]:
    """dx, dW_xh, dW_hh and db_h, from dL/dhₜ of each step: backpropagation through time.

    With aₜ = W_hh hₜ₋₁ + W_xh xₜ + b_h, so that hₜ = tanh aₜ and tanh′ = 1 − tanh²:

        daₜ = (dL/dhₜ + W_hhᵀ daₜ₊₁) · (1 − hₜ²)
        dxₜ = W_xhᵀ daₜ,  dW_xh = Σₜ daₜ xₜᵀ,  dW_hh = Σₜ daₜ hₜ₋₁ᵀ,  db_h = Σₜ daₜ
    """
    da = np.zeros_like(h)
    later = np.zeros_like(h[0])
    for t in reversed(range(T)):
        da[t] = (dh[t] + later) * (1 - h[t] ** 2)
        later = da[t] @ w_hh
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    w_xh_gradient, w_hh_gradient = (np.einsum("tni,tnj->ij", da, y) for y in (x, before))
    return [da @ w_xh, w_xh_gradient, w_hh_gradient, da.sum(axis=(0, 1))]


def compare() -> None:
    """Show that the formula, the derivation and the layer agree."""
    layer = nn.RNN(INPUTS, UNITS, dtype="float64")
    with minidl.no_grad():  # as PyTorch's, layers have two biases, which are added: one is enough
        layer.bias_hh_l0[...] = 0
    w_xh, w_hh, b_h = layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0
    rng = np.random.default_rng(0)
    x = minidl.tensor(rng.normal(size=(T, N, INPUTS)), requires_grad=True)
    dh = rng.normal(size=(T, N, UNITS))  # a different dL/dh for each state

    h = recurrent_network(x, w_xh, w_hh, b_h)
    y, h_n = layer(x)
    report("states", h.numpy(), y.numpy())
    report("the last one", h[-1].numpy(), h_n[0].numpy())

    of_formula, of_layer = (
        minidl.gradients((out * dh).sum(), [x, w_xh, w_hh, b_h]) for out in (h, y)
    )
    derived = gradients_by_hand(dh, *(v.numpy() for v in (h, x, w_xh, w_hh)))
    names = ("dx", "dW_xh", "dW_hh", "db_h")
    for name, one, two, three in zip(names, derived, of_formula, of_layer, strict=True):
        report(f"{name}, by hand", one, two.numpy())
        report(f"{name}, of the layer", three.numpy(), two.numpy())


def report(name: str, a: np.ndarray, b: np.ndarray) -> None:
    """Print the largest difference, and raise if it is more than rounding."""
    difference = float(np.abs(a - b).max())
    print(f"{name:22} {a.shape!s:13} largest difference {difference:.1e}")
    assert difference < 1e-12


class Forecaster(nn.Module):
    """The formula, and a prediction from each state: yₜ = W_hy hₜ + b_y, which is to be xₜ₊₁."""

    def __init__(self) -> None:
        self.w_xh = nn.Parameter(minidl.random.uniform((UNITS, 1), low=-0.5, high=0.5))
        self.w_hh = nn.Parameter(minidl.random.uniform((UNITS, UNITS), low=-0.5, high=0.5))
        self.b_h = nn.Parameter(minidl.zeros(UNITS))
        self.output = nn.Linear(UNITS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Waves (T, N, 1) → what each is expected to be a step later."""
        return self.output(recurrent_network(x, self.w_xh, self.w_hh, self.b_h))


def waves(n: int, steps: int, rng: np.random.Generator) -> Tensor:
    """Waves (steps, n, 1) of one frequency, which begin anywhere."""
    begin = rng.uniform(0, 2 * np.pi, n)
    return minidl.tensor(
        np.sin(begin + 0.5 * np.arange(steps)[:, None])[..., None], dtype="float32"
    )


def learn() -> None:
    """Train the network to predict a wave, and let it go on by itself."""
    minidl.manual_seed(0)
    net, rng = Forecaster(), np.random.default_rng(0)
    optimizer = minidl.optim.Adam(net.parameters(), lr=0.02)
    for step in range(1, 301):
        x = waves(16, 21, rng)
        loss = minidl.mse_loss(net(x[:-1])[4:], x[5:])  # the first steps do not show the phase yet
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}   squared error {loss.item():.5f}")

    known = waves(1, 30, rng)
    with minidl.no_grad():
        x = known[:20]
        for _ in range(10):
            x = minidl.concat([x, net(x)[-1:]])  # each prediction is the next input
    error = float(np.abs(x.numpy() - known.numpy()).max())
    print(f"ten steps by itself    largest error {error:.3f}")
    assert error < 0.2


if __name__ == "__main__":
    compare()
    learn()
