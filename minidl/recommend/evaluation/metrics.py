"""Metrics of predicted ratings and of ranked lists, as they are defined in the literature.

A ranked list is judged by the items that are relevant to its user:

    hit@k        1 if one of the first k is relevant, else 0; the mean is the hit rate
    precision@k  h / k, where h of the first k are relevant
    recall@k     h / R, where R items are relevant
    rr@k         1 / the rank of the first relevant item, 0 if it is beyond k; the mean is the MRR
    ap@k         Σ_{r ≤ k, relevant} precision@r / min(R, k); the mean is the MAP
    ndcg@k       Σ_{r ≤ k} g_r / log₂(r + 1), over the same of the best list

Sources: precision, recall, AP: C. Manning, P. Raghavan, H. Schütze: Introduction to information
retrieval, 2008, chapter 8; RR: E. Voorhees, TREC-8 1999; NDCG: K. Järvelin, J. Kekäläinen:
Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4), 2002, with the discount
log₂(r + 1) of TREC.  A list that is shorter than k is as if what is missing were irrelevant.

Where libraries differ: AP divides by min(R, k), as Kaggle and LensKit do, so that the best list has
1, where TREC and ranx divide by R; recall by R, as TREC and ranx do, where LensKit divides by
min(R, k); NDCG's second item is discounted, as by TREC and ranx, which LensKit leaves to an option.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from minidl.errors import ArgumentError, ShapeError
from minidl.recommend.ids import Ids
from minidl.recommend.matrices import found_among

# fmt: off
__all__ = [
    "Judged", "ap", "coverage", "gini", "hit", "judge", "judge_codes", "mae", "ndcg", "novelty",
    "precision", "recall", "reciprocal_rank", "rmse",
]
# fmt: on


def rmse(predicted: Any, actual: Any) -> float:
    """√ mean (r̂ − r)², the root mean squared error of predicted ratings.

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.rmse([3, 4], [3, 2]) ** 2
    2.0000000000000004
    """
    return float(np.sqrt(np.mean(_errors("rmse", predicted, actual) ** 2)))


def mae(predicted: Any, actual: Any) -> float:
    """mean |r̂ − r|, the mean absolute error of predicted ratings.

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.mae([3, 4], [3, 2])
    1.0
    """
    return float(np.mean(np.abs(_errors("mae", predicted, actual))))


def _errors(name: str, predicted: Any, actual: Any) -> np.ndarray:
    r_hat, r = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    if r_hat.shape != r.shape or not r.size:
        raise ShapeError(
            f"{name}: needs as many predictions as ratings, one or more; got {r_hat.shape} and "
            f"{r.shape}"
        )
    return r_hat - r


class Judged(NamedTuple):
    """Ranked lists of length K of U users, as far as metrics need to know.

    gains       (U, K), float64: the gain of the item at each rank; 0 if there is none
    relevant    (U, K), bool: whether it is relevant
    ideal       (U, K), float64: the gains of the best list, descending
    sizes       (U,), int64: R, the number of relevant items

    >>> from minidl.recommend.evaluation import metrics
    >>> judged = metrics.judge([["a", "b"]], [{"b": 3.0, "c": 2.0, "d": 1.0}], k=2)
    >>> judged.gains, judged.ideal, judged.sizes
    (array([[0., 3.]]), array([[3., 2.]]), array([3]))
    """

    gains: np.ndarray
    relevant: np.ndarray
    ideal: np.ndarray
    sizes: np.ndarray


def judge(
    recommended: Sequence[Sequence[Any]],
    relevant: Sequence[Collection[Any] | Mapping[Any, float]],
    k: int = 10,
) -> Judged:
    """Lists of ids, best first, judged by the ids that are relevant to each user.

    relevant    for each user the relevant ids, each with a gain of 1; or a dict of their gains

    >>> from minidl.recommend.evaluation import metrics
    >>> judged = metrics.judge([["a", "b", "c"]], [{"b", "d"}], k=3)
    >>> metrics.precision(judged, 3), metrics.ap(judged, 3), metrics.reciprocal_rank(judged, 3)
    (array([0.33333333]), array([0.25]), array([0.5]))
    """
    if len(recommended) != len(relevant):
        raise ShapeError(
            f"judge: needs a set of relevant ids for each list; got {len(recommended)} lists and "
            f"{len(relevant)} sets"
        )
    listed = [list(ids)[:k] for ids in recommended]
    ids, _ = Ids.encode([i for row in [*listed, *map(list, relevant)] for i in row], "item")
    ranked = np.full((len(listed), k), -1, np.int32)
    for row, chosen in enumerate(listed):
        if len(set(chosen)) < len(chosen):
            raise ArgumentError(f"judge: list {row} has an id twice")
        ranked[row, : len(chosen)] = ids.codes(chosen)
    truth = [t if isinstance(t, Mapping) else dict.fromkeys(t, 1.0) for t in relevant]
    rows = np.repeat(np.arange(len(truth)), list(map(len, truth)))
    columns = ids.codes([i for gains in truth for i in gains])
    values = np.array([gain for gains in truth for gain in gains.values()], np.float64)
    return judge_codes(ranked, _matrix(values, rows, columns, (len(truth), len(ids))))


def judge_codes(ranked: np.ndarray, truth: sparse.csr_array) -> Judged:
    """The same of codes: ranked (U, K), −1 for none; truth (U, items), stored where relevant.

    >>> from scipy.sparse import csr_array
    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.judge_codes(np.array([[2, 0]]), csr_array([[1.0, 4.0, 0.0]])).gains
    array([[0., 1.]])
    """
    users, k = ranked.shape
    truth.sort_indices()
    sizes = np.diff(truth.indptr).astype(np.int64)
    rows = np.repeat(np.arange(users), sizes)
    width = max(truth.shape[1], 1)
    keys = rows * width + truth.indices
    places, found = found_among(keys, np.arange(users)[:, None] * width + ranked)
    relevant = found & (ranked >= 0)
    gains = np.zeros((users, k))
    gains[relevant] = truth.data[places[relevant]]
    order = np.lexsort((-truth.data, rows))
    rank = np.arange(rows.size) - truth.indptr[rows]
    ideal = np.zeros((users, k))
    kept = rank < k
    ideal[rows[kept], rank[kept]] = truth.data[order][kept]
    return Judged(gains, relevant, ideal, sizes)


def _matrix(
    values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    return sparse.csr_array((values, (rows, columns)), shape=shape)


def hit(judged: Judged, k: int) -> np.ndarray:
    """Whether one of the first k is relevant, (U,): the mean is the hit rate.

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.hit(metrics.judge([["a", "b"], ["a"]], [{"b"}, {"c"}]), 2)
    array([1., 0.])
    """
    return np.asarray(judged.relevant[:, :k].any(axis=1), np.float64)


def precision(judged: Judged, k: int) -> np.ndarray:
    """The relevant ones among the first k, over k, (U,).

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.precision(metrics.judge([["a", "b"], ["a"]], [{"b"}, {"a"}]), 2)
    array([0.5, 0.5])
    """
    found: np.ndarray = judged.relevant[:, :k].sum(axis=1)
    return found / k


def recall(judged: Judged, k: int) -> np.ndarray:
    """The relevant ones among the first k, over all that are relevant, (U,).

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.recall(metrics.judge([["a", "b"]], [{"b", "x", "y", "z"}]), 2)
    array([0.25])
    """
    return judged.relevant[:, :k].sum(axis=1) / np.maximum(judged.sizes, 1)


def reciprocal_rank(judged: Judged, k: int) -> np.ndarray:
    """1 / the rank of the first relevant one, if it is among the first k, (U,).

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.reciprocal_rank(metrics.judge([["a", "b"], ["a"]], [{"b"}, {"c"}]), 2)
    array([0.5, 0. ])
    """
    relevant = judged.relevant[:, :k]
    return np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0)


def ap(judged: Judged, k: int) -> np.ndarray:
    """The average precision: the mean of the precisions at the relevant ones, (U,).

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.ap(metrics.judge([["a", "b", "c", "d"]], [{"a", "d"}]), 4)
    array([0.75])
    """
    relevant = judged.relevant[:, :k]
    precisions = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    total = np.where(relevant, precisions, 0.0).sum(axis=1)
    return total / np.maximum(np.minimum(judged.sizes, k), 1)


def ndcg(judged: Judged, k: int) -> np.ndarray:
    """The normalised discounted cumulative gain, (U,).

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.ndcg(metrics.judge([["a", "b"]], [{"b": 2.0}]), 2).round(4)
    array([0.6309])
    """
    discounts = 1 / np.log2(np.arange(2, min(k, judged.gains.shape[1]) + 2))
    ideal = judged.ideal[:, :k] @ discounts
    return np.where(ideal > 0, judged.gains[:, :k] @ discounts / np.where(ideal > 0, ideal, 1), 0.0)


def coverage(ranked: np.ndarray, items: int) -> float:
    """The share of all items that are in a list.  M. Ge et al.: Beyond accuracy, RecSys 2010.

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.coverage(np.array([[0, 1], [0, -1]]), items=8)
    0.25
    """
    return np.unique(ranked[ranked >= 0]).size / items


def gini(ranked: np.ndarray, items: int) -> float:
    """How unequally often items are in lists: 0, all alike, to nearly 1, always the same.

    G = Σ_i (2i − n − 1)·x_i / (n·Σ x), x_i ascending: how many lists have an item, of n items.

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.gini(np.array([[0], [0], [1]]), items=2)
    0.16666666666666666
    """
    x = np.sort(np.bincount(ranked[ranked >= 0], minlength=items)).astype(np.float64)
    weights = 2 * np.arange(1, items + 1) - items - 1
    return float(weights @ x / (items * x.sum())) if x.any() else 0.0


def novelty(ranked: np.ndarray, counts: np.ndarray, users: int) -> float:
    """mean −log₂ (n_i / U) of what is in the lists: bits, how surprising it is that one knows it.

    n_i of U users met item i in the training data; it counts as one where nobody did.  T. Zhou et
    al.: Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS 107(10), 2010.

    >>> from minidl.recommend.evaluation import metrics
    >>> metrics.novelty(np.array([[0, 1]]), counts=np.array([8, 2]), users=8)
    1.0
    """
    chosen = ranked[ranked >= 0]
    if not chosen.size:
        return 0.0
    return float(np.mean(np.log2(users / np.maximum(counts[chosen], 1))))


OF_ERRORS: dict[str, Callable[[Any, Any], float]] = {"rmse": rmse, "mae": mae}
OF_LISTS: dict[str, Callable[[Judged, int], np.ndarray]] = {
    "hr": hit, "ndcg": ndcg, "map": ap, "mrr": reciprocal_rank,
    "precision": precision, "recall": recall,
}  # fmt: skip
OF_CATALOGUE = "coverage", "novelty", "gini"
NAMES = (*OF_ERRORS, *OF_LISTS, *OF_CATALOGUE)
HIGHER_IS_BETTER = {name: name not in ("rmse", "mae", "gini") for name in NAMES}
