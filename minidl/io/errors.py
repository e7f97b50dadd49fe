"""The error of checkpoints."""

from minidl.errors import MinidlError


class CheckpointError(MinidlError, OSError, ValueError):
    """A file that cannot be read or written, is damaged, or has unexpected content.

    >>> from minidl import io
    >>> with open("run.safetensors", "wb") as file:
    ...     _ = file.write(b"half a file")
    >>> try:
    ...     io.load("run.safetensors")
    ... except io.CheckpointError as error:
    ...     print(error)
    run.safetensors: is no safetensors file: ...
    """
