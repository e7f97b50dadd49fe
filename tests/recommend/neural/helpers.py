"""Small neural recommenders, and what they learn from."""

import numpy as np

from minidl.data import Features
from minidl.recommend import DeepFM, FactorizationMachine, GRU4Rec, NeuMF, SASRec, TwoTower

SMALL = {
    "NeuMF": lambda **more: NeuMF(factors=4, hidden=(8, 4), **more),
    "FactorizationMachine": lambda **more: FactorizationMachine(factors=4, **more),
    "DeepFM": lambda **more: DeepFM(factors=4, hidden=(8,), **more),
    "TwoTower": lambda **more: TwoTower(width=8, hidden=(8,), size=8, **more),
    "SASRec": lambda **more: SASRec(width=8, heads=2, blocks=1, length=6, **more),
    "GRU4Rec": lambda **more: GRU4Rec(width=8, length=6, **more),
}
FEATURED = "FactorizationMachine", "DeepFM", "TwoTower"

USERS = Features(
    ["ann", "ben", "cat"], {"age": [20, 60, 40], "work": np.array(["art", "law", "art"])}
)
ITEMS = Features(["a", "b", "c"], {"kind": [("hot",), ("cold", "new"), ()], "year": [1, 2, 6]})
RATINGS = ["ann", "ann", "ben", "ben"], ["a", "b", "a", "d"], [5.0, 2.0, 3.0, 1.0]


def two_groups(rated=False):
    """Users below 10 like items below 10, the others like the others; each met six of its ten."""
    rng = np.random.default_rng(0)
    near = [(user + rng.permutation(6)) % 10 for user in range(20)]
    items = [own + 10 * (user // 10) for user, own in enumerate(near)]
    met = np.repeat(np.arange(20), 6), np.concatenate(items)
    if not rated:
        return met
    others = (met[1] + 10) % 20
    both = np.concatenate([met[0], met[0]]), np.concatenate([met[1], others])
    return *both, np.repeat([5.0, 1.0], 120)
