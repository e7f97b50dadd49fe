"""ALS for ratings: regularised least squares over the pairs that were rated."""

from minidl.checks import check_flags
from minidl.recommend.factorization.rating_factors import RatingFactors


class ALS(RatingFactors):
    """Matrix factorisation of ratings by alternating least squares: r̂ = μ + b_u + b_i + p_u·q_i.

    It minimises Σ (r − r̂)² + Σ_u λ_u·(|p_u|² + b_u²) + Σ_i λ_i·(|q_i|² + b_i²) over the pairs that
    were rated.  With the items fixed, p_u and b_u solve a linear problem together, whose features
    are (q_i, 1); then items likewise.

    biases      False: r̂ = p_u·q_i, as in Zhou et al.
    weighted    λ_u = regularization·n_u, for n_u ratings of the user, and λ_i likewise: ALS-WR;
                False: λ = regularization
    solver      "cholesky": each half-step is solved exactly; "cg": by `cg_steps` steps of conjugate
                gradients from the factors of the epoch before

    Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan.  Large-scale parallel collaborative filtering for
    the Netflix Prize.  AAIM 2008.  Y. Koren, R. Bell, C. Volinsky.  Matrix factorization techniques
    for recommender systems.  Computer 42(8), 2009.

    Cost of an epoch for n ratings by U users of I items, in multiply-adds: 2·n·f² + (U + I)·f³/3.

    `predict` clips to the range of the ratings.  `fold_in` is one half-step; `partial_fit` solves
    anew for the users and items that have new ratings, with μ as it is; `explain` splits
    p_u·q_i + b_u into what each rating of the user contributes.

    >>> from minidl.recommend import ALS
    >>> ratings = [1, 1, 2, 2, 3], ["tea", "rum", "tea", "rum", "tea"], [5, 1, 4, 1, 5]
    >>> model = ALS(factors=2).fit(ratings)
    >>> bool(model.predict(3, "rum") < model.predict(3, "tea"))
    True
    """

    def __init__(
        self,
        factors: int = 10,
        regularization: float = 0.1,
        epochs: int = 15,
        biases: bool = True,
        weighted: bool = True,
        solver: str = "cholesky",
        cg_steps: int = 3,
        seed: int = 0,
    ) -> None:
        self.factors, self.epochs, self.regularization = factors, epochs, regularization
        self.solver, self.cg_steps, self.seed = solver, cg_steps, seed
        self._check()
        check_flags(self, biases=biases, weighted=weighted)
        self.biases, self.weighted = biases, weighted
