"""The error of training."""

from minidl.errors import MinidlError


class TrainingError(MinidlError, ArithmeticError):
    """The loss or the weights have become NaN or infinite.

    >>> model, x = nn.Linear(1, 1), minidl.ones((4, 1))
    >>> trainer = minidl.train.Trainer(model, optim.SGD(model.parameters(), lr=1e30), "mse")
    >>> try:
    ...     _ = trainer.fit((x, 1e9 * x), epochs=5)
    ... except minidl.train.TrainingError as error:
    ...     print(str(error).split(".")[0])
    fit: the loss is inf in epoch 1, batch 0 (step 1)
    """
