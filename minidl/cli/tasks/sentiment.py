"""A classifier of English sentences, which tells praise from blame."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.cli.tasks import texts
from minidl.cli.tasks.task import Check, Classifier, Sample, cosine, is_fraction, is_size
from minidl.data import DataLoader, movie_snippets, random_split
from minidl.data.text import BucketBatchSampler, PadCollate, Vocabulary, word_tokens
from minidl.errors import ArgumentError
from minidl.models import TextClassifier
from minidl.ops import asarray
from minidl.ops.random import Generator
from minidl.optim import Adam
from minidl.optim.schedules import LambdaLR
from minidl.train import Callback, Trainer

# The function that loads each dataset, as pairs of a text and its score.
DATA = {"movie-snippets": movie_snippets}

# The ids of a text, and the probabilities of its classes.
Labelled = tuple[np.ndarray, np.ndarray]

_CLASSES = ["negative", "positive"]
_HELD_OUT = 0.1


class Sentiment(Classifier):
    """A recurrent network that tells positive sentences from negative ones.

    The label is the sign of the score that readers gave; neutral sentences are left out.  What the
    network is trained to give, though, is the probability σ(score) of praise, which says more than
    the sign: whether readers were of one opinion.
    """

    NETWORKS: ClassVar[dict[str, str]] = {
        "sentiment": "bidirectional LSTM that tells praise of films from blame, trained from "
        "scratch (`minidl.models.TextClassifier`)"
    }
    DATA = DATA
    VALID: ClassVar[dict[str, Check]] = {
        "embedding_dim": is_size,
        "hidden_size": is_size,
        "dropout": is_fraction,
        "word_dropout": is_fraction,
        "min_frequency": is_size,
    }
    SAMPLES, SAMPLE = "texts", "text"

    train: list[Labelled]
    validation: list[Labelled]
    held_out: list[Labelled]
    held_out_texts: list[str]
    vocabulary: Vocabulary

    @classmethod
    def defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "data": "movie-snippets",
            "epochs": 8,
            "batch_size": 64,
            "lr": 2e-3,
            "seed": 0,
            "validation": 0.0,
            "save_every": None,
            "mixed_precision": False,
            "embedding_dim": 100,
            "hidden_size": 64,
            "dropout": 0.5,
            "word_dropout": 0.7,
            "min_frequency": 2,
        }

    @classmethod
    def kernels(cls, network: str) -> list[str]:
        own = "random:_dropout", "random:_dropout_back", "softmax:_rows", "softmax:_rows_back"
        return [*own, *texts.KERNELS]

    @classmethod
    def sizes(cls, network: str) -> str:
        task = cls({"model": network, **cls.defaults({})})
        task.vocabulary = Vocabulary([str(i) for i in range(10_000)], padding="0", unknown="1")
        return f"{sum(p.size for p in task.network().parameters()):,} for 10,000 words"

    def load(self, folder: Path | None = None) -> dict[str, Any]:
        rest, held_out = self.pairs()
        train, validation = self._split(rest, self.settings["validation"])
        if folder is None:
            words = [word_tokens(text) for text, _ in train]
            least = self.settings["min_frequency"]
            self.vocabulary = Vocabulary.count(words, min_frequency=least)
        else:
            self.recall(folder)
        self.train, self.validation, self.held_out = (
            [self._sample(*pair) for pair in part] for part in (train, validation, held_out)
        )
        self.held_out_texts = [text for text, _ in held_out]
        return {}

    def pairs(self) -> list[list[tuple[str, float]]]:
        """The texts with their scores, to train on and to test with."""
        rated = [pair for pair in DATA[self.settings["data"]]() if pair[1]]
        return self._split(rated, _HELD_OUT)

    def _split(self, pairs: list[Any], fraction: float) -> list[list[Any]]:
        """Pairs at random in two parts, the second of which is this fraction."""
        parts = random_split(pairs, [1 - fraction, fraction], Generator(self.settings["seed"]))
        return [[part[i] for i in range(len(part))] for part in parts]

    def keep(self, folder: Path) -> None:
        texts.keep(self.vocabulary, folder)

    def recall(self, folder: Path) -> None:
        self.vocabulary = texts.kept(folder)

    def _sample(self, text: str, score: float) -> Labelled:
        """The ids of a text, at least one, and the probabilities of its classes."""
        positive = 1 / (1 + np.exp(-score))
        return np.array(self._ids(text)), np.array([1 - positive, positive], np.float32)

    def _ids(self, text: str) -> list[int]:
        return self.vocabulary.encode(word_tokens(text) or [self.vocabulary.unknown or ""])

    def network(self) -> nn.Module:
        settings = self.settings
        sizes = {name: settings[name] for name in ("embedding_dim", "hidden_size")}
        dropouts = {name: settings[name] for name in ("dropout", "word_dropout")}
        return TextClassifier(len(self.vocabulary), len(_CLASSES), **sizes, **dropouts)

    def example(self) -> tuple[Tensor, ...]:
        return self._inputs([1] * 20)

    def _inputs(self, ids: Any) -> tuple[Tensor, ...]:
        """The inputs of the network for one text."""
        return asarray(np.array([ids])), asarray([len(ids)])

    def batches(self) -> tuple[Any, Any]:
        lengths = [len(ids) for ids, _ in self.train]
        sampler = BucketBatchSampler(lengths, self.settings["batch_size"])
        train = DataLoader(self.train, batch_sampler=sampler, collate_fn=PadCollate())
        return train, _in_order(self.validation) if self.validation else None

    def trainer(self, model: nn.Module, steps: int, callbacks: list[Callback]) -> Trainer:
        return Trainer(
            model,
            Adam(model.parameters(), lr=self.settings["lr"]),
            "cross_entropy",
            ["accuracy"],
            callbacks,
            schedule=lambda optimizer: LambdaLR(optimizer, cosine(steps)),
            schedule_every="step",
            clip_norm=1.0,
            mixed_precision=self.settings["mixed_precision"],
        )

    def test_batches(self) -> Any:
        return _in_order(self.held_out)

    def counts(self) -> tuple[int, int]:
        return len(self.train), len(self.held_out)

    def classes(self) -> list[str]:
        return _CLASSES

    def samples(self, given: Sequence[str], count: int, folder: Path, **_: Any) -> Iterator[Sample]:
        """Texts as they are given, else of the test data."""
        if not given:
            self.load(folder)
            chosen = list(zip(self.held_out_texts, self.held_out, strict=True))[:count]
            for text, (ids, classes) in chosen:
                yield Sample(text, self._inputs(ids), int(classes.argmax()))
        for text in given:
            if not word_tokens(text):
                raise ArgumentError(f"a text needs a word; got {text!r:.60}")
            yield Sample(text, self._inputs(self._ids(text)), None)


def _in_order(samples: list[Labelled]) -> Any:
    """The batches of samples that are not trained on."""
    return DataLoader(samples, 512, collate_fn=PadCollate())
