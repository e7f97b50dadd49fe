"""The monitored quantity: which entry of the logs, and whether it has improved."""

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.checks import check_instance
from minidl.errors import ArgumentError
from minidl.train.metrics import Metric, higher_is_better


def check_monitor(who: str, monitor: Any) -> None:
    """Raise unless it is a name or None."""
    if monitor is not None:
        check_instance(who, str, monitor=monitor)


def check_mode(who: str, mode: str) -> str:
    """The mode, validated."""
    if mode not in ("auto", "min", "max"):
        raise ArgumentError(f'{who}: mode is "auto", "min" or "max"; got {mode!r}')
    return mode


def monitored_name(monitor: str | None, logs: Mapping[str, Any]) -> str:
    """The name of the monitored entry: by default "val_loss", or "loss" without validation data."""
    return monitor or ("val_loss" if "val_loss" in logs else "loss")


def monitored_value(who: str, monitor: str | None, logs: Mapping[str, Any]) -> Any:
    """The value of the monitored entry; ArgumentError if the logs have none of this name."""
    name = monitored_name(monitor, logs)
    if name not in logs:
        raise ArgumentError(f"{who}: nothing is called {name!r}; there are {', '.join(logs)}")
    return logs[name]


def direction(who: str, metrics: Iterable[Metric], name: str, mode: str) -> int:
    """1 if larger values are better, else −1."""
    if mode != "auto":
        return 1 if mode == "max" else -1
    own = {metric.name: metric.higher_is_better for metric in metrics}
    higher = own.get(name.removeprefix("val_"))
    higher = higher_is_better(name) if higher is None else higher
    if higher is None:
        raise ArgumentError(f'{who}: is a large {name!r} good? Say mode="max" or mode="min"')
    return 1 if higher else -1


def improved(value: Any, best: Any, sign: int, min_delta: float = 0.0) -> bool:
    """Whether a value is better than the best so far; NaN never is."""
    if value != value:
        return False
    return best is None or sign * (value - best) > min_delta
