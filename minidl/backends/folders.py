"""Where things are kept that can be made or fetched anew."""

import os
from pathlib import Path


def kept_in(variable: str, *inside: str) -> Path:
    """The folder that an environment variable names, or else one in the user's cache for minidl."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(variable) or Path(user, "minidl", *inside))
