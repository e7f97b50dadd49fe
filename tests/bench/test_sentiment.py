"""The benchmark of the classifier of texts beside n-grams."""

import re

from bench import sentiment as bench
from minidl.cli.tasks import sentiment
from tests.cli.test_texts import SNIPPETS


def test_both_are_trained_on_the_same_split(capsys, monkeypatch):
    monkeypatch.setitem(sentiment.DATA, "movie-snippets", lambda: SNIPPETS)
    bench.main(["3"])
    heading, row, mean = capsys.readouterr().out.splitlines()
    assert heading.split() == ["seed", "network", "n-grams"]
    scores = re.fullmatch(r" *3 +([\d.]+)% +([\d.]+)%", row)
    assert float(scores[2]) > 90
    assert mean.split()[1:] == row.split()[1:]
