"""A dense classifier in Keras's three steps: compile, fit, predict.

The program comes from the founding documents, the notes that this project began from (001, section
4.1), and was written for Keras.  Only its imports and two numbers have changed, marked below: the
notes have 1,000 unspecified input features; here they are the 64 pixels of handwritten digits.

    import tensorflow as tf                              from minidl.keras import layers, models
    from tensorflow.keras import layers, models

Run:  python examples/dense_classifier.py
"""

import numpy as np

from minidl.data import digits
from minidl.keras import layers, models
from minidl.keras.utils import set_random_seed, to_categorical


def main() -> None:
    """Train the network, and look at its predictions."""
    set_random_seed(0)
    train, test = digits()
    x_train, x_test = (part.tensors[0].numpy().reshape(-1, 64) for part in (train, test))
    labels = test.tensors[1].numpy()
    y_train = to_categorical(train.tensors[1].numpy())  # class 3 as (0, 0, 0, 1, 0, …)

    # Here the program of the notes begins.
    model = models.Sequential()
    model.add(layers.Dense(64, activation="relu", input_shape=(64,)))  # the notes: (1000,)
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))

    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])

    model.fit(x_train, y_train, epochs=30, batch_size=32, verbose=0)  # the notes: 10 epochs

    predictions = model.predict(x_test)
    # Here it ends.

    model.summary()
    predicted = predictions.argmax(axis=1)
    print(f"each row of the predictions sums to 1: {np.allclose(predictions.sum(axis=1), 1)}")
    print(f"{(predicted == labels).sum()} of {len(labels)} digits are recognised")
    assert (predicted == labels).mean() > 0.95


if __name__ == "__main__":
    main()
