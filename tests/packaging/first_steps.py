"""A program that trains networks for one step, and may compile nothing for it."""

import sys

import minidl
from minidl import nn
from minidl.backends.kernels.runtime import machine_code
from minidl.data import digits

NETWORKS = {
    "mlp": nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 10)
    ),
    "cnn": nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10)),
    ),
}

train, _ = digits()
images, labels = train[:64]
for net in NETWORKS.values():
    optimizer = minidl.optim.Adam(net.parameters(), lr=0.001)
    minidl.cross_entropy(net(images), labels).backward()
    optimizer.step()
library = machine_code.library()
assert library.handle, library.why_not
assert "numba" not in sys.modules
assert "llvmlite.binding" not in sys.modules
print(minidl.__file__)
