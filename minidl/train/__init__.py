"""Trainer: the training loop, with losses, metrics, callbacks and checkpoints."""

from minidl.train import metrics
from minidl.train.callbacks import (
    Averaging,
    Callback,
    Checkpoint,
    EarlyStopping,
    LambdaCallback,
)
from minidl.train.errors import TrainingError
from minidl.train.history import History
from minidl.train.logging_callbacks import HistoryWriter, LearningCurves, TensorStatistics
from minidl.train.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    loss_for,
)
from minidl.train.optimizers import optimizer_for
from minidl.train.plots import confusion_picture, learning_curves
from minidl.train.progress import Progress
from minidl.train.trainer import Trainer

# fmt: off
__all__ = [
    "Averaging", "BinaryCrossEntropy", "Callback", "Checkpoint", "CrossEntropy", "EarlyStopping",
    "History", "HistoryWriter", "Huber", "LambdaCallback", "LearningCurves", "Loss",
    "MeanAbsoluteError", "MeanSquaredError", "Progress", "TensorStatistics", "Trainer",
    "TrainingError", "confusion_picture", "learning_curves", "loss_for", "metrics", "optimizer_for",
]
# fmt: on
