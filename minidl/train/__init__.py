"""Training."""

from minidl.train.classify import accuracy, train_epoch

__all__ = ["accuracy", "train_epoch"]
