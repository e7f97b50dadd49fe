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
from minidl.train.plots import learning_curves, plot_confusion_matrix
from minidl.train.progress import Progress
from minidl.train.trainer import Trainer

# fmt: off
__all__ = [
    "Averaging", "BinaryCrossEntropy", "Callback", "Checkpoint", "CrossEntropy", "EarlyStopping",
    "History", "HistoryWriter", "Huber", "LambdaCallback", "LearningCurves", "Loss",
    "MeanAbsoluteError", "MeanSquaredError", "Progress", "TensorStatistics", "Trainer",
    "TrainingError", "learning_curves", "loss_for", "metrics", "optimizer_for",
    "plot_confusion_matrix",
]
# fmt: on
