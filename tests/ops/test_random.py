"""Random numbers: the bits of Philox, the tensors made of them, and their distributions."""

import itertools
import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats

import minidl
from minidl import ops
from minidl.backends import cpu
from minidl.backends.philox import philox
from minidl.errors import MinidlError
from minidl.ops import random
from minidl.ops.random import Generator

FLOATS = {"float16": 11, "float32": 24, "float64": 53}  # and how many bits a uniform number has
each_float = pytest.mark.parametrize("dtype", FLOATS)


# Philox, written from the paper.

WORD = 2**32


def split(number, words):
    """The 32-bit words of an integer, lowest first."""
    return [number >> 32 * i & 0xFFFFFFFF for i in range(words)]


def scrambled(counter, key):
    """Philox4x32-10: the four words of one block (Salmon et al. 2011, section 3.3)."""
    for _ in range(10):
        low, high = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            high // WORD ^ counter[1] ^ key[0],
            high % WORD,
            low // WORD ^ counter[3] ^ key[1],
            low % WORD,
        ]
        key = [(key[0] + 0x9E3779B9) % WORD, (key[1] + 0xBB67AE85) % WORD]
    return counter


# Random123's file kat_vectors: counter, key and block, the first word first.
KNOWN = [
    "00000000 00000000 00000000 00000000  00000000 00000000  6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff  408f276d 41c83b0e a20bc7c6 6d5451fd",
    "243f6a88 85a308d3 13198a2e 03707344  a4093822 299f31d0  d16cfe09 94fdcceb 5001e420 24126ea1",
]


@pytest.mark.parametrize("known", KNOWN)
def test_the_independent_philox_gives_the_known_answers(known):
    words = [int(word, 16) for word in known.split()]
    assert scrambled(words[:4], words[4:6]) == words[6:]


def blocks_of(seed, offset, blocks):
    """The blocks of minidl, a list of four words for each."""
    words = philox(cpu, seed, offset, blocks)
    assert all(x.dtype == "uint64" for x in words)
    return np.stack(words, axis=1).tolist()


def test_philox_gives_the_known_answer():
    assert blocks_of(0, 0, 1) == [[int(word, 16) for word in KNOWN[0].split()[6:]]]


SEEDS = [0, 1, 2**32 - 1, 2**32, 0x299F31D0A4093822, 2**64 - 1]
OFFSETS = [0, 1, 2**32 - 2, 2**53 - 1, 2**53 + 1, 2**63 - 2, 2**63 + 7, 2**64 - 5]


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_are_those_of_the_independent_philox(seed, offset):
    expected = [scrambled(split(offset + i, 4), split(seed, 2)) for i in range(4)]
    assert blocks_of(seed, offset, 4) == expected


@each_float
@pytest.mark.parametrize("size", [0, 1, 2, 7])
@pytest.mark.parametrize("key", [(0, 0), (123, 45), (2**64 - 1, 2**40)])
def test_uniform_numbers_are_the_top_bits_of_two_words(key, size, dtype):
    numbers = ops.uniform_like(ops.zeros(size, dtype=dtype), key)
    expected = []
    for i in range(size):
        block = scrambled(split(key[1] + i // 2, 4), split(key[0], 2))
        first, second = block[2 * (i % 2) :][:2]
        expected.append((first * WORD + second >> 64 - FLOATS[dtype]) / 2 ** FLOATS[dtype])
    assert numbers.dtype == dtype
    assert numbers.tolist() == expected


# Keys, seeds and streams.


def test_a_generator_moves_on_by_a_block_for_two_numbers():
    generator = Generator(9)
    keys = [generator.key(size) for size in (4, 1, 0, 3, 2)]
    assert keys == [(9, 0), (9, 2), (9, 3), (9, 3), (9, 5)]
    assert repr(generator) == "Generator(seed=9, offset=6)"


def test_a_state_is_where_a_generator_goes_on():
    generator = Generator(2**63 + 9)
    generator.key(100)
    state = generator.get_state()
    assert state == {"seed": 2**63 + 9, "offset": 50}
    numbers = random.uniform(5, generator=generator).tolist()
    other = Generator(1)
    assert other.set_state(state) is other
    assert random.uniform(5, generator=other).tolist() == numbers
    assert state == {"seed": 2**63 + 9, "offset": 50}  # a copy


NO_STATES = [None, 3, {}, {"seed": 1}, {"seed": 1, "offset": -1}, {"seed": 1.0, "offset": 0}]


@pytest.mark.parametrize("state", [*NO_STATES, {"seed": 1, "offset": 2, "more": 3}])
def test_what_is_no_state_is_refused_and_changes_nothing(state):
    generator = Generator(4)
    with pytest.raises(MinidlError, match="set_state: needs the seed and offset"):
        generator.set_state(state)
    assert repr(generator) == "Generator(seed=4, offset=0)"


def uniform(shape, generator):
    return random.uniform(shape, generator=generator)


def normal(shape, generator):
    return random.normal(shape, generator=generator)


def integers(shape, generator):
    return random.integers(-5, 1000, shape, generator=generator)


def permutation(shape, generator):
    return random.permutation(math.prod(shape), generator=generator)


each_kind = pytest.mark.parametrize("draw", [uniform, normal, integers, permutation])
each_stream = pytest.mark.parametrize("draw", [uniform, normal, integers])


@each_kind
def test_same_seed_same_numbers(draw):
    runs = [[draw((50,), g).tolist() for _ in range(3)] for g in map(Generator, (1, 1, 2))]
    assert runs[0] == runs[1]
    assert len({tuple(numbers) for run in runs for numbers in run}) == 6


@each_kind
def test_manual_seed_resets_the_default_generator(draw):
    minidl.manual_seed(1)
    first = [draw((50,), None).tolist() for _ in range(2)]
    minidl.manual_seed(2)
    assert draw((50,), None).tolist() not in first
    assert random.manual_seed(1) is random.default_generator
    assert [draw((50,), None).tolist() for _ in range(2)] == first


@each_stream
@pytest.mark.parametrize("cut", [(6, 4), (2, 2, 2, 4), (8, 2)])
def test_numbers_do_not_depend_on_how_a_stream_is_cut(draw, cut):
    whole, parts = Generator(3), Generator(3)
    chunks = [draw((n,), parts).numpy() for n in cut]
    np.testing.assert_array_equal(np.concatenate(chunks), draw((10,), whole))
    assert whole.offset == parts.offset


@each_stream
@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 3, 2), (12, 1)])
def test_numbers_do_not_depend_on_the_shape(draw, shape):
    expected = draw((12,), Generator(3)).numpy().reshape(shape)
    np.testing.assert_array_equal(draw(shape, Generator(3)), expected)


@each_stream
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3)])
def test_shapes_are_the_requested_ones(draw, shape):
    assert draw(shape, Generator(3)).shape == shape


@pytest.mark.parametrize("function", [random.uniform, random.normal])
def test_every_float_dtype_sees_the_same_randomness(function):
    numbers = {d: function(1000, dtype=d, generator=Generator(4)).numpy() for d in FLOATS}
    for dtype in FLOATS:
        assert numbers[dtype].dtype == dtype
        tolerance = 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(numbers[dtype], numbers["float64"], tolerance, tolerance)


@pytest.mark.parametrize("seed", [0, -1, 2**64 + 5, 2**200])
def test_any_integer_is_a_seed(seed):
    assert Generator(seed).seed == seed % 2**64
    assert minidl.manual_seed(seed).seed == seed % 2**64


@pytest.mark.parametrize("seed", ["one", None, 1.5, float("nan")])
@pytest.mark.parametrize("function", [Generator, minidl.manual_seed])
def test_a_seed_is_an_integer(function, seed):
    with pytest.raises(MinidlError, match=f"seed.*{seed}"):
        function(seed)


def test_seed_gives_a_seed_that_can_be_used_again():
    seeds = [random.seed() for _ in range(3)]
    assert len(set(seeds)) == 3
    last = random.uniform(5).tolist()
    minidl.manual_seed(seeds[-1])
    assert random.uniform(5).tolist() == last


class Slow(int):
    """A number so slow to add to that every other thread gets a chance to read it."""

    def __add__(self, other):
        time.sleep(1e-5)
        return Slow(int(self) + other)


def test_threads_never_share_a_key():
    generator, sizes = Generator(5), [1, 2, 7, 100] * 20
    generator.offset = Slow(0)
    with ThreadPoolExecutor(8) as pool:
        tasks = [
            pool.submit(lambda: [(generator.key(n)[1], (n + 1) // 2) for n in sizes])
            for _ in range(8)
        ]
        spans = sorted(itertools.chain.from_iterable(task.result() for task in tasks))
    offset = 0
    for start, blocks in spans:
        assert start == offset
        offset += blocks
    assert offset == generator.offset


# Distributions: of 100,000 numbers, with a fixed seed.

N = 100_000
RANGES = [(0, 1), (1, 2), (-1, 1), (1000, 1001), (-3, 0), (0, 0.1), (0.3, 0.7)]


def assert_distributed(numbers, distribution, mean, std):
    """As a distribution of SciPy, with its first two moments."""
    x = np.asarray(numbers, "float64").ravel()
    assert abs(x.mean() - mean) < 4 * std / math.sqrt(x.size)
    assert x.std() == pytest.approx(std, rel=0.02)
    assert stats.kstest(x, distribution.cdf).pvalue > 1e-3


@each_float
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2.5, 3.5), (-0.1, 0.0)])
def test_uniform_is_uniform(low, high, seed, dtype):
    x = random.uniform(N, low=low, high=high, dtype=dtype, generator=Generator(seed)).numpy()
    assert x.dtype == dtype
    width = high - low
    assert_distributed(x, stats.uniform(low, width), low + width / 2, width / math.sqrt(12))


@each_float
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_uniform_stays_from_low_to_below_high(low, high, dtype):
    x = random.uniform(10 * N, low=low, high=high, dtype=dtype, generator=Generator(0)).numpy()
    assert x.min() >= np.dtype(dtype).type(low)
    assert x.max() < np.dtype(dtype).type(high)


@pytest.fixture(params=[0, 0xFFFFFFFF], ids=["lowest", "highest"])
def only_word(request, monkeypatch):
    """The word that Philox gives, again and again: the rarest of numbers."""

    def words(xp, seed, offset, blocks):
        return [xp.asarray(np.full(blocks, request.param, "uint64"))] * 4

    monkeypatch.setattr("minidl.backends.philox.philox", words)
    with minidl.kernels("reference"):  # a GPU's have a Philox of their own
        yield request.param


@each_float
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_the_rarest_uniform_numbers_are_in_the_range(low, high, dtype, only_word):
    u = ops.uniform_like(ops.zeros(3, dtype=dtype), (0, 0)).tolist()
    assert u == [1 - 2 ** -FLOATS[dtype] if only_word else 0] * 3
    x = random.uniform(3, low=low, high=high, dtype=dtype).numpy()
    assert x.min() >= np.dtype(dtype).type(low)
    assert x.max() < np.dtype(dtype).type(high)


@each_float
def test_the_rarest_normal_numbers_are_finite(dtype, only_word):
    x = random.normal(4, dtype=dtype).numpy()
    assert np.isfinite(x).all()
    assert np.abs(x).max() < 9


@pytest.mark.parametrize(("low", "high"), [(0, 3), (-7, 10**9), (0, 2**53 - 1), (0, 2**53)])
def test_the_rarest_integers_are_in_the_range(low, high, only_word):
    x = random.integers(low, high, 3).tolist()
    assert low <= min(x) <= max(x) < high


@each_float
@pytest.mark.parametrize("size", [N, N + 1])
@pytest.mark.parametrize(("mean", "std"), [(0, 1), (-3, 0.5), (2, 10)])
def test_normal_is_normal(mean, std, size, dtype):
    x = random.normal(size, mean=mean, std=std, dtype=dtype, generator=Generator(1)).numpy()
    assert x.dtype == dtype
    assert np.isfinite(x).all()
    assert_distributed(x, stats.norm(mean, std), mean, std)


def test_normal_has_normal_tails():
    x = random.normal(20 * N, dtype="float64", generator=Generator(2)).numpy()
    assert stats.skew(x) == pytest.approx(0, abs=4 * math.sqrt(6 / x.size))
    assert stats.kurtosis(x) == pytest.approx(0, abs=4 * math.sqrt(24 / x.size))
    for bound in (2, 3, 4):
        expected = stats.norm.sf(bound) * x.size
        for beyond in ((x > bound).sum(), (x < -bound).sum()):
            assert abs(beyond - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize("draw", [uniform, normal])
def test_neighbours_and_streams_are_uncorrelated(draw):
    x, y = (draw((N,), Generator(seed)).numpy() for seed in (0, 1))
    pairs = [(x[:-lag], x[lag:]) for lag in (1, 2, 3, N // 2)]
    for one, other in [*pairs, (x, y)]:
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / math.sqrt(len(one))


@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (10, 11), (0, 1000)])
def test_integers_are_equally_frequent(low, high):
    x = random.integers(low, high, (N // 100, 100), generator=Generator(0)).numpy()
    assert x.dtype == "int64"
    assert (x.min(), x.max()) == (low, high - 1)
    counts = np.bincount(x.ravel() - low, minlength=high - low)
    assert len(counts) == high - low
    assert stats.chisquare(counts).pvalue > 1e-3 or high - low == 1


@pytest.mark.parametrize(
    ("low", "high"), [(2**40, 2**40 + 3), (-(2**52), 2**52), (-(2**63), 2**53 - 2**63)]
)
def test_integers_may_be_large(low, high):
    x = random.integers(low, high, 10_000, generator=Generator(0)).numpy()
    assert low <= int(x.min())
    assert int(x.max()) < high
    assert len(np.unique(x)) == min(high - low, 10_000)
    scaled = (x - low) / (high - low)
    assert scaled.mean() == pytest.approx(0.5 if high - low > 3 else 1 / 3, abs=0.02)


def test_integers_of_no_shape_are_one_number():
    assert random.integers(3, 4).item() == 3


def test_a_permutation_has_every_number_once():
    for n in (0, 1, 2, 1000):
        x = random.permutation(n, generator=Generator(n))
        assert x.dtype == "int64"
        assert sorted(x.tolist()) == list(range(n))


def test_a_long_permutation_goes_up_as_often_as_down():
    x = random.permutation(N, generator=Generator(0)).numpy()
    ups = (x[1:] > x[:-1]).sum()
    assert abs(ups - (N - 1) / 2) < 4 * math.sqrt((N + 1) / 12)


def test_permutations_are_equally_frequent():
    generator = Generator(6)
    orders = itertools.permutations(range(4))
    counts = dict.fromkeys(orders, 0)
    for _ in range(2400):
        counts[tuple(random.permutation(4, generator=generator).tolist())] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_random_tensors_may_be_leaves():
    for function in (random.uniform, random.normal):
        x = function((2, 3), requires_grad=True)
        assert x.is_leaf
        (x * 2).sum().backward()
        assert x.grad.tolist() == [[2] * 3] * 2


MISUSES = {
    "integers from high to low": (lambda: random.integers(3, 3), "integers.*low < high.*3 and 3"),
    "integers between fractions": (lambda: random.integers(0.5, 2.5), "integers.*0.5"),
    "integers beyond int64": (lambda: random.integers(2**63, 2**63 + 2), "integers.*int64"),
    "integers too far apart": (lambda: random.integers(0, 2**53 + 1), r"integers.*2\*\*53"),
    "uniform from high to low": (lambda: random.uniform(3, low=2, high=1), "uniform.*2.*1"),
    "uniform to NaN": (lambda: random.uniform(3, high=float("nan")), "uniform.*nan"),
    "uniform to infinity": (lambda: random.uniform(3, high=float("inf")), "uniform.*inf"),
    "uniform wider than float16": (
        lambda: random.uniform(3, low=-6e4, high=6e4, dtype="float16"),
        "uniform.*60000.*float16",
    ),
    "uniform wider than float64": (
        lambda: random.uniform(3, low=-1.7e308, high=1.7e308, dtype="float64"),
        "uniform.*float64",
    ),
    "uniform beyond float16": (
        lambda: random.uniform(3, high=1e6, dtype="float16"),
        "uniform.*float16",
    ),
    "uniform to text": (lambda: random.uniform(3, high="1"), "uniform.*1"),
    "normal around NaN": (lambda: random.normal(3, mean=float("nan")), "normal.*nan"),
    "uniform integers": (lambda: random.uniform(3, dtype="int64"), "uniform.*int64"),
    "normal integers": (lambda: random.normal(3, dtype="int64"), "normal.*int64"),
    "normal narrower than nothing": (lambda: random.normal(3, std=-1), "normal.*std.*-1"),
    "a permutation of fewer than none": (lambda: random.permutation(-1), "-1"),
    "a permutation of half a thing": (lambda: random.permutation(2.5), "2.5"),
    "a shape of half a thing": (lambda: random.uniform((2.5,)), "2.5"),
}


@pytest.mark.parametrize(("misuse", "message"), MISUSES.values(), ids=MISUSES)
def test_misuse_is_explained(misuse, message):
    with pytest.raises(MinidlError, match=message):
        misuse()


# Draws with given probabilities.


@each_float
def test_bernoulli_draws_ones_with_their_probability(dtype):
    p = np.linspace(0, 1, 5).astype(dtype)
    drawn = random.bernoulli(np.broadcast_to(p, (4000, 5)), generator=Generator(1))
    assert drawn.dtype == dtype
    values = np.asarray(drawn).astype("float64")
    assert set(np.unique(values)) == {0, 1}
    assert (values[:, 0] == 0).all()
    assert (values[:, -1] == 1).all()
    for i in (1, 2, 3):
        count = int(values[:, i].sum())
        assert stats.binomtest(count, 4000, float(p[i])).pvalue > 1e-4


def test_bernoulli_of_tiny_probabilities_in_float16():
    p = np.full(200_000, 2.0**-14, "float16")
    count = int(np.asarray(random.bernoulli(p, generator=Generator(2))).astype(int).sum())
    assert stats.binomtest(count, p.size, 2.0**-14).pvalue > 1e-4


WEIGHTS = np.array([0.0, 3.0, 1.0, 0.0, 4.0])


@pytest.mark.parametrize("rows", [(), (1,)])
def test_multinomial_with_replacement_has_the_probabilities(rows):
    weights = np.broadcast_to(WEIGHTS, (*rows, 5))
    drawn = random.multinomial(weights, num_samples=8000, replacement=True, generator=Generator(3))
    assert drawn.shape == (*rows, 8000)
    assert drawn.dtype == "int64"
    counts = np.bincount(np.asarray(drawn).ravel(), minlength=5)
    assert counts[0] == counts[3] == 0
    possible = WEIGHTS > 0
    assert stats.chisquare(counts[possible], WEIGHTS[possible] * 1000).pvalue > 1e-4


def test_multinomial_without_replacement_draws_as_one_after_the_other_would():
    weights = np.broadcast_to(WEIGHTS, (20_000, 5))
    drawn = np.asarray(random.multinomial(weights, num_samples=2, generator=Generator(4)))
    assert (drawn[:, 0] != drawn[:, 1]).all()
    counts = np.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25)
    p = WEIGHTS / WEIGHTS.sum()
    pairs = [(i, j) for i in (1, 2, 4) for j in (1, 2, 4) if i != j]
    needed = np.array([p[i] * p[j] / (1 - p[i]) for i, j in pairs]) * len(drawn)
    assert counts.sum() == sum(counts[i * 5 + j] for i, j in pairs)
    assert stats.chisquare([counts[i * 5 + j] for i, j in pairs], needed).pvalue > 1e-4


def test_multinomial_draws_each_of_the_possible_once():
    drawn = random.multinomial(np.stack([WEIGHTS, WEIGHTS[::-1]]), num_samples=3)
    assert np.sort(np.asarray(drawn), axis=1).tolist() == [[1, 2, 4], [0, 2, 3]]
    assert random.multinomial(np.array([0, 7])).tolist() == [1]


def test_a_key_gives_the_same_draws():
    for draw in (
        lambda g: random.bernoulli(np.full(50, 0.5), generator=g),
        lambda g: random.multinomial(np.ones(50), num_samples=20, generator=g),
        lambda g: random.multinomial(np.ones(5), num_samples=20, replacement=True, generator=g),
    ):
        generator = Generator(7)
        one, other = draw(generator), draw(generator)
        assert (one != other).any()
        assert (draw(Generator(7)) == one).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: random.bernoulli(np.array([0.5, 1.5])), "bernoulli: probabilities are from 0"),
        (lambda: random.bernoulli(np.array([np.nan])), "bernoulli: probabilities are from 0"),
        (lambda: random.bernoulli(np.array([1])), "bernoulli: probabilities are floats"),
        (lambda: random.multinomial(np.zeros(3)), "multinomial: weights are finite, ≥ 0, and"),
        (lambda: random.multinomial(-np.ones(3)), "multinomial: weights are finite, ≥ 0, and"),
        (lambda: random.multinomial(np.array([1, np.inf])), "multinomial: weights are finite"),
        (lambda: random.multinomial(WEIGHTS, num_samples=4), "4 different indices need as many"),
        (lambda: random.multinomial(WEIGHTS, num_samples=0), "num_samples is an integer ≥ 1"),
        (lambda: random.multinomial(np.zeros((2, 0))), "multinomial: weights are a vector"),
        (lambda: random.multinomial(np.ones((1, 1, 1))), "multinomial: weights are a vector"),
    ],
)
def test_weights_that_give_no_draw_are_refused(wrong, words):
    with pytest.raises(MinidlError, match=words):
        wrong()
