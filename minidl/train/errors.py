"""What goes wrong in training."""

from minidl.errors import MinidlError


class TrainingError(MinidlError, ArithmeticError):
    """Training that has run into NaN or infinity, and would only go on to spoil the weights."""
