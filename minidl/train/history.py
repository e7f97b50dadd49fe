"""History: the loss and the metrics of every epoch."""

from collections.abc import Iterator, Mapping
from typing import Any, overload


class History:
    """The loss and the metrics of every epoch.

        history = trainer.fit(train, epochs=10)
        history.history["val_loss"]     # ten numbers
        history["val_loss"]             # the same
        history[-1]                     # the last epoch: {"loss": …, "val_loss": …}
        len(history)                    # epochs

    epoch      the number of each epoch, from 0
    history    a list for every name, with one entry per epoch

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
        """Add an epoch; values missing from it, or from earlier epochs, are None."""
        for name in (*self.history, *logs):
            column = self.history.setdefault(name, [None] * len(self.epoch))
            if len(column) == len(self.epoch):
                column.append(logs.get(name))
        self.epoch.append(epoch)

    def __len__(self) -> int:
        return len(self.epoch)

    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    def __getitem__(self, key: str | int) -> Any:
        if isinstance(key, str):
            return self.history[key]
        return {name: column[key] for name, column in self.history.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.history

    def state_dict(self) -> dict[str, Any]:
        """A copy of `epoch` and `history`."""
        columns = {name: list(column) for name, column in self.history.items()}
        return {"epoch": list(self.epoch), "history": columns}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.epoch = list(saved["epoch"])
        self.history = {name: list(column) for name, column in saved["history"].items()}

    def __repr__(self) -> str:
        last = f", last: {self[-1]}" if self.epoch else ""
        return f"<History of {len(self)} epochs{last}>"
