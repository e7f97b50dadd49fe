"""`nn.summary` of sequences: how many samples a batch has, whose work is counted for each."""

import pytest

import minidl
from minidl import nn


@pytest.fixture(autouse=True)
def _uncompiled():
    """Shapes are the same without kernels, and need no compiler."""
    with minidl.kernels("reference"):
        yield


TIME_MAJOR = [
    (lambda: nn.LSTM(3, 5), (7, 2, 3), 2),
    (lambda: nn.LSTM(3, 5, batch_first=True), (2, 7, 3), 2),
    (lambda: nn.GRU(3, 5), (7, 3), 1),
    (lambda: nn.TransformerEncoderLayer(4, 2, 8), (7, 2, 4), 2),
    (lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (2, 7, 4), 2),
    (lambda: nn.Sequential(nn.Linear(4, 3), nn.RNN(3, 5)), (7, 2, 4), 2),
]


@pytest.mark.parametrize(("make", "shape", "samples"), TIME_MAJOR)
def test_the_work_is_that_of_each_sample_of_a_time_major_batch(make, shape, samples):
    model = make()
    done = []
    for module in model.modules():
        count = module.multiply_adds
        vars(module)["multiply_adds"] = lambda *call, count=count: (
            done.append(count(*call)) or (done[-1])
        )
    found = nn.summary(model, shape)
    assert found.multiply_adds * samples == sum(done) > 0


def test_a_model_may_make_sequences_time_major_itself():
    class Tagger(nn.Module):
        def __init__(self):
            self.rnn = nn.RNN(3, 5)

        def forward(self, x):
            return self.rnn(minidl.moveaxis(x, 0, 1))[0]

    assert nn.summary(Tagger(), (2, 7, 3)).multiply_adds == 7 * 5 * (3 + 5)
