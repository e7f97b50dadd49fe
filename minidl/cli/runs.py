"""Runs: each is a folder with everything about one training.

settings.json          the settings
history.jsonl          the loss and metrics of each epoch
last.safetensors       the checkpoint to resume from
best.safetensors       the checkpoint of the best epoch
curves.png             the learning curves, if matplotlib is installed
result.json            the final result
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl.errors import ArgumentError
from minidl.io.atomic_write import atomic_write


@dataclass(frozen=True)
class Run:
    """The folder of a run, and its settings."""

    folder: Path
    settings: dict[str, Any]

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


def begin(root: Path, settings: dict[str, Any]) -> Run:
    """Create the folder of a new run, together with its settings, atomically."""
    root.mkdir(parents=True, exist_ok=True)
    name = f"{settings['model']}-{settings['data']}"
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
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
    """The run in a folder."""
    path = folder / "settings.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        valid = isinstance(settings, dict) and {"model", "data", "shape"} <= set(settings)
    except FileNotFoundError:
        raise ArgumentError(f"{folder} is no folder of a run: it has no settings.json") from None
    except ValueError as error:
        raise ArgumentError(f"{path} is damaged: {error}") from None
    if not valid:
        raise ArgumentError(f"{path} has not the settings of a run")
    return Run(folder, settings)


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
