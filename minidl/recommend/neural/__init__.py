"""Neural recommenders: modules of minidl.nn, trained by its optimisers on any device."""

from minidl.recommend.neural.deepfm import DeepFM
from minidl.recommend.neural.fm import FactorizationMachine
from minidl.recommend.neural.neumf import NeuMF
from minidl.recommend.neural.sequence import GRU4Rec, SASRec
from minidl.recommend.neural.two_tower import TwoTower

# fmt: off
__all__ = [
    "DeepFM", "FactorizationMachine", "GRU4Rec", "NeuMF", "SASRec", "TwoTower",
]
# fmt: on
