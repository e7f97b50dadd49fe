"""Strata: ratings in a grid of blocks, which threads work on at the same time.

The grid has as many bands of users as of items; stratum s holds the blocks (b, (b + s) mod grid),
of which no two share a user or an item.  Inside a block ratings come one after the other.  So
parallel stochastic gradient descent has the bits of a sequential one:

    R. Gemulla, E. Nijkamp, P. Haas, Y. Sismanis.  Large-scale matrix factorization with distributed
    stochastic gradient descent.  KDD 2011.

A block is shuffled each time before it is gone through, by random numbers that depend on the key,
the epoch and the block alone.
"""

import numpy as np

from minidl.backends.kernels.random import philox_block
from minidl.backends.kernels.runtime.kernel import inlined, inner

_U = np.uint64


@inlined
def block_of(band, stratum, grid):
    """The number of a block, by its band of users and its stratum."""
    return band * grid + (band + stratum) % grid


@inlined
def drawn(n, key, counter):
    """A number from 0 to n − 1, n < 2³²: those of different counters are independent."""
    word, _, _, _ = philox_block(key, counter)
    return np.int64((word * _U(n)) >> _U(32))


@inner
def shuffle(users, items, ratings, first, last, key, counter):
    """Shuffle ratings first … last − 1.

    R. Fisher, F. Yates 1938; R. Durstenfeld.  Algorithm 235: Random permutation.  CACM 7(7), 1964.
    """
    for k in range(last - first - 1, 0, -1):
        i, j = first + k, first + drawn(k + 1, key, counter + _U(k))
        users[i], users[j] = users[j], users[i]
        items[i], items[j] = items[j], items[i]
        ratings[i], ratings[j] = ratings[j], ratings[i]
