"""Recommenders: from who met what, and how it was liked, to what they may like next."""

from minidl.recommend.baselines import Biases, GlobalMean, Popularity
from minidl.recommend.content import ContentBased
from minidl.recommend.evaluation import Evaluation, evaluate
from minidl.recommend.factorization import ALS, ImplicitALS
from minidl.recommend.factorization.pairwise import BPR, WARP
from minidl.recommend.hybrid import Hybrid
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions
from minidl.recommend.ranking import Ranking, Scored
from minidl.recommend.recommender import Explanation, Recommender, load

# fmt: off
__all__ = [
    "ALS", "BPR", "WARP", "Biases", "ContentBased", "Evaluation", "Explanation", "GlobalMean",
    "Hybrid", "Ids", "ImplicitALS", "Interactions", "Popularity", "Ranking", "Recommender",
    "Scored", "evaluate", "load",
]
# fmt: on
