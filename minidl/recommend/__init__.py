"""Recommenders: from who met what, and how it was liked, to what they may like next."""

from minidl.recommend.baselines import Biases, GlobalMean, Popularity
from minidl.recommend.evaluation import compare, cross_validate, evaluate, search
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions
from minidl.recommend.ranking import Ranking, Scored
from minidl.recommend.recommender import Explanation, Recommender, load

# fmt: off
__all__ = [
    "Biases", "Explanation", "GlobalMean", "Ids", "Interactions", "Popularity",
    "Ranking", "Recommender", "Scored", "compare", "cross_validate", "evaluate",
    "load", "search",
]
# fmt: on
