"""The feed-forward network of founding document 000, and what the document leaves out: training it.

The document defines `Net` in PyTorch.  Below it stands in minidl, line for line: `torch` became
`minidl`, and `view` is called `reshape`.  The document feeds it pictures of 28×28 = 784 pixels;
here it learns the digits that come with minidl, of 8×8 = 64, so the number of inputs is a setting.

Run:  python examples/feed_forward_net.py
"""

import minidl
import minidl.nn as nn
from minidl.data import DataLoader, digits


class Net(nn.Module):
    """Three fully connected layers: inputs → 128 → 64 → 10."""

    def __init__(self, inputs: int = 784) -> None:
        super().__init__()
        self.inputs = inputs
        self.fc1 = nn.Linear(inputs, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x: minidl.Tensor) -> minidl.Tensor:
        """Pictures in, ten scores out: the larger, the likelier."""
        x = x.reshape(-1, self.inputs)
        x = self.fc1(x)
        x = minidl.relu(x)
        x = self.fc2(x)
        x = minidl.relu(x)
        x = self.fc3(x)
        return x


def main() -> None:
    """Show the document's network, and train its smaller twin."""
    minidl.manual_seed(0)
    net = Net()
    print(net)
    print("28×28 pictures give scores of shape", net(minidl.zeros((5, 1, 28, 28))).shape)

    train, test = digits()
    net = Net(inputs=64)
    optimizer = minidl.optim.Adam(net.parameters(), lr=1e-3)
    for epoch in range(1, 21):
        for pictures, labels in DataLoader(train, batch_size=32, shuffle=True):
            loss = minidl.cross_entropy(net(pictures), labels)  # 1–2: forward, and the loss
            optimizer.zero_grad()
            loss.backward()  # 3: from the loss back to every weight
            optimizer.step()  # 4: every weight a little downhill
        if epoch % 5 == 0:
            with minidl.no_grad():
                pictures, labels = test[:]
                right = (net(pictures).argmax(axis=1) == labels).sum().item()
            print(
                f"epoch {epoch:2d}   loss {loss.item():.4f}   {right} of {len(test)} digits right"
            )
    assert right / len(test) > 0.95


if __name__ == "__main__":
    main()
