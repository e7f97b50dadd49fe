"""Factorisation: users and items as vectors, whose products are the scores."""

from minidl.recommend.factorization.als import ALS
from minidl.recommend.factorization.implicit_als import ImplicitALS
from minidl.recommend.factorization.matrix_factorization import MatrixFactorization
from minidl.recommend.factorization.module import MatrixFactorizationModule
from minidl.recommend.factorization.nmf import NMF
from minidl.recommend.factorization.pairwise import BPR, WARP
from minidl.recommend.factorization.pure_svd import PureSVD
from minidl.recommend.factorization.svdpp import SVDpp

# fmt: off
__all__ = [
    "ALS", "BPR", "NMF", "WARP", "ImplicitALS", "MatrixFactorization", "MatrixFactorizationModule",
    "PureSVD", "SVDpp",
]
# fmt: on
