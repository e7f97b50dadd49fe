"""Recommenders that go by neighbours: similarities of each kind, predictions, and lists."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

import minidl
from minidl.recommend import Interactions, ItemKNN, Recommender, SlopeOne, UserKNN
from tests.bits.support import Case

MEASURES = "cosine", "jaccard", "common_cosine", "pearson", "msd"


def cases() -> Iterator[Case]:
    for kind, measure in product((UserKNN, ItemKNN), MEASURES):
        for prediction in ("z_score", "sum"):
            model = kind(5, measure, prediction, shrinkage=2.0)
            yield f"{model}", partial(_run, model)
    for weighted in (False, True):
        yield f"{SlopeOne(weighted)}", partial(_run, SlopeOne(weighted))


def _run(model: Recommender) -> list[Any]:
    """The predictions for all pairs, and the similarities."""
    users, items = np.divmod(np.random.default_rng(0).permutation(60 * 50)[:900], 50)
    model.fit(Interactions(users, items, 1.0 + (users * items) % 5))
    codes = np.arange(50, dtype=np.int32)
    found = [model._scores(codes)]
    if isinstance(model, ItemKNN):
        found.append(model._similar_items(codes))
    return [minidl.asarray(array) for array in found]
