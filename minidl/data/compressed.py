"""Reading gzipped files with a limit on what they decompress to.

DEFLATE packs a thousand zeros into one byte, so that a file of 12 kB may take gigabytes of memory.
Each reader of compressed files has therefore a keyword `max_bytes`, whose defaults are here.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from minidl.data.errors import FormatError
from minidl.files import open_regular

# The maximum compression ratio of DEFLATE (M. Adler, zlib's technical details).
MAX_DEFLATE_RATIO = 1032
# The decompressed bytes that readers accept by default: of arrays, and of tables, whose cells take
# about ten times as much memory until they are parsed.
MAX_ARRAY_BYTES, MAX_TABLE_BYTES = 1 << 30, 1 << 28

# What gzip raises while it decompresses a damaged file.
DAMAGED = EOFError, gzip.BadGzipFile, zlib.error


class _LimitedGzip(gzip.GzipFile):
    """A gzip file that refuses to decompress more than a number of bytes."""

    limit: float
    path: Path

    def read(self, size: int | None = -1) -> bytes:
        return self._within_limit(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        return self._within_limit(super().read1(size))

    def _within_limit(self, content: bytes) -> bytes:
        if self.tell() > self.limit:
            raise too_large(self.path, self.limit)
        return content


def too_large(path: Path, limit: float) -> FormatError:
    """The error of a file that decompresses to more than the limit."""
    return FormatError(
        f"{path}: decompresses to more than {limit:,} bytes; if you trust it, raise `max_bytes`"
    )


@contextmanager
def open_decompressed(path: Path, max_bytes: float) -> Iterator[BufferedReader | gzip.GzipFile]:
    """Open a file for reading, decompressed if it is gzipped.

    The reader of a gzipped file raises FormatError beyond `max_bytes`; it is to be read in blocks.
    """
    with open_regular(path) as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not gzipped:
            yield file
            return
        with _LimitedGzip(fileobj=file, mode="rb") as decompressed:
            decompressed.limit, decompressed.path = max_bytes, path
            yield decompressed
