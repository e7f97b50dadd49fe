"""The samples of long grids."""

from types import SimpleNamespace

import pytest

from tests.sampling import left_out


def grid(*counts):
    """The cases of a test with so many values of each parameter."""
    indices = [()]
    for count in counts:
        indices = [(*before, i) for before in indices for i in range(count)]
    names = "abc"[: len(counts)]
    return [SimpleNamespace(nodeid=f"test[{own}]", callspec=_call(names, own)) for own in indices]


def _call(names, own):
    return SimpleNamespace(indices=dict(zip(names, own, strict=True)))


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("counts", [(8,), (9, 2), (4, 5, 6)])
def test_a_share_of_the_cases_and_each_value_of_a_parameter(counts, share):
    cases = grid(*counts)
    others = {item.nodeid for item in left_out(cases, share)}
    chosen = [item for item in cases if item.nodeid not in others]
    assert len(chosen) >= share * len(cases)
    if len(counts) > 1:
        for name, count in zip("abc", counts, strict=False):
            assert {item.callspec.indices[name] for item in chosen} == set(range(count))
    assert len(chosen) <= max(share * len(cases) + 1, sum(counts))


def test_the_sample_depends_on_nothing_but_the_names():
    cases = grid(4, 5, 6)
    names = [item.nodeid for item in left_out(cases, 0.3)]
    assert names == [item.nodeid for item in left_out(cases[::-1], 0.3)]


def test_a_case_that_is_asked_for_by_its_name_is_run():
    assert left_out(grid(4, 5)[7:8], 0.3) == []
