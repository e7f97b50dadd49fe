"""Recommenders: from who met what, and how it was liked, to what they may like next."""

from minidl.recommend import weighting
from minidl.recommend.baselines import Biases, GlobalMean, Popularity
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions
from minidl.recommend.neighbors import EASE, CoClustering, ItemKNN, SlopeOne, UserKNN
from minidl.recommend.ranking import Ranking, Scored
from minidl.recommend.recommender import Explanation, Recommender, load

# fmt: off
__all__ = [
    "EASE", "Biases", "CoClustering", "Explanation", "GlobalMean", "Ids", "Interactions", "ItemKNN",
    "Popularity", "Ranking", "Recommender", "Scored", "SlopeOne", "UserKNN", "load", "weighting",
]
# fmt: on
