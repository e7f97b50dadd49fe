"""The convolutional network of founding document 003 (section 4, item 1), line for line.

The document's program is written with Keras.  Each of its lines stands below as a comment, above
what it is in minidl.  Where the two differ:

- Keras has the channels of a picture last, (28, 28, 1); here, as in PyTorch, they come first.
- An activation is a layer of its own; and a layer is told the size of its input.
- There is no softmax at the end: the loss takes the scores before it ("logits"), because the
  logarithm of a softmax that has rounded to 0 would be infinite.
- Class numbers are all that `cross_entropy` needs to be the "sparse" one.
- Weights begin as PyTorch's do, uniform in ±1/√(inputs); Keras's begin a little larger.

It learns the digits that come with minidl, of 8×8 pixels, in seconds; or what the document's
28×28 are for, MNIST or Fashion-MNIST, in minutes.

Run:  python examples/convolutional_net.py
      python examples/convolutional_net.py --data fashion-mnist
"""

import argparse

import minidl
from minidl import nn
from minidl.data import DataLoader, digits, fashion_mnist, mnist
from minidl.train import accuracy, train_epoch


def network(channels: int, height: int, width: int) -> nn.Sequential:
    """Build the document's network for pictures of this shape."""
    # Each convolution costs a picture two rows and two columns, and each pooling halves it:
    # 28 → 26 → 13 → 11 → 5, but 8 → 6 → 3 → 1 → 0.  So small ones get zeros around them.
    padding = 0 if min(height, width) >= 10 else 1

    # model = Sequential()
    model = nn.Sequential()
    # model.add(Conv2D(32, (3, 3), activation='relu', input_shape=(28, 28, 1)))
    model.append(nn.Conv2d(channels, 32, (3, 3), padding=padding))
    model.append(nn.ReLU())
    # model.add(MaxPooling2D((2, 2)))
    model.append(nn.MaxPool2d((2, 2)))
    # model.add(Conv2D(64, (3, 3), activation='relu'))
    model.append(nn.Conv2d(32, 64, (3, 3), padding=padding))
    model.append(nn.ReLU())
    # model.add(MaxPooling2D((2, 2)))
    model.append(nn.MaxPool2d((2, 2)))
    # model.add(Flatten())
    model.append(nn.Flatten())
    # model.add(Dense(128, activation='relu'))
    features = model(minidl.zeros((1, channels, height, width))).shape[1]
    model.append(nn.Linear(features, 128))
    model.append(nn.ReLU())
    # model.add(Dense(10, activation='softmax'))
    model.append(nn.Linear(128, 10))
    return model


def main() -> None:
    """Train the network, and test it after each epoch."""
    loaders = {"digits": digits, "mnist": mnist, "fashion-mnist": fashion_mnist}
    parser = argparse.ArgumentParser(description="Train a convolutional network.")
    parser.add_argument("--data", choices=list(loaders), default="digits")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()

    minidl.manual_seed(0)
    train, test = loaders[options.data]()
    pictures, _ = train[:1]
    model = network(*pictures.shape[1:])
    nn.summary(model, pictures.shape)

    # model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
    optimizer = minidl.optim.Adam(model.parameters())

    # model.fit(x_train, y_train, epochs=10, batch_size=32, validation_data=(x_test, y_test))
    for epoch in range(1, options.epochs + 1):
        loss = train_epoch(model, optimizer, DataLoader(train, batch_size=32, shuffle=True))
        right = accuracy(model, DataLoader(test, batch_size=500))
        print(f"epoch {epoch:2d}   loss {loss:.4f}   {right:.2%} of {len(test)} others right")


if __name__ == "__main__":
    main()
