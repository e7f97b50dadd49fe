"""The state of an epoch in a DataLoader: its position, and the random state of its order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minidl.errors import ArgumentError
from minidl.ops.random import Generator


@dataclass(slots=True)
class EpochState:
    """An epoch in progress.

    epoch           its number, from 0
    seed, offset    the state of the generator at its start
    sampler         the state of the sampler at its start, if that has one
    batch           the number of batches delivered
    """

    epoch: int
    seed: int
    offset: int
    sampler: Any = None
    batch: int = 0

    def generator(self) -> Generator:
        """A generator in the state of the loader's at the start of the epoch."""
        return Generator().set_state({"seed": self.seed, "offset": self.offset})

    def state_dict(self, kind: Mapping[str, Any]) -> dict[str, Any]:
        """The state, with the loader's configuration."""
        own = {"batch": self.batch, "began": {"seed": self.seed, "offset": self.offset}}
        return own | {"sampler_state": self.sampler, "loader": dict(kind)}

    @staticmethod
    def from_state_dict(
        state: Mapping[str, Any], kind: Mapping[str, Any]
    ) -> tuple[int, "EpochState | None"]:
        """The epoch number, and the state of the epoch if it was in progress."""
        name = "DataLoader.load_state_dict"
        if not _is_state(state):
            raise ArgumentError(f"{name}: needs what state_dict gave; got {state!r:.80}")
        if not state["under_way"]:
            return state["epoch"], None
        if state["loader"] != kind:
            raise ArgumentError(
                f"{name}: this state is from the middle of an epoch of {_words(state['loader'])}; "
                f"it cannot go on with {_words(kind)}"
            )
        began, sampler, batch = state["began"], state["sampler_state"], state["batch"]
        return state["epoch"], EpochState(state["epoch"], **began, sampler=sampler, batch=batch)


def _is_state(state: Any) -> bool:
    """Whether it has the entries of a loader's state, of the right types."""
    keys = {"epoch", "under_way", "generator"}
    if not isinstance(state, Mapping) or not keys <= set(state):
        return False
    if not isinstance(state["under_way"], bool):
        return False
    integers, generators = [state["epoch"]], [state["generator"]]
    if state["under_way"]:
        keys |= {"batch", "began", "sampler_state", "loader"}
        if set(state) != keys or not isinstance(state["loader"], Mapping):
            return False
        integers, generators = [*integers, state["batch"]], [*generators, state["began"]]
    if not all(isinstance(x, Mapping) and set(x) == {"seed", "offset"} for x in generators):
        return False
    integers += [value for generator in generators for value in generator.values()]
    return set(state) == keys and all(type(value) is int and value >= 0 for value in integers)


def _words(kind: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in kind.items())
