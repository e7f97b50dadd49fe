"""A convolutional network, written with Keras and run with minidl.

The program comes from the founding documents, the notes that this project began from (003, section
4, item 1).  It was written for Keras, and runs unchanged but for its imports:

    import tensorflow as tf
    from tensorflow.keras.models import Sequential       from minidl.keras.models import Sequential
    from tensorflow.keras.layers import Conv2D, …        from minidl.keras.layers import Conv2D, …

As in Keras, images have their channels last, (28, 28, 1), and the network ends in a softmax.  The
loss is nevertheless computed from the logits, since the logarithm of a softmax that has rounded to
0 would be infinite; `predict` returns probabilities.

`minidl.models.CNN` is the same network in minidl's own layers, with the channels first.

It learns the digits that come with minidl in seconds.  These have 8×8 pixels, and are padded, since
the convolutions and poolings would otherwise leave nothing of them: 8 → 6 → 3 → 1 → 0.  It learns
MNIST or Fashion-MNIST, with the 28×28 pixels that the notes had in mind, in minutes.

Run:  python examples/convolutional_net.py
      python examples/convolutional_net.py --data fashion-mnist
"""

import argparse

from minidl.data import digits, fashion_mnist, mnist
from minidl.keras.layers import Conv2D, Dense, Flatten, MaxPooling2D
from minidl.keras.models import Sequential
from minidl.keras.utils import set_random_seed


def network(side: int) -> Sequential:
    """Build the network for images of this size."""
    padding = "valid" if side >= 10 else "same"
    model = Sequential()
    model.add(Conv2D(32, (3, 3), activation="relu", input_shape=(side, side, 1), padding=padding))
    model.add(MaxPooling2D((2, 2)))
    model.add(Conv2D(64, (3, 3), activation="relu", padding=padding))
    model.add(MaxPooling2D((2, 2)))
    model.add(Flatten())
    model.add(Dense(128, activation="relu"))
    model.add(Dense(10, activation="softmax"))
    return model


def main() -> None:
    """Train the network, and evaluate it on the test images after each epoch."""
    loaders = {"digits": digits, "mnist": mnist, "fashion-mnist": fashion_mnist}
    parser = argparse.ArgumentParser(description="Train a convolutional network.")
    parser.add_argument("--data", choices=list(loaders), default="digits")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()

    set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = (
        [tensor.numpy() for tensor in part.tensors] for part in loaders[options.data]()
    )
    x_train, x_test = (x.transpose(0, 2, 3, 1) for x in (x_train, x_test))  # channels last

    model = network(x_train.shape[1])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.summary()
    model.fit(
        x_train, y_train, epochs=options.epochs, batch_size=32, validation_data=(x_test, y_test)
    )
    predicted = model.predict(x_test).argmax(axis=1)
    print(f"{(predicted == y_test).mean():.2%} of {len(y_test)} test images are recognised")


if __name__ == "__main__":
    main()
