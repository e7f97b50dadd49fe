"""Programs: models trained on device "cuda" lose what they lose on the CPU, step by step."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim

STEPS = 20


def _images(count=8):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, 3, 12, 12)).astype("float32")
    return x, rng.integers(0, 5, count)


def _sequences(count=6, length=7):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, length, 16)).astype("float32")
    return x, rng.integers(0, 5, count)


class _LastStep(nn.Module):
    """A recurrent layer, and a classifier of its last output."""

    def __init__(self, layer):
        self.layer, self.classify = layer, nn.Linear(12, 5)

    def forward(self, x):
        return self.classify(self.layer(x)[0][:, -1])


class _Transformer(nn.Module):
    """An encoder layer, and a classifier of the mean."""

    def __init__(self):
        self.encoder = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
        self.classify = nn.Linear(16, 5)

    def forward(self, x):
        return self.classify(self.encoder(x).mean(axis=1))


def _mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 20), nn.ReLU(), nn.Linear(20, 5))


def _cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 16, 1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(144, 5),
    )


MODELS = {
    "mlp": (_mlp, _images),
    "cnn": (_cnn, _images),
    "rnn": (lambda: _LastStep(nn.RNN(16, 12, batch_first=True)), _sequences),
    "lstm": (lambda: _LastStep(nn.LSTM(16, 12, batch_first=True)), _sequences),
    "gru": (lambda: _LastStep(nn.GRU(16, 12, batch_first=True)), _sequences),
    "transformer": (_Transformer, _sequences),
}


def _losses(name, device, optimizer):
    make, data = MODELS[name]
    minidl.manual_seed(0)
    model = make().to(device)
    x, y = (minidl.tensor(a, device=device) for a in data())
    step = optimizer(model.parameters())
    losses = []
    for _ in range(STEPS):
        step.zero_grad()
        loss = minidl.cross_entropy(model(x), y)
        loss.backward()
        step.step()
        losses.append(loss)
    return [float(loss) for loss in losses]


@pytest.mark.parametrize(
    "optimizer",
    [lambda p: optim.AdamW(p, lr=1e-3), lambda p: optim.SGD(p, lr=0.05, momentum=0.9)],
    ids=["AdamW", "SGD"],
)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_as_on_the_cpu(name, optimizer, launches):
    on_cpu = _losses(name, "cpu", optimizer)
    launches.clear()
    on_gpu = _losses(name, "cuda", optimizer)
    assert sum(launches.values()) > STEPS
    assert on_gpu[-1] < on_gpu[0]
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4, rtol=1e-4)
