"""Of a long grid of cases, the default run takes a sample, and -m full the others.

    @pytest.mark.sampled(0.3)

above a test with parameters: three in ten of its cases, the same in each run and on each machine,
and as many more as it takes for every value of every parameter to be in one.
"""

import math
from collections import Counter, defaultdict
from zlib import crc32


def mark_what_is_left_out(items):
    """Mark the cases that are not in the samples as `full`."""
    grids = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled"):
            grids[item.nodeid.partition("[")[0]].append(item)
    for cases in grids.values():
        share = cases[0].get_closest_marker("sampled").args[0]
        for item in left_out(cases, share):
            item.add_marker("full")


def left_out(cases, share):
    """The cases of a test that are not in its sample."""
    drawn = sorted(cases, key=lambda item: crc32(item.nodeid.encode()))
    values = [set(item.callspec.indices.items()) for item in drawn]
    counts = Counter(name for name, _ in set().union(*values))
    if max(counts.values()) == len(cases):  # a list of cases, and no grid
        values = [set() for _ in drawn]
    seen, first, others = set(), [], []
    for item, own in zip(drawn, values, strict=True):
        (others if own <= seen else first).append(item)
        seen |= own
    return others[max(0, math.ceil(share * len(cases)) - len(first)) :]
