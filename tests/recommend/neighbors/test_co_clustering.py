"""Co-clustering, beside loops over users, items and clusters."""

import numpy as np
import pytest

from minidl.errors import ArgumentError
from minidl.recommend import CoClustering, Ids, Interactions, load
from tests.recommend.neighbors import oracle
from tests.recommend.neighbors.test_knn import TABLE, all_pairs, all_scores

DATA = oracle.interactions(TABLE)


def mean_of(values, otherwise):
    return values[~np.isnan(values)].mean() if (~np.isnan(values)).any() else otherwise


class Oracle:
    """The algorithm of the paper, by loops."""

    def __init__(self, table, users, items, counts):
        self.table, self.users, self.items, self.counts = table, users.copy(), items.copy(), counts
        self.mean = np.nanmean(table)

    def estimate(self, u, i, g, h):
        of_user, of_item = mean_of(self.table[u], self.mean), mean_of(self.table[:, i], self.mean)
        return self.pairs[g, h] + of_user - self.of_users[g] + of_item - self.of_items[h]

    def average(self):
        table, mean = self.table, self.mean
        self.of_users = [mean_of(table[self.users == g], mean) for g in range(self.counts[0])]
        self.of_items = [mean_of(table[:, self.items == h], mean) for h in range(self.counts[1])]
        self.pairs = np.array([
            [mean_of(table[np.ix_(self.users == g, self.items == h)], mean)
             for h in range(self.counts[1])]
            for g in range(self.counts[0])
        ])  # fmt: skip

    def epoch(self):
        self.average()
        table = self.table
        for u in range(len(table)):
            own = np.flatnonzero(~np.isnan(table[u]))
            self.users[u] = np.argmin([
                sum((table[u, i] - self.estimate(u, i, g, self.items[i])) ** 2 for i in own)
                for g in range(self.counts[0])
            ])  # fmt: skip
        for i in range(table.shape[1]):
            own = np.flatnonzero(~np.isnan(table[:, i]))
            self.items[i] = np.argmin([
                sum((table[u, i] - self.estimate(u, i, self.users[u], h)) ** 2 for u in own)
                for h in range(self.counts[1])
            ])  # fmt: skip

    def predictions(self):
        self.average()
        return np.array([
            [self.estimate(u, i, self.users[u], self.items[i]) for i in range(self.table.shape[1])]
            for u in range(len(self.table))
        ])  # fmt: skip


@pytest.mark.parametrize("epochs", [0, 1, 2, 5])
@pytest.mark.parametrize("counts", [(1, 1), (3, 3), (2, 4)])
def test_predictions_are_those_of_the_paper(counts, epochs):
    start = CoClustering(*counts, epochs=0).fit(DATA)
    expected = Oracle(TABLE, start.clusters_of_users, start.clusters_of_items, counts)
    for _ in range(epochs):
        expected.epoch()
    model = CoClustering(*counts, epochs=epochs).fit(DATA)
    np.testing.assert_array_equal(model.clusters_of_users, expected.users)
    np.testing.assert_array_equal(model.clusters_of_items, expected.items)
    want = expected.predictions()
    np.testing.assert_allclose(all_scores(model), want, rtol=1e-5)
    np.testing.assert_allclose(all_pairs(model), want, rtol=1e-5)


def test_errors_of_training_fall_and_seeds_repeat():
    rated = ~np.isnan(TABLE)
    errors = [
        np.mean((all_scores(CoClustering(epochs=epochs).fit(DATA)) - TABLE)[rated] ** 2)
        for epochs in (0, 20)
    ]
    assert errors[1] < errors[0]
    first, second, other = (all_scores(CoClustering(seed=seed).fit(DATA)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_new_users_and_more_ratings(tmp_path):
    model = CoClustering().fit(DATA)
    folded = model.fold_in(DATA)
    best = all_scores(folded)[~np.isnan(TABLE)] - TABLE[~np.isnan(TABLE)]
    now = all_scores(model)[~np.isnan(TABLE)] - TABLE[~np.isnan(TABLE)]
    assert (best**2).sum() <= (now**2).sum() + 1e-6
    new = Interactions(["new", "0"], [3, "more"], [5.0, 1.0])
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(all_scores(again), all_scores(model))
    np.testing.assert_array_equal(
        all_scores(again.partial_fit(new)), all_scores(model.partial_fit(new))
    )
    assert all_scores(model).shape == (16, 12)
    assert np.isfinite(all_scores(model)).all()


def test_cold_and_unknown_users_and_items():
    cold = DATA.replaced(
        users=Ids([*DATA.users, "cold"], "user"), items=Ids([*DATA.items, "cold"], "item")
    )
    model = CoClustering().fit(cold)
    assert np.isfinite(all_scores(model)).all()
    found = model.predict(["?", "3", "?"], [4, "?", "?"], unknown="default")
    np.testing.assert_allclose(
        found, [np.nanmean(TABLE[:, 4]), np.nanmean(TABLE[3]), np.nanmean(TABLE)], rtol=1e-6
    )
    for shape in ((1, 1), (1, 4), (4, 1)):
        single = CoClustering().fit(oracle.interactions(oracle.ratings(*shape, density=1.0)))
        assert np.isfinite(all_scores(single)).all()
    constant = np.where(np.isnan(TABLE), np.nan, 2.0)
    np.testing.assert_allclose(all_scores(CoClustering().fit(oracle.interactions(constant))), 2)
    with pytest.raises(ArgumentError, match="CoClustering: user_clusters"):
        CoClustering(0)
