"""Runs: each is a folder that holds all there is to know about one training.

settings.json          what was asked for
history.jsonl          what each epoch gave
last.safetensors       where training is, to go on from
best.safetensors       where it was best
curves.png             the history as a picture, if matplotlib is installed
result.json            what came of it, once it is done
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
    """A folder, and the settings in it."""

    folder: Path
    settings: dict[str, Any]

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.folder / "last.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.folder / "best.safetensors"

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Put a file of JSON into the folder, whole or not at all."""
        with atomic_write(self.folder / name) as new:
            new.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def begin(root: Path, settings: dict[str, Any]) -> Run:
    """A new folder, which is there with its settings or not at all."""
    root.mkdir(parents=True, exist_ok=True)
    name = f"{settings['model']}-{settings['data']}"
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    Run(made, settings).write("settings.json", settings)
    number = 1 + max((_number(path, name) for path in root.iterdir()), default=0)
    while True:
        folder = root / f"{name}-{number}"
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            number += 1  # somebody else was quicker
        else:
            folder.chmod(0o777 & ~_umask())
            return Run(folder, settings)


def read(folder: Path) -> Run:
    """The run in a folder."""
    path = folder / "settings.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        known = isinstance(settings, dict) and {"model", "data", "shape"} <= set(settings)
    except FileNotFoundError:
        raise ArgumentError(f"{folder} is no folder of a run: it has no settings.json") from None
    except ValueError as error:
        raise ArgumentError(f"{path} is damaged: {error}") from None
    if not known:
        raise ArgumentError(f"{path} has not the settings of a run")
    return Run(folder, settings)


def latest(root: Path, model: str, data: str) -> Run | None:
    """The run of this model on this data with the largest number, if there is one."""
    numbered = [(_number(path, f"{model}-{data}"), path) for path in _entries(root)]
    number, folder = max(numbered, default=(0, root))
    return read(folder) if number else None


def _entries(root: Path) -> list[Path]:
    return list(root.iterdir()) if root.is_dir() else []


def _number(path: Path, name: str) -> int:
    """The number behind the name; 0 if the folder is called something else."""
    rest = path.name.removeprefix(f"{name}-")
    return int(rest) if rest != path.name and rest.isdecimal() else 0


def _umask() -> int:
    """What is kept from others, which Python tells only who sets it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
