"""What a command needs to know of a training: its data, its network, and how that is judged."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.checks import is_integer, is_real
from minidl.train import Callback, Trainer

Check = Callable[[Any], bool]


class Sample(NamedTuple):
    """A sample to predict: its name, the inputs of the network for it alone, its class if known."""

    name: str
    inputs: tuple[Tensor, ...]
    label: int | None


class Task(ABC):
    """A training, as its settings tell it; a subclass for each kind of data.

    settings     of the run: those of `defaults`, or what was chosen instead
    NETWORKS     the names of the networks, and what they are
    DATA         the names of the data that they can be trained on, first the usual ones
    VALID        what the settings may be that only these networks have
    SAMPLES      what the data consist of
    SCORE        the name of the result
    """

    NETWORKS: ClassVar[dict[str, str]]
    DATA: ClassVar[Iterable[str]]
    VALID: ClassVar[dict[str, Check]] = {}
    SAMPLES: ClassVar[str]
    SCORE: ClassVar[str] = "test_accuracy"

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    @classmethod
    @abstractmethod
    def defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        """All settings that may be chosen, with their usual values beside those given."""

    @classmethod
    @abstractmethod
    def kernels(cls, network: str) -> list[str]:
        """The kernels that training needs, which are compiled side by side if they have to be."""

    @classmethod
    @abstractmethod
    def sizes(cls, network: str) -> str:
        """How many parameters the network has."""

    @abstractmethod
    def load(self, folder: Path | None = None) -> dict[str, Any]:
        """Load the data; return what they add to the settings.

        folder    of a run that has begun, from which `recall` takes what belongs to the data
        """

    def keep(self, folder: Path) -> None:  # noqa: B027  not all have something to keep
        """Keep what belongs to the data, and cannot be in the settings, in the folder of a run."""

    def recall(self, folder: Path) -> None:  # noqa: B027
        """Read what `keep` wrote; the data are not loaded."""

    @abstractmethod
    def network(self) -> nn.Module:
        """A new network, once the data are loaded, or what was kept of them is recalled."""

    @abstractmethod
    def example(self) -> tuple[Tensor, ...]:
        """The inputs of the network for one sample, for a summary."""

    @abstractmethod
    def batches(self) -> tuple[Any, Any]:
        """The batches to train on, and those to validate with, or None."""

    @abstractmethod
    def trainer(self, model: nn.Module, steps: int, callbacks: list[Callback]) -> Trainer:
        """The trainer of a network, for so many steps in all."""

    @abstractmethod
    def test(self, trainer: Trainer) -> float:
        """The score on data that were not trained on."""

    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """The numbers of samples to train on and to test with."""

    def in_words(self, score: float) -> str:
        """The score, with its unit."""
        return f"test accuracy {score:.2%}"

    def afterword(self, model: nn.Module) -> str:
        """What else the trained network has to say."""
        return ""


class Classifier(Task):
    """A training of a network that gives logits of classes.

    SAMPLE    the name of what is classified
    """

    SAMPLE: ClassVar[str]

    @abstractmethod
    def classes(self) -> list[str]:
        """The names of the classes."""

    @abstractmethod
    def samples(
        self, given: Sequence[str], count: int, folder: Path, **how: Any
    ) -> Iterator[Sample]:
        """The samples that are given on a command line, else so many of the run's test data."""

    def test(self, trainer: Trainer) -> float:
        """The accuracy on the test data."""
        return trainer.evaluate(self.test_batches(), 512)["accuracy"]

    @abstractmethod
    def test_batches(self) -> Any:
        """The data to test with."""


class Writer(Task):
    """A training of a network that continues texts."""

    @abstractmethod
    def written(self, model: nn.Module, prompt: str, length: int, **how: Any) -> str:
        """A prompt, and how the network continues it; `how` is that of `LanguageModel.generate`."""


def cosine(steps: int, warmup: int = 0) -> Callable[[int], float]:
    """A factor for learning rates: up to 1 in the first steps, then as a cosine to 0 at the last.

    It is a function, for `LambdaLR`, since those are not saved: a run that is resumed for more
    epochs has another last step.  I. Loshchilov, F. Hutter 2017, arXiv:1608.03983.
    """

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / (warmup + 1))
        return rise * 0.5 * (1 + math.cos(math.pi * min(step, steps) / max(steps, 1)))

    return factor


# What settings may be.


def is_count(value: Any) -> bool:
    """Whether it is a positive integer."""
    return is_integer(value) and 1 <= value < 2**63


def is_size(value: Any) -> bool:
    """Whether it can be the width of a layer of a small network."""
    return is_integer(value) and 1 <= value <= 1 << 14


def is_fraction(value: Any) -> bool:
    """Whether it is a number of [0, 1)."""
    return is_real(value) and 0 <= value < 1


def is_rate(value: Any) -> bool:
    """Whether it is a positive, finite number."""
    return is_real(value) and 0 < value < math.inf


# The settings that all have, and what they may be.
COMMON: dict[str, Check] = {
    "epochs": is_count,
    "batch_size": is_count,
    "lr": is_rate,
    "seed": is_integer,
    "validation": is_fraction,
    "save_every": lambda value: value is None or is_count(value),
    "mixed_precision": lambda value: isinstance(value, bool),
}
