"""Neighbours from the formulas, with dense arrays and loops: (users, items), NaN for no rating."""

import numpy as np

from minidl.recommend import Ids, Interactions

MEASURES = (
    *("cosine", "dot", "jaccard"),
    *("common_cosine", "adjusted_cosine", "pearson", "pearson_baseline", "msd"),
)


def ratings(users, items, density=0.4, seed=0):
    """A table of ratings, of which a part is NaN, and in which no row or column is empty."""
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 6, (users, items)).astype(float)
    absent = rng.random(table.shape) >= density
    absent[np.arange(users), rng.integers(items, size=users)] = False
    absent[rng.integers(users, size=items), np.arange(items)] = False
    table[absent] = np.nan
    return table


def interactions(table, user=str, item=int, rated=True):
    """The same as interactions; code u is that of user(u), rated or not."""
    users, items = np.nonzero(~np.isnan(table))
    data = Interactions([user(u) for u in users], [item(i) for i in items])
    return data.replaced(
        users=Ids([user(u) for u in range(table.shape[0])], "user"),
        items=Ids([item(i) for i in range(table.shape[1])], "item"),
        user_codes=users.astype(np.int32),
        item_codes=items.astype(np.int32),
        ratings=table[users, items].astype(np.float32) if rated else None,
    )


def biases(table):
    """μ + b_u + b_i of each pair."""
    mean, b_u, b_i = _biases(table)
    return mean + b_u[:, None] + b_i


def item_biases(table):
    return _biases(table)[2]


def _biases(table, epochs=10, of_users=15.0, of_items=10.0):
    mean = np.nanmean(table)
    b_u, b_i = np.zeros(table.shape[0]), np.zeros(table.shape[1])
    present = ~np.isnan(table)
    for _ in range(epochs):
        b_i = np.nansum(table - mean - b_u[:, None], axis=0) / (of_items + present.sum(axis=0))
        b_u = np.nansum(table - mean - b_i, axis=1) / (of_users + present.sum(axis=1))
    return mean, b_u, b_i


def similarities(rows, measure, baselines=None, shrinkage=0.0, min_support=1):
    """The similarity of each row with each, by loops over pairs."""
    return similarities_between(rows, rows, measure, baselines, baselines, shrinkage, min_support)


def similarities_between(
    queries, rows, measure, own_baselines=None, baselines=None, shrinkage=0.0, min_support=1
):
    """The similarity of each query with each row."""
    if measure == "pearson_baseline":
        queries, rows, min_support = queries - own_baselines, rows - baselines, max(2, min_support)
    if measure == "adjusted_cosine":
        means = np.nanmean(rows, axis=0)
        queries, rows = queries - means, rows - means
    result = np.zeros((len(queries), len(rows)))
    for i, p in enumerate(queries):
        for j, q in enumerate(rows):
            common = ~np.isnan(p) & ~np.isnan(q)
            n = common.sum()
            if n >= min_support and n > 0:
                value = of_pair(measure, p, q, p[common], q[common])
                result[i, j] = value * ((n - 1) / (n - 1 + shrinkage) if shrinkage else 1)
    return result


def of_pair(measure, p, q, own, other):
    """The similarity of rows p and q, of which own and other are the common columns."""
    n = own.size
    if measure == "jaccard":
        return n / (np.sum(~np.isnan(p)) + np.sum(~np.isnan(q)) - n)
    if measure == "dot":
        return own @ other
    if measure == "msd":
        return 1 / (1 + np.mean((own - other) ** 2))
    if measure == "cosine":
        return own @ other / np.sqrt(np.nansum(p * p) * np.nansum(q * q))
    if measure == "pearson":
        if np.ptp(own) == 0 or np.ptp(other) == 0:
            return 0.0
        own, other = own - own.mean(), other - other.mean()
    norms = np.sqrt((own @ own) * (other @ other))
    return own @ other / norms if norms else 0.0


def predictions(rows, similarity, prediction, k, baselines=None, min_k=1):
    """The prediction for each row and column."""
    similarity = similarity.copy()
    np.fill_diagonal(similarity, 0)
    overall = np.nanmean(rows), np.nanstd(rows)
    result = np.empty(rows.shape)
    for x, y in np.ndindex(rows.shape):
        settings = prediction, k, baselines, min_k, *overall
        result[x, y] = prediction_of(rows, x, y, similarity[x], *settings)
    return result


def prediction_of(rows, x, y, weights, prediction, k, baselines, min_k, mean, deviation):
    """Σ s·r / Σ s of the k most similar rows that have an entry in column y, and centers."""
    with np.errstate(invalid="ignore"):
        center, spread = np.full(len(rows), mean), np.full(len(rows), deviation)
        for z, row in enumerate(rows):
            if not np.isnan(row).all():
                center[z] = np.nanmean(row)
                spread[z] = np.nanstd(row) or deviation
    if prediction != "z_score":
        spread[:] = 1
    if prediction == "baseline":
        center = baselines[:, y]
    if prediction == "mean":
        center = np.zeros(len(rows))
    rated = np.flatnonzero(~np.isnan(rows[:, y]))
    best = rated[np.argsort(-weights[rated], kind="stable")][:k]
    best = best[weights[best] > 0]
    if len(best) < min_k:
        return mean if prediction == "mean" else center[x]
    said = (rows[best, y] - center[best]) / spread[best]
    return center[x] + spread[x] * (weights[best] @ said) / weights[best].sum()


def nearest(similarity, k):
    """The similarities, but for all that are not among the k largest positive of a row."""
    similarity = similarity.copy()
    np.fill_diagonal(similarity, 0)
    kept = np.zeros_like(similarity)
    for x, row in enumerate(similarity):
        best = np.argsort(-row, kind="stable")[:k]
        best = best[row[best] > 0]
        kept[x, best] = row[best]
    return kept
