"""Stochastic gradient descent on pairs of items, one that a user met and one that he did not.

    S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme.  BPR: Bayesian personalized ranking
    from implicit feedback.  UAI 2009.
    J. Weston, S. Bengio, N. Usunier.  WSABIE: Scaling up to large vocabulary image annotation.
    IJCAI 2011: WARP.

An interaction (u, i) is drawn, then an item j that u has not met.  With g, the slope of the loss in
−x for x = p_u·(q_i − q_j) + b_i − b_j, a step is

    p_u += η·(g·(q_i − q_j) − λ·p_u),   q_i += η·(g·p_u − λ·q_i),   q_j −= η·(g·p_u + λ·q_j)
    b_i += η·(g − λ·b_i),   b_j −= η·(g + λ·b_j)

for BPR with g = 1/(1 + eˣ), of the loss −log σ(x).  WARP draws items j until one has x < 1, at most
`trials`, and takes g = log(1 + ⌊(I − 1)/n⌋) after n draws of I items: an estimate of how far
down the list the item i is.

A task is a range of interactions and a range of items, from which j is drawn.  Tasks that share
neither users nor items give the same bits in whatever order threads do them: stratified gradient
descent (R. Gemulla, E. Nijkamp, P. Haas, Y. Sismanis: Large-scale matrix factorization with
distributed stochastic gradient descent, KDD 2011).  Tasks that share them are lock-free updates,
HOGWILD! (F. Niu, B. Recht, C. Ré, S. Wright, NIPS 2011).

Draw t of a task is a hash of the task's key and of t, SplitMix64 (G. Steele, D. Lea, C. Flood:
Fast splittable pseudorandom number generators, OOPSLA 2014), so that rows can be fetched ahead.

Cost of a step: six passes over a row of factors, and a binary search in what u has met.
"""

import math

import numpy as np

from minidl.backends.kernels.prefetch import AHEAD, fetch_for_writing
from minidl.backends.kernels.runtime.kernel import (
    chunk_bounds,
    inlined,
    inner,
    parallel,
    reassociating,
)
from minidl.backends.kernels.simd.math import exp32, log32

_U, _F = np.uint64, np.float32
_GAMMA, _MIX_1, _MIX_2 = _U(0x9E3779B97F4A7C15), _U(0xBF58476D1CE4E5B9), _U(0x94D049BB133111EB)
_NEGATIVE = _U(0x632BE59BD9B4E019)  # makes a second sequence of draws
_ONE = _F(1)


@inlined
def _hash(x):
    """64 bits of a counter: the finaliser of SplitMix64."""
    x = (x ^ (x >> _U(30))) * _MIX_1
    x = (x ^ (x >> _U(27))) * _MIX_2
    return x ^ (x >> _U(31))


@inlined
def _draw(key, t, n):
    """Draw t of numbers from 0 to n − 1, n < 2³²  (D. Lemire 2019, doi:10.1145/3230636)."""
    bits = _hash(key + _U(t) * _GAMMA)
    return np.int64(((bits >> _U(32)) * _U(n)) >> _U(32))


@inner
def _has(items, item):
    """Whether an item is among these, which ascend."""
    low, high = 0, items.size
    while low < high:
        middle = (low + high) >> 1
        if items[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < items.size and items[low] == item


@reassociating
def _difference(p, q_i, q_j):
    """p·(q_i − q_j)."""
    total = _F(0)
    for k in range(p.size):
        total += p[k] * (q_i[k] - q_j[k])
    return total


@inner
def _step(p, q_i, q_j, g, rates):
    """The step of the factors."""
    of_user, decay_of_user, of_item, decay_of_item = rates
    of_user, of_item = g * of_user, g * of_item
    for k in range(p.size):
        user, liked, other = p[k], q_i[k], q_j[k]
        p[k] = user + of_user * (liked - other) - decay_of_user * user
        q_i[k] = liked + of_item * user - decay_of_item * liked
        q_j[k] = other - of_item * user - decay_of_item * other


@inner
def _bias_step(biases, i, j, g, rates):
    _, _, rate, decay = rates
    biases[i] += rate * g - decay * biases[i]
    biases[j] -= rate * g + decay * biases[j]


@reassociating
def _square(row):
    total = _F(0)
    for k in range(row.size):
        total += row[k] * row[k]
    return total


@inner
def _project(row, max_norm):
    """The nearest row of at most this norm."""
    norm = math.sqrt(_square(row))
    if norm > max_norm:
        factor = _F(max_norm / norm)
        for k in range(row.size):
            row[k] *= factor


@inlined
def _other_item(key, t, task, by_popularity, items, order):
    """An item drawn from those of the task: each alike, or as often as it was met."""
    start, stop, first, last = task
    if by_popularity:
        return items[start + _draw(key, t, stop - start)]
    return order[first + _draw(key, t, last - first)]


@inner
def _bpr_task(data, seen, task, tables, rates, by_popularity, key, t):
    """Step t; 1 if the two items were not in order before it, else 0."""
    users, items, order = data
    bounds, met = seen
    factors, item_factors, biases = tables
    start, stop, _, _ = task
    n = stop - start
    ahead = start + _draw(key, t + AHEAD, n)
    fetch_for_writing(factors[users[ahead]])
    fetch_for_writing(item_factors[items[ahead]])
    fetch_for_writing(
        item_factors[_other_item(key ^ _NEGATIVE, t + AHEAD, task, by_popularity, items, order)]
    )
    r = start + _draw(key, t, n)
    u, i = users[r], items[r]
    j = _other_item(key ^ _NEGATIVE, t, task, by_popularity, items, order)
    if _has(met[bounds[u] : bounds[u + 1]], j):
        return 0
    p, q_i, q_j = factors[u], item_factors[i], item_factors[j]
    x = _difference(p, q_i, q_j) + biases[i] - biases[j]
    g = _ONE / (_ONE + exp32(x))
    _step(p, q_i, q_j, g, rates)
    _bias_step(biases, i, j, g, rates)
    return 0 if x > 0 else 1


@parallel(
    "(i32[n] i32[n] i32[items]) (i64[bounds] i32[entries]) i64[tasks,four] "
    "(f32[users,f] f32[items,f] f32[items]) (f32 f32 f32 f32) bool u64 i64[tasks]"
)
def bpr_steps(
    data, seen, tasks, tables, rates, by_popularity, key, wrong, chunk, chunks
):  # fmt: skip
    """As many steps of each task as it has interactions; `wrong` of them changed an order.

    data      users and items of the interactions, and the items in the order of the tasks' ranges
    seen      of each user the items that were met, ascending: bounds and items
    tasks     (tasks, 4): start and stop of its interactions, and of its items in the order
    rates     η and η·λ of users, then of items
    """
    start, stop = chunk_bounds(tasks.shape[0], chunk, chunks)
    for c in range(start, stop):
        task = tasks[c, 0], tasks[c, 1], tasks[c, 2], tasks[c, 3]
        own = _hash(key + _U(c) * _GAMMA)
        wrong[c] = 0
        for t in range(task[1] - task[0]):
            wrong[c] += _bpr_task(data, seen, task, tables, rates, by_popularity, own, t)


@inner
def _warp_task(data, seen, task, tables, rates, trials, max_norm, key, t):
    """Step t; 1 if an item was found that is ranked too high, else 0."""
    users, items, order = data
    bounds, met = seen
    factors, item_factors, biases = tables
    start, stop, first, last = task
    r = start + _draw(key, t, stop - start)
    u, i = users[r], items[r]
    p, q_i = factors[u], item_factors[i]
    own = met[bounds[u] : bounds[u + 1]]
    for trial in range(trials):
        j = order[first + _draw(key ^ _NEGATIVE, t * trials + trial, last - first)]
        q_j = item_factors[j]
        x = _difference(p, q_i, q_j) + biases[i] - biases[j]
        if x < _ONE and not _has(own, j):
            rank = (order.size - 1) // (trial + 1)
            g = log32(_F(1 + rank))
            _step(p, q_i, q_j, g, rates)
            _bias_step(biases, i, j, g, rates)
            if rates[0] > 0:
                _project(p, max_norm)
            if rates[2] > 0:
                _project(q_i, max_norm)
                _project(q_j, max_norm)
            return 1
    return 0


@parallel(
    "(i32[n] i32[n] i32[items]) (i64[bounds] i32[entries]) i64[tasks,four] "
    "(f32[users,f] f32[items,f] f32[items]) (f32 f32 f32 f32) i64 f32 u64 i64[tasks]"
)
def warp_steps(
    data, seen, tasks, tables, rates, trials, max_norm, key, wrong, chunk, chunks
):  # fmt: skip
    """As `bpr_steps`, with at most `trials` draws of an item for a step."""
    start, stop = chunk_bounds(tasks.shape[0], chunk, chunks)
    for c in range(start, stop):
        task = tasks[c, 0], tasks[c, 1], tasks[c, 2], tasks[c, 3]
        own = _hash(key + _U(c) * _GAMMA)
        wrong[c] = 0
        for t in range(task[1] - task[0]):
            wrong[c] += _warp_task(data, seen, task, tables, rates, trials, max_norm, own, t)
