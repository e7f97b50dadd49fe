"""What a training run has measured."""

from collections.abc import Iterator, Mapping
from typing import Any


class History:
    """The measurements of every epoch.

        history = trainer.fit(train, epochs=10)
        history.history["val_loss"]     # ten numbers
        history["val_loss"]             # the same
        history[-1]                     # the last epoch: {"loss": …, "val_loss": …}
        len(history)                    # epochs

    epoch      the number of each epoch, from 0 on
    history    a list for every name, with an entry for each epoch

    >>> history = minidl.train.History()
    >>> history.append(0, {"loss": 0.9})
    >>> history.append(1, {"loss": 0.4, "val_loss": 0.5})
    >>> history["val_loss"], history[-1], len(history)
    ([None, 0.5], {'loss': 0.4, 'val_loss': 0.5}, 2)
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def append(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Add an epoch; what was not measured in it, or not before, is None."""
        for name in (*self.history, *logs):
            column = self.history.setdefault(name, [None] * len(self.epoch))
            if len(column) == len(self.epoch):
                column.append(logs.get(name))
        self.epoch.append(epoch)

    def __len__(self) -> int:
        return len(self.epoch)

    def __getitem__(self, which: str | int) -> Any:
        if isinstance(which, str):
            return self.history[which]
        return {name: column[which] for name, column in self.history.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.history

    def state_dict(self) -> dict[str, Any]:
        """A copy of both."""
        columns = {name: list(column) for name, column in self.history.items()}
        return {"epoch": list(self.epoch), "history": columns}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.epoch = list(saved["epoch"])
        self.history = {name: list(column) for name, column in saved["history"].items()}

    def __repr__(self) -> str:
        last = f", last: {self[-1]}" if self.epoch else ""
        return f"<History of {len(self)} epochs{last}>"
