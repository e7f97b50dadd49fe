"""Ratings for the tests of factorisation."""

import numpy as np


def random_ratings(users=12, items=9, share=0.5, seed=0):
    """(users, items, ratings from 1 to 5) of some pairs, every user and item among them."""
    rng = np.random.default_rng(seed)
    met = rng.random((users, items)) < share
    met[np.arange(users), np.arange(users) % items] = True
    met[np.arange(items) % users, np.arange(items)] = True
    u, i = np.nonzero(met)
    return u, i, rng.integers(1, 6, u.size).astype("float32")
