"""Programs as users write them, with the types that a type checker should infer.

`tests/house/test_types.py` runs every function, and runs mypy over this file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_type

import numpy as np

import minidl
from minidl import Tensor, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.train import EarlyStopping, Trainer


def arithmetic(folder: Path) -> None:
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert_type(x, Tensor)
    assert_type(x + 1, Tensor)
    assert_type(2.0 - x, Tensor)
    assert_type(x * np.float32(2), Tensor)
    assert_type(x * np.ones(2, "float32"), Tensor)
    assert_type(x @ x, Tensor)
    assert_type(-(x**2) / 3, Tensor)
    assert_type(abs(x) // 2 % 3, Tensor)
    assert_type(x == x, Tensor)
    assert_type((x > 1) & ~(x != 2), Tensor)
    assert_type(x.T, Tensor)
    assert_type(x.mT, Tensor)
    x += 1
    x[0] = 0.0
    assert_type(x, Tensor)


def operations(folder: Path) -> None:
    x = minidl.ones((2, 3))
    assert_type(minidl.add(x, 1), Tensor)
    assert_type(minidl.exp(x), Tensor)
    assert_type(minidl.softmax(x, axis=-1), Tensor)
    assert_type(minidl.where(x > 0, x, 0.0), Tensor)
    assert_type(minidl.linear(x, minidl.ones((4, 3))), Tensor)
    assert_type(minidl.concat([x, x], axis=1), Tensor)
    values, indices = minidl.topk(x, 2)
    assert_type(values, Tensor)
    assert_type(indices, Tensor)
    assert_type(minidl.unstack(x), tuple[Tensor, ...])
    assert_type(minidl.broadcast_arrays(x, x), list[Tensor])


def indexing(folder: Path) -> None:
    x = minidl.arange(12).reshape(3, 4)
    assert_type(x, Tensor)
    assert_type(x[0], Tensor)
    assert_type(x[:, 1:3], Tensor)
    assert_type(x[..., None], Tensor)
    assert_type(x[x > 2], Tensor)
    assert_type(x[minidl.tensor([0, 2])], Tensor)
    assert_type(len(x), int)
    for row in x:
        assert_type(row, Tensor)


def reductions(folder: Path) -> None:
    x = minidl.ones((2, 3))
    assert_type(x.sum(), Tensor)
    assert_type(x.mean(axis=0, keepdims=True), Tensor)
    assert_type(x.std(axis=(0, 1)), Tensor)
    assert_type(x.argmax(axis=-1), Tensor)
    assert_type(x.astype("float64").max(), Tensor)
    assert_type(float(x.sum()), float)
    assert_type(bool((x > 0).all()), bool)
    assert_type(x.shape, tuple[int, ...])
    numbers: list[float] = x.sum(axis=0).tolist()
    assert len(numbers) == 3


def gradients(folder: Path) -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    assert_type(x.requires_grad_(), Tensor)
    assert_type(x.detach(), Tensor)
    y = (x**2).sum()
    y.backward()
    numbers: np.ndarray = x.grad.numpy()  # without a check for None
    assert numbers.shape == (2,)
    assert x.grad.tolist() == [2.0, 4.0]
    with minidl.no_grad():
        x -= 0.1 * x.grad

    def cube(x: Tensor) -> Tensor:
        return x**3

    slope: Tensor = minidl.grad(cube)(minidl.tensor(2.0))
    value, pullback = minidl.vjp(cube, minidl.tensor(2.0))
    assert_type(pullback(minidl.tensor(1.0)), tuple[Tensor, ...])
    (dx,) = minidl.gradients((x**2).sum(), [x])
    assert dx.shape == x.shape  # without a check for None
    assert slope.item() == 12.0
    assert float(value) == 8.0


def own_operation(folder: Path) -> None:
    @minidl.primitive
    def softsign(xp: Any, x: Any, /) -> Any:
        return x / (1 + xp.abs(x)), lambda dy: dy / (1 + xp.abs(x)) ** 2

    @minidl.primitive(outputs=2)
    def both(xp: Any, x: Any, /, *, scale: float = 2.0) -> Any:
        return (x * scale, x + scale), lambda dy, dz: dy * scale + dz

    @minidl.composite
    def norm(xp: Any, x: Any, /) -> Any:
        return xp.sqrt(xp.sum(x * x))

    x = minidl.tensor([3.0, 4.0])
    assert_type(softsign(x), Tensor)
    assert_type(norm(x), Tensor)
    assert_type(both(x, scale=3.0), tuple[Tensor, ...])


def training_loop(folder: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    x, labels = minidl.ones((6, 4)), minidl.arange(6) % 3
    for _ in range(2):
        loss = minidl.cross_entropy(net(x), labels)
        assert_type(loss, Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    with minidl.no_grad():
        predicted: Tensor = net(x).argmax(axis=1)
    assert (predicted == labels).mean().item() <= 1.0


class Net(nn.Module):
    """A module of a user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.scale = nn.Parameter(minidl.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        assert_type(self.hidden, nn.Linear)
        assert_type(self.scale * 2, Tensor)
        return minidl.relu(self.hidden(x)) * self.scale


def own_module(folder: Path) -> None:
    net = Net()
    y: Tensor = net(minidl.ones((2, 4)))
    y.sum().backward()
    for name, parameter in net.named_parameters():
        assert_type(name, str)
        assert parameter.grad.shape == parameter.shape


def loading(folder: Path) -> None:
    data = TensorDataset(minidl.ones((10, 4)), minidl.arange(10) % 3)
    for x, labels in DataLoader(data, batch_size=5, shuffle=True):
        total: Tensor = (x * 2).sum() + labels.sum()
        assert total.item() >= 40


def trainer(folder: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    data = TensorDataset(minidl.ones((10, 4)), minidl.arange(10) % 3)
    trainer = Trainer(
        net,
        optim.SGD(net.parameters(), lr=0.1),
        "cross_entropy",
        metrics=["accuracy"],
        callbacks=[EarlyStopping(patience=5)],
    )
    trainer.fit(DataLoader(data, 5), epochs=2, validation_data=data)
    assert trainer.predict(data).shape == (10, 3)


def saving(folder: Path) -> None:
    net = nn.Linear(2, 2)
    minidl.io.save(folder / "net.safetensors", net.state_dict())
    net.load_state_dict(minidl.io.load(folder / "net.safetensors"))


PROGRAMS: list[Callable[[Path], None]] = [
    arithmetic,
    operations,
    indexing,
    reductions,
    gradients,
    own_operation,
    training_loop,
    own_module,
    loading,
    trainer,
    saving,
]
