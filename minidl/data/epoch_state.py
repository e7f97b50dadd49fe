"""How far an epoch has come, and what its order was drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minidl.errors import ArgumentError
from minidl.ops.random import Generator


@dataclass(slots=True)
class Position:
    """An epoch under way.

    epoch           its number, from 0 on
    seed, offset    of the generator as it began
    sampler         the state of the sampler as it began, if that has one
    batch           how many batches have been delivered
    """

    epoch: int
    seed: int
    offset: int
    sampler: Any = None
    batch: int = 0

    def generator(self) -> Generator:
        """A generator in the state that the loader's had as the epoch began."""
        return Generator().set_state({"seed": self.seed, "offset": self.offset})

    def state_dict(self, kind: Mapping[str, Any]) -> dict[str, Any]:
        """The position, and the kind of loader it is in."""
        own = {"batch": self.batch, "began": {"seed": self.seed, "offset": self.offset}}
        return own | {"sampler_state": self.sampler, "loader": dict(kind)}

    @staticmethod
    def from_state_dict(
        state: Mapping[str, Any], kind: Mapping[str, Any]
    ) -> tuple[int, "Position | None"]:
        """The number of the epoch, and its position if it was under way, in a loader's state."""
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
        return state["epoch"], Position(state["epoch"], **began, sampler=sampler, batch=batch)


def _is_state(state: Any) -> bool:
    """Whether it has the entries of a loader's state, and they are of the right kind."""
    keys = {"epoch", "under_way", "generator"}
    if not isinstance(state, Mapping) or not keys <= set(state):
        return False
    if not isinstance(state["under_way"], bool):
        return False
    numbers, places = [state["epoch"]], [state["generator"]]
    if state["under_way"]:
        keys |= {"batch", "began", "sampler_state", "loader"}
        if set(state) != keys or not isinstance(state["loader"], Mapping):
            return False
        numbers, places = [*numbers, state["batch"]], [*places, state["began"]]
    if not all(isinstance(x, Mapping) and set(x) == {"seed", "offset"} for x in places):
        return False
    numbers += [number for place in places for number in place.values()]
    return set(state) == keys and all(type(number) is int and number >= 0 for number in numbers)


def _words(kind: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in kind.items())
