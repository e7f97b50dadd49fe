"""The recurrent classifier of film snippets beside logistic regression on n-grams, on equal splits.

    python -m bench.sentiment [SEED …]

Both are trained on the same nine tenths and tested on the same tenth, which the seed chooses.
The regression has the counts of words and pairs of words, weighted by tf-idf; its penalty is the
best of three on the test data, an advantage that the network does not have.
"""

import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO

import numpy as np

from minidl import cli
from minidl.cli.tasks.sentiment import Sentiment
from minidl.data.text import word_tokens

_PENALTIES = 1.0, 4.0, 16.0


def main(arguments: list[str]) -> None:
    """Print the accuracies for each seed, and their means."""
    seeds = [int(seed) for seed in arguments] or [0, 1, 2]
    print(f"{'seed':>4}  {'network':>8}  {'n-grams':>8}")
    found = np.array([[network(seed), regression(seed)] for seed in map(_told, seeds)])
    for seed, row in zip(seeds, found, strict=True):
        print(f"{seed:>4}  {row[0]:8.2%}  {row[1]:8.2%}")
    print(f"mean  {found[:, 0].mean():8.2%}  {found[:, 1].mean():8.2%}")


def network(seed: int) -> float:
    """The test accuracy of `minidl train sentiment`."""
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()) as printed:
        status = cli.main(["train", "sentiment", "--seed", str(seed), "--runs", folder])
    assert status == 0, printed.getvalue()
    line = printed.getvalue().splitlines()[1]
    return float(line.split()[2].rstrip("%")) / 100


def regression(seed: int) -> float:
    """The best test accuracy of logistic regression on n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    task = Sentiment({"model": "sentiment", **Sentiment.defaults({}), "seed": seed})
    train, test = task.pairs()
    counts = TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        tokenizer=word_tokens,
        token_pattern=None,
        lowercase=False,
    )
    x, x_test = counts.fit_transform(t for t, _ in train), counts.transform(t for t, _ in test)
    y, y_test = (np.array([score > 0 for _, score in part]) for part in (train, test))
    scores = [
        LogisticRegression(C=c, max_iter=500).fit(x, y).score(x_test, y_test) for c in _PENALTIES
    ]
    return max(scores)


def _told(seed: int) -> int:
    print(f"seed {seed} …", file=sys.stderr, flush=True)
    return seed


if __name__ == "__main__":
    main(sys.argv[1:])
