"""Each module beside a NumPy computation of its formula."""

from itertools import combinations

import numpy as np
import pytest

import minidl
from minidl.recommend import Interactions
from minidl.recommend.neural.neumf import NeuMFModule
from minidl.recommend.neural.sequence import CausalTransformer, Recurrent, SequenceModule
from minidl.recommend.neural.training import with_negatives
from minidl.recommend.neural.two_tower import batch_softmax_loss
from tests.recommend.neural.helpers import ITEMS, RATINGS, SMALL, USERS, two_groups


def array(parameter):
    return parameter.detach().numpy().astype(np.float64)


def linear(layer, x):
    y = x @ array(layer.weight).T
    return y if layer.bias is None else y + array(layer.bias)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_neumf():
    minidl.manual_seed(0)
    module = NeuMFModule(5, 4, 3, (8, 6, 4), 0.0)
    users, items = np.array([0, 4, 2]), np.array([3, 0, 3])
    found = module(minidl.asarray(users), minidl.asarray(items)).detach().numpy()
    products = array(module.user_factors.weight)[users] * array(module.item_factors.weight)[items]
    tables = module.user_embeddings, module.item_embeddings
    x = np.hstack([array(t.weight)[codes] for t, codes in zip(tables, (users, items), strict=True)])
    x = np.maximum(linear(module.layers[0], x), 0)
    x = np.maximum(linear(module.layers[2], x), 0)
    expected = linear(module.output, np.hstack([products, x]))[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def fields():
    """x of ann, ben, cat, and of a, b, d, c, one array for each field; cat and c met nothing."""
    z = np.array([[-20], [20], [0]]) / np.std([20, 60, 40])
    users = [np.array([[1, 0], [0, 1], [0, 0]]), z, np.array([[1, 0], [0, 1], [1, 0]])]
    half = 0.5**0.5
    kinds = np.array([[1, 0, 0], [0, half, half], [0, 0, 0], [0, 0, 0]])
    years = np.array([[-2], [-1], [0], [3]]) / np.std([1, 2, 6])
    years[2] = 0  # d has no features
    ids = np.vstack([np.eye(3), np.zeros(3)])
    return users, [ids, kinds, years]


def trained(name):
    model = SMALL[name](user_features=USERS, item_features=ITEMS, epochs=20, learning_rate=0.05)
    model.fit(RATINGS)
    assert list(model.users) == ["ann", "ben", "cat"]
    assert list(model.items) == ["a", "b", "d", "c"]
    return model


def scores(model):
    """Those of all pairs, one by one and in blocks, which have to agree."""
    pairs = [model.predict([user] * 4, model.items) for user in model.users]
    blocks = model._scores(np.arange(3))
    np.testing.assert_allclose(blocks, pairs, rtol=1e-5, atol=1e-6)
    return blocks


def test_factorization_machine():
    model = trained("FactorizationMachine")
    users, items = (np.hstack(parts) for parts in fields())
    tables = np.vstack([array(model.module.users.weight), array(model.module.items.weight)])
    w, v = tables[:, 0], tables[:, 1:]
    expected = np.empty((3, 4))
    for u, i in np.ndindex(3, 4):
        x = np.concatenate([users[u], items[i]])
        expected[u, i] = np.mean(RATINGS[2]) + array(model.module.bias) + w @ x
        for j, k in combinations(range(x.size), 2):
            expected[u, i] += v[j] @ v[k] * x[j] * x[k]
    np.testing.assert_allclose(scores(model), expected, rtol=1e-4, atol=1e-5)
    unknown = model.predict("zoe", "a", unknown="default")
    only = items[0]
    alone = np.mean(RATINGS[2]) + array(model.module.bias) + w[users.shape[1] :] @ only
    for j, k in combinations(range(only.size), 2):
        alone += v[users.shape[1] + j] @ v[users.shape[1] + k] * only[j] * only[k]
    np.testing.assert_allclose(unknown, alone, rtol=1e-4)


def test_deepfm():
    model = trained("DeepFM")
    module = model.module
    tables = array(module.users.weight), array(module.items.weight)
    expected = np.empty((3, 4))
    for u, i in np.ndindex(3, 4):
        embedded = []
        for table, row, side in zip(tables, (u, i), fields(), strict=True):
            starts = np.cumsum([0, *(field.shape[1] for field in side)])
            embedded += [
                field[row] @ table[start : start + field.shape[1]]
                for field, start in zip(side, starts, strict=False)
            ]
        w, e = np.array(embedded)[:, 0], np.array(embedded)[:, 1:]
        deep = linear(module.output, np.maximum(linear(module.layers[0], e.reshape(-1)), 0))[0]
        pairs = sum(e[f] @ e[g] for f, g in combinations(range(len(e)), 2))
        expected[u, i] = np.mean(RATINGS[2]) + array(module.bias) + w.sum() + pairs + deep
    np.testing.assert_allclose(scores(model), expected, rtol=1e-4, atol=1e-5)


def test_the_loss_of_two_towers():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, 3)).astype("float32")
    items, counts = np.array([7, 8, 7, 9, 8]), np.array([0.4, 0.2, 0.4, 0.1, 0.2], "float32")
    same = items[:, None] == items
    found = batch_softmax_loss(*map(minidl.asarray, (x, y, np.log(counts), same)), 0.5)
    expected = []
    for b in range(5):
        logits = [x[b] @ y[c] / 0.5 - np.log(counts[c]) for c in range(5)]
        others = [c for c in range(5) if c == b or items[c] != items[b]]
        total = sum(np.exp(logits[c]) for c in others)
        expected.append(-np.log(np.exp(logits[b]) / total))
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_recurrent_encoder():
    minidl.manual_seed(0)
    encoder = Recurrent(4, 1, 0.0)
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    found = encoder(minidl.asarray(x), None).detach().numpy()
    into, across = array(encoder.gru.weight_ih_l0), array(encoder.gru.weight_hh_l0)
    h = np.zeros((2, 4))
    for step in range(5):
        (r, z, n), (hr, hz, hn) = (np.split(v, 3, 1) for v in (x[:, step] @ into.T, h @ across.T))
        new = np.tanh(n + sigmoid(r + hr) * hn)
        h = (1 - sigmoid(z + hz)) * new + sigmoid(z + hz) * h
        np.testing.assert_allclose(found[:, step], h, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["SASRec", "GRU4Rec"])
def test_sequences_see_neither_what_comes_later_nor_padding(kind):
    minidl.manual_seed(0)
    encoder = (
        CausalTransformer(8, 2, 2, 9, 0.0) if kind == "SASRec" else Recurrent(8, 2, 0.0)
    )  # fmt: skip
    module = SequenceModule(20, 8, encoder, 0.0).eval()

    def hidden(rows):
        return module(minidl.asarray(np.array(rows))).detach().numpy()

    rows = np.random.default_rng(0).integers(1, 21, (3, 6))
    first = hidden(rows)
    changed = rows.copy()
    changed[:, 4:] = changed[:, 4:] % 20 + 1
    after = hidden(changed)
    np.testing.assert_array_equal(after[:, :4], first[:, :4])
    assert (np.abs(after[:, 4:] - first[:, 4:]).max(axis=-1) > 1e-3).all()
    for padding in (1, 3):
        longer = hidden(np.pad(rows, ((0, 0), (padding, 0))))
        np.testing.assert_allclose(longer[:, padding:], first, rtol=1e-5, atol=1e-6)
    assert np.isfinite(hidden(np.zeros((1, 6), int))).all()


@pytest.mark.parametrize("negatives", [1, 4])
def test_negatives_are_what_was_not_met(negatives):
    data = Interactions(*two_groups())
    users, items, labels = with_negatives(data, negatives, np.random.default_rng(0))
    met = data.matrix.toarray()[users, items]
    np.testing.assert_array_equal(met, labels)
    assert np.count_nonzero(labels) == 120
    assert labels.size == 120 * (1 + negatives)
    negative = items[labels == 0]
    assert len(np.unique(negative)) == 20  # all items are drawn


def test_who_met_everything_has_no_negatives():
    data = Interactions(["ann", "ann", "ben"], ["tea", "rum", "tea"])
    users, items, labels = with_negatives(data, 3, np.random.default_rng(0))
    assert set(users[labels == 0]) <= {1}
    assert set(items[labels == 0]) <= {1}
