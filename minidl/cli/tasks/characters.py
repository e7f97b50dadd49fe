"""A language model of characters, which learns to write from one text."""

import math
from pathlib import Path
from typing import Any, ClassVar

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.cli.tasks import texts
from minidl.cli.tasks.task import Check, Writer, cosine, is_fraction, is_size
from minidl.data import moby_dick
from minidl.data.text import StreamBatches, Vocabulary
from minidl.errors import ArgumentError
from minidl.models import LanguageModel
from minidl.ops import zeros
from minidl.ops.random import Generator
from minidl.optim import Adam
from minidl.optim.schedules import LambdaLR
from minidl.train import Callback, Trainer

# The function that loads each text.
DATA = {"moby-dick": moby_dick}

_HELD_OUT = 0.1  # the end of the text
_TEST_STREAMS = 16
_WARMUP = 50  # steps in which the learning rate rises
_PARAGRAPH = 400  # characters
_PRINTED = {"'": "‘’", '"': "“”", "-": "—"}  # what a book may have for what a keyboard has


class Characters(Writer):
    """A recurrent network that predicts each character of a text from those before it."""

    NETWORKS: ClassVar[dict[str, str]] = {
        "charlm": "LSTM that predicts the next character, and so writes "
        "(`minidl.models.LanguageModel`)"
    }
    DATA = DATA
    VALID: ClassVar[dict[str, Check]] = {
        "embedding_dim": is_size,
        "hidden_size": is_size,
        "num_layers": lambda value: is_size(value) and value <= 16,
        "dropout": is_fraction,
        "steps": is_size,
        "full": lambda value: isinstance(value, bool),
    }
    SAMPLES = "characters"
    SCORE = "bits_per_character"

    train: list[int]
    validation: list[int]
    held_out: list[int]
    vocabulary: Vocabulary

    @classmethod
    def defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        full = given.get("full", False)
        return {
            "data": "moby-dick",
            "full": full,
            "epochs": 12 if full else 3,
            "batch_size": 32,
            "lr": 5e-3 if full else 1e-2,
            "seed": 0,
            "validation": 0.05 if full else 0.0,
            "save_every": None,
            "mixed_precision": False,
            "embedding_dim": 64,
            "hidden_size": 512,
            "num_layers": 2 if full else 1,
            "dropout": 0.4 if full else 0.0,
            "steps": 100,
        }

    @classmethod
    def kernels(cls, network: str) -> list[str]:
        own = "gemm:_product", "loss:_forward", "loss:_total", "loss:_backward"
        return [*own, *texts.KERNELS]

    @classmethod
    def sizes(cls, network: str) -> str:
        sizes = []
        for full, option in ((False, ""), (True, " with --full")):
            task = cls({"model": network, **cls.defaults({"full": full})})
            task.vocabulary = Vocabulary.of_characters("".join(map(chr, range(83))))
            sizes.append(f"{sum(p.size for p in task.network().parameters()):,}{option}")
        return f"{', '.join(sizes)}, for 83 characters"

    def load(self, folder: Path | None = None) -> dict[str, Any]:
        text = DATA[self.settings["data"]]()
        if folder is None:
            self.vocabulary = Vocabulary.of_characters(text)
        else:
            self.recall(folder)
        rest, self.held_out = _cut(self.vocabulary.encode(text), _HELD_OUT)
        self.train, self.validation = _cut(rest, self.settings["validation"])
        return {}

    def keep(self, folder: Path) -> None:
        texts.keep(self.vocabulary, folder)

    def recall(self, folder: Path) -> None:
        self.vocabulary = texts.kept(folder)

    def network(self) -> nn.Module:
        names = "embedding_dim", "hidden_size", "num_layers", "dropout"
        return LanguageModel(len(self.vocabulary), **{n: self.settings[n] for n in names})

    def example(self) -> tuple[Tensor, ...]:
        return (zeros((1, self.settings["steps"]), dtype="int64"),)

    def batches(self) -> tuple[Any, Any]:
        size, steps = self.settings["batch_size"], self.settings["steps"]
        train = StreamBatches(self.train, size, steps)
        return train, self._in_order(self.validation) if self.validation else None

    def _in_order(self, ids: list[int]) -> StreamBatches:
        """The batches of a text that is not trained on."""
        return StreamBatches(ids, _TEST_STREAMS, self.settings["steps"])

    def trainer(self, model: nn.Module, steps: int, callbacks: list[Callback]) -> Trainer:
        return Trainer(
            model,
            Adam(model.parameters(), lr=self.settings["lr"]),
            "cross_entropy",
            callbacks=callbacks,
            schedule=lambda optimizer: LambdaLR(optimizer, cosine(steps, _WARMUP)),
            schedule_every="step",
            clip_norm=1.0,
            mixed_precision=self.settings["mixed_precision"],
            carry_state=True,
        )

    def test(self, trainer: Trainer) -> float:
        return trainer.evaluate(self._in_order(self.held_out))["loss"] / math.log(2)

    def counts(self) -> tuple[int, int]:
        return len(self.train), len(self.held_out)

    def in_words(self, score: float) -> str:
        return f"{score:.3f} bits per character"

    def afterword(self, model: nn.Module) -> str:
        """A paragraph that the network writes."""
        prompt = "".join(self.vocabulary.decode(self.held_out[:_TEST_STREAMS]))
        return f"it writes: {self.written(model, prompt, _PARAGRAPH, temperature=0.8)}"

    def written(self, model: nn.Module, prompt: str, length: int, **how: Any) -> str:
        unknown = sorted(set(prompt) - set(self.vocabulary))
        if unknown:
            printed = [c for key in unknown for c in _PRINTED.get(key, "") if c in self.vocabulary]
            hint = f"; its text has {' '.join(printed)}" if printed else ""
            raise ArgumentError(
                f"the prompt has {', '.join(map(repr, unknown))}, which the network has never seen"
                + hint
            )
        if not prompt:
            raise ArgumentError("the prompt is empty; it needs a character to begin with")
        assert isinstance(model, LanguageModel)
        how.setdefault("generator", Generator(self.settings["seed"]))
        ids = model.generate(self.vocabulary.encode(prompt), length, **how)
        return prompt + "".join(self.vocabulary.decode(ids))


def _cut(ids: list[int], fraction: float) -> tuple[list[int], list[int]]:
    """Two parts of a text, the second of which is this fraction."""
    end = round(len(ids) * (1 - fraction))
    return ids[:end], ids[end:]
