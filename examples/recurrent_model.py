"""A recurrent network as a subclass of Keras's Model, which counts the ones in a sequence.

The class is the one of many tutorials, with its imports changed.  It returns the outputs of all
steps and the last state, so that a long sequence can be read in pieces: the state of one piece is
where the next begins.
"""

import numpy as np

from minidl import keras


class RNN(keras.Model):
    """A simple recurrent network: (N, T, in), states → (N, T, units), states."""

    def __init__(self, units: int) -> None:
        super(RNN, self).__init__()  # noqa: UP008 (as tutorials write it)
        self.rnn = keras.layers.SimpleRNN(units, return_sequences=True, return_state=True)

    def call(self, inputs, states=None):  # noqa: ANN001, ANN201, D102
        outputs, states = self.rnn(inputs, initial_state=states)
        return outputs, states


class Counter(keras.Model):
    """How many ones there were up to each step: (N, T, 1) → (N, T, 1)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.rnn = RNN(units)
        self.count = keras.layers.Dense(1)

    def call(self, inputs):  # noqa: ANN001, ANN201, D102
        outputs, _ = self.rnn(inputs)
        return self.count(outputs)


def sequences(number: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random zeros and ones, and how many ones there were up to each step."""
    ones = np.random.default_rng(seed).integers(0, 2, (number, steps, 1)).astype("float32")
    return ones, ones.cumsum(axis=1)


def main() -> None:
    """Train the counter, and read a sequence in two pieces."""
    keras.utils.set_random_seed(0)
    model = Counter(16)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    x, y = sequences(512, 10, seed=0)
    model.fit(x, y, epochs=15, batch_size=32, verbose=0)
    model.summary()

    x_test, y_test = sequences(128, 10, seed=1)
    _, error = model.evaluate(x_test, y_test)
    print(f"The counts of new sequences are off by {error:.2f} on average.")

    whole, last = model.rnn(x_test)
    _, states = model.rnn(x_test[:, :5])
    second_half, states = model.rnn(x_test[:, 5:], states)
    same = np.allclose(whole[:, 5:], second_half, atol=1e-6) and np.allclose(
        last, states, atol=1e-6
    )
    print(f"Read in two pieces, the outputs are {'the same' if same else 'different'}.")


if __name__ == "__main__":
    main()
