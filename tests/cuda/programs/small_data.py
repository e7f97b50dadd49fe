"""The command `minidl` with small texts in place of those that would be fetched."""

import sys

import numpy as np

from minidl import cli
from minidl.cli.tasks import characters, sentiment

rng = np.random.default_rng(0)
WORDS = {1: ["good", "fine", "a joy"], -1: ["bad", "dull", "a bore"]}


def snippets() -> list[tuple[str, float]]:
    """Sentences of nonsense with a word of praise or blame in them, and how much there is of it."""
    pairs = []
    for i in range(380):
        sign = 1 - 2 * (i % 2)
        filler = [f"w{k}" for k in rng.integers(0, 30, rng.integers(1, 12))]
        pairs.append((" ".join([*filler, rng.choice(WORDS[sign])]), sign * rng.uniform(1, 3)))
    return pairs


def novel() -> str:
    """A text that is worth learning by heart."""
    return "the whale and the sea; a ship, and no land. " * 230


if __name__ == "__main__":
    sentiment.DATA["movie-snippets"] = snippets
    characters.DATA["moby-dick"] = novel
    sys.exit(cli.main())
