"""The evaluation of recommenders: splits, metrics, comparisons, and a search for settings."""

from minidl.recommend.evaluation import metrics
from minidl.recommend.evaluation.comparison import Comparison, compare
from minidl.recommend.evaluation.cross_validation import CrossValidation, Spread, cross_validate
from minidl.recommend.evaluation.evaluate import Evaluation, evaluate
from minidl.recommend.evaluation.search import Search, Trial, search
from minidl.recommend.evaluation.splits import (
    Split,
    k_fold,
    leave_last_out,
    random_split,
    time_split,
)

# fmt: off
__all__ = [
    "Comparison", "CrossValidation", "Evaluation", "Search", "Split", "Spread", "Trial", "compare",
    "cross_validate", "evaluate", "k_fold", "leave_last_out", "metrics", "random_split", "search",
    "time_split",
]
# fmt: on
