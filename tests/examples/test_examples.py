"""The examples, run as a reader would run them; each checks itself."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
EXAMPLES = [path for path in EXAMPLES if path.stem != "own_gpu_kernels"]  # tests/cuda runs it
ARGUMENTS = {"convolutional_net": ["--epochs", "2"], "neighbours_to_neural": ["--quick"]}


def films() -> minidl.data.Ratings:
    """Made-up ratings in the place of MovieLens, which may not be shipped."""
    users, items, stars, times = minidl.data.synthetic_interactions(3000, 60, 50)
    known = np.unique(items)
    titles = minidl.data.Features(known, {"title": [f"Film {item}" for item in known]})
    return minidl.data.Ratings(users, items, stars, times, item_features=titles)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(minidl.data, "movielens_100k", films)
    monkeypatch.setattr(sys, "argv", [str(path), *ARGUMENTS.get(path.stem, [])])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    assert not list(tmp_path.iterdir())


# From the notes that this project began from (000, section 1.4).  Two imports changed, and `view`,
# which is `reshape` here.
NET = """
import minidl as torch
import minidl.nn as nn

class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x):
        x = x.reshape(-1, 784)
        x = self.fc1(x)
        x = torch.relu(x)
        x = self.fc2(x)
        x = torch.relu(x)
        x = self.fc3(x)
        return x

net = Net()
"""


def test_the_network_of_the_notes_is_made_and_used():
    names = {}
    exec(compile(NET, "notes 000", "exec"), names)
    scores = names["net"](minidl.ones((5, 1, 28, 28)))
    assert scores.shape == (5, 10)
    scores.sum().backward()
    assert all(p.grad is not None for p in names["net"].parameters())
    assert list(names["net"].state_dict()) == [
        f"fc{i}.{name}" for i in (1, 2, 3) for name in ("weight", "bias")
    ]
