"""Factorisation: users and items as vectors, whose products are the scores."""

from minidl.recommend.factorization.als import ALS
from minidl.recommend.factorization.implicit_als import ImplicitALS
from minidl.recommend.factorization.pairwise import BPR, WARP

__all__ = ["ALS", "BPR", "WARP", "ImplicitALS"]
