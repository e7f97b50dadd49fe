"""A feed-forward network, and a training loop for it.

The founding documents, the notes that this project began from, define `Net` in PyTorch (000,
section 1.4) and do not train it.  Below it is written in minidl, line by line: `torch` became
`minidl`, and `view` is called `reshape`.  The notes use images of 28×28 = 784 pixels; the digits
that come with minidl have 8×8 = 64, so the number of inputs is an argument.

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
        """Images (N, …) → logits (N, 10)."""
        x = x.reshape(-1, self.inputs)
        x = self.fc1(x)
        x = minidl.relu(x)
        x = self.fc2(x)
        x = minidl.relu(x)
        x = self.fc3(x)
        return x


def main() -> None:
    """Show the network of the notes, and train one for smaller images."""
    minidl.manual_seed(0)
    net = Net()
    print(net)
    print("28×28 images give logits of shape", net(minidl.zeros((5, 1, 28, 28))).shape)

    train, test = digits()
    net = Net(inputs=64)
    optimizer = minidl.optim.Adam(net.parameters(), lr=1e-3)
    for epoch in range(1, 21):
        for images, labels in DataLoader(train, batch_size=32, shuffle=True):
            loss = minidl.cross_entropy(net(images), labels)  # 1–2: the forward pass and the loss
            optimizer.zero_grad()
            loss.backward()  # 3: backpropagation: the gradient of the loss for every weight
            optimizer.step()  # 4: update every weight
        if epoch % 5 == 0:
            with minidl.no_grad():
                correct = 0
                for images, labels in DataLoader(test, batch_size=100):
                    correct += (net(images).argmax(axis=1) == labels).sum().item()
            print(f"epoch {epoch:2d}   loss {loss.item():.4f}   {correct} of {len(test)} correct")
    assert correct / len(test) > 0.95


if __name__ == "__main__":
    main()
