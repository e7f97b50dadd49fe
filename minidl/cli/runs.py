"""Runs: each is a folder with everything about one training.

settings.json          the settings
vocabulary.json        the tokens that it knows, if it is on texts
history.jsonl          the loss and metrics of each epoch
last.safetensors       the checkpoint to resume from
best.safetensors       the checkpoint of the best epoch
curves.png             the learning curves, if matplotlib is installed
result.json            the final result
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl import io
from minidl.cli.tasks import TASKS, Task
from minidl.cli.tasks.task import COMMON
from minidl.errors import ArgumentError, MinidlError
from minidl.files import open_regular
from minidl.io.atomic_write import atomic_write
from minidl.nn import Module

_MOST_BYTES = 1 << 20  # of settings


@dataclass(frozen=True)
class Run:
    """The folder of a run, and its settings."""

    folder: Path
    settings: dict[str, Any]

    @property
    def task(self) -> type[Task]:
        """The kind of training that it is."""
        return TASKS[self.settings["model"]]

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.folder / "last.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.folder / "best.safetensors"

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file into the folder, atomically."""
        with atomic_write(self.folder / name) as new:
            new.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def begin(root: Path, settings: dict[str, Any], keep: Callable[[Path], None]) -> Run:
    """Create the folder of a new run, with its settings and what `keep` writes, atomically."""
    root.mkdir(parents=True, exist_ok=True)
    name = f"{settings['model']}-{settings['data']}"
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    keep(temporary)
    Run(temporary, settings).write("settings.json", settings)
    number = 1 + max((_number(path, name) for path in root.iterdir()), default=0)
    while True:
        folder = root / f"{name}-{number}"
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            number += 1  # another process took the number
        else:
            folder.chmod(0o777 & ~_umask())
            return Run(folder, settings)


def read(folder: Path) -> Run:
    """The run in a folder; ArgumentError unless its settings are those of a run."""
    path = folder / "settings.json"
    try:
        with open_regular(path) as file:
            settings = json.loads(file.read(_MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        fault = "it has no settings.json" if folder.is_dir() else "there is no such folder"
        fault = "it is a file" if folder.is_file() else fault
        raise ArgumentError(f"{folder} is no folder of a run: {fault}") from None
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"{path} is damaged: {error}") from None
    if not isinstance(settings, dict):
        raise ArgumentError(f"{path} has not the settings of a run")
    settings = {"mixed_precision": False, **settings}  # older runs do not say
    for fault in _faults(settings):
        raise ArgumentError(f"{path}{fault}")
    return Run(folder, settings)


def _faults(settings: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the settings of a run."""
    valid: dict[str, Callable[[Any], bool]] = {
        "model": lambda name: isinstance(name, str) and name in TASKS
    }
    if "model" in settings and valid["model"](settings["model"]):
        task = TASKS[settings["model"]]
        valid["data"] = lambda name: isinstance(name, str) and name in task.DATA
        valid |= {**task.VALID, **COMMON}
    for name, is_valid in valid.items():
        if name not in settings:
            yield f" has not the settings of a run: {name} is missing"
        elif not is_valid(settings[name]):
            yield f": {name} cannot be {settings[name]!r:.60}"


def add_argument(parser: Any) -> None:
    """Add the argument that names what `trained` takes."""
    about = "the folder of a run, or a checkpoint in it"
    parser.add_argument("run_or_checkpoint", type=Path, metavar="RUN", help=about)


def trained(given: Path) -> tuple[Run, Task, Module]:
    """A run, its task, and its network with the best weights, or with those of a checkpoint."""
    current = read(given.parent if given.is_file() else given)
    best = current.best if current.best.exists() else current.last
    task = current.task(current.settings)
    task.recall(current.folder)
    model = task.network()
    load_weights(given if given.is_file() else best, model)
    return current, task, model.eval()


def load_weights(checkpoint: Path, model: Module) -> None:
    """Load the weights in a checkpoint of a run; CheckpointError unless it is one, and fits."""
    state = io.load(checkpoint)
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise io.CheckpointError(
            f"{checkpoint}: holds no training run, as `minidl train` saves one"
        )
    try:
        model.load_state_dict(state["model"])
    except MinidlError as error:
        raise io.CheckpointError(f"{checkpoint}: {error}") from None


def latest(root: Path, model: str, data: str) -> Run | None:
    """The latest run of this model on this data, if there is one."""
    numbered = [(_number(path, f"{model}-{data}"), path) for path in _entries(root)]
    number, folder = max(numbered, default=(0, root))
    return read(folder) if number else None


def _entries(root: Path) -> list[Path]:
    return list(root.iterdir()) if root.is_dir() else []


def _number(path: Path, name: str) -> int:
    """The number in a folder's name; 0 if the name is another."""
    rest = path.name.removeprefix(f"{name}-")
    return int(rest) if rest != path.name and rest.isdecimal() else 0


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
