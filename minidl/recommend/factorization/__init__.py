"""Factorisation: users and items as vectors, whose products are the scores."""

from minidl.recommend.factorization.als import ALS
from minidl.recommend.factorization.implicit_als import ImplicitALS

__all__ = ["ALS", "ImplicitALS"]
