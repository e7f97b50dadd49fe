"""What goes wrong with checkpoints."""

from minidl.errors import MinidlError


class CheckpointError(MinidlError, OSError, ValueError):
    """A file that cannot be read or written, is damaged, or is not what it should be."""
