"""Cache folders: for what can be built or downloaded again."""

import os
from pathlib import Path

from minidl.errors import ArgumentError


def kept_in(variable: str, *inside: str) -> Path:
    """The folder in an environment variable, by default one in minidl's part of the user cache.

    raises    ArgumentError without either: no variable is set, and the user has no home
    """
    if named := os.environ.get(variable):
        return Path(named).absolute()
    user = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not user.is_absolute():  # then it is not to be used: XDG Base Directory Specification 0.8
        user = Path(os.path.expanduser("~"), ".cache")
    if not user.is_absolute():
        raise ArgumentError(
            f"no folder to keep files in: this user has no home; set {variable} to a folder"
        )
    return Path(user, "minidl", *inside)
