"""Recommenders: from who met what, and how it was liked, to what they may like next."""

from minidl.recommend.baselines import (Biases, GlobalMean, Popularity)
from minidl.recommend.evaluation import (Evaluation, compare, cross_validate, evaluate, search)
from minidl.recommend.factorization import (ALS, ImplicitALS)
from minidl.recommend.factorization.pairwise import (BPR, WARP)
from minidl.recommend.ids import (Ids)
from minidl.recommend.interactions import (Interactions)
from minidl.recommend.ranking import (Ranking, Scored)
from minidl.recommend.recommender import (Explanation, Recommender, load)

# fmt: off
__all__ = [
    "ALS", "BPR", "WARP", "Biases", "Evaluation", "Explanation", "GlobalMean", "Ids", "ImplicitALS",
    "Interactions", "Popularity", "Ranking", "Recommender", "Scored", "compare", "cross_validate",
    "evaluate", "load", "search",
]
# fmt: on
