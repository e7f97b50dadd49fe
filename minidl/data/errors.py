"""What goes wrong with data."""

from minidl.errors import MinidlError


class DataError(MinidlError, OSError):
    """Data that cannot be had, or is not what was published."""


class FormatError(MinidlError, ValueError):
    """A file that is damaged, or not of the format that it should be."""
