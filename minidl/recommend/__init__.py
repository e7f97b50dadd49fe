"""Recommenders: from who met what, and how it was liked, to what they may like next."""

from minidl.recommend import weighting
from minidl.recommend.baselines import Biases, GlobalMean, Popularity
from minidl.recommend.content import ContentBased
from minidl.recommend.evaluation import Evaluation, compare, cross_validate, evaluate, search
from minidl.recommend.factorization import (
    ALS,
    NMF,
    ImplicitALS,
    MatrixFactorization,
    PureSVD,
    SVDpp,
)
from minidl.recommend.factorization.pairwise import BPR, WARP
from minidl.recommend.hybrid import Hybrid
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions
from minidl.recommend.neighbors import EASE, CoClustering, ItemKNN, SlopeOne, UserKNN
from minidl.recommend.neural import DeepFM, FactorizationMachine, GRU4Rec, NeuMF, SASRec, TwoTower
from minidl.recommend.ranking import Ranking, Scored
from minidl.recommend.recommender import Explanation, Recommender, load

# fmt: off
__all__ = [
    "ALS", "BPR", "EASE", "NMF", "WARP", "Biases", "CoClustering", "ContentBased", "DeepFM",
    "Evaluation", "Explanation", "FactorizationMachine", "GRU4Rec", "GlobalMean", "Hybrid", "Ids",
    "ImplicitALS", "Interactions", "ItemKNN", "MatrixFactorization", "NeuMF", "Popularity",
    "PureSVD", "Ranking", "Recommender", "SASRec", "SVDpp", "Scored", "SlopeOne", "TwoTower",
    "UserKNN", "compare", "cross_validate", "evaluate", "load", "search", "weighting",
]
# fmt: on
