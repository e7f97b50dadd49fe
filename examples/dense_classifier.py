"""The dense classifier of founding document 001 (section 4.1): compile, fit, predict.

The document's program is written with Keras.  It stands below as it is; what changed are its
imports, and, marked so, two numbers: the document's inputs have 1,000 features, of which it does
not say what they are; here they are the 64 pixels of handwritten digits.

    import tensorflow as tf                              from minidl.keras import layers, models
    from tensorflow.keras import layers, models

Run:  python examples/dense_classifier.py
"""

import numpy as np

from minidl.data import digits
from minidl.keras import layers, models
from minidl.keras.utils import set_random_seed, to_categorical


def main() -> None:
    """Train the document's network, and look at what it predicts."""
    set_random_seed(0)
    train, test = digits()
    x_train, x_test = (part.tensors[0].numpy().reshape(-1, 64) for part in (train, test))
    labels = test.tensors[1].numpy()
    y_train = to_categorical(train.tensors[1].numpy())  # class 3 as (0, 0, 0, 1, 0, …)

    # From here on, the document.
    model = models.Sequential()
    model.add(layers.Dense(64, activation="relu", input_shape=(64,)))  # the document: (1000,)
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))

    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])

    model.fit(x_train, y_train, epochs=30, batch_size=32, verbose=0)  # the document: 10 epochs

    predictions = model.predict(x_test)
    # And no further.

    model.summary()
    found = predictions.argmax(axis=1)
    print(f"each row of the predictions adds up to 1: {np.allclose(predictions.sum(axis=1), 1)}")
    print(f"{(found == labels).sum()} of {len(labels)} digits are recognised")
    assert (found == labels).mean() > 0.95


if __name__ == "__main__":
    main()
