"""Cache folders: for what can be built or downloaded again."""

import os
from pathlib import Path


def kept_in(variable: str, *inside: str) -> Path:
    """The folder in an environment variable, by default one in minidl's part of the user cache."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(variable) or Path(user, "minidl", *inside))
