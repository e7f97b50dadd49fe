"""SVD++, by stochastic gradient descent, user by user.

A user is p plus the sum z = |N|^−½·Σ y_j over the items N that were rated.  For each
rating r of item i, with the error e = r − (μ + b_u + b_i + q·(p + z)), a step is

    p += η·(e·q − λ·p),   q += η·(e·(p + z) − λ·q),   y_j += η·(e·|N|^−½·q − λ·y_j) for all j of N

    Y. Koren.  Factorization meets the neighborhood: A multifaceted collaborative filtering model.
    KDD 2008.

All y_j of a user get the same increment, and no one else looks at them meanwhile.  So they are
written once, after all n ratings: y_j ← (1 − ηλ)ⁿ·y_j + d, where d ← (1 − ηλ)·d + η·e·|N|^−½·q at
each rating; and z += η·(e·q − λ·z) is what it becomes by that.  But for rounding this is the
sequence of steps above, at a cost that does not grow with |N|.  (T. Chen and others put off the
y_j likewise.  SVDFeature: A toolkit for feature-based collaborative filtering.  JMLR 13, 2012.)

Users share the y_j, so one thread does all.  Cost of a rating: 14·f flops, and 4·f for the sums.
"""

import numpy as np

from minidl.backends.kernels.prefetch import AHEAD, fetch_for_writing
from minidl.backends.kernels.recommend.strata import drawn
from minidl.backends.kernels.runtime.kernel import compiled, inner, reassociating


@compiled(
    "i64[users] i64[starts] i32[n] f32[n] (f32[users,width] f32[items,width] f32[items,width]) "
    "(f32[users] f32[items]) (f32[width] f32[width] f64[width]) (f32 f32 f32) (u64 u64)"
)
def svdpp_epoch(order, starts, items, ratings, tables, biases, vectors, settings, place):
    """Go through the ratings of all users.

    order      the users, as they come
    tables     p, q, y
    vectors    memory for z, d, and the sum of the y_j
    settings   μ, η, λ
    place      the key and the counter of random numbers, by which a user's ratings are shuffled
    """
    y = tables[2]
    z, d, total = vectors
    _, rate, regularization = settings
    keep = 1 - rate * regularization
    for user in order:
        first, last = starts[user], starts[user + 1]
        if first == last:
            continue
        _shuffle(items, ratings, first, last, place[0], place[1] + np.uint64(first))
        share = np.float32(1 / np.sqrt(np.float64(last - first)))
        _add_up(y, items, first, last, share, total, z)
        d[:] = 0
        for k in range(first, last):
            _step(ratings[k], user, items[k], tables, biases, z, d, share, settings)
        left = np.float32(np.float64(keep) ** (last - first))
        for k in range(first, last):
            own = y[items[k]]
            for j in range(own.size):
                own[j] = left * own[j] + d[j]


@inner
def _shuffle(items, ratings, first, last, key, counter):
    """Shuffle the ratings of a user."""
    for k in range(last - first - 1, 0, -1):
        i, j = first + k, first + drawn(k + 1, key, counter + np.uint64(k))
        items[i], items[j] = items[j], items[i]
        ratings[i], ratings[j] = ratings[j], ratings[i]


@inner
def _add_up(y, items, first, last, share, total, z):
    """z = share·Σ y_j."""
    total[:] = 0
    for k in range(first, last):
        if k + AHEAD < last:
            fetch_for_writing(y[items[k + AHEAD]])
        own = y[items[k]]
        for j in range(own.size):
            total[j] += np.float64(own[j])
    for j in range(z.size):
        z[j] = share * np.float32(total[j])


@inner
def _step(rating, user, item, tables, biases, z, d, share, settings):
    """The step for one rating."""
    mean, rate, regularization = settings
    p, q = tables[0][user], tables[1][item]
    b_u, b_i = biases
    error = rating - mean - b_u[user] - b_i[item] - _product(q, p, z)
    b_u[user] += rate * (error - regularization * b_u[user])
    b_i[item] += rate * (error - regularization * b_i[item])
    keep, push = 1 - rate * regularization, rate * error
    for j in range(p.size):
        own, other, rest = p[j], q[j], z[j]
        p[j] = keep * own + push * other
        z[j] = keep * rest + push * other
        d[j] = keep * d[j] + push * share * other
        q[j] = keep * other + push * (own + rest)


@reassociating
def _product(q, p, z):
    """q·(p + z)."""
    total = np.float32(0)
    for j in range(q.size):
        total += q[j] * (p[j] + z[j])
    return total
