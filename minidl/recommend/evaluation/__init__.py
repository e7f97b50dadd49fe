"""The evaluation of recommenders: splits, metrics, comparisons, and a search for settings."""

from minidl.recommend.evaluation import metrics
from minidl.recommend.evaluation.evaluate import Evaluation, evaluate
from minidl.recommend.evaluation.splits import (
    Split,
    k_fold,
    leave_last_out,
    random_split,
    time_split,
)

# fmt: off
__all__ = [
    "Evaluation", "Split", "evaluate", "k_fold", "leave_last_out", "metrics", "random_split",
    "time_split",
]
# fmt: on
