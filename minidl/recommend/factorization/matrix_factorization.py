"""Matrix factorisation by stochastic gradient descent."""

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.recommend.sgd import TIME, sgd_stratum
from minidl.checks import check_flags, name_of
from minidl.recommend.factorization.factors import check_finite, random_table
from minidl.recommend.factorization.rating_factors import Descent
from minidl.recommend.factorization.strata import Strata
from minidl.recommend.interactions import Interactions
from minidl.recommend.progress import track


class MatrixFactorization(Descent):
    """Matrix factorisation of ratings, with biases: r̂ = μ + b_u + b_i + p_u·q_i.

    For each rating, in a shuffled order and with the error e = r − r̂, a step of gradient descent:

        b_u += η·(e − λ·b_u),   p_u += η·(e·q_i − λ·p_u),   and likewise for the item

    which minimises Σ ((r − r̂)² + λ·(b_u² + b_i² + |p_u|² + |q_i|²)) over the ratings.

    factors                    normal at the start, N(0, start_deviation²)
    learning_rate              η
    regularization             λ
    biases                     False: r̂ = p_u·q_i (R. Salakhutdinov, A. Mnih.  Probabilistic matrix
                               factorization.  NeurIPS 2007)

    S. Funk.  Netflix update: Try this at home.  2006.  Y. Koren, R. Bell, C. Volinsky.  Matrix
    factorization techniques for recommender systems.  Computer 42(8), 2009.  Threads work on blocks
    of ratings that share no user and no item, so that any number of them gives the same bits: R.
    Gemulla and others.  Large-scale matrix factorization with distributed stochastic gradient
    descent.  KDD 2011.

    Cost of an epoch for n ratings: 8·n·f flops.  `MatrixFactorizationModule` is the same model on
    the autograd engine.  `predict`, `fold_in`, `partial_fit` and `explain` are those of `ALS` with
    weighted=True, which minimises the same.

    >>> from minidl.recommend import MatrixFactorization
    >>> ratings = [1, 1, 2, 2, 3], ["tea", "rum", "tea", "rum", "tea"], [5, 1, 4, 1, 5]
    >>> model = MatrixFactorization(factors=4).fit(ratings)
    >>> bool(model.predict(3, "rum") < model.predict(3, "tea"))
    True
    """

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.08,
        epochs: int = 40,
        learning_rate: float = 0.007,
        start_deviation: float = 0.1,
        biases: bool = True,
        seed: int = 0,
    ) -> None:
        check_flags(self, biases=biases)
        self.factors, self.regularization, self.epochs = factors, regularization, epochs
        self.learning_rate, self.start_deviation = learning_rate, start_deviation
        self.biases, self.seed = biases, seed
        self._check_descent()

    def _fit(self, data: Interactions) -> None:
        self._check_ratings(data)
        self._prepare(data)
        ratings = data.matrix.tocoo()
        rng = np.random.default_rng(self.seed)
        users, items = (codes.astype(np.int32) for codes in (ratings.row, ratings.col))
        strata = Strata.of(users, items, ratings.data, rng)
        p, q = (
            random_table(codes, size, self.factors, self.start_deviation, rng)
            for codes, size in zip((users, items), ratings.shape, strict=True)
        )
        b_u, b_i = self.user_biases, self.item_biases
        for epoch in track(range(self.epochs), name_of(self)):
            self._epoch(epoch, strata, p, q, b_u, b_i)
            check_finite(self, self.REMEDY, b_u, b_i, p, q)
        self.user_factors, self.item_factors = (t[:, : self.factors].copy() for t in (p, q))

    def _epoch(self, epoch: int, strata: Strata, *parameters: np.ndarray) -> None:
        """Go once through all ratings."""
        n, grid = strata.users.size, strata.grid
        chunks = min(grid, threads.chunks(TIME * self.factors * n / grid))
        rates = map(np.float32, (self.mean, self.learning_rate, self.regularization))
        settings = (*rates, self.biases)
        for stratum in range(grid):
            place = grid, stratum, np.uint64(self.seed), np.uint64((epoch * grid + stratum) * n)
            sgd_stratum(*strata[1:], *parameters, settings, place, chunks)
