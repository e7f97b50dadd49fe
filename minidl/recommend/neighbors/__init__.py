"""Recommenders that go by neighbours, or by pairs of items."""

from minidl.recommend.neighbors.item_knn import ItemKNN
from minidl.recommend.neighbors.user_knn import UserKNN

__all__ = ["ItemKNN", "UserKNN"]
