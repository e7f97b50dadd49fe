"""Neural recommenders: modules of minidl.nn, trained by its optimisers on any device."""

from minidl.recommend.neural.neumf import NeuMF
from minidl.recommend.neural.sequence import GRU4Rec, SASRec

# fmt: off
__all__ = [
    "GRU4Rec", "NeuMF", "SASRec",
]
# fmt: on
