"""MatrixFactorization: its kernel beside the autograd engine, strata, divergence."""

import numpy as np
import pytest

import minidl
from minidl import optim, recommend
from minidl.backends.kernels.recommend.least_squares import padded
from minidl.backends.kernels.recommend.sgd import sgd_stratum
from minidl.errors import ArgumentError
from minidl.recommend import ALS, MatrixFactorization
from minidl.recommend.factorization import MatrixFactorizationModule
from minidl.recommend.factorization import strata as strata_module
from minidl.recommend.factorization.strata import Strata
from tests.recommend.factorization.helpers import random_ratings


@pytest.fixture(autouse=True)
def _threads():
    before = minidl.get_num_threads()
    yield
    minidl.set_num_threads(before)


def small(**settings):
    return MatrixFactorization(**{"factors": 5, "epochs": 30, "learning_rate": 0.02, **settings})


@pytest.mark.parametrize("factors", [1, 7, 16, 40])
def test_an_epoch_is_steps_of_sgd_on_the_autograd_engine(factors):
    u, i, r = random_ratings()
    rng = np.random.default_rng(0)
    p, q = (np.zeros((n, padded(factors)), "float32") for n in (12, 9))
    b_u, b_i = rng.normal(size=12).astype("f4"), rng.normal(size=9).astype("f4")
    for table in (p, q):
        table[:, :factors] = rng.normal(size=(len(table), factors)) * 0.4
    module = MatrixFactorizationModule(12, 9, factors, mean=3.25, regularization=0.3)
    start = p[:, :factors], q[:, :factors], b_u[:, None], b_i[:, None]
    tables = module.user_factors, module.item_factors, module.user_biases, module.item_biases
    with minidl.no_grad():
        for table, values in zip(tables, start, strict=True):
            table.weight[...] = minidl.tensor(values.copy())

    strata = Strata.of(u.astype("i4"), i.astype("i4"), r, rng)
    settings = (np.float32(3.25), np.float32(0.1), np.float32(0.3), True)
    one_block = np.array([0, u.size])
    place = 1, 0, np.uint64(3), np.uint64(0)
    sgd_stratum(one_block, *strata[2:], p, q, b_u, b_i, settings, place, 1)

    optimizer = optim.SGD(module.parameters(), lr=0.1)
    for user, item, rating in zip(*strata[2:], strict=True):  # in the order that was drawn
        optimizer.zero_grad()
        codes = minidl.tensor([int(user)]), minidl.tensor([int(item)])
        module.loss(*codes, minidl.tensor([float(rating)])).backward()
        optimizer.step()
    found = p[:, :factors], q[:, :factors], b_u[:, None], b_i[:, None]
    for table, values in zip(tables, found, strict=True):
        np.testing.assert_allclose(values, table.weight.numpy(), rtol=1e-4, atol=2e-6)
    assert not p[:, factors:].any()


def test_gradients_of_the_module_are_those_of_used_rows():
    module = MatrixFactorizationModule(100, 50, 4)
    module.loss(minidl.tensor([3, 3]), minidl.tensor([7, 8]), minidl.tensor([1.0, 2.0])).backward()
    gradient = module.user_factors.weight.grad
    assert isinstance(gradient, minidl.RowGradient)


@pytest.mark.parametrize("shape", [(30, 20), (500, 3), (1, 1), (1, 40)])
def test_blocks_of_a_stratum_share_nothing(shape, monkeypatch):
    monkeypatch.setattr(strata_module, "_PER_BLOCK", 20)
    u, i, r = random_ratings(*shape, share=0.7)
    strata = Strata.of(u.astype("i4"), i.astype("i4"), r, np.random.default_rng(0))
    grid, starts = strata.grid, strata.starts
    assert grid == max(1, min(16, int((u.size / 20) ** 0.5)))
    assert starts[0] == 0
    assert starts[-1] == u.size
    bands_of_users, bands_of_items = {}, {}
    for block in range(grid**2):
        own = slice(starts[block], starts[block + 1])
        for user, item in zip(strata.users[own], strata.items[own], strict=True):
            assert bands_of_users.setdefault(user, block // grid) == block // grid
            assert bands_of_items.setdefault(item, block % grid) == block % grid
    for codes, bands in ((u, bands_of_users), (i, bands_of_items)):
        sizes = np.bincount([bands[code] for code in codes], minlength=grid)
        assert np.abs(sizes - u.size / grid).max() <= np.bincount(codes).max()  # of equal size
    given = sorted(zip(u, i, r, strict=True))
    assert sorted(zip(*strata[2:], strict=True)) == given


def test_ratings_are_shuffled_inside_their_blocks_and_none_is_lost():
    u, i, _ = random_ratings(60, 40)
    model_users = u.astype("i4")
    order = np.arange(u.size, dtype="f4")
    p, q = np.zeros((60, padded(1)), "f4"), np.zeros((40, padded(1)), "f4")
    seen = set()
    for counter in range(5):
        sgd_stratum(
            np.array([0, u.size]), model_users, i.astype("i4"), order, p, q, np.zeros(60, "f4"),
            np.zeros(40, "f4"), (np.float32(0), np.float32(0), np.float32(0), True),
            (1, 0, np.uint64(0), np.uint64(counter * u.size)), 1,
        )  # fmt: skip
        assert sorted(order) == list(range(u.size))
        assert np.array_equal(model_users, u[order.astype(int)])
        seen.add(tuple(order[:5]))
    assert len(seen) == 5


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(strata_module, "_PER_BLOCK", 300)
    ratings = random_ratings(300, 200)
    models = []
    for threads in (1, 2, 5):
        minidl.set_num_threads(threads)
        models.append(small(factors=20, epochs=3).fit(ratings))
    for model in models[1:]:
        assert np.array_equal(model.user_factors, models[0].user_factors)
        assert np.array_equal(model.item_biases, models[0].item_biases)


def test_it_comes_close_to_the_least_that_als_finds():
    ratings = random_ratings(40, 30)
    by_steps = small(factors=3, epochs=3000, regularization=0.1, learning_rate=0.01).fit(ratings)
    exact = ALS(factors=3, epochs=300, regularization=0.1).fit(ratings)
    u, i, r = ratings
    errors = [np.mean((model.predict(u, i) - r) ** 2) for model in (by_steps, exact)]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


def test_without_biases_it_is_a_product_of_factors():
    model = small(biases=False).fit(random_ratings())
    assert model.mean == 0
    assert not model.user_biases.any()
    scores = model.user_factors @ model.item_factors.T
    np.testing.assert_allclose(model._scores(np.arange(12)), scores, rtol=1e-5)


def test_a_seed_gives_the_same_bits_and_another_others():
    first, second, other = (small(seed=s).fit(random_ratings()) for s in (1, 1, 2))
    assert np.array_equal(first.user_factors, second.user_factors)
    assert not np.array_equal(first.user_factors, other.user_factors)


def test_new_users_and_new_ratings():
    u, i, r = random_ratings()
    model = small(epochs=300).fit((u, i, r))
    folded = model.fold_in((u + 1000, i, r))
    errors = [np.abs(m.predict(n, i) - r).mean() for m, n in ((model, u), (folded, u + 1000))]
    assert errors[1] < errors[0] + 0.05
    model.partial_fit(([77, 77], [0, 77], [5.0, 1.0]))
    assert model.predict(77, 77) < model.predict(77, 0)
    assert model.explain(0, 0).because == "liked"


def test_cold_users_and_items_have_no_factors():
    data = recommend.Interactions.of(random_ratings())
    model = small().fit(data.take((data.user_codes != 3) & (data.item_codes != 2)))
    assert not model.user_factors[3].any()
    assert not model.item_factors[2].any()
    assert model.predict(data.users[3], data.items[2]) == np.float32(model.mean)
    assert model.predict("new", "too", unknown="default") == np.float32(model.mean)


def test_divergence_is_an_error_and_changes_nothing():
    model = small().fit(random_ratings())
    before = model.user_factors
    model.learning_rate = 20.0
    with pytest.raises(ArgumentError, match="infinite; lower the learning_rate"):
        model.fit(random_ratings(20, 10))
    assert model.user_factors is before


@pytest.mark.parametrize("data", [([1], ["tea"], [3.0]), ([1, 2], ["tea", "tea"], [1.0, 5.0])])
def test_one_user_or_one_item(data):
    model = small().fit(data)
    assert 1 <= model.predict(1, "tea") <= 5


def test_saved_and_loaded(tmp_path):
    model = small().fit(random_ratings())
    model.save(tmp_path / "model")
    loaded = recommend.load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    assert np.array_equal(loaded._scores(np.arange(12)), model._scores(np.arange(12)))
    assert loaded.rating_range == model.rating_range


@pytest.mark.parametrize(
    "bad", [{"factors": 0}, {"epochs": 0}, {"learning_rate": 0}, {"regularization": -1}]
)
def test_settings_are_checked(bad):
    with pytest.raises(ArgumentError, match=f"MatrixFactorization: {next(iter(bad))}"):
        MatrixFactorization(**bad)
    with pytest.raises(ArgumentError, match="needs ratings"):
        MatrixFactorization().fit(([1], [2]))
