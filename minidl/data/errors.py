"""The errors of data."""

from minidl.errors import MinidlError


class DataError(MinidlError, OSError):
    """Data that cannot be downloaded, or differs from what was published.

    >>> issubclass(minidl.data.DataError, OSError)
    True
    """


class FormatError(MinidlError, ValueError):
    """A file that is damaged, or not of the expected format.

    >>> with open("images.idx", "wb") as file:
    ...     _ = file.write(b"not images")
    >>> try:
    ...     minidl.data.read_idx("images.idx")
    ... except minidl.data.FormatError as error:
    ...     print(error)
    images.idx: an IDX file begins with 0, 0, a dtype, axes; got [110, 111, 116, 32]
    """
