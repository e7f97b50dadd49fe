"""Recommenders that go by neighbours, or by pairs of items."""

from minidl.recommend.neighbors.co_clustering import CoClustering
from minidl.recommend.neighbors.ease import EASE
from minidl.recommend.neighbors.item_knn import ItemKNN
from minidl.recommend.neighbors.slope_one import SlopeOne
from minidl.recommend.neighbors.user_knn import UserKNN

__all__ = ["EASE", "CoClustering", "ItemKNN", "SlopeOne", "UserKNN"]
