"""BPR and WARP: factors that rank what a user met above what he did not."""

from typing import Any, NamedTuple, Self

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.recommend import pairwise as kernels
from minidl.checks import check_choice, check_flags, check_integers, check_numbers, name_of
from minidl.errors import ArgumentError
from minidl.recommend.factorization.factors import Factors, check_finite
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import row_numbers
from minidl.recommend.progress import track

NEGATIVES = "uniform", "popularity"
_BLOCKS = 8  # of users and of items: as many threads can work side by side
_FEWEST_ITEMS = 32  # of a block, so that there are others to draw from


class Schedule(NamedTuple):
    """The interactions in the order of the tasks, and tasks that may run side by side."""

    users: np.ndarray
    items: np.ndarray
    order: np.ndarray  # the items, block by block
    rounds: list[np.ndarray]  # of tasks: start and stop of interactions, and of items


class Pairwise(Factors):
    """What BPR and WARP share: x̂ = p_u·q_i + b_i, learned by steps on pairs of items.

    item_biases    b_i (items,), float32
    history        for each epoch what fraction of the steps found the pair in order already
    """

    RATES = False
    FITTED = (*Factors.FITTED, "item_biases", "history")
    item_biases: np.ndarray
    history: list[float]
    factors: int
    learning_rate: float
    regularization: float
    epochs: int
    lock_free: bool
    seed: int

    def _check(self) -> None:
        """Check the arguments that both have."""
        check_integers(self, 1, factors=self.factors)
        check_integers(self, 0, epochs=self.epochs, seed=self.seed)
        check_numbers(self, above=0, finite=True, learning_rate=self.learning_rate)
        check_numbers(self, 0, finite=True, regularization=self.regularization)
        check_flags(self, lock_free=self.lock_free)

    def _run(self, first: tuple[Any, ...], key: np.uint64, wrong: np.ndarray) -> None:
        """Run the tasks of a round; `first` are the first arguments of the kernel."""
        raise NotImplementedError

    def _fit(self, data: Interactions) -> None:
        matrix = positives(self, data)
        users, items = self._new(len(data.users), 0), self._new(len(data.items), 1)
        users[np.diff(matrix.indptr) == 0] = 0
        self.history = []
        self._learn(matrix, matrix, users, items, np.zeros(len(items), np.float32))

    def _fold_in(self, data: Interactions) -> Self:
        folded = type(self)(**self.settings())
        matrix = positives(self, data)
        users = folded._new(len(data.users), 0)
        users[np.diff(matrix.indptr) == 0] = 0
        folded.history = []
        folded._learn(matrix, matrix, users, self.item_factors, self.item_biases, fixed_items=True)
        return folded

    def _partial_fit(self, data: Interactions, new: Interactions) -> None:
        old_users, old_items = len(self.user_factors), len(self.item_factors)
        users, items = self._new(len(data.users), 0), self._new(len(data.items), 1)
        users[:old_users], items[:old_items] = self.user_factors, self.item_factors
        biases = np.zeros(len(items), np.float32)
        biases[:old_items] = self.item_biases
        self._learn(positives(self, data), positives(self, new), users, items, biases)

    def _new(self, count: int, which: int) -> np.ndarray:
        """Factors before the first step: uniform, and small."""
        rng = np.random.default_rng([self.seed, which])
        start = rng.random((count, self.factors), np.float32) - np.float32(0.5)
        return start / np.float32(self.factors)

    def _learn(
        self,
        seen: Any,
        positive: Any,
        users: np.ndarray,
        items: np.ndarray,
        biases: np.ndarray,
        fixed_items: bool = False,
    ) -> None:
        """Go through the positive interactions `epochs` times, and keep the factors."""
        met = seen.indptr.astype(np.int64), seen.indices.astype(np.int32, copy=False)
        rate, decay = self.learning_rate, self.learning_rate * self.regularization
        rates = rate, decay, *((0.0, 0.0) if fixed_items else (rate, decay))
        first = met, (users, items, biases), tuple(map(np.float32, rates))
        rng = np.random.default_rng([self.seed, 2, len(self.history)])
        epochs = track(range(self.epochs), name_of(self))
        history = [*self.history, *(self._epoch(positive, first, rng) for _ in epochs)]
        check_finite(self, "a smaller learning_rate helps", users, items, biases)
        self.user_factors, self.item_factors, self.item_biases = users, items, biases
        self.history = history

    def _epoch(self, positive: Any, first: tuple[Any, ...], rng: np.random.Generator) -> float:
        """As many steps as there are positive interactions; what fraction was right before."""
        met, tables, rates = first
        plan = shared if self.lock_free else strata
        schedule = plan(positive, rng)
        wrong = 0
        for tasks in schedule.rounds:
            of_tasks = np.zeros(len(tasks), np.int64)
            key = rng.integers(0, 2**64, dtype=np.uint64)
            self._run((schedule[:3], met, tasks, tables, rates), key, of_tasks)
            wrong += int(of_tasks.sum())
        return 1 - wrong / max(1, positive.nnz)

    def _chunks(self, tasks: np.ndarray) -> int:
        """Into how many parts to split tasks, for threads."""
        steps = int((tasks[:, 1] - tasks[:, 0]).sum())
        return min(len(tasks), threads.chunks(steps * (50.0 + 2.0 * self.factors)))

    def _scores(self, users: np.ndarray) -> np.ndarray:
        scores = super()._scores(users)
        scores += self.item_biases
        return scores

    def _pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        b_i = np.where(items >= 0, self.item_biases[items], np.float32(0))
        return super()._pairs(users, items) + b_i


def positives(owner: Any, data: Interactions) -> Any:
    """The matrix of what was met: ratings above 0, or without ratings all interactions."""
    matrix = data.matrix
    if data.ratings is None or data.ratings.min() > 0:
        return matrix
    matrix = matrix.copy()
    matrix.data[matrix.data < 0] = 0
    matrix.eliminate_zeros()
    if not matrix.nnz:
        raise ArgumentError(f"{name_of(owner)}: needs ratings above 0; there are none")
    return matrix


def strata(positive: Any, rng: np.random.Generator) -> Schedule:
    """Tasks in rounds; those of a round share neither users nor items.

    Users and items are put into blocks at random, anew in each epoch, since only items of one block
    are compared.  Round r has for block b of users the task with block b + r of items.
    """
    n_users, n_items = positive.shape
    blocks = max(1, min(_BLOCKS, n_users, n_items // _FEWEST_ITEMS))
    order = rng.permutation(n_items).astype(np.int32)
    bounds = np.linspace(0, n_items, blocks + 1).astype(np.int64)
    block_of_item = np.empty(n_items, np.uint8)
    block_of_item[order] = np.repeat(np.arange(blocks), np.diff(bounds))
    block_of_user = (rng.permutation(n_users) % blocks).astype(np.uint8)
    users, items = _pairs_of(positive)
    stratum = block_of_user[users] * np.uint8(blocks) + block_of_item[items]
    places = np.argsort(stratum, kind="stable")
    ends = np.cumsum(np.bincount(stratum, minlength=blocks**2))
    starts = np.append(0, ends[:-1])
    rounds = []
    for r in range(blocks):
        of_items = (np.arange(blocks) + r) % blocks
        chosen = np.arange(blocks) * blocks + of_items
        tasks = [starts[chosen], ends[chosen], bounds[of_items], bounds[of_items + 1]]
        rounds.append(np.stack(tasks, axis=1))
    return Schedule(users[places], items[places], order, rounds)


def shared(positive: Any, rng: np.random.Generator) -> Schedule:
    """One round of as many tasks as there are threads, with users of their own, and all items."""
    n_items = positive.shape[1]
    users, items = _pairs_of(positive)
    bounds = np.linspace(0, positive.nnz, threads.get_num_threads() + 1).astype(np.int64)
    whole = np.zeros(len(bounds) - 1, np.int64)
    tasks = np.stack([bounds[:-1], bounds[1:], whole, whole + n_items], axis=1)
    return Schedule(users, items, np.arange(n_items, dtype=np.int32), [tasks])


def _pairs_of(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """The user and the item of each entry."""
    return row_numbers(matrix), matrix.indices.astype(np.int32, copy=False)


class BPR(Pairwise):
    """Bayesian personalised ranking: what a user met is ranked above what he did not.

    It minimises Σ −log σ(x̂_ui − x̂_uj) + ½·λ·(|p_u|² + |q_i|² + |q_j|² + b_i² + b_j²), over users u,
    items i that they met and items j that they did not, with x̂ = p_u·q_i + b_i, by stochastic
    gradient descent.  An epoch takes as many steps as there are interactions, each with i and j
    drawn anew.

    negatives    how j is drawn: "uniform", each item alike, or by "popularity", as often as it was
                 met
    lock_free    threads write to the same factors without waiting for each other (HOGWILD!): no
                 two runs are equal.  Otherwise users and items are put into blocks, anew in each
                 epoch, threads work on blocks that share neither, and j is drawn from the block of
                 i: the same bits for any number of threads, and rows that stay in the caches

    Ratings count as met if they are above 0.  `fold_in` learns the factors of new users with the
    items fixed, and `partial_fit` takes `epochs` over the new interactions.

    S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme.  BPR: Bayesian personalized ranking
    from implicit feedback.  UAI 2009.  R. Gemulla, E. Nijkamp, P. Haas, Y. Sismanis.  Large-scale
    matrix factorization with distributed stochastic gradient descent.  KDD 2011.

    >>> from minidl.recommend import BPR
    >>> model = BPR(factors=2, epochs=200).fit(([1, 1, 2, 2, 3], ["a", "b", "a", "b", "c"]))
    >>> model.recommend(1, 1)[0].id
    'c'
    """

    def __init__(
        self,
        factors: int = 64,
        learning_rate: float = 0.05,
        regularization: float = 0.01,
        epochs: int = 100,
        negatives: str = "uniform",
        lock_free: bool = False,
        seed: int = 0,
    ) -> None:
        self.factors, self.epochs, self.seed = factors, epochs, seed
        self.learning_rate, self.regularization = learning_rate, regularization
        self.negatives, self.lock_free = negatives, lock_free
        self._check()
        check_choice(self, NEGATIVES, negatives=negatives)

    def _run(self, first: tuple[Any, ...], key: np.uint64, wrong: np.ndarray) -> None:
        by_popularity = self.negatives == "popularity"
        kernels.bpr_steps(*first, by_popularity, key, wrong, self._chunks(first[2]))


class WARP(Pairwise):
    """Weighted approximate-rank pairwise: the top of the list counts most.

    For an item i that the user met, items j are drawn until one has x̂_uj > x̂_ui − 1, at most
    `trials`; after n draws of I items, i is at about rank ⌊(I − 1)/n⌋, and the step is that of BPR
    with log(1 + ⌊(I − 1)/n⌋) in the place of σ(−x).  A vector of factors that has become longer
    than `max_norm` is shortened to that, as in the paper; without it WARP learns its training data
    by heart.

    lock_free, fold_in and partial_fit are those of BPR.

    J. Weston, S. Bengio, N. Usunier.  WSABIE: Scaling up to large vocabulary image annotation.
    IJCAI 2011.

    >>> from minidl.recommend import WARP
    >>> model = WARP(factors=2, epochs=20).fit(([1, 1, 2, 2, 3], ["a", "b", "a", "b", "c"]))
    >>> model.recommend(1, 1)[0].id
    'c'
    """

    def __init__(
        self,
        factors: int = 64,
        learning_rate: float = 0.01,
        regularization: float = 0.0,
        epochs: int = 50,
        trials: int = 50,
        max_norm: float = 1.5,
        lock_free: bool = False,
        seed: int = 0,
    ) -> None:
        self.factors, self.epochs, self.seed = factors, epochs, seed
        self.learning_rate, self.regularization = learning_rate, regularization
        self.trials, self.lock_free, self.max_norm = trials, lock_free, max_norm
        self._check()
        check_integers(self, 1, trials=trials)
        check_numbers(self, above=0, max_norm=max_norm)

    def _run(self, first: tuple[Any, ...], key: np.uint64, wrong: np.ndarray) -> None:
        kernels.warp_steps(
            *first, self.trials, np.float32(self.max_norm), key, wrong, self._chunks(first[2])
        )
