"""BPR and WARP beside gradients of the engine, and what their schedules promise."""

import numpy as np
import pytest

import minidl
from minidl import recommend
from minidl.backends.kernels.recommend import pairwise as kernels
from minidl.errors import ArgumentError
from minidl.recommend import BPR, WARP, Interactions
from minidl.recommend.factorization.pairwise import shared, strata

BOTH = [BPR, WARP]


def drawn(users=40, items=300, n=900, seed=0):
    """Two groups of users, each of which meets one half of the items."""
    rng = np.random.default_rng(seed)
    u = rng.integers(0, users, n)
    i = rng.integers(0, items // 2, n) * 2 + u % 2
    return Interactions(u, i)


@pytest.fixture
def one_thread_and_three():
    before = minidl.get_num_threads()
    yield (1, 3)
    minidl.set_num_threads(before)


def step(kernel, *setting, factors=5):
    """The tables before and after one step, for one pair: user 0, item 0; item 1 is the other."""
    rng = np.random.default_rng(1)
    tables = [rng.normal(0, 0.3, shape).astype("f") for shape in ((1, factors), (2, factors), (2,))]
    before = [table.copy() for table in tables]
    data = np.zeros(1, np.int32), np.zeros(1, np.int32), np.ones(8, np.int32)
    seen = np.array([0, 1]), np.zeros(1, np.int32)
    rates = tuple(map(np.float32, (0.1, 0.001, 0.1, 0.001)))  # η = 0.1, λ = 0.01
    tasks, wrong = np.array([[0, 1, 0, 8]]), np.zeros(1, np.int64)
    kernel(data, seen, tasks, tuple(tables), rates, *setting, np.uint64(3), wrong, 1)
    return before, tables


def gradient_step(before, weighted_loss):
    """What gradient descent with the engine's gradients gives."""
    tables = [minidl.tensor(table, requires_grad=True) for table in before]
    p, q, b = tables
    x = (p[0] * (q[0] - q[1])).sum() + b[0] - b[1]
    penalty = sum((table**2).sum() for table in tables)
    (weighted_loss(x) + 0.5 * 0.01 * penalty).backward()
    return [table.numpy() - 0.1 * table.grad.numpy() for table in tables]


def test_a_step_of_bpr_is_one_along_the_gradient():
    before, after = step(kernels.bpr_steps, False)
    expected = gradient_step(before, lambda x: -minidl.logsigmoid(x))
    for own, other in zip(after, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-7)


def test_a_step_of_warp_is_one_along_the_gradient_and_projected():
    before, after = step(kernels.warp_steps, 7, np.float32(np.inf))
    # The first of 8 items that is drawn is ranked too high: the weight is log(1 + ⌊(8 − 1)/1⌋).
    expected = gradient_step(before, lambda x: -np.log(8) * x)
    for own, other in zip(after, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-7)
    _, (p, q, _) = step(kernels.warp_steps, 7, np.float32(0.25))
    assert np.linalg.norm(np.r_[p, q], axis=1) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("kind", BOTH)
def test_bits_do_not_depend_on_threads(kind, one_thread_and_three):
    fitted = []
    for threads in one_thread_and_three:
        minidl.set_num_threads(threads)
        fitted.append(kind(factors=8, epochs=3).fit(drawn(n=20_000, users=400)))
    for name in ("user_factors", "item_factors", "item_biases"):
        np.testing.assert_array_equal(*(getattr(model, name) for model in fitted))
    other = kind(factors=8, epochs=3, seed=1).fit(drawn(n=20_000, users=400))
    assert (other.item_factors != fitted[0].item_factors).any()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("lock_free", [False, True])
def test_groups_are_told_apart(kind, lock_free):
    data = drawn()
    model = kind(factors=8, epochs=200, lock_free=lock_free).fit(data)
    found = model.recommend(n=5, exclude_seen=False)
    own = [
        item % 2 == user % 2 for user, row in zip(data.users, found, strict=True) for item, _ in row
    ]
    assert np.mean(own) > 0.95
    assert model.history[-1] > model.history[0]
    assert len(model.history) == 200


def test_blocks_of_a_round_share_nothing_and_cover_all_pairs():
    matrix = drawn(users=30, items=100).matrix
    schedule = strata(matrix, np.random.default_rng(0))
    pairs = []
    for tasks in schedule.rounds:
        users, items = [], []
        for start, stop, first, last in tasks:
            users.append(set(schedule.users[start:stop].tolist()))
            items.append(set(schedule.order[first:last].tolist()))
            assert set(schedule.items[start:stop].tolist()) <= items[-1]
            pairs += zip(schedule.users[start:stop], schedule.items[start:stop], strict=True)
        for groups in (users, items):
            assert sum(map(len, groups)) == len(set().union(*groups))
    assert sorted(pairs) == sorted(zip(*matrix.nonzero(), strict=True))


def test_tasks_of_lock_free_updates_cover_all_pairs(one_thread_and_three):
    matrix = drawn().matrix
    for threads in one_thread_and_three:
        minidl.set_num_threads(threads)
        (tasks,) = shared(matrix, np.random.default_rng(0)).rounds
        assert len(tasks) == threads
        assert tasks[0, 0] == 0
        assert tasks[-1, 1] == matrix.nnz
        assert (tasks[1:, 0] == tasks[:-1, 1]).all()


@pytest.mark.parametrize("kind", BOTH)
def test_new_users_are_folded_in_with_the_items_as_they_were(kind):
    model = kind(factors=8, epochs=100).fit(drawn())
    items = model.item_factors.copy()
    even = [item for item in model.items if item % 2 == 0][:12]
    folded = model.fold_in((["new"] * 12, even))
    found = folded.recommend("new", 5)
    assert all(item % 2 == 0 for item, _ in found)
    assert not {item for item, _ in found} & set(even)
    np.testing.assert_array_equal(model.item_factors, items)
    np.testing.assert_array_equal(folded.item_factors, items)


@pytest.mark.parametrize("kind", BOTH)
def test_more_interactions_are_learned_without_forgetting(kind):
    model = kind(factors=8, epochs=100).fit(drawn())
    old = model.user_factors.copy()
    model.partial_fit((["new"] * 3, [0, 2, 10_000]))
    assert model.user_factors.shape == (41, 8)
    np.testing.assert_array_equal(model.user_factors[:40], old)
    assert len(model.history) == 200
    assert np.isfinite(model.recommend("new", 5).__getitem__(0).score)


@pytest.mark.parametrize("kind", BOTH)
def test_cold_users_single_items_and_files(kind, tmp_path):
    data = drawn()
    few = kind(factors=4, epochs=2).fit(data.take(data.user_codes > 0))
    assert not few.user_factors[0].any()
    assert np.isfinite(few.recommend(data.users[0], 3)[0].score)
    one = kind(factors=4, epochs=3).fit(([1], ["only"]))  # no other item to draw
    assert one.recommend(1) == []
    few.save(tmp_path / "model.safetensors")
    loaded = recommend.load(tmp_path / "model.safetensors")
    assert loaded.recommend(n=3).items == few.recommend(n=3).items
    assert loaded.history == few.history


def test_ratings_that_are_not_positive_are_not_met():
    model = BPR(factors=4, epochs=300, regularization=0).fit(
        ([1, 1, 2, 2], ["a", "b", "a", "b"], [1, 0, 2, -1])
    )
    assert (model.predict([1, 2], ["a", "a"]) > model.predict([1, 2], ["b", "b"])).all()
    with pytest.raises(ArgumentError, match="BPR: needs ratings above 0"):
        BPR().fit(([1], [2], [0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"negatives": "any"}, 'negatives is one of "uniform", "popularity"'),
        ({"factors": 0}, "factors is an integer ≥ 1"),
        ({"learning_rate": 0}, "learning_rate is a number above 0"),
        ({"lock_free": 1}, "lock_free is True or False"),
    ],
)
def test_settings_that_cannot_be(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        BPR(**arguments)


def test_learning_that_diverges_is_an_error_and_changes_nothing():
    model = BPR(factors=4, epochs=1).fit(drawn())
    before = model.item_factors
    model.learning_rate, model.regularization, model.epochs = 1e6, 1e6, 20
    with pytest.raises(ArgumentError, match="a smaller learning_rate"):
        model.partial_fit(([0], [1]))
    assert model.item_factors is before
